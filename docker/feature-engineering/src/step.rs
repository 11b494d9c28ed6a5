//! The step from its first line to its exit status.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::{Compression, GzBuilder};
use pipewright::features::{
    self, CatalogueAsset, FeatureError, FeatureSet, PriceFileError, PriceSeries, Progress, Summary,
};
use pipewright::record::{InvalidRecordId, Item, RecordId};
use pipewright::training_template::{TemplateFaults, TrainingTemplate};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::environment::{Environment, EnvironmentError};
use crate::hosts::{self, ResourceConfigError, Role};
use crate::journal::{EpochMs, Journal, SYNC_INTERVAL_MS};
use crate::layout::Layout;
use crate::outputs::{OutputError, Staging};
use crate::report::{Event, MAX_REASON_BYTES, Report, Reporter};
use crate::store::{
    Body, Claim, ObjectError, Objects, Store, StoreError, catalogue_assets, claim, frozen_template,
    retried,
};
use crate::sync::{Haste, Syncer};
use crate::text;

/// How long the step waits for start-execution to store to which pipeline
/// execution a record belongs: it does so right after SageMaker has accepted
/// the start, long before a job's container runs.
const ARN_WAIT: Duration = Duration::from_secs(30);

/// How often it looks meanwhile.
const ARN_POLL: Duration = Duration::from_secs(2);

/// How often a read of a table is tried.
const READ_ATTEMPTS: u32 = 5;

/// How many warnings and left-out columns the record's summary lists; the file
/// `features/summary.json` has all.
const LISTED: usize = 20;

/// How the step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All outputs are in their places and the record says so.
    Succeeded,
    /// Another host does the step.
    Bystander,
    /// There are no outputs, or the record could not be told about them.
    Failed(String),
    /// The job was stopped.
    Stopped(String),
}

impl Outcome {
    /// The program's exit status; a stopped one's is a shell's for SIGTERM.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Succeeded | Self::Bystander => 0,
            Self::Failed(_) => 1,
            Self::Stopped(_) => 143,
        }
    }
}

