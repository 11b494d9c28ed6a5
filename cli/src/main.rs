//! `pipewright`: the command line.

use std::io::{self, Write};
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
mod exit;
mod features;
mod html;
mod installation;
mod model;
mod open;
mod output;
mod redrive;
mod reference;
mod search;
mod template;
mod web;

/// The version, with the commit that it is made from.
pub(crate) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PIPEWRIGHT_COMMIT_TEXT"),
    ")"
);

#[derive(Debug, Parser)]
#[command(
    name = "pipewright",
    version = VERSION,
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
    Web(web::Web),
    Completions(reference::Completions),
    Man(reference::Man),
}

fn main() -> ExitCode {
    let Cli { command } = match Cli::try_parse() {
        Ok(called) => called,
        Err(error) => return explain(&error),
    };
    run(command).unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(exit::FAILURE)
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
            Command::Web(arguments) => web::run(arguments).await,
            Command::Completions(arguments) => reference::completions(&arguments),
            Command::Man(arguments) => reference::man(&arguments),
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

/// Tells what is wrong with the arguments, or shows the help or version that was asked for.
fn explain(error: &clap::Error) -> ExitCode {
    let plain = error.to_string();
    let written = if output::clean(&plain) == plain {
        // In colours, where there is a terminal.
        error.print()
    } else {
        write!(output::stderr(), "{plain}")
    };
    match written {
        Err(unwritten) if unwritten.kind() != io::ErrorKind::BrokenPipe && !error.use_stderr() => {
            complain(&anyhow::Error::new(unwritten).context("standard output cannot be written"));
            ExitCode::from(exit::FAILURE)
        }
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::FAILURE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::collections::BTreeMap;

    /// The commands that do something, by their names; whether each takes `--format json`.
    fn commands(command: &clap::Command, name: &str, found: &mut BTreeMap<String, bool>) {
        if !command.has_subcommands() {
            let mut options = command.get_arguments();
            let format = options.find(|option| option.get_id() == "format");
            let values = format
                .map(clap::Arg::get_possible_values)
                .unwrap_or_default();
            let takes_json = values.iter().any(|value| value.get_name() == "json");
            found.insert(name.to_owned(), takes_json);
        }
        for below in command.get_subcommands() {
            let name = format!("{name} {}", below.get_name());
            commands(below, name.trim_start(), found);
        }
    }

    /// Every command is in the table of `docs/CLI.md`, with whether it takes `--format json`; an unknown option is exit
    /// status 2 of each.
    #[test]
    fn the_page_has_every_command_with_its_formats() {
        let page = include_str!("../../docs/CLI.md");
        let mut known = BTreeMap::new();
        commands(&Cli::command(), "", &mut known);
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let told: BTreeMap<String, bool> = rows
            .filter_map(|row| {
                let (name, rest) = row.split_once("` |")?;
                let formats = rest.split('|').nth(1)?.trim();
                // Of other tables, no row has this.
                let takes_json = match formats.get(..2)? {
                    "ye" => true,
                    "no" => false,
                    _ => return None,
                };
                Some((name.to_owned(), takes_json))
            })
            .collect();
        assert_eq!(told, known);
        for name in known.keys() {
            let words = ["pipewright"].into_iter().chain(name.split(' '));
            let line: Vec<&str> = words.chain(["--no-such-option"]).collect();
            let error = Cli::try_parse_from(line).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(exit::TROUBLE), "{name}");
        }
    }

    #[test]
    fn the_arguments_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }
}
