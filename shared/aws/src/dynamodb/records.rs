//! What functions ask of the table of executions: DynamoDB's answers here, those of
//! [`Memory`](super::memory::Memory) in their tests.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use pipewright::record::rows::LastRun;
use pipewright::record::{
    ChangeRow, ExecutionArn, Item, RecordId, RecordUpdate, Refusal, StartFailure, TrainingRow,
    names,
};
use serde_json::{Value, json};

use super::{
    Executions, Expression, TableError, item_to_sdk, key, non_empty, to_sdk, unless_refused,
};
use crate::Page;

/// An execution in the index by phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedExecution {
    /// The record's id.
    pub id: String,
    /// When its record was created, or else when it started.
    pub since: Option<i64>,
}

impl ListedExecution {
    /// What an item `record` is listed as.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let at = |name: &str| item.get(name).and_then(Value::as_i64);
        Some(Self {
            id: item.get(names::ID)?.as_str()?.to_owned(),
            since: at(names::CREATED_AT).or_else(|| at(names::STARTED_AT)),
        })
    }
}

/// What became of a record that was to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It was created.
    Created,
    /// There is one already, and this is it.
    Exists(Item),
}

/// The table of executions.
#[expect(
    async_fn_in_trait,
    reason = "who needs futures that may be sent knows the table's type"
)]
pub trait Records {
    /// A page of the executions in a phase, in the order of their ids. The
    /// index may be a moment behind the records.
    ///
    /// # Errors
    /// [`TableError`] if the index could not be read.
    async fn in_phase(
        &self,
        phase: &str,
        from: Option<String>,
    ) -> Result<Page<ListedExecution>, TableError>;

    /// Reads the item `record`, consistently; `None` if there is none.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    async fn record(&self, id: &RecordId) -> Result<Option<Item>, TableError>;

    /// Reads an execution's change items, consistently.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, TableError>;

    /// Reads what an execution's training jobs ended with, consistently.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    async fn trainings(&self, id: &RecordId) -> Result<Vec<TrainingRow>, TableError>;

    /// Makes a conditional update of an item `record`; `Some` says which
    /// condition refused it.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be either written or refused.
    async fn update_record(&self, update: &RecordUpdate) -> Result<Option<Refusal>, TableError>;

    /// Writes a change item.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be written.
    async fn put_change(&self, change: &ChangeRow) -> Result<(), TableError>;

    /// Writes what a training job ended with.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be written.
    async fn put_training(&self, training: &TrainingRow) -> Result<(), TableError>;

    /// Keeps what housekeeping did, in the place of what it did before.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be written.
    async fn put_last_run(&self, run: &LastRun) -> Result<(), TableError>;

    /// Writes a record that must not exist yet.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be either written or there.
    async fn create_record(&self, record: &Item) -> Result<Creation, TableError>;

    /// Stores an execution's ARN, unless the record has one; gives back the
    /// ARN that the record has after that.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be written, or the record is gone.
    async fn claim_arn(&self, id: &RecordId, arn: &ExecutionArn) -> Result<Item, TableError>;

    /// Notes in a record without ARN why its execution was not started.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be written.
    async fn note_start_failure(
        &self,
        id: &RecordId,
        failure: &StartFailure,
    ) -> Result<(), TableError>;
}

impl Records for Executions {
    async fn in_phase(
        &self,
        phase: &str,
        from: Option<String>,
    ) -> Result<Page<ListedExecution>, TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        // A page ends with an execution's id: with the phase and the fixed sort
        // key that is the whole key to go on from.
        let start = from.map(|id| {
            let mut key = key(&id, names::RECORD_ENTRY);
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
            rows.extend(ListedExecution::of(&self.table.item(item)?));
        }
        let next = answer
            .last_evaluated_key()
            .and_then(|key| key.get(names::ID)?.as_s().ok())
            .cloned();
        Ok(Page { rows, next })
    }

