//! Versioned buckets in memory, with failures on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::store::{Bucket, Store, StoreError, Version};

/// The account that the buckets belong to.
pub(crate) const OWNER: &str = "123456789012";

/// A call of [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    Put,
    Versions,
    Delete,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// An error, and nothing has happened.
    Fails,
    /// An error, though it has happened.
    HappensAndFails,
    /// No answer ever, and nothing has happened.
    Hangs,
    /// No answer ever, though it has happened.
    HappensAndHangs,
    /// A lack of permission.
    Denied,
    Panics,
}

#[derive(Debug, Clone)]
struct Stored {
    key: String,
    version_id: String,
    /// None for a delete marker.
    bytes: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct State {
    /// By bucket, oldest version first.
    buckets: BTreeMap<String, Vec<Stored>>,
    versions_made: u32,
    /// What happens to the next calls, in order.
    troubles: Vec<(Call, Trouble)>,
    /// What happens to a call after so many others of its kind.
    spared: Vec<(Call, usize, Trouble)>,
    calls: Vec<Call>,
}

/// S3 in memory. Clones share the buckets.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<State>>);

impl MemoryStore {
    pub(crate) fn with_buckets(names: &[&str]) -> Self {
        let store = Self::default();
        for name in names {
            store
                .0
                .lock()
                .unwrap()
                .buckets
                .insert((*name).to_owned(), Vec::new());
        }
        store
    }

    /// The next call of this kind goes wrong, once.
    pub(crate) fn trouble(&self, call: Call, trouble: Trouble) {
        self.0.lock().unwrap().troubles.push((call, trouble));
    }

    /// The call of this kind after `spared` others goes wrong, once.
    pub(crate) fn trouble_after(&self, spared: usize, call: Call, trouble: Trouble) {
        let mut state = self.0.lock().unwrap();
        state.spared.push((call, spared, trouble));
    }

    /// How many calls there have been.
    pub(crate) fn call_count(&self) -> usize {
        self.0.lock().unwrap().calls.len()
    }

    pub(crate) fn forget_troubles(&self) {
        self.0.lock().unwrap().troubles.clear();
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn insert(&self, bucket: &str, key: &str, bytes: &[u8]) -> String {
        self.0
            .lock()
            .unwrap()
            .insert(bucket, key, Some(bytes.to_vec()))
    }

    pub(crate) fn insert_marker(&self, bucket: &str, key: &str) {
        self.0.lock().unwrap().insert(bucket, key, None);
    }

    /// The newest bytes, unless there are none or a marker hides them.
    pub(crate) fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let state = self.0.lock().unwrap();
        let versions = state.buckets.get(bucket)?;
        let newest = versions.iter().rfind(|stored| stored.key == key)?;
        newest.bytes.clone()
    }

    /// Every key of which anything is left, markers included.
    pub(crate) fn keys(&self, bucket: &str) -> BTreeSet<String> {
        let state = self.0.lock().unwrap();
        let versions = state.buckets.get(bucket).into_iter().flatten();
        versions.map(|stored| stored.key.clone()).collect()
    }

    fn next_trouble(&self, call: Call) -> Option<Trouble> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(call);
        let due = state
            .spared
            .iter()
            .position(|(kind, spared, _)| *kind == call && *spared == 0);
        for (kind, spared, _) in &mut state.spared {
            if *kind == call {
                *spared = spared.saturating_sub(1);
            }
        }
        if let Some(due) = due {
            return Some(state.spared.remove(due).2);
        }
        let at = state.troubles.iter().position(|(kind, _)| *kind == call)?;
        Some(state.troubles.remove(at).1)
    }

