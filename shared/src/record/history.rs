//! An execution's items as the history that a person reads.
//!
//! The items hold every message that came, several for one change among them.
//! Here they are sorted, neighbours of equal status are taken as one (the one
//! that says more), and what spans families, such as the last sign of life,
//! is derived.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::families::Kind;
use super::model::{KeptForecast, ModelScore};
use super::names;
pub use super::rows::Metric;
pub use super::rows::record::StartFailure;
use super::rows::{ChangeRow, Item, LogBatch, Record, StepReport, TrainingRow};
use super::status::is_final;
pub use super::verdict::beside;
use super::verdict::verdict;

/// What happened in an execution so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The record's id.
    pub id: String,
    /// The item `record` as JSON; `None` if there is none.
    pub record: Option<Item>,
    /// The execution's status, in the API's spelling; `None` before its first
    /// event.
    pub status: Option<String>,
    /// Why the execution failed: its own reason, or else the last failed
    /// step's, with that step's name.
    pub failure_reason: Option<String>,
    /// Why SageMaker refused to start the execution.
    pub start_failure: Option<StartFailure>,
    /// The execution's ARN.
    pub execution_arn: Option<String>,
    /// When the record was created.
    pub created_at: Option<i64>,
    /// When the execution started.
    pub started_at: Option<i64>,
    /// When the execution ended.
    pub ended_at: Option<i64>,
    /// The earliest moment that any item tells of.
    pub first_seen: Option<i64>,
    /// The latest moment that any item tells of.
    pub last_seen: Option<i64>,
    /// Every change, in order.
    pub changes: Vec<Change>,
    /// Each step's state, in the order in which the steps began.
    pub steps: Vec<Step>,
    /// The state of each model, package and endpoint, in order of appearance.
    pub resources: Vec<Resource>,
    /// What each training job ended with, in the order of their beginning.
    pub trainings: Vec<Training>,
    /// The container's own word on the processing step.
    pub report: Option<StepReport>,
    /// The model's scores, if they were asked for.
    pub score: Option<ModelScore>,
    /// The forecasts that were kept, in the order of their making.
    pub forecasts: Vec<KeptForecast>,
    /// How the model's test scores compare with naive forecasts, in words.
    pub verdict: Vec<String>,
    /// The container's log.
    pub log: Vec<LogLine>,
    /// Sort keys of items that are none of ours.
    pub unknown_entries: Vec<String>,
}

/// One change, possibly told by several messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The item's sort key.
    pub entry: String,
    /// What changed.
    pub kind: Kind,
    /// When.
    pub at: i64,
    /// The status it got.
    pub status: String,
    /// The step's name, of a step.
    pub step_name: Option<String>,
    /// The step's type, of a step.
    pub step_type: Option<String>,
    /// The name or ARN of a model, package or endpoint.
    pub resource: Option<String>,
    /// ARN of what the step runs, or of the model, package or endpoint.
    pub resource_arn: Option<String>,
    /// Whether a package may be deployed.
    pub approval_status: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// When the execution or step started.
    pub started_at: Option<i64>,
    /// When the execution or step ended.
    pub ended_at: Option<i64>,
    /// The execution whose result came from the cache.
    pub cache_hit_arn: Option<String>,
    /// The execution whose result a selective execution took over.
    pub selection_arn: Option<String>,
    /// Whether the job was only acted, by a stand-in.
    pub simulated: bool,
    /// Why it was only acted.
    pub simulated_reason: Option<String>,
    /// Whether it was learnt by asking, its event having gone missing.
    pub reconciled: bool,
    /// How many attempts of the step ended before this one.
    pub retries: usize,
    /// How many messages told it.
    pub messages: usize,
    #[serde(skip)]
    position: String,
    /// How much the message says: the leaves of its detail that hold a value.
    #[serde(skip)]
    says: usize,
}

/// A step's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name in the definition.
    pub name: String,
    /// Its type in the definition.
    pub step_type: Option<String>,
    /// Its status.
    pub status: String,
    /// When it started.
    pub started_at: Option<i64>,
    /// When it ended, if it did.
    pub ended_at: Option<i64>,
    /// Why it failed.
    pub reason: Option<String>,
    /// ARN of what it runs or made.
    pub resource_arn: Option<String>,
    /// The execution whose result came from the cache.
    pub cache_hit_arn: Option<String>,
    /// The execution whose result a selective execution took over.
    pub selection_arn: Option<String>,
    /// Whether its job was only acted, by a stand-in.
    pub simulated: bool,
    /// Why it was only acted.
    pub simulated_reason: Option<String>,
    /// How often it ran again after an attempt that failed or was stopped: by its retry policies or by a call.
    pub retries: usize,
}

