//! What the state wants done, and what it is told about it.

use super::image::Runner;
use crate::clock::Millis;
use crate::event::Event;
use pipewright::definition::{Resource, StepKind};
use serde_json::{Map, Value};

/// One attempt at one step of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepKey {
    /// The execution's id, twelve characters.
    pub execution: String,
    /// The step's name.
    pub step: String,
    /// Counted from 1; an answer to an earlier attempt is ignored.
    pub attempt: u32,
}

/// The kinds of jobs that a call can begin.
const OWN_JOBS: [Resource; 3] = [
    Resource::PROCESSING_JOB,
    Resource::TRAINING_JOB,
    Resource::TRANSFORM_JOB,
];

/// What stands in the place of the execution of a job that no step has begun, such as
/// `training-jobs`: longer than the id of an execution.
fn in_place_of_execution(kind: Resource) -> String {
    format!("{}s", kind.arn_type)
}

impl StepKey {
    /// The key of a job that a call has begun.
    pub(crate) fn of_own_job(kind: Resource, name: &str) -> Self {
        Self {
            execution: in_place_of_execution(kind),
            step: name.to_ascii_lowercase(),
            attempt: 1,
        }
    }

    /// The kind of a job that a call, and no step, has begun.
    pub(crate) fn own_job(&self) -> Option<Resource> {
        OWN_JOBS
            .into_iter()
            .find(|kind| self.execution == in_place_of_execution(*kind))
    }
}

/// The programs behind one endpoint, from its creation to its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServersKey {
    /// The endpoint's name in lower case.
    pub endpoint: String,
    /// Counted from 1; an endpoint that is made again under its name has other programs.
    pub serial: u64,
}

/// The programs that serve an endpoint's models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServersOrder {
    /// Which endpoint they are for.
    pub key: ServersKey,
    /// One for each production variant.
    pub servers: Vec<ServerOrder>,
}

/// A program that serves a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOrder {
    /// The production variant.
    pub variant: String,
    /// What stands for its image.
    pub runner: Runner,
    /// `s3://bucket/key` of the model's archive, if it has one.
    pub model_data: Option<String>,
    /// The container's own environment.
    pub environment: Vec<(String, String)>,
    /// The model's role.
    pub role: Option<String>,
    /// How long it may take until it answers.
    pub startup_seconds: u64,
}

/// Something that the engine does for the state.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Put this event on EventBridge, after all those emitted before it.
    Emit(Event),
    /// Signal [`Signal::Wake`] at that time.
    WakeAt {
        /// The execution's id.
        execution: String,
        /// When.
        at: Millis,
    },
    /// Read these JSON documents from S3 and signal [`Signal::DocumentsRead`].
    ReadDocuments {
        /// Whose references need them.
        key: StepKey,
        /// `s3://bucket/key`, each once.
        uris: Vec<String>,
    },
    /// Run or simulate a job and signal [`Signal::JobEnded`].
    StartJob(Box<JobOrder>),
    /// Stop what [`Effect::StartJob`] began; it ends with [`JobResult::Stopped`].
    StopJob(StepKey),
    /// Call a Lambda function and signal [`Signal::FunctionAnswered`].
    CallFunction(FunctionOrder),
    /// Send a message to an SQS queue and signal [`Signal::MessageSent`].
    SendMessage(MessageOrder),
    /// Start programs that serve models and signal [`Signal::ServersReady`], and
    /// [`Signal::ServersEnded`] in the end.
    StartServers(ServersOrder),
    /// Stop what [`Effect::StartServers`] began.
    StopServers(ServersKey),
    /// Signal [`Signal::EndpointDue`] at that time.
    EndpointAt {
        /// The endpoint's name.
        name: String,
        /// When.
        at: Millis,
    },
}

/// A job to be run by a program on this machine, or to be simulated.
#[derive(Debug, Clone, PartialEq)]
pub enum JobOrder {
    /// A job for whose image there is a runner.
    Program(ProgramOrder),
    /// A batch transform by a model that a program serves.
    Transform(TransformOrder),
    /// A job that is only simulated: its inputs are looked for, then time passes.
    Simulated {
        /// Which step it is for.
        key: StepKey,
        /// The S3 data that must exist for the job to have had a chance.
        checks: Vec<InputCheck>,
        /// How long it takes.
        millis: i64,
    },
}