/// Why the step can't be done.
#[derive(Debug, Error)]
pub enum StepError {
    /// The environment lacks something.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// `--executionid` is no record's id.
    #[error("--executionid: {0}")]
    ExecutionId(#[from] InvalidRecordId),
    /// The hosts can't be understood.
    #[error(transparent)]
    ResourceConfig(#[from] ResourceConfigError),
    /// A file can't be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no record.
    #[error(
        "table {table} has no record of execution {id}: start this pipeline with start-execution, which makes one"
    )]
    NoRecord {
        /// The table.
        table: String,
        /// The id looked for.
        id: String,
    },
    /// The record belongs to another pipeline execution.
    #[error(
        "the record of execution {id} in table {table} belongs to {arn}, not to pipeline execution {ours}: \
         start this pipeline with start-execution, which makes a record of its own for each"
    )]
    OtherExecution {
        /// The table.
        table: String,
        /// The record's id.
        id: String,
        /// The pipeline execution it belongs to.
        arn: String,
        /// This job's pipeline execution.
        ours: String,
    },
    /// The record has no frozen template.
    #[error(
        "the record of execution {id} in table {table} has no parameters: \
         start this pipeline with start-execution, which freezes the training template into the record"
    )]
    NoParameters {
        /// The table.
        table: String,
        /// The record's id.
        id: String,
    },
    /// The frozen template can't be converted.
    #[error("the parameters in the record of execution {id}: {fault}")]
    Parameters {
        /// The record's id.
        id: String,
        /// What is wrong.
        fault: String,
    },
    /// The frozen template is wrong.
    #[error(transparent)]
    Template(#[from] TemplateFaults),
    /// The asset catalogue is wrong.
    #[error("the asset catalogue in table {table}: {fault}")]
    Catalogue {
        /// The table.
        table: String,
        /// What is wrong.
        fault: String,
    },
    /// Price files that the template needs are not there.
    #[error(
        "{folder} has no price file for {}: import the assets, or take them out of the training template",
        listed(.missing)
    )]
    MissingPrices {
        /// The folder of the price files.
        folder: String,
        /// The missing files, `<ticker>.csv`.
        missing: Vec<String>,
    },
    /// A price file is wrong.
    #[error(transparent)]
    Prices(#[from] PriceFileError),
    /// The features can't be made.
    #[error(transparent)]
    Features(#[from] FeatureError),
    /// A table fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The models bucket fails.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// An output file can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A fault of this program.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

/// The first names of a list and the count of the rest.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What the step is given.
pub struct Job<'a> {
    /// The value of `--executionid`.
    pub execution_id: &'a str,
    /// Where the files are.
    pub layout: &'a Layout,
    /// Where the log goes; its clock is the step's.
    pub journal: &'a Journal,
}

/// Does the step. `variable` reads the environment, `connect` makes the clients
/// once it is known to be complete, and `stop` resolves to a signal's name when
/// the job is being stopped.
///
/// Failures are told in the log, in `output/message` and, once the record is
/// known to be this job's, in the record.
pub async fn run<S, O>(
    job: Job<'_>,
    variable: impl Fn(&str) -> Option<String>,
    connect: impl AsyncFnOnce(&Environment) -> (S, O),
    stop: impl Future<Output = &'static str>,
) -> Outcome
where
    S: Store,
    O: Objects,
{
    let journal = job.journal;
    let outcome = match attempt(&job, variable, connect, stop).await {
        Ok(outcome) => outcome,
        Err(error) => {
            journal.error(error.to_string());
            Outcome::Failed(error.to_string())
        }
    };
    if let Outcome::Failed(reason) | Outcome::Stopped(reason) = &outcome
        && let Err(error) = write_message(&job.layout.message(), reason)
    {
        journal.error(error.to_string());
    }
    outcome
}

/// Everything up to the point where the record is known to be this job's; an
/// error before that must leave the record alone.
async fn attempt<S: Store, O: Objects>(
    job: &Job<'_>,
    variable: impl Fn(&str) -> Option<String>,
    connect: impl AsyncFnOnce(&Environment) -> (S, O),
    stop: impl Future<Output = &'static str>,
) -> Result<Outcome, StepError> {
    let journal = job.journal;
    let config = read_if_there(&job.layout.resource_config())?;
    match hosts::role(config.as_deref())? {
        Role::Bystander { this, primary } => {
            journal.info(format!(
                "host {this} has nothing to do: the step runs on host {primary} alone, an instance count of 1 is enough"
            ));
            return Ok(Outcome::Bystander);
        }
        Role::Primary { hosts: 1 } => {}
        Role::Primary { hosts } => journal.warn(format!(
            "this host does the whole step; the job's other {} are not needed, set the instance count to 1",
            hosts - 1
        )),
    }
    let environment = Environment::read(variable)?;
    let id = RecordId::new(job.execution_id)?;
    journal.info(format!(
        "feature-engineering {}: execution {id}, pipeline execution {}",
        env!("CARGO_PKG_VERSION"),
        environment.pipeline_execution_id
    ));
    let (store, objects) = connect(&environment).await;

    let mut stop = std::pin::pin!(stop);
    let record = tokio::select! {
        record = claimed_record(&store, &id, &environment, journal) => record?,
        signal = &mut stop => {
            let reason = format!("stopped by {signal} before the step began");
            journal.warn(reason.clone());
            return Ok(Outcome::Stopped(reason));
        }
    };

    let began = journal.now();
    let reporter = Arc::new(Reporter::new(Report::begin("reading", began)));
    let syncer = Syncer::new(&store, &objects, &id, journal, &reporter);
    let staging = Staging::new(job.layout.output(""));
    let prefix = format!("execution/{id}/");
    let work = Work {
        job,
        environment: &environment,
        id: &id,
        store: &store,
        objects: &objects,
        reporter: &reporter,
        staging: &staging,
        prefix: &prefix,
    };
    let result = tokio::select! {
        biased;
        signal = &mut stop => Err(Ended::Stopped(signal)),
        result = work.run(&record) => result.map_err(Ended::Failed),
        never = syncer.keep() => match never {},
    };

    let (event, haste) = match &result {
        Ok(summary) => {
            journal.info(format!("succeeded in {}", took(began, journal.now())));
            (Event::Succeeded(summary.clone()), Haste::None)
        }
        Err(Ended::Failed(error)) => {
            staging.abandon();
            journal.error(format!("failed: {error}"));
            (Event::Failed(error.to_string()), Haste::None)
        }
        Err(Ended::Stopped(signal)) => {
            staging.abandon();
            journal.warn(format!(
                "stopped by {signal} after {}; nothing is written into the outputs",
                took(began, journal.now())
            ));
            (
                Event::Stopped(format!("stopped by {signal}")),
                Haste::Stopping,
            )
        }
    };
    let log_key = format!("{prefix}logs/feature-engineering.log");
    let told = syncer.finish(event, &log_key, haste).await;
    if let Err(error) = &told {
        journal.error(format!(
            "the record was not told how the step ended: {error}"
        ));
    }
    Ok(match (result, told) {
        (Ok(_), Ok(())) => Outcome::Succeeded,
        (Ok(_), Err(error)) => Outcome::Failed(format!(
            "the outputs are complete, but the record was not told: {error}"
        )),
        (Err(Ended::Failed(error)), _) => Outcome::Failed(error.to_string()),
        (Err(Ended::Stopped(signal)), _) => Outcome::Stopped(format!("stopped by {signal}")),
    })
}

/// Why the work came to no result.
enum Ended {
    Failed(StepError),
    Stopped(&'static str),
}

/// The execution's record, once it is known to belong to this job.
async fn claimed_record<S: Store>(
    store: &S,
    id: &RecordId,
    environment: &Environment,
    journal: &Journal,
) -> Result<Item, StepError> {
    let ours = &environment.pipeline_execution_id;
    let deadline = tokio::time::Instant::now() + ARN_WAIT;
    loop {
        let record = retried(journal, "reading the record", READ_ATTEMPTS, async || {
            store.record(id).await
        })
        .await?;
        let record = record.ok_or_else(|| StepError::NoRecord {
            table: environment.executions_table.clone(),
            id: id.to_string(),
        })?;
        match claim(&record, ours) {
            Claim::Ours => return Ok(record),
            Claim::Other(arn) => {
                return Err(StepError::OtherExecution {
                    table: environment.executions_table.clone(),
                    id: id.to_string(),
                    arn,
                    ours: ours.clone(),
                });
            }
            Claim::Unknown if tokio::time::Instant::now() >= deadline => {
                journal.warn(format!(
                    "the record does not say after {} s to which pipeline execution it belongs; taken as this one's",
                    ARN_WAIT.as_secs()
                ));
                return Ok(record);
            }
            Claim::Unknown => tokio::time::sleep(ARN_POLL).await,
        }
    }
}

/// What the work needs.
struct Work<'a, S, O> {
    job: &'a Job<'a>,
    environment: &'a Environment,
    id: &'a RecordId,
    store: &'a S,
    objects: &'a O,
    reporter: &'a Arc<Reporter>,
    staging: &'a Staging,
    /// Of the keys in the models bucket, with `/` at its end.
    prefix: &'a str,
}

impl<S: Store, O: Objects> Work<'_, S, O> {
    /// From the record to outputs in their places; gives the summary for the
    /// record.
    async fn run(&self, record: &Item) -> Result<Map<String, Value>, StepError> {
        let journal = self.job.journal;
        let template = self.template(record)?;
        journal.info(format!(
            "training template {}: predicts {}",
            template.id, template.predicted_asset
        ));
        let needed = self.needed_assets(&template).await?;

        let computation = Computation {
            folder: self.job.layout.assets(),
            journal: journal.clone(),
            reporter: Arc::clone(self.reporter),
            staging: self.staging.clone(),
        };
        // The numbers take both cores for seconds to minutes; the record is
        // kept up to date meanwhile.
        let summary = tokio::task::spawn_blocking(move || computation.run(&template, needed))
            .await
            .map_err(|error| StepError::Internal(panic_text(error)))??;

        self.stage("uploading");
        self.upload().await?;
        self.staging.publish()?;
        record_summary(&summary, self.objects.uri(self.prefix))
    }

    fn template(&self, record: &Item) -> Result<TrainingTemplate, StepError> {
        let parameters = frozen_template(record)
            .map_err(|fault| StepError::Parameters {
                id: self.id.to_string(),
                fault,
            })?
            .ok_or_else(|| StepError::NoParameters {
                table: self.environment.executions_table.clone(),
                id: self.id.to_string(),
            })?;
        Ok(TrainingTemplate::parse(&parameters)?)
    }

    async fn needed_assets(
        &self,
        template: &TrainingTemplate,
    ) -> Result<Vec<CatalogueAsset>, StepError> {
        let journal = self.job.journal;
        let items = retried(
            journal,
            "reading the asset catalogue",
            READ_ATTEMPTS,
            async || self.store.catalogue().await,
        )
        .await?;
        let (catalogue, unclassified) =
            catalogue_assets(&items).map_err(|fault| StepError::Catalogue {
                table: self.environment.assets_table.clone(),
                fault,
            })?;
        let needed = features::assets_needed(template, &catalogue)?;
        let unclassified: Vec<String> = unclassified
            .into_iter()
            .filter(|ticker| needed.iter().any(|asset| asset.ticker == *ticker))
            .collect();
        if !unclassified.is_empty() {
            journal.warn(format!(
                "the asset catalogue gives no class to {}; each counts as `{}`",
                listed(&unclassified),
                crate::store::UNCLASSIFIED
            ));
        }
        journal.info(format!(
            "asset catalogue: {} of {} assets are needed",
            needed.len(),
            catalogue.len()
        ));
        Ok(needed)
    }

    /// Uploads every staged file. An upload that fails fails the step: what was
    /// uploaded before it is whole, but the record will not point there.
    async fn upload(&self) -> Result<(), StepError> {
        let journal = self.job.journal;
        let began = journal.now();
        let files = self.staging.files();
        let mut bytes = 0;
        for file in &files {
            let key = format!("{}{}", self.prefix, file.name);
            self.objects.put(&key, Body::File(&file.partial)).await?;
            bytes += size_of(&file.partial)?;
        }
        journal.info(format!(
            "uploaded {} files, {}, to {} ({})",
            files.len(),
            size(bytes),
            self.objects.uri(self.prefix),
            took(began, journal.now())
        ));
        Ok(())
    }

    fn stage(&self, stage: &str) {
        self.reporter
            .apply(Event::Stage(stage.to_owned()), self.job.journal.now());
    }
}