/// The state of a model, a package or an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Which of them.
    pub kind: Kind,
    /// Its name, or its ARN if it has none.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Whether a package may be deployed.
    pub approval_status: Option<String>,
    /// Since when.
    pub at: i64,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What a training job ended with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Training {
    /// The step that ran it.
    pub step_name: String,
    /// Its ARN.
    pub job_arn: String,
    /// `Completed`, `Failed` or `Stopped`.
    pub status: String,
    /// Why it failed: the container's text, with what SageMaker puts around it.
    pub reason: Option<String>,
    /// When the training began.
    pub started_at: Option<i64>,
    /// When the training ended.
    pub ended_at: Option<i64>,
    /// The last value of each metric, as SageMaker lists them.
    pub metrics: Vec<Metric>,
}

/// A line of the container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Sort key of the batch that it came in.
    pub entry: String,
    /// When it was written.
    pub at: Option<i64>,
    /// Its level.
    pub level: String,
    /// Its text.
    pub message: String,
}

impl History {
    /// What the item `record` holds.
    pub fn attributes(&self) -> Record {
        self.record.as_ref().map(Record::read).unwrap_or_default()
    }

    /// The training template that the execution was started with, as it was then.
    pub fn training_template(&self) -> Option<&Value> {
        self.record.as_ref()?.get(names::PARAMETERS)
    }

    /// A member of the summary of the processing step's container; null if there is none.
    pub fn summary(&self, name: &str) -> &Value {
        self.report
            .as_ref()
            .map_or(&Value::Null, |report| &report.summary[name])
    }

    /// Whether the execution goes no further on its own.
    pub fn is_final(&self) -> bool {
        self.status.as_deref().is_some_and(is_final)
    }

    /// Whether no more is to be expected of it: it goes no further on its own, or was not started.
    pub fn is_over(&self) -> bool {
        self.is_final() || self.start_failure.is_some()
    }
}

/// Reads all items of one execution, in any order.
pub fn history<'a>(id: &str, items: impl IntoIterator<Item = &'a Item>) -> History {
    let mut record = None;
    let mut messages = Vec::new();
    let mut batches = BTreeMap::new();
    let mut trainings = Vec::new();
    let mut score = None;
    let mut forecasts = Vec::new();
    let mut unknown_entries = Vec::new();
    for item in items {
        let entry = item.get(names::ENTRY).and_then(Value::as_str);
        let entry = entry.unwrap_or_default().to_owned();
        if entry == names::RECORD_ENTRY {
            record = Some(item);
        } else if let Some(batch) = LogBatch::read(item) {
            batches.insert(entry.clone(), log_lines(&entry, batch));
        } else if let Some(row) = ChangeRow::read(item) {
            messages.push(Change::of(row));
        } else if let Some(row) = TrainingRow::read(item) {
            trainings.push(row);
        } else if let Some(kept) = ModelScore::of_item(&entry, item) {
            score = Some(kept);
        } else if let Some(kept) = KeptForecast::of_item(&entry, item) {
            forecasts.push(kept);
        } else {
            unknown_entries.push(entry);
        }
    }
    messages.sort_by(|a, b| (a.at, &a.entry).cmp(&(b.at, &b.entry)));
    let messages = with_retries(without_superseded(without_strangers(messages)));
    trainings.sort_by(|a, b| (a.started_at, &a.entry).cmp(&(b.started_at, &b.entry)));
    forecasts.sort_by(|a, b| a.made_at.cmp(&b.made_at));
    let trainings: Vec<Training> = trainings.into_iter().map(Training::of).collect();
    let log: Vec<LogLine> = batches.into_values().flatten().collect();
    let steps = steps(&messages);
    let resources = resources(&messages);
    let report = record.and_then(StepReport::of_record);
    let execution = latest(messages.iter().filter(|m| m.kind == Kind::Execution));

    let of_record = record.map(Record::read).unwrap_or_default();
    let (started, folded) = (of_record.start, of_record.execution);
    let status = folded
        .pipeline_status
        .or_else(|| execution.map(|execution| execution.status.clone()));
    let of_status = status.clone();
    let status_is = |text: &str| of_status.as_deref() == Some(text);
    let moments = || {
        let changes = messages.iter().map(|message| message.at);
        let lines = log.iter().filter_map(|line| line.at);
        let own = report.iter().filter_map(|report| report.at);
        changes.chain(lines).chain(own).chain(started.created_at)
    };
    History {
        id: id.to_owned(),
        record: record.cloned(),
        failure_reason: folded
            .failure_reason
            .or_else(|| execution.and_then(|execution| execution.reason.clone()))
            .or_else(|| step_failure(status.as_deref(), &steps)),
        status,
        start_failure: started.start_failure,
        execution_arn: folded.pipeline_execution_arn,
        created_at: started.created_at,
        started_at: folded
            .started_at
            .or_else(|| execution.and_then(|execution| execution.started_at)),
        ended_at: folded.ended_at.or_else(|| {
            // Not of an end that a retry has left behind.
            let latest = execution.filter(|execution| status_is(&execution.status));
            latest.and_then(|execution| execution.ended_at)
        }),
        first_seen: moments().min(),
        last_seen: moments().max(),
        steps,
        resources,
        verdict: verdict(report.as_ref(), &trainings, score.as_ref()),
        score,
        forecasts,
        trainings,
        report,
        unknown_entries,
        changes: collapse(messages),
        log,
    }
}

