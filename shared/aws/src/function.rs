//! The shell of the Lambda functions: their configuration, from environment variables alone, the
//! loop that serves invocations, and how they fail and count. Variables and the clock are in
//! [`process`](crate::process).

use std::fmt;
use std::sync::Arc;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_async::rt::sleep::default_async_sleep;
use aws_types::sdk_config::{SharedCredentialsProvider, SharedTimeSource};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metrics::Metrics;
use crate::{http_client, timeouts};

/// Why a function ended that is to serve for ever.
#[derive(Debug, thiserror::Error)]
#[error("the Lambda runtime's interface cannot be used: {0}")]
pub struct RuntimeError(lambda_runtime::Error);

/// Serves a function until its process ends: each invocation is a call of `handle`, one after
/// the other, with what the function has made before the first one.
///
/// # Errors
/// When the interface of the Lambda runtime cannot be used.
pub async fn serve<S, E, A, F>(
    state: S,
    handle: impl Fn(Arc<S>, LambdaEvent<E>) -> F,
) -> Result<(), RuntimeError>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Future<Output = Result<A, Diagnostic>>,
{
    let state = Arc::new(state);
    let service = service_fn(|event| handle(Arc::clone(&state), event));
    lambda_runtime::run(service).await.map_err(RuntimeError)
}

/// A failed invocation: the name by which callers tell failures apart, and what went wrong.
pub fn failure(kind: &str, error: &impl fmt::Display) -> Diagnostic {
    Diagnostic {
        error_type: kind.to_owned(),
        error_message: error.to_string(),
    }
}

/// Writes metrics. That they could not be written is logged, and fails no invocation.
pub fn tell(metrics: &Metrics) {
    if let Err(error) = metrics.emit() {
        tracing::error!(%error, "metrics could not be written");
    }
}

/// The configuration that a Lambda function makes its clients from: the HTTP
/// client, retries and time limits of [`config`](crate::config), and everything
/// else from variables that Lambda sets. No profile, metadata service or role
/// to assume is looked for: their code is a tenth of a function, and their
/// search time of its cold start.
///
/// Read now are `AWS_REGION` (or `AWS_DEFAULT_REGION`), `AWS_USE_FIPS_ENDPOINT`
/// and `AWS_USE_DUALSTACK_ENDPOINT`; by each client as it is made,
/// `AWS_ENDPOINT_URL` and, for one service, `AWS_ENDPOINT_URL_S3` and so on; at
/// the first call, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
/// `AWS_SESSION_TOKEN`. Without keys that call fails and names the variable.
#[must_use]
pub fn config() -> SdkConfig {
    configured(Variables(|name| std::env::var(name).ok()))
}

/// Where variables come from; the process's environment but in tests.
#[derive(Debug, Clone, Copy)]
struct Variables(fn(&str) -> Option<String>);

impl Variables {
    /// A variable that is set and not empty.
    fn get(self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn is_on(self, name: &str) -> Option<bool> {
        self.get(name)
            .map(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl LoadServiceConfig for Variables {
    /// A service's own setting, which `AWS_ENDPOINT_URL_API_GATEWAY` is of `API
    /// Gateway`, before the one for all services.
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().replace(' ', "_").to_uppercase();
        self.get(&format!("{}_{service}", key.env()))
            .or_else(|| self.get(key.env()))
    }
}

fn configured(variables: Variables) -> SdkConfig {
    let region = variables
        .get("AWS_REGION")
        .or_else(|| variables.get("AWS_DEFAULT_REGION"));
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts())
        .time_source(SharedTimeSource::default())
        .service_config(variables);
    builder
        .set_sleep_impl(default_async_sleep())
        .set_use_fips(variables.is_on("AWS_USE_FIPS_ENDPOINT"))
        .set_use_dual_stack(variables.is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(variables: Variables, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .unwrap();
        configured(variables)
            .service_config()
            .unwrap()
            .load_config(key)
    }

    #[test]
    fn a_services_own_endpoint_goes_before_that_of_all() {
        let variables = Variables(|name| match name {
            "AWS_ENDPOINT_URL" => Some("http://all".to_owned()),
            "AWS_ENDPOINT_URL_S3" => Some("http://s3".to_owned()),
            "AWS_ENDPOINT_URL_API_GATEWAY" => Some("http://gateway".to_owned()),
            "AWS_ENDPOINT_URL_SQS" => Some(String::new()),
            _ => None,
        });
        for (service, endpoint) in [
            ("S3", "http://s3"),
            ("API Gateway", "http://gateway"),
            ("DynamoDB", "http://all"),
            ("SQS", "http://all"),
        ] {
            assert_eq!(loaded(variables, service).as_deref(), Some(endpoint));
        }
        assert_eq!(loaded(Variables(|_| None), "S3"), None);
    }

    #[test]
    fn region_and_kind_of_endpoint_come_from_variables() {
        let config = configured(Variables(|name| match name {
            "AWS_DEFAULT_REGION" => Some("us-gov-west-1".to_owned()),
            "AWS_USE_FIPS_ENDPOINT" => Some("TRUE".to_owned()),
            "AWS_USE_DUALSTACK_ENDPOINT" => Some("false".to_owned()),
            _ => None,
        }));
        assert_eq!(config.region(), Some(&Region::new("us-gov-west-1")));
        assert_eq!(config.use_fips(), Some(true));
        assert_eq!(config.use_dual_stack(), Some(false));

        let config = configured(Variables(|name| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_DEFAULT_REGION" => Some("us-east-1".to_owned()),
            _ => None,
        }));
        assert_eq!(config.region(), Some(&Region::new("eu-west-1")));
        assert_eq!(config.use_fips(), None);
    }
}
