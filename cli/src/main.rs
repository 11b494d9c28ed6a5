//! `pipewright`: the command line.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

mod argument;
mod aws;
mod confirm;
mod data;
mod definition;
mod endpoint;
mod execution;
mod features;
mod installation;
mod model;
mod output;
mod redrive;
mod search;
mod template;

/// What the commands end with when the thing asked about is not as it should
/// be: the usual status of a failure.
const FAILURE: u8 = 1;

#[derive(Debug, Parser)]
#[command(
    name = "pipewright",
    version,
    about = "Pipelines of SageMaker: their definitions, templates, executions and features"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at executions.
    #[command(subcommand)]
    Execution(execution::Command),
    /// Serve the models of executions.
    #[command(subcommand)]
    Endpoint(endpoint::Command),
    Redrive(redrive::Redrive),
    /// Check, draw and compare definitions.
    #[command(subcommand)]
    Definition(definition::Command),
    /// Make templates of definitions, and fill them.
    #[command(subcommand)]
    Template(template::Command),
    /// Make features from price files on this machine.
    #[command(subcommand)]
    Features(features::Command),
    /// Import, list and remove prices and training templates.
    #[command(subcommand)]
    Data(data::Command),
    Forecast(model::forecast::Arguments),
    Score(model::score::Arguments),
}

fn main() -> ExitCode {
    let Cli { command } = match Cli::try_parse() {
        Ok(called) => called,
        Err(error) => return explain(&error),
    };
    run(command).unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(FAILURE)
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let result = runtime.block_on(async {
        let result = match command {
            Command::Execution(command) => execution::run(command).await,
            Command::Endpoint(command) => endpoint::run(command).await,
            Command::Redrive(arguments) => redrive::run(arguments).await,
            Command::Definition(command) => definition::run(command),
            Command::Template(command) => template::run(command),
            Command::Features(command) => features::run(command).await,
            Command::Data(command) => data::run(command).await,
            Command::Forecast(arguments) => model::forecast::run(arguments).await,
            Command::Score(arguments) => model::score::run(arguments).await,
        };
        match result {
            Err(error) => Err(aws::explained(error).await),
            done => done,
        }
    });
    // A computation that a signal cut off ends with the process.
    runtime.shutdown_background();
    result
}

/// Tells why the program ends.
fn complain(error: &anyhow::Error) {
    // A closed standard error is not a failure.
    let _ = writeln!(output::stderr(), "pipewright: {error:#}");
}

/// Tells what is wrong with the arguments, or shows the help that was asked for.
fn explain(error: &clap::Error) -> ExitCode {
    let plain = error.to_string();
    if output::clean(&plain) == plain {
        // In colours, where there is a terminal.
        error.exit();
    }
    let _ = write!(output::stderr(), "{plain}");
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILURE))
}
