//! What each type of step does when its time comes.

use super::algorithm;
use super::effect::{
    Effect, FunctionOrder, InputCheck, JobOrder, JobResult, ProgramKind, ProgramOrder,
};
use super::image::Runner;
use super::input::Input;
use super::jobs::{NOT_SERVED, simulated_note};
use super::reuse::Reused;
use super::run::{Execution, Phase};
use super::simulated;
use super::tags::read_tags;
use super::{State, Turn};
use crate::clock::Millis;
use crate::error::ApiError;
use crate::script;
use pipewright::definition::condition::all_hold;
use pipewright::definition::resolve::{DocumentSource, Resolver, Unavailable, resolve};
use pipewright::definition::{Resource, Step, StepKind};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a step was set going.
#[derive(Debug)]
pub(super) enum Launch {
    /// It executes until a signal says how it ended.
    Runs(Effect),
    /// It has done its work already.
    Done,
    /// It does not run: an earlier run's result is its own.
    TakesOver(Reused),
    /// It has failed already, as a Fail step does; one without a message says no reason.
    Fails(Option<String>),
}

/// Why a step could not be set going.
#[derive(Debug)]
pub(super) enum NotLaunched {
    /// Its references read these documents first.
    Reads(Vec<String>),
    /// Its arguments are not usable; it fails before it executes.
    Refused(String),
}

/// What a job's beginning amounts to.
#[derive(Debug)]
pub(super) enum Work {
    /// Something of this machine stands for its image.
    Program(Runner),
    /// Nothing does: its inputs are looked for, then time passes.
    Simulated {
        /// Why.
        reason: String,
        /// What must exist for the job to have had a chance.
        checks: Vec<InputCheck>,
        /// Why it fails at once.
        fails: Option<String>,
    },
}

impl NotLaunched {
    /// Why, in words.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Refused(reason) => reason,
            Self::Reads(uris) => format!("ClientError: it reads {}", uris.join(", ")),
        }
    }
}

impl From<ApiError> for NotLaunched {
    fn from(error: ApiError) -> Self {
        Self::Refused(format!("ClientError: {}", error.message))
    }
}

/// What the references of one step of an execution read.
struct Values<'a> {
    execution: &'a Execution,
    now: Millis,
    /// The step that reads; none for the definition's own members.
    reader: Option<usize>,
    /// The variable that holds the name of the step's job, and the name.
    job: Option<(&'a str, &'a str)>,
    /// Documents that are not read yet.
    missing: RefCell<Vec<String>>,
}

impl Resolver for Values<'_> {
    fn parameter(&self, name: &str) -> Result<Value, Unavailable> {
        self.execution
            .parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .ok_or(Unavailable::Parameter)
    }

    fn execution(&self, variable: &str) -> Result<Value, Unavailable> {
        let execution = self.execution;
        Ok(match variable {
            "StartDateTime" => json!(execution.created.to_iso()),
            "CurrentDateTime" => json!(self.now.to_iso()),
            "PipelineName" => json!(execution.pipeline_name),
            "PipelineArn" => json!(execution.pipeline_arn),
            "PipelineExecutionId" => json!(execution.id),
            "PipelineExecutionArn" => json!(execution.arn),
            other => match self.job {
                Some((name, value)) if name == other => json!(value),
                _ => return Err(Unavailable::Variable),
            },
        })
    }

    fn experiment(&self, member: &str) -> Result<Value, Unavailable> {
        self.execution
            .definition
            .member("PipelineExperimentConfig")
            .and_then(|configuration| configuration.get(member))
            .ok_or_else(|| Unavailable::Experiment(member.to_owned()))
            .and_then(|value| {
                // A configuration that reads itself would never end.
                if self.reader.is_none() {
                    return Err(Unavailable::ReadsItself);
                }
                let values = Values {
                    execution: self.execution,
                    now: self.now,
                    reader: None,
                    job: None,
                    missing: RefCell::default(),
                };
                resolve(value, &values).map_err(|error| Unavailable::Within(Box::new(error)))
            })
    }

    fn step(&self, name: &str) -> Result<Value, Unavailable> {
        let step = self
            .execution
            .steps
            .iter()
            .find(|step| step.name == name)
            .ok_or(Unavailable::Step)?;
        match (step.phase, &step.document) {
            (Phase::Succeeded, Some(document)) => Ok(document.clone()),
            (Phase::Succeeded, None) => Err(Unavailable::Nothing),
            (Phase::NotRun, _) => Err(Unavailable::NotRun),
            _ => Err(Unavailable::NotSucceeded),
        }
    }

    fn document(&self, source: DocumentSource<'_>) -> Result<Value, Unavailable> {
        let uri = match source {
            DocumentSource::S3Uri(uri) => uri.to_owned(),
            DocumentSource::PropertyFile { step, name } => {
                self.execution.property_file_uri(step, name)?
            }
        };
        let documents = self
            .reader
            .map(|reader| &self.execution.steps[reader].documents);
        match documents.and_then(|documents| documents.get(&uri)) {
            Some(Ok(document)) => Ok(document.clone()),
            Some(Err(reason)) => Err(Unavailable::Unreadable(reason.clone())),
            None => {
                self.missing.borrow_mut().push(uri);
                Err(Unavailable::Unread)
            }
        }
    }
}

