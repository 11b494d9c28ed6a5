//! CloudWatch: how often an endpoint was invoked.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, StatusCode};

/// The namespace of endpoints' metrics.
const NAMESPACE: &str = "AWS/SageMaker";

/// The length of a data point, seconds: CloudWatch keeps those of an hour for
/// 15 months.
const PERIOD: i32 = 3600;

/// A CloudWatch client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// CloudWatch did not say how often an endpoint was invoked.
#[derive(Debug, thiserror::Error)]
#[error("GetMetricData for endpoint {endpoint}: {message}")]
pub struct MetricsError {
    /// The endpoint's name.
    pub endpoint: String,
    /// What the service or the client said.
    pub message: String,
}

/// The metrics of endpoints.
#[derive(Debug, Clone)]
pub struct Metrics {
    client: Client,
}

impl Metrics {
    /// The metrics behind this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// How often all of an endpoint's variants together were invoked from
    /// `since` to `until` (epoch milliseconds). Counted in whole hours, begun
    /// ones included. A variant without data was not invoked.
    ///
    /// # Errors
    /// [`MetricsError`] if CloudWatch did not answer, or not wholly.
    pub async fn invocations(
        &self,
        endpoint: &str,
        variants: &[String],
        since: i64,
        until: i64,
    ) -> Result<f64, MetricsError> {
        let hours = self.hours(endpoint, variants, since, until).await?;
        Ok(hours.iter().map(|(_, invocations)| invocations).sum())
    }

    /// The beginning of the last hour from `since` to `until` in which one of an
    /// endpoint's variants was invoked (all in epoch milliseconds); `None` if none
    /// was.
    ///
    /// # Errors
    /// As [`Metrics::invocations`].
    pub async fn last_invoked(
        &self,
        endpoint: &str,
        variants: &[String],
        since: i64,
        until: i64,
    ) -> Result<Option<i64>, MetricsError> {
        let hours = self.hours(endpoint, variants, since, until).await?;
        let used = hours.iter().filter(|(_, invocations)| *invocations > 0.0);
        Ok(used.map(|(hour, _)| *hour).max())
    }

    /// The hours for which there is data, by their beginning (epoch milliseconds),
    /// with the invocations of one variant each.
    async fn hours(
        &self,
        endpoint: &str,
        variants: &[String],
        since: i64,
        until: i64,
    ) -> Result<Vec<(i64, f64)>, MetricsError> {
        let failed = |message: String| MetricsError {
            endpoint: endpoint.to_owned(),
            message,
        };
        let hour = i64::from(PERIOD);
        let since = since.div_euclid(1000);
        let start = DateTime::from_secs(since - since.rem_euclid(hour));
        let end = DateTime::from_millis(until);
        let queries: Vec<MetricDataQuery> = variants
            .iter()
            .enumerate()
            .map(|(place, variant)| query(place, endpoint, variant))
            .collect();
        let mut hours = Vec::new();
        // The status of each variant's latest part.
        let mut answered = BTreeMap::new();
        let mut token = None;
        loop {
            let answer = self
                .client
                .get_metric_data()
                .set_metric_data_queries(Some(queries.clone()))
                .start_time(start)
                .end_time(end)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| failed(crate::service_cause(&error)))?;
            for result in answer.metric_data_results() {
                let begin = |moment: &DateTime| moment.secs().saturating_mul(1000);
                let moments = result.timestamps().iter().map(begin);
                hours.extend(moments.zip(result.values().iter().copied()));
                let status = result.status_code().cloned();
                answered.insert(result.id().map(str::to_owned), status);
            }
            token = answer
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        // Partial data is completed by the next page. What never was complete, or
        // has no result at all, is not known.
        let complete = answered
            .values()
            .filter(|status| matches!(status, Some(StatusCode::Complete)))
            .count();
        if complete < queries.len() {
            return Err(failed(format!(
                "only {complete} of {} variants were answered completely",
                queries.len()
            )));
        }
        Ok(hours)
    }
}

fn query(place: usize, endpoint: &str, variant: &str) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace(NAMESPACE)
        .metric_name("Invocations")
        .dimensions(dimension("EndpointName", endpoint))
        .dimensions(dimension("VariantName", variant))
        .build();
    MetricDataQuery::builder()
        .id(format!("v{place}"))
        .metric_stat(
            MetricStat::builder()
                .metric(metric)
                .period(PERIOD)
                .stat("Sum")
                .build(),
        )
        .build()
}
