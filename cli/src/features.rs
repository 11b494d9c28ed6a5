//! `pipewright features`: the processing step on local files, with no AWS and
//! no record.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use pipewright::definition::source;
use pipewright::features::{
    self, Destination, FeatureError, FeatureSet, Options, Progress, Proposal, Stage, Stages,
    assets_and_faults,
};
use pipewright::training_template::{TrainingTemplate, settings};
use pipewright::wording;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::definition::{read, shown};
use crate::output::{Output, pretty, stderr, stdout, write};

pub(crate) mod check;
mod folder;
mod out;
mod progress;
mod show;

use check::file_warnings;
use folder::Folder;
use out::Out;
use progress::Teller;
use show::Written;

/// Make features and DeepAR's files from price files on this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a training template that fits the data.
    ///
    /// It predicts one asset from all: of daily prices a week ahead in calendar days,
    /// of weekly ones four weeks, of monthly ones three months. The last of these are
    /// test windows. Indicators and low-pass columns are on for all
    /// assets (of more than 20, for those in the predicted one's class), ARIMA for
    /// the predicted asset; the autoencoder is there, but off.
    Init(Init),
    /// Find everything that keeps features from being made, without making them.
    ///
    /// Whether the prices are enough for the settings, such as dates that all
    /// assets have in common, can be told only where the template and the price
    /// files have no fault.
    ///
    /// The JSON lists the price files that were looked at, with the class and
    /// description of each asset and, where they could be read, the first and
    /// last date and the number of prices.
    ///
    /// Exit status: 0 without faults, 1 with faults; warnings alone are no fault.
    Check(check::Check),
    /// List the columns that a template makes, each with its formula, the rows
    /// of its warm-up, and whether it looks ahead.
    Describe(Describe),
    /// Make features: the same files as the processing step makes.
    ///
    /// OUT gets the folders features, train, test and plots, all of them or, after
    /// a failure or Ctrl-C, none. A plot is named after its class or ticker, in lower
    /// case and with hyphens for what is not a letter or digit; after a name with letters
    /// beyond ASCII comes a check sum, so that no two are the same.
    Run(Run),
    /// Print what a training template may hold: a JSON Schema for editors, or a table.
    Schema(Schema),
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// A JSON Schema (draft 2020-12), or the table of docs/TEMPLATE.md.
    #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
    format: SchemaFormat,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemaFormat {
    Json,
    Markdown,
}

