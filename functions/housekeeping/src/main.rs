//! Scheduled: mends records whose events went missing, and deletes endpoints
//! that are not used.

use anyhow::bail;
use lambda_runtime::{Diagnostic, LambdaEvent};
use pipewright::record::rows::LastRun;
use pipewright_aws::cloudwatch::{self, Metrics};
use pipewright_aws::dynamodb::endpoints::Endpoints;
use pipewright_aws::dynamodb::{Executions, Records};
use pipewright_aws::function::failure;
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
use plan::{Request, RunSettings};
use ports::Clock;
use report::RunReport;

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
    let keeper = Housekeeper {
        records: Executions::new(tables.clone(), variable("EXECUTIONS_TABLE")?),
        registry: Endpoints::new(tables, variable("ENDPOINTS_TABLE")?),
        service: SageMaker::new(sagemaker::client(&config)),
        usage: Metrics::new(cloudwatch::client(&config)),
        clock: SystemClock,
    };
    let state = (keeper, settings);
    let serving = function::serve(state, async |state, event: LambdaEvent<Value>| {
        let (keeper, settings) = &*state;
        let request = Request::deserialize(&event.payload)
            .map_err(|error| failure("InvalidRequest", &error))?;
        let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        let asked = settings
            .asked(&request)
            .map_err(|error| failure("InvalidRequest", &error))?;
        let mut report = keeper.run(&asked, deadline).await;
        if let Err(error) = keep(&keeper.records, &report).await {
            report
                .failures
                .push(format!("the report of this run: {error}"));
        }
        answer(&report, &settings.prefix)
    });
    Ok(serving.await?)
}

/// Keeps the report where `pipewright web` finds it; that of a dry run, which has done nothing, is not kept.
async fn keep(records: &impl Records, report: &RunReport) -> anyhow::Result<()> {
    if report.dry_run {
        return Ok(());
    }
    let run = LastRun::new(SystemClock.now(), serde_json::to_value(report)?);
    Ok(records.put_last_run(&run).await?)
}

/// Logs what was done, tells the metrics, and makes the run an error if
/// anything failed.
fn answer(report: &RunReport, prefix: &str) -> Result<Value, Diagnostic> {
    let json = serde_json::to_value(report).map_err(|error| failure("UnwritableReport", &error))?;
    tracing::info!(report = %json, "housekeeping done");
    function::tell(&report.metrics(prefix, SystemClock.now()));
    match report.error() {
        None => Ok(json),
        Some(error) => Err(failure("HousekeepingFailed", &error)),
    }
}

fn settings() -> anyhow::Result<RunSettings> {
    let hours: i64 = number_variable("IDLE_ENDPOINT_HOURS")?;
    let delete_endpoints = match variable("IDLE_ENDPOINT_ACTION")?.as_str() {
        "Delete" => true,
        "Report" => false,
        other => bail!("IDLE_ENDPOINT_ACTION is {other:?}; it must be Delete or Report"),
    };
    Ok(RunSettings {
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
