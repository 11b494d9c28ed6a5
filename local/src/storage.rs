//! The seam to S3.

use crate::BoxFuture;
use std::fmt;
use std::path::Path;

/// A place in S3: an object, or everything whose key begins with `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: String,
    /// A key or the beginning of one; may be empty.
    pub key: String,
}

impl S3Location {
    /// Reads `s3://bucket/key`.
    ///
    /// # Errors
    /// When it is no such URI.
    pub fn parse(uri: &str) -> Result<Self, NotAnS3Uri> {
        let (bucket, key) = uri
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .filter(|(bucket, _)| !bucket.is_empty())
            .ok_or_else(|| NotAnS3Uri(uri.to_owned()))?;
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The location of something below this one.
    #[must_use]
    pub fn below(&self, relative: &str) -> Self {
        let key = match self.key.trim_end_matches('/') {
            "" => relative.to_owned(),
            prefix => format!("{prefix}/{relative}"),
        };
        Self {
            bucket: self.bucket.clone(),
            key,
        }
    }

    /// The path, relative to where an input is mounted, of an object found under this prefix.
    ///
    /// SageMaker takes every key that begins with the prefix. Below a folder the rest of the
    /// key is the path; of a single object, or of keys that share the beginning of a name,
    /// it is what follows the prefix's last slash. `None` for a folder's own marker.
    pub fn relative_path(&self, key: &str) -> Option<String> {
        let rest = key.strip_prefix(&self.key)?;
        let relative = if self.key.is_empty() || self.key.ends_with('/') {
            rest
        } else if let Some(below) = rest.strip_prefix('/') {
            below
        } else {
            let folder = self.key.rfind('/').map_or(0, |slash| slash + 1);
            &key[folder..]
        };
        (!relative.is_empty() && !relative.ends_with('/')).then(|| relative.to_owned())
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A text is not the URI of a place in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an S3 URI (s3://bucket/key)")]
pub struct NotAnS3Uri(String);

/// Why S3 could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no such object, version or bucket.
    #[error("{0} does not exist")]
    NotFound(String),
    /// Anything else that S3 or the way to it said.
    #[error("{location}: {message}")]
    Failed {
        /// What was to be read or written.
        location: String,
        /// S3's error.
        message: String,
    },
    /// The file on this machine.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        message: String,
    },
}

/// What the stand-in does with S3.
pub trait ObjectStore: Send + Sync {
    /// An object's bytes; the newest version when none is named.
    fn read<'a>(
        &'a self,
        location: &'a S3Location,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, StorageError>>;

    /// The keys that begin with the location's key, in S3's order; at most `most` of them.
    fn list<'a>(
        &'a self,
        location: &'a S3Location,
        most: Option<usize>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>>;

    /// Writes an object to a file, whose folder exists.
    fn download<'a>(
        &'a self,
        location: &'a S3Location,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Writes a file to an object.
    fn upload<'a>(
        &'a self,
        file: &'a Path,
        location: &'a S3Location,
    ) -> BoxFuture<'a, Result<(), StorageError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(uri: &str) -> S3Location {
        S3Location::parse(uri).unwrap()
    }

    #[test]
    fn a_uri_is_a_bucket_and_a_key() {
        assert_eq!(at("s3://b/a/c").key, "a/c");
        assert_eq!(at("s3://b").key, "");
        assert_eq!(at("s3://b/a/").below("x/y").to_string(), "s3://b/a/x/y");
        assert_eq!(at("s3://b").below("x").to_string(), "s3://b/x");
        for wrong in ["", "b/a", "s3://", "s3:///a", "http://b/a"] {
            assert!(S3Location::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_object_lands_where_its_key_says_below_the_prefix() {
        let relative = |uri: &str, key: &str| at(uri).relative_path(key);
        assert_eq!(relative("s3://b/assets/", "assets/a.csv").unwrap(), "a.csv");
        assert_eq!(
            relative("s3://b/assets", "assets/x/a.csv").unwrap(),
            "x/a.csv"
        );
        assert_eq!(
            relative("s3://b/code/run.sh", "code/run.sh").unwrap(),
            "run.sh"
        );
        assert_eq!(relative("s3://b/in/part-", "in/part-1").unwrap(), "part-1");
        assert_eq!(relative("s3://b", "a/b").unwrap(), "a/b");
        assert_eq!(relative("s3://b/assets/", "assets/"), None);
        assert_eq!(relative("s3://b/assets", "assets/folder/"), None);
    }
}
