//! What has to be written because its event did not arrive.
//!
//! An event can be lost for good: dropped before EventBridge took it, or
//! deleted from a failure queue. Then the record is behind SageMaker, which
//! can be asked. What it answers is compared here with the change items that
//! there are, and what they lack becomes an [`Event`] like the one that went
//! missing, to be folded by [`writes`](super::writes) like any other.
//!
//! # What holds
//! - **Nothing is written twice.** A subject (the execution, a step, a model, a
//!   package, an endpoint) whose latest change item has SageMaker's status
//!   lacks nothing. The event is made of the answer and the items alone, so the
//!   same ones give the same event.
//! - **A reconciled change never beats a later event.** It stands at the whole
//!   second of the last modification that SageMaker tells, since events have
//!   whole seconds; a change that happens after the answer has that second or
//!   a later one. Within a second, rank decides as always, and of equal ranks
//!   the true event wins, whatever its digest.
//! - **It is not lost behind an earlier one.** Events are stamped a little
//!   after the change that they tell. So if the answer's moment is not after
//!   the latest change item's, but its status follows that item's (has a higher
//!   rank), the change stands at the item's moment. The items must have been
//!   read *before* SageMaker was asked.
//! - **The true event may still come.** Its change item is then added, its
//!   attributes win, and [`history`](super::history()) shows it alone: the
//!   reconciled one falls away.
//! - Of two ends in one second, which a retry faster than the delay of the
//!   events' stamps can give, the one that was told stays until the true event
//!   of the other comes: neither second nor rank says which was later.
//! - A status that lasted from one event to another that did arrive, or to the
//!   next reconciliation, leaves no trace: SageMaker knows the present only.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::event::{self, Event, EventError};
use super::families::{CACHE_HIT, Kind, REUSED_FROM, SAGEMAKER_EXECUTION_TAG, SELECTION};
use super::id::ExecutionArn;
use super::rows::{ChangeRow, without_nulls};
use super::status::is_final;
use crate::definition::StepKind;

/// What SageMaker answers about an execution. Moments are epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionState {
    /// Its status.
    pub status: String,
    /// Its display name.
    pub display_name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// When it was started.
    pub created_at: Option<i64>,
    /// When it was last modified: of an ended one, when it ended.
    pub modified_at: Option<i64>,
}

/// What SageMaker answers about a step that has begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepState {
    /// Its name in the definition.
    pub name: String,
    /// Its status.
    pub status: String,
    /// When it began.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What it made or ran.
    pub made: Option<Made>,
    /// The execution whose result came from the cache.
    pub cache_hit_arn: Option<String>,
    /// The execution whose result a selective execution took over.
    pub selection_arn: Option<String>,
}

/// What a step made or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What type of step it is of.
    pub kind: StepKind,
    /// The ARN of the job, model or package.
    pub arn: String,
}

/// What SageMaker answers about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelState {
    /// Its name, or the last part of its ARN.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What is known of it; `None` if there is no such model any more.
    pub found: Option<ModelFound>,
}

/// A model that there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFound {
    /// Its name as it was given; an ARN may have it in lower case.
    pub name: Option<String>,
    /// Where its artifact lies (of the first container).
    pub data_url: Option<String>,
    /// Its image (of the first container).
    pub image: Option<String>,
    /// When it was created.
    pub created_at: Option<i64>,
}

/// What SageMaker answers about a model package that there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageState {
    /// Its ARN.
    pub arn: String,
    /// The group that it is a version of.
    pub group: Option<String>,
    /// Its number in the group.
    pub version: Option<i64>,
    /// Its status.
    pub status: String,
    /// Whether it may be deployed.
    pub approval_status: Option<String>,
    /// Where its artifact lies (of the first container).
    pub data_url: Option<String>,
    /// When it was created.
    pub created_at: Option<i64>,
    /// When it was last modified; `None` if never.
    pub modified_at: Option<i64>,
}

/// What SageMaker answers about an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Its name.
    pub name: String,
    /// What is known of it; `None` if there is no such endpoint.
    pub found: Option<EndpointFound>,
}

/// An endpoint that there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointFound {
    /// Its ARN.
    pub arn: Option<String>,
    /// Its configuration.
    pub config_name: Option<String>,
    /// Its status, in the API's spelling.
    pub status: String,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// When it was created.
    pub created_at: Option<i64>,
    /// When it was last modified.
    pub modified_at: Option<i64>,
}

/// What an execution's change items tell, by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told<'a> {
    latest: BTreeMap<(Kind, String), &'a ChangeRow>,
    /// The ARNs in lower case of the models and packages that steps made.
    made: BTreeSet<(Kind, String)>,
}

impl<'a> Told<'a> {
    /// What these change items of an execution tell.
    pub fn of(changes: impl IntoIterator<Item = &'a ChangeRow>) -> Self {
        let mut told = Self::default();
        for change in changes {
            told.made.extend(made(change));
            if let Some(subject) = subject(change)
                && told
                    .latest
                    .get(&subject)
                    .is_none_or(|known| known.position < change.position)
            {
                told.latest.insert(subject, change);
            }
        }
        told
    }

