//! The table `endpoints`: which execution's model an endpoint serves.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use pipewright::record::{EndpointRow, RecordId, names};

use super::{Table, TableError, unless_refused};
use crate::Page;

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// The endpoint is registered for the execution, now or since before.
    Done,
    /// It is registered for this other execution.
    OfAnother(String),
}

/// What functions ask of the table of endpoints.
#[expect(
    async_fn_in_trait,
    reason = "who needs futures that may be sent knows the table's type"
)]
pub trait Registry {
    /// Reads an endpoint's entry, consistently; `None` if there is none.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    async fn find(&self, endpoint: &str) -> Result<Option<EndpointRow>, TableError>;

    /// A page of the entries.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    async fn page(&self, from: Option<String>) -> Result<Page<EndpointRow>, TableError>;

    /// Notes that an endpoint is gone.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be written.
    async fn mark_deleted(&self, name: &str, at: i64) -> Result<(), TableError>;
}

/// The table `endpoints`.
#[derive(Debug, Clone)]
pub struct Endpoints {
    table: Table,
}

impl Endpoints {
    /// The endpoints in the table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            table: Table::new(client, table),
        }
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        self.table.name()
    }

    /// Registers an endpoint for an execution, unless it is registered for
    /// another. Registering it again changes nothing but configuration and
    /// model.
    ///
    /// # Errors
    /// [`TableError`] if it is not known to be either registered or refused.
    pub async fn register(
        &self,
        endpoint: &str,
        execution: &RecordId,
        config: &str,
        model: &str,
    ) -> Result<Registration, TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let sent = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .key(names::ENDPOINTS_KEY, text(endpoint))
            .update_expression("SET #execution = :execution, #config = :config, #model = :model")
            .condition_expression("attribute_not_exists(#execution) OR #execution = :execution")
            .expression_attribute_names("#execution", names::ENDPOINTS_EXECUTION)
            .expression_attribute_names("#config", names::ENDPOINT_CONFIG_NAME)
            .expression_attribute_names("#model", names::MODEL_NAME)
            .expression_attribute_values(":execution", text(execution.as_str()))
            .expression_attribute_values(":config", text(config))
            .expression_attribute_values(":model", text(model))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Registration::Done);
        };
        let failed = |error| TableError::service("UpdateItem", &self.table.name, error);
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let item = refused.item().ok_or_else(|| failed(&error))?;
                let entry = EndpointRow::read(&self.table.item(item)?);
                let entry = entry.ok_or_else(|| failed(&error))?;
                Ok(Registration::OfAnother(entry.execution))
            }
            _ => Err(failed(&error)),
        }
    }
}

impl Registry for Endpoints {
    async fn find(&self, endpoint: &str) -> Result<Option<EndpointRow>, TableError> {
        let item = self.table.get(names::ENDPOINTS_KEY, endpoint).await?;
        Ok(item.as_ref().and_then(EndpointRow::read))
    }

    async fn page(&self, from: Option<String>) -> Result<Page<EndpointRow>, TableError> {
        let start = from.map(|name| {
            let key = (names::ENDPOINTS_KEY.to_owned(), AttributeValue::S(name));
            HashMap::from([key])
        });
        let answer = self
            .table
            .client
            .scan()
            .table_name(&self.table.name)
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| TableError::service("Scan", &self.table.name, &error))?;
        let mut rows = Vec::new();
        for item in answer.items() {
            rows.extend(EndpointRow::read(&self.table.item(item)?));
        }
        let next = answer
            .last_evaluated_key()
            .and_then(|key| key.get(names::ENDPOINTS_KEY)?.as_s().ok())
            .cloned();
        Ok(Page { rows, next })
    }

    async fn mark_deleted(&self, name: &str, at: i64) -> Result<(), TableError> {
        let sent = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .key(names::ENDPOINTS_KEY, AttributeValue::S(name.to_owned()))
            .update_expression("SET #deleted = :at")
            .condition_expression("attribute_exists(#execution)")
            .expression_attribute_names("#deleted", names::ENDPOINTS_DELETED_AT)
            .expression_attribute_names("#execution", names::ENDPOINTS_EXECUTION)
            .expression_attribute_values(":at", AttributeValue::N(at.to_string()))
            .send()
            .await;
        // Refused, somebody took its entry away.
        unless_refused(sent, &self.table.name)
    }
}
