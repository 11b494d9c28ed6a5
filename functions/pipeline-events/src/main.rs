//! EventBridge events of SageMaker to the execution record in DynamoDB.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use lambda_runtime::{Diagnostic, LambdaEvent};
use pipewright::arn::Home;
use pipewright_aws::dynamodb::Executions;
use pipewright_aws::dynamodb::endpoints::Endpoints;
use pipewright_aws::function::failure;
use pipewright_aws::process::{list_variable, now, variable};
use pipewright_aws::sagemaker::SageMaker;
use pipewright_aws::{dynamodb, function, logging, sagemaker};
use serde_json::{Value, json};

mod envelope;
mod handler;
mod metrics;
mod ports;
#[cfg(test)]
mod tests;

use envelope::received;
use handler::{Handler, HandlerError, Ours, Outcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    logging::init(logging::Libraries::AsConfigured)?;
    let stack = variable("PREFIX")?;
    let shipped = variable("PIPELINE_NAME")?;
    let config = function::config();
    let tables = dynamodb::client(&config);
    let handler = Handler::new(
        Ours {
            prefix: stack.clone(),
            pipelines: std::iter::once(shipped)
                .chain(list_variable("PIPELINE_NAMES"))
                .collect(),
        },
        Executions::new(tables.clone(), variable("EXECUTIONS_TABLE")?),
        Endpoints::new(tables, variable("ENDPOINTS_TABLE")?),
        SageMaker::new(sagemaker::client(&config)),
    );
    let state = (handler, stack);
    let serving = function::serve(state, async |state, event: LambdaEvent<Value>| {
        let (handler, stack) = &*state;
        let (event, context) = (received(event.payload), event.context);
        let result = match &event {
            Ok(event) => {
                let home = home(&context.invoked_function_arn, event)?;
                handler.handle(&home, event).await
            }
            Err(error) => Err(HandlerError::Envelope(error.to_string())),
        };
        let event = event.ok();
        function::tell(&metrics::of(stack, event.as_ref(), &result, now()));
        answer(result, &event.unwrap_or_default())
    });
    Ok(serving.await?)
}

/// The account and region that the function runs in, by the ARN that it was
/// invoked under; where an emulator gives none, those that the event names.
fn home(function_arn: &str, event: &EventBridgeEvent) -> Result<Home, Diagnostic> {
    let of_event = || {
        Some(Home {
            account: event.account.clone()?,
            region: event.region.clone()?,
        })
    };
    Home::of(function_arn).or_else(of_event).ok_or_else(|| {
        let what = format!(
            "neither the function's ARN {function_arn:?} nor the event names an account and a region"
        );
        failure("UnknownAccount", &what)
    })
}

/// Logs what became of the event, and says so to its caller.
fn answer(
    result: Result<Outcome, HandlerError>,
    event: &EventBridgeEvent,
) -> Result<Value, Diagnostic> {
    let event_id = event.id.as_deref().unwrap_or_default();
    let detail_type = event.detail_type.as_str();
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
            Err(failure(error.kind(), &error))
        }
    }
}
