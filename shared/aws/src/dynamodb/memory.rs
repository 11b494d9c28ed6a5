//! The tables in memory: the model of DynamoDB that the functions' tests run against.
//!
//! What a conditional write does is [`RecordUpdate::apply`], which the expressions that go to DynamoDB
//! are checked against. Each operation lets others go first once, so that the order of polls is that of
//! operations, and a future that is dropped is a death between two of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use pipewright::record::rows::LastRun;
use pipewright::record::{
    ChangeRow, EndpointRow, ExecutionArn, History, Item, RecordId, RecordUpdate, Refusal,
    StartFailure, TrainingRow, history, names,
};
use serde_json::{Value, json};

use super::endpoints::Registry;
use super::{Creation, ListedExecution, Records, TableError};
use crate::Page;

/// An execution's items by the record's id and their sort key.
pub type Items = BTreeMap<(String, String), Item>;

/// How an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It happens.
    Done,
    /// It is throttled: it does not happen, and an error comes back.
    Throttled,
    /// It happens, and its answer is lost: an error comes back.
    AnswerLost,
}

/// Is ready at the second poll.
pub async fn let_others_go_first() {
    let mut polled = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The tables, and what is to go wrong with them.
#[derive(Debug, Default)]
pub struct Memory {
    items: Mutex<Items>,
    endpoints: Mutex<BTreeMap<String, EndpointRow>>,
    fates: Mutex<VecDeque<Fate>>,
    broken: Mutex<BTreeSet<String>>,
    log: Mutex<Vec<&'static str>>,
}

/// A test that panicked elsewhere leaves the tables usable.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// The items of the table of executions.
    pub fn items(&self) -> MutexGuard<'_, Items> {
        locked(&self.items)
    }

    /// The entries of the table of endpoints, by the endpoint's name.
    pub fn endpoints(&self) -> MutexGuard<'_, BTreeMap<String, EndpointRow>> {
        locked(&self.endpoints)
    }

    /// How the operations to come go; those after them are done.
    pub fn fates(&self) -> MutexGuard<'_, VecDeque<Fate>> {
        locked(&self.fates)
    }

    /// The ids, phases and endpoints whose operations fail, and `the table of endpoints` for its pages.
    pub fn broken(&self) -> MutexGuard<'_, BTreeSet<String>> {
        locked(&self.broken)
    }

    /// What was written and queried so far: `put`, `update` and `query`.
    pub fn log(&self) -> MutexGuard<'_, Vec<&'static str>> {
        locked(&self.log)
    }

    /// Puts an item into the table of executions, without fail.
    pub fn put(&self, item: Item) {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let key = (text(names::ID).to_owned(), text(names::ENTRY).to_owned());
        self.items().insert(key, item);
    }

    /// The item `record` of an execution.
    pub fn record_of(&self, id: &str) -> Option<Item> {
        self.items().get(&record_key(id)).cloned()
    }

    /// What the items of an execution tell.
    pub fn history(&self, id: &str) -> History {
        let items = self.items();
        history(
            id,
            items
                .iter()
                .filter(|((of, _), _)| of == id)
                .map(|(_, item)| item),
        )
    }

    /// Carries out an operation on what has that id or name, as its fate has it.
    ///
    /// # Errors
    /// [`TableError::Service`] where it is broken, throttled, or its answer is lost.
    pub async fn operation<T>(
        &self,
        name: &'static str,
        what: &str,
        work: impl FnOnce() -> T,
    ) -> Result<T, TableError> {
        let_others_go_first().await;
        if name != "get" {
            self.log().push(name);
        }
        if self.broken().contains(what) {
            return Err(failed(name, format!("{what} is broken")));
        }
        let fate = self.fates().pop_front().unwrap_or(Fate::Done);
        if fate == Fate::Throttled {
            return Err(failed(name, "throttled".to_owned()));
        }
        let done = work();
        match fate {
            Fate::AnswerLost => Err(failed(name, "connection reset".to_owned())),
            _ => Ok(done),
        }
    }

    /// The rows that `read` finds among the items of an execution.
    async fn rows<T>(
        &self,
        id: &RecordId,
        read: impl Fn(&Item) -> Option<T>,
    ) -> Result<Vec<T>, TableError> {
        let work = || {
            let items = self.items();
            let of_id = items.iter().filter(|((of, _), _)| of == id.as_str());
            of_id.filter_map(|(_, item)| read(item)).collect()
        };
        self.operation("query", id.as_str(), work).await
    }
}

fn failed(operation: &'static str, message: String) -> TableError {
    TableError::Service {
        operation,
        table: "memory".to_owned(),
        code: None,
        message,
    }
}

