//! What a training job ended with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Item, item};
use crate::record::names::TRAINING_PREFIX;

/// The item `training#<job>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingRow {
    /// The record's id.
    #[serde(rename = "Id")]
    pub id: String,
    /// The sort key.
    pub entry: String,
    /// The step that ran it.
    pub step_name: String,
    /// Its ARN.
    pub resource_arn: String,
    /// `Completed`, `Failed` or `Stopped`.
    pub status: String,
    /// Why it failed: the container's text, with what SageMaker puts around it.
    pub reason: Option<String>,
    /// When the training began, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When the training ended, epoch milliseconds.
    pub ended_at: Option<i64>,
    /// The last value of each metric, as SageMaker lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// The last value of a training job's metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name in the job's metric definitions.
    pub name: String,
    /// A number; one that is none is a text: `NaN`, `Infinity`, `-Infinity`.
    pub value: Value,
    /// When it had that value, epoch milliseconds.
    pub at: Option<i64>,
}

impl TrainingRow {
    /// What is stored.
    pub fn item(&self) -> Item {
        item(self)
    }

    /// What an item holds; `None` if it is no such item.
    pub fn read(item: &Item) -> Option<Self> {
        let mut row = Self::deserialize(item).ok()?;
        for (place, metric) in row.metrics.iter_mut().enumerate() {
            // As it is: serde would write some numbers in another way.
            metric.value = item["metrics"][place]["value"].clone();
        }
        row.entry.starts_with(TRAINING_PREFIX).then_some(row)
    }
}
