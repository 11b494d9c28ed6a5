//! A training, from the job's files to the artifact.

mod channel;
mod configuration;
mod evaluation;
mod fault;
mod progress;

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use pipewright_forecast::deepar::{Checkpoint, Model, ModelSettings, Trainer};
use pipewright_forecast::hyperparameters::{Cardinality, DynamicFeatures, Hyperparameters};
use pipewright_forecast::metrics::Metric;
use pipewright_forecast::series::{RecordRules, Series, TestSet, TrainingSet};
use pipewright_job::hosts::{self, Role};
use pipewright_wording::count;

use crate::files::{WriteError, read_if_there, write_whole};
use crate::layout::Layout;
use crate::log::{Amount, Dimensions, Log};
use channel::Read;
pub use configuration::InputFault;
use configuration::{Channels, TEST, TRAIN, Texts};
pub use fault::{Class, Fault};
use progress::EpochLog;

/// The least time between two checkpoints; a large network's are large.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// The most windows that a validation takes, as many as an epoch of few series has:
/// so many batches.
const VALIDATION_BATCHES: usize = 10;

/// A training job and what it is given from outside.
pub struct Job<'a> {
    /// Where its files are.
    pub layout: &'a Layout,
    /// Where it tells of itself.
    pub log: &'a Log,
    /// How many threads compute; the result does not depend on it.
    pub threads: usize,
    /// Whether it must go on from a checkpoint. If not, it does so if there is one.
    pub resume: bool,
    /// The seed of a job whose hyperparameters have none, and that resumes no other.
    pub seed: Option<u64>,
    /// Draws a seed for a job that is given none.
    pub draw_seed: &'a dyn Fn() -> u64,
    /// Whether the job is to be stopped.
    pub is_stopped: &'a dyn Fn() -> bool,
}

/// How a training ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingOutcome {
    /// There is a model.
    Finished,
    /// There is the best model up to the moment at which the job was stopped.
    Stopped,
    /// Another host trains.
    Bystander,
}

/// Does a training job, and leaves word of a failure where SageMaker looks for it.
///
/// # Errors
/// [`Fault`], which has been logged.
pub fn run(job: &Job<'_>) -> Result<TrainingOutcome, Fault> {
    let attempt = || {
        // Of an earlier job under the same root.
        remove(&job.layout.failure())?;
        remove(&job.layout.test_scores())?;
        attempt(job)
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt))
        .unwrap_or_else(|payload| Err(Fault::Panic(panic_text(&*payload))));
    if let Err(fault) = &outcome {
        job.log.error(fault.logged());
        let path = job.layout.failure();
        let shown = fault.shown();
        if let Err(error) = write_whole(&path, |to| to.write_all(shown.as_bytes())) {
            job.log.error(error);
        }
    }
    outcome
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&'static str>().copied());
    text.unwrap_or("it left no text").to_owned()
}

fn attempt(job: &Job<'_>) -> Result<TrainingOutcome, Fault> {
    let began = job.log.now();
    let log = job.log;
    log.addition(format_args!(
        "forecasting-deepar {}, {}",
        env!("CARGO_PKG_VERSION"),
        count(job.threads, "thread")
    ));
    let resource_config = read(&job.layout.resource_config())?;
    let resource_config = resource_config.map(|text| String::from_utf8_lossy(&text).into_owned());
    let (host, hosts) = match hosts::role(resource_config.as_deref())? {
        Role::Primary { this, hosts } => (this, hosts),
        Role::Bystander { this, primary } => {
            log.addition(format_args!(
                "host {this} has nothing to do: {primary} trains alone, an instance count of 1 is enough"
            ));
            return Ok(TrainingOutcome::Bystander);
        }
    };
    if hosts > 1 {
        log.warn(format_args!(
            "this host trains alone; the job's other {} are not needed, set the instance count to 1",
            hosts - 1
        ));
    }
    let training = Training {
        job,
        host: &host,
        began,
        hyperparameters: hyperparameters(job)?,
    };
    training.run(hosts)
}

