//! What the custom resource needs of S3.

use std::future::Future;

/// A bucket, and the account that it must belong to: S3 refuses every call to
/// one that another account has made under this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The account's 12 digits.
    pub owner: String,
}

/// One version of an object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The object's key.
    pub key: String,
    /// The version's id; `null` for objects of a bucket without versions.
    pub version_id: String,
    /// Whether it is the newest version of its object.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
}

impl Version {
    /// Whether it is the object that is read under `key`.
    #[must_use]
    pub fn is_there(&self, key: &str) -> bool {
        self.is_latest && !self.is_marker && self.key == key
    }
}

/// Why a call to S3 failed. Each names the bucket, and the key where there is
/// one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such bucket.
    #[error("bucket {bucket} does not exist: create it first, or correct its name")]
    NoBucket {
        /// The bucket.
        bucket: String,
    },
    /// There is no such object, or not in this version.
    #[error("s3://{bucket}/{key} does not exist{}: upload it first, or correct its name", version_id.as_ref().map(|id| format!(" in version {id}")).unwrap_or_default())]
    NoObject {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The version that was asked for.
        version_id: Option<String>,
    },
    /// The object is larger than it may be.
    #[error("s3://{bucket}/{key} has more than {limit} bytes, the most that a template may have")]
    TooLarge {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The function may not do it, or the bucket is another account's, which
    /// S3 answers alike.
    #[error(
        "S3 refuses {action} on s3://{bucket}/{key} ({code}): give the function's role this right, or name a bucket \
         of account {owner} if this one belongs to another"
    )]
    Denied {
        /// The permission that is lacking, such as `s3:PutObject`.
        action: &'static str,
        /// The bucket.
        bucket: String,
        /// The key, or what keys begin with.
        key: String,
        /// The account that the bucket must belong to.
        owner: String,
        /// S3's code.
        code: String,
    },
    /// What is there under a key is not what the digest in the key says.
    #[error(
        "s3://{bucket}/{key} holds something else than the digest in its name says: somebody replaced it. Find out who \
         did, delete it, and deploy again"
    )]
    Replaced {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Anything else, after the retries.
    #[error("{action} on s3://{bucket}/{key} failed: {cause}")]
    Failed {
        /// What was tried, such as `s3:PutObject`.
        action: &'static str,
        /// The bucket.
        bucket: String,
        /// The key, or what keys begin with.
        key: String,
        /// S3's words, or the connection's.
        cause: String,
    },
}

/// S3, as far as the custom resource needs it.
pub trait Store: Send + Sync + 'static {
    /// The bytes of an object, in the newest or the given version, if there are
    /// at most `limit`.
    fn get(
        &self,
        bucket: &Bucket,
        key: &str,
        version_id: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send;

    /// Writes an object whole, whose key says what it holds. One that is there
    /// already is never written over: with the same bytes it is taken as
    /// written, with others it is an error.
    fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All versions and delete markers of all keys that begin with `prefix`.
    fn versions(
        &self,
        bucket: &Bucket,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<Version>, StoreError>> + Send;

    /// Deletes these versions and markers for good. One that is not there
    /// counts as deleted.
    fn delete(
        &self,
        bucket: &Bucket,
        versions: Vec<Version>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