/// The part of the step that computes, in a thread of its own.
struct Computation {
    folder: PathBuf,
    journal: Journal,
    reporter: Arc<Reporter>,
    staging: Staging,
}

impl Computation {
    fn run(
        &self,
        template: &TrainingTemplate,
        needed: Vec<CatalogueAsset>,
    ) -> Result<Summary, StepError> {
        let prices = self.read_prices(&needed)?;
        let assets = needed.into_iter().zip(prices).collect();
        let mut narrator = Narrator::new(&self.journal, &self.reporter);
        let set = features::run(template, assets, &mut |progress| narrator.tell(progress))?;
        let left_out: Vec<String> = set
            .summary()
            .left_out
            .iter()
            .map(|left| format!("{} ({})", left.column, left.reason))
            .collect();
        if !left_out.is_empty() {
            self.journal.warn(format!(
                "{} columns are in neither DeepAR file: {}",
                left_out.len(),
                listed(&left_out)
            ));
        }
        self.write(&set, template.deepar.compress)?;
        Ok(set.summary().clone())
    }

    fn read_prices(&self, needed: &[CatalogueAsset]) -> Result<Vec<PriceSeries>, StepError> {
        let began = self.journal.now();
        let name = |asset: &CatalogueAsset| format!("{}.csv", asset.ticker);
        let missing: Vec<String> = needed
            .iter()
            .map(name)
            .filter(|name| !self.folder.join(name).exists())
            .collect();
        if !missing.is_empty() {
            return Err(StepError::MissingPrices {
                folder: self.folder.display().to_string(),
                missing,
            });
        }
        let mut prices = Vec::with_capacity(needed.len());
        for asset in needed {
            let path = self.folder.join(name(asset));
            let bytes = fs::read(&path).map_err(|source| StepError::Read {
                path: path.clone(),
                source,
            })?;
            let file = path.display().to_string();
            let series = features::read_prices(&asset.ticker, &file, &bytes)?;
            if series.dropped > 0 {
                self.journal.warn(format!(
                    "{file}: {} rows without a price are left out",
                    series.dropped
                ));
            }
            prices.push(series);
        }
        let rows: usize = prices.iter().map(|series| series.prices.len()).sum();
        self.journal.info(format!(
            "price files: {} files, {rows} prices ({})",
            prices.len(),
            took(began, self.journal.now())
        ));
        Ok(prices)
    }