/// Reads and prints the hyperparameters.
fn hyperparameters(job: &Job<'_>) -> Result<Hyperparameters, Fault> {
    let path = job.layout.hyperparameters();
    let document = fs::read(&path).map_err(|source| Fault::Read {
        path: path.clone(),
        source,
        cure: "SageMaker puts the job's hyperparameters there; elsewhere write it, a JSON object of texts",
    })?;
    let (defaults, given) = (Texts::defaults(), Texts::given(&document));
    let log = job.log;
    log.info(format_args!(
        "Reading default configuration from the program: {defaults}"
    ));
    log.info(format_args!(
        "Merging with provided configuration from {}: {given}",
        path.display()
    ));
    log.info(format_args!(
        "Final configuration: {}",
        given.clone().or(defaults)
    ));
    let hyperparameters = Hyperparameters::from_json(&document)?;
    evaluation::check(&hyperparameters)?;
    Ok(hyperparameters)
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        // Nor is it there where its folder is none.
        Err(source)
            if !matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Err(WriteError {
                path: path.to_path_buf(),
                source,
            }
            .into())
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    read_if_there(path).map_err(|source| Fault::Read {
        path: path.to_path_buf(),
        source,
        cure: "see its permissions",
    })
}

/// A training whose hyperparameters are known.
struct Training<'a> {
    job: &'a Job<'a>,
    host: &'a str,
    began: Duration,
    hyperparameters: Hyperparameters,
}

