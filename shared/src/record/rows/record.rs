//! The item `record` of an execution: what its start writes, and what the events of each family do.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Item;

/// What the item `record` holds beside its keys, the template, the pipeline parameters and the report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// What the start of the execution wrote.
    pub start: Start,
    /// What the events of the execution wrote.
    pub execution: Execution,
    /// What the events of its model wrote.
    pub model: Model,
    /// What the events of its model package wrote.
    pub package: Package,
    /// What the events of its endpoint wrote.
    pub endpoint: Endpoint,
}

impl Record {
    /// What an item holds. A part that is not as it should be is as if it were not there.
    pub fn read(item: &Item) -> Self {
        fn part<T: DeserializeOwned + Default>(item: &Item) -> T {
            T::deserialize(item).unwrap_or_default()
        }
        Self {
            start: part(item),
            execution: part(item),
            model: part(item),
            package: part(item),
            endpoint: part(item),
        }
    }
}

/// What the start of an execution writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The pipeline's name; before it was written, all were of the shipped pipeline.
    pub pipeline_name: Option<String>,
    /// The training template's id.
    pub template_id: Option<String>,
    /// When the record was created, epoch milliseconds.
    pub created_at: Option<i64>,
    /// Why SageMaker refused to start the execution; gone once it is started.
    pub start_failure: Option<StartFailure>,
}

/// SageMaker refused to start the execution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartFailure {
    /// What it said.
    pub reason: String,
    /// When, epoch milliseconds.
    pub at: Option<i64>,
}

impl StartFailure {
    /// What SageMaker, or somebody for it, said at a moment.
    pub fn new(reason: impl ToString, at: i64) -> Self {
        Self {
            reason: reason.to_string(),
            at: Some(at),
        }
    }
}

/// What the events of an execution write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// The execution's status.
    pub pipeline_status: Option<String>,
    /// When it got that status, epoch milliseconds.
    pub pipeline_status_at: Option<i64>,
    /// The execution's ARN as SageMaker spelled it.
    pub pipeline_execution_arn: Option<String>,
    /// The execution's display name.
    pub display_name: Option<String>,
    /// The execution's description.
    pub description: Option<String>,
    /// When it started, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When it ended, epoch milliseconds.
    pub ended_at: Option<i64>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Where it stands for housekeeping (see [`phase`](crate::record::phase)): `open`, or `ended#` and a day.
    pub phase: Option<String>,
}

/// What the events of a model write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The model's name.
    pub model_name: Option<String>,
    /// The model's ARN.
    pub model_arn: Option<String>,
    /// `Created`, `Deleted` or `Changed`.
    pub model_status: Option<String>,
    /// Where the model's artifact lies.
    pub model_data_url: Option<String>,
    /// The model's image.
    pub model_image: Option<String>,
    /// When the model was created, epoch milliseconds.
    pub model_created_at: Option<i64>,
}

/// What the events of a model package write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// The package's ARN.
    pub model_package_arn: Option<String>,
    /// The package's group.
    pub model_package_group: Option<String>,
    /// The package's number in its group.
    pub model_package_version: Option<String>,
    /// The package's status.
    pub model_package_status: Option<String>,
    /// Whether the package may be deployed.
    pub approval_status: Option<String>,
    /// Where the package's artifact lies.
    pub model_package_data_url: Option<String>,
    /// Why the package failed.
    pub model_package_failure_reason: Option<String>,
}

/// What the events of an endpoint write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The endpoint's name.
    pub endpoint_name: Option<String>,
    /// The endpoint's ARN.
    pub endpoint_arn: Option<String>,
    /// The endpoint's status, in the API's spelling.
    pub endpoint_status: Option<String>,
    /// The endpoint's configuration.
    pub endpoint_config_name: Option<String>,
    /// When the endpoint was created, epoch milliseconds.
    pub endpoint_created_at: Option<i64>,
    /// Why the endpoint failed.
    pub endpoint_failure_reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::names;
    use crate::record::rows::EndpointRow;

    /// Conditions and updates name attributes by themselves.
    #[test]
    fn the_names_in_expressions_are_those_of_the_rows() {
        let parts = [
            json!(Start::default()),
            json!(Execution::default()),
            json!(Model::default()),
            json!(Endpoint::default()),
            json!(EndpointRow::default()),
        ];
        let fields: Vec<&String> = parts
            .iter()
            .filter_map(Value::as_object)
            .flat_map(serde_json::Map::keys)
            .collect();
        for name in [
            names::CREATED_AT,
            names::START_FAILURE,
            names::PIPELINE_EXECUTION_ARN,
            names::STARTED_AT,
            names::PHASE,
            names::MODEL_NAME,
            names::ENDPOINT_CONFIG_NAME,
            names::ENDPOINTS_KEY,
            names::ENDPOINTS_EXECUTION,
            names::ENDPOINTS_DELETED_AT,
        ] {
            assert!(fields.contains(&&name.to_owned()), "{name}");
        }
    }
}
