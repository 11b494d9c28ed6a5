//! What the Describe calls say of jobs.

use super::effect::{JobEnd, JobResult, StepKey};
use super::input::{Input, SortOrder};
use super::{Effect, State, Turn};
use crate::clock::Millis;
use crate::error::ApiError;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A kind of job that the API describes by a call of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum JobKind {
    Processing,
    Training,
    Transform,
}

impl JobKind {
    /// The resource type in the ARN.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Processing => "processing-job",
            Self::Training => "training-job",
            Self::Transform => "transform-job",
        }
    }

    /// What the members of the description begin with: `ProcessingJobName`, ...
    fn prefix(self) -> &'static str {
        match self {
            Self::Processing => "Processing",
            Self::Training => "Training",
            Self::Transform => "Transform",
        }
    }

    /// The members of the request that the description gives back.
    fn members(self) -> &'static [&'static str] {
        match self {
            Self::Processing => &[
                "ProcessingInputs",
                "ProcessingOutputConfig",
                "ProcessingResources",
                "StoppingCondition",
                "AppSpecification",
                "Environment",
                "NetworkConfig",
                "RoleArn",
                "ExperimentConfig",
            ],
            Self::Training => &[
                "HyperParameters",
                "AlgorithmSpecification",
                "RoleArn",
                "InputDataConfig",
                "OutputDataConfig",
                "ResourceConfig",
                "VpcConfig",
                "StoppingCondition",
                "EnableNetworkIsolation",
                "EnableInterContainerTrafficEncryption",
                "EnableManagedSpotTraining",
                "CheckpointConfig",
                "DebugHookConfig",
                "DebugRuleConfigurations",
                "TensorBoardOutputConfig",
                "ProfilerConfig",
                "ProfilerRuleConfigurations",
                "Environment",
                "RetryStrategy",
                "ExperimentConfig",
            ],
            Self::Transform => &[
                "ModelName",
                "MaxConcurrentTransforms",
                "ModelClientConfig",
                "MaxPayloadInMB",
                "BatchStrategy",
                "Environment",
                "TransformInput",
                "TransformOutput",
                "TransformResources",
                "DataProcessing",
                "ExperimentConfig",
            ],
        }
    }
}

/// Why a transform is only simulated.
pub(super) const NOT_SERVED: &str = "no program here serves the image of the model";

/// A job's description, as its Describe call answers it.
#[derive(Debug)]
struct Job {
    kind: JobKind,
    created: Millis,
    description: Map<String, Value>,
}

/// The account's jobs by kind and name in lower case.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_key: BTreeMap<(JobKind, String), Job>,
}

/// A job's final status, as all the Describe calls spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobStatus {
    Completed,
    Failed,
    Stopping,
    Stopped,
}

impl JobStatus {
    fn name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
        }
    }
}

/// What a job's description gains when its status changes.
#[derive(Debug, Default)]
pub(super) struct JobNotes<'a> {
    /// `FailureReason`.
    pub(super) failure: Option<&'a str>,
    /// `ExitMessage` of a processing job.
    pub(super) exit_message: Option<&'a str>,
    /// `FinalMetricDataList` of a training job.
    pub(super) metrics: &'a [(String, f64)],
    /// `SecondaryStatus` of a training job, where it is another than the status.
    pub(super) secondary: Option<&'static str>,
}

impl Jobs {
    /// Keeps a job that begins now. `note` is the status message of a simulated job.
    pub(super) fn begin(
        &mut self,
        now: Millis,
        kind: JobKind,
        name: &str,
        arn: &str,
        request: &Map<String, Value>,
        note: Option<&str>,
    ) {
        let prefix = kind.prefix();
        let mut description = Map::new();
        description.insert(format!("{prefix}JobName"), json!(name));
        description.insert(format!("{prefix}JobArn"), json!(arn));
        Input::new(request).copy(kind.members(), &mut description);
        description.insert(format!("{prefix}JobStatus"), json!("InProgress"));
        for time in ["CreationTime", "LastModifiedTime"] {
            description.insert(time.to_owned(), now.to_json());
        }
        description.insert(format!("{prefix}StartTime"), now.to_json());
        match kind {
            JobKind::Training => {
                description.insert("SecondaryStatus".to_owned(), json!("Training"));
                description.insert(
                    "SecondaryStatusTransitions".to_owned(),
                    json!([{
                        "Status": "Training",
                        "StartTime": now.to_json(),
                        "StatusMessage": note.unwrap_or("Training image is running"),
                    }]),
                );
                if let Some(artifact) = model_artifact(request, name) {
                    description.insert(
                        "ModelArtifacts".to_owned(),
                        json!({"S3ModelArtifacts": artifact}),
                    );
                }
            }
            JobKind::Processing => {
                if let Some(note) = note {
                    description.insert("ExitMessage".to_owned(), json!(note));
                }
            }
            JobKind::Transform => {}
        }
        let job = Job {
            kind,
            created: now,
            description,
        };
        self.by_key.insert((kind, name.to_ascii_lowercase()), job);
    }

