//! An endpoint's entry in the table of endpoints.

use serde::{Deserialize, Serialize};

use super::{Item, item};

/// Which execution's model an endpoint serves. The entry stays when the endpoint is deleted, since
/// events may come later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointRow {
    /// Its name, the table's key.
    #[serde(rename = "EndpointName")]
    pub name: String,
    /// The id of the execution whose model it serves.
    #[serde(rename = "executionId")]
    pub execution: String,
    /// Its configuration; `None` if it was registered by other means.
    #[serde(rename = "endpointConfigName")]
    pub config: Option<String>,
    /// The model that it serves.
    #[serde(rename = "modelName")]
    pub model: Option<String>,
    /// When it was found to be gone, epoch milliseconds.
    pub deleted_at: Option<i64>,
}

impl EndpointRow {
    /// What is stored.
    pub fn item(&self) -> Item {
        item(self)
    }

    /// What an item holds; `None` if it is no such item.
    pub fn read(item: &Item) -> Option<Self> {
        Self::deserialize(item).ok()
    }
}
