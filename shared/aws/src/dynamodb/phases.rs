//! Executions by their phase, and the endpoints that are registered: what
//! housekeeping looks through.

use aws_sdk_dynamodb::types::AttributeValue;
use pipewright::record::{ChangeRow, Item, RecordId, TrainingRow, names};
use serde_json::Value;

use super::{Executions, Table, TableError, unless_refused};
use crate::Page;

/// An execution in the index by phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedExecution {
    /// The record's id.
    pub id: String,
    /// When its record was created, or else when it started.
    pub since: Option<i64>,
}

/// An endpoint in the table of endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredEndpoint {
    /// Its name.
    pub name: String,
    /// The id of the execution whose model it serves.
    pub execution: String,
    /// When it was found to be gone.
    pub deleted_at: Option<i64>,
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

impl Table {
    /// A page of the endpoints in this table (the one of endpoints).
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn registered_endpoints(
        &self,
        from: Option<String>,
    ) -> Result<Page<RegisteredEndpoint>, TableError> {
        let start = from.map(|name| {
            std::collections::HashMap::from([(
                names::ENDPOINTS_KEY.to_owned(),
                AttributeValue::S(name),
            )])
        });
        let answer = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| TableError::service("Scan", &self.name, &error))?;
        let mut rows = Vec::new();
        for item in answer.items() {
            let item = self.item(item)?;
            let text = |name| item.get(name).and_then(Value::as_str).map(str::to_owned);
            if let (Some(name), Some(execution)) =
                (text(names::ENDPOINTS_KEY), text(names::ENDPOINTS_EXECUTION))
            {
                rows.push(RegisteredEndpoint {
                    name,
                    execution,
                    deleted_at: item
                        .get(names::ENDPOINTS_DELETED_AT)
                        .and_then(Value::as_i64),
                });
            }
        }
        let next = answer
            .last_evaluated_key()
            .and_then(|key| key.get(names::ENDPOINTS_KEY)?.as_s().ok())
            .cloned();
        Ok(Page { rows, next })
    }

    /// Notes in this table (the one of endpoints) that an endpoint is gone.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be written.
    pub async fn mark_endpoint_deleted(&self, name: &str, at: i64) -> Result<(), TableError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(names::ENDPOINTS_KEY, AttributeValue::S(name.to_owned()))
            .update_expression("SET #deleted = :at")
            .condition_expression("attribute_exists(#execution)")
            .expression_attribute_names("#deleted", names::ENDPOINTS_DELETED_AT)
            .expression_attribute_names("#execution", names::ENDPOINTS_EXECUTION)
            .expression_attribute_values(":at", AttributeValue::N(at.to_string()))
            .send()
            .await;
        // Refused, somebody took its entry away.
        unless_refused(sent, &self.name)
    }
}