impl Execution {
    /// Where a property file of a finished processing step lies.
    fn property_file_uri(&self, step: &str, name: &str) -> Result<String, Unavailable> {
        let steps = self.definition.steps();
        let (position, found) = steps
            .iter()
            .enumerate()
            .find(|(_, found)| found.name() == step)
            .ok_or(Unavailable::Step)?;
        let file = found
            .property_files()
            .into_iter()
            .find(|file| file.name == name)
            .ok_or_else(|| Unavailable::PropertyFile(step.to_owned()))?;
        let run = &self.steps[position];
        if let Some(reason) = &run.simulated {
            return Err(Unavailable::Simulated {
                step: step.to_owned(),
                reason: reason.clone(),
            });
        }
        let output = run
            .document
            .as_ref()
            .and_then(|document| document["ProcessingOutputConfig"]["Outputs"].as_array())
            .into_iter()
            .flatten()
            .find(|output| output["OutputName"] == file.output_name)
            .and_then(|output| output["S3Output"]["S3Uri"].as_str())
            .ok_or_else(|| Unavailable::Output {
                step: step.to_owned(),
                output: file.output_name.to_owned(),
            })?;
        Ok(format!(
            "{}/{}",
            output.trim_end_matches('/'),
            file.file_path.trim_start_matches('/')
        ))
    }

    pub(super) fn resolve(
        &self,
        now: Millis,
        reader: Option<usize>,
        job: Option<(&str, &str)>,
        value: &Value,
    ) -> Result<Value, NotLaunched> {
        let values = Values {
            execution: self,
            now,
            reader,
            job,
            missing: RefCell::default(),
        };
        resolve(value, &values).map_err(|error| {
            let missing = values.missing.take();
            if !missing.is_empty() {
                return NotLaunched::Reads(missing);
            }
            let mut reason = format!("ClientError: {error}");
            // A simulated step knows less of itself than a real one.
            let text = error.to_string();
            if let Some(step) = self.steps.iter().find(|step| {
                step.simulated.is_some() && text.contains(&format!("Steps.{}.", step.name))
            }) {
                reason.push_str(&format!(" (step '{}' was only simulated)", step.name));
            }
            NotLaunched::Refused(reason)
        })
    }

    /// Experiment and trial, as far as the definition names them.
    pub(super) fn resolve_experiment(&self, now: Millis) -> Option<Value> {
        let configuration = self.definition.member("PipelineExperimentConfig")?;
        if configuration.is_null() {
            return None;
        }
        self.resolve(now, None, None, configuration).ok()
    }

