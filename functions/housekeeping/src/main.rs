//! Scheduled: mends records whose events went missing, and deletes endpoints
//! that nobody uses.

use std::sync::Arc;

use anyhow::bail;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use pipewright_aws::cloudwatch::{self, Metrics};
use pipewright_aws::dynamodb::Executions;
use pipewright_aws::dynamodb::endpoints::Endpoints;
use pipewright_aws::process::{list_variable, number_variable, variable};
use pipewright_aws::sagemaker::SageMaker;
use pipewright_aws::{dynamodb, function, logging, process, sagemaker};
use serde::Deserialize;
use serde_json::Value;

mod elsewhere;
mod endpoints;
mod executions;
mod handler;
mod plan;
mod ports;
mod report;
#[cfg(test)]
mod tests;

use handler::Housekeeper;
use plan::{Request, Settings};
use ports::Clock;
use report::Report;

/// How many executions a run looks at: some five calls each, within the
/// function's time.
const EXECUTIONS_PER_RUN: usize = 200;

/// How old a change must be before its event counts as missing, milliseconds.
const GRACE: i64 = 5 * 60 * 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    logging::init(logging::Libraries::AsConfigured)?;
    let settings = settings()?;
    let config = function::config();
    let tables = dynamodb::client(&config);
    let keeper = Arc::new(Housekeeper {
        records: Executions::new(tables.clone(), variable("EXECUTIONS_TABLE")?),
        registry: Endpoints::new(tables, variable("ENDPOINTS_TABLE")?),
        service: SageMaker::new(sagemaker::client(&config)),
        usage: Metrics::new(cloudwatch::client(&config)),
        clock: SystemClock,
    });
    let settings = Arc::new(settings);
    let service = service_fn(move |event: LambdaEvent<Value>| {
        let (keeper, settings) = (Arc::clone(&keeper), Arc::clone(&settings));
        async move {
            let request = Request::deserialize(&event.payload)
                .map_err(|error| diagnostic("InvalidRequest", &error.to_string()))?;
            let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
            let asked = settings
                .asked(&request)
                .map_err(|error| diagnostic("InvalidRequest", &error.to_string()))?;
            let report = keeper.run(&asked, deadline).await;
            answer(&report, &settings.prefix)
        }
    });
    lambda_runtime::run(service)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// Logs what was done, tells the metrics, and makes the run an error if
/// anything failed.
fn answer(report: &Report, prefix: &str) -> Result<Value, Diagnostic> {
    let json = serde_json::to_value(report)
        .map_err(|error| diagnostic("UnwritableReport", &error.to_string()))?;
    tracing::info!(report = %json, "housekeeping done");
    if let Err(error) = report.metrics(prefix, SystemClock.now()).emit() {
        tracing::error!(%error, "metrics could not be written");
    }
    match report.error() {
        None => Ok(json),
        Some(error) => Err(diagnostic("HousekeepingFailed", &error)),
    }
}

fn diagnostic(error_type: &str, error_message: &str) -> Diagnostic {
    Diagnostic {
        error_type: error_type.to_owned(),
        error_message: error_message.to_owned(),
    }
}

fn settings() -> anyhow::Result<Settings> {
    let hours: i64 = number_variable("IDLE_ENDPOINT_HOURS")?;
    let delete_endpoints = match variable("IDLE_ENDPOINT_ACTION")?.as_str() {
        "Delete" => true,
        "Report" => false,
        other => bail!("IDLE_ENDPOINT_ACTION is {other:?}; it must be Delete or Report"),
    };
    Ok(Settings {
        prefix: variable("PREFIX")?,
        shipped_pipeline: variable("PIPELINE_NAME")?,
        pipelines: list_variable("PIPELINE_NAMES"),
        idle_after: hours * 60 * 60 * 1000,
        dry_run: false,
        delete_endpoints,
        endpoints_per_run: number_variable("IDLE_ENDPOINTS_PER_RUN")?,
        executions_per_run: EXECUTIONS_PER_RUN,
        grace: GRACE,
    })
}

#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        process::now()
    }
}
