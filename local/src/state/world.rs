//! A state in the hands of a test, which is its clock and all that it waits for.

use super::{Effect, JobEnd, JobResult, Settings, Signal, State};
use crate::clock::Millis;
use crate::event::Event;
use crate::names::Account;
use serde_json::{Value, json};

pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The world around a state: what it has asked for and not been told of yet.
pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Millis,
    pub(super) pending: Vec<Effect>,
    pub(super) events: Vec<Event>,
    calls: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let account = Account {
            id: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        Self {
            state: State::new(Settings {
                account,
                simulated_step_millis: 0,
                runners: ["r".to_owned()].into(),
                servers: [].into(),
                pythons: [].into(),
                runs_frameworks: false,
                runs_containers: false,
                faults: Vec::new(),
                seed: 1,
            }),
            now: Millis(1_700_000_000_000),
            pending: Vec::new(),
            events: Vec::new(),
            calls: 0,
        }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Emit(event) => self.events.push(event),
                other => self.pending.push(other),
            }
        }
    }

    pub(super) fn call(&mut self, operation: &str, input: Value) -> Option<Value> {
        let Value::Object(members) = input else {
            panic!("{input} is not an object");
        };
        let reply = self.state.call(self.now, operation, &members).ok()?;
        self.take(reply.effects);
        Some(reply.body)
    }

    /// Lets one thing happen that the state waits for; gives whether there was any.
    pub(super) fn happen(&mut self, which: impl FnOnce(usize) -> usize, well: bool) -> bool {
        let stopping: Vec<_> = self
            .pending
            .iter()
            .filter_map(|effect| match effect {
                Effect::StopJob(key) => Some(key.clone()),
                _ => None,
            })
            .collect();
        self.pending
            .retain(|effect| !matches!(effect, Effect::StopJob(_)));
        // Jobs that were told to stop do so; their end may come at any time.
        for key in stopping {
            let index = self.pending.iter().position(
                |effect| matches!(effect, Effect::StartJob(order) if *order.key() == key),
            );
            if let Some(index) = index {
                self.pending.remove(index);
                let end = JobEnd::from(JobResult::Stopped);
                self.signal(Signal::JobEnded { key, end });
                return true;
            }
        }
        if self.pending.is_empty() {
            return false;
        }
        let effect = self.pending.remove(which(self.pending.len()));
        self.now = self.now.plus(137);
        let signal = match effect {
            Effect::WakeAt { execution, at } => {
                self.now = self.now.max(at);
                Signal::Wake { execution }
            }
            Effect::StartJob(order) => Signal::JobEnded {
                key: order.key().clone(),
                end: if well {
                    JobResult::Succeeded.into()
                } else {
                    JobResult::Failed("AlgorithmError: no".to_owned()).into()
                },
            },
            Effect::CallFunction(order) => Signal::FunctionAnswered {
                key: order.key,
                answer: if well {
                    Ok(json!({}))
                } else {
                    Err("ClientError: no".to_owned())
                },
            },
            other => panic!("{other:?} was not asked for"),
        };
        self.signal(signal);
        true
    }

    fn signal(&mut self, signal: Signal) {
        let effects = self.state.signal(self.now, signal);
        self.take(effects);
    }

    /// Lets the first of all that the state waits for happen; gives whether there was any.
    pub(super) fn happen_first(&mut self, well: bool) -> bool {
        self.happen(|_| 0, well)
    }

    /// Lets a job that runs fail; gives whether there was any.
    pub(super) fn fail_job(&mut self, reason: &str) -> bool {
        let is_job = |effect: &Effect| matches!(effect, Effect::StartJob(_));
        let Some(index) = self.pending.iter().position(is_job) else {
            return false;
        };
        if let Effect::StartJob(order) = self.pending.remove(index) {
            let key = order.key().clone();
            let end = JobResult::Failed(reason.to_owned()).into();
            self.signal(Signal::JobEnded { key, end });
        }
        true
    }

    /// Lets everything happen that the state waits for, and well.
    pub(super) fn finish(&mut self) {
        while self.happen_first(true) {}
    }

    fn token(&mut self) -> String {
        self.calls += 1;
        format!("{TOKEN}{}", self.calls)
    }

    fn answered(&mut self, operation: &str, input: Value) -> Value {
        let answer = self.call(operation, input.clone());
        answer.unwrap_or_else(|| panic!("{operation} is refused: {input}"))
    }

    pub(super) fn create(&mut self, name: &str, definition: &Value) {
        let token = self.token();
        let input = json!({"PipelineName": name, "ClientRequestToken": token,
            "RoleArn": "arn:aws:iam::123456789012:role/r",
            "PipelineDefinition": definition.to_string()});
        self.answered("CreatePipeline", input);
    }

    pub(super) fn update(&mut self, name: &str, definition: &Value) {
        let input = json!({"PipelineName": name, "PipelineDefinition": definition.to_string()});
        self.answered("UpdatePipeline", input);
    }

    /// The call that starts an execution, with these members besides.
    fn starting(&mut self, name: &str, besides: Value) -> Value {
        let mut input = besides;
        input["PipelineName"] = json!(name);
        input["ClientRequestToken"] = json!(self.token());
        input
    }

    /// Starts an execution, with these members of the call besides; gives its ARN.
    pub(super) fn start(&mut self, name: &str, besides: Value) -> String {
        let input = self.starting(name, besides);
        let answer = self.answered("StartPipelineExecution", input);
        answer["PipelineExecutionArn"].as_str().unwrap().to_owned()
    }

    /// A start that must be refused: its message.
    pub(super) fn refused(&mut self, name: &str, besides: Value) -> String {
        let input = self.starting(name, besides);
        let members = input.as_object().unwrap();
        let answer = self.state.call(self.now, "StartPipelineExecution", members);
        answer.unwrap_err().message
    }

    pub(super) fn set_parallelism(&mut self, name: &str, configuration: Value) {
        let input = json!({"PipelineName": name, "ParallelismConfiguration": configuration});
        self.answered("UpdatePipeline", input);
    }

    fn change(&mut self, operation: &str, arn: &str) {
        let token = self.token();
        let input = json!({"PipelineExecutionArn": arn, "ClientRequestToken": token});
        self.answered(operation, input);
    }

    pub(super) fn stop(&mut self, arn: &str) {
        self.change("StopPipelineExecution", arn);
    }

    pub(super) fn retry(&mut self, arn: &str) {
        self.change("RetryPipelineExecution", arn);
    }

    pub(super) fn describe(&mut self, arn: &str) -> Value {
        self.answered(
            "DescribePipelineExecution",
            json!({"PipelineExecutionArn": arn}),
        )
    }

    /// The rows of an execution's steps, the latest first.
    pub(super) fn steps(&mut self, arn: &str) -> Vec<Value> {
        let answer = self.answered(
            "ListPipelineExecutionSteps",
            json!({"PipelineExecutionArn": arn}),
        );
        answer["PipelineExecutionSteps"].as_array().unwrap().clone()
    }

    pub(super) fn step(&mut self, arn: &str, name: &str) -> Value {
        let rows = self.steps(arn);
        let row = rows.iter().find(|row| row["StepName"] == name);
        row.unwrap_or_else(|| panic!("no step {name} in {rows:?}"))
            .clone()
    }

    /// An argument of a step of a type that gives its arguments back, as it was resolved.
    pub(super) fn argument(&self, arn: &str, step: &str, name: &str) -> Value {
        let id = arn.rsplit('/').next().unwrap();
        let steps = &self.state.executions[id].steps;
        let step = steps.iter().find(|run| run.name == step).unwrap();
        step.document.as_ref().unwrap()[name].clone()
    }
}