impl Training<'_> {
    fn run(&self, hosts: usize) -> Result<TrainingOutcome, Fault> {
        let log = self.job.log;
        log.info("Detected entry point for worker worker");
        if let Some(patience) = self.hyperparameters.early_stopping_patience {
            log.info(format_args!(
                "Using early stopping with patience {patience}"
            ));
        }
        let checkpoint = self.find_checkpoint()?;
        let seed = self.seed(checkpoint.as_ref());
        let (training, test) = self.read_channels(hosts)?;
        let settings = ModelSettings::new(
            &self.hyperparameters,
            &training.cardinality,
            training.num_dynamic_feat,
            seed,
        );
        let initializing = log.now();
        let mut trainer = Trainer::new(settings, training.series, self.job.threads)?;
        self.tell_passes(&trainer);
        self.announce(test.as_ref());
        self.measure(
            initializing,
            &[Amount::Time(
                "initialize.time",
                log.now().saturating_sub(initializing),
            )],
        );
        match checkpoint {
            Some(checkpoint) => self.resume(&mut trainer, checkpoint)?,
            // Of an earlier job under the same root.
            None => remove(&self.job.layout.artifact())?,
        }
        let set_up = log.now();
        let validation = test
            .as_ref()
            .map_or_else(Vec::new, |test| self.validation(test));
        let is_stopped = self.learn(&mut trainer, &validation)?;
        let Some(model) = trainer.model() else {
            return Err(Fault::StoppedWithoutModel);
        };
        self.finish(&trainer, &model, is_stopped)?;
        drop(trainer);
        let is_stopped = is_stopped || !self.score(&model, test.as_ref())?;
        self.measure(
            self.began,
            &[
                Amount::Time("setuptime", set_up.saturating_sub(self.began)),
                Amount::Time("totaltime", log.now().saturating_sub(self.began)),
            ],
        );
        Ok(if is_stopped {
            TrainingOutcome::Stopped
        } else {
            TrainingOutcome::Finished
        })
    }

    /// Reads the checkpoint that the job may go on from.
    fn find_checkpoint(&self) -> Result<Option<Checkpoint>, Fault> {
        let path = self.job.layout.checkpoint();
        let Some(bytes) = read(&path)? else {
            return match self.job.resume {
                true => Err(Fault::NoCheckpoint(path)),
                false => Ok(None),
            };
        };
        let checkpoint = Checkpoint::read(&mut bytes.as_slice());
        checkpoint
            .map(Some)
            .map_err(|source| Fault::Checkpoint { path, source })
    }

    /// The seed: the one that is given, else the checkpoint's, else a new one.
    fn seed(&self, checkpoint: Option<&Checkpoint>) -> u64 {
        let log = self.job.log;
        if let Some(seed) = self.hyperparameters.seed {
            log.info(format_args!("random_seed is {seed}"));
            return seed;
        }
        log.info("random_seed is None");
        let (seed, source) = match (checkpoint, self.job.seed) {
            (Some(checkpoint), _) => (checkpoint.seed(), "of the checkpoint"),
            (None, Some(seed)) => (seed, "of PIPEWRIGHT_SEED"),
            (None, None) => ((self.job.draw_seed)(), "drawn"),
        };
        log.addition(format_args!(
            "the seed is {seed}, {source}; the hyperparameter _seed = {seed} trains the same model again"
        ));
        seed
    }

    fn read_channels(&self, hosts: usize) -> Result<(TrainingSet, Option<TestSet>), Fault> {
        let (layout, log) = (self.job.layout, self.job.log);
        let channels = match read(&layout.input_data_config())? {
            Some(document) => Channels::read(&document, hosts)?,
            // Outside SageMaker the folders say which channels there are.
            None => Channels {
                test: layout.channel(TEST).is_dir().then_some(None),
                ..Channels::default()
            },
        };
        for other in channels.others {
            log.warn(format_args!(
                "the channel `{other}` is not used: DeepAR reads `train` and `test`"
            ));
        }
        let rules = RecordRules::training(&self.hyperparameters);
        let folder = layout.channel(TRAIN);
        let train = channel::read(TRAIN, &folder, channels.train.as_deref(), rules)?;
        let first_file = train.first_file.clone();
        let training =
            TrainingSet::new(train.channel, &self.hyperparameters).map_err(|faults| {
                Fault::Dataset {
                    channel: TRAIN,
                    faults,
                }
            })?;
        self.tell_features(&training, &first_file);
        log.info("Training set statistics:");
        log.info(training.statistics);
        self.tell_ignored(TRAIN, training.ignored);
        let test = match channels.test {
            None => None,
            Some(content_type) => {
                let rules = training.test_rules(&self.hyperparameters);
                let folder = layout.channel(TEST);
                let Read { channel, .. } =
                    channel::read(TEST, &folder, content_type.as_deref(), rules)?;
                let prediction_length = self.hyperparameters.prediction_length;
                let test =
                    TestSet::new(channel, prediction_length).map_err(|faults| Fault::Dataset {
                        channel: TEST,
                        faults,
                    })?;
                Some(test)
            }
        };
        Ok((training, test))
    }

    /// Tells what was found of the features that are to be found out.
    fn tell_features(&self, training: &TrainingSet, file: &Path) {
        let log = self.job.log;
        let file = file.display();
        if self.hyperparameters.cardinality == Cardinality::Auto {
            let head = "[cardinality=auto] `cat` field was";
            match &training.cardinality[..] {
                [] => log.info(format_args!(
                    "{head} NOT found in the file `{file}` and will NOT be used for training."
                )),
                found => log.info(format_args!(
                    "{head} found in the file `{file}` and will be used for training: cardinality is {found:?}."
                )),
            }
        }
        if self.hyperparameters.num_dynamic_feat == DynamicFeatures::Auto {
            let head = "[num_dynamic_feat=auto] `dynamic_feat` field was";
            match training.num_dynamic_feat {
                0 => log.info(format_args!(
                    "{head} NOT found in the file `{file}` and will NOT be used for training."
                )),
                found => log.info(format_args!(
                    "{head} found in the file `{file}` and will be used for training: num_dynamic_feat is {found}."
                )),
            }
        }
    }

    fn tell_ignored(&self, channel: &str, ignored: usize) {
        if ignored > 0 {
            self.job.log.warn(format_args!(
                "{} of the {channel} channel, shorter than prediction_length ({}), are not used",
                count(ignored, "record"),
                self.hyperparameters.prediction_length
            ));
        }
    }

    fn tell_passes(&self, trainer: &Trainer) {
        let (passes, share) = trainer.passes();
        if passes > 1 {
            self.job.log.info(format_args!(
                "Small number of time series. Doing {passes} passes over dataset with prob {share:?} per epoch."
            ));
        }
    }

    /// Tells of the test channel and of what computes.
    fn announce(&self, test: Option<&TestSet>) {
        let log = self.job.log;
        match test {
            None => log.addition(
                "there is no test channel: the model will not be validated and not be scored",
            ),
            Some(test) => {
                log.info("Test set statistics:");
                log.info(test.statistics);
                self.tell_ignored(TEST, test.ignored);
            }
        }
        log.info("Number of GPUs being used: 0");
    }

    fn resume(&self, trainer: &mut Trainer, checkpoint: Checkpoint) -> Result<(), Fault> {
        let epochs = checkpoint.epochs();
        let path = self.job.layout.checkpoint();
        trainer
            .resume(checkpoint)
            .map_err(|source| Fault::OtherCheckpoint {
                path: path.clone(),
                source,
            })?;
        self.job.log.addition(format_args!(
            "resuming from {} after {}",
            path.display(),
            count(epochs, "epoch")
        ));
        // The model's folder of this machine may be empty.
        match trainer.model() {
            Some(model) => self.save(&model),
            None => Ok(()),
        }
    }

    /// Series of the test channel that are validated on: not all if they are many,
    /// and then evenly from the whole channel.
    fn validation(&self, test: &TestSet) -> Vec<Series> {
        let most = self
            .hyperparameters
            .mini_batch_size
            .saturating_mul(VALIDATION_BATCHES);
        let step = test.series.len().div_ceil(most);
        test.series.iter().step_by(step.max(1)).cloned().collect()
    }

    /// Trains until the end or the stop, and says whether it was the stop.
    fn learn(&self, trainer: &mut Trainer, validation: &[Series]) -> Result<bool, Fault> {
        let (log, host) = (self.job.log, self.host);
        let epochs = self.hyperparameters.epochs;
        let mut saver = Saver::new(self.job);
        let mut is_first = true;
        while !trainer.is_finished() {
            let mut epoch_log = EpochLog::new(log, host);
            let report = trainer.epoch(&mut |report| {
                epoch_log.batch(report);
                if (self.job.is_stopped)() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            let Some(report) = report else {
                log.addition("stopped by a signal; the epoch that had begun is not kept");
                saver.save(trainer)?;
                return Ok(true);
            };
            let span = log.now().saturating_sub(epoch_log.began);
            log.info(format_args!(
                "processed a total of {} examples",
                report.windows
            ));
            let amounts = [
                Amount::Count("epochs", epochs),
                Amount::Time("update.time", span),
            ];
            self.measure(epoch_log.began, &amounts[usize::from(!is_first)..]);
            is_first = false;
            progress::tell_epoch(log, host, report, epochs, span);
            if let Some(loss) = trainer.validate(validation) {
                let epoch = report.epoch;
                log.addition(Metric::ValidationLoss { epoch, loss }.of(host));
            }
            if report.is_best {
                let saving = log.now();
                if let Some(model) = trainer.model() {
                    self.save(&model)?;
                }
                let span = log.now().saturating_sub(saving);
                self.measure(saving, &[Amount::Time("state.serialize.time", span)]);
            }
            saver.save_if_due(trainer)?;
        }
        saver.save(trainer)?;
        if trainer.has_stopped_early() {
            log.info("stopping training now");
            log.info(Metric::StoppedEarly.of(host));
        }
        Ok(false)
    }

    /// Writes the model as it is at this moment.
    fn save(&self, model: &Model) -> Result<(), Fault> {
        let path = self.job.layout.artifact();
        write_whole(&path, |to| model.write(to))?;
        self.job
            .log
            .info(format_args!("Saved checkpoint to \"{}\"", path.display()));
        Ok(())
    }

    /// Tells the final loss, and writes the model.
    fn finish(&self, trainer: &Trainer, model: &Model, is_stopped: bool) -> Result<(), Fault> {
        let (log, host) = (self.job.log, self.host);
        let summary = model.summary();
        log.info(format_args!(
            "Final loss: {:?} (occurred at epoch {})",
            summary.loss, summary.best_epoch
        ));
        log.info(Metric::FinalLoss(summary.loss).of(host));
        if is_stopped {
            log.addition(format_args!(
                "stopped after {}; the model is that of the best epoch",
                count(trainer.epochs(), "epoch")
            ));
        } else {
            log.info(format_args!("Worker {host} finished training."));
        }
        let path = self.job.layout.artifact();
        log.info(format_args!("Serializing to {}", path.display()));
        let saving = log.now();
        write_whole(&path, |to| model.write(to))?;
        let span = log.now().saturating_sub(saving);
        self.measure(saving, &[Amount::Time("model.serialize.time", span)]);
        log.info("Successfully serialized the model for prediction.");
        Ok(())
    }

    /// Scores the model on the test channel; false if the job is stopped meanwhile.
    fn score(&self, model: &Model, test: Option<&TestSet>) -> Result<bool, Fault> {
        let log = self.job.log;
        let Some(test) = test else { return Ok(true) };
        if (self.job.is_stopped)() {
            log.addition("stopped by a signal; the model is not scored");
            return Ok(false);
        }
        log.info(format_args!(
            "Evaluating model accuracy on testset using {} samples",
            self.hyperparameters.num_eval_samples
        ));
        let scoring = log.now();
        let scores = evaluation::evaluate(
            model,
            &test.series,
            &self.hyperparameters,
            self.job.threads,
            log,
            self.job.is_stopped,
        );
        let Some((metrics, records)) = scores else {
            log.addition("stopped by a signal while the model was scored; the model is complete");
            return Ok(false);
        };
        let span = log.now().saturating_sub(scoring);
        self.measure(scoring, &[Amount::Time("model.score.time", span)]);
        evaluation::tell(log, self.host, &metrics);
        write_whole(&self.job.layout.test_scores(), |to| {
            serde_json::to_writer(to, &records).map_err(io::Error::from)
        })?;
        Ok(true)
    }

    fn measure(&self, start: Duration, amounts: &[Amount]) {
        let dimensions = Dimensions {
            algorithm: "AWS/DeepAR",
            host: self.host,
            operation: "training",
        };
        self.job.log.metrics(start, dimensions, amounts);
    }
}

/// Writes checkpoints, if there is a folder for them.
struct Saver<'a> {
    job: &'a Job<'a>,
    is_wanted: bool,
    last: Option<Duration>,
}

impl<'a> Saver<'a> {
    fn new(job: &'a Job<'a>) -> Self {
        Self {
            job,
            is_wanted: job.layout.checkpoints().is_dir(),
            last: None,
        }
    }

    /// Writes a checkpoint unless the last one is recent.
    fn save_if_due(&mut self, trainer: &Trainer) -> Result<(), Fault> {
        let now = self.job.log.now();
        let is_due = |last: Duration| now.saturating_sub(last) >= CHECKPOINT_EVERY;
        if self.last.is_none_or(is_due) {
            self.save(trainer)?;
        }
        Ok(())
    }

    fn save(&mut self, trainer: &Trainer) -> Result<(), Fault> {
        if self.is_wanted && trainer.epochs() > 0 {
            write_whole(&self.job.layout.checkpoint(), |to| {
                trainer.checkpoint().write(to)
            })?;
            self.last = Some(self.job.log.now());
        }
        Ok(())
    }
}
