//! [`Store`] over the S3 SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use pipewright_aws::error_chain;

use crate::store::{Bucket, Store, StoreError, Version};

/// S3's limit on the objects of one DeleteObjects call.
const DELETE_BATCH: usize = 1_000;

/// How often a write is tried while another one to the same key is under way.
const WRITES_AT_ONCE: usize = 5;

/// S3 itself.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
}

impl S3Store {
    /// S3 by way of `client`, whose retries and time limits apply.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Store for S3Store {
    async fn get(
        &self,
        bucket: &Bucket,
        key: &str,
        version_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let call = Call {
            action: "s3:GetObject",
            bucket,
            key,
        };
        let object = self
            .client
            .get_object()
            .bucket(&bucket.name)
            .expected_bucket_owner(&bucket.owner)
            .key(key)
            .set_version_id(version_id.map(str::to_owned))
            .send()
            .await
            .map_err(|error| match call.error(&error) {
                StoreError::NoObject { bucket, key, .. } => StoreError::NoObject {
                    bucket,
                    key,
                    version_id: version_id.map(str::to_owned),
                },
                error => error,
            })?;
        let too_large = || StoreError::TooLarge {
            bucket: bucket.name.clone(),
            key: key.to_owned(),
            limit,
        };
        // The length is told first, but it is the body that counts.
        let told = object.content_length().unwrap_or_default();
        if usize::try_from(told).is_ok_and(|told| told > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let mut body = object.body;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| call.failed(error_chain(&error)))?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    async fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        let call = Call {
            action: "s3:PutObject",
            bucket,
            key,
        };
        // The bucket's policy takes no other writes: what is there stays.
        for _ in 0..WRITES_AT_ONCE {
            let sent = self
                .client
                .put_object()
                .bucket(&bucket.name)
                .expected_bucket_owner(&bucket.owner)
                .key(key)
                .content_type(content_type)
                .if_none_match("*")
                .body(ByteStream::from(bytes.clone()))
                .send()
                .await;
            match sent.as_ref().err().and_then(ProvideErrorMetadata::code) {
                Some("PreconditionFailed") => break,
                Some("ConditionalRequestConflict") => {}
                _ => return sent.map(drop).map_err(|error| call.error(&error)),
            }
        }
        match self.get(bucket, key, None, bytes.len()).await {
            Ok(found) if found == bytes => Ok(()),
            Ok(_) | Err(StoreError::TooLarge { .. }) => Err(StoreError::Replaced {
                bucket: bucket.name.clone(),
                key: key.to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    async fn versions(&self, bucket: &Bucket, prefix: &str) -> Result<Vec<Version>, StoreError> {
        let call = Call {
            action: "s3:ListBucketVersions",
            bucket,
            key: prefix,
        };
        let mut found = Vec::new();
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let page = self
                .client
                .list_object_versions()
                .bucket(&bucket.name)
                .expected_bucket_owner(&bucket.owner)
                .prefix(prefix)
                .set_key_marker(key_marker.take())
                .set_version_id_marker(version_marker.take())
                .send()
                .await
                .map_err(|error| call.error(&error))?;
            let objects = page
                .versions()
                .iter()
                .map(|object| (object.key(), object.version_id(), object.is_latest(), false));
            let markers = page
                .delete_markers()
                .iter()
                .map(|marker| (marker.key(), marker.version_id(), marker.is_latest(), true));
            for (key, version_id, is_latest, is_marker) in objects.chain(markers) {
                found.push(Version {
                    key: key.unwrap_or_default().to_owned(),
                    version_id: version_id.unwrap_or("null").to_owned(),
                    is_latest: is_latest.unwrap_or_default(),
                    is_marker,
                });
            }
            if !page.is_truncated().unwrap_or_default() {
                return Ok(found);
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            version_marker = page.next_version_id_marker().map(str::to_owned);
            if key_marker.is_none() {
                return Err(call.failed("S3 says that there is more, but not where"));
            }
        }
    }

    async fn delete(&self, bucket: &Bucket, versions: Vec<Version>) -> Result<(), StoreError> {
        for batch in versions.chunks(DELETE_BATCH) {
            let call = Call {
                action: "s3:DeleteObjectVersion",
                bucket,
                key: batch.first().map_or("", |version| &version.key),
            };
            let objects = batch
                .iter()
                .map(|version| {
                    ObjectIdentifier::builder()
                        .key(&version.key)
                        .version_id(&version.version_id)
                        .build()
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| call.failed(error))?;
            let delete = Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
                .map_err(|error| call.failed(error))?;
            let answer = self
                .client
                .delete_objects()
                .bucket(&bucket.name)
                .expected_bucket_owner(&bucket.owner)
                .delete(delete)
                .send()
                .await
                .map_err(|error| call.error(&error))?;
            if let Some(error) = answer.errors().first() {
                let call = Call {
                    key: error.key().unwrap_or(call.key),
                    ..call
                };
                return Err(call.coded(
                    error.code().unwrap_or_default(),
                    error.message().unwrap_or_default(),
                ));
            }
        }
        Ok(())
    }
}

/// What was asked of S3, for the messages of its failure.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    action: &'static str,
    bucket: &'a Bucket,
    key: &'a str,
}

impl Call<'_> {
    fn error<E>(self, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error.code() {
            Some(code) => self.coded(code, error.message().unwrap_or_default()),
            // No answer, or none of S3's: a status may still tell.
            None => {
                let status = error.raw_response().map(|answer| answer.status().as_u16());
                match status {
                    Some(403) => self.coded("403", ""),
                    _ => self.failed(error_chain(error)),
                }
            }
        }
    }

    fn coded(self, code: &str, message: &str) -> StoreError {
        let (bucket, key) = (self.bucket.name.clone(), self.key.to_owned());
        match code {
            "NoSuchBucket" => StoreError::NoBucket { bucket },
            // 405: the version asked for is a delete marker.
            "NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed" => StoreError::NoObject {
                bucket,
                key,
                version_id: None,
            },
            "AccessDenied" | "403" | "AllAccessDisabled" => StoreError::Denied {
                action: self.action,
                bucket,
                key,
                owner: self.bucket.owner.clone(),
                code: code.to_owned(),
            },
            _ => self.failed(format!("{code}: {message}")),
        }
    }

    fn failed(self, cause: impl std::fmt::Display) -> StoreError {
        StoreError::Failed {
            action: self.action,
            bucket: self.bucket.name.clone(),
            key: self.key.to_owned(),
            cause: cause.to_string(),
        }
    }
}