    /// Takes the outputs of a Lambda step from the function's answer.
    pub(super) fn take_function_answer(
        &mut self,
        position: usize,
        answer: &Value,
    ) -> Result<(), String> {
        let definition = Arc::clone(&self.definition);
        let steps = definition.steps();
        let mut outputs = Map::new();
        for output in steps[position].output_parameters() {
            let value = answer.get(output.name).ok_or_else(|| {
                format!(
                    "ClientError: the answer of the Lambda function has no '{}', which the step \
                     declares as an output",
                    output.name
                )
            })?;
            if !fits(output.output_type, value) {
                return Err(format!(
                    "ClientError: output '{}' of the Lambda function is declared as {}, and is \
                     {value}",
                    output.name, output.output_type
                ));
            }
            outputs.insert(output.name.to_owned(), value.clone());
        }
        let step = &mut self.steps[position];
        let listed: Vec<Value> = outputs
            .iter()
            .map(|(name, value)| json!({"Name": name, "Value": as_text(value)}))
            .collect();
        step.metadata["OutputParameters"] = json!(listed);
        step.document = Some(json!({"OutputParameters": outputs}));
        Ok(())
    }

    /// The S3 locations that simulated steps would have written to, with the step's name.
    fn unwritten(&self) -> Vec<(&str, String)> {
        let mut locations = Vec::new();
        for step in &self.steps {
            let (Some(_), Some(document)) = (&step.simulated, &step.document) else {
                continue;
            };
            let outputs = document["ProcessingOutputConfig"]["Outputs"].as_array();
            let outputs = outputs.into_iter().flatten();
            let written = outputs
                .map(|output| &output["S3Output"]["S3Uri"])
                .chain([
                    &document["ModelArtifacts"]["S3ModelArtifacts"],
                    &document["TransformOutput"]["S3OutputPath"],
                ])
                .filter_map(Value::as_str)
                .map(str::to_owned);
            let tuned = document["HyperParameterTuningJobName"].as_str();
            let tuned = tuned.into_iter().flat_map(|job| {
                let several = document["TrainingJobDefinitions"].as_array();
                let trainings = several.into_iter().flatten();
                trainings
                    .chain([&document["TrainingJobDefinition"]])
                    .filter_map(|training| training["OutputDataConfig"]["S3OutputPath"].as_str())
                    // Its training jobs' names begin so.
                    .map(move |path| format!("{}/{job}-", path.trim_end_matches('/')))
            });
            let all = written.chain(tuned);
            let named = all.filter(|location| !location.is_empty());
            locations.extend(named.map(|location| (step.name.as_str(), location)));
        }
        locations
    }

    /// Adds to a reason that quotes such a location why nothing is there.
    pub(super) fn explain(&self, reason: String) -> String {
        let step = self
            .unwritten()
            .into_iter()
            .find(|(_, location)| reason.contains(location.as_str()))
            .map(|(step, _)| step.to_owned());
        match step {
            Some(step) => format!("{reason} (step '{step}' was only simulated)"),
            None => reason,
        }
    }

    /// Leaves out what only simulated steps could have written.
    fn checkable(&self, checks: Vec<InputCheck>) -> Vec<InputCheck> {
        let unwritten = self.unwritten();
        checks
            .into_iter()
            .filter(|check| {
                !unwritten
                    .iter()
                    .any(|(_, location)| check.uri.starts_with(location.as_str()))
            })
            .collect()
    }
}

fn fits(output_type: &str, value: &Value) -> bool {
    match output_type {
        "Integer" => value.is_i64() || value.is_u64(),
        "Float" => value.is_number(),
        "Boolean" => value.is_boolean(),
        _ => value.is_string() || value.is_number() || value.is_boolean(),
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn s3_inputs(inputs: Option<&Value>) -> Vec<InputCheck> {
    inputs
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|input| input["AppManaged"] != json!(true))
        .filter(|input| input["S3Input"]["S3DataType"] != json!("ManifestFile"))
        .filter_map(|input| {
            Some(InputCheck {
                name: input["InputName"].as_str().unwrap_or_default().to_owned(),
                uri: input["S3Input"]["S3Uri"].as_str()?.to_owned(),
            })
        })
        .collect()
}

fn channels(configuration: Option<&Value>) -> Vec<InputCheck> {
    configuration
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|channel| {
            let source = &channel["DataSource"]["S3DataSource"];
            // The other types name a manifest, whose entries are not read here.
            if source["S3DataType"] != json!("S3Prefix") {
                return None;
            }
            Some(InputCheck {
                name: channel["ChannelName"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                uri: source["S3Uri"].as_str()?.to_owned(),
            })
        })
        .collect()
}

/// Refuses members of a map of strings that are something else.
fn strings_only(request: &Map<String, Value>, member: &str) -> Result<(), NotLaunched> {
    let members: Vec<(String, &Value)> = match request.get(member) {
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| (format!("{member}['{name}']"), value))
            .collect(),
        Some(Value::Array(list)) => list
            .iter()
            .enumerate()
            .map(|(index, value)| (format!("{member}[{index}]"), value))
            .collect(),
        _ => return Ok(()),
    };
    match members.iter().find(|(_, value)| !value.is_string()) {
        Some((name, value)) => Err(NotLaunched::Refused(format!(
            "ClientError: {name} must be a string, and is {value}: declare its parameter as \
             String, or join it"
        ))),
        None => Ok(()),
    }
}