    /// The latest status told of a model, package or endpoint, by its name (a
    /// package's ARN); `None` if nothing was told of it.
    pub fn status(&self, kind: Kind, name: &str) -> Option<&str> {
        self.of_subject(kind, name)
            .map(|latest| latest.status.as_str())
    }

    /// ARNs of the models or packages told of that steps of the execution made,
    /// whether they are still there or not.
    pub fn arns(&self, kind: Kind) -> Vec<&str> {
        self.latest
            .iter()
            .filter(|((of, _), _)| *of == kind)
            .filter_map(|(_, latest)| latest.resource_arn.as_deref())
            .filter(|arn| self.is_made(kind, arn))
            .collect()
    }

    /// Whether a step of the execution is known to have made the model or
    /// package of this ARN.
    pub fn is_made(&self, kind: Kind, arn: &str) -> bool {
        self.made.contains(&(kind, arn.to_ascii_lowercase()))
    }

    fn of_subject(&self, kind: Kind, name: &str) -> Option<&'a ChangeRow> {
        self.latest.get(&(kind, subject_name(kind, name))).copied()
    }
}

/// Names and ARNs differ by case from answer to event; steps' names don't.
fn subject_name(kind: Kind, name: &str) -> String {
    match kind.family().names_have_case {
        true => name.to_owned(),
        false => name.to_ascii_lowercase(),
    }
}

/// What a step's change item says that it made.
fn made(change: &ChangeRow) -> Option<(Kind, String)> {
    let kind = Kind::made_by_step(change.step_type.as_deref())?;
    let arn = change.resource_arn.as_ref()?.to_ascii_lowercase();
    (change.kind == Kind::Step).then_some((kind, arn))
}

/// What a change is about; `None` if it is not known, or the place of the change is not.
fn subject(change: &ChangeRow) -> Option<(Kind, String)> {
    let name = (change.kind.family().subject)(change)?;
    change.rank()?;
    Some((change.kind, subject_name(change.kind, name)))
}

/// Compares what SageMaker answers about one execution with what its change
/// items tell.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The execution.
    pub arn: &'a ExecutionArn,
    /// Its change items, read before SageMaker was asked.
    pub told: &'a Told<'a>,
    /// A change that SageMaker dates after this moment is left to its event,
    /// which may be under way.
    pub settled_before: i64,
}

