//! Why a training failed, and how SageMaker is told.

use std::path::PathBuf;

use pipewright_forecast::deepar::{ArtifactError, TrainError};
use pipewright_forecast::faults::Faults;
use pipewright_forecast::hyperparameters::HyperparameterFault;
use pipewright_forecast::series::{ChannelFault, DatasetFault, PlacedFault};
use pipewright_job::hosts::ResourceConfigError;
use pipewright_wording::cut_with_mark;
use thiserror::Error;

use super::configuration::InputFault;
use crate::files::WriteError;

/// SageMaker's failure reason has 1,024 characters, with this text in its middle.
const MOST_BYTES: usize = 1024 - "AlgorithmError: ".len() - ", exit code: 143".len();

/// Why there is no model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The hyperparameters are wrong.
    #[error(transparent)]
    Hyperparameters(#[from] Faults<HyperparameterFault>),
    /// The forecasts that the test channel is scored by do not fit into memory.
    #[error(
        "num_eval_samples × prediction_length is {samples} × {length}, which is too much memory for one forecast; it must be at most {most}: choose a smaller num_eval_samples"
    )]
    TooManySamples {
        /// `num_eval_samples`.
        samples: usize,
        /// `prediction_length`.
        length: usize,
        /// The greatest product.
        most: usize,
    },
    /// The job's channels are not those that this algorithm takes.
    #[error(transparent)]
    Input(#[from] InputFault),
    /// A channel's files cannot be read.
    #[error("the {channel} channel: {faults}")]
    Channel {
        /// The channel.
        channel: &'static str,
        /// What is wrong.
        faults: Faults<ChannelFault>,
    },
    /// A channel's records are wrong.
    #[error("the {channel} channel: {faults}")]
    Records {
        /// The channel.
        channel: &'static str,
        /// What is wrong.
        faults: Faults<PlacedFault>,
    },
    /// A channel's series cannot be used together.
    #[error("the {channel} channel: {faults}")]
    Dataset {
        /// The channel.
        channel: &'static str,
        /// What is wrong.
        faults: Faults<DatasetFault>,
    },
    /// The training cannot begin or go on.
    #[error(transparent)]
    Training(#[from] TrainError),
    /// The checkpoint cannot be used.
    #[error("{}: {source}; remove it to start anew", .path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// Why not.
        source: ArtifactError,
    },
    /// The checkpoint is of another training.
    #[error("{}: {source}", .path.display())]
    OtherCheckpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        source: TrainError,
    },
    /// There is no checkpoint though one was asked for.
    #[error("there is no checkpoint to resume from: {} does not exist; leave --resume out to start anew", .0.display())]
    NoCheckpoint(PathBuf),
    /// The job was stopped before it had a model.
    #[error("the training was stopped before its first epoch was finished: there is no model")]
    StoppedWithoutModel,
    /// A file of the job cannot be read.
    #[error("{} cannot be read: {source}; {cure}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
        /// What to do.
        cure: &'static str,
    },
    /// `resourceconfig.json` cannot be understood.
    #[error(transparent)]
    Hosts(#[from] ResourceConfigError),
    /// A file cannot be written.
    #[error("{0}; the disk may be full, or the folder not be this job's")]
    Write(#[from] WriteError),
    /// The program has a bug.
    #[error("the program panicked, which is a bug: {0}")]
    Panic(String),
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The user: the job needs other data, hyperparameters or channels.
    User,
    /// The authors of this program.
    Algorithm,
    /// The operator of the machine.
    Platform,
}

impl Class {
    /// As the log has it.
    fn name(self) -> &'static str {
        match self {
            Self::User => "Customer Error",
            Self::Algorithm => "Algorithm Error",
            Self::Platform => "Platform Error",
        }
    }
}

impl Fault {
    /// Who can mend it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Hyperparameters(_)
            | Self::TooManySamples { .. }
            | Self::Input(_)
            | Self::Channel { .. }
            | Self::Records { .. }
            | Self::Dataset { .. }
            | Self::Training(_)
            | Self::Checkpoint { .. }
            | Self::OtherCheckpoint { .. }
            | Self::NoCheckpoint(_) => Class::User,
            Self::Panic(_) => Class::Algorithm,
            Self::Read { .. } | Self::Hosts(_) | Self::Write(_) | Self::StoppedWithoutModel => {
                Class::Platform
            }
        }
    }

    /// The kind of the cause.
    fn cause(&self) -> &'static str {
        match self {
            Self::Hyperparameters(_) | Self::TooManySamples { .. } | Self::Input(_) => {
                "ValidationError"
            }
            Self::Channel { .. } | Self::Records { .. } | Self::Dataset { .. } => "DataError",
            Self::Training(_) => "TrainingError",
            Self::Checkpoint { .. } | Self::OtherCheckpoint { .. } | Self::NoCheckpoint(_) => {
                "CheckpointError"
            }
            Self::StoppedWithoutModel => "Stopped",
            Self::Read { .. } | Self::Write(_) => "IOError",
            Self::Hosts(_) => "ConfigurationError",
            Self::Panic(_) => "Panic",
        }
    }

    /// The program's exit status: 1 for a bug, 2 for what the user can mend, 3 for
    /// what the platform must, and 143, as of a process that SIGTERM ended, for a
    /// training that was stopped without a model.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match (self, self.class()) {
            (Self::StoppedWithoutModel, _) => 143,
            (_, Class::Algorithm) => 1,
            (_, Class::User) => 2,
            (_, Class::Platform) => 3,
        }
    }

    /// For the log, with everything.
    #[must_use]
    pub fn logged(&self) -> String {
        format!(
            "{}: {self} (caused by {})",
            self.class().name(),
            self.cause()
        )
    }

    /// For `output/failure`: what SageMaker shows of it, whole.
    #[must_use]
    pub fn shown(&self) -> String {
        let cause = format!(" (caused by {})", self.cause());
        let message = cut_with_mark(&self.to_string(), MOST_BYTES - cause.len());
        message + &cause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright_forecast::hyperparameters::Hyperparameters;
    use std::collections::BTreeMap;

    #[test]
    fn a_failure_has_its_message_and_the_kind_of_its_cause() {
        let fault = Fault::NoCheckpoint(PathBuf::from("/opt/ml/checkpoints/x"));
        let message = "there is no checkpoint to resume from: /opt/ml/checkpoints/x does not exist; \
                       leave --resume out to start anew (caused by CheckpointError)";
        assert_eq!(fault.shown(), message);
        assert_eq!(fault.logged(), format!("Customer Error: {message}"));
        assert_eq!((fault.class(), fault.exit_status()), (Class::User, 2));
        let bug = Fault::Panic("index".to_owned());
        assert_eq!((bug.class(), bug.exit_status()), (Class::Algorithm, 1));
        assert_eq!(Fault::StoppedWithoutModel.exit_status(), 143);
    }

    #[test]
    fn what_sagemaker_shows_ends_with_the_cause_however_long_it_is() {
        let texts = (0..50).map(|n| (format!("{n}{}", "x".repeat(80)), String::new()));
        let texts: BTreeMap<String, String> = texts.collect();
        let fault = Fault::from(Hyperparameters::from_texts(&texts).unwrap_err());
        let shown = fault.shown();
        assert!(shown.len() <= 1024, "{}", shown.len());
        assert!(shown.starts_with("54 faults:\n"), "{shown}");
        assert!(
            shown.ends_with(" bytes] (caused by ValidationError)"),
            "{shown}"
        );
        assert!(fault.logged().len() > 1024);
    }
}
