//! What the Describe calls say of jobs.

use super::input::{Input, SortOrder};
use super::{State, Turn};
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
            description.insert("SecondaryStatus".to_owned(), json!(status.name()));
            if let Some(Value::Array(transitions)) =
                description.get_mut("SecondaryStatusTransitions")
            {
                if let Some(last) = transitions.last_mut() {
                    last["EndTime"] = now.to_json();
                }
                transitions.push(json!({
                    "Status": status.name(),
                    "StartTime": now.to_json(),
                    "StatusMessage": "",
                }));
            }
        }
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
