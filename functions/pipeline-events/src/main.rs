//! EventBridge events of SageMaker to the execution record in DynamoDB.

use std::sync::Arc;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use pipewright::arn::Home;
use pipewright_aws::dynamodb::Executions;
use pipewright_aws::dynamodb::endpoints::Endpoints;
use pipewright_aws::process::{list_variable, now, variable};
use pipewright_aws::sagemaker::SageMaker;
use pipewright_aws::{dynamodb, function, logging, sagemaker};
use serde_json::{Value, json};

mod handler;
mod metrics;
mod ports;
#[cfg(test)]
mod tests;

use handler::{Handler, Ours, Outcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    logging::init(logging::Libraries::AsConfigured)?;
    let stack = Arc::new(variable("PREFIX")?);
    let shipped = variable("PIPELINE_NAME")?;
    let config = function::config();
    let tables = dynamodb::client(&config);
    let handler = Arc::new(Handler::new(
        Ours {
            prefix: stack.to_string(),
            pipelines: std::iter::once(shipped)
                .chain(list_variable("PIPELINE_NAMES"))
                .collect(),
        },
        Executions::new(tables.clone(), variable("EXECUTIONS_TABLE")?),
        Endpoints::new(tables, variable("ENDPOINTS_TABLE")?),
        SageMaker::new(sagemaker::client(&config)),
    ));
    let service = service_fn(move |event: LambdaEvent<Value>| {
        let (handler, stack) = (Arc::clone(&handler), Arc::clone(&stack));
        async move {
            let home = home(&event.context.invoked_function_arn, &event.payload)?;
            let result = handler.handle(&home, &event.payload).await;
            let metrics = metrics::of(&stack, &event.payload, &result, now());
            if let Err(error) = metrics.emit() {
                tracing::error!(%error, "metrics could not be written");
            }
            answer(result, &event.payload)
        }
    });
    lambda_runtime::run(service)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// The account and region that the function runs in, by the ARN that it was
/// invoked under; where an emulator gives none, those that the event names.
fn home(function_arn: &str, event: &Value) -> Result<Home, Diagnostic> {
    let of_event = || {
        Some(Home {
            account: event["account"].as_str()?.to_owned(),
            region: event["region"].as_str()?.to_owned(),
        })
    };
    Home::of(function_arn).or_else(of_event).ok_or_else(|| Diagnostic {
        error_type: "UnknownAccount".to_owned(),
        error_message: format!(
            "neither the function's ARN {function_arn:?} nor the event names an account and a region"
        ),
    })
}

/// Logs what became of the event, and says so to whoever invoked the function.
fn answer(
    result: Result<Outcome, handler::HandlerError>,
    event: &Value,
) -> Result<Value, Diagnostic> {
    let event_id = event["id"].as_str().unwrap_or_default();
    let detail_type = event["detail-type"].as_str().unwrap_or_default();
    match result {
        Ok(Outcome::Recorded { id, latest }) => {
            tracing::info!(event_id, detail_type, %id, latest, "event recorded");
            Ok(json!({"outcome": "recorded", "executionId": id.as_str(), "latest": latest}))
        }
        Ok(Outcome::NotOurs { why }) => {
            tracing::info!(event_id, detail_type, why, "event is not ours");
            Ok(json!({"outcome": "notOurs", "reason": why}))
        }
        Err(error) => {
            tracing::error!(event_id, detail_type, %error, "event not recorded");
            Err(Diagnostic {
                error_type: error.kind().to_owned(),
                error_message: error.to_string(),
            })
        }
    }
}
