//! An execution: its steps, what they wait for, and how each change is told.

use super::effect::{Effect, JobEnd, JobResult, Signal, StepKey};
use super::jobs::{JobNotes, JobStatus};
use super::launch::{Launch, NotLaunched};
use super::retry::Retries;
use super::reuse::{Reused, Selection, Source};
use super::{State, Turn};
use crate::clock::Millis;
use crate::event::Event;
use pipewright::definition::{Definition, Resource, Side, StepType, in_events};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What SageMaker says of an execution in which a step failed.
const STEPS_FAILED: &str = "Step failure: One or multiple steps failed.";

/// The longest failure reason of a step, in characters.
const LONGEST_REASON: usize = 1024;

/// The status of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExecutionStatus {
    Executing,
    Stopping,
    Stopped,
    Failed,
    Succeeded,
}

impl ExecutionStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Executing => "Executing",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Failed => "Failed",
            Self::Succeeded => "Succeeded",
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed | Self::Succeeded)
    }
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not begun.
    Waiting,
    Starting,
    Executing,
    Stopping,
    Succeeded,
    Failed,
    Stopped,
    /// Never to begin: in the branch not taken, or after a step that never began.
    NotRun,
}

impl Phase {
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Waiting | Self::NotRun => return None,
            Self::Starting => "Starting",
            Self::Executing => "Executing",
            Self::Stopping => "Stopping",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        })
    }

    fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Executing | Self::Stopping)
    }
}

/// One step of an execution.
#[derive(Debug)]
pub(super) struct StepRun {
    pub(super) name: String,
    type_name: String,
    pub(super) step_type: &'static StepType,
    display_name: Option<String>,
    description: Option<String>,
    /// The condition whose branch it stands in, by position, and the side.
    branch: Option<(usize, Side)>,
    /// By position; the branch's condition among them.
    dependencies: Vec<usize>,
    pub(super) phase: Phase,
    pub(super) attempt: u32,
    started: Millis,
    /// The retries that its policies have ordered since it began, and the next one.
    pub(super) retries: Retries,
    pub(super) ended: Option<Millis>,
    failure: Option<String>,
    /// What the API has in the member of the step's type: `{"Arn": ...}`; null if nothing.
    pub(super) metadata: Value,
    /// Why nothing really ran, where that is so.
    pub(super) simulated: Option<String>,
    /// The job that it runs, by its name, or what it has made, by its ARN.
    pub(super) made: Option<(Resource, String)>,
    /// What `Steps.NAME...` reads, once the step has succeeded.
    pub(super) document: Option<Value>,
    /// What a condition decided.
    pub(super) outcome: Option<bool>,
    /// What an answer to a Callback step must name.
    pub(super) callback_token: Option<String>,
    /// The documents that its references read, by S3 URI.
    pub(super) documents: BTreeMap<String, Result<Value, String>>,
    /// What of its arguments is compared with other runs, where its type is cached.
    pub(super) compared: Option<Value>,
    /// Whose result it has, if it did not run itself.
    pub(super) source: Option<Source>,
}

/// What StartPipelineExecution has read and checked.
#[derive(Debug)]
pub(super) struct NewExecution {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) pipeline: String,
    pub(super) pipeline_name: String,
    pub(super) pipeline_arn: String,
    /// Which version of the pipeline it is of.
    pub(super) version: usize,
    pub(super) definition: Arc<Definition>,
    pub(super) definition_text: String,
    pub(super) definition_time: Millis,
    pub(super) token: String,
    pub(super) display_name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) parameters: Vec<(String, Value)>,
    pub(super) parallelism: Option<Value>,
    pub(super) selection: Option<Selection>,
}

