//! The step from its first line to its exit status.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipewright::features::{
    self, CatalogueAsset, Destination, FeatureError, Importance, Options, PriceFileErrors,
    PriceSeries, Progress, Summary,
};
use pipewright::record::rows::{OUTPUTS, PLOTS, TOP_FEATURES};
use pipewright::record::{InvalidRecordId, Item, RecordId};
use pipewright::training_template::{TemplateFaults, TrainingTemplate};
use pipewright::wording::{self, cut_with_mark, first_of};
use pipewright_files::{below, bounded};
use pipewright_job::hosts::{self, ResourceConfigError, Role};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::environment::{Environment, EnvironmentError};
use crate::job::{self, JobConfigError};
use crate::journal::{EpochMs, Journal, SYNC_INTERVAL_MS};
use crate::layout::Layout;
use crate::outputs::{OutputError, Staging};
use crate::report::{Event, MAX_REASON_BYTES, Report, Reporter};
use crate::store::{
    Body, Claim, MOST_FEATURES, ObjectError, Objects, Store, StoreError, catalogue_assets, claim,
    frozen_template, importance_item, retried,
};
use crate::sync::{Haste, Syncer};

/// How long the step waits for start-execution to store to which pipeline
/// execution a record belongs: it does so right after SageMaker has accepted
/// the start, long before a job's container runs.
const ARN_WAIT: Duration = Duration::from_secs(30);

/// How often it looks meanwhile.
const ARN_POLL: Duration = Duration::from_secs(2);

/// How often a read of a table is tried.
const READ_ATTEMPTS: u32 = 5;

/// How often a write to the table of feature importances is tried.
const WRITE_ATTEMPTS: u32 = 5;

/// How many warnings and left-out columns the record's summary lists; the file
/// `features/summary.json` has all.
const LISTED: usize = 20;

/// How the step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// All outputs are in their places and the record says so.
    Succeeded,
    /// Another host does the step.
    Bystander,
    /// There are no outputs, or the record could not be told about them.
    Failed(String),
    /// The job was stopped.
    Stopped(String),
}

