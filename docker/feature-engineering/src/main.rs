//! The processing step's program: `feature-engineering --executionid ID`.
//!
//! It reads the environment and the signals and starts [`step::run`]; what the
//! step does stands there.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use feature_engineering::environment::Environment;
use feature_engineering::journal::{Clock, Journal};
use feature_engineering::layout::Layout;
use feature_engineering::{aws, step};
use pipewright_aws::logging::{self, Libraries};
use pipewright_job::ml_root;
use tokio::signal::unix::{SignalKind, signal};

/// The processing step of the asset-prediction pipeline: makes features and
/// DeepAR's files from prices.
#[derive(Debug, Parser)]
#[command(name = "feature-engineering", version)]
struct Arguments {
    /// Id of the execution's record, as start-execution made it.
    #[arg(long = "executionid", value_name = "ID")]
    execution_id: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // What the AWS clients have to say goes to standard error; the step's own
    // log is the journal.
    logging::init(Libraries::AsConfigured).context("starting the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let outcome = runtime.block_on(run(&arguments))?;
    // A computation that is cut off by a signal ends with the process.
    runtime.shutdown_background();
    Ok(ExitCode::from(outcome.exit_status()))
}

async fn run(arguments: &Arguments) -> anyhow::Result<step::StepOutcome> {
    let variable = |name: &str| std::env::var(name).ok();
    let layout = Layout::new(ml_root(variable));
    let journal = Journal::new(clock(), Box::new(io::stdout()));
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let job = step::Job {
        execution_id: &arguments.execution_id,
        layout: &layout,
        journal: &journal,
    };
    let connect = async |environment: &Environment, account: &str| {
        aws::connect(&pipewright_aws::config().await, environment, account)
    };
    Ok(step::run(job, variable, connect, stop).await)
}

/// The system's clock, for times that people and DynamoDB see.
fn clock() -> Clock {
    Arc::new(pipewright_aws::process::now)
}