impl Change {
    fn of(row: ChangeRow) -> Self {
        let detail: Option<Value> = serde_json::from_str(&row.detail).ok();
        Self {
            entry: row.entry,
            kind: row.kind,
            at: row.at,
            status: row.status,
            step_name: row.step_name,
            step_type: row.step_type,
            resource: row.name.or_else(|| row.resource_arn.clone()),
            resource_arn: row.resource_arn,
            approval_status: row.approval_status,
            reason: row.reason,
            started_at: row.started_at,
            ended_at: row.ended_at,
            cache_hit_arn: row.cache_hit_arn,
            selection_arn: row.selection_arn,
            simulated: row.simulated,
            simulated_reason: row.simulated_reason,
            reconciled: row.reconciled,
            retries: 0,
            messages: 1,
            position: row.position,
            says: detail.as_ref().map_or(0, leaves),
        }
    }
}

/// How many values a detail holds that are neither null nor empty.
fn leaves(json: &Value) -> usize {
    match json {
        Value::Null => 0,
        Value::String(text) => usize::from(!text.is_empty()),
        Value::Bool(_) | Value::Number(_) => 1,
        Value::Array(elements) => elements.iter().map(leaves).sum(),
        Value::Object(entries) => entries.values().map(leaves).sum(),
    }
}

/// What a change is about: changes of different subjects are never neighbours.
/// Names of resources may differ by case from one message to another.
fn subject(change: &Change) -> (Kind, Option<String>) {
    match change.kind {
        Kind::Execution => (Kind::Execution, None),
        Kind::Step => (Kind::Step, change.step_name.clone()),
        kind => (
            kind,
            change
                .resource
                .as_ref()
                .map(|name| name.to_ascii_lowercase()),
        ),
    }
}

/// Whether two messages in a row tell the same change. A package whose
/// approval changes keeps its status.
fn same_change(earlier: &Change, later: &Change) -> bool {
    earlier.status == later.status && earlier.approval_status == later.approval_status
}

/// The attempts of a step, as its messages tell of them in their order.
///
/// A message tells of another attempt if it goes on after an end, began later, or runs another job. Events tell no number of
/// attempts, nor that an attempt failed which a retry policy follows.
#[derive(Debug, Default)]
struct Attempts {
    /// How many there were before the current one.
    retries: usize,
    has_ended: bool,
    /// In whole seconds, which is what events tell; an answer of SageMaker's has milliseconds.
    started_at: Option<i64>,
    job: Option<String>,
}

impl Attempts {
    /// Takes up the next message; gives the number of attempts before that which it tells of.
    fn take(&mut self, change: &Change) -> usize {
        let started_at = change.started_at.map(|at| at.div_euclid(1000));
        let job = change.resource_arn.as_ref();
        let has_ended = is_final(&change.status);
        let began_later = self.started_at.zip(started_at).is_some_and(|(a, b)| a < b);
        let runs_another = self.job.as_ref().zip(job).is_some_and(|(a, b)| a != b);
        if !has_ended && (self.has_ended || began_later || runs_another) {
            *self = Self {
                retries: self.retries + 1,
                ..Self::default()
            };
        }
        self.has_ended |= has_ended;
        self.started_at = self.started_at.max(started_at);
        self.job = job.cloned().or_else(|| self.job.take());
        self.retries
    }
}

