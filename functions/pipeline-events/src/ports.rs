//! What the handler needs of the world beside the tables, as a small trait: SageMaker
//! behind it in the function, an in-memory one in its tests.

use pipewright::record::{TrainingState, event};
use pipewright_aws::sagemaker::{Origin, SageMaker, unless_not_found};

/// Why the world did not do what was asked; its message says which part of it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

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
