//! What SageMaker would know: a pure state machine.
//!
//! A call ([`State::call`]) or a signal from the outside ([`State::signal`]) goes in with the
//! time; an answer and a list of [`Effect`]s come out. Nothing here waits, reads or writes:
//! the engine carries the effects out and signals what came of them.

mod algorithm;
mod callback;
mod effect;
mod endpoints;
mod image;
mod input;
mod jobs;
mod launch;
#[cfg(test)]
mod laws;
mod models;
mod packages;
mod pipelines;
mod retry;
mod reuse;
mod run;
mod simulated;
mod tags;
#[cfg(test)]
mod world;

pub use image::{PythonImage, Runner};
pub use retry::{Fault, FaultError};

pub use effect::{
    Effect, FunctionOrder, InputCheck, JobEnd, JobOrder, JobResult, MessageOrder, ProgramKind,
    ProgramOrder, ServerOrder, ServersKey, ServersOrder, Signal, StepKey, TransformOrder,
};

use crate::clock::Millis;
use crate::error::{ApiError, ErrorKind};
use crate::event::Event;
use crate::names::{Account, NameSource};
use input::Input;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What the stand-in is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose resources they are.
    pub account: Account,
    /// How long a simulated job or an endpoint's creation takes, in milliseconds.
    pub simulated_step_millis: i64,
    /// Names of the runners: the repositories of the images that a program on this machine
    /// stands for, with the host of a registry that is not the account's own.
    pub runners: BTreeSet<String>,
    /// Those of them whose program also serves models.
    pub servers: BTreeSet<String>,
    /// Names of repositories, as of runners, whose images a Python stands for that was given for
    /// them.
    pub pythons: BTreeSet<String>,
    /// Whether a Python stands for the images of the frameworks that have script mode.
    pub runs_frameworks: bool,
    /// Whether jobs run in containers of their images, unless a runner or a Python was given for those.
    pub runs_containers: bool,
    /// The failures that are asked for.
    pub faults: Vec<Fault>,
    /// Fixes the random parts of generated names.
    pub seed: u64,
}

/// Everything that the stand-in keeps; gone when the process ends.
#[derive(Debug)]
pub struct State {
    settings: Settings,
    names: NameSource,
    /// By name in lower case.
    pipelines: BTreeMap<String, pipelines::Pipeline>,
    /// By execution id, which is in lower case.
    executions: BTreeMap<String, run::Execution>,
    jobs: jobs::Jobs,
    models: models::Models,
    packages: packages::Packages,
    endpoints: endpoints::Endpoints,
    tags: tags::Tags,
}

/// One call or signal being handled: its time, and what it sets off.
#[derive(Debug)]
struct Turn {
    now: Millis,
    effects: Vec<Effect>,
}

impl Turn {
    fn emit(&mut self, detail_type: &'static str, resources: Vec<String>, detail: Value) {
        self.effects.push(Effect::Emit(Event {
            detail_type,
            resources,
            time: self.now,
            detail,
        }));
    }
}

/// An answered call: the body, and what is to be done because of it.
#[derive(Debug)]
pub struct Reply {
    /// The answer's body, an object.
    pub body: Value,
    /// In the order in which they are to be carried out.
    pub effects: Vec<Effect>,
}

