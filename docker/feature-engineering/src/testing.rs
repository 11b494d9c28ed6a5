//! What the tests share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pipewright::record::{Item, RecordId};
use serde_json::Value;

use crate::journal::{EpochMs, Journal, LogBatch};
use crate::report::Report;
use crate::store::{Body, ObjectError, Objects, Store, StoreError};

/// A folder of its own for one test, removed at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// A new, empty folder; `name` is the test's.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipewright-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Every file below, relative to the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &self.0, &mut found);
        found.sort();
        found
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a fake service answers from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    #[default]
    Works,
    /// Refuses this many calls, then works.
    FailsTimes(u32),
    Fails,
    Hangs,
}

/// Takes one call: whether it works, or never returns.
async fn take_call(behaviour: &Mutex<Behaviour>) -> bool {
    let now = {
        let mut behaviour = behaviour.lock().unwrap();
        let now = *behaviour;
        if let Behaviour::FailsTimes(times) = now {
            *behaviour = match times {
                0 | 1 => Behaviour::Works,
                more => Behaviour::FailsTimes(more - 1),
            };
        }
        now
    };
    match now {
        Behaviour::Works => true,
        Behaviour::FailsTimes(_) | Behaviour::Fails => false,
        Behaviour::Hangs => std::future::pending().await,
    }
}

/// DynamoDB in memory: the items of one execution and the catalogue.
#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    pub(crate) items: Mutex<BTreeMap<String, Item>>,
    pub(crate) catalogue: Vec<Item>,
    pub(crate) reads: Mutex<Behaviour>,
    pub(crate) reports: Mutex<Behaviour>,
    pub(crate) logs: Mutex<Behaviour>,
    pub(crate) importance_writes: Mutex<Behaviour>,
    /// The items of feature importances that were written.
    pub(crate) importances: Mutex<Vec<Item>>,
    /// Stages in the order in which they reached the record.
    pub(crate) stages: Mutex<Vec<String>>,
    /// The item `record` from this read on (counted from 1) instead.
    pub(crate) later_record: Mutex<Option<(u32, Item)>>,
    pub(crate) read_count: Mutex<u32>,
}

fn refused(operation: &'static str) -> StoreError {
    StoreError::Service {
        table: "executions".to_owned(),
        operation,
        cause: "ThrottlingException: slow down".to_owned(),
    }
}

impl FakeStore {
    pub(crate) fn with_record(record: Item) -> Self {
        let store = Self::default();
        store
            .items
            .lock()
            .unwrap()
            .insert("record".to_owned(), record);
        store
    }

    /// The report in the record, as JSON; null where there is none.
    pub(crate) fn report(&self) -> Value {
        self.items.lock().unwrap()["record"]
            .get("processingStepReport")
            .map_or(Value::Null, |report| report.clone())
    }