/// An execution of a pipeline.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) arn: String,
    /// The pipeline's key.
    pub(super) pipeline: String,
    pub(super) pipeline_name: String,
    pub(super) pipeline_arn: String,
    version: usize,
    pub(super) definition: Arc<Definition>,
    pub(super) definition_text: String,
    pub(super) definition_time: Millis,
    pub(super) token: String,
    retry_tokens: Vec<String>,
    pub(super) display_name: Option<String>,
    pub(super) description: Option<String>,
    /// In the definition's order.
    pub(super) parameters: Vec<(String, Value)>,
    parallelism: Option<Value>,
    /// SelectiveExecutionConfig, for the description.
    selection: Option<Value>,
    pub(super) status: ExecutionStatus,
    pub(super) created: Millis,
    /// Which of the executions it is, counted from the stand-in's start.
    pub(super) serial: usize,
    modified: Millis,
    ended: Option<Millis>,
    failure: Option<String>,
    /// Name and trial, for the description.
    experiment: Option<Value>,
    /// In the order of [`Definition::steps`].
    pub(super) steps: Vec<StepRun>,
    /// Positions of the steps in the order in which they began.
    begun: Vec<usize>,
}

impl Execution {
    pub(super) fn describe(&self) -> Value {
        let mut body = self.summary();
        if let Value::Object(members) = &mut body {
            members.remove("StartTime");
            if let Some(reason) = members.remove("PipelineExecutionFailureReason") {
                members.insert("FailureReason".to_owned(), reason);
            }
        }
        body["PipelineArn"] = json!(self.pipeline_arn);
        body["PipelineVersionId"] = json!(self.version);
        body["CreationTime"] = self.created.to_json();
        body["LastModifiedTime"] = self.modified.to_json();
        body["CreatedBy"] = json!({});
        body["LastModifiedBy"] = json!({});
        if let Some(experiment) = &self.experiment {
            body["PipelineExperimentConfig"] = experiment.clone();
        }
        if let Some(parallelism) = &self.parallelism {
            body["ParallelismConfiguration"] = parallelism.clone();
        }
        if let Some(selection) = &self.selection {
            body["SelectiveExecutionConfig"] = selection.clone();
        }
        body
    }

    pub(super) fn summary(&self) -> Value {
        let mut row = json!({
            "PipelineExecutionArn": self.arn,
            "StartTime": self.created.to_json(),
            "PipelineExecutionStatus": self.status.name(),
            // SageMaker makes a name up where none was given; events don't have it.
            "PipelineExecutionDisplayName": self
                .display_name
                .clone()
                .unwrap_or_else(|| format!("execution-{}", self.created.0)),
        });
        if let Some(description) = &self.description {
            row["PipelineExecutionDescription"] = json!(description);
        }
        if let Some(reason) = &self.failure {
            row["PipelineExecutionFailureReason"] = json!(reason);
        }
        row
    }

    /// The steps that have begun, in the order in which they did.
    pub(super) fn step_rows(&self) -> Vec<(String, Value)> {
        self.begun
            .iter()
            .filter_map(|&position| self.steps.get(position))
            .filter_map(|step| Some((step.name.clone(), step.row()?)))
            .collect()
    }

    pub(super) fn key_of(&self, position: usize) -> StepKey {
        let step = &self.steps[position];
        StepKey {
            execution: self.id.clone(),
            step: step.name.clone(),
            attempt: step.attempt,
        }
    }

    fn position(&self, key: &StepKey) -> Option<usize> {
        self.steps
            .iter()
            .position(|step| step.name == key.step && step.attempt == key.attempt)
    }

    /// Changes the execution's status and tells of it.
    fn change(&mut self, turn: &mut Turn, status: Option<ExecutionStatus>) {
        let previous = status.map(|_| self.status);
        if let Some(status) = status {
            self.status = status;
        }
        self.modified = turn.now;
        if self.status.is_final() {
            self.ended = Some(turn.now);
        }
        let mut detail = Map::new();
        if let Some(name) = &self.display_name {
            detail.insert("pipelineExecutionDisplayName".to_owned(), json!(name));
        }
        detail.insert(
            "currentPipelineExecutionStatus".to_owned(),
            json!(self.status.name()),
        );
        if let Some(previous) = previous {
            detail.insert(
                "previousPipelineExecutionStatus".to_owned(),
                json!(previous.name()),
            );
        }
        detail.insert(
            "executionStartTime".to_owned(),
            json!(self.created.to_iso()),
        );
        if let Some(ended) = self.ended {
            detail.insert("executionEndTime".to_owned(), json!(ended.to_iso()));
        }
        if let Some(description) = &self.description {
            detail.insert(
                "pipelineExecutionDescription".to_owned(),
                json!(description),
            );
        }
        detail.insert("pipelineArn".to_owned(), json!(self.pipeline_arn));
        detail.insert("pipelineExecutionArn".to_owned(), json!(self.arn));
        turn.emit(
            Event::EXECUTION,
            vec![self.pipeline_arn.clone(), self.arn.clone()],
            Value::Object(detail),
        );
    }