    async fn perform<T>(
        &self,
        call: Call,
        bucket: &Bucket,
        key: &str,
        action: impl FnOnce(&mut State) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let failed = || StoreError::Failed {
            action: "s3:Something",
            bucket: bucket.name.clone(),
            key: key.to_owned(),
            cause: "InternalError: as told".to_owned(),
        };
        let denied = || StoreError::Denied {
            action: "s3:Something",
            bucket: bucket.name.clone(),
            key: key.to_owned(),
            owner: bucket.owner.clone(),
            code: "AccessDenied".to_owned(),
        };
        // Others may come in between.
        tokio::task::yield_now().await;
        let trouble = self.next_trouble(call);
        match trouble {
            Some(Trouble::Fails) => return Err(failed()),
            Some(Trouble::Hangs) => return std::future::pending().await,
            Some(Trouble::Panics) => panic!("as told"),
            Some(Trouble::Denied) => return Err(denied()),
            _ if bucket.owner != OWNER => return Err(denied()),
            _ => {}
        }
        let result = {
            let mut state = self.0.lock().unwrap();
            if !state.buckets.contains_key(&bucket.name) {
                return Err(StoreError::NoBucket {
                    bucket: bucket.name.clone(),
                });
            }
            action(&mut state)
        };
        match trouble {
            Some(Trouble::HappensAndFails) => Err(failed()),
            Some(Trouble::HappensAndHangs) => std::future::pending().await,
            _ => result,
        }
    }
}

impl State {
    fn insert(&mut self, bucket: &str, key: &str, bytes: Option<Vec<u8>>) -> String {
        self.versions_made += 1;
        let version_id = format!("v{}", self.versions_made);
        self.buckets
            .entry(bucket.to_owned())
            .or_default()
            .push(Stored {
                key: key.to_owned(),
                version_id: version_id.clone(),
                bytes,
            });
        version_id
    }
}

impl Store for MemoryStore {
    async fn get(
        &self,
        bucket: &Bucket,
        key: &str,
        version_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<u8>, StoreError> {
        self.perform(Call::Get, bucket, key, |state| {
            let bytes = state.buckets[&bucket.name]
                .iter()
                .rfind(|stored| {
                    stored.key == key && version_id.is_none_or(|id| id == stored.version_id)
                })
                .and_then(|stored| stored.bytes.clone())
                .ok_or_else(|| StoreError::NoObject {
                    bucket: bucket.name.clone(),
                    key: key.to_owned(),
                    version_id: version_id.map(str::to_owned),
                })?;
            if bytes.len() > limit {
                return Err(StoreError::TooLarge {
                    bucket: bucket.name.clone(),
                    key: key.to_owned(),
                    limit,
                });
            }
            Ok(bytes)
        })
        .await
    }

    async fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        _content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.perform(Call::Put, bucket, key, |state| {
            let newest = state.buckets[&bucket.name]
                .iter()
                .rfind(|stored| stored.key == key);
            match newest.and_then(|stored| stored.bytes.as_ref()) {
                Some(there) if *there == bytes => Ok(()),
                Some(_) => Err(StoreError::Replaced {
                    bucket: bucket.name.clone(),
                    key: key.to_owned(),
                }),
                None => {
                    state.insert(&bucket.name, key, Some(bytes));
                    Ok(())
                }
            }
        })
        .await
    }

    async fn versions(&self, bucket: &Bucket, prefix: &str) -> Result<Vec<Version>, StoreError> {
        self.perform(Call::Versions, bucket, prefix, |state| {
            let stored = &state.buckets[&bucket.name];
            Ok(stored
                .iter()
                .enumerate()
                .filter(|(_, version)| version.key.starts_with(prefix))
                .map(|(at, version)| Version {
                    key: version.key.clone(),
                    version_id: version.version_id.clone(),
                    is_latest: stored[at + 1..]
                        .iter()
                        .all(|later| later.key != version.key),
                    is_marker: version.bytes.is_none(),
                })
                .collect())
        })
        .await
    }

    async fn delete(&self, bucket: &Bucket, versions: Vec<Version>) -> Result<(), StoreError> {
        self.perform(Call::Delete, bucket, "", |state| {
            if let Some(stored) = state.buckets.get_mut(&bucket.name) {
                stored.retain(|stored| {
                    !versions.iter().any(|version| {
                        version.key == stored.key && version.version_id == stored.version_id
                    })
                });
            }
            Ok(())
        })
        .await
    }
}