type Operation = fn(&mut State, &mut Turn, Input<'_>) -> Result<Value, ApiError>;

/// Every operation the stand-in answers, sorted by name.
const OPERATIONS: &[(&str, Operation)] = &[
    ("AddTags", State::add_tags),
    ("CreateEndpoint", State::create_endpoint),
    ("CreateEndpointConfig", State::create_endpoint_config),
    ("CreateModel", State::create_model),
    ("CreateModelPackage", State::create_model_package),
    ("CreateModelPackageGroup", State::create_model_package_group),
    ("CreatePipeline", State::create_pipeline),
    ("CreateProcessingJob", State::create_processing_job),
    ("CreateTrainingJob", State::create_training_job),
    ("CreateTransformJob", State::create_transform_job),
    ("DeleteEndpoint", State::delete_endpoint),
    ("DeleteEndpointConfig", State::delete_endpoint_config),
    ("DeleteModel", State::delete_model),
    ("DeleteModelPackage", State::delete_model_package),
    ("DeleteModelPackageGroup", State::delete_model_package_group),
    ("DeletePipeline", State::delete_pipeline),
    ("DeleteTags", State::delete_tags),
    ("DescribeEndpoint", State::describe_endpoint),
    ("DescribeEndpointConfig", State::describe_endpoint_config),
    ("DescribeModel", State::describe_model),
    ("DescribeModelPackage", State::describe_model_package),
    (
        "DescribeModelPackageGroup",
        State::describe_model_package_group,
    ),
    ("DescribePipeline", State::describe_pipeline),
    (
        "DescribePipelineDefinitionForExecution",
        State::describe_pipeline_definition_for_execution,
    ),
    (
        "DescribePipelineExecution",
        State::describe_pipeline_execution,
    ),
    ("DescribeProcessingJob", State::describe_processing_job),
    ("DescribeTrainingJob", State::describe_training_job),
    ("DescribeTransformJob", State::describe_transform_job),
    ("ListEndpointConfigs", State::list_endpoint_configs),
    ("ListEndpoints", State::list_endpoints),
    ("ListModelPackageGroups", State::list_model_package_groups),
    ("ListModelPackages", State::list_model_packages),
    ("ListModels", State::list_models),
    (
        "ListPipelineExecutionSteps",
        State::list_pipeline_execution_steps,
    ),
    ("ListPipelineExecutions", State::list_pipeline_executions),
    (
        "ListPipelineParametersForExecution",
        State::list_pipeline_parameters_for_execution,
    ),
    ("ListPipelineVersions", State::list_pipeline_versions),
    ("ListPipelines", State::list_pipelines),
    ("ListProcessingJobs", State::list_processing_jobs),
    ("ListTags", State::list_tags),
    ("ListTrainingJobs", State::list_training_jobs),
    ("ListTransformJobs", State::list_transform_jobs),
    ("RetryPipelineExecution", State::retry_pipeline_execution),
    ("SendPipelineExecutionStepFailure", State::send_step_failure),
    ("SendPipelineExecutionStepSuccess", State::send_step_success),
    ("StartPipelineExecution", State::start_pipeline_execution),
    ("StopPipelineExecution", State::stop_pipeline_execution),
    ("StopProcessingJob", State::stop_processing_job),
    ("StopTrainingJob", State::stop_training_job),
    ("StopTransformJob", State::stop_transform_job),
    ("UpdateModelPackage", State::update_model_package),
    ("UpdatePipeline", State::update_pipeline),
    ("UpdatePipelineExecution", State::update_pipeline_execution),
];

impl State {
    /// An empty account.
    pub fn new(settings: Settings) -> Self {
        Self {
            names: NameSource::new(settings.seed),
            settings,
            pipelines: BTreeMap::new(),
            executions: BTreeMap::new(),
            jobs: jobs::Jobs::default(),
            models: models::Models::default(),
            packages: packages::Packages::default(),
            endpoints: endpoints::Endpoints::default(),
            tags: tags::Tags::default(),
        }
    }

    /// Answers one call of the API.
    ///
    /// `PipelineDefinitionS3Location` must have been replaced by the text it points to:
    /// the state reads nothing from outside.
    ///
    /// # Errors
    /// What SageMaker would refuse, and operations that the stand-in does not know. A refused
    /// call changes nothing.
    pub fn call(
        &mut self,
        now: Millis,
        operation: &str,
        members: &Map<String, Value>,
    ) -> Result<Reply, ApiError> {
        let (_, handler) = OPERATIONS
            .iter()
            .find(|(name, _)| *name == operation)
            .ok_or_else(|| unknown_operation(operation))?;
        let mut turn = Turn {
            now,
            effects: Vec::new(),
        };
        let body = handler(self, &mut turn, Input::new(members))?;
        Ok(Reply {
            body,
            effects: turn.effects,
        })
    }

    /// Takes in what came of an effect.
    pub fn signal(&mut self, now: Millis, signal: Signal) -> Vec<Effect> {
        let mut turn = Turn {
            now,
            effects: Vec::new(),
        };
        match signal {
            Signal::EndpointDue { name } => self.settle_endpoint(&mut turn, &name),
            Signal::ServersReady(key) => self.servers_ready(&mut turn, &key),
            Signal::ServersEnded { key, result } => {
                self.servers_ended(&mut turn, &key, result);
            }
            step_signal => self.take_step_signal(&mut turn, step_signal),
        }
        turn.effects
    }

    /// The account's number.
    pub fn account(&self) -> &str {
        &self.settings.account.id
    }

    fn arn(&self, kind: &str, name: &str) -> String {
        self.settings.account.arn(kind, name)
    }
}

fn unknown_operation(operation: &str) -> ApiError {
    let supported: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    ApiError::new(
        ErrorKind::UnknownOperation,
        format!(
            "The local stand-in for SageMaker has no operation '{operation}'. It has: {}",
            supported.join(", ")
        ),
    )
}