    /// The texts of the log lines that reached the record.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let items = self.items.lock().unwrap();
        items
            .iter()
            .filter(|(entry, _)| entry.starts_with("log#"))
            .flat_map(|(_, item)| item["lines"].as_array().unwrap())
            .map(|line| {
                let line = line.as_object().unwrap();
                line["msg"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

impl Store for FakeStore {
    async fn record(&self, _: &RecordId) -> Result<Option<Item>, StoreError> {
        if !take_call(&self.reads).await {
            return Err(refused("GetItem"));
        }
        let mut count = self.read_count.lock().unwrap();
        *count += 1;
        if let Some((from, item)) = &*self.later_record.lock().unwrap()
            && *count >= *from
        {
            return Ok(Some(item.clone()));
        }
        Ok(self.items.lock().unwrap().get("record").cloned())
    }

    async fn catalogue(&self) -> Result<Vec<Item>, StoreError> {
        if !take_call(&self.reads).await {
            return Err(refused("Scan"));
        }
        Ok(self.catalogue.clone())
    }

    async fn write_report(&self, id: &RecordId, report: &Report) -> Result<(), StoreError> {
        if !take_call(&self.reports).await {
            return Err(refused("UpdateItem"));
        }
        let mut items = self.items.lock().unwrap();
        let record = items.get_mut("record").ok_or_else(|| StoreError::Gone {
            table: "executions".to_owned(),
            id: id.to_string(),
        })?;
        let stored = record
            .get("processingStepReport")
            .and_then(|report| report.as_object())
            .and_then(|report| report["at"].as_i64());
        if stored.is_some_and(|at| at > report.at) {
            return Err(StoreError::Superseded {
                table: "executions".to_owned(),
                id: id.to_string(),
            });
        }
        record.insert("processingStepReport".to_owned(), report.row().attribute());
        self.stages.lock().unwrap().push(report.stage.clone());
        Ok(())
    }

    async fn write_importance(&self, item: &Item) -> Result<(), StoreError> {
        if !take_call(&self.importance_writes).await {
            return Err(refused("PutItem"));
        }
        self.importances.lock().unwrap().push(item.clone());
        Ok(())
    }

    async fn write_log(&self, id: &RecordId, batch: &LogBatch) -> Result<(), StoreError> {
        if !take_call(&self.logs).await {
            return Err(refused("UpdateItem"));
        }
        let item = batch.row(id).item();
        self.items.lock().unwrap().insert(batch.entry.clone(), item);
        Ok(())
    }
}

/// The step owns its store; a test keeps it and lends it.
impl Store for &FakeStore {
    async fn record(&self, id: &RecordId) -> Result<Option<Item>, StoreError> {
        (**self).record(id).await
    }

    async fn catalogue(&self) -> Result<Vec<Item>, StoreError> {
        (**self).catalogue().await
    }

    async fn write_report(&self, id: &RecordId, report: &Report) -> Result<(), StoreError> {
        (**self).write_report(id, report).await
    }

    async fn write_importance(&self, item: &Item) -> Result<(), StoreError> {
        (**self).write_importance(item).await
    }

    async fn write_log(&self, id: &RecordId, batch: &LogBatch) -> Result<(), StoreError> {
        (**self).write_log(id, batch).await
    }
}

/// The models bucket in memory.
#[derive(Debug, Default)]
pub(crate) struct FakeObjects {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// How keys with this ending are answered.
    pub(crate) puts: Mutex<Behaviour>,
    pub(crate) only_for: &'static str,
}

impl FakeObjects {
    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn text(&self, key: &str) -> String {
        String::from_utf8(self.objects.lock().unwrap()[key].clone()).unwrap()
    }
}

impl Objects for FakeObjects {
    async fn put(&self, key: &str, body: Body<'_>) -> Result<(), ObjectError> {
        if key.ends_with(self.only_for) && !take_call(&self.puts).await {
            return Err(ObjectError {
                uri: self.uri(key),
                cause: "AccessDenied: not allowed".to_owned(),
            });
        }
        let bytes = match body {
            Body::File(path) => fs::read(path).unwrap(),
            Body::Text(text) => text.as_bytes().to_vec(),
        };
        self.objects.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(())
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://models/{key}")
    }
}

impl Objects for &FakeObjects {
    async fn put(&self, key: &str, body: Body<'_>) -> Result<(), ObjectError> {
        (**self).put(key, body).await
    }

    fn uri(&self, key: &str) -> String {
        (**self).uri(key)
    }
}

/// A journal that prints nowhere and whose clock follows tokio's (which tests
/// pause), starting at `START`.
pub(crate) fn journal() -> Journal {
    let began = tokio::time::Instant::now();
    Journal::new(
        Arc::new(move || START + i64::try_from(began.elapsed().as_millis()).unwrap()),
        Box::new(std::io::sink()),
    )
}

/// When the journals of tests begin.
pub(crate) const START: EpochMs = 1_700_000_000_000;