    /// Notes a job's change of status.
    pub(super) fn change(
        &mut self,
        now: Millis,
        kind: JobKind,
        name: &str,
        status: JobStatus,
        notes: &JobNotes<'_>,
    ) {
        let Some(job) = self.by_key.get_mut(&(kind, name.to_ascii_lowercase())) else {
            return;
        };
        let prefix = job.kind.prefix();
        let description = &mut job.description;
        description.insert(format!("{prefix}JobStatus"), json!(status.name()));
        description.insert("LastModifiedTime".to_owned(), now.to_json());
        if status != JobStatus::Stopping {
            description.insert(format!("{prefix}EndTime"), now.to_json());
        }
        if let Some(reason) = notes.failure {
            description.insert("FailureReason".to_owned(), json!(reason));
        }
        if let Some(message) = notes.exit_message {
            description.insert("ExitMessage".to_owned(), json!(message));
        }
        if !notes.metrics.is_empty() {
            let metrics: Vec<Value> = notes
                .metrics
                .iter()
                .map(|(name, value)| {
                    json!({"MetricName": name, "Value": value, "Timestamp": now.to_json()})
                })
                .collect();
            description.insert("FinalMetricDataList".to_owned(), json!(metrics));
        }
        if kind == JobKind::Training {
            let secondary = notes.secondary.unwrap_or(status.name());
            description.insert("SecondaryStatus".to_owned(), json!(secondary));
            if let Some(Value::Array(transitions)) =
                description.get_mut("SecondaryStatusTransitions")
            {
                if let Some(last) = transitions.last_mut() {
                    last["EndTime"] = now.to_json();
                }
                transitions.push(json!({
                    "Status": secondary,
                    "StartTime": now.to_json(),
                    "StatusMessage": notes.failure.unwrap_or_default(),
                }));
            }
        }
    }

    /// Notes how a job ended.
    pub(super) fn end(&mut self, now: Millis, kind: JobKind, name: &str, end: &JobEnd) {
        let (status, failure) = match &end.result {
            JobResult::Succeeded => (JobStatus::Completed, None),
            JobResult::Failed(reason) => (JobStatus::Failed, Some(reason.as_str())),
            JobResult::Stopped => (JobStatus::Stopped, None),
            JobResult::OutOfTime(reason) => (JobStatus::Stopped, Some(reason.as_str())),
        };
        let is_out_of_time = matches!(end.result, JobResult::OutOfTime(_));
        let notes = JobNotes {
            failure,
            exit_message: end.exit_message.as_deref(),
            metrics: &end.metrics,
            secondary: is_out_of_time.then_some("MaxRuntimeExceeded"),
        };
        self.change(now, kind, name, status, &notes);
    }

    /// The description of a job.
    pub(super) fn description(&self, kind: JobKind, name: &str) -> Option<Value> {
        self.by_key
            .get(&(kind, name.to_ascii_lowercase()))
            .map(|job| Value::Object(job.description.clone()))
    }
}

/// Where SageMaker would put the model of a training job.
fn model_artifact(request: &Map<String, Value>, name: &str) -> Option<String> {
    let path = request
        .get("OutputDataConfig")?
        .get("S3OutputPath")?
        .as_str()?;
    Some(format!(
        "{}/{name}/output/model.tar.gz",
        path.trim_end_matches('/')
    ))
}

impl State {
    pub(super) fn describe_processing_job(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.required("ProcessingJobName")?;
        self.jobs
            .description(JobKind::Processing, name)
            .ok_or_else(|| {
                ApiError::validation(format!("Could not find requested job with name: {name}"))
            })
    }

    pub(super) fn describe_training_job(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.required("TrainingJobName")?;
        self.jobs
            .description(JobKind::Training, name)
            .ok_or_else(|| ApiError::validation("Requested resource not found."))
    }

    pub(super) fn describe_transform_job(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.required("TransformJobName")?;
        self.jobs
            .description(JobKind::Transform, name)
            .ok_or_else(|| {
                ApiError::validation(format!("Could not find requested job with name: {name}"))
            })
    }

