//! `pipewright execution report`: all that is known of an execution, as one page.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use pipewright::arn::Arn;
use pipewright::record::History;
use pipewright::record::rows::{OUTPUTS, TOP_FEATURES};
use pipewright_aws::SdkConfig;
use pipewright_aws::process::now;

use super::known::Known;
use super::listing::Listing;
use super::losses::{Curves, Logs};
use super::{Place, charts};
use crate::html::Frame;
use crate::model::Bucket;
use crate::open::open;
use crate::output::{self, Output};
use crate::search::Search;

mod cost;
mod page;

pub(crate) use page::{More, page};

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
    /// The file to write; without it, ID.html; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    /// The log of a training step, whose losses are drawn; can be given several times. `make run` has it under logs/;
    /// of AWS it is the log group /aws/sagemaker/TrainingJobs.
    #[arg(long, value_name = "STEP=FILE", value_parser = training_log)]
    training_log: Vec<(String, PathBuf)>,
    #[command(flatten)]
    logs: Logs,
    /// Put the page into S3 as well, for others: to this address, or without one beside the execution's outputs, as
    /// report.html. What is there is replaced.
    #[arg(long, value_name = "S3URI", num_args = 0..=1, default_missing_value = "")]
    upload: Option<String>,
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

/// The losses of the trainings whose logs were given.
fn given(history: &History, logs: &[(String, PathBuf)]) -> anyhow::Result<Curves> {
    let mut curves = Curves::new();
    let trainings = || {
        history
            .trainings
            .iter()
            .map(|training| training.step_name.as_str())
    };
    for (step, file) in logs {
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
            curves.iter().all(|(known, _)| known != step),
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
        curves.push((step.clone(), curve));
    }
    Ok(curves)
}

pub(super) async fn report(arguments: Report) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !arguments.open || arguments.output.as_deref() != Some(Path::new("-")),
        "--open shows a file: give --output one"
    );
    let config = pipewright_aws::config().await;
    let search = arguments.place.search().await;
    let known = Known::of(&search, &arguments.execution).await?;
    let curves = given(&known.history, &arguments.training_log)?;
    let mut more = More::of(&config, &known.history, &arguments.logs).await;
    more.find_before(&search, &mut Listing::new(LOOKED_BACK), &known.history)
        .await;
    // What was given counts before what is found.
    more.curves
        .retain(|(step, _)| curves.iter().all(|(given, _)| given != step));
    more.curves.extend(curves);
    let page = page(&known, &more, &Frame::File, now()).context("the page cannot be made")?;

    let id = &known.history.id;
    let file = arguments
        .output
        .unwrap_or_else(|| PathBuf::from(format!("{id}.html")));
    Output::page(&file, arguments.force, &page)?;
    if let Some(address) = arguments.upload {
        let address = upload(&config, &known.history, &address, page).await?;
        writeln!(output::stderr(), "uploaded to {address}")?;
    }
    if arguments.open {
        open(file.as_os_str())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts a page into S3, and gives its address.
async fn upload(
    config: &SdkConfig,
    history: &History,
    address: &str,
    page: String,
) -> anyhow::Result<String> {
    let id = &history.id;
    let arn = history.execution_arn.as_deref().and_then(Arn::parse);
    let arn =
        arn.with_context(|| format!("execution {id} was not started, so its account is unknown"))?;
    let address = match (address, history.summary(OUTPUTS).as_str()) {
        ("", Some(outputs)) => format!("{outputs}report.html"),
        ("", None) => anyhow::bail!(
            "the record of execution {id} does not say where its outputs are: give --upload an address, such as \
             s3://BUCKET/{id}.html"
        ),
        (address, _) => address.to_owned(),
    };
    let bucket = Bucket::new(config, arn.account);
    let written = bucket
        .write(&address, page.into_bytes(), "text/html; charset=utf-8")
        .await;
    written.with_context(|| format!("{address} cannot be written"))?;
    Ok(address)
}

impl More {
    /// What there is of an execution beside its record: the files of its outputs, and the logs of its trainings. What cannot
    /// be read is noted.
    pub(crate) async fn of(config: &SdkConfig, history: &History, logs: &Logs) -> Self {
        let mut more = Self {
            curves: logs.curves(history),
            ..Self::default()
        };
        read_outputs(config, history, &mut more).await;
        more
    }

    /// Finds the last execution of the same pipeline that succeeded before, to say what differs from it. That it cannot be
    /// found is noted.
    pub(crate) async fn find_before(
        &mut self,
        search: &Search,
        listing: &mut Listing,
        history: &History,
    ) {
        let found = async {
            let executions = &search.executions;
            let id = listing.succeeded_before(executions, history, now()).await?;
            anyhow::Ok(match id {
                Some(id) => Some(Known::of(search, &id).await?),
                None => None,
            })
        };
        match found.await {
            Ok(before) => self.before = before,
            Err(error) => self.notes.push(format!(
                "What differs from the last success is not known: {error:#}"
            )),
        }
    }
}

/// For how many days an execution that succeeded before is looked back for.
const LOOKED_BACK: u16 = 30;

/// Reads the tables of the forecasts that were kept, and what the outputs say of the features.
async fn read_outputs(config: &SdkConfig, history: &History, more: &mut More) {
    let arn = history.execution_arn.as_deref().and_then(Arn::parse);
    let Some(arn) = arn else {
        return;
    };
    let bucket = Bucket::new(config, arn.account);
    if let Some(outputs) = history.summary(OUTPUTS).as_str() {
        // They are ranked only where the template asks for it.
        let ranked = history
            .summary(TOP_FEATURES.0)
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
