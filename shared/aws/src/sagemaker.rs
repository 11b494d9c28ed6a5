//! SageMaker: what is asked about executions, models and packages, and the
//! start of an execution.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::primitives::DateTime;
use aws_sdk_sagemaker::types::Parameter;

use crate::Page;

pub mod endpoints;
pub mod states;

/// A SageMaker client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// SageMaker refused an operation, or could not be reached, retries included.
#[derive(Debug, thiserror::Error)]
#[error("{operation} for {subject}: {message}")]
pub struct SageMakerError {
    /// The API operation.
    pub operation: &'static str,
    /// What was asked about.
    pub subject: String,
    /// The service's error code, where it gave one.
    pub code: Option<String>,
    /// What the service or the client said.
    pub message: String,
}

impl SageMakerError {
    fn of<E>(operation: &'static str, subject: &str, error: &E) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata,
    {
        Self {
            operation,
            subject: subject.to_owned(),
            code: error.code().map(str::to_owned),
            message: crate::service_cause(error),
        }
    }

    /// Whether the service has read the request and will not have it, however
    /// often it is asked.
    pub fn is_refusal(&self) -> bool {
        self.is_not_found()
            || matches!(
                self.code.as_deref(),
                Some("ValidationException" | "ResourceLimitExceeded" | "AccessDeniedException")
            )
    }

    /// Whether the service says that what was asked about does not exist.
    pub fn is_not_found(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        match self.code.as_deref() {
            Some("ResourceNotFound" | "ResourceNotFoundException") => true,
            // Older operations answer so for what does not exist.
            Some("ValidationException") => ["does not exist", "could not find", "not found"]
                .iter()
                .any(|words| message.contains(words)),
            _ => false,
        }
    }
}

/// `None` for what does not exist.
///
/// # Errors
/// Any other error of the answer.
pub fn unless_not_found<T>(answer: Result<T, SageMakerError>) -> Result<Option<T>, SageMakerError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}

/// What an execution is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The pipeline's name.
    pub pipeline: String,
    /// The execution's display name.
    pub display_name: String,
    /// Equal tokens start one execution, however often they are sent.
    pub client_request_token: String,
    /// Parameters, name to value.
    pub parameters: BTreeMap<String, String>,
}

/// A pipeline, as far as it has to be known to start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineFound {
    /// Its name, as SageMaker spells it.
    pub name: String,
    /// The text of its definition.
    pub definition: String,
}

/// Where a model package comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What made it, of a pipeline's step the execution's ARN.
    pub generated_by: Option<String>,
    /// The execution's id that it was given.
    pub execution_id: Option<String>,
}

/// An execution in a pipeline's list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionSummary {
    /// Its ARN.
    pub arn: String,
    /// Its display name.
    pub display_name: Option<String>,
}

/// The SageMaker API.
#[derive(Debug, Clone)]
pub struct SageMaker {
    client: Client,
}

