//! `pipewright template`: extract, fill, show.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use pipewright::definition::source;
use pipewright::reading::kind_of;
use pipewright::template::{self, regions};
use serde_json::{Map, Value};

use crate::definition::{parse, read, shown};
use crate::output::{Output, pretty, stderr, stdout, write};

/// Work with templates of pipeline definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a template of a definition: today's values become keys.
    Extract {
        /// The definition, the output of `pipeline.definition()`; `-` reads
        /// standard input.
        definition: PathBuf,
        /// A JSON object of keys and today's values; without it one is proposed.
        #[arg(long)]
        values: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
        /// Where to write the map of keys and values.
        #[arg(long)]
        values_out: Option<PathBuf>,
    },
    /// Fill a template with values, and check what comes out.
    ///
    /// Where the values hold a `Region`, the images of DeepAR and of the
    /// debugger's rules in that region are known without being given.
    Fill {
        /// The template; `-` reads standard input.
        template: PathBuf,
        /// A JSON object of keys and values.
        #[arg(long)]
        values: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Show the template of the asset-prediction pipeline.
    Show,
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// When a file cannot be read or written, or cannot be worked with.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    let mut stderr = stderr();
    match command {
        Command::Extract {
            definition,
            values,
            output,
            values_out,
        } => {
            if let Some(file) = &values_out {
                output.apart("--values-out", file)?;
            }
            let definition = parse(&definition)?;
            let proposed = values.is_none();
            let values = match values {
                Some(file) => read_values(&file)?,
                None => template::propose(&definition),
            };
            let extracted = template::extract(&definition, &values)?;
            let map = pretty(&Value::Object(values.clone()));
            if let Some(file) = &values_out {
                // Before the other file is written.
                output.free(file, map.as_bytes())?;
            }
            output.write(extracted.template.as_bytes())?;
            if let Some(file) = &values_out {
                output.put(file, map.as_bytes())?;
            }
            report_extraction(&mut stderr, &extracted, proposed.then_some(&values))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Fill {
            template,
            values,
            output,
        } => {
            let text = read(&template)?;
            let values = read_values(&values)?;
            let filled = template::fill(&text, &values, &provided(&values))
                .with_context(|| format!("{} cannot be filled", shown(&template)))?;
            for warning in &filled.warnings {
                writeln!(stderr, "{warning}").context("standard error cannot be written")?;
            }
            let text = if output.output.is_some() {
                filled.text
            } else {
                filled.text + "\n"
            };
            output.write(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Show => {
            write(&mut stdout(), template::shipped().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn report_extraction(
    stderr: &mut dyn Write,
    extracted: &template::Extracted,
    proposed: Option<&Map<String, Value>>,
) -> Result<()> {
    let mut report = String::new();
    for (key, value) in proposed.into_iter().flatten() {
        report += &format!("key {key}: {value}\n");
    }
    for key in &extracted.unused {
        report += &format!(
            "warning: the value of {key} stands nowhere by itself; the template takes it all the \
             same\n"
        );
    }
    for place in &extracted.remaining {
        report += &format!("still static: {place}\n");
    }
    stderr
        .write_all(report.as_bytes())
        .context("standard error cannot be written")
}

fn read_values(file: &Path) -> Result<Map<String, Value>> {
    let value = source::parse(&read(file)?)
        .with_context(|| format!("{} cannot be read as values", shown(file)))?;
    match value {
        Value::Object(values) => Ok(values),
        other => bail!(
            "{} must hold a JSON object of keys and values, not {}",
            shown(file),
            kind_of(&other)
        ),
    }
}

/// The values that depend on the region alone, as the custom resource knows
/// them too. A region without a known image provides none: the template says whether
/// it needs one.
fn provided(values: &Map<String, Value>) -> Map<String, Value> {
    let region = values
        .get("Region")
        .and_then(Value::as_str)
        .and_then(|region| regions::find(region).ok());
    regions::values(region)
}