impl JobOrder {
    /// Which step it is for.
    pub fn key(&self) -> &StepKey {
        match self {
            Self::Program(order) => &order.key,
            Self::Transform(order) => &order.key,
            Self::Simulated { key, .. } => key,
        }
    }
}

/// An input of a simulated job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputCheck {
    /// The channel or input, for the message.
    pub name: String,
    /// `s3://bucket/prefix`.
    pub uri: String,
}

/// What a program that stands for an image is run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// A processing job: the request is that of CreateProcessingJob.
    Processing,
    /// A training job: the request is that of CreateTrainingJob.
    Training,
}

impl ProgramKind {
    /// What such a job is to the API.
    pub(crate) const fn resource(self) -> Resource {
        match self {
            Self::Processing => Resource::PROCESSING_JOB,
            Self::Training => Resource::TRAINING_JOB,
        }
    }

    /// The type of the steps that run such jobs.
    pub(crate) const fn step_kind(self) -> StepKind {
        match self {
            Self::Processing => StepKind::Processing,
            Self::Training => StepKind::Training,
        }
    }
}

/// A job that really runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramOrder {
    /// Which step it is for.
    pub key: StepKey,
    /// What kind of job it is.
    pub kind: ProgramKind,
    /// What stands for its image.
    pub runner: Runner,
    /// The job's ARN.
    pub job_arn: String,
    /// The job's name.
    pub job_name: String,
    /// The request, every reference resolved.
    pub request: Map<String, Value>,
}

/// A batch transform that really runs.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformOrder {
    /// Which step it is for; of a job of its own, a key that no step has.
    pub key: StepKey,
    /// The model's program.
    pub server: ServerOrder,
    /// The request of CreateTransformJob.
    pub request: Map<String, Value>,
}

/// A Lambda function to be called.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionOrder {
    /// Which step it is for.
    pub key: StepKey,
    /// ARN or name.
    pub function: String,
    /// The event.
    pub payload: Value,
}

/// A message of a Callback step.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageOrder {
    /// Which step it is for.
    pub key: StepKey,
    /// The queue's URL.
    pub queue_url: String,
    /// The message.
    pub body: Value,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEnd {
    /// Succeeded, failed with a reason, or stopped.
    pub result: JobResult,
    /// What a processing job left in `output/message`, at most 1 KB.
    pub exit_message: Option<String>,
    /// What a training job's log says of its metrics: name and last value.
    pub metrics: Vec<(String, f64)>,
}

impl From<JobResult> for JobEnd {
    fn from(result: JobResult) -> Self {
        Self {
            result,
            exit_message: None,
            metrics: Vec::new(),
        }
    }
}

/// Whether a job ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    /// All is done, outputs are uploaded.
    Succeeded,
    /// Why not, in SageMaker's form (`AlgorithmError: ...`).
    Failed(String),
    /// It was stopped before its end.
    Stopped,
    /// It was stopped since its time was up, as the text says.
    OutOfTime(String),
}

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// The time of an [`Effect::WakeAt`] has come.
    Wake {
        /// The execution's id.
        execution: String,
    },
    /// The answer to [`Effect::ReadDocuments`].
    DocumentsRead {
        /// The step that waits for them.
        key: StepKey,
        /// Each URI with its JSON, or why it could not be read.
        documents: Vec<(String, Result<Value, String>)>,
    },
    /// The answer to [`Effect::StartJob`].
    JobEnded {
        /// The job's step.
        key: StepKey,
        /// How.
        end: JobEnd,
    },
    /// The answer to [`Effect::CallFunction`].
    FunctionAnswered {
        /// The step that waits for it.
        key: StepKey,
        /// The function's answer, or why there is none.
        answer: Result<Value, String>,
    },
    /// The answer to [`Effect::SendMessage`].
    MessageSent {
        /// The step that waits for it.
        key: StepKey,
        /// Why it could not be sent.
        result: Result<(), String>,
    },
    /// The programs of an endpoint are well.
    ServersReady(ServersKey),
    /// The programs of an endpoint have ended.
    ServersEnded {
        /// Which endpoint's.
        key: ServersKey,
        /// Why, unless they were stopped.
        result: Result<(), String>,
    },
    /// The time of an [`Effect::EndpointAt`] has come.
    EndpointDue {
        /// The endpoint's name.
        name: String,
    },
}