impl Comparison<'_> {
    /// The execution's change that went missing, if one did.
    ///
    /// # Errors
    /// [`EventError`] if SageMaker's answer can't be made an event.
    pub fn execution(&self, state: &ExecutionState) -> Result<Option<Event>, EventError> {
        let moment = state.modified_at.or(state.created_at);
        let ended = is_final(&state.status).then_some(moment).flatten();
        let detail = json!({
            "pipelineArn": self.pipeline_arn(),
            "pipelineExecutionArn": self.arn.as_str(),
            "pipelineExecutionDisplayName": state.display_name,
            "pipelineExecutionDescription": state.description,
            "currentPipelineExecutionStatus": state.status,
            "executionStartTime": state.created_at,
            "executionEndTime": ended,
            "failureReason": state.failure_reason,
        });
        self.missing((Kind::Execution, ""), moment, detail, |latest, event| {
            latest.status == event.status.name
        })
    }

    /// A step's change that went missing, if one did.
    ///
    /// # Errors
    /// [`EventError`] if SageMaker's answer can't be made an event.
    pub fn step(&self, state: &StepState) -> Result<Option<Event>, EventError> {
        let told = self.told.of_subject(Kind::Step, &state.name);
        let step_type = told
            .and_then(|latest| latest.step_type.as_deref())
            .or_else(|| state.made.as_ref().map(|made| made.kind.step_type().name));
        let mut metadata = Map::new();
        if let Some(made) = &state.made {
            metadata.insert(
                made.kind.step_type().event_member(),
                json!({"arn": made.arn}),
            );
        }
        let mut detail = json!({
            "pipelineArn": self.pipeline_arn(),
            "pipelineExecutionArn": self.arn.as_str(),
            "stepName": state.name,
            "stepType": step_type,
            "currentStepStatus": state.status,
            "stepStartTime": state.started_at,
            "stepEndTime": state.ended_at,
            "failureReason": state.failure_reason,
            "metadata": metadata,
        });
        let reused = [
            (CACHE_HIT, &state.cache_hit_arn),
            (SELECTION, &state.selection_arn),
        ];
        for (member, source) in reused {
            if let Some(source) = source {
                detail[member] = json!({REUSED_FROM: source});
            }
        }
        self.missing(
            (Kind::Step, &state.name),
            state.ended_at.or(state.started_at),
            detail,
            |latest, event| latest.status == event.status.name,
        )
    }

    /// A model's creation or deletion that went missing, if one did.
    ///
    /// SageMaker does not tell when a model was deleted: the change stands at the moment
    /// of the last one known.
    ///
    /// # Errors
    /// [`EventError`] if SageMaker's answer can't be made an event.
    pub fn model(&self, state: &ModelState) -> Result<Option<Event>, EventError> {
        let found = state.found.clone().unwrap_or_default();
        // Where nothing is left, it is not known that the model ever was.
        let told = self.told.of_subject(Kind::Model, &state.name);
        if state.found.is_none() && told.is_none() {
            return Ok(None);
        }
        let tags = match &state.found {
            Some(_) => json!({SAGEMAKER_EXECUTION_TAG: self.arn.as_str()}),
            None => json!({}),
        };
        let detail = json!({
            "ModelName": found.name.as_ref().unwrap_or(&state.name),
            "ModelArn": state.arn,
            "CreationTime": found.created_at,
            "PrimaryContainer": {"ModelDataUrl": found.data_url, "Image": found.image},
            "Tags": tags,
        });
        self.missing(
            (Kind::Model, &state.name),
            found.created_at,
            detail,
            |latest, event| (latest.status == "Deleted") == (event.status.name == "Deleted"),
        )
    }

    /// A package's registration or decision that went missing, if one did.
    ///
    /// # Errors
    /// [`EventError`] if SageMaker's answer can't be made an event.
    pub fn package(&self, state: &PackageState) -> Result<Option<Event>, EventError> {
        let detail = json!({
            "ModelPackageArn": state.arn,
            "ModelPackageGroupName": state.group,
            "ModelPackageVersion": state.version,
            "ModelPackageStatus": state.status,
            "ModelApprovalStatus": state.approval_status,
            "InferenceSpecification": {"Containers": [{"ModelDataUrl": state.data_url}]},
            "CreationTime": state.created_at,
            "LastModifiedTime": state.modified_at,
        });
        self.missing(
            (Kind::Package, &state.arn),
            state.modified_at.or(state.created_at),
            detail,
            |latest, event| {
                latest.status == event.status.name
                    && latest.approval_status == state.approval_status
            },
        )
    }

    /// An endpoint's change that went missing, if one did.
    ///
    /// SageMaker does not tell when an endpoint was deleted: the change stands at the
    /// moment of the last one known.
    ///
    /// # Errors
    /// [`EventError`] if SageMaker's answer can't be made an event.
    pub fn endpoint(&self, state: &EndpointState) -> Result<Option<Event>, EventError> {
        let told = self.told.of_subject(Kind::Endpoint, &state.name);
        let detail = match (&state.found, told) {
            // It may not have been created yet.
            (None, None) => return Ok(None),
            (None, Some(latest)) => json!({
                "EndpointName": state.name,
                "EndpointArn": latest.resource_arn,
                "EndpointStatus": "Deleted",
            }),
            (Some(found), _) => json!({
                "EndpointName": state.name,
                "EndpointArn": found.arn,
                "EndpointConfigName": found.config_name,
                "EndpointStatus": found.status,
                "FailureReason": found.failure_reason,
                "CreationTime": found.created_at,
                "LastModifiedTime": found.modified_at,
            }),
        };
        let found = state.found.as_ref();
        self.missing(
            (Kind::Endpoint, &state.name),
            found.and_then(|found| found.modified_at.or(found.created_at)),
            detail,
            |latest, event| latest.status == event.status.name,
        )
    }

    fn pipeline_arn(&self) -> &str {
        let arn = self.arn.as_str();
        arn.split_once("/execution/")
            .map_or(arn, |(pipeline, _)| pipeline)
    }

    /// The event for `detail`, unless `same` says that the latest change item
    /// tells it, or that item is of a later change, or the event may yet come.
    fn missing(
        &self,
        (kind, name): (Kind, &str),
        moment: Option<i64>,
        detail: Value,
        same: impl Fn(&ChangeRow, &Event) -> bool,
    ) -> Result<Option<Event>, EventError> {
        if moment.is_some_and(|moment| moment > self.settled_before) {
            return Ok(None);
        }
        let latest = self.told.of_subject(kind, name);
        // Whole seconds, as events have them.
        let moment = moment.map(|moment| moment - moment.rem_euclid(1000));
        let Some(at) = moment.max(latest.map(|latest| latest.at)) else {
            return Ok(None);
        };
        let event = Event::parse(&json!({
            "source": event::SOURCE,
            "detail-type": kind.detail_type(),
            "time": at,
            // What SageMaker does not tell stands in no detail.
            "detail": without_nulls(detail),
        }))?
        .into_reconciled();
        let needed = latest.is_none_or(|latest| {
            let follows = at > latest.at || Some(event.status.rank) > latest.rank();
            follows && !same(latest, &event)
        });
        Ok(needed.then_some(event))
    }
}

#[cfg(test)]
mod tests;
