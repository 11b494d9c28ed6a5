//! The S3 client.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;

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