    /// Changes a step's phase and tells of it.
    pub(super) fn change_step(&mut self, turn: &mut Turn, position: usize, phase: Phase) {
        let step = &mut self.steps[position];
        let previous = step.phase;
        step.phase = phase;
        match phase {
            Phase::Starting => step.started = turn.now,
            Phase::Succeeded | Phase::Failed | Phase::Stopped => step.ended = Some(turn.now),
            _ => {}
        }
        self.modified = turn.now;
        let Some(status) = phase.name() else {
            return;
        };
        let mut metadata = Map::new();
        if !step.metadata.is_null() {
            let member = step.step_type.event_member();
            metadata.insert(member, in_camel_case(&step.metadata));
        }
        if let Some(reason) = &step.simulated {
            metadata.insert(
                "pipewrightLocal".to_owned(),
                json!({"simulated": true, "reason": reason}),
            );
        }
        let mut detail = Map::new();
        detail.insert("metadata".to_owned(), Value::Object(metadata));
        detail.insert("stepStartTime".to_owned(), json!(step.started.to_iso()));
        if let Some(ended) = step.ended {
            detail.insert("stepEndTime".to_owned(), json!(ended.to_iso()));
        }
        detail.insert("stepName".to_owned(), json!(step.name));
        detail.insert("stepType".to_owned(), json!(step.type_name));
        if let Some(previous) = previous.name() {
            detail.insert("previousStepStatus".to_owned(), json!(previous));
        }
        detail.insert("currentStepStatus".to_owned(), json!(status));
        detail.insert("pipelineArn".to_owned(), json!(self.pipeline_arn));
        detail.insert("pipelineExecutionArn".to_owned(), json!(self.arn));
        if phase == Phase::Failed
            && let Some(reason) = &step.failure
        {
            detail.insert("failureReason".to_owned(), json!(reason));
        }
        if let Some((member, source)) = step.source.as_ref().map(Source::in_event) {
            detail.insert(member.to_owned(), source);
        }
        turn.emit(
            Event::STEP,
            vec![self.pipeline_arn.clone(), self.arn.clone()],
            Value::Object(detail),
        );
    }

    /// Begins the next attempt at a step, which is the latest to have begun.
    fn enter_attempt(&mut self, turn: &mut Turn, position: usize) {
        self.begun.retain(|&begun| begun != position);
        self.begun.push(position);
        self.steps[position].attempt += 1;
        self.change_step(turn, position, Phase::Starting);
    }

    /// Ends a step at once with the result of an earlier run.
    fn take_over(&mut self, turn: &mut Turn, position: usize, reused: Reused) {
        self.steps[position].take_over(reused);
        self.change_step(turn, position, Phase::Succeeded);
    }

    pub(super) fn fail_step(&mut self, turn: &mut Turn, position: usize, reason: &str) {
        self.steps[position].failure = Some(reason.chars().take(LONGEST_REASON).collect());
        self.change_step(turn, position, Phase::Failed);
    }

    /// Whether this execution was already begun again by a call with this token.
    pub(super) fn was_retried_by(&self, token: &str) -> bool {
        self.retry_tokens.iter().any(|known| known == token)
    }

    fn any_failed(&self) -> bool {
        self.steps.iter().any(|step| step.phase == Phase::Failed)
    }