/// Why a training without a program fails that has empty hyperparameters.
fn empty_hyperparameters(request: &Map<String, Value>) -> Option<String> {
    let given = request.get("HyperParameters").and_then(Value::as_object);
    let empty: Vec<&str> = given
        .into_iter()
        .flatten()
        .filter(|(_, value)| **value == "")
        .map(|(name, _)| name.as_str())
        .collect();
    (!empty.is_empty()).then(|| {
        format!(
            "ClientError: Unable to initialize the algorithm. Failed to validate \
             hyperparameters: {} must not be empty",
            empty.join(", ")
        )
    })
}

/// The tags of what a step runs or makes: those of its request, and whose it is.
fn step_tags(
    execution: &Execution,
    position: usize,
    request: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = read_tags(Input::new(request))?;
    for (key, value) in [
        ("sagemaker:pipeline-execution-arn", &execution.arn),
        (
            "sagemaker:pipeline-step-name",
            &execution.steps[position].name,
        ),
    ] {
        tags.insert(key.to_owned(), value.clone());
    }
    Ok(tags)
}

impl State {
    /// Resolves a step's arguments and sets it going.
    pub(super) fn launch(
        &mut self,
        turn: &mut Turn,
        execution: &mut Execution,
        position: usize,
    ) -> Result<Launch, NotLaunched> {
        let definition = Arc::clone(&execution.definition);
        let steps = definition.steps();
        let step = &steps[position];
        match step.kind() {
            StepKind::Condition => self.launch_condition(turn, execution, position, step),
            StepKind::Fail => self.launch_fail(turn, execution, position, step),
            _ => self.launch_with_arguments(turn, execution, position, step),
        }
    }

    fn launch_condition(
        &mut self,
        turn: &Turn,
        execution: &mut Execution,
        position: usize,
        step: &Step<'_>,
    ) -> Result<Launch, NotLaunched> {
        let conditions = Value::Array(step.conditions().to_vec());
        let resolved = execution.resolve(turn.now, Some(position), None, &conditions)?;
        let held = all_hold(resolved.as_array().map(Vec::as_slice).unwrap_or_default())
            .map_err(|error| NotLaunched::Refused(format!("ClientError: {error}")))?;
        let outcome = if held { "True" } else { "False" };
        let run = &mut execution.steps[position];
        run.outcome = Some(held);
        run.metadata = json!({"Outcome": outcome});
        // References read a boolean, which joins as `true` or `false`.
        run.document = Some(json!({"Outcome": held}));
        Ok(Launch::Done)
    }

    fn launch_fail(
        &mut self,
        turn: &Turn,
        execution: &mut Execution,
        position: usize,
        step: &Step<'_>,
    ) -> Result<Launch, NotLaunched> {
        let message = step
            .arguments()
            .and_then(|arguments| arguments.get("ErrorMessage"))
            .filter(|message| !message.is_null())
            .cloned()
            .unwrap_or_else(|| json!(""));
        let message = as_text(&execution.resolve(turn.now, Some(position), None, &message)?);
        execution.steps[position].metadata = json!({"ErrorMessage": message});
        Ok(Launch::Fails(
            Some(message).filter(|message| !message.is_empty()),
        ))
    }

