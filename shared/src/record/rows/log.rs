//! A batch of the container's log lines.

use serde::{Deserialize, Serialize};

use super::{Item, item};
use crate::record::names::LOG_PREFIX;

/// The item `log#...`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// The record's id.
    #[serde(rename = "Id")]
    pub id: String,
    /// The sort key.
    pub entry: String,
    /// The lines.
    pub lines: Vec<StoredLine>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLine {
    /// When it was written, epoch milliseconds.
    pub at: Option<i64>,
    /// How much it matters: `INFO`, `WARN` or `ERROR`.
    #[serde(default)]
    pub level: String,
    /// Its text.
    #[serde(rename = "msg", default)]
    pub message: String,
}

impl LogBatch {
    /// What is stored.
    pub fn item(&self) -> Item {
        item(self)
    }

    /// The sort key of the `number`th batch (modulo 10,000) whose first line was written at `at`: batches
    /// sort by time, and the number parts those that begin within one millisecond.
    pub fn key(at: i64, number: usize) -> String {
        format!("{LOG_PREFIX}{:013}#{:04}", at.max(0), number % 10_000)
    }

    /// What an item holds; `None` if it is no such item.
    pub fn read(item: &Item) -> Option<Self> {
        let row = Self::deserialize(item).ok()?;
        row.entry.starts_with(LOG_PREFIX).then_some(row)
    }
}