impl StepOutcome {
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
    /// The job's account is not known.
    #[error(transparent)]
    JobConfig(#[from] JobConfigError),
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
    /// The frozen template is wrong.
    #[error("the training template: {}", joined(.0.faults()))]
    Template(#[from] TemplateFaults),
    /// The asset catalogue is wrong.
    #[error("the asset catalogue in table {table}: {fault}")]
    Catalogue {
        /// The table.
        table: String,
        /// What is wrong.
        fault: String,
    },
    /// Price files are missing or wrong.
    #[error("{}", joined(&.0.sentences()))]
    Prices(#[from] PriceFileErrors),
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

/// Faults in one line: a program that shows the record or its log makes a space of
/// each line's end.
fn joined<T: ToString>(faults: &[T]) -> String {
    let faults: Vec<String> = faults.iter().map(T::to_string).collect();
    faults.join("; ")
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
/// once it is known to be complete, given the account that the job runs in, and `stop` resolves to a signal's name when
/// the job is being stopped.
///
/// Failures are told in the log, in `output/message` and, once the record is
/// known to be this job's, in the record.
pub async fn run<S, O>(
    job: Job<'_>,
    variable: impl Fn(&str) -> Option<String>,
    connect: impl AsyncFnOnce(&Environment, &str) -> (S, O),
    stop: impl Future<Output = &'static str>,
) -> StepOutcome
where
    S: Store,
    O: Objects,
{
    let journal = job.journal;
    let outcome = match attempt(&job, variable, connect, stop).await {
        Ok(outcome) => outcome,
        Err(error) => {
            journal.error(error.to_string());
            StepOutcome::Failed(error.to_string())
        }
    };
    if let StepOutcome::Failed(reason) | StepOutcome::Stopped(reason) = &outcome
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
    connect: impl AsyncFnOnce(&Environment, &str) -> (S, O),
    stop: impl Future<Output = &'static str>,
) -> Result<StepOutcome, StepError> {
    let journal = job.journal;
    let config = read_if_there(&job.layout.resource_config())?;
    match hosts::role(config.as_deref())? {
        Role::Bystander { this, primary } => {
            journal.info(format!(
                "host {this} has nothing to do: the step runs on host {primary} alone, an instance count of 1 is enough"
            ));
            return Ok(StepOutcome::Bystander);
        }
        Role::Primary { hosts: 1, .. } => {}
        Role::Primary { hosts, .. } => journal.warn(format!(
            "this host does the whole step; the job's other {} are not needed, set the instance count to 1",
            hosts - 1
        )),
    }
    let environment = Environment::read(variable)?;
    let account = job::account(read_if_there(&job.layout.job_config())?.as_deref())?;
    let id = RecordId::new(job.execution_id)?;
    journal.info(format!(
        "feature-engineering {}: execution {id}, pipeline execution {}",
        env!("CARGO_PKG_VERSION"),
        environment.pipeline_execution_id
    ));
    journal.info(started_by(&job.layout.executor()));
    let (store, objects) = connect(&environment, &account).await;

    let mut stop = std::pin::pin!(stop);
    let record = tokio::select! {
        record = claimed_record(&store, &id, &environment, journal) => record?,
        signal = &mut stop => {
            let reason = format!("stopped by {signal} before the step began");
            journal.warn(reason.clone());
            return Ok(StepOutcome::Stopped(reason));
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
        (Ok(_), Ok(())) => StepOutcome::Succeeded,
        (Ok(_), Err(error)) => StepOutcome::Failed(format!(
            "the outputs are complete, but the record was not told: {error}"
        )),
        (Err(Ended::Failed(error)), _) => StepOutcome::Failed(error.to_string()),
        (Err(Ended::Stopped(signal)), _) => StepOutcome::Stopped(format!("stopped by {signal}")),
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
        let made = tokio::task::spawn_blocking(move || computation.run(&template, needed))
            .await
            .map_err(|error| StepError::Internal(panic_text(error)))??;

        self.stage("uploading");
        self.upload().await?;
        if let Some(importance) = &made.importance {
            self.store_importance(importance).await?;
        }
        self.staging.publish()?;
        record_summary(&made, self.objects.uri(self.prefix))
    }

    fn template(&self, record: &Item) -> Result<TrainingTemplate, StepError> {
        let parameters = frozen_template(record).ok_or_else(|| StepError::NoParameters {
            table: self.environment.executions_table.clone(),
            id: self.id.to_string(),
        })?;
        Ok(TrainingTemplate::parse(parameters)?)
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
                first_of(&unclassified, LISTED),
                features::UNCLASSIFIED
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
            wording::size(bytes),
            self.objects.uri(self.prefix),
            took(began, journal.now())
        ));
        Ok(())
    }

    /// Keeps the most important features where dashboards and people query them.
    async fn store_importance(&self, importance: &Importance) -> Result<(), StepError> {
        let journal = self.job.journal;
        let item = importance_item(self.id, importance, journal.now());
        retried(
            journal,
            "writing the feature importance",
            WRITE_ATTEMPTS,
            async || self.store.write_importance(&item).await,
        )
        .await?;
        journal.info(format!(
            "feature importance: {} of {} features in table {}",
            importance.features.len().min(MOST_FEATURES),
            importance.features.len(),
            self.environment.feature_importance_table
        ));
        Ok(())
    }

    fn stage(&self, stage: &str) {
        self.reporter
            .apply(Event::Stage(stage.to_owned()), self.job.journal.now());
    }
}

/// What the computation made.
struct ComputedFeatures {
    summary: Summary,
    importance: Option<Importance>,
    plots: usize,
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
    ) -> Result<ComputedFeatures, StepError> {
        let options = Options::default();
        let assets = self.read_prices(needed, options)?;
        let mut narrator = Narrator::new(&self.journal, &self.reporter);
        let set = features::run_with(template, assets, options, &mut |told| narrator.tell(told))?;
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
                first_of(&left_out, LISTED)
            ));
        }
        self.reporter
            .apply(Event::Stage("writing files".to_owned()), self.journal.now());
        let plots = set.write(&mut Staged {
            computation: self,
            narrator,
        })?;
        Ok(ComputedFeatures {
            summary: set.summary().clone(),
            importance: set.importance().cloned(),
            plots,
        })
    }

    fn read_prices(
        &self,
        needed: Vec<CatalogueAsset>,
        options: Options,
    ) -> Result<Vec<(CatalogueAsset, PriceSeries)>, StepError> {
        let began = self.journal.now();
        let folder = self.folder.display().to_string();
        let open = |name: &str| {
            let file = self.folder.join(below::file_name(name)?);
            bounded::read(&file, bounded::LARGEST_PRICES)
        };
        // The record's reason is short, and its reader knows no path in here.
        let assets = features::read_price_files(needed, &folder, "", options.threads, open)?;
        let rows: usize = assets.iter().map(|(_, series)| series.prices.len()).sum();
        self.journal.info(format!(
            "price files: {} files, {rows} prices ({})",
            assets.len(),
            took(began, self.journal.now())
        ));
        Ok(assets)
    }
}