    fn launch_with_arguments(
        &mut self,
        turn: &mut Turn,
        execution: &mut Execution,
        position: usize,
        step: &Step<'_>,
    ) -> Result<Launch, NotLaunched> {
        let step_type = step.step_type();
        let variable = step_type.makes.map(|made| made.member("Name"));
        let empty = json!({});
        let arguments = step.arguments().unwrap_or(&empty);
        let prefix = variable
            .as_ref()
            .filter(|_| step_type.names_are_prefixes)
            .and_then(|name| arguments.get(name))
            .map(|prefix| execution.resolve(turn.now, Some(position), None, prefix))
            .transpose()?;
        let job_name = match prefix.as_ref().and_then(Value::as_str) {
            Some(prefix) => {
                let failed = execution.steps[position].attempt.saturating_sub(1);
                self.names.prefixed_job_name(prefix, &execution.id, failed)
            }
            None => self.names.job_name(&execution.id, step.name()),
        };
        let job = variable.as_deref().map(|name| (name, job_name.as_str()));
        let resolved = execution.resolve(turn.now, Some(position), job, arguments)?;
        let Value::Object(request) = resolved else {
            return Err(NotLaunched::Refused(
                "ClientError: the step's Arguments are no object".to_owned(),
            ));
        };
        let compared = execution.compared(turn.now, position, step, &request)?;
        let reused = compared
            .as_ref()
            .and_then(|compared| self.cached(turn.now, execution, step, compared));
        if let Some(reused) = reused {
            return Ok(Launch::TakesOver(reused));
        }
        execution.steps[position].compared = compared;
        match step.kind() {
            StepKind::Processing => {
                let kind = ProgramKind::Processing;
                self.launch_job(turn, execution, position, kind, request, job_name)
            }
            StepKind::Training => {
                let kind = ProgramKind::Training;
                self.launch_job(turn, execution, position, kind, request, job_name)
            }
            StepKind::Transform => {
                self.launch_transform(turn, execution, position, &request, &job_name)
            }
            StepKind::Model
            | StepKind::RegisterModel
            | StepKind::EndpointConfig
            | StepKind::Endpoint => {
                self.launch_entry(turn, execution, position, request, &job_name)
            }
            StepKind::Lambda => {
                let function = step
                    .member("FunctionArn")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                execution.steps[position].metadata = json!({"Arn": function});
                Ok(Launch::Runs(Effect::CallFunction(FunctionOrder {
                    key: execution.key_of(position),
                    function,
                    payload: Value::Object(request),
                })))
            }
            StepKind::Callback => self.launch_callback(execution, position, step, request),
            _ => self.launch_other(turn, execution, position, step, request, &job_name),
        }
    }

    fn simulate(
        &self,
        execution: &mut Execution,
        position: usize,
        reason: String,
        checks: Vec<InputCheck>,
    ) -> Launch {
        let checks = execution.checkable(checks);
        execution.steps[position].simulated = Some(reason);
        Launch::Runs(Effect::StartJob(Box::new(JobOrder::Simulated {
            key: execution.key_of(position),
            checks,
            millis: self.settings.simulated_step_millis,
        })))
    }

    /// Keeps the description of a step's job, and names it in the step's metadata.
    fn begin_job(
        &mut self,
        turn: &Turn,
        execution: &mut Execution,
        position: usize,
        kind: Resource,
        name: &str,
        request: &Map<String, Value>,
    ) -> Result<String, NotLaunched> {
        let arn = self.arn(kind.arn_type, name);
        self.tags
            .create(&arn, step_tags(execution, position, request)?);
        let step = &mut execution.steps[position];
        let request = Input::new(request).given_back(step.step_type.kind);
        let note = step.simulated.as_deref().map(simulated_note);
        self.jobs
            .begin(turn.now, kind, name, &arn, &request, note.as_deref());
        step.metadata = json!({"Arn": arn});
        step.made = Some((kind, name.to_owned()));
        Ok(arn)
    }

