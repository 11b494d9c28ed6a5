//! The S3 client.

use aws_config::SdkConfig;
pub use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials, SharedCredentialsProvider};
use aws_sdk_s3::error::ProvideErrorMetadata;

/// The endpoint override for S3 alone; the SDK prefers it to `AWS_ENDPOINT_URL`.
const S3_ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";

/// An S3 client made from `config`.
///
/// With an endpoint override (`AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_S3`)
/// buckets are addressed by path, since `bucket.127.0.0.1` resolves nowhere;
/// against AWS itself by host name.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    let overridden = config.endpoint_url().is_some()
        || std::env::var_os(S3_ENDPOINT).is_some_and(|url| !url.is_empty());
    Client::from_conf(Builder::from(config).force_path_style(overridden).build())
}

/// The same client for another caller: with this access key, secret and session token.
#[must_use]
pub fn client_with_key(
    config: &SdkConfig,
    id: &str,
    secret: &str,
    token: Option<String>,
) -> Client {
    let key = Credentials::new(id, secret, token, None, "given");
    let config = config
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(key));
    client(&config.build())
}

/// An object can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// S3 or the client refused.
    #[error("{operation} of s3://{bucket}/{key}: {message}")]
    Call {
        /// The API operation.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The service's error code, where it gave one.
        code: Option<String>,
        /// What was said.
        message: String,
    },
    /// It is larger than anything that is expected there.
    #[error("s3://{bucket}/{key} has more than {most} bytes")]
    TooLarge {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The most that is read.
        most: usize,
    },
}

impl ObjectError {
    fn call<E>(operation: &'static str, bucket: &str, key: &str, error: &E) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata,
    {
        Self::Call {
            operation,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            code: error.code().map(str::to_owned),
            message: crate::service_cause(error),
        }
    }

    /// Whether the bucket has no such object.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Call { code: Some(code), .. } if code == "NoSuchKey")
    }
}

/// The bytes of an object, in a bucket of the account `owner`.
///
/// # Errors
/// [`ObjectError`]: there is none, it may not be read, the bucket is another account's, or
/// it has more than `most` bytes.
pub async fn read(
    client: &Client,
    owner: &str,
    bucket: &str,
    key: &str,
    most: usize,
) -> Result<Vec<u8>, ObjectError> {
    let mut object = client
        .get_object()
        .bucket(bucket)
        .expected_bucket_owner(owner)
        .key(key)
        .send()
        .await
        .map_err(|error| ObjectError::call("GetObject", bucket, key, &error))?;
    let mut bytes = Vec::new();
    while let Some(chunk) = object.body.next().await {
        let chunk = chunk.map_err(|error| ObjectError::Call {
            operation: "GetObject",
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            code: None,
            message: crate::error_chain(&error),
        })?;
        if bytes.len() + chunk.len() > most {
            return Err(ObjectError::TooLarge {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                most,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Writes an object, in a bucket of the account `owner`.
///
/// # Errors
/// [`ObjectError`]: it may not be written, or the bucket is another account's.
pub async fn write(
    client: &Client,
    owner: &str,
    bucket: &str,
    key: &str,
    bytes: Vec<u8>,
    content_type: &str,
) -> Result<(), ObjectError> {
    let sent = client
        .put_object()
        .bucket(bucket)
        .expected_bucket_owner(owner)
        .key(key)
        .content_type(content_type)
        .body(bytes.into())
        .send()
        .await;
    sent.map(drop)
        .map_err(|error| ObjectError::call("PutObject", bucket, key, &error))
}

/// Deletes an object, in a bucket of the account `owner`; there being none is not a failure.
///
/// # Errors
/// [`ObjectError`]: it may not be deleted, or the bucket is another account's.
pub async fn delete(
    client: &Client,
    owner: &str,
    bucket: &str,
    key: &str,
) -> Result<(), ObjectError> {
    let sent = client
        .delete_object()
        .bucket(bucket)
        .expected_bucket_owner(owner)
        .key(key)
        .send()
        .await;
    sent.map(drop)
        .map_err(|error| ObjectError::call("DeleteObject", bucket, key, &error))
}
