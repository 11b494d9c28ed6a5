//! What the Describe calls say of jobs.

use super::effect::{JobEnd, JobOrder, JobResult, ProgramKind, ProgramOrder, StepKey};
use super::input::{Input, SortOrder};
use super::launch::Work;
use super::tags::read_tags;
use super::{Effect, State, Turn};
use crate::clock::Millis;
use crate::error::{ApiError, ErrorKind};
use crate::event::Event;
use pipewright::definition::{Resource, StepKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The status message of a simulated job.
pub(super) fn simulated_note(reason: &str) -> String {
    format!("simulated by the local stand-in: {reason}")
}

/// Why a transform is only simulated.
pub(super) const NOT_SERVED: &str = "no program here serves the image of the model";

/// A job's description, as its Describe call answers it.
#[derive(Debug)]
struct Job {
    created: Millis,
    description: Map<String, Value>,
}

/// The member with a time of a job: `TrainingEndTime` for `EndTime`.
fn time_of(kind: Resource, suffix: &str) -> String {
    format!("{}{suffix}", kind.noun.trim_end_matches("Job"))
}

/// The account's jobs by kind and name in lower case.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_key: BTreeMap<(Resource, String), Job>,
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
    /// Keeps a job that begins now; `request` is what its description gives back, `note` the
    /// status message of a simulated job.
    pub(super) fn begin(
        &mut self,
        now: Millis,
        kind: Resource,
        name: &str,
        arn: &str,
        request: &Map<String, Value>,
        note: Option<&str>,
    ) {
        let mut description = request.clone();
        description.insert(kind.member("Name"), json!(name));
        description.insert(kind.member("Arn"), json!(arn));
        description.insert(kind.member("Status"), json!("InProgress"));
        for time in ["CreationTime", "LastModifiedTime"] {
            description.insert(time.to_owned(), now.to_json());
        }
        description.insert(time_of(kind, "StartTime"), now.to_json());
        match kind {
            Resource::TRAINING_JOB => {
                add_defaults(&mut description);
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
            Resource::PROCESSING_JOB => {
                if let Some(note) = note {
                    description.insert("ExitMessage".to_owned(), json!(note));
                }
            }
            _ => {}
        }
        let job = Job {
            created: now,
            description,
        };
        self.by_key.insert((kind, name.to_ascii_lowercase()), job);
    }

    /// Notes a job's change of status.
    pub(super) fn change(
        &mut self,
        now: Millis,
        kind: Resource,
        name: &str,
        status: JobStatus,
        notes: &JobNotes<'_>,
    ) {
        let Some(job) = self.by_key.get_mut(&(kind, name.to_ascii_lowercase())) else {
            return;
        };
        let description = &mut job.description;
        description.insert(kind.member("Status"), json!(status.name()));
        description.insert("LastModifiedTime".to_owned(), now.to_json());
        if status != JobStatus::Stopping {
            description.insert(time_of(kind, "EndTime"), now.to_json());
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
        if kind == Resource::TRAINING_JOB {
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
    pub(super) fn end(&mut self, now: Millis, kind: Resource, name: &str, end: &JobEnd) {
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
    pub(super) fn description(&self, kind: Resource, name: &str) -> Option<Value> {
        let job = self.by_key.get(&(kind, name.to_ascii_lowercase()))?;
        let mut description = job.description.clone();
        if kind == Resource::TRANSFORM_JOB {
            // ListTransformJobs alone tells it.
            description.remove("LastModifiedTime");
        }
        Some(Value::Object(description))
    }
}

/// Adds what SageMaker takes where a training job's debugger and profiler say nothing.
fn add_defaults(description: &mut Map<String, Value>) {
    for member in ["DebugRuleConfigurations", "ProfilerRuleConfigurations"] {
        let rules = description.get_mut(member).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
            rule.entry("VolumeSizeInGB").or_insert_with(|| json!(0));
        }
    }
    let Some(Value::Object(profiler)) = description.get_mut("ProfilerConfig") else {
        return;
    };
    let status = if profiler.get("DisableProfiler") == Some(&json!(true)) {
        "Disabled"
    } else {
        profiler
            .entry("ProfilingIntervalInMilliseconds")
            .or_insert_with(|| json!(500));
        "Enabled"
    };
    description.insert("ProfilingStatus".to_owned(), json!(status));
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

/// Makes the times of a description, numbers of seconds whose members end with `Time`, numbers of
/// milliseconds.
fn times_in_millis(description: &mut Value) {
    match description {
        Value::Object(members) => {
            for (name, value) in members {
                match Millis::from_json(value).filter(|_| name.ends_with("Time")) {
                    Some(time) => *value = json!(time.0),
                    None => times_in_millis(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(times_in_millis),
        _ => {}
    }
}

/// What the calls for most jobs say of one that there is not.
fn not_found(name: &str) -> String {
    format!("Could not find requested job with name: {name}")
}

impl State {
    fn describe_job(
        &self,
        kind: Resource,
        missing: impl FnOnce(&str) -> String,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.required(&kind.member("Name"))?;
        self.jobs
            .description(kind, name)
            .ok_or_else(|| ApiError::validation(missing(name)))
    }

    pub(super) fn describe_processing_job(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.describe_job(Resource::PROCESSING_JOB, not_found, input)
    }

    pub(super) fn describe_training_job(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let missing = |_: &str| "Requested resource not found.".to_owned();
        self.describe_job(Resource::TRAINING_JOB, missing, input)
    }

    pub(super) fn describe_transform_job(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.describe_job(Resource::TRANSFORM_JOB, not_found, input)
    }

    /// Stops a step's job alone; its execution then fails.
    fn stop_job(
        &mut self,
        turn: &mut Turn,
        kind: Resource,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.required(&kind.member("Name"))?;
        let description = self
            .jobs
            .description(kind, name)
            .ok_or_else(|| ApiError::validation("Requested resource not found."))?;
        match description[kind.member("Status")].as_str() {
            Some("InProgress") => {}
            Some("Stopping") => return Ok(json!({})),
            status => {
                return Err(ApiError::validation(format!(
                    "The request was rejected because the {} is in status {}.",
                    kind.arn_type.replace('-', " "),
                    status.unwrap_or_default()
                )));
            }
        }
        let is_its = |made: &Option<(Resource, String)>| {
            made.as_ref().is_some_and(|(its_kind, its_name)| {
                *its_kind == kind && its_name.eq_ignore_ascii_case(name)
            })
        };
        let key = self.executions.values().find_map(|execution| {
            let position = execution.steps.iter().position(|step| is_its(&step.made))?;
            Some(execution.key_of(position))
        });
        let is_its_own = key.is_none();
        let its_own = || StepKey::of_own_job(kind, name);
        turn.effects
            .push(Effect::StopJob(key.unwrap_or_else(its_own)));
        self.jobs.change(
            turn.now,
            kind,
            name,
            JobStatus::Stopping,
            &JobNotes::default(),
        );
        if is_its_own {
            self.tell_of_own_job(turn, kind, name);
        }
        Ok(json!({}))
    }

    pub(super) fn stop_processing_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.stop_job(turn, Resource::PROCESSING_JOB, input)
    }

    pub(super) fn stop_training_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.stop_job(turn, Resource::TRAINING_JOB, input)
    }

    pub(super) fn stop_transform_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.stop_job(turn, Resource::TRANSFORM_JOB, input)
    }

    /// The name of a job that a call is to begin: one that no job of its kind has.
    fn new_job_name<'a>(&self, kind: Resource, input: Input<'a>) -> Result<&'a str, ApiError> {
        let name = input.name(&kind.member("Name"), 63)?;
        if self.jobs.description(kind, name).is_none() {
            return Ok(name);
        }
        let arn = self.arn(kind.arn_type, name);
        let which = if kind == Resource::TRAINING_JOB {
            "Training job names must be unique within an AWS account and region, and a training job"
        } else {
            "Job name must be unique within an AWS account and region, and a job"
        };
        Err(ApiError::new(
            ErrorKind::InUse,
            format!("{which} with this name already exists ({arn})"),
        ))
    }

    /// Begins a job that no step has, with the status message of a simulated one.
    fn begin_own_job(
        &mut self,
        turn: &mut Turn,
        (kind, step_kind): (Resource, StepKind),
        name: &str,
        input: Input<'_>,
        note: Option<&str>,
    ) -> Result<Value, ApiError> {
        let arn = self.arn(kind.arn_type, name);
        self.tags.create(&arn, read_tags(input)?);
        let request = input.given_back(step_kind);
        self.jobs.begin(turn.now, kind, name, &arn, &request, note);
        self.tell_of_own_job(turn, kind, name);
        Ok(json!({kind.member("Arn"): arn}))
    }

    /// A transform job that no step has.
    pub(super) fn create_transform_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let kind = Resource::TRANSFORM_JOB;
        let name = self.new_job_name(kind, input)?;
        let model = input.required("ModelName")?;
        if self.model_document(model).is_none() {
            return Err(ApiError::validation(format!(
                "Could not find model \"{}\".",
                self.arn("model", model)
            )));
        }
        let request = input.given_back(StepKind::Transform);
        let key = StepKey::of_own_job(kind, name);
        let order = self.transform_order(key, &request).ok_or_else(|| {
            ApiError::validation(format!(
                "The local stand-in cannot run this transform: {NOT_SERVED}. A Transform step \
                 would be simulated."
            ))
        })?;
        let answer = self.begin_own_job(turn, (kind, StepKind::Transform), name, input, None)?;
        turn.effects.push(Effect::StartJob(Box::new(order)));
        Ok(answer)
    }

    /// A processing or training job that no step has.
    fn create_program_job(
        &mut self,
        turn: &mut Turn,
        program: ProgramKind,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let kind = program.resource();
        let name = self.new_job_name(kind, input)?;
        input.required("RoleArn")?;
        let mut request = input.members().clone();
        let work = self.work_of(program, &mut request).map_err(|refused| {
            let reason = refused.reason();
            ApiError::validation(reason.strip_prefix("ClientError: ").unwrap_or(&reason))
        })?;
        let key = StepKey::of_own_job(kind, name);
        let (order, note, fails) = match work {
            Work::Program(runner) => {
                let order = JobOrder::Program(ProgramOrder {
                    key,
                    kind: program,
                    runner,
                    job_arn: self.arn(kind.arn_type, name),
                    job_name: name.to_owned(),
                    request: request.clone(),
                });
                (order, None, None)
            }
            Work::Simulated {
                reason,
                checks,
                fails,
            } => {
                let millis = self.settings.simulated_step_millis;
                let order = JobOrder::Simulated {
                    key,
                    checks,
                    millis,
                };
                (order, Some(simulated_note(&reason)), fails)
            }
        };
        let kinds = (kind, program.step_kind());
        let request = Input::new(&request);
        let answer = self.begin_own_job(turn, kinds, name, request, note.as_deref())?;
        match fails {
            None => turn.effects.push(Effect::StartJob(Box::new(order))),
            Some(reason) => {
                self.end_own_job(turn, kind, name, &JobResult::Failed(reason).into());
            }
        }
        Ok(answer)
    }

    pub(super) fn create_processing_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.create_program_job(turn, ProgramKind::Processing, input)
    }

    pub(super) fn create_training_job(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.create_program_job(turn, ProgramKind::Training, input)
    }

    /// The end of a job that no step has.
    pub(super) fn end_own_job(
        &mut self,
        turn: &mut Turn,
        kind: Resource,
        name: &str,
        end: &JobEnd,
    ) {
        self.jobs.end(turn.now, kind, name, end);
        self.tell_of_own_job(turn, kind, name);
    }

    /// Tells of the status of a job that no step has: what its description says, with times in
    /// milliseconds as events have them.
    fn tell_of_own_job(&self, turn: &mut Turn, kind: Resource, name: &str) {
        let Some(mut detail) = self.jobs.description(kind, name) else {
            return;
        };
        times_in_millis(&mut detail);
        let arn = self.arn(
            kind.arn_type,
            detail[kind.member("Name")].as_str().unwrap_or(name),
        );
        detail["Tags"] = self.tags.as_map(&arn);
        let detail_type = match kind {
            Resource::PROCESSING_JOB => Event::PROCESSING_JOB,
            Resource::TRAINING_JOB => Event::TRAINING_JOB,
            _ => Event::TRANSFORM_JOB,
        };
        turn.emit(detail_type, vec![arn], detail);
    }

    /// The rows of a List call have these members of the descriptions besides.
    fn list_jobs(
        &self,
        kind: Resource,
        besides: &[&str],
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let status = input.string("StatusEquals")?;
        let jobs = self
            .jobs
            .by_key
            .iter()
            .filter(|((its_kind, _), _)| *its_kind == kind)
            .map(|((_, key), job)| (key, job))
            .filter(|(_, job)| {
                let now = job.description.get(&kind.member("Status"));
                status.is_none_or(|wanted| now.and_then(Value::as_str) == Some(wanted))
            });
        let own = [
            kind.member("Name"),
            kind.member("Arn"),
            kind.member("Status"),
            time_of(kind, "EndTime"),
        ];
        let of_all = ["CreationTime", "LastModifiedTime"];
        let own = own.iter().map(String::as_str);
        let members: Vec<&str> = own.chain(of_all).chain(besides.iter().copied()).collect();
        input.listed(
            &kind.member("Summaries"),
            jobs,
            |job| job.created,
            |job| {
                let mut row = Map::new();
                Input::new(&job.description).copy(&members, &mut row);
                Value::Object(row)
            },
            SortOrder::Descending,
        )
    }

    pub(super) fn list_transform_jobs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.list_jobs(Resource::TRANSFORM_JOB, &["FailureReason"], input)
    }

    pub(super) fn list_processing_jobs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let besides = ["FailureReason", "ExitMessage"];
        self.list_jobs(Resource::PROCESSING_JOB, &besides, input)
    }

    pub(super) fn list_training_jobs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        self.list_jobs(Resource::TRAINING_JOB, &[], input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(kind: Resource, request: &Value) -> Value {
        let mut jobs = Jobs::default();
        let request = request.as_object().unwrap();
        jobs.begin(Millis(1), kind, "Job", "arn", request, None);
        jobs.description(kind, "job").unwrap()
    }

    #[test]
    fn a_training_tells_what_its_debugger_and_profiler_take_by_default() {
        let described = begun(
            Resource::TRAINING_JOB,
            &json!({
                "DebugRuleConfigurations": [{"RuleConfigurationName": "a"},
                    {"RuleConfigurationName": "b", "VolumeSizeInGB": 7}],
                "ProfilerConfig": {"S3OutputPath": "s3://b/p"},
            }),
        );
        let rules = &described["DebugRuleConfigurations"];
        assert_eq!(rules[0]["VolumeSizeInGB"], 0);
        assert_eq!(rules[1]["VolumeSizeInGB"], 7);
        assert_eq!(described["ProfilingStatus"], "Enabled");
        assert_eq!(
            described["ProfilerConfig"]["ProfilingIntervalInMilliseconds"],
            500
        );
    }

    #[test]
    fn a_transform_is_described_without_its_last_change() {
        let described = begun(Resource::TRANSFORM_JOB, &json!({}));
        assert!(described.get("LastModifiedTime").is_none());
        let described = begun(Resource::PROCESSING_JOB, &json!({}));
        assert!(described["LastModifiedTime"].is_number());
    }
}
