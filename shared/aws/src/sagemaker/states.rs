//! What SageMaker answers about everything that an execution's record follows,
//! in the core's words: what housekeeping compares the record with.

use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::{PipelineExecutionStep, PipelineExecutionStepMetadata};
use pipewright::definition::StepKind;
use pipewright::record::TrainingState;
use pipewright::record::reconcile::{ExecutionState, Made, ModelFound, PackageState, StepState};
use pipewright::record::training::MetricState;

use super::{SageMaker, SageMakerError, unless_not_found};
use crate::Page;

pub(super) fn millis(moment: Option<&DateTime>) -> Option<i64> {
    moment.and_then(|moment| moment.to_millis().ok())
}

impl SageMaker {
    /// An execution's state.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer, or if there is no such
    /// execution.
    pub async fn describe_execution(&self, arn: &str) -> Result<ExecutionState, SageMakerError> {
        let answer = self
            .client
            .describe_pipeline_execution()
            .pipeline_execution_arn(arn)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribePipelineExecution", arn, &error))?;
        Ok(ExecutionState {
            created_at: millis(answer.creation_time.as_ref()),
            modified_at: millis(answer.last_modified_time.as_ref()),
            status: answer
                .pipeline_execution_status
                .map(|status| status.as_str().to_owned())
                .unwrap_or_default(),
            display_name: answer.pipeline_execution_display_name,
            description: answer.pipeline_execution_description,
            failure_reason: answer.failure_reason,
        })
    }

    /// An execution's state; `None` if there is no such execution.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn execution_state(
        &self,
        arn: &str,
    ) -> Result<Option<ExecutionState>, SageMakerError> {
        unless_not_found(self.describe_execution(arn).await)
    }

    /// A page of an execution's steps that have begun.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn step_states(
        &self,
        arn: &str,
        from: Option<String>,
    ) -> Result<Page<StepState>, SageMakerError> {
        let answer = self
            .client
            .list_pipeline_execution_steps()
            .pipeline_execution_arn(arn)
            .set_next_token(from)
            .send()
            .await
            .map_err(|error| SageMakerError::of("ListPipelineExecutionSteps", arn, &error))?;
        Ok(Page {
            rows: answer
                .pipeline_execution_steps()
                .iter()
                .map(step_state)
                .collect(),
            next: answer.next_token,
        })
    }

    /// A model; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn model_state(&self, name: &str) -> Result<Option<ModelFound>, SageMakerError> {
        let sent = self
            .client
            .describe_model()
            .model_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeModel", name, &error));
        let Some(answer) = unless_not_found(sent)? else {
            return Ok(None);
        };
        let container = answer
            .primary_container()
            .or_else(|| answer.containers().first());
        let text = |text: Option<&str>| text.map(str::to_owned);
        Ok(Some(ModelFound {
            name: text(answer.model_name()),
            data_url: text(container.and_then(|container| container.model_data_url())),
            image: text(container.and_then(|container| container.image())),
            created_at: millis(answer.creation_time()),
        }))
    }

    /// A model package; `None` if there is none of this ARN.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn package_state(&self, arn: &str) -> Result<Option<PackageState>, SageMakerError> {
        let sent = self
            .client
            .describe_model_package()
            .model_package_name(arn)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeModelPackage", arn, &error));
        let Some(answer) = unless_not_found(sent)? else {
            return Ok(None);
        };
        let container = answer
            .inference_specification()
            .and_then(|specification| specification.containers().first());
        Ok(Some(PackageState {
            arn: answer.model_package_arn().unwrap_or(arn).to_owned(),
            data_url: container
                .and_then(|container| container.model_data_url())
                .map(str::to_owned),
            created_at: millis(answer.creation_time()),
            modified_at: millis(answer.last_modified_time()),
            version: answer.model_package_version().map(i64::from),
            status: answer
                .model_package_status()
                .map(|status| status.as_str().to_owned())
                .unwrap_or_default(),
            approval_status: answer
                .model_approval_status()
                .map(|status| status.as_str().to_owned()),
            group: answer.model_package_group_name,
        }))
    }

    /// A training job; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn training_state(
        &self,
        name: &str,
    ) -> Result<Option<TrainingState>, SageMakerError> {
        let sent = self
            .client
            .describe_training_job()
            .training_job_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeTrainingJob", name, &error));
        let Some(answer) = unless_not_found(sent)? else {
            return Ok(None);
        };
        let metrics = answer.final_metric_data_list().iter().filter_map(|metric| {
            Some(MetricState {
                name: metric.metric_name()?.to_owned(),
                value: metric.value()?,
                at: millis(metric.timestamp()),
            })
        });
        Ok(Some(TrainingState {
            metrics: metrics.collect(),
            started_at: millis(answer.training_start_time()),
            ended_at: millis(answer.training_end_time()),
            status: answer
                .training_job_status()
                .map(|status| status.as_str().to_owned())
                .unwrap_or_default(),
            arn: answer.training_job_arn.unwrap_or_default(),
            failure_reason: answer.failure_reason,
        }))
    }

    /// A page of a resource's tags.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn list_tags(
        &self,
        arn: &str,
        from: Option<String>,
    ) -> Result<Page<(String, String)>, SageMakerError> {
        let answer = self
            .client
            .list_tags()
            .resource_arn(arn)
            .set_next_token(from)
            .send()
            .await
            .map_err(|error| SageMakerError::of("ListTags", arn, &error))?;
        Ok(Page {
            rows: answer
                .tags()
                .iter()
                .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())))
                .collect(),
            next: answer.next_token,
        })
    }
}

