//! What the handler needs of the world, as small traits: the tables and
//! SageMaker behind them in the function, in-memory ones in its tests.

use pipewright::record::{ExecutionArn, Item, RecordId, names};
use pipewright_aws::dynamodb::{Creation, Executions, Table};
use pipewright_aws::ecr;
use pipewright_aws::sagemaker::{SageMaker, Start};

/// Why the world did not do what was asked; its message says which part of it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The table of training templates.
pub(crate) trait Templates {
    /// The template's item; `None` if there is none.
    async fn template(&self, id: &str) -> Result<Option<Item>, Failure>;
}

/// The table of executions.
pub(crate) trait Records {
    /// The item `record`; `None` if there is none.
    async fn record(&self, id: &RecordId) -> Result<Option<Item>, Failure>;

    /// Writes a record that must not exist yet.
    async fn create(&self, record: &Item) -> Result<Creation, Failure>;

    /// Stores the execution's ARN unless there is one; answers with what the
    /// record then has of both spellings.
    async fn claim(&self, id: &RecordId, arn: &ExecutionArn) -> Result<Item, Failure>;

    /// Notes why the execution was not started.
    async fn note_failure(&self, id: &RecordId, reason: &str, at: i64) -> Result<(), Failure>;
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
    async fn template(&self, id: &str) -> Result<Option<Item>, Failure> {
        Ok(self.get(names::ID, id).await?)
    }
}

impl Records for Executions {
    async fn record(&self, id: &RecordId) -> Result<Option<Item>, Failure> {
        Ok(Self::record(self, id).await?)
    }

    async fn create(&self, record: &Item) -> Result<Creation, Failure> {
        Ok(self.create_record(record).await?)
    }

    async fn claim(&self, id: &RecordId, arn: &ExecutionArn) -> Result<Item, Failure> {
        Ok(self.claim_arn(id, arn).await?)
    }

    async fn note_failure(&self, id: &RecordId, reason: &str, at: i64) -> Result<(), Failure> {
        Ok(self.note_start_failure(id, reason, at).await?)
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