fn record_key(id: &str) -> (String, String) {
    (id.to_owned(), names::RECORD_ENTRY.to_owned())
}

/// Pages of two rows.
pub fn page<T>(rows: impl IntoIterator<Item = T>, from: Option<String>) -> Page<T> {
    let start: usize = from.and_then(|token| token.parse().ok()).unwrap_or(0);
    let mut rows: Vec<T> = rows.into_iter().skip(start).collect();
    let next = (rows.len() > 2).then(|| (start + 2).to_string());
    rows.truncate(2);
    Page { rows, next }
}

impl Records for &Memory {
    async fn in_phase(
        &self,
        phase: &str,
        from: Option<String>,
    ) -> Result<Page<ListedExecution>, TableError> {
        let is_in = |item: &&Item| item.get(names::PHASE).and_then(Value::as_str) == Some(phase);
        let work = || {
            let items = self.items();
            let listed = items.values().filter(is_in);
            page(listed.filter_map(ListedExecution::of), from)
        };
        self.operation("query", phase, work).await
    }

    async fn record(&self, id: &RecordId) -> Result<Option<Item>, TableError> {
        let work = || self.record_of(id.as_str());
        self.operation("get", id.as_str(), work).await
    }

    async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, TableError> {
        self.rows(id, ChangeRow::read).await
    }

    async fn trainings(&self, id: &RecordId) -> Result<Vec<TrainingRow>, TableError> {
        self.rows(id, TrainingRow::read).await
    }

    async fn update_record(&self, update: &RecordUpdate) -> Result<Option<Refusal>, TableError> {
        let key = record_key(update.id.as_str());
        let work = || {
            let mut items = self.items();
            match update.apply(items.get(&key)) {
                Ok(after) => {
                    items.insert(key, after);
                    None
                }
                Err(refusal) => Some(refusal),
            }
        };
        self.operation("update", update.id.as_str(), work).await
    }

    async fn put_change(&self, change: &ChangeRow) -> Result<(), TableError> {
        let work = || self.put(change.item());
        self.operation("put", &change.id, work).await
    }

    async fn put_training(&self, training: &TrainingRow) -> Result<(), TableError> {
        let work = || self.put(training.item());
        self.operation("put", &training.id, work).await
    }

    async fn put_last_run(&self, run: &LastRun) -> Result<(), TableError> {
        let work = || self.put(run.item());
        self.operation("put", names::HOUSEKEEPING_ID, work).await
    }

    async fn create_record(&self, record: &Item) -> Result<Creation, TableError> {
        let id = record.get(names::ID).and_then(Value::as_str);
        let id = id.unwrap_or_default();
        let work = || match self.record_of(id) {
            Some(known) => Creation::Exists(known),
            None => {
                self.put(record.clone());
                Creation::Created
            }
        };
        self.operation("put", id, work).await
    }

    async fn claim_arn(&self, id: &RecordId, arn: &ExecutionArn) -> Result<Item, TableError> {
        let work = || {
            let mut items = self.items();
            let record = items.get_mut(&record_key(id.as_str()))?;
            for (name, value) in [
                (names::ARN_KEY, arn.key()),
                (names::PIPELINE_EXECUTION_ARN, arn.to_string()),
            ] {
                record.entry(name).or_insert(Value::String(value));
            }
            record.remove(names::START_FAILURE);
            Some(record.clone())
        };
        let claimed = self.operation("update", id.as_str(), work).await?;
        claimed.ok_or_else(|| failed("update", format!("there is no record {id}")))
    }

    async fn note_start_failure(
        &self,
        id: &RecordId,
        failure: &StartFailure,
    ) -> Result<(), TableError> {
        let work = || {
            let mut items = self.items();
            if let Some(record) = items.get_mut(&record_key(id.as_str()))
                && !record.contains_key(names::ARN_KEY)
            {
                record.insert(names::START_FAILURE.to_owned(), json!(failure));
            }
        };
        self.operation("update", id.as_str(), work).await
    }
}

impl Registry for &Memory {
    async fn find(&self, endpoint: &str) -> Result<Option<EndpointRow>, TableError> {
        let work = || self.endpoints().get(endpoint).cloned();
        self.operation("get", endpoint, work).await
    }

    async fn page(&self, from: Option<String>) -> Result<Page<EndpointRow>, TableError> {
        let work = || page(self.endpoints().values().cloned(), from);
        self.operation("get", "the table of endpoints", work).await
    }

    async fn mark_deleted(&self, name: &str, at: i64) -> Result<(), TableError> {
        let work = || {
            if let Some(entry) = self.endpoints().get_mut(name) {
                entry.deleted_at = Some(at);
            }
        };
        self.operation("update", name, work).await
    }
}