/// Counts the attempts of steps before each message.
fn with_retries(mut messages: Vec<Change>) -> Vec<Change> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by(|a, b| messages[*a].position.cmp(&messages[*b].position));
    let mut attempts: BTreeMap<String, Attempts> = BTreeMap::new();
    for message in order {
        let message = &mut messages[message];
        if let (Kind::Step, Some(name)) = (message.kind, &message.step_name) {
            message.retries = attempts.entry(name.clone()).or_default().take(message);
        }
    }
    messages
}

/// Drops what is told of models and packages that no step of the execution
/// made: they say themselves to which execution they belong, and may say
/// anything.
fn without_strangers(mut messages: Vec<Change>) -> Vec<Change> {
    let made: BTreeSet<(Kind, String)> = messages
        .iter()
        .filter(|message| message.kind == Kind::Step)
        .filter_map(|step| {
            let kind = Kind::made_by_step(step.step_type.as_deref())?;
            Some((kind, step.resource_arn.as_ref()?.to_ascii_lowercase()))
        })
        .collect();
    messages.retain(|message| {
        message.kind.made_by().is_none()
            || message
                .resource_arn
                .as_ref()
                .is_some_and(|arn| made.contains(&(message.kind, arn.to_ascii_lowercase())))
    });
    messages
}

/// How far from a change its event may be stamped, milliseconds.
const STAMPED_WITHIN: i64 = 60_000;

/// Drops every reconciled message whose true event came after all: one that
/// tells the same change beside it or within a minute, or, of a step, in the
/// same attempt (which has the same start). A retry within that minute tells another
/// change: of a step by its start, of the end of the rest by an `Executing` between.
fn without_superseded(mut messages: Vec<Change>) -> Vec<Change> {
    if !messages.iter().any(|message| message.reconciled) {
        return messages;
    }
    let mut by_subject: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, message) in messages.iter().enumerate() {
        by_subject.entry(subject(message)).or_default().push(place);
    }
    let attempt = |change: &Change| match change.kind {
        Kind::Step => change.started_at.map(|at| at.div_euclid(1000)),
        _ => None,
    };
    let mut dropped = BTreeSet::new();
    for places in by_subject.values() {
        for run in places.chunk_by(|a, b| same_change(&messages[*a], &messages[*b])) {
            if run.iter().any(|place| !messages[*place].reconciled) {
                dropped.extend(run.iter().filter(|place| messages[**place].reconciled));
            }
        }
        for place in places.iter().filter(|place| messages[**place].reconciled) {
            let message = &messages[*place];
            let superseded = places.iter().any(|other_place| {
                let other = &messages[*other_place];
                if other.reconciled || !same_change(message, other) {
                    return false;
                }
                let is_near = message.at.abs_diff(other.at) <= STAMPED_WITHIN.unsigned_abs();
                match (attempt(message), attempt(other)) {
                    (Some(attempt), Some(of_other)) => attempt == of_other,
                    _ => {
                        let (from, to) = (*place.min(other_place), *place.max(other_place));
                        let mut between = messages[from..to].iter();
                        let goes_on = |each: &Change| {
                            subject(each) == subject(message) && each.status == "Executing"
                        };
                        is_near && !(is_final(&message.status) && between.any(goes_on))
                    }
                }
            });
            if superseded {
                dropped.insert(*place);
            }
        }
    }
    let mut place = 0..;
    messages.retain(|_| place.next().is_some_and(|place| !dropped.contains(&place)));
    messages
}

/// Takes the messages of one change together. The one that says more is kept,
/// at the moment of the first: that is when it changed.
fn collapse(messages: Vec<Change>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::with_capacity(messages.len());
    // Where each subject's latest change stands.
    let mut last: BTreeMap<(Kind, Option<String>), usize> = BTreeMap::new();
    for message in messages {
        let key = subject(&message);
        match last.get(&key) {
            Some(place)
                if same_change(&changes[*place], &message)
                    && changes[*place].retries == message.retries =>
            {
                let kept = &mut changes[*place];
                kept.messages += 1;
                if message.says > kept.says {
                    let (messages, at) = (kept.messages, kept.at);
                    *kept = Change {
                        messages,
                        at,
                        ..message
                    };
                }
            }
            _ => {
                last.insert(key, changes.len());
                changes.push(message);
            }
        }
    }
    changes
}

/// The message that decides: the highest position, as in the record.
fn latest<'a>(messages: impl Iterator<Item = &'a Change>) -> Option<&'a Change> {
    messages.max_by(|a, b| a.position.cmp(&b.position))
}