    /// Writes every output under its temporary name.
    fn write(&self, set: &FeatureSet, compress: bool) -> Result<(), StepError> {
        self.reporter
            .apply(Event::Stage("writing files".to_owned()), self.journal.now());
        let summary = set.summary();
        let json = |value: &Value, out: &mut dyn Write| {
            serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
            out.write_all(b"\n")
        };
        self.file(
            "features/features.csv",
            &format!("{} rows of {} columns", summary.rows, summary.columns),
            |mut out| set.write_features_csv(&mut out),
        )?;
        self.file(
            "features/series.json",
            &format!("{} series", summary.train_series),
            |out| json(&set.series_map(), out),
        )?;
        self.file("features/summary.json", "all figures", |out| {
            json(&serde_json::to_value(summary)?, out)
        })?;
        let train = format!(
            "{} series with {} values",
            summary.train_series, summary.train_values
        );
        let test = format!("{} records", summary.test_records);
        if compress {
            self.file("train/train.json.gz", &train, |out| {
                gzip(out, |mut out| set.write_train(&mut out))
            })?;
            self.file("test/test.json.gz", &test, |out| {
                gzip(out, |mut out| set.write_test(&mut out))
            })
        } else {
            self.file("train/train.json", &train, |mut out| {
                set.write_train(&mut out)
            })?;
            self.file("test/test.json", &test, |mut out| set.write_test(&mut out))
        }
    }

