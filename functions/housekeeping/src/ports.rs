//! What housekeeping needs of the world beside the tables, as small traits: SageMaker
//! and CloudWatch behind them in the function, in-memory ones in its tests.
//! Whatever lists gives a page at a time.

use pipewright::record::reconcile::{ExecutionState, ModelFound, PackageState, StepState};
use pipewright::record::{TrainingState, event};
use pipewright_aws::Page;
use pipewright_aws::cloudwatch::Metrics;
use pipewright_aws::sagemaker::endpoints::{EndpointAnswer, ListedEndpoint};
use pipewright_aws::sagemaker::{ExecutionSummary, SageMaker, unless_not_found};

/// Why the world did not do what was asked; its message says which part of it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// SageMaker. `None` is what does not exist.
pub(crate) trait Service {
    /// An execution.
    async fn execution(&self, arn: &str) -> Result<Option<ExecutionState>, Failure>;

    /// An execution's steps that have begun.
    async fn steps(&self, arn: &str, from: Option<String>) -> Result<Page<StepState>, Failure>;

    /// The ARN of a pipeline's execution of this display name that was
    /// created from `since` (epoch milliseconds) on.
    async fn find(
        &self,
        pipeline: &str,
        display_name: &str,
        since: i64,
    ) -> Result<Option<String>, Failure>;

    /// A pipeline's executions that were created from `since` (epoch
    /// milliseconds) on.
    async fn executions_since(
        &self,
        pipeline: &str,
        since: i64,
        from: Option<String>,
    ) -> Result<Page<ExecutionSummary>, Failure>;

    /// Parameter `ExecutionId` of an execution.
    async fn execution_id(&self, arn: &str) -> Result<Option<String>, Failure>;

    /// A model.
    async fn model(&self, name: &str) -> Result<Option<ModelFound>, Failure>;

    /// A model package.
    async fn package(&self, arn: &str) -> Result<Option<PackageState>, Failure>;

    /// A training job, by its name.
    async fn training(&self, job: &str) -> Result<Option<TrainingState>, Failure>;

    /// An endpoint.
    async fn endpoint(&self, name: &str) -> Result<Option<EndpointAnswer>, Failure>;

    /// The region's endpoints.
    async fn endpoints(&self, from: Option<String>) -> Result<Page<ListedEndpoint>, Failure>;

    /// A resource's tags.
    async fn tags(
        &self,
        arn: &str,
        from: Option<String>,
    ) -> Result<Page<(String, String)>, Failure>;

    /// Has an endpoint deleted.
    async fn delete_endpoint(&self, name: &str) -> Result<(), Failure>;

    /// Deletes an endpoint's configuration.
    async fn delete_config(&self, name: &str) -> Result<(), Failure>;
}

/// How often endpoints are used.
pub(crate) trait Usage {
    /// How often the variants of an endpoint together were invoked from `since`
    /// to `until` (epoch milliseconds).
    async fn invocations(
        &self,
        endpoint: &str,
        variants: &[String],
        since: i64,
        until: i64,
    ) -> Result<f64, Failure>;
}

/// The clock.
pub(crate) trait Clock {
    /// Epoch milliseconds.
    fn now(&self) -> i64;
}

impl Service for SageMaker {
    async fn execution(&self, arn: &str) -> Result<Option<ExecutionState>, Failure> {
        Ok(self.execution_state(arn).await?)
    }

    async fn steps(&self, arn: &str, from: Option<String>) -> Result<Page<StepState>, Failure> {
        Ok(self.step_states(arn, from).await?)
    }

    async fn find(
        &self,
        pipeline: &str,
        display_name: &str,
        since: i64,
    ) -> Result<Option<String>, Failure> {
        let found = self.find_execution(pipeline, display_name, since).await;
        Ok(unless_not_found(found)?.flatten())
    }

    async fn executions_since(
        &self,
        pipeline: &str,
        since: i64,
        from: Option<String>,
    ) -> Result<Page<ExecutionSummary>, Failure> {
        Ok(Self::executions_since(self, pipeline, since, from).await?)
    }

    async fn execution_id(&self, arn: &str) -> Result<Option<String>, Failure> {
        Ok(self.execution_parameter(arn, event::EXECUTION_ID).await?)
    }

    async fn model(&self, name: &str) -> Result<Option<ModelFound>, Failure> {
        Ok(self.model_state(name).await?)
    }

    async fn package(&self, arn: &str) -> Result<Option<PackageState>, Failure> {
        Ok(self.package_state(arn).await?)
    }

    async fn training(&self, job: &str) -> Result<Option<TrainingState>, Failure> {
        Ok(self.training_state(job).await?)
    }

    async fn endpoint(&self, name: &str) -> Result<Option<EndpointAnswer>, Failure> {
        Ok(Self::endpoint(self, name).await?)
    }

    async fn endpoints(&self, from: Option<String>) -> Result<Page<ListedEndpoint>, Failure> {
        Ok(self.list_endpoints(from).await?)
    }

    async fn tags(
        &self,
        arn: &str,
        from: Option<String>,
    ) -> Result<Page<(String, String)>, Failure> {
        match self.list_tags(arn, from).await {
            // Deleted since it was listed.
            Err(error) if error.is_not_found() => Ok(Page {
                rows: Vec::new(),
                next: None,
            }),
            answer => Ok(answer?),
        }
    }

    async fn delete_endpoint(&self, name: &str) -> Result<(), Failure> {
        Self::delete_endpoint(self, name).await?;
        Ok(())
    }

    async fn delete_config(&self, name: &str) -> Result<(), Failure> {
        self.delete_endpoint_config(name).await?;
        Ok(())
    }
}

impl Usage for Metrics {
    async fn invocations(
        &self,
        endpoint: &str,
        variants: &[String],
        since: i64,
        until: i64,
    ) -> Result<f64, Failure> {
        Ok(Self::invocations(self, endpoint, variants, since, until).await?)
    }
}