/// The messages of each subject that `name` gives a name, in order of
/// appearance.
fn grouped<'a>(
    messages: &'a [Change],
    name: impl Fn(&'a Change) -> Option<&'a str>,
) -> Vec<(&'a str, Vec<&'a Change>)> {
    let mut groups: Vec<(&str, Vec<&Change>)> = Vec::new();
    let mut places: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    for message in messages {
        let Some(name) = name(message) else { continue };
        let place = *places.entry((message.kind, name)).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(message);
    }
    groups
}

fn steps(messages: &[Change]) -> Vec<Step> {
    grouped(messages, |message| {
        (message.kind == Kind::Step)
            .then_some(message.step_name.as_deref())
            .flatten()
    })
    .into_iter()
    .filter_map(|(name, mut messages)| {
        messages.sort_by(|a, b| a.position.cmp(&b.position));
        let last = *messages.last()?;
        // The messages of the last change; any of them may say what another
        // leaves out.
        let of_last = || {
            messages
                .iter()
                .rev()
                .take_while(|message| message.status == last.status)
        };
        let retries = last.retries;
        let attempt = messages.partition_point(|message| message.retries < retries);
        let of_attempt = || messages[attempt..].iter().rev();
        let ended = is_final(&last.status);
        Some(Step {
            name: name.to_owned(),
            step_type: messages.iter().rev().find_map(|m| m.step_type.clone()),
            status: last.status.clone(),
            started_at: of_attempt()
                .find_map(|m| m.started_at)
                .or_else(|| messages.get(attempt).map(|m| m.at)),
            ended_at: ended.then(|| of_last().find_map(|m| m.ended_at).unwrap_or(last.at)),
            reason: of_last().find_map(|m| m.reason.clone()),
            resource_arn: of_attempt().find_map(|m| m.resource_arn.clone()),
            cache_hit_arn: of_attempt().find_map(|m| m.cache_hit_arn.clone()),
            selection_arn: of_attempt().find_map(|m| m.selection_arn.clone()),
            simulated: of_attempt().any(|m| m.simulated),
            simulated_reason: of_attempt().find_map(|m| m.simulated_reason.clone()),
            retries,
        })
    })
    .collect()
}

fn resources(messages: &[Change]) -> Vec<Resource> {
    grouped(messages, |message| {
        (!matches!(message.kind, Kind::Execution | Kind::Step))
            .then_some(message.resource.as_deref())
            .flatten()
    })
    .into_iter()
    .filter_map(|(name, messages)| {
        let last = latest(messages.into_iter())?;
        Some(Resource {
            kind: last.kind,
            name: name.to_owned(),
            status: last.status.clone(),
            approval_status: last.approval_status.clone(),
            at: last.at,
            reason: last.reason.clone(),
        })
    })
    .collect()
}

/// An execution that failed without telling why failed by one of its steps.
fn step_failure(status: Option<&str>, steps: &[Step]) -> Option<String> {
    if !matches!(status, Some("Failed" | "CompletedWithFailures")) {
        return None;
    }
    let step = steps
        .iter()
        .filter(|step| step.status == "Failed")
        .max_by_key(|step| step.ended_at)?;
    let reason = step.reason.as_deref().unwrap_or("no reason given");
    Some(format!("{}: {reason}", step.name))
}

impl Training {
    fn of(row: TrainingRow) -> Self {
        Self {
            step_name: row.step_name,
            job_arn: row.resource_arn,
            status: row.status,
            reason: row.reason,
            started_at: row.started_at,
            ended_at: row.ended_at,
            metrics: row.metrics,
        }
    }
}

