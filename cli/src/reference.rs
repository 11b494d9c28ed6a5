//! What shells and `man` are told of the commands.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::output;

/// Print the completion of commands and options for a shell.
///
/// bash: `pipewright completions bash > ~/.local/share/bash-completion/completions/pipewright`. zsh: into a file
/// `_pipewright` of a folder in `fpath`. fish: `~/.config/fish/completions/pipewright.fish`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write a manual page for each command, `pipewright-execution-watch.1` and so on.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder to write them into, such as ~/.local/share/man/man1; it is made.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(crate) fn completions(arguments: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    let mut command = crate::Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output::write(&mut output::stdout(), &script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(arguments: &Man) -> anyhow::Result<ExitCode> {
    let folder = &arguments.output;
    let failed = || format!("the pages cannot be written to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(crate::Cli::command(), folder).with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}
