//! What the state wants done, and what it is told about it.

use crate::clock::Millis;
use crate::event::Event;
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
    /// A job that is only pretended: its inputs are looked for, then time passes.
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

/// A job that really runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramOrder {
    /// Which step it is for.
    pub key: StepKey,
    /// What kind of job it is.
    pub kind: ProgramKind,
    /// The repository name of the image: which runner to take.
    pub repository: String,
    /// The job's ARN.
    pub job_arn: String,
    /// The job's name.
    pub job_name: String,
    /// The request, every reference resolved.
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
    /// The time of an [`Effect::EndpointAt`] has come.
    EndpointDue {
        /// The endpoint's name.
        name: String,
    },
}
