//! What the handler needs of the world, as small traits: the tables and
//! SageMaker behind them in the function, in-memory ones in its tests.

use pipewright::record::{
    ChangeRow, RecordId, RecordUpdate, Refusal, TrainingRow, TrainingState, event,
};
use pipewright_aws::dynamodb::{self, Executions};
use pipewright_aws::sagemaker::{Origin, SageMaker, unless_not_found};

/// Why the world did not do what was asked; its message says which part of it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The table of executions.
pub(crate) trait Records {
    /// Makes a conditional update; `Some` says what refused it.
    async fn update(&self, update: &RecordUpdate) -> Result<Option<Refusal>, Failure>;

    /// Writes a change item.
    async fn put(&self, change: &ChangeRow) -> Result<(), Failure>;

    /// Writes what a training job ended with.
    async fn put_training(&self, training: &TrainingRow) -> Result<(), Failure>;

    /// An execution's change items, as they are now.
    async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, Failure>;
}

/// The table of endpoints.
pub(crate) trait Endpoints {
    /// The id of the execution whose model an endpoint serves.
    async fn execution_of(&self, endpoint: &str) -> Result<Option<String>, Failure>;
}

/// What SageMaker is asked. That it does not have what is asked about is an
/// answer: `None`, or `false`.
pub(crate) trait Questions {
    /// Parameter `ExecutionId` of an execution.
    async fn execution_id(&self, execution_arn: &str) -> Result<Option<String>, Failure>;

    /// An execution's display name.
    async fn display_name(&self, execution_arn: &str) -> Result<Option<String>, Failure>;

    /// Whether there is such an execution.
    async fn exists(&self, execution_arn: &str) -> Result<bool, Failure>;

    /// Why an execution failed.
    async fn failure_reason(&self, execution_arn: &str) -> Result<Option<String>, Failure>;

    /// The value of a tag of a model or pipeline.
    async fn tag(&self, arn: &str, name: &str) -> Result<Option<String>, Failure>;

    /// What a package says of where it comes from.
    async fn package_origin(&self, package_arn: &str) -> Result<Option<Origin>, Failure>;

    /// A training job, by its name.
    async fn training(&self, job: &str) -> Result<Option<TrainingState>, Failure>;
}

impl Records for Executions {
    async fn update(&self, update: &RecordUpdate) -> Result<Option<Refusal>, Failure> {
        Ok(self.update_record(update).await?)
    }

    async fn put(&self, change: &ChangeRow) -> Result<(), Failure> {
        Ok(self.put_change(change).await?)
    }

    async fn put_training(&self, training: &TrainingRow) -> Result<(), Failure> {
        Ok(Self::put_training(self, training).await?)
    }

    async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, Failure> {
        Ok(Self::changes(self, id).await?)
    }
}

impl Endpoints for dynamodb::endpoints::Endpoints {
    async fn execution_of(&self, endpoint: &str) -> Result<Option<String>, Failure> {
        let found = self.find(endpoint).await?;
        Ok(found.map(|entry| entry.execution))
    }
}

impl Questions for SageMaker {
    async fn execution_id(&self, execution_arn: &str) -> Result<Option<String>, Failure> {
        let answer = self
            .execution_parameter(execution_arn, event::EXECUTION_ID)
            .await;
        Ok(unless_not_found(answer)?.flatten())
    }

    async fn display_name(&self, execution_arn: &str) -> Result<Option<String>, Failure> {
        let state = self.execution_state(execution_arn).await?;
        Ok(state.and_then(|state| state.display_name))
    }

    async fn exists(&self, execution_arn: &str) -> Result<bool, Failure> {
        Ok(self.execution_state(execution_arn).await?.is_some())
    }

    async fn failure_reason(&self, execution_arn: &str) -> Result<Option<String>, Failure> {
        let state = self.execution_state(execution_arn).await?;
        Ok(state.and_then(|state| state.failure_reason))
    }

    async fn tag(&self, arn: &str, name: &str) -> Result<Option<String>, Failure> {
        let answer = Self::tag(self, arn, name).await;
        Ok(unless_not_found(answer)?.flatten())
    }

    async fn package_origin(&self, package_arn: &str) -> Result<Option<Origin>, Failure> {
        let answer = Self::package_origin(self, package_arn, event::EXECUTION_ID).await;
        Ok(unless_not_found(answer)?)
    }

    async fn training(&self, job: &str) -> Result<Option<TrainingState>, Failure> {
        Ok(self.training_state(job).await?)
    }
}
