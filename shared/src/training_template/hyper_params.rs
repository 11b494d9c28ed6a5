//! DeepAR's hyperparameters in a training template.

use std::collections::BTreeMap;

use pipewright_forecast::hyperparameters::{Definition, TABLE};
use serde_json::Value;

use super::read::whole_number;
use super::{HyperParams, settings};
use crate::reading::{Faults, Field, Object};

/// Hyperparameters that a key of deepARMeta sets.
const SET_ELSEWHERE: [(&str, &str); 3] = [
    ("time_freq", "freq"),
    ("context_length", "contextLength"),
    ("prediction_length", "predictionLength"),
];

/// DeepAR's hyperparameters, but for those that deepARMeta's own keys set and those that are ours.
pub(super) fn hyper_params() -> impl Iterator<Item = &'static Definition> {
    TABLE.iter().filter(|definition| {
        let elsewhere = SET_ELSEWHERE
            .iter()
            .any(|(name, _)| *name == definition.name);
        !elsewhere && !definition.name.starts_with('_')
    })
}

pub(super) fn read_hyper_params(faults: &mut Faults, field: Field<'_>) -> HyperParams {
    let mut known = settings::members(&field.path);
    known.extend(SET_ELSEWHERE.map(|(name, _)| name));
    let section = Object::of(faults, field, &known);
    for (name, key) in SET_ELSEWHERE {
        let field = section.given(name);
        if field.value.is_some() {
            faults.add(&field.path, format!("is set by deepARMeta.{key}"));
        }
    }
    let mut values = BTreeMap::new();
    for definition in hyper_params() {
        let mut field = section.optional(definition.name);
        field.required = section.required && definition.default.is_none();
        let text = field.read(faults, &definition.takes.to_string(), |value| {
            definition.normalized(&text_of(value)?)
        });
        if let Some(text) = text {
            values.insert(definition.name, text);
        }
    }
    HyperParams(values)
}

/// The text of a hyperparameter, which may stand as a number, a list or its text. A whole number
/// may have a fraction of zeros, as programs of other languages write it: `100.0`.
fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) => value.to_string(),
        _ => return None,
    };
    if let Some(number) = text.parse().ok().and_then(whole_number) {
        return Some(number.to_string());
    }
    Some(match serde_json::from_str::<Vec<f64>>(&text) {
        Ok(numbers) => {
            let texts: Vec<String> = numbers.iter().map(f64::to_string).collect();
            format!("[{}]", texts.join(", "))
        }
        Err(_) => text,
    })
}
