//! Creates an execution record and starts the pipeline with every parameter of
//! its training template.

use lambda_runtime::{Diagnostic, LambdaEvent};
use pipewright_aws::dynamodb::{Executions, Table};
use pipewright_aws::function::failure;
use pipewright_aws::process::{now, optional_variable, random, variable};
use pipewright_aws::sagemaker::SageMaker;
use pipewright_aws::{dynamodb, ecr, function, logging, sagemaker};
use serde_json::Value;

mod handler;
mod ports;
#[cfg(test)]
mod tests;

use handler::{Answer, Handler, HandlerError, Ours};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    logging::init(logging::Libraries::AsConfigured)?;
    let config = function::config();
    let tables = dynamodb::client(&config);
    let images = ecr::client(&config);
    let mut needed = vec![ecr::Image::new(
        images.clone(),
        variable("IMAGE_REPOSITORY")?,
        variable("IMAGE_TAG")?,
    )];
    // Only where Pipewright's own image trains.
    let mut cpu_training = None;
    if let Some(repository) = optional_variable("TRAINING_IMAGE_REPOSITORY") {
        let tag = variable("TRAINING_IMAGE_TAG")?;
        needed.push(ecr::Image::new(images, repository, tag));
        cpu_training = Some(variable("TRAINING_INSTANCE_TYPE")?);
    }
    let handler = Handler::new(
        Ours {
            pipeline: variable("PIPELINE_NAME")?,
            package_group: variable("MODEL_PACKAGE_GROUP_NAME")?,
            cpu_training,
        },
        Table::new(tables.clone(), variable("TRAINING_TEMPLATES_TABLE")?),
        Executions::new(tables, variable("EXECUTIONS_TABLE")?),
        needed,
        SageMaker::new(sagemaker::client(&config)),
    );
    let serving = function::serve(handler, async |handler, event: LambdaEvent<Value>| {
        answer(handler.handle(&event.payload, now(), random()).await)
    });
    Ok(serving.await?)
}

/// Logs how it went, and gives the error a name that callers can act on.
fn answer(result: Result<Answer, HandlerError>) -> Result<Answer, Diagnostic> {
    match result {
        Ok(answer) => {
            tracing::info!(
                id = answer.execution_id,
                arn = answer.pipeline_execution_arn,
                already_started = answer.already_started,
                "execution started"
            );
            Ok(answer)
        }
        Err(error) => {
            tracing::error!(kind = error.kind(), %error, "execution not started");
            Err(failure(error.kind(), &error))
        }
    }
}
