//! SageMaker's directory layout in a processing container.

use std::path::{Path, PathBuf};

/// The places under SageMaker's root (`/opt/ml`) that the step knows.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Holds one CSV file per ticker, `<ticker>.csv`.
    pub fn assets(&self) -> PathBuf {
        self.root.join("processing/input/assets")
    }

    /// The directory whose content SageMaker uploads as the output of that name
    /// (or, for a folder that is not an output of the step, does not upload).
    pub fn output(&self, name: &str) -> PathBuf {
        self.root.join("processing").join(name)
    }

    /// Tells the job's hosts; absent outside SageMaker.
    pub fn resource_config(&self) -> PathBuf {
        self.root.join("config/resourceconfig.json")
    }

    /// Tells which job this is.
    pub fn job_config(&self) -> PathBuf {
        self.root.join("config/processingjobconfig.json")
    }

    /// The script that has started the step, as SageMaker fetched it.
    pub fn executor(&self) -> PathBuf {
        self.root.join("processing/input/code/run-fe-step.sh")
    }

    /// SageMaker shows this file's start as the job's failure reason.
    pub fn message(&self) -> PathBuf {
        self.root.join("output/message")
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