/// Takes the outputs under their temporary names.
struct Staged<'a> {
    computation: &'a Computation,
    narrator: Narrator<'a>,
}

impl Destination for Staged<'_> {
    type Error = OutputError;

    fn file(
        &mut self,
        name: &str,
        what: &str,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let journal = &self.computation.journal;
        let began = journal.now();
        let mut out = self.computation.staging.create(name)?;
        let written = content(&mut out)
            .and_then(|()| out.flush())
            .and_then(|()| out.get_ref().metadata());
        let metadata = written.map_err(|source| OutputError {
            action: "write",
            path: PathBuf::from(name),
            source,
        })?;
        journal.info(format!(
            "{name}: {what}, {} ({})",
            wording::size(metadata.len()),
            took(began, journal.now())
        ));
        Ok(())
    }

    fn tell(&mut self, progress: Progress) {
        // A reader of the record misses a picture; the features are worth
        // having without.
        if let Progress::Warning(text) = &progress {
            self.computation.reporter.note(vec![text.clone()]);
        }
        self.narrator.tell(progress);
    }
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
fn record_summary(
    made: &ComputedFeatures,
    outputs: String,
) -> Result<Map<String, Value>, StepError> {
    let Ok(Value::Object(mut entries)) = serde_json::to_value(&made.summary) else {
        return Err(StepError::Internal(
            "the summary is not a JSON object".to_owned(),
        ));
    };
    for name in ["warnings", "leftOut"] {
        if let Some(Value::Array(list)) = entries.get_mut(name) {
            let count = list.len();
            list.truncate(LISTED);
            entries.insert(format!("{name}Count"), Value::from(count));
        }
    }
    // The warnings name those that lose much.
    entries.remove("assetDays");
    entries.retain(|_, value| !value.is_null());
    // In words: who looks at the record wants them at a glance, and the table of
    // feature importances has the figures.
    let top = made.summary.top_features.iter();
    let top: Vec<Value> = top
        .map(|feature| Value::from(feature.to_string()))
        .collect();
    entries.insert(TOP_FEATURES.0.to_owned(), Value::Array(top));
    entries.insert(PLOTS.to_owned(), Value::from(made.plots));
    entries.insert(OUTPUTS.to_owned(), Value::String(outputs));
    Ok(entries)
}

