//! What is stored: the items of the tables, each as a type with its keys.

use serde_json::{Map, Value};

/// One item of a table: attributes by name. A number keeps its text: a learning rate of `0.0005`
/// must not become `0.0005000000000000001` on its way through.
pub type Item = Map<String, Value>;

/// The number, if DynamoDB takes it: finite, and neither as large nor as small as
/// only absurd prices make it.
#[must_use]
pub fn recordable(number: f64) -> Option<f64> {
    let size = number.abs();
    (size == 0.0 || (1e-100..1e100).contains(&size)).then_some(number)
}