    fn file(
        &self,
        name: &str,
        what: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), StepError> {
        let began = self.journal.now();
        let mut out = self.staging.create(name)?;
        let written = write(&mut out)
            .and_then(|()| out.flush())
            .and_then(|()| out.get_ref().metadata());
        let metadata = written.map_err(|source| OutputError {
            action: "write",
            path: PathBuf::from(name),
            source,
        })?;
        self.journal.info(format!(
            "{name}: {what}, {} ({})",
            size(metadata.len()),
            took(began, self.journal.now())
        ));
        Ok(())
    }
}

/// Runs `write` on a gzip stream into `out`, with neither a name nor a time in
/// it: the same content gives the same bytes.
fn gzip(
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut stream = GzBuilder::new().write(out, Compression::new(6));
    write(&mut stream)?;
    stream.finish().map(|_| ())
}

/// Turns the library's progress into lines and stages.
struct Narrator<'a> {
    journal: &'a Journal,
    reporter: &'a Reporter,
    began: EpochMs,
    told: EpochMs,
    opening: String,
}

impl<'a> Narrator<'a> {
    fn new(journal: &'a Journal, reporter: &'a Reporter) -> Self {
        let now = journal.now();
        Self {
            journal,
            reporter,
            began: now,
            told: now,
            opening: String::new(),
        }
    }

    fn tell(&mut self, progress: Progress) {
        let now = self.journal.now();
        match progress {
            Progress::Started { stage, text } => {
                self.reporter.apply(Event::Stage(stage.to_string()), now);
                self.began = now;
                self.told = now;
                self.opening = text;
            }
            // A line for every ten seconds of a long stage.
            Progress::Advanced { stage, done, total } => {
                if now.saturating_sub(self.told) >= SYNC_INTERVAL_MS {
                    self.told = now;
                    self.journal
                        .info(format!("{stage}: {done} of {total} done"));
                }
            }
            Progress::Finished { stage, text } => self.journal.info(format!(
                "{stage}: {}: {text} ({})",
                std::mem::take(&mut self.opening),
                took(self.began, now)
            )),
            Progress::Warning(text) => self.journal.warn(text),
            // A kind of progress that this program does not know of yet.
            other => self.journal.info(format!("{other:?}")),
        }
    }
}

/// The summary as the record keeps it: small, whatever the number of columns.
fn record_summary(summary: &Summary, outputs: String) -> Result<Map<String, Value>, StepError> {
    let Ok(Value::Object(mut entries)) = serde_json::to_value(summary) else {
        return Err(StepError::Internal(
            "the summary is no JSON object".to_owned(),
        ));
    };
    for name in ["warnings", "leftOut"] {
        if let Some(Value::Array(list)) = entries.get_mut(name) {
            let count = list.len();
            list.truncate(LISTED);
            entries.insert(format!("{name}Count"), Value::from(count));
        }
    }
    entries.retain(|_, value| !value.is_null());
    entries.insert("outputs".to_owned(), Value::String(outputs));
    Ok(entries)
}

/// A time span as a person reads it.
fn took(from: EpochMs, to: EpochMs) -> String {
    let ms = to.saturating_sub(from).max(0);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A number of bytes as a person reads it.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

fn size_of(path: &Path) -> Result<u64, StepError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(StepError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>, StepError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StepError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Tells SageMaker why the job failed: it shows the start of this file.
fn write_message(path: &Path, reason: &str) -> Result<(), OutputError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text::cut_with_mark(reason, MAX_REASON_BYTES))
    };
    write().map_err(|source| OutputError {
        action: "write",
        path: path.to_path_buf(),
        source,
    })
}

/// What a panicking thread said.
fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload.downcast::<&'static str>().map_or_else(
                |_| "a panic without a text".to_owned(),
                |text| (*text).to_owned(),
            ),
        },
        Err(error) => error.to_string(),
    }
}
