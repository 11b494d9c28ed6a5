//! What is stored: the items of the tables, each as a type with its keys.

mod asset;
mod change;
mod endpoint;
mod housekeeping;
mod log;
pub mod record;
mod report;
mod training;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use asset::AssetRow;
pub use change::ChangeRow;
pub use endpoint::EndpointRow;
pub use housekeeping::LastRun;
pub use log::{LogBatch, StoredLine};
pub use record::Record;
pub use report::{FIGURES, OUTPUTS, PLOTS, StepReport, TOP_FEATURES};
pub use training::{Metric, TrainingRow};

/// One item of a table: attributes by name. A number keeps its text: a learning rate of `0.0005`
/// must not become `0.0005000000000000001` on its way through.
pub type Item = Map<String, Value>;

/// The item of a row: what is `None` in it is not stored.
pub fn item(row: &impl Serialize) -> Item {
    match without_nulls(json!(row)) {
        Value::Object(item) => item,
        _ => Item::new(),
    }
}

/// What is not known stands nowhere.
pub(super) fn without_nulls(json: Value) -> Value {
    match json {
        Value::Object(entries) => entries
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Item>()
            .into(),
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The number, if DynamoDB takes it: finite, and neither as large nor as small as
/// only absurd prices make it.
#[must_use]
pub fn recordable(number: f64) -> Option<f64> {
    let size = number.abs();
    (size == 0.0 || (1e-100..1e100).contains(&size)).then_some(number)
}