fn log_lines(entry: &str, batch: LogBatch) -> Vec<LogLine> {
    let lines = batch.lines.into_iter();
    lines
        .map(|line| LogLine {
            entry: entry.to_owned(),
            at: line.at,
            level: line.level,
            message: line.message,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Beyond, Event, RecordId, writes};
    use proptest::prelude::*;
    use serde_json::json;

    const ARN: &str = "arn:aws:sagemaker:eu-west-1:1:pipeline/p/execution/abc";
    const T0: i64 = 1_714_978_800_000;

    fn item(json: &Value) -> Item {
        json.as_object().unwrap().clone()
    }

    fn event(family: &str, at: i64, detail: Value) -> Value {
        json!({
            "source": "aws.sagemaker", "time": T0 + at * 1000, "detail": detail,
            "detail-type": format!("SageMaker {family} Change"),
        })
    }

    fn step(at: i64, name: &str, status: &str, more: &Value) -> Value {
        let mut detail = json!({
            "stepName": name, "stepType": "Training", "currentStepStatus": status,
            "pipelineExecutionArn": ARN,
        });
        for (key, value) in more.as_object().unwrap() {
            detail[key] = value.clone();
        }
        event("Model Building Pipeline Execution Step Status", at, detail)
    }

    fn execution(at: i64, status: &str) -> Value {
        let detail = json!({
            "currentPipelineExecutionStatus": status, "pipelineExecutionArn": ARN,
            "executionStartTime": T0,
        });
        event("Model Building Pipeline Execution Status", at, detail)
    }

    /// What the events leave, as the function would write it.
    fn items(events: &[Value]) -> Vec<Item> {
        let id = RecordId::new("run-1").unwrap();
        let mut record = None;
        let mut items = BTreeMap::new();
        for event in events {
            let event = Event::parse(event).unwrap();
            let writes = writes(&event, &id, &Beyond::default());
            if let Ok(after) = writes.update.apply(record.as_ref()) {
                record = Some(after);
            }
            items.insert(writes.change.entry.clone(), writes.change.item());
        }
        items.into_values().chain(record).collect()
    }

    fn read(events: &[Value]) -> History {
        history("run-1", &items(events))
    }

    /// A change that was mended stays when a retry tells one like it within the minute.
    #[test]
    fn a_mended_failure_stays_beside_that_of_a_retry() {
        let started = |at: i64| json!({"stepStartTime": T0 + at * 1000});
        let mut items = items(&[
            execution(0, "Executing"),
            step(2, "train", "Executing", &started(1)),
            step(10, "train", "Failed", &started(1)),
            execution(11, "Failed"),
            execution(20, "Executing"),
            step(26, "train", "Executing", &started(25)),
            step(30, "train", "Failed", &started(25)),
            execution(31, "Failed"),
        ]);
        for item in &mut items {
            let at = item.get(names::AT).and_then(Value::as_i64);
            if at.is_some_and(|at| [10, 11].contains(&((at - T0) / 1000))) {
                item.insert("reconciled".to_owned(), Value::Bool(true));
            }
        }
        let history = history("run-1", &items);
        let told: Vec<_> = history
            .changes
            .iter()
            .map(|change| change.at - T0)
            .collect();
        assert_eq!(told, [0, 2, 10, 11, 20, 26, 30, 31].map(|at| at * 1000));
    }

    #[test]
    fn messages_of_one_change_are_one_and_the_one_that_says_more_is_kept() {
        let job = json!({"metadata": {"trainingJob": {"arn": "arn:job"}}});
        let history = read(&[
            step(1, "train", "Starting", &json!({})),
            step(2, "train", "Executing", &json!({"stepEndTime": null})),
            step(3, "train", "Executing", &job),
            step(3, "other", "Starting", &json!({})),
            step(4, "train", "Executing", &json!({})),
        ]);
        let changes: Vec<_> = history
            .changes
            .iter()
            .map(|change| {
                (
                    change.step_name.as_deref().unwrap(),
                    change.status.as_str(),
                    change.at,
                )
            })
            .collect();
        assert_eq!(
            changes,
            [
                ("train", "Starting", T0 + 1000),
                ("train", "Executing", T0 + 2000),
                ("other", "Starting", T0 + 3000),
            ]
        );
        assert_eq!(history.changes[1].messages, 3);
        assert_eq!(history.changes[1].resource_arn.as_deref(), Some("arn:job"));
    }

    #[test]
    fn a_step_that_was_retried_shows_its_last_attempt() {
        let at = |seconds: i64| json!({"stepStartTime": T0 + seconds * 1000});
        let mut failed = at(1);
        failed["failureReason"] = "no capacity".into();
        let history = read(&[
            execution(1, "Executing"),
            step(1, "train", "Executing", &at(1)),
            step(5, "train", "Failed", &failed),
            step(9, "train", "Executing", &at(8)),
        ]);
        let step = &history.steps[0];
        assert_eq!(step.status, "Executing");
        assert_eq!(step.started_at, Some(T0 + 8000));
        assert_eq!(
            (step.ended_at, step.reason.as_deref(), step.retries),
            (None, None, 1)
        );
        assert!(!history.is_final());
    }

    /// An attempt that fails before a retry has no event of its own: that the next one starts later, or runs another job, tells of it.
    #[test]
    fn retries_of_a_policy_are_counted() {
        let attempt = |at: i64, job: &str| json!({"stepStartTime": T0 + at * 1000, "metadata": {"trainingJob": {"arn": job}}});
        let start = |at: i64| json!({"stepStartTime": T0 + at * 1000});
        let first = [
            step(1, "train", "Starting", &start(1)),
            step(2, "train", "Executing", &attempt(1, "arn:1")),
            // A message of the same attempt that came late.
            step(3, "train", "Starting", &start(1)),
        ];
        let others = [
            [
                step(5, "train", "Starting", &start(5)),
                step(6, "train", "Executing", &attempt(5, "arn:2")),
                step(9, "train", "Executing", &attempt(9, "arn:3")),
                step(12, "train", "Succeeded", &attempt(9, "arn:3")),
            ],
            // Were the start that of the first attempt, the job would tell.
            [
                step(5, "train", "Starting", &start(1)),
                step(6, "train", "Executing", &attempt(1, "arn:2")),
                step(9, "train", "Executing", &attempt(1, "arn:3")),
                step(12, "train", "Succeeded", &attempt(1, "arn:3")),
            ],
        ];
        for other in others {
            let events: Vec<Value> = first.iter().cloned().chain(other).collect();
            let history = read(&events);
            assert_eq!(history.steps[0].retries, 2);
            assert_eq!(history.steps[0].resource_arn.as_deref(), Some("arn:3"));
            assert_eq!(history.changes.last().unwrap().retries, 2);
        }
        assert_eq!(read(&first).steps[0].retries, 0);
    }

    #[test]
    fn a_failed_execution_tells_its_failed_steps_reason() {
        let reason = json!({"failureReason": "ClientError: no data"});
        let history = read(&[
            execution(1, "Executing"),
            step(2, "train", "Failed", &reason),
            execution(3, "Failed"),
        ]);
        assert!(history.is_final());
        assert_eq!(
            history.failure_reason.as_deref(),
            Some("train: ClientError: no data")
        );
        let step = &history.steps[0];
        assert_eq!(step.ended_at, Some(T0 + 2000), "the event's own moment");
    }

    #[test]
    fn cache_hits_and_simulations_are_marked() {
        let source = format!("{ARN}f");
        let history = read(&[
            step(
                1,
                "a",
                "Succeeded",
                &json!({"cacheHitResult": {"sourcePipelineExecutionArn": source}}),
            ),
            step(
                1,
                "b",
                "Executing",
                &json!({"metadata": {"pipewrightLocal": {"simulated": true, "reason": "no runner"}}}),
            ),
            step(2, "b", "Succeeded", &json!({})),
        ]);
        assert_eq!(
            history.steps[0].cache_hit_arn.as_deref(),
            Some(source.as_str())
        );
        assert!(!history.steps[0].simulated);
        assert_eq!(
            history.steps[1].simulated_reason.as_deref(),
            Some("no runner")
        );
        assert!(
            history.steps[1].simulated,
            "whichever of its events said so"
        );
    }

    #[test]
    fn report_log_and_what_is_unknown_are_read_beside_the_changes() {
        let lines = |at: i64| json!([{"at": at, "msg": format!("m{at}"), "level": "info"}]);
        // From text: the macro would not keep how a number is written.
        let summary: Value =
            serde_json::from_str(r#"{"rows": 10, "share": 0.10, "small": 0.00000123}"#).unwrap();
        let items = [
            json!({"Id": "run-1", "entry": "log#0000000000200#0001", "lines": lines(200)}),
            json!({"Id": "run-1", "entry": "log#0000000000100#0002", "lines": lines(101)}),
            json!({"Id": "run-1", "entry": "log#0000000000100#0001", "lines": lines(100)}),
            json!({"Id": "run-1", "entry": "note", "text": "by hand"}),
            json!({
                "Id": "run-1", "entry": "record", "createdAt": 50,
                "processingStepReport": {
                    "status": "Succeeded", "at": 300, "stage": "upload",
                    "summary": summary, "notes": ["n"],
                },
            }),
        ]
        .map(|json| item(&json));
        let history = history("run-1", &items);
        let messages: Vec<_> = history
            .log
            .iter()
            .map(|line| line.message.as_str())
            .collect();
        assert_eq!(messages, ["m100", "m101", "m200"]);
        let report = history.report.unwrap();
        assert_eq!(
            report.summary.to_string(),
            r#"{"rows":10,"share":0.10,"small":0.00000123}"#
        );
        assert_eq!(report.notes, ["n"]);
        assert_eq!(history.unknown_entries, ["note"]);
        assert_eq!(
            (history.first_seen, history.last_seen),
            (Some(50), Some(300))
        );
        assert_eq!(history.status, None);
    }

    #[test]
    fn trainings_are_read_in_the_order_of_their_beginning() {
        let training = |job: &str, at: i64, more: &Value| {
            let mut json = json!({
                "Id": "run-1", "entry": format!("training#{job}"), "stepName": "train",
                "resourceArn": format!("arn:aws:sagemaker:eu-west-1:1:training-job/{job}"),
                "status": "Completed", "startedAt": at,
            });
            for (key, value) in more.as_object().unwrap() {
                json[key] = value.clone();
            }
            item(&json)
        };
        // From text: the macro would not keep how a number is written.
        let metrics: Value = serde_json::from_str(
            r#"{"metrics": [{"name": "loss", "value": 0.10, "at": 9}, {"name": "rmse", "value": "NaN"}, {"name": "small", "value": 0.00000123}]}"#,
        )
        .unwrap();
        let failed = json!({"status": "Failed", "reason": "AlgorithmError: a\nb"});
        let items = [training("a", 20, &metrics), training("b", 10, &failed)];
        let history = history("run-1", &items);
        let [first, second] = &history.trainings[..] else {
            panic!("{:?}", history.trainings);
        };
        assert_eq!(first.reason.as_deref(), Some("AlgorithmError: a\nb"));
        assert_eq!(second.metrics[0].value.to_string(), "0.10");
        assert_eq!(second.metrics[0].at, Some(9));
        assert_eq!(second.metrics[1].value, "NaN");
        assert_eq!(second.metrics[2].value.to_string(), "0.00000123");
        assert!(history.unknown_entries.is_empty());
    }

    #[test]
    fn each_endpoint_has_its_own_state() {
        let endpoint = |at, name: &str, status: &str| {
            let detail = json!({"EndpointName": name, "EndpointStatus": status});
            event("Endpoint State", at, detail)
        };
        let history = read(&[
            endpoint(1, "a", "CREATING"),
            endpoint(4, "a", "IN_SERVICE"),
            endpoint(2, "b", "CREATING"),
            endpoint(3, "b", "DELETED"),
        ]);
        let states: Vec<_> = history
            .resources
            .iter()
            .map(|resource| (resource.name.as_str(), resource.status.as_str()))
            .collect();
        assert_eq!(states, [("a", "InService"), ("b", "Deleted")]);
    }

    /// The changes of an endpoint within one second are ordered by its LastModifiedTime.
    #[test]
    fn an_endpoint_that_fails_in_the_second_of_its_start_has_failed() {
        // Of many names, so that no digest decides.
        for name in 0..20 {
            let endpoint = |modified: i64, status: &str| {
                let detail = json!({
                    "EndpointName": format!("e{name}"),
                    "EndpointStatus": status,
                    "LastModifiedTime": T0 + modified,
                });
                event("Endpoint State", 3, detail)
            };
            let history = read(&[
                endpoint(3_120, "DELETED"),
                endpoint(3_900, "FAILED"),
                endpoint(3_250, "CREATING"),
                endpoint(3_610, "IN_SERVICE"),
            ]);
            assert_eq!(history.resources[0].status, "Failed");
        }
    }

    #[test]
    fn a_history_is_json_in_the_fields_own_names() {
        let history = read(&[
            execution(1, "Executing"),
            step(1, "train", "Starting", &json!({})),
        ]);
        let json = serde_json::to_value(&history).unwrap();
        assert_eq!(json["status"], "Executing");
        assert_eq!(json["changes"][0]["kind"], "execution");
        assert_eq!(json["steps"][0]["stepType"], "Training");
    }

    proptest! {
        #[test]
        fn the_order_in_which_items_are_read_does_not_matter(
            picks in prop::collection::vec((0_i64..5, 0_usize..3, 0_usize..4), 1..12),
            shuffle in any::<prop::sample::Index>(),
        ) {
            let statuses = ["Starting", "Executing", "Failed", "Succeeded"];
            let events: Vec<Value> = picks
                .iter()
                .map(|(at, name, status)| step(*at, ["a", "b", "c"][*name], statuses[*status], &json!({})))
                .collect();
            let mut items = items(&events);
            let expected = history("run-1", &items);
            let middle = shuffle.index(items.len());
            items.rotate_left(middle);
            prop_assert_eq!(history("run-1", &items), expected.clone());
            for pair in expected.changes.windows(2) {
                prop_assert!(pair[0].at <= pair[1].at);
            }
            for name in ["a", "b", "c"] {
                let of_step: Vec<_> = expected
                    .changes
                    .iter()
                    .filter(|change| change.step_name.as_deref() == Some(name))
                    .collect();
                prop_assert!(of_step.windows(2).all(|pair| pair[0].status != pair[1].status));
            }
        }
    }
}