    /// Stops a step's job alone; its execution then fails.
    fn stop_job(
        &mut self,
        turn: &mut Turn,
        kind: JobKind,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let prefix = kind.prefix();
        let name = input.required(&format!("{prefix}JobName"))?;
        let description = self
            .jobs
            .description(kind, name)
            .ok_or_else(|| ApiError::validation("Requested resource not found."))?;
        match description[format!("{prefix}JobStatus")].as_str() {
            Some("InProgress") => {}
            Some("Stopping") => return Ok(json!({})),
            status => {
                return Err(ApiError::validation(format!(
                    "The request was rejected because the {} is in status {}.",
                    kind.resource().replace('-', " "),
                    status.unwrap_or_default()
                )));
            }
        }
        let is_its = |job: &Option<(JobKind, String)>| {
            job.as_ref().is_some_and(|(its_kind, its_name)| {
                *its_kind == kind && its_name.eq_ignore_ascii_case(name)
            })
        };
        let key = self.executions.values().find_map(|execution| {
            let position = execution.steps.iter().position(|step| is_its(&step.job))?;
            Some(execution.key_of(position))
        });
        let its_own = || StepKey::of_own_job(&name.to_ascii_lowercase());
        turn.effects
            .push(Effect::StopJob(key.unwrap_or_else(its_own)));
        self.jobs.change(
            turn.now,
            kind,
            name,
            JobStatus::Stopping,
            &JobNotes::default(),
        );
        Ok(json!({}))
    }

    pub(super) fn stop_processing_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.stop_job(turn, JobKind::Processing, input)
    }

    pub(super) fn stop_training_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.stop_job(turn, JobKind::Training, input)
    }

    pub(super) fn stop_transform_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.stop_job(turn, JobKind::Transform, input)
    }

    /// A transform job that no step has.
    pub(super) fn create_transform_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let kind = JobKind::Transform;
        let name = input.name("TransformJobName", 63)?;
        let model = input.required("ModelName")?;
        if self.model_document(model).is_none() {
            return Err(ApiError::validation(format!(
                "Could not find model \"{}\".",
                self.arn("model", model)
            )));
        }
        if self.jobs.description(kind, name).is_some() {
            return Err(ApiError::validation(format!(
                "Job name must be unique within an AWS account and region, and a job with this \
                 name already exists ({})",
                self.arn(kind.resource(), name)
            )));
        }
        let mut request = Map::new();
        input.copy(kind.members(), &mut request);
        let key = StepKey::of_own_job(&name.to_ascii_lowercase());
        let order = self.transform_order(key, &request).ok_or_else(|| {
            ApiError::validation(format!(
                "The local stand-in cannot run this transform: {NOT_SERVED}. A Transform step \
                 would be simulated."
            ))
        })?;
        let arn = self.arn(kind.resource(), name);
        self.jobs.begin(turn.now, kind, name, &arn, &request, None);
        turn.effects.push(Effect::StartJob(Box::new(order)));
        Ok(json!({"TransformJobArn": arn}))
    }

    /// The end of a job that no step has.
    pub(super) fn end_own_job(&mut self, turn: &Turn, name: &str, end: &JobEnd) {
        self.jobs.end(turn.now, JobKind::Transform, name, end);
    }

    pub(super) fn list_transform_jobs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        const MEMBERS: [&str; 7] = [
            "TransformJobName",
            "TransformJobArn",
            "CreationTime",
            "TransformEndTime",
            "LastModifiedTime",
            "TransformJobStatus",
            "FailureReason",
        ];
        self.list_jobs(JobKind::Transform, "TransformJobSummaries", &MEMBERS, input)
    }

    fn list_jobs(
        &self,
        kind: JobKind,
        list: &str,
        members: &[&str],
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let prefix = kind.prefix();
        let status = input.string("StatusEquals")?;
        let jobs = self
            .jobs
            .by_key
            .iter()
            .filter(|((its_kind, _), _)| *its_kind == kind)
            .map(|((_, key), job)| (key, job))
            .filter(|(_, job)| {
                let now = job.description.get(&format!("{prefix}JobStatus"));
                status.is_none_or(|wanted| now.and_then(Value::as_str) == Some(wanted))
            });
        input.listed(
            list,
            jobs,
            |job| job.created,
            |job| {
                let mut row = Map::new();
                Input::new(&job.description).copy(members, &mut row);
                Value::Object(row)
            },
            SortOrder::Descending,
        )
    }

    pub(super) fn list_processing_jobs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        const MEMBERS: [&str; 8] = [
            "ProcessingJobName",
            "ProcessingJobArn",
            "CreationTime",
            "ProcessingEndTime",
            "LastModifiedTime",
            "ProcessingJobStatus",
            "FailureReason",
            "ExitMessage",
        ];
        self.list_jobs(
            JobKind::Processing,
            "ProcessingJobSummaries",
            &MEMBERS,
            input,
        )
    }

    pub(super) fn list_training_jobs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        const MEMBERS: [&str; 6] = [
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
        ];
        self.list_jobs(JobKind::Training, "TrainingJobSummaries", &MEMBERS, input)
    }
}