/// The time between two moments, in words.
fn took(from: EpochMs, to: EpochMs) -> String {
    let ms = u64::try_from(to.saturating_sub(from)).unwrap_or_default();
    wording::span(Duration::from_millis(ms))
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
    let text = bounded::read(path, bounded::LARGEST_TEXT)
        .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StepError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// What started the step, as a line of the log: the script by its digest, which
/// the definition has in the script's S3 URI.
fn started_by(executor: &Path) -> String {
    let digest = fs::read(executor).map(Sha256::digest);
    match digest {
        Ok(digest) => format!(
            "started by run-fe-step.sh with the SHA-256 {}",
            wording::hex(&digest)
        ),
        Err(error) => format!(
            "started by no script that could be read at {}: {error}",
            executor.display()
        ),
    }
}

/// Tells SageMaker why the job failed: it shows the start of this file.
fn write_message(path: &Path, reason: &str) -> Result<(), OutputError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, cut_with_mark(reason, MAX_REASON_BYTES))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Behaviour, FakeObjects, FakeStore, START, TempDir, journal};
    use pipewright::record::rows::FIGURES;
    use serde_json::json;

    const ARN: &str =
        "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/prediction/execution/abc123";

    fn item(json: &Value) -> Item {
        json.as_object().unwrap().clone()
    }

    /// A training template of two assets with indicators and low-pass columns.
    fn template() -> Value {
        json!({
            "Id": "t-1",
            "name": "two assets",
            "predictedAsset": "AAA",
            "feMeta": {
                "baseAssets": ["AAA", "B.B"],
                "taSettings": {
                    "enabled": true, "assets": ["AAA"],
                    "bollingerBand": {"window": 20, "window_dev": 2},
                    "rsi": {"window": 14}, "sma": {"window": 10}
                },
                "fftSettings": {
                    "enabled": true, "assetClasses": ["Energy"], "num_steps": [3]
                }
            },
            "deepARMeta": {
                "freq": "1D",
                "predictionLength": 7, "contextLength": 28,
                "startDataset": 1_577_836_800_000_i64, "endTraining": 1_604_188_800_000_i64,
                "testWindows": 2,
                "hyperParams": {"epochs": "20"}
            }
        })
    }

    /// A year of prices from 2020-01-01 on, every day.
    fn prices(factor: f64) -> String {
        let mut text = String::from("Date,Close\n");
        let mut date = time::macros::date!(2020 - 01 - 01);
        for day in 0..366_u32 {
            let price = factor * (100.0 + f64::from(day % 17) + f64::from(day) / 10.0);
            text.push_str(&format!("{date},{price}\n"));
            date = date.next_day().unwrap();
        }
        text
    }

    /// A job with everything in order; tests spoil one thing each.
    struct Scene {
        dir: TempDir,
        store: FakeStore,
        objects: FakeObjects,
        journal: Journal,
        execution_id: String,
        missing_variable: Option<&'static str>,
    }

    impl Scene {
        fn new(name: &str) -> Self {
            let dir = TempDir::new(name);
            let assets = dir.path().join("processing/input/assets");
            fs::create_dir_all(&assets).unwrap();
            fs::write(assets.join("AAA.csv"), prices(1.0)).unwrap();
            fs::write(assets.join("B.B.csv"), prices(0.5)).unwrap();
            let config = dir.path().join("config");
            fs::create_dir_all(&config).unwrap();
            let arn = "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/x";
            let job = json!({"ProcessingJobArn": arn}).to_string();
            fs::write(config.join("processingjobconfig.json"), job).unwrap();
            let mut store = FakeStore::with_record(item(&json!({
                "Id": "run-1", "entry": "record",
                "pipelineExecutionArn": ARN, "parameters": template()
            })));
            store.catalogue = vec![
                item(&json!({"Id": "AAA", "ticker": "AAA", "assetClass": "Technology"})),
                item(&json!({"Id": "B.B", "ticker": "B.B", "assetClass": "Energy"})),
                item(&json!({"Id": "C", "ticker": "C", "assetClass": "Utilities"})),
            ];
            Self {
                dir,
                store,
                objects: FakeObjects::default(),
                journal: journal(),
                execution_id: "run-1".to_owned(),
                missing_variable: None,
            }
        }

        fn set_template(&self, template: &Value) {
            let mut items = self.store.items.lock().unwrap();
            let parameters = template.clone();
            items
                .get_mut("record")
                .unwrap()
                .insert("parameters".to_owned(), parameters);
        }

        fn set_record(&self, record: &Value) {
            let mut items = self.store.items.lock().unwrap();
            items.insert("record".to_owned(), item(record));
        }

        fn csv(&self, name: &str) -> PathBuf {
            self.dir.path().join("processing/input/assets").join(name)
        }

        fn message(&self) -> String {
            fs::read_to_string(self.dir.path().join("output/message")).unwrap()
        }

        /// Files below `processing/` that are not inputs.
        fn outputs(&self) -> Vec<String> {
            let files = self.dir.files().into_iter();
            files
                .filter_map(|file| file.strip_prefix("processing/").map(str::to_owned))
                .filter(|file| !file.starts_with("input/"))
                .collect()
        }

        async fn run_until(&self, stop: impl Future<Output = &'static str>) -> StepOutcome {
            let layout = Layout::new(self.dir.path());
            let job = Job {
                execution_id: &self.execution_id,
                layout: &layout,
                journal: &self.journal,
            };
            let variable = |name: &str| match name {
                "PIPELINE_EXECUTION_ID" => Some("ABC123".to_owned()),
                _ if Some(name) == self.missing_variable => None,
                _ => Some(name.to_lowercase()),
            };
            run(
                job,
                variable,
                async |_: &Environment, account: &str| {
                    assert_eq!(account, "123456789012");
                    (&self.store, &self.objects)
                },
                stop,
            )
            .await
        }

        async fn run(&self) -> StepOutcome {
            self.run_until(std::future::pending()).await
        }

        /// Runs a job that must fail before it has any output, and gives the
        /// reason, which stands in the message, in the report and in the log.
        async fn fails(&self) -> String {
            let StepOutcome::Failed(reason) = self.run().await else {
                panic!("it did not fail: {}", self.journal.full());
            };
            assert_eq!(self.outputs(), [""; 0], "no output may be left");
            assert_eq!(self.message(), cut_with_mark(&reason, 1024));
            let report = self.store.report();
            assert_eq!(report["status"], "Failed");
            assert_eq!(report["reason"], cut_with_mark(&reason, 1024));
            let lines = self.store.log_lines();
            assert!(lines.iter().any(|line| line.contains(&reason)), "{lines:?}");
            assert!(
                self.objects
                    .text("execution/run-1/logs/feature-engineering.log")
                    .contains("ERROR failed: ")
            );
            reason
        }
    }

    #[tokio::test]
    async fn a_job_that_succeeds_has_its_outputs_in_all_places() {
        let scene = Scene::new("step-success");
        assert_eq!(
            scene.run().await,
            StepOutcome::Succeeded,
            "{}",
            scene.journal.full()
        );
        let outputs = [
            "features/baselines.json",
            "features/features.csv",
            "features/importance.json",
            "features/series.json",
            "features/summary.json",
            "plots/assets-energy.png",
            "plots/assets-technology.png",
            "plots/autocorrelation-aaa.png",
            "plots/importance-classes.png",
            "plots/importance-columns.png",
            "plots/low-pass-b-b.png",
            "test/test.json",
            "train/train.json",
        ];
        assert_eq!(scene.outputs(), outputs);
        for name in outputs {
            let path = scene.dir.path().join("processing").join(name);
            let objects = scene.objects.objects.lock().unwrap();
            assert_eq!(
                fs::read(path).unwrap(),
                objects[&format!("execution/run-1/{name}")]
            );
        }
        let features = scene.objects.text("execution/run-1/features/features.csv");
        assert!(
            features.starts_with("Date,AAA,B.B,AAA_BB_Up,"),
            "{}",
            &features[..80]
        );
        assert_eq!(features.lines().count(), 367);

        let report = scene.store.report();
        assert_eq!(report["status"], "Succeeded");
        let summary = &report["summary"];
        assert_eq!(summary["rows"], 366);
        assert_eq!(summary["plots"], 6);
        assert_eq!(summary["columns"], 8);
        assert_eq!(summary["firstDate"], "2020-01-01");
        assert_eq!(summary["outputs"], "s3://models/execution/run-1/");
        let train = scene.objects.text("execution/run-1/train/train.json");
        assert_eq!(summary["trainSeries"], train.lines().count());
        let test = scene.objects.text("execution/run-1/test/test.json");
        assert_eq!(summary["testRecords"], test.lines().count());
        let file = scene.objects.text("execution/run-1/features/summary.json");
        let file: Value = serde_json::from_str(&file).unwrap();
        for (name, _) in FIGURES {
            assert!(
                file.get(name).or(summary.get(name)).is_some(),
                "no summary has {name}"
            );
        }

        let importances = scene.store.importances.lock().unwrap();
        let item = &importances[0];
        assert_eq!(importances.len(), 1);
        assert_eq!(item["Id"], "run-1");
        let file = scene
            .objects
            .text("execution/run-1/features/importance.json");
        let file: Value = serde_json::from_str(&file).unwrap();
        assert_eq!(item["target"], "AAA");
        assert_eq!(item["features"], file["features"]);
        let first = format!("{} (", file["features"][0]["column"].as_str().unwrap());
        let top = summary["topFeatures"][0].as_str().unwrap();
        assert!(top.starts_with(&first), "{top}");

        assert!(!scene.dir.path().join("output/message").exists());
        let log = scene
            .objects
            .text("execution/run-1/logs/feature-engineering.log");
        assert_eq!(log, scene.journal.full());
        assert!(log.contains("INFO  succeeded in "), "{log}");
        assert_eq!(scene.store.log_lines().len(), log.lines().count());
    }

    #[tokio::test]
    async fn compressed_files_are_gzip_and_the_same_each_time() {
        let scene = Scene::new("step-gzip");
        let mut compressed = template();
        compressed["deepARMeta"]["compress"] = json!(true);
        scene.set_template(&compressed);
        let mut seen = Vec::new();
        for _ in 0..2 {
            assert_eq!(
                scene.run().await,
                StepOutcome::Succeeded,
                "{}",
                scene.journal.full()
            );
            let objects = scene.objects.objects.lock().unwrap();
            seen.push(objects["execution/run-1/train/train.json.gz"].clone());
        }
        assert_eq!(seen[0], seen[1]);
        let mut train = String::new();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*seen[0]), &mut train).unwrap();
        assert!(train.starts_with(r#"{"start":"#), "{}", &train[..40]);
        assert!(scene.outputs().contains(&"test/test.json.gz".to_owned()));
    }

    #[tokio::test]
    async fn missing_price_files_are_all_named() {
        let scene = Scene::new("step-missing");
        fs::remove_file(scene.csv("AAA.csv")).unwrap();
        fs::remove_file(scene.csv("B.B.csv")).unwrap();
        let reason = scene.fails().await;
        assert!(
            reason.contains("has no price file for AAA.csv, B.B.csv"),
            "{reason}"
        );
    }

    #[tokio::test]
    async fn a_bad_cell_is_named_by_file_and_line() {
        let scene = Scene::new("step-cell");
        fs::write(
            scene.csv("B.B.csv"),
            "Date,Close\n2020-01-01,1\n2020-01-02,abc\n",
        )
        .unwrap();
        let reason = scene.fails().await;
        assert!(
            reason.contains("B.B.csv line 3, asset `B.B`: `abc` is not a price"),
            "{reason}"
        );
    }

    #[tokio::test]
    async fn several_faults_are_told_in_one_line_and_kept_apart() {
        let scene = Scene::new("step-faults");
        fs::remove_file(scene.csv("AAA.csv")).unwrap();
        fs::write(
            scene.csv("B.B.csv"),
            "Date,Close\n2020-01-01,1\n2020-01-02,abc\n",
        )
        .unwrap();
        let reason = scene.fails().await;
        assert!(
            reason.contains("out of the training template; B.B.csv line 3, asset"),
            "{reason}"
        );
        assert_eq!(reason.lines().count(), 1, "{reason}");

        let mut wrong = template();
        wrong["feMeta"]["taSetings"] = json!({});
        wrong["predictedAsset"] = json!("");
        scene.set_template(&wrong);
        let reason = scene.fails().await;
        assert!(
            reason.starts_with("the training template: ") && reason.contains("; "),
            "{reason}"
        );
        assert_eq!(reason.lines().count(), 1, "{reason}");
    }

    #[tokio::test]
    async fn assets_without_common_dates_fail_with_their_ranges() {
        let scene = Scene::new("step-overlap");
        fs::write(
            scene.csv("B.B.csv"),
            "Date,Close\n1999-01-04,1\n1999-01-05,2\n",
        )
        .unwrap();
        let reason = scene.fails().await;
        assert!(
            reason.contains("only 0 dates are common to all 2 assets"),
            "{reason}"
        );
        assert!(reason.contains("1999-01-04"), "{reason}");
    }

    #[tokio::test]
    async fn an_unknown_template_key_is_named() {
        let scene = Scene::new("step-key");
        let mut wrong = template();
        wrong["feMeta"]["taSetings"] = json!({});
        scene.set_template(&wrong);
        let reason = scene.fails().await;
        assert!(reason.contains("taSetings"), "{reason}");
    }

    #[tokio::test]
    async fn an_asset_that_the_catalogue_lacks_is_named() {
        let scene = Scene::new("step-asset");
        let mut wrong = template();
        wrong["feMeta"]["baseAssets"] = json!(["AAA", "ZZZ"]);
        scene.set_template(&wrong);
        let reason = scene.fails().await;
        assert!(reason.contains("ZZZ"), "{reason}");
    }

    #[tokio::test]
    async fn an_upload_that_fails_fails_the_step() {
        let mut scene = Scene::new("step-upload");
        scene.objects.only_for = "train.json";
        *scene.objects.puts.lock().unwrap() = Behaviour::Fails;
        let reason = scene.fails().await;
        assert!(
            reason.contains(
                "s3://models/execution/run-1/train/train.json cannot be written: AccessDenied"
            ),
            "{reason}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_output_folder_that_cannot_be_written_fails_the_step() {
        let scene = Scene::new("step-folder");
        fs::write(scene.dir.path().join("processing/train"), "a file").unwrap();
        let StepOutcome::Failed(reason) = scene.run().await else {
            panic!("it did not fail");
        };
        assert!(reason.contains("processing/train"), "{reason}");
        assert_eq!(scene.outputs(), ["train"], "only what was there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_does_not_reach_the_record_does_not_fail_the_step() {
        let scene = Scene::new("step-log");
        *scene.store.logs.lock().unwrap() = Behaviour::Fails;
        assert_eq!(
            scene.run().await,
            StepOutcome::Succeeded,
            "{}",
            scene.journal.full()
        );
        let report = scene.store.report();
        assert_eq!(report["status"], "Succeeded");
        let note = report["notes"][0].as_str().unwrap();
        assert!(
            note.contains("log lines are missing from the record"),
            "{note}"
        );
        assert!(note.contains("ThrottlingException"), "{note}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_importance_that_cannot_be_stored_fails_the_step_after_retries() {
        let scene = Scene::new("step-importance-throttled");
        *scene.store.importance_writes.lock().unwrap() = Behaviour::FailsTimes(2);
        assert_eq!(scene.run().await, StepOutcome::Succeeded);
        assert_eq!(scene.store.importances.lock().unwrap().len(), 1);

        let scene = Scene::new("step-importance-refused");
        *scene.store.importance_writes.lock().unwrap() = Behaviour::Fails;
        let reason = scene.fails().await;
        assert!(reason.contains("PutItem"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_are_throttled_for_a_while_are_tried_again() {
        let scene = Scene::new("step-throttled");
        *scene.store.reads.lock().unwrap() = Behaviour::FailsTimes(3);
        assert_eq!(
            scene.run().await,
            StepOutcome::Succeeded,
            "{}",
            scene.journal.full()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_cannot_be_read_fails_the_step_without_a_report() {
        let scene = Scene::new("step-unreadable");
        *scene.store.reads.lock().unwrap() = Behaviour::Fails;
        assert!(matches!(scene.run().await, StepOutcome::Failed(_)));
        assert!(
            scene
                .message()
                .contains("DynamoDB table executions: GetItem failed")
        );
        assert_eq!(scene.store.report(), Value::Null);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_that_the_record_cannot_be_told_is_a_failure_of_the_job() {
        let scene = Scene::new("step-untold");
        *scene.store.reports.lock().unwrap() = Behaviour::Fails;
        let StepOutcome::Failed(reason) = scene.run().await else {
            panic!("it did not fail");
        };
        assert!(reason.contains("the outputs are complete, but"), "{reason}");
        assert_eq!(scene.message(), reason);
    }

    #[tokio::test]
    async fn without_a_record_the_step_says_how_to_start_it() {
        let scene = Scene::new("step-norecord");
        scene.store.items.lock().unwrap().clear();
        assert!(matches!(scene.run().await, StepOutcome::Failed(_)));
        let message = scene.message();
        assert!(
            message.contains("start this pipeline with start-execution"),
            "{message}"
        );
        assert!(
            scene.store.items.lock().unwrap().is_empty(),
            "nothing is written"
        );
        assert!(scene.objects.keys().is_empty());
    }

    #[tokio::test]
    async fn the_record_of_another_execution_is_left_alone() {
        let scene = Scene::new("step-other");
        let other = json!({
            "Id": "run-1", "entry": "record", "parameters": template(),
            "pipelineExecutionArn": ARN.replace("abc123", "zzz")
        });
        scene.set_record(&other);
        assert!(matches!(scene.run().await, StepOutcome::Failed(_)));
        assert!(
            scene
                .message()
                .contains("start this pipeline with start-execution")
        );
        let items = scene.store.items.lock().unwrap().clone();
        assert_eq!(items, [("record".to_owned(), item(&other))].into());
        assert!(scene.objects.keys().is_empty());
    }

    #[tokio::test]
    async fn a_record_without_parameters_was_not_made_by_start_execution() {
        let scene = Scene::new("step-noparameters");
        scene.set_record(&json!({"Id": "run-1", "pipelineExecutionArn": ARN}));
        let reason = scene.fails().await;
        assert!(
            reason.contains("start this pipeline with start-execution"),
            "{reason}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_arn_that_is_stored_a_little_later_is_waited_for() {
        let scene = Scene::new("step-early");
        let late = scene.store.items.lock().unwrap()["record"].clone();
        scene.set_record(&json!({"Id": "run-1", "parameters": template()}));
        *scene.store.later_record.lock().unwrap() = Some((4, late));
        assert_eq!(
            scene.run().await,
            StepOutcome::Succeeded,
            "{}",
            scene.journal.full()
        );
        assert_eq!(*scene.store.read_count.lock().unwrap(), 4);
        assert!(
            !scene
                .journal
                .full()
                .contains("WARN  the record does not say")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_arn_that_is_never_stored_is_accepted_after_half_a_minute() {
        let scene = Scene::new("step-noarn");
        scene.set_record(&json!({"Id": "run-1", "parameters": template()}));
        assert_eq!(
            scene.run().await,
            StepOutcome::Succeeded,
            "{}",
            scene.journal.full()
        );
        assert!(scene.journal.now() - START >= 30_000);
        assert!(
            scene
                .journal
                .full()
                .contains("WARN  the record does not say after 30 s")
        );
    }

    #[tokio::test]
    async fn an_incomplete_environment_and_a_bad_id_are_told_in_the_message() {
        let mut scene = Scene::new("step-environment");
        scene.missing_variable = Some("MODELS_BUCKET");
        assert!(matches!(scene.run().await, StepOutcome::Failed(_)));
        assert!(scene.message().contains("lacks MODELS_BUCKET"));
        scene.missing_variable = None;
        scene.execution_id = "a/b".to_owned();
        assert!(matches!(scene.run().await, StepOutcome::Failed(_)));
        assert!(
            scene.message().contains("--executionid"),
            "{}",
            scene.message()
        );
    }

    /// The step's log says which script started it, by the SHA-256 of the bytes that SageMaker fetched.
    #[tokio::test]
    async fn the_log_has_the_digest_of_the_script_that_started_the_step() {
        let scene = Scene::new("step-executor");
        let script = scene
            .dir
            .path()
            .join("processing/input/code/run-fe-step.sh");
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        fs::write(script, "abc").unwrap();
        assert_eq!(scene.run().await, StepOutcome::Succeeded);
        // FIPS 180-4's own example.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let told = scene.store.log_lines();
        assert!(told.iter().any(|line| line.contains(digest)), "{told:?}");
        let without = Scene::new("step-no-executor");
        assert_eq!(without.run().await, StepOutcome::Succeeded);
        let told = without.store.log_lines();
        assert!(
            told.iter()
                .any(|line| line.contains("started by no script")),
            "{told:?}"
        );
    }

    #[tokio::test]
    async fn a_job_whose_account_is_not_known_writes_nothing() {
        let scene = Scene::new("step-account");
        fs::remove_file(scene.dir.path().join("config/processingjobconfig.json")).unwrap();
        assert!(matches!(scene.run().await, StepOutcome::Failed(_)));
        let message = scene.message();
        assert!(message.contains("processingjobconfig.json"), "{message}");
        assert!(scene.objects.keys().is_empty());
    }

    #[tokio::test]
    async fn a_host_that_is_not_the_primary_does_nothing_and_says_so() {
        let scene = Scene::new("step-bystander");
        let config = scene.dir.path().join("config");
        fs::write(
            config.join("resourceconfig.json"),
            r#"{"current_host":"algo-2","hosts":["algo-1","algo-2"]}"#,
        )
        .unwrap();
        let outcome = scene.run().await;
        assert_eq!(outcome, StepOutcome::Bystander);
        assert_eq!(outcome.exit_status(), 0);
        assert!(scene.outputs().is_empty());
        assert!(scene.objects.keys().is_empty());
        assert_eq!(scene.store.report(), Value::Null);
        assert!(
            scene
                .journal
                .full()
                .contains("the step runs on host algo-1 alone")
        );
    }

    #[tokio::test]
    async fn the_primary_of_many_hosts_does_the_step() {
        let scene = Scene::new("step-primary");
        let config = scene.dir.path().join("config");
        fs::write(
            config.join("resourceconfig.json"),
            r#"{"current_host":"algo-1","hosts":["algo-1","algo-2"]}"#,
        )
        .unwrap();
        assert_eq!(
            scene.run().await,
            StepOutcome::Succeeded,
            "{}",
            scene.journal.full()
        );
        assert!(scene.journal.full().contains("set the instance count to 1"));
    }

    #[tokio::test]
    async fn a_job_that_is_stopped_while_it_uploads_reports_it_and_leaves_nothing() {
        let mut scene = Scene::new("step-stopped");
        scene.objects.only_for = "test.json";
        *scene.objects.puts.lock().unwrap() = Behaviour::Hangs;
        let uploading = async {
            while !scene
                .objects
                .keys()
                .iter()
                .any(|key| key.ends_with("train.json"))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            "SIGTERM"
        };
        let outcome = scene.run_until(uploading).await;
        assert_eq!(
            outcome,
            StepOutcome::Stopped("stopped by SIGTERM".to_owned())
        );
        assert_eq!(outcome.exit_status(), 143);
        assert!(scene.outputs().is_empty(), "{:?}", scene.outputs());
        let report = scene.store.report();
        assert_eq!(report["status"], "Stopped");
        assert_eq!(report["stage"], "uploading");
        assert_eq!(report["reason"], "stopped by SIGTERM");
        assert_eq!(scene.message(), "stopped by SIGTERM");
        let lines = scene.store.log_lines();
        assert!(
            lines
                .last()
                .unwrap()
                .starts_with("stopped by SIGTERM after"),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn a_job_that_is_stopped_before_it_begins_leaves_the_record_alone() {
        let scene = Scene::new("step-stopped-early");
        *scene.store.reads.lock().unwrap() = Behaviour::Hangs;
        let outcome = scene.run_until(std::future::ready("SIGTERM")).await;
        assert!(matches!(outcome, StepOutcome::Stopped(_)));
        assert_eq!(scene.store.report(), Value::Null);
        assert!(scene.message().contains("stopped by SIGTERM"));
    }

    #[tokio::test]
    async fn a_panic_of_the_computation_is_a_failure_that_says_so() {
        let error = tokio::task::spawn_blocking(|| panic!("index {} is gone", 7))
            .await
            .unwrap_err();
        assert_eq!(panic_text(error), "index 7 is gone");
    }
}