    /// Whether, and from when, a waiting step may begin.
    fn readiness(&self, position: usize) -> Readiness {
        let step = &self.steps[position];
        let mut from = self.created;
        for &dependency in &step.dependencies {
            let before = &self.steps[dependency];
            match before.phase {
                Phase::Succeeded => {}
                Phase::NotRun => return Readiness::Never,
                _ => return Readiness::Later,
            }
            if let Some(ended) = before.ended {
                // Events carry whole seconds: what follows begins in a later one, so that
                // times alone tell cause from effect.
                from = from.max(ended.next_second());
            }
        }
        if let Some((condition, side)) = step.branch {
            let taken = if self.steps[condition].outcome == Some(true) {
                Side::If
            } else {
                Side::Else
            };
            if taken != side {
                return Readiness::Never;
            }
        }
        Readiness::From(from)
    }
}

enum Readiness {
    /// Something it waits for has not ended.
    Later,
    /// It will not run in this execution.
    Never,
    From(Millis),
}

impl StepRun {
    /// Is as it was before it began, but for the number of attempts.
    fn begin_anew(&mut self) {
        self.phase = Phase::Waiting;
        self.forget_attempt();
        self.retries = Retries::default();
    }

    /// Forgets what the last attempt has made.
    fn forget_attempt(&mut self) {
        self.ended = None;
        self.failure = None;
        self.metadata = Value::Null;
        self.simulated = None;
        self.made = None;
        self.document = None;
        self.outcome = None;
        self.callback_token = None;
        self.documents = BTreeMap::new();
        self.compared = None;
        self.source = None;
    }