impl SageMaker {
    /// The API behind this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The value that parameter `name` has in an execution; `None` if the
    /// execution has no such parameter.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn execution_parameter(
        &self,
        execution_arn: &str,
        name: &str,
    ) -> Result<Option<String>, SageMakerError> {
        let mut from = None;
        loop {
            let page = self.execution_parameters(execution_arn, from).await?;
            let mut parameters = page.rows.into_iter();
            if let Some((_, value)) = parameters.find(|(parameter, _)| parameter == name) {
                return Ok(Some(value));
            }
            from = page.next.filter(|token| !token.is_empty());
            if from.is_none() {
                return Ok(None);
            }
        }
    }

    /// A page of the parameters of an execution, each with its value: that which it was started
    /// with, or else the definition's default.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn execution_parameters(
        &self,
        execution_arn: &str,
        from: Option<String>,
    ) -> Result<Page<(String, String)>, SageMakerError> {
        let answer = self
            .client
            .list_pipeline_parameters_for_execution()
            .pipeline_execution_arn(execution_arn)
            .set_next_token(from)
            .send()
            .await
            .map_err(|error| {
                SageMakerError::of("ListPipelineParametersForExecution", execution_arn, &error)
            })?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Page {
            rows: answer
                .pipeline_parameters()
                .iter()
                .map(|parameter| (text(parameter.name()), text(parameter.value())))
                .collect(),
            next: answer.next_token,
        })
    }

    /// The definition that an execution runs by: its pipeline's as it was at the start.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer, or if there is no such execution.
    pub async fn execution_definition(
        &self,
        execution_arn: &str,
    ) -> Result<String, SageMakerError> {
        self.client
            .describe_pipeline_definition_for_execution()
            .pipeline_execution_arn(execution_arn)
            .send()
            .await
            .map(|answer| answer.pipeline_definition.unwrap_or_default())
            .map_err(|error| {
                SageMakerError::of(
                    "DescribePipelineDefinitionForExecution",
                    execution_arn,
                    &error,
                )
            })
    }

    /// The value of a tag; `None` if the resource has no such tag.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn tag(
        &self,
        resource_arn: &str,
        name: &str,
    ) -> Result<Option<String>, SageMakerError> {
        let mut token = None;
        loop {
            let page = self.list_tags(resource_arn, token).await?;
            let found = page.rows.into_iter().find(|(key, _)| key == name);
            if let Some((_, value)) = found {
                return Ok(Some(value));
            }
            token = page.next.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(None);
            }
        }
    }

    /// What a model package says of where it comes from: what SageMaker noted as its
    /// origin, and what its customer metadata has under `name`.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn package_origin(
        &self,
        package_arn: &str,
        name: &str,
    ) -> Result<Origin, SageMakerError> {
        let answer = self
            .client
            .describe_model_package()
            .model_package_name(package_arn)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeModelPackage", package_arn, &error))?;
        Ok(Origin {
            generated_by: answer
                .metadata_properties
                .and_then(|properties| properties.generated_by),
            execution_id: answer
                .customer_metadata_properties
                .and_then(|mut properties| properties.remove(name)),
        })
    }

    /// Starts an execution; answers with its ARN.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer.
    pub async fn start(&self, start: &Start) -> Result<String, SageMakerError> {
        let parameters = start
            .parameters
            .iter()
            .map(|(name, value)| Parameter::builder().name(name).value(value).build())
            .collect();
        let answer = self
            .client
            .start_pipeline_execution()
            .pipeline_name(&start.pipeline)
            .pipeline_execution_display_name(&start.display_name)
            .client_request_token(&start.client_request_token)
            .set_pipeline_parameters(Some(parameters))
            .send()
            .await
            .map_err(|error| {
                SageMakerError::of("StartPipelineExecution", &start.pipeline, &error)
            })?;
        answer.pipeline_execution_arn.ok_or_else(|| SageMakerError {
            operation: "StartPipelineExecution",
            subject: start.pipeline.clone(),
            code: None,
            message: "the answer has no ARN".to_owned(),
        })
    }

    /// A pipeline by its name or ARN; `None` if there is none.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn pipeline(&self, pipeline: &str) -> Result<Option<PipelineFound>, SageMakerError> {
        let sent = self.client.describe_pipeline().pipeline_name(pipeline);
        let answer = sent
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribePipeline", pipeline, &error));
        Ok(unless_not_found(answer)?.map(|answer| PipelineFound {
            name: answer.pipeline_name.unwrap_or_else(|| pipeline.to_owned()),
            definition: answer.pipeline_definition.unwrap_or_default(),
        }))
    }

    /// Has an execution stopped. To stop one that is being stopped is not an error.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer.
    pub async fn stop(&self, execution_arn: &str) -> Result<(), SageMakerError> {
        self.client
            .stop_pipeline_execution()
            .pipeline_execution_arn(execution_arn)
            .send()
            .await
            .map_err(|error| SageMakerError::of("StopPipelineExecution", execution_arn, &error))?;
        Ok(())
    }

    /// Has an execution that failed or was stopped go on from where it ended.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer.
    pub async fn retry(&self, execution_arn: &str) -> Result<(), SageMakerError> {
        self.client
            .retry_pipeline_execution()
            .pipeline_execution_arn(execution_arn)
            .send()
            .await
            .map_err(|error| SageMakerError::of("RetryPipelineExecution", execution_arn, &error))?;
        Ok(())
    }

    /// A page of a pipeline's executions that were created from `since` (epoch
    /// milliseconds) on, the latest first.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn executions_since(
        &self,
        pipeline: &str,
        since: i64,
        from: Option<String>,
    ) -> Result<Page<ExecutionSummary>, SageMakerError> {
        let answer = self
            .client
            .list_pipeline_executions()
            .pipeline_name(pipeline)
            .created_after(DateTime::from_millis(since))
            .set_next_token(from)
            .send()
            .await
            .map_err(|error| SageMakerError::of("ListPipelineExecutions", pipeline, &error))?;
        Ok(Page {
            rows: answer
                .pipeline_execution_summaries()
                .iter()
                .filter_map(|summary| {
                    Some(ExecutionSummary {
                        arn: summary.pipeline_execution_arn()?.to_owned(),
                        display_name: summary.pipeline_execution_display_name().map(str::to_owned),
                    })
                })
                .collect(),
            next: answer.next_token,
        })
    }

    /// The ARN of the latest execution of a pipeline that was created from
    /// `since` (epoch milliseconds) on and has this display name.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn find_execution(
        &self,
        pipeline: &str,
        display_name: &str,
        since: i64,
    ) -> Result<Option<String>, SageMakerError> {
        let mut token = None;
        loop {
            let page = self.executions_since(pipeline, since, token).await?;
            let found = page
                .rows
                .into_iter()
                .find(|summary| summary.display_name.as_deref() == Some(display_name));
            if let Some(summary) = found {
                return Ok(Some(summary.arn));
            }
            token = page.next.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(None);
            }
        }
    }
}