fn step_state(step: &PipelineExecutionStep) -> StepState {
    let text = |text: Option<&str>| text.map(str::to_owned);
    StepState {
        name: step.step_name().unwrap_or_default().to_owned(),
        status: step
            .step_status()
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        started_at: millis(step.start_time()),
        ended_at: millis(step.end_time()),
        failure_reason: text(step.failure_reason()),
        made: step.metadata().and_then(made),
        cache_hit_arn: text(
            step.cache_hit_result()
                .and_then(|hit| hit.source_pipeline_execution_arn()),
        ),
        selection_arn: text(
            step.selective_execution_result()
                .and_then(|result| result.source_pipeline_execution_arn()),
        ),
    }
}

/// What a step made. SageMaker does not say a step's type; what it made tells.
fn made(metadata: &PipelineExecutionStepMetadata) -> Option<Made> {
    StepKind::all().find_map(|kind| {
        let arn = arn_of_made(kind, metadata)?.to_owned();
        Some(Made { kind, arn })
    })
}

/// The ARN of what a step of a type made; `None` where the type's metadata has none.
fn arn_of_made(kind: StepKind, metadata: &PipelineExecutionStepMetadata) -> Option<&str> {
    match kind {
        StepKind::Processing => metadata.processing_job()?.arn(),
        StepKind::Training => metadata.training_job()?.arn(),
        StepKind::Tuning => metadata.tuning_job()?.arn(),
        StepKind::Transform => metadata.transform_job()?.arn(),
        StepKind::Model => metadata.model()?.arn(),
        StepKind::RegisterModel => metadata.register_model()?.arn(),
        StepKind::Lambda => metadata.lambda()?.arn(),
        StepKind::AutoMl => metadata.auto_ml_job()?.arn(),
        StepKind::EndpointConfig => metadata.endpoint_config()?.arn(),
        StepKind::Endpoint => metadata.endpoint()?.arn(),
        StepKind::InferenceComponent => metadata.inference_component()?.arn(),
        StepKind::BedrockCustomModel => metadata.bedrock_custom_model()?.arn(),
        StepKind::BedrockCustomModelDeployment => metadata.bedrock_custom_model_deployment()?.arn(),
        StepKind::BedrockModelImport => metadata.bedrock_model_import()?.arn(),
        StepKind::BedrockProvisionedModelThroughput => {
            metadata.bedrock_provisioned_model_throughput()?.arn()
        }
        StepKind::Job => metadata.job()?.arn(),
        StepKind::Condition
        | StepKind::Callback
        | StepKind::QualityCheck
        | StepKind::ClarifyCheck
        | StepKind::Emr
        | StepKind::EmrServerless
        | StepKind::Fail
        | StepKind::Lineage
        | StepKind::Cleanup
        | StepKind::ForEach
        | StepKind::Unknown => None,
    }
}
