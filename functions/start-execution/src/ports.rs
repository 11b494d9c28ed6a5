//! What the handler needs of the world beside the records, as small traits: AWS
//! behind them in the function, in-memory ones in its tests.

use pipewright::record::{Item, names};
use pipewright_aws::dynamodb::{Table, TableError};
use pipewright_aws::ecr;
use pipewright_aws::sagemaker::{SageMaker, Start};

/// Why the world did not do what was asked; its message says which part of it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The table of training templates.
pub(crate) trait Templates {
    /// The template's item; `None` if there is none.
    async fn template(&self, id: &str) -> Result<Option<Item>, TableError>;
}

/// The image that the pipeline's processing step runs.
pub(crate) trait Image {
    /// Its repository and tag.
    fn name(&self) -> String;

    /// Whether it is in the repository.
    async fn exists(&self) -> Result<bool, Failure>;
}

/// The pipeline in SageMaker.
pub(crate) trait Pipeline {
    /// Starts an execution; answers with its ARN.
    async fn start(&self, start: &Start) -> Result<String, StartError>;

    /// The ARN of the execution of this display name, created from `since` on.
    async fn find(&self, start: &Start, since: i64) -> Result<Option<String>, Failure>;
}

/// Why an execution was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// SageMaker will not start it, however often it is asked.
    Refused(Failure),
    /// It may have been started, or may be when asked again.
    Unknown(Failure),
}

impl Templates for Table {
    async fn template(&self, id: &str) -> Result<Option<Item>, TableError> {
        self.get(names::ID, id).await
    }
}

impl Image for ecr::Image {
    fn name(&self) -> String {
        Self::name(self)
    }

    async fn exists(&self) -> Result<bool, Failure> {
        Ok(Self::exists(self).await?)
    }
}

impl Pipeline for SageMaker {
    async fn start(&self, start: &Start) -> Result<String, StartError> {
        Self::start(self, start).await.map_err(|error| {
            if error.is_refusal() {
                StartError::Refused(error.into())
            } else {
                StartError::Unknown(error.into())
            }
        })
    }

    async fn find(&self, start: &Start, since: i64) -> Result<Option<String>, Failure> {
        Ok(self
            .find_execution(&start.pipeline, &start.display_name, since)
            .await?)
    }
}