    async fn record(&self, id: &RecordId) -> Result<Option<Item>, TableError> {
        let answer = self
            .table
            .client
            .get_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id.as_str(), names::RECORD_ENTRY)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| TableError::service("GetItem", &self.table.name, &error))?;
        answer.item().map(|item| self.table.item(item)).transpose()
    }

    async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, TableError> {
        let items = self.beginning_with(id, names::CHANGE_PREFIX).await?;
        Ok(items.iter().filter_map(ChangeRow::read).collect())
    }

    async fn trainings(&self, id: &RecordId) -> Result<Vec<TrainingRow>, TableError> {
        let items = self.beginning_with(id, names::TRAINING_PREFIX).await?;
        Ok(items.iter().filter_map(TrainingRow::read).collect())
    }

    async fn update_record(&self, update: &RecordUpdate) -> Result<Option<Refusal>, TableError> {
        let expression = Expression::of(update);
        let sent = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(update.id.as_str(), names::RECORD_ENTRY)))
            .set_update_expression(expression.update)
            .set_condition_expression(expression.condition)
            .set_expression_attribute_names(non_empty(expression.names))
            .set_expression_attribute_values(non_empty(expression.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else { return Ok(None) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let before = failed
                    .item()
                    .filter(|item| !item.is_empty())
                    .map(|item| self.table.item(item))
                    .transpose()?;
                update
                    .refusal(before.as_ref())
                    .map(Some)
                    .ok_or_else(|| TableError::Unexplained {
                        table: self.table.name.clone(),
                        id: update.id.to_string(),
                    })
            }
            _ => Err(TableError::service("UpdateItem", &self.table.name, &error)),
        }
    }

    async fn put_change(&self, change: &ChangeRow) -> Result<(), TableError> {
        self.table.put(&change.item()).await
    }

    async fn put_training(&self, training: &TrainingRow) -> Result<(), TableError> {
        self.table.put(&training.item()).await
    }

    async fn put_last_run(&self, run: &LastRun) -> Result<(), TableError> {
        self.table.put(&run.item()).await
    }

    async fn create_record(&self, record: &Item) -> Result<Creation, TableError> {
        let sent = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item_to_sdk(record)))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", names::ID)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Creation::Created);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => match failed.item() {
                Some(item) => Ok(Creation::Exists(self.table.item(item)?)),
                None => Err(TableError::service("PutItem", &self.table.name, &error)),
            },
            _ => Err(TableError::service("PutItem", &self.table.name, &error)),
        }
    }

    async fn claim_arn(&self, id: &RecordId, arn: &ExecutionArn) -> Result<Item, TableError> {
        let answer = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id.as_str(), names::RECORD_ENTRY)))
            .update_expression(
                "SET #key = if_not_exists(#key, :key), #arn = if_not_exists(#arn, :arn) REMOVE #failure",
            )
            .condition_expression("attribute_exists(#id)")
            .expression_attribute_names("#id", names::ID)
            .expression_attribute_names("#key", names::ARN_KEY)
            .expression_attribute_names("#arn", names::PIPELINE_EXECUTION_ARN)
            .expression_attribute_names("#failure", names::START_FAILURE)
            .expression_attribute_values(":key", AttributeValue::S(arn.key()))
            .expression_attribute_values(":arn", AttributeValue::S(arn.as_str().to_owned()))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|error| TableError::service("UpdateItem", &self.table.name, &error))?;
        self.table
            .item(answer.attributes().unwrap_or(&HashMap::new()))
    }

    async fn note_start_failure(
        &self,
        id: &RecordId,
        failure: &StartFailure,
    ) -> Result<(), TableError> {
        let sent = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(id.as_str(), names::RECORD_ENTRY)))
            .update_expression("SET #failure = :failure")
            .condition_expression("attribute_exists(#id) AND attribute_not_exists(#key)")
            .expression_attribute_names("#id", names::ID)
            .expression_attribute_names("#key", names::ARN_KEY)
            .expression_attribute_names("#failure", names::START_FAILURE)
            .expression_attribute_values(":failure", to_sdk(&json!(failure)))
            .send()
            .await;
        // Refused, it was started after all, by another call.
        unless_refused(sent, &self.table.name)
    }
}
