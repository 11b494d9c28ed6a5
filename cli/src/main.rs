//! `pipewright`: the command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod definition;
mod execution;
mod template;

/// What the commands end with when the thing asked about is not as it should
/// be: the usual status of a failure.
const FAILURE: u8 = 1;

#[derive(Debug, Parser)]
#[command(
    name = "pipewright",
    version,
    about = "Pipelines of SageMaker: their definitions, templates and executions"
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
    /// Check, draw and compare definitions.
    #[command(subcommand)]
    Definition(definition::Command),
    /// Make templates of definitions, and fill them.
    #[command(subcommand)]
    Template(template::Command),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Execution(command) => execution::run(command).await,
        Command::Definition(command) => definition::run(command),
        Command::Template(command) => template::run(command),
    };
    result.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(FAILURE)
    })
}

#[expect(clippy::print_stderr, reason = "main tells why the program ends")]
fn complain(error: &anyhow::Error) {
    eprintln!("pipewright: {error:#}");
}
