//! The table `endpoints`: which execution's model an endpoint serves.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use pipewright::record::{Item, RecordId, names};
use serde_json::Value;

use super::{Table, TableError};

/// An endpoint as the table knows it. It stays there when the endpoint is
/// deleted, since events may come later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The id of the execution whose model it serves.
    pub execution: String,
    /// Its configuration; `None` if it was registered by other means.
    pub config: Option<String>,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// The endpoint is registered for the execution, now or since before.
    Done,
    /// It is registered for this other execution.
    OfAnother(String),
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

    /// Reads an endpoint's entry, consistently; `None` if there is none.
    ///
    /// # Errors
    /// [`TableError`] if the table could not be read.
    pub async fn find(&self, endpoint: &str) -> Result<Option<Registered>, TableError> {
        let item = self.table.get(names::ENDPOINTS_KEY, endpoint).await?;
        Ok(item.as_ref().and_then(registered))
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
                let entry = registered(&self.table.item(item)?).ok_or_else(|| failed(&error))?;
                Ok(Registration::OfAnother(entry.execution))
            }
            _ => Err(failed(&error)),
        }
    }
}

fn registered(item: &Item) -> Option<Registered> {
    let text = |name| item.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Registered {
        execution: text(names::ENDPOINTS_EXECUTION)?,
        config: text(names::ENDPOINT_CONFIG_NAME),
    })
}
