//! How an event changes an execution's items: two small writes and no read.
//!
//! 1. An update of the item `record`, under a condition: the event is the
//!    latest of its family so far, and the record belongs to its execution.
//! 2. A put of a change item, whose key and content are made of the event
//!    alone.
//!
//! So any order of arrival, any repetition, any crash between the two (the
//! event then comes again) leaves the same items.

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::Event;
use super::families::{Kind, Owner, Subject};
use super::id::{ExecutionArn, RecordId};
use super::names;
use super::rows::{ChangeRow, Item};

/// The most bytes of names and texts in a change item: DynamoDB takes 409,600, and
/// counts a few more for each number and flag. The detail has what the rest leaves.
const MAX_ITEM_BYTES: usize = 400_000;

/// The longest name or status that goes into a key, in bytes (DynamoDB takes
/// 1,024 for the whole key). The digest tells apart what the cut makes alike.
pub(super) const MAX_KEY_PART_BYTES: usize = 128;

/// What one event writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writes {
    /// The conditional update of the item `record`.
    pub update: RecordUpdate,
    /// The change item, put as a whole.
    pub change: ChangeRow,
}

/// An update of an execution's item `record` that may be refused.
///
/// The conditions, in words: the record is what it must be; it has no ARN or
/// the same one; the step that is to have made the subject is known to have
/// made this one; the family has no position or a lower one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordUpdate {
    /// Whose record.
    pub id: RecordId,
    /// Attributes to write.
    pub set: Item,
    /// Attributes to write where there are none.
    pub set_if_absent: Item,
    /// Attributes to remove.
    pub remove: BTreeSet<String>,
    /// The family's position: its attribute (which is in `set`) and its value.
    pub position: Option<(&'static str, String)>,
    /// The lower-cased ARN that the record must have, if it has one.
    pub arn_key: Option<String>,
    /// What the record must be.
    pub expected: Expected,
    /// Of a model or package: the attribute of the record with the ARN of what
    /// the step made, and the ARN that it must have.
    pub made: Option<(&'static str, String)>,
}

/// What a record must be for an update to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It may be there or not.
    Anything,
    /// It is there.
    Exists,
    /// start-execution made it, and no execution has it so far; or this one
    /// has it already.
    Started,
}

/// Why an update was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The record was to exist, or to be one of start-execution, and isn't.
    Absent,
    /// The record belongs to another execution.
    OtherExecution,
    /// No step of the execution is known to have made the model or package, or
    /// another one than the last that did.
    NotMade,
    /// A later event of the family, or this very event, was written before.
    NotLater,
}

/// What is known of an event beyond what it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Why the execution failed. An execution's event doesn't tell; SageMaker
    /// has to be asked.
    pub failure_reason: Option<String>,
    /// The execution, where the event doesn't name it. Only compared with the
    /// record's.
    pub execution: Option<ExecutionArn>,
}

/// What `event` writes to the execution recorded under `id`.
pub fn writes(event: &Event, id: &RecordId, beyond: &Beyond) -> Writes {
    Writes {
        update: record_update(event, id, beyond),
        change: change(event, id),
    }
}

fn record_update(event: &Event, id: &RecordId, beyond: &Beyond) -> RecordUpdate {
    let arn = event.execution().or(beyond.execution.as_ref());
    let mut update = RecordUpdate {
        id: id.clone(),
        set: Item::new(),
        set_if_absent: Item::new(),
        remove: BTreeSet::new(),
        position: None,
        arn_key: arn.map(ExecutionArn::key),
        expected: Expected::Anything,
        made: None,
    };
    // All attributes of a family are written, or removed where they are null, together.
    if let Some((place, attributes)) = event.subject.facts().attributes(event, beyond) {
        for (name, value) in attributes.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(update.remove.insert(name.clone())),
                value => drop(update.set.insert(name.clone(), value.clone())),
            }
        }
        let position = event.position();
        update
            .set
            .insert(place.to_owned(), Value::from(position.as_str()));
        update.position = Some((place, position));
    }
    // Every event of an execution, a step and the like names the execution, so the record
    // has the ARN after the first of them, whichever it is. The others only
    // compare: of two packages' events one may name it and the other not, and
    // what is written must not depend on which came first.
    if let (Some(arn), Owner::Named { .. }) = (arn, event.subject.owner()) {
        update
            .set
            .insert(names::ARN_KEY.to_owned(), Value::String(arn.key()));
        if event.kind() != Kind::Execution {
            // Other events may spell it in another way than executions'.
            update.set_if_absent.insert(
                names::PIPELINE_EXECUTION_ARN.to_owned(),
                Value::String(arn.key()),
            );
        }
    }
    update
}