    /// What of this machine runs a job of an image; the error says why nothing does.
    fn what_runs(
        &self,
        image: &str,
        kind: ProgramKind,
        request: &Map<String, Value>,
    ) -> Result<Runner, String> {
        let runner = self.settings.runner_of(image);
        let runner = runner.ok_or_else(|| format!("no runner for image {image}"))?;
        match (&runner, script::nothing_to_run(kind, request)) {
            (Runner::Python(_), Some(why)) => Err(format!("nothing stands for {image}, {why}")),
            _ => Ok(runner),
        }
    }

    /// What there is to do for a processing or training job; the request gains what SageMaker knows of its
    /// algorithm.
    pub(super) fn work_of(
        &self,
        kind: ProgramKind,
        request: &mut Map<String, Value>,
    ) -> Result<Work, NotLaunched> {
        strings_only(request, "Environment")?;
        strings_only(request, "HyperParameters")?;
        let (member, image) = match kind {
            ProgramKind::Processing => ("AppSpecification", "ImageUri"),
            ProgramKind::Training => ("AlgorithmSpecification", "TrainingImage"),
        };
        let specification = request.get(member).and_then(Value::as_object);
        if let Some(specification) = specification {
            for list in ["ContainerEntrypoint", "ContainerArguments"] {
                strings_only(specification, list)?;
            }
        }
        let given = specification.and_then(|specification| specification.get(image)?.as_str());
        if given.is_none() && kind == ProgramKind::Processing {
            let missing = format!("ClientError: {member}.{image} is missing");
            return Err(NotLaunched::Refused(missing));
        }
        let reason = match self.what_runs(given.unwrap_or_default(), kind, request) {
            Ok(runner) => {
                if kind == ProgramKind::Training {
                    algorithm::add_metric_definitions(&runner, request);
                }
                return Ok(Work::Program(runner));
            }
            Err(reason) => reason,
        };
        Ok(match kind {
            ProgramKind::Processing => Work::Simulated {
                reason,
                checks: s3_inputs(request.get("ProcessingInputs")),
                fails: None,
            },
            ProgramKind::Training => Work::Simulated {
                reason: format!("{reason}; no model artifact is written"),
                checks: channels(request.get("InputDataConfig")),
                fails: empty_hyperparameters(request),
            },
        })
    }

    fn launch_job(
        &mut self,
        turn: &Turn,
        execution: &mut Execution,
        position: usize,
        kind: ProgramKind,
        mut request: Map<String, Value>,
        job_name: String,
    ) -> Result<Launch, NotLaunched> {
        let resource = kind.resource();
        let (reason, checks, fails) = match self.work_of(kind, &mut request)? {
            Work::Program(runner) => {
                let job_arn =
                    self.begin_job(turn, execution, position, resource, &job_name, &request)?;
                let order = JobOrder::Program(ProgramOrder {
                    key: execution.key_of(position),
                    kind,
                    runner,
                    job_arn,
                    job_name,
                    request,
                });
                return Ok(Launch::Runs(Effect::StartJob(Box::new(order))));
            }
            Work::Simulated {
                reason,
                checks,
                fails,
            } => (reason, checks, fails),
        };
        let launch = self.simulate(execution, position, reason, checks);
        self.begin_job(turn, execution, position, resource, &job_name, &request)?;
        let Some(reason) = fails else {
            return Ok(launch);
        };
        let end = JobResult::Failed(reason.clone()).into();
        self.jobs.end(turn.now, resource, &job_name, &end);
        Ok(Launch::Fails(Some(reason)))
    }

    fn launch_transform(
        &mut self,
        turn: &Turn,
        execution: &mut Execution,
        position: usize,
        request: &Map<String, Value>,
        job_name: &str,
    ) -> Result<Launch, NotLaunched> {
        let model = request
            .get("ModelName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if self.model_document(model).is_none() {
            return Err(NotLaunched::Refused(format!(
                "ClientError: Could not find model \"{}\".",
                self.arn("model", model)
            )));
        }
        if let Some(order) = self.transform_order(execution.key_of(position), request) {
            let kind = Resource::TRANSFORM_JOB;
            self.begin_job(turn, execution, position, kind, job_name, request)?;
            return Ok(Launch::Runs(Effect::StartJob(Box::new(order))));
        }
        let source = request
            .get("TransformInput")
            .map(|input| &input["DataSource"]["S3DataSource"])
            .filter(|source| source["S3DataType"] == json!("S3Prefix"))
            .and_then(|source| source["S3Uri"].as_str());
        let checks = source
            .map(|uri| InputCheck {
                name: "TransformInput".to_owned(),
                uri: uri.to_owned(),
            })
            .into_iter()
            .collect();
        let launch = self.simulate(execution, position, NOT_SERVED.to_owned(), checks);
        let kind = Resource::TRANSFORM_JOB;
        self.begin_job(turn, execution, position, kind, job_name, request)?;
        Ok(launch)
    }

