//! `pipewright execution report`: all that is known of an execution, as one page.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use pipewright::arn::Arn;
use pipewright::definition::{Definition, render};
use pipewright::record::History;
use pipewright::record::rows::{OUTPUTS, TOP_FEATURES};
use pipewright_aws::process::now;
use serde_json::Value;

use super::Place;
use super::known::Known;
use crate::model::Bucket;
use crate::output::{self, Output};

mod charts;
mod page;

use page::{More, Parameter};

/// Write all that is known of an execution into one HTML file.
///
/// The page needs nothing but itself: it loads nothing, and can be opened from disk, mailed and printed. It has the
/// status and reasons, the steps on a time line, the graph, parameters, scores and metrics, forecasts, features, and
/// the log of the processing step. An execution that is still going on has what happened so far.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The execution: its id, ARN or display name.
    execution: String,
    #[command(flatten)]
    place: Place,
    /// The file to write; without it, ID.html.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    /// The log of a training step, whose losses are drawn; can be given several times. `make run` has it under logs/;
    /// of AWS it is the log group /aws/sagemaker/TrainingJobs.
    #[arg(long, value_name = "STEP=FILE", value_parser = training_log)]
    training_log: Vec<(String, PathBuf)>,
    /// Show the page in the browser.
    #[arg(long)]
    open: bool,
}

fn training_log(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((step, file)) if !step.is_empty() && !file.is_empty() => {
            Ok((step.to_owned(), PathBuf::from(file)))
        }
        _ => Err("write it as STEP=FILE: the name of the step, and its log".to_owned()),
    }
}

pub(super) async fn report(arguments: Report) -> anyhow::Result<ExitCode> {
    let config = pipewright_aws::config().await;
    let search = arguments.place.search().await;
    let Known {
        history,
        definition,
        parameters,
    } = Known::of(&search, &arguments.execution).await?;

    let mut more = More::default();
    let trainings = || {
        history
            .trainings
            .iter()
            .map(|training| training.step_name.as_str())
    };
    for (step, file) in &arguments.training_log {
        anyhow::ensure!(
            trainings().any(|name| name == step),
            "--training-log: execution {} has no training step {step} that has ended; {}",
            history.id,
            match trainings().collect::<Vec<_>>()[..] {
                [] => "it has none at all".to_owned(),
                ref names => format!("it has {}", names.join(", ")),
            }
        );
        anyhow::ensure!(
            more.curves.iter().all(|(known, _)| known != step),
            "--training-log: step {step} is given twice"
        );
        let log =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let curve = charts::Curve::of_log(&String::from_utf8_lossy(&log)).with_context(|| {
            format!(
                "{} has no line such as `#quality_metric: host=algo-1, epoch=0, train loss <loss>=6.5`",
                file.display()
            )
        })?;
        more.curves.push((step.clone(), curve));
    }
    draw(&history, definition, parameters, &mut more);
    read_outputs(&config, &history, &mut more).await;
    let page = page::page(&history, &more, now()).context("the page cannot be made")?;

    let file = arguments
        .output
        .unwrap_or_else(|| PathBuf::from(format!("{}.html", history.id)));
    let output = Output {
        output: None,
        force: arguments.force,
    };
    output.put(&file, page.as_bytes())?;
    writeln!(output::stdout(), "{}", file.display())?;
    if arguments.open {
        open(&file)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the graph and the parameters on the page, or why they are missing.
fn draw(
    history: &History,
    definition: anyhow::Result<Definition>,
    parameters: anyhow::Result<Vec<(String, String)>>,
    more: &mut More,
) {
    let definition = definition
        .map_err(|error| more.notes.push(format!("The graph is missing: {error:#}")))
        .ok();
    more.graph = definition.as_ref().map(|definition| {
        render::svg_with_status(definition, |step| {
            let step = history.steps.iter().find(|known| known.name == step)?;
            Some(step.status.as_str())
        })
    });
    let default = |name: &str| {
        let parameter = definition.as_ref()?.parameter(name)?;
        Some(match parameter.default_value()? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    match parameters {
        Ok(values) => {
            more.parameters = values
                .into_iter()
                .map(|(name, value)| {
                    let default = default(&name);
                    Parameter {
                        changed: default.as_ref().is_some_and(|default| *default != value),
                        default: default.unwrap_or_default(),
                        name,
                        value,
                    }
                })
                .collect();
        }
        Err(error) => more
            .notes
            .push(format!("The parameters are missing: {error:#}")),
    }
}

/// Reads the tables of the forecasts that were kept, and what the outputs say of the features.
async fn read_outputs(config: &pipewright_aws::SdkConfig, history: &History, more: &mut More) {
    let arn = history.execution_arn.as_deref().and_then(Arn::parse);
    let Some(arn) = arn else {
        return;
    };
    let bucket = Bucket::new(config, arn.account);
    let summary = history.report.as_ref().map(|report| &report.summary);
    if let Some(summary) = summary
        && let Some(outputs) = summary[OUTPUTS].as_str()
    {
        // They are ranked only where the template asks for it.
        let ranked = summary[TOP_FEATURES.0]
            .as_array()
            .is_some_and(|top| !top.is_empty());
        let ranking = ranked.then_some(("importance", &mut more.importance));
        for (name, into) in [("summary", &mut more.features)].into_iter().chain(ranking) {
            let url = format!("{outputs}features/{name}.json");
            let read = match bucket.read(&url).await {
                Ok(bytes) => serde_json::from_slice(&bytes).map_err(Into::into),
                Err(error) => Err(error),
            };
            match read {
                Ok(value) => *into = value,
                Err(error) => more.notes.push(format!("{url} cannot be read: {error:#}")),
            }
        }
    }
    for kept in &history.forecasts {
        let table = match bucket.read(&kept.table).await {
            Ok(bytes) => charts::Fan::of_table(&bytes),
            Err(error) => Err(error),
        };
        more.forecasts.push(match table {
            Ok(fan) => Some(fan),
            Err(error) => {
                let note = format!("The chart of forecast {} is missing: {error:#}", kept.table);
                more.notes.push(note);
                None
            }
        });
    }
}

/// Shows a file with the system's program for its kind.
fn open(file: &Path) -> anyhow::Result<()> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let status = std::process::Command::new(program)
        .arg(file)
        .status()
        .with_context(|| {
            format!(
                "{program}, which would show {}, cannot be started",
                file.display()
            )
        })?;
    anyhow::ensure!(
        status.success(),
        "{program} cannot show {}: {status}",
        file.display()
    );
    Ok(())
}