    fn row(&self) -> Option<Value> {
        let mut metadata = json!({});
        if !self.metadata.is_null() {
            metadata[self.step_type.metadata] = self.metadata.clone();
        }
        let mut row = json!({
            "StepName": self.name,
            "StepDisplayName": self.display_name.as_ref().unwrap_or(&self.name),
            "StepStatus": self.phase.name()?,
            "StartTime": self.started.to_json(),
            "AttemptCount": self.attempt,
            "Metadata": metadata,
        });
        if let Some(ended) = self.ended {
            row["EndTime"] = ended.to_json();
        }
        let note = self
            .simulated
            .as_ref()
            .map(|reason| format!("[simulated: {reason}]"));
        let description: Vec<&str> = [note.as_deref(), self.description.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        if !description.is_empty() {
            row["StepDescription"] = json!(description.join(" "));
        }
        if let Some(reason) = &self.failure {
            row["FailureReason"] = json!(reason);
        }
        if let Some((member, value)) = self.source.as_ref().map(Source::row) {
            row[member] = value;
        }
        Some(row)
    }
}

/// Why a job failed, as its step says it: a program's failure is none of the pipeline's. Where
/// that leaves no room for the job's own words, they stand alone.
fn in_pipelines_words(reason: String) -> String {
    const PREFIX: &str = "ClientError: ";
    let is_programs = reason.starts_with("AlgorithmError: ");
    if is_programs && PREFIX.len() + reason.chars().count() <= LONGEST_REASON {
        format!("{PREFIX}{reason}")
    } else {
        reason
    }
}

/// An answer of the service as events spell its members.
fn in_camel_case(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (in_events(name), in_camel_case(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

impl State {
    /// Begins a new execution, whose parameters have been checked.
    pub(super) fn begin_execution(&mut self, turn: &mut Turn, new: NewExecution) {
        let mut selection = new.selection;
        let definition = Arc::clone(&new.definition);
        let dependencies = definition.graph().dependencies();
        let steps = definition
            .steps()
            .iter()
            .zip(dependencies)
            .map(|(step, dependencies)| StepRun {
                name: step.name().to_owned(),
                type_name: step.type_name().to_owned(),
                step_type: step.step_type(),
                display_name: step.display_name().map(str::to_owned),
                description: step.description().map(str::to_owned),
                branch: step.branch().map(|branch| (branch.condition, branch.side)),
                dependencies,
                phase: Phase::Waiting,
                attempt: 0,
                started: turn.now,
                retries: Retries::default(),
                ended: None,
                failure: None,
                metadata: Value::Null,
                simulated: None,
                made: None,
                document: None,
                outcome: None,
                callback_token: None,
                documents: BTreeMap::new(),
                compared: None,
                source: None,
            })
            .collect();
        let mut execution = Execution {
            id: new.id,
            arn: new.arn,
            pipeline: new.pipeline,
            pipeline_name: new.pipeline_name,
            pipeline_arn: new.pipeline_arn,
            version: new.version,
            definition,
            definition_text: new.definition_text,
            definition_time: new.definition_time,
            token: new.token,
            retry_tokens: Vec::new(),
            display_name: new.display_name,
            description: new.description,
            parameters: new.parameters,
            parallelism: new.parallelism,
            selection: selection
                .as_ref()
                .map(|selection| selection.described.clone()),
            status: ExecutionStatus::Executing,
            created: turn.now,
            serial: self.executions.len(),
            modified: turn.now,
            ended: None,
            failure: None,
            experiment: None,
            steps,
            begun: Vec::new(),
        };
        execution.experiment = execution.resolve_experiment(turn.now);
        execution.change(turn, None);
        for position in 0..execution.steps.len() {
            let selection = selection.as_mut();
            match selection.and_then(|selection| selection.instead(position)) {
                Some(Some(reused)) => {
                    execution.enter_attempt(turn, position);
                    execution.take_over(turn, position, reused);
                }
                Some(None) => execution.steps[position].phase = Phase::NotRun,
                None => {}
            }
        }
        self.advance(turn, &mut execution);
        self.executions.insert(execution.id.clone(), execution);
    }

    /// Takes an execution out, changes it, advances it, and puts it back.
    fn with_execution(
        &mut self,
        turn: &mut Turn,
        id: &str,
        change: impl FnOnce(&mut Self, &mut Turn, &mut Execution),
    ) {
        if let Some(mut execution) = self.executions.remove(id) {
            change(self, turn, &mut execution);
            self.advance(turn, &mut execution);
            self.executions.insert(execution.id.clone(), execution);
        }
    }

    /// Begins every step that may begin, and ends the execution when none is left.
    fn advance(&mut self, turn: &mut Turn, execution: &mut Execution) {
        if execution.status.is_final() {
            return;
        }
        let most = execution
            .parallelism
            .as_ref()
            .and_then(|parallelism| parallelism["MaxParallelExecutionSteps"].as_u64())
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(usize::MAX);
        self.retry_steps(turn, execution);
        let mut wake: Option<Millis> = None;
        let mut changed = true;
        while changed {
            changed = false;
            wake = execution.next_retry();
            for position in 0..execution.steps.len() {
                if execution.steps[position].phase != Phase::Waiting {
                    continue;
                }
                if execution.status != ExecutionStatus::Executing || execution.any_failed() {
                    break;
                }
                match execution.readiness(position) {
                    Readiness::Later => {}
                    Readiness::Never => {
                        execution.steps[position].phase = Phase::NotRun;
                        changed = true;
                    }
                    Readiness::From(from) if from > turn.now => {
                        wake = Some(wake.map_or(from, |wake| wake.min(from)));
                    }
                    Readiness::From(_) => {
                        let active = execution
                            .steps
                            .iter()
                            .filter(|step| step.phase.is_active())
                            .count();
                        if active < most {
                            self.begin_step(turn, execution, position);
                            changed = true;
                        }
                    }
                }
            }
        }
        if let Some(at) = wake {
            turn.effects.push(Effect::WakeAt {
                execution: execution.id.clone(),
                at,
            });
        } else if !execution.steps.iter().any(|step| step.phase.is_active()) {
            Self::end(turn, execution);
        }
    }

    /// Ends an execution in which nothing is left to do, in a second after its last step's.
    fn end(turn: &mut Turn, execution: &mut Execution) {
        let last = execution.steps.iter().filter_map(|step| step.ended).max();
        if let Some(at) = last.map(Millis::next_second)
            && at > turn.now
        {
            turn.effects.push(Effect::WakeAt {
                execution: execution.id.clone(),
                at,
            });
            return;
        }
        let status = if execution.status == ExecutionStatus::Stopping {
            ExecutionStatus::Stopped
        } else if execution.any_failed() {
            execution.failure = Some(STEPS_FAILED.to_owned());
            ExecutionStatus::Failed
        } else if let Some(step) = execution
            .steps
            .iter()
            .find(|step| step.phase == Phase::Waiting)
        {
            execution.failure = Some(format!(
                "Step '{}' waits for a step that never ends: the definition has a cycle.",
                step.name
            ));
            ExecutionStatus::Failed
        } else {
            ExecutionStatus::Succeeded
        };
        execution.change(turn, Some(status));
    }

    fn begin_step(&mut self, turn: &mut Turn, execution: &mut Execution, position: usize) {
        execution.steps[position].retries.since = turn.now;
        execution.enter_attempt(turn, position);
        self.launch_step(turn, execution, position);
    }

    /// Begins a further attempt of every step whose time for it has come.
    fn retry_steps(&mut self, turn: &mut Turn, execution: &mut Execution) {
        for position in 0..execution.steps.len() {
            let step = &mut execution.steps[position];
            if step.retries.next.is_some_and(|at| at <= turn.now) {
                step.retries.next = None;
                step.forget_attempt();
                execution.enter_attempt(turn, position);
                self.launch_step(turn, execution, position);
            }
        }
    }

    /// Resolves a step's arguments and sets it going, or asks for the documents it lacks.
    fn launch_step(&mut self, turn: &mut Turn, execution: &mut Execution, position: usize) {
        match self.launch(turn, execution, position) {
            Err(NotLaunched::Reads(uris)) => turn.effects.push(Effect::ReadDocuments {
                key: execution.key_of(position),
                uris,
            }),
            Err(NotLaunched::Refused(reason)) => execution.fail_step(turn, position, &reason),
            Ok(Launch::Runs(effect)) => {
                execution.change_step(turn, position, Phase::Executing);
                match self.asked_fault(&execution.steps[position]) {
                    Some(reason) => {
                        let end = JobResult::Failed(reason.to_owned()).into();
                        self.end_job(turn, execution, position, end);
                    }
                    None => turn.effects.push(effect),
                }
            }
            Ok(Launch::Done) => {
                execution.change_step(turn, position, Phase::Executing);
                self.succeed_step(turn, execution, position);
            }
            Ok(Launch::TakesOver(reused)) => execution.take_over(turn, position, reused),
            Ok(Launch::Fails(reason)) => {
                execution.change_step(turn, position, Phase::Executing);
                match reason {
                    Some(reason) => execution.fail_step(turn, position, &reason),
                    None => execution.change_step(turn, position, Phase::Failed),
                }
            }
        }
    }

    pub(super) fn succeed_step(
        &mut self,
        turn: &mut Turn,
        execution: &mut Execution,
        position: usize,
    ) {
        self.describe_finished(execution, position);
        execution.change_step(turn, position, Phase::Succeeded);
    }

    /// Stops an execution: nothing new begins, what runs is stopped.
    pub(super) fn stop_execution(&mut self, turn: &mut Turn, id: &str) {
        self.with_execution(turn, id, |state, turn, execution| {
            execution.change(turn, Some(ExecutionStatus::Stopping));
            for position in 0..execution.steps.len() {
                if !execution.steps[position].phase.is_active() {
                    continue;
                }
                let step = &mut execution.steps[position];
                let awaits_retry = step.retries.next.take().is_some();
                let runs = step.phase == Phase::Executing
                    && !awaits_retry
                    && step.callback_token.is_none();
                execution.change_step(turn, position, Phase::Stopping);
                if let Some((kind, name)) = &execution.steps[position].made
                    && !awaits_retry
                {
                    state.jobs.change(
                        turn.now,
                        *kind,
                        name,
                        JobStatus::Stopping,
                        &JobNotes::default(),
                    );
                }
                if runs {
                    turn.effects
                        .push(Effect::StopJob(execution.key_of(position)));
                } else {
                    // Nothing of it runs: its documents are being read, its next attempt has not
                    // begun, or somebody else is to answer (SageMaker would ask the queue once
                    // more, and wait).
                    execution.change_step(turn, position, Phase::Stopped);
                }
            }
        });
    }

    /// Begins a failed or stopped execution again where it ended: what succeeded stays.
    pub(super) fn retry_execution(&mut self, turn: &mut Turn, id: &str, token: &str) {
        self.with_execution(turn, id, |_, turn, execution| {
            execution.retry_tokens.push(token.to_owned());
            execution.ended = None;
            execution.failure = None;
            for step in &mut execution.steps {
                if matches!(step.phase, Phase::Failed | Phase::Stopped) {
                    step.begin_anew();
                }
            }
            execution.change(turn, Some(ExecutionStatus::Executing));
        });
    }

    /// Takes in what happened to a step, unless it belongs to an attempt that is over.
    pub(super) fn take_step_signal(&mut self, turn: &mut Turn, signal: Signal) {
        match signal {
            Signal::Wake { execution } => self.with_execution(turn, &execution, |_, _, _| {}),
            Signal::DocumentsRead { key, documents } => {
                self.with_step(turn, &key, |state, turn, execution, position| {
                    if execution.steps[position].phase == Phase::Starting {
                        execution.steps[position].documents.extend(documents);
                        state.launch_step(turn, execution, position);
                    }
                });
            }
            Signal::JobEnded { key, end } => match key.own_job() {
                Some(kind) => self.end_own_job(turn, kind, &key.step, &end),
                None => self.with_step(turn, &key, |state, turn, execution, position| {
                    if execution.steps[position].phase.is_active() {
                        state.end_job(turn, execution, position, end);
                    }
                }),
            },
            Signal::MessageSent { key, result } => {
                self.with_step(turn, &key, |_, turn, execution, position| {
                    // Sent: the answer with the token ends the step.
                    if let (Phase::Executing, Err(reason)) =
                        (execution.steps[position].phase, result)
                    {
                        execution.fail_step(turn, position, &reason);
                    }
                });
            }
            Signal::FunctionAnswered { key, answer } => {
                self.with_step(
                    turn,
                    &key,
                    |state, turn, execution, position| match execution.steps[position].phase {
                        Phase::Executing => match answer {
                            Ok(answer) => {
                                if let Err(reason) =
                                    execution.take_function_answer(position, &answer)
                                {
                                    execution.fail_step(turn, position, &reason);
                                } else {
                                    state.succeed_step(turn, execution, position);
                                }
                            }
                            Err(reason) => execution.fail_step(turn, position, &reason),
                        },
                        Phase::Stopping => execution.change_step(turn, position, Phase::Stopped),
                        _ => {}
                    },
                );
            }
            // Answered where the endpoints are.
            Signal::EndpointDue { .. } | Signal::ServersReady(_) | Signal::ServersEnded { .. } => {}
        }
    }

    pub(super) fn with_step(
        &mut self,
        turn: &mut Turn,
        key: &StepKey,
        change: impl FnOnce(&mut Self, &mut Turn, &mut Execution, usize),
    ) {
        self.with_execution(turn, &key.execution, |state, turn, execution| {
            if let Some(position) = execution.position(key) {
                change(state, turn, execution, position);
            }
        });
    }

    fn end_job(
        &mut self,
        turn: &mut Turn,
        execution: &mut Execution,
        position: usize,
        end: JobEnd,
    ) {
        if let Some((kind, name)) = &execution.steps[position].made {
            self.jobs.end(turn.now, *kind, name, &end);
        }
        match end.result {
            JobResult::Succeeded => self.succeed_step(turn, execution, position),
            JobResult::Failed(reason) | JobResult::OutOfTime(reason) => {
                let reason = in_pipelines_words(execution.explain(reason));
                execution.fail_or_retry(turn, position, &reason);
            }
            JobResult::Stopped if execution.steps[position].phase == Phase::Stopping => {
                execution.change_step(turn, position, Phase::Stopped);
            }
            JobResult::Stopped => {
                let reason = "ClientError: the job was stopped by a call of its own";
                execution.fail_step(turn, position, reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metadata_become_camel_case_as_in_the_documented_events() {
        assert_eq!(
            in_camel_case(&json!({"Arn": "A", "OutputParameters": [{"Name": "X"}]})),
            json!({"arn": "A", "outputParameters": [{"Name": "X"}]})
        );
    }
}