    /// Steps that make an entry: a model, a package, an endpoint and its configuration.
    fn launch_entry(
        &mut self,
        turn: &mut Turn,
        execution: &mut Execution,
        position: usize,
        mut request: Map<String, Value>,
        made_name: &str,
    ) -> Result<Launch, NotLaunched> {
        let tags = step_tags(execution, position, &request)?;
        let step_type = execution.steps[position].step_type;
        if step_type.kind == StepKind::RegisterModel {
            request
                .entry("MetadataProperties")
                .or_insert_with(|| json!({"GeneratedBy": execution.arn}));
        }
        // A version has its group's name.
        if let Some(made) = step_type.makes
            && !request.contains_key("ModelPackageGroupName")
        {
            request
                .entry(made.member("Name"))
                .or_insert_with(|| json!(made_name));
        }
        let request = Input::new(&request);
        let arn = match step_type.kind {
            StepKind::Model => self.add_model(turn, request, tags)?,
            StepKind::EndpointConfig => self.add_endpoint_config(turn, request, tags)?,
            StepKind::Endpoint => self.add_endpoint(turn, request, tags)?,
            StepKind::RegisterModel => self.add_model_package(turn, request, tags, true)?,
            // A type that is given here makes an entry of its own, and no other's.
            _ => {
                return Err(NotLaunched::Refused(format!(
                    "the stand-in makes no entry for steps of type {}",
                    step_type.name
                )));
            }
        };
        // It is served as soon as somebody makes an endpoint of it.
        let is_real = step_type.kind == StepKind::Model && self.server_of(&arn).is_some();
        let step = &mut execution.steps[position];
        step.metadata = json!({"Arn": arn});
        step.made = step_type.makes.map(|made| (made, arn));
        if is_real {
            return Ok(Launch::Done);
        }
        let reason = "an entry in the local stand-in only".to_owned();
        Ok(self.simulate(execution, position, reason, Vec::new()))
    }

    /// Steps of any other type: they are simulated.
    fn launch_other(
        &mut self,
        turn: &Turn,
        execution: &mut Execution,
        position: usize,
        step: &Step<'_>,
        request: Map<String, Value>,
        job_name: &str,
    ) -> Result<Launch, NotLaunched> {
        let step_type = step.step_type();
        let beside = step_type.beside.iter();
        let beside = beside.filter_map(|(key, _)| Some((*key, step.member(key)?.clone())));
        let beside = execution.resolve(turn.now, Some(position), None, &beside.collect())?;
        let account = &self.settings.account;
        let told = simulated::describe(account, step_type, request, &beside, job_name);
        let run = &mut execution.steps[position];
        run.document = Some(Value::Object(told.document));
        run.metadata = told.metadata;
        let reason = format!(
            "the stand-in does not run steps of type {}",
            step.type_name()
        );
        Ok(self.simulate(execution, position, reason, Vec::new()))
    }

    /// Gives a step that succeeds what later steps may read of it.
    pub(super) fn describe_finished(&self, execution: &mut Execution, position: usize) {
        let step = &mut execution.steps[position];
        let Some((made, name)) = &step.made else {
            return;
        };
        step.document = match step.step_type.kind {
            StepKind::Model => self.model_document(name),
            StepKind::RegisterModel => self.model_package_document(name),
            StepKind::EndpointConfig => self.endpoint_config_document(name),
            StepKind::Endpoint => self.endpoint_document(name),
            _ => self.jobs.description(*made, name),
        };
    }
}
