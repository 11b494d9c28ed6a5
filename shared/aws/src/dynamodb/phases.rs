//! Executions by their phase: what housekeeping looks through.

use aws_sdk_dynamodb::types::AttributeValue;
use pipewright::record::{ChangeRow, Item, RecordId, TrainingRow, names};
use serde_json::Value;

use super::{Executions, TableError};
use crate::Page;

/// An execution in the index by phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedExecution {
    /// The record's id.
    pub id: String,
    /// When its record was created, or else when it started.
    pub since: Option<i64>,
}

impl Executions {
    /// A page of the executions in a phase, in the order of their ids. The
    /// index may be a moment behind the records.
    ///
    /// # Errors
    /// [`TableError`] if the index could not be read.
    pub async fn in_phase(
        &self,
        phase: &str,
        from: Option<String>,
    ) -> Result<Page<ListedExecution>, TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        // A page ends with an execution's id: with the phase and the fixed sort
        // key that is the whole key to go on from.
        let start = from.map(|id| {
            let mut key = super::key(&id, names::RECORD_ENTRY);
            key.insert(names::PHASE.to_owned(), text(phase));
            key
        });
        let answer = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .index_name(names::PHASE_INDEX)
            .key_condition_expression("#phase = :phase")
            .expression_attribute_names("#phase", names::PHASE)
            .expression_attribute_values(":phase", text(phase))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| TableError::service("Query", &self.table.name, &error))?;
        let mut rows = Vec::new();
        for item in answer.items() {
            let item = self.table.item(item)?;
            if let Some(id) = item.get(names::ID).and_then(Value::as_str) {
                let since = [names::CREATED_AT, names::STARTED_AT]
                    .into_iter()
                    .find_map(|name| item.get(name)?.as_i64());
                rows.push(ListedExecution {
                    id: id.to_owned(),
                    since,
                });
            }
        }
        let next = answer
            .last_evaluated_key()
            .and_then(|key| key.get(names::ID)?.as_s().ok())
            .cloned();
        Ok(Page { rows, next })
    }

    /// Reads an execution's change items, consistently.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, TableError> {
        let items = self.beginning_with(id, names::CHANGE_PREFIX).await?;
        Ok(items.iter().filter_map(ChangeRow::read).collect())
    }

    /// Reads what an execution's training jobs ended with, consistently.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn trainings(&self, id: &RecordId) -> Result<Vec<TrainingRow>, TableError> {
        let items = self.beginning_with(id, names::TRAINING_PREFIX).await?;
        Ok(items.iter().filter_map(TrainingRow::read).collect())
    }

    async fn beginning_with(&self, id: &RecordId, prefix: &str) -> Result<Vec<Item>, TableError> {
        // `$` comes after `#`.
        self.entries(id, prefix, &prefix.replace('#', "$")).await
    }
}
