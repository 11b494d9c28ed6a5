//! The rim: what every program of Pipewright needs to talk to AWS.
//!
//! One [`config`] reads region, credentials and endpoint overrides from the
//! environment and puts one HTTP client (hyper, rustls on ring) under every
//! SDK client made from it; [`function::config`] is its lean sibling for what
//! Lambda runs. The clients themselves live behind cargo features,
//! so that a function compiles no service that it does not call.
//!
//! Environment read by the SDK's default chains: `AWS_REGION`,
//! `AWS_ACCESS_KEY_ID` and its companions (or a profile, a container's or an
//! instance's role), `AWS_ENDPOINT_URL` and, for one service,
//! `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_DYNAMODB` and so on. An endpoint
//! override may be plain `http`.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

pub use aws_config::SdkConfig;

pub mod access;
#[cfg(feature = "cloudwatch")]
pub mod cloudwatch;
#[cfg(feature = "custom-resource")]
pub mod custom_resource;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "ecr")]
pub mod ecr;
#[cfg(feature = "eventbridge")]
pub mod eventbridge;
#[cfg(feature = "function")]
pub mod function;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod logging;
pub mod metrics;
pub mod process;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sagemaker")]
pub mod sagemaker;
#[cfg(feature = "sagemaker-runtime")]
pub mod sagemaker_runtime;
#[cfg(feature = "sqs")]
pub mod sqs;
#[cfg(feature = "sts")]
pub mod sts;

/// How long a TCP and TLS connection may take before the attempt is given up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a service may take to begin its answer, counted from the start of
/// an attempt and so including the upload of its body.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The configuration that every SDK client is made from: region, credentials
/// and endpoints from the environment, [`http_client`] underneath, standard
/// retries (three attempts with jittered backoff), and time limits on each
/// attempt ([`CONNECT_TIMEOUT`], [`READ_TIMEOUT`]).
///
/// A program with a deadline narrows the limits:
/// `config.into_builder().timeout_config(...).build()`.
pub async fn config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts())
        .load()
        .await
}

/// The time limits on each attempt of a call.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
}

/// A new pool of connections for SDK clients: https with rustls on ring and
/// the system's certificates, and plain http for endpoint overrides.
/// [`config`] makes one for the whole process.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The same HTTP stack for a request that no SDK client makes, such as the
/// reply to CloudFormation: no signing, no retries, no redirects, and time
/// limits on connecting and on waiting for the answer's first byte.
///
/// Making one reads the system's certificates the first time in a process, so
/// make it when it is needed and keep it.
#[must_use]
pub fn http_connector(connect_timeout: Duration, read_timeout: Duration) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(connect_timeout)
        .read_timeout(read_timeout)
        .build();
    let mut builder = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .connector_settings(settings);
    builder.set_sleep_impl(aws_smithy_async::rt::sleep::default_async_sleep());
    SharedHttpConnector::new(builder.build())
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What it lists.
    pub rows: Vec<T>,
    /// What to ask for the next page with; `None` (or empty) after the last.
    pub next: Option<String>,
}

/// A listing whose page leads to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listing's page names itself as the next one")]
pub struct EndlessListing;

/// All rows of a listing; `page` gives the page that a token names.
///
/// # Errors
/// The first error of `page`, or [`EndlessListing`].
pub async fn all<T, E: From<EndlessListing>>(
    mut page: impl AsyncFnMut(Option<String>) -> Result<Page<T>, E>,
) -> Result<Vec<T>, E> {
    let mut rows = Vec::new();
    let mut from = None;
    loop {
        let answer = page(from.clone()).await?;
        rows.extend(answer.rows);
        let next = answer.next.filter(|token| !token.is_empty());
        if next.is_some() && next == from {
            return Err(EndlessListing.into());
        }
        match next {
            Some(token) => from = Some(token),
            None => return Ok(rows),
        }
    }
}

/// What a service said, in short, `ResourceNotFoundException: Requested resource not found`; or else
/// what went wrong on the way, with its causes.
#[must_use]
pub fn service_cause<E: ProvideErrorMetadata + std::error::Error>(error: &E) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ if is_refused(error) => CONNECTION_REFUSED.to_owned(),
        _ => error_chain(error),
    }
}

/// What [`service_cause`] says where nothing listens at a service's address.
pub const CONNECTION_REFUSED: &str = "connection refused: nothing listens at the service's address";

fn is_refused(error: &dyn std::error::Error) -> bool {
    std::iter::successors(error.source(), |cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// An error and what caused it, each after a colon: `Display` of an SDK's error
/// alone says no more than "service error" or "dispatch failure".
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
