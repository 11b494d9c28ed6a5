//! Where SageMaker puts the files of a training and of an endpoint.

use std::path::{Path, PathBuf};

use pipewright_forecast::deepar::ARTIFACT_FILE;
use pipewright_forecast::score::TEST_SCORES_FILE;

/// The name of a checkpoint's file.
const CHECKPOINT: &str = "checkpoint.pipewright-deepar";

/// Places under the root, `/opt/ml`.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The places under a root.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The hyperparameters as the training job has them: an object of texts.
    #[must_use]
    pub fn hyperparameters(&self) -> PathBuf {
        self.root.join("input/config/hyperparameters.json")
    }

    /// The channels and their content types.
    #[must_use]
    pub fn input_data_config(&self) -> PathBuf {
        self.root.join("input/config/inputdataconfig.json")
    }

    /// The job's hosts.
    #[must_use]
    pub fn resource_config(&self) -> PathBuf {
        self.root.join("input/config/resourceconfig.json")
    }

    /// A channel's files.
    #[must_use]
    pub fn channel(&self, name: &str) -> PathBuf {
        self.root.join("input/data").join(name)
    }

    /// The model: what a training writes and a server reads.
    #[must_use]
    pub fn artifact(&self) -> PathBuf {
        self.root.join("model").join(ARTIFACT_FILE)
    }

    /// How good the model's forecasts of the test channel are, record by record.
    #[must_use]
    pub fn test_scores(&self) -> PathBuf {
        self.root.join("model").join(TEST_SCORES_FILE)
    }

    /// SageMaker keeps what lies here beyond the job, if it is told to; otherwise
    /// the folder does not exist.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Where a training stands.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.checkpoints().join(CHECKPOINT)
    }

    /// SageMaker shows this file's start as the job's failure reason.
    #[must_use]
    pub fn failure(&self) -> PathBuf {
        self.root.join("output/failure")
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