/// Where the prices lie.
#[derive(Debug, Args)]
struct Assets {
    /// The folder of prices: one TICKER.csv (Date,Close) per asset and,
    /// optionally, assets.csv (ticker,assetClass,description), without which
    /// the class of an asset is `unclassified`.
    #[arg(long = "assets", value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    assets: Assets,
    /// The asset whose price is to be forecast; without it, the one with the most
    /// prices.
    #[arg(long, value_name = "TICKER")]
    predict: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// The training template; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// The folder of prices. Without it, what only the catalogue knows stands in
    /// angle brackets.
    #[arg(long, value_name = "DIR")]
    assets: Option<PathBuf>,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    assets: Assets,
    /// The training template; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// The folder that gets the outputs.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Run these stages alone, and those that they build on, as far as the
    /// template has them on. What a stage makes is the same as in a run of all.
    #[arg(long = "stage", value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = stages())]
    stages: Vec<Stage>,
    /// Threads to use; the outputs are the same for any number. As many as the
    /// machine runs at once otherwise.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Seed of the autoencoder, instead of the template's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How to show the summary at the end.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Replace what an earlier run put into OUT.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

fn stages() -> impl TypedValueParser<Value = Stage> {
    let names = Stage::ALL.map(|stage| PossibleValue::new(stage.name()).help(stage.to_string()));
    PossibleValuesParser::new(names)
        .try_map(|name| Stage::from_name(&name).ok_or("not the name of a stage"))
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// When something cannot be read, used or written.
pub(crate) async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Init(arguments) => init(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Describe(arguments) => describe(&arguments),
        Command::Run(arguments) => make_interruptibly(arguments).await,
        Command::Schema(arguments) => schema(&arguments),
    }
}

fn schema(arguments: &Schema) -> Result<ExitCode> {
    let text = match arguments.format {
        SchemaFormat::Json => pretty(&settings::schema()),
        SchemaFormat::Markdown => settings::reference(),
    };
    arguments.output.write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn read_template(file: &Path) -> Result<TrainingTemplate> {
    TrainingTemplate::parse(&read_json(file)?)
        .with_context(|| format!("{} cannot be used", shown(file)))
}

fn read_json(file: &Path) -> Result<Value> {
    source::parse(&read(file)?).with_context(|| format!("{} cannot be read as JSON", shown(file)))
}

pub(crate) fn warn(warnings: &[String]) -> Result<()> {
    let text: String = warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"))
        .collect();
    stderr()
        .write_all(text.as_bytes())
        .context("standard error cannot be written")
}

fn init(arguments: &Init) -> Result<ExitCode> {
    let mut warnings = Vec::new();
    let proposed = propose(arguments, &mut warnings);
    // First: they may tell why it failed.
    warn(&warnings)?;
    let text = pretty(&proposed?);
    arguments.output.write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A template for the data, and what is doubtful about them, even if it fails.
fn propose(arguments: &Init, warnings: &mut Vec<String>) -> Result<Value> {
    let folder = Folder::open(&arguments.assets.folder, warnings)?;
    let threads = Options::default().threads;
    let assets = folder.read(folder.catalogue.clone(), threads, warnings)?;
    let of_files = file_warnings(&assets);
    let predicted = match &arguments.predict {
        Some(ticker) => ticker.clone(),
        None => longest(&assets),
    };
    let Proposal {
        template: document,
        note,
    } = match features::propose(&assets, &predicted) {
        Ok(proposal) => proposal,
        Err(error) => {
            warnings.extend(of_files);
            return Err(error.into());
        }
    };
    let template = TrainingTemplate::parse(&document)
        .context("internal error, please report it: the template proposed is not valid")?;
    let checked = features::check(&template, assets).map_err(|faults| {
        warnings.extend(of_files);
        let faults: Vec<String> = faults.iter().map(proposed_fault).collect();
        anyhow!(
            "the data hold too little for a template:{}",
            faults.concat()
        )
    })?;
    warnings.extend(note);
    warnings.extend(checked.warnings);
    Ok(document)
}

/// The asset with the most prices, of several the first.
fn longest(assets: &[(features::CatalogueAsset, features::PriceSeries)]) -> String {
    let most = assets
        .iter()
        .min_by_key(|(_, series)| Reverse(series.prices.len()));
    most.map_or_else(String::new, |(asset, _)| asset.ticker.clone())
}

/// A fault of the template that was proposed, with nothing to do but what can be
/// done about the data: `init` takes no settings.
fn proposed_fault(fault: &FeatureError) -> String {
    match fault {
        FeatureError::EmptyTestWindow { first, last, .. } => format!(
            "\n  the template would be tested from {first} to {last}, and no day of these has a price of every asset; import them"
        ),
        other => format!("\n  {other}"),
    }
}

fn describe(arguments: &Describe) -> Result<ExitCode> {
    let template = read_template(&arguments.template)?;
    let needed = match &arguments.assets {
        Some(folder) => {
            let mut warnings = Vec::new();
            let opened = Folder::open(folder, &mut warnings);
            warn(&warnings)?;
            let folder = opened?;
            Some(needed_assets(&template, &folder)?)
        }
        None => None,
    };
    let columns = features::describe(&template, needed.as_deref());
    let text = match arguments.format {
        Format::Text => show::described_text(&columns),
        Format::Json => pretty(&serde_json::to_value(&columns)?),
    };
    write(&mut stdout(), text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn needed_assets(
    template: &TrainingTemplate,
    folder: &Folder,
) -> Result<Vec<features::CatalogueAsset>> {
    let (needed, faults) = assets_and_faults(template, &folder.catalogue);
    if faults.is_empty() {
        return Ok(needed);
    }
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    bail!("{}", faults.join("\n"))
}

/// What a run is given.
struct Job {
    template: TrainingTemplate,
    folder: Folder,
    options: Options,
    /// What is doubtful about the folder.
    warnings: Vec<String>,
}

/// What a run made.
struct WrittenFeatures {
    set: FeatureSet,
    files: Vec<Written>,
    warnings: Vec<String>,
    span: Duration,
}

async fn make_interruptibly(arguments: Run) -> Result<ExitCode> {
    let template = read_template(&arguments.template)?;
    for stage in &arguments.stages {
        if let Some((setting, false)) = stage.switch(&template) {
            bail!(
                "--stage {}: {setting} is not true in {}, so there is nothing to run",
                stage.name(),
                shown(&arguments.template)
            );
        }
    }
    let default = Options::default();
    let options = Options {
        threads: arguments.threads.unwrap_or(default.threads),
        stages: if arguments.stages.is_empty() {
            Stages::ALL
        } else {
            Stages::with_needs(arguments.stages.iter().copied())
        },
        seed: arguments.seed,
    };
    let mut warnings = Vec::new();
    let folder = match Folder::open(&arguments.assets.folder, &mut warnings) {
        Ok(folder) => folder,
        Err(error) => {
            warn(&warnings)?;
            return Err(error);
        }
    };
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
    let mut hang_up = signal(SignalKind::hangup()).context("SIGHUP cannot be heard")?;
    let out = Out::begin(&arguments.out, arguments.force)?;
    let job = Job {
        template,
        folder,
        options,
        warnings,
    };
    let mut work = tokio::task::spawn_blocking({
        let out = out.clone();
        move || make(job, &out)
    });
    // The exit status of a shell for that signal.
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            _ = hang_up.recv() => 129,
        }
    };
    let result = tokio::select! {
        biased;
        status = stopped => {
            if out.abandon() {
                Teller::new().line("pipewright: interrupted; nothing was written");
                return Ok(ExitCode::from(status));
            }
            // Too late: the outputs are in their place.
            work.await
        }
        result = &mut work => result,
    };
    let made = match result {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => {
            out.abandon();
            return Err(error);
        }
        Err(failed) => {
            out.abandon();
            match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    };
    let text = match arguments.format {
        Format::Text => show::run_text(
            &made.set,
            &made.warnings,
            &made.files,
            &arguments.out,
            made.span,
        ),
        Format::Json => pretty(&show::run_json(
            &made.set,
            &made.warnings,
            &made.files,
            out.target(),
        )?),
    };
    write(&mut stdout(), text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn make(job: Job, out: &Out) -> Result<WrittenFeatures> {
    let began = Instant::now();
    let Job {
        template,
        folder,
        options,
        warnings,
    } = job;
    let mut place = Place {
        out,
        teller: Teller::new(),
        files: Vec::new(),
        warnings,
    };
    let mut attempt = || -> Result<FeatureSet> {
        let needed = needed_assets(&template, &folder)?;
        let reading = Instant::now();
        let assets = folder.read(needed, options.threads, &mut place.warnings)?;
        let prices: usize = assets.iter().map(|(_, series)| series.prices.len()).sum();
        place.teller.line(&format!(
            "reading: {} price files with {prices} prices ({})",
            assets.len(),
            wording::span(reading.elapsed())
        ));
        let set = features::run_with(&template, assets, options, &mut |told| place.tell(told))?;
        set.write(&mut place)?;
        out.publish()?;
        Ok(set)
    };
    let result = attempt();
    let Place {
        mut teller,
        mut files,
        warnings,
        ..
    } = place;
    teller.clear();
    match result {
        Ok(set) => {
            files.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(WrittenFeatures {
                set,
                files,
                warnings,
                span: began.elapsed(),
            })
        }
        Err(error) => {
            // They may tell why.
            warn(&warnings)?;
            Err(error)
        }
    }
}

/// Takes the outputs of a run and what it tells.
struct Place<'a> {
    out: &'a Out,
    teller: Teller,
    files: Vec<Written>,
    /// Each once, in the order in which they came.
    warnings: Vec<String>,
}

impl Destination for Place<'_> {
    type Error = anyhow::Error;

    fn file(
        &mut self,
        name: &str,
        what: &str,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let mut write = || {
            let mut file = self.out.create(name)?;
            content(&mut file)?;
            file.flush()?;
            file.get_ref().metadata()
        };
        let written = write().with_context(|| format!("{name} cannot be written"))?;
        self.files.push(Written {
            name: name.to_owned(),
            what: what.to_owned(),
            bytes: written.len(),
        });
        Ok(())
    }

    fn tell(&mut self, progress: Progress) {
        match progress {
            Progress::Warning(text) => {
                if !self.warnings.contains(&text) {
                    self.warnings.push(text);
                }
            }
            other => self.teller.tell(&other),
        }
    }
}
