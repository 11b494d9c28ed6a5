//! Callback steps: a message with a token goes out, and an answer with the token ends the step.

use super::effect::{Effect, MessageOrder, StepKey};
use super::input::Input;
use super::launch::{Launch, NotLaunched};
use super::run::{Execution, Phase};
use super::{State, Turn};
use crate::error::ApiError;
use pipewright::definition::{OutputParameter, ParameterType, Step};
use serde_json::{Map, Value, json};

/// The length of a token; SageMaker's have ten characters.
const TOKEN_LENGTH: usize = 10;

impl State {
    pub(super) fn launch_callback(
        &mut self,
        execution: &mut Execution,
        position: usize,
        step: &Step<'_>,
        arguments: Map<String, Value>,
    ) -> Result<Launch, NotLaunched> {
        let queue_url = step
            .member("SqsQueueUrl")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let token = self.names.token(TOKEN_LENGTH);
        let body = json!({
            "token": token,
            "pipelineExecutionArn": execution.arn,
            "arguments": arguments,
        });
        let run = &mut execution.steps[position];
        run.metadata = json!({"CallbackToken": token, "SqsQueueUrl": queue_url});
        run.callback_token = Some(token);
        Ok(Launch::Runs(Effect::SendMessage(MessageOrder {
            key: execution.key_of(position),
            queue_url,
            body,
        })))
    }

    /// The step that waits for an answer with this token.
    fn waiting_for(&self, token: &str) -> Result<(StepKey, String), ApiError> {
        self.executions
            .values()
            .find_map(|execution| {
                let position = execution.steps.iter().position(|step| {
                    step.callback_token.as_deref() == Some(token) && step.phase == Phase::Executing
                })?;
                Some((execution.key_of(position), execution.arn.clone()))
            })
            .ok_or_else(|| {
                ApiError::not_found(format!("No step waits for the callback token '{token}'."))
            })
    }

    pub(super) fn send_step_success(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let (key, arn) = self.waiting_for(input.required("CallbackToken")?)?;
        let given = read_outputs(input)?;
        let declared = self.declared_outputs(&key);
        let outputs = bind_outputs(&declared, &given)?;
        self.with_step(turn, &key, |state, turn, execution, position| {
            let step = &mut execution.steps[position];
            let listed: Vec<Value> = given
                .iter()
                .map(|(name, value)| json!({"Name": name, "Value": value}))
                .collect();
            step.metadata["OutputParameters"] = json!(listed);
            step.document = Some(json!({"OutputParameters": outputs}));
            state.succeed_step(turn, execution, position);
        });
        Ok(json!({"PipelineExecutionArn": arn}))
    }

    pub(super) fn send_step_failure(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let (key, arn) = self.waiting_for(input.required("CallbackToken")?)?;
        let reason = input.string("FailureReason")?.unwrap_or_default();
        if reason.chars().count() > 256 {
            return Err(ApiError::constraint(
                reason,
                "FailureReason",
                "Member must have length less than or equal to 256",
            ));
        }
        self.with_step(turn, &key, |_, turn, execution, position| {
            execution.fail_step(turn, position, reason);
        });
        Ok(json!({"PipelineExecutionArn": arn}))
    }

    /// Names and types of the outputs that a step declares.
    fn declared_outputs(&self, key: &StepKey) -> Vec<(String, ParameterType)> {
        let Some(execution) = self.executions.get(&key.execution) else {
            return Vec::new();
        };
        let steps = execution.definition.steps();
        let typed = |output: OutputParameter<'_>| {
            let kind = ParameterType::from_name(output.output_type);
            (
                output.name.to_owned(),
                kind.unwrap_or(ParameterType::String),
            )
        };
        steps
            .iter()
            .find(|step| step.name() == key.step)
            .map(|step| step.output_parameters().into_iter().map(typed).collect())
            .unwrap_or_default()
    }
}

fn read_outputs(input: Input<'_>) -> Result<Vec<(String, String)>, ApiError> {
    input
        .objects("OutputParameters")?
        .map(|output| {
            Ok((
                output.required("Name")?.to_owned(),
                output.required("Value")?.to_owned(),
            ))
        })
        .collect()
}

/// Every declared output with its value, of its declared type; all faults are named at once.
fn bind_outputs(
    declared: &[(String, ParameterType)],
    given: &[(String, String)],
) -> Result<Map<String, Value>, ApiError> {
    let mut faults = Vec::new();
    for (name, _) in given {
        if !declared.iter().any(|(known, _)| known == name) {
            faults.push(format!("the step declares no output '{name}'"));
        }
    }
    let mut outputs = Map::new();
    for (name, kind) in declared {
        match given.iter().find(|(known, _)| known == name) {
            None => faults.push(format!("output '{name}' is missing")),
            Some((_, text)) => match kind.read(text) {
                Some(value) => {
                    outputs.insert(name.clone(), value);
                }
                None => faults.push(format!(
                    "output '{name}' is of type {}: '{text}' is not",
                    kind.name()
                )),
            },
        }
    }
    if faults.is_empty() {
        Ok(outputs)
    } else {
        Err(ApiError::validation(format!(
            "OutputParameters: {}.",
            faults.join("; ")
        )))
    }
}