fn change(event: &Event, id: &RecordId) -> ChangeRow {
    let original = &event.status.original;
    let simulated = event.simulated.as_ref();
    let mut row = ChangeRow {
        id: id.to_string(),
        entry: change_key(event),
        kind: event.kind(),
        at: event.at,
        position: event.position(),
        status: event.status.name.clone(),
        status_original: (*original != event.status.name).then(|| original.clone()),
        previous_status: event.previous_status.clone(),
        reason: event.failure_reason.clone(),
        execution_arn: event.execution().map(ToString::to_string),
        simulated: simulated.is_some(),
        simulated_reason: simulated.and_then(|simulated| simulated.reason.clone()),
        reconciled: event.reconciled,
        ..ChangeRow::default()
    };
    event.subject.facts().write(&mut row);
    let item = row.item();
    let others = item.iter().filter(|(name, _)| *name != "detail");
    let others: usize = others.map(|(name, value)| bytes(name, value)).sum();
    let kept = cut(&event.detail, MAX_ITEM_BYTES.saturating_sub(others));
    if kept.len() < event.detail.len() {
        row.detail_bytes = Some(event.detail.len());
    }
    row.detail = kept.to_owned();
    row
}

/// About how much of an item an attribute takes.
fn bytes(name: &str, value: &Value) -> usize {
    /// A number, at most.
    const NUMBER: usize = 21;
    name.len() + value.as_str().map_or(NUMBER, str::len)
}

/// `change#<time>#<step or ->#<rank>#<status>#<digest>`.
fn change_key(event: &Event) -> String {
    let step = match &event.subject {
        Subject::Step(facts) => cut(&facts.name, MAX_KEY_PART_BYTES),
        _ => "-",
    };
    format!(
        "{}{:013}#{step}#{:02}#{}#{}",
        names::CHANGE_PREFIX,
        event.at,
        event.status.rank,
        cut(&event.status.name, MAX_KEY_PART_BYTES),
        event.digest
    )
}

/// The start of a text that has at most `bytes` bytes, cut between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    &text[..end]
}

impl RecordUpdate {
    /// The same update, of a record that is as `expected`.
    #[must_use]
    pub fn of(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    /// The same update, if the step of its execution that was last to make
    /// what the event is about made the one with this ARN.
    #[must_use]
    pub fn if_made(mut self, kind: Kind, arn: &str) -> Self {
        let made = kind.family().made;
        self.made = made.map(|made| (made.arn, arn.to_owned()));
        self
    }

    /// What the conditions say of the record as it is: `None` if they hold.
    ///
    /// The database decides by the same conditions; this tells which of them
    /// refused, from the item that it hands back.
    pub fn refusal(&self, before: Option<&Item>) -> Option<Refusal> {
        let Some(before) = before else {
            return (self.expected != Expected::Anything).then_some(Refusal::Absent);
        };
        match (&self.arn_key, before.get(names::ARN_KEY)) {
            (Some(ours), Some(theirs)) if theirs.as_str() != Some(ours) => {
                return Some(Refusal::OtherExecution);
            }
            (_, None)
                if self.expected == Expected::Started
                    && !before.contains_key(names::CREATED_AT) =>
            {
                return Some(Refusal::Absent);
            }
            _ => {}
        }
        if let Some((attribute, arn)) = &self.made
            && before.get(*attribute).and_then(Value::as_str) != Some(arn)
        {
            return Some(Refusal::NotMade);
        }
        if let Some((attribute, position)) = &self.position
            && let Some(written) = before.get(*attribute).and_then(Value::as_str)
            && written >= position.as_str()
        {
            return Some(Refusal::NotLater);
        }
        None
    }

    /// The record after the update: the model that the database must equal.
    ///
    /// # Errors
    /// The [`Refusal`], if a condition doesn't hold.
    pub fn apply(&self, before: Option<&Item>) -> Result<Item, Refusal> {
        if let Some(refusal) = self.refusal(before) {
            return Err(refusal);
        }
        let mut after = before.cloned().unwrap_or_else(|| {
            Item::from_iter([
                (names::ID.to_owned(), Value::from(self.id.as_str())),
                (names::ENTRY.to_owned(), Value::from(names::RECORD_ENTRY)),
            ])
        });
        for (name, value) in &self.set_if_absent {
            after.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (name, value) in &self.set {
            after.insert(name.clone(), value.clone());
        }
        for name in &self.remove {
            after.remove(name);
        }
        Ok(after)
    }
}
