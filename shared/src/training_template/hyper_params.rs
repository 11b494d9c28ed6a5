//! DeepAR's hyperparameters in a training template.

use std::collections::BTreeMap;

use serde_json::Value;

use super::read::whole_number;
use super::{GREATEST, HyperParams, settings};
use crate::reading::{Faults, Field, Object};

/// What DeepAR takes for a hyperparameter.
#[derive(Clone, Copy)]
pub(super) enum HyperParameterTakes {
    /// A positive whole number.
    Whole,
    /// A number within the bounds.
    Real(f64, f64),
    /// One of the words.
    Word(&'static [&'static str]),
    /// `auto`, `ignore`, or a list of positive whole numbers.
    Cardinality,
    /// `auto`, `ignore`, or a positive whole number.
    DynamicFeatures,
    /// A list of numbers above 0 and below 1.
    Quantiles,
}

/// DeepAR's hyperparameters, but for those that deepARMeta's own keys set.
/// `epochs` is required.
pub(super) const HYPER_PARAMS: [(&str, HyperParameterTakes); 13] = [
    ("epochs", HyperParameterTakes::Whole),
    ("early_stopping_patience", HyperParameterTakes::Whole),
    ("mini_batch_size", HyperParameterTakes::Whole),
    (
        "learning_rate",
        HyperParameterTakes::Real(f64::MIN_POSITIVE, 1.0),
    ),
    ("num_cells", HyperParameterTakes::Whole),
    ("num_layers", HyperParameterTakes::Whole),
    ("dropout_rate", HyperParameterTakes::Real(0.0, 1.0)),
    ("embedding_dimension", HyperParameterTakes::Whole),
    ("cardinality", HyperParameterTakes::Cardinality),
    ("num_dynamic_feat", HyperParameterTakes::DynamicFeatures),
    (
        "likelihood",
        HyperParameterTakes::Word(&[
            "gaussian",
            "beta",
            "negative-binomial",
            "student-T",
            "deterministic-L1",
        ]),
    ),
    ("num_eval_samples", HyperParameterTakes::Whole),
    ("test_quantiles", HyperParameterTakes::Quantiles),
];

/// Hyperparameters that a key of deepARMeta sets.
const SET_ELSEWHERE: [(&str, &str); 3] = [
    ("time_freq", "freq"),
    ("context_length", "contextLength"),
    ("prediction_length", "predictionLength"),
];

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
    for (name, takes) in HYPER_PARAMS {
        let mut field = section.optional(name);
        field.required = section.required && name == "epochs";
        let text = field.read(faults, &takes.expected(), |value| takes.read(value));
        if let Some(text) = text {
            values.insert(name, text);
        }
    }
    HyperParams(values)
}

impl HyperParameterTakes {
    pub(super) fn expected(self) -> String {
        match self {
            Self::Whole => format!("a whole number from 1 to {GREATEST}"),
            Self::Real(least, most) if least > 0.0 => {
                format!("a number above 0 and at most {most}")
            }
            Self::Real(least, most) => format!("a number from {least} to {most}"),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Cardinality => "auto, ignore, or a list of whole numbers from 1".to_owned(),
            Self::DynamicFeatures => "auto, ignore, or a whole number from 1".to_owned(),
            Self::Quantiles => "a list of numbers above 0 and below 1, at least one".to_owned(),
        }
    }

    /// The hyperparameter's text, or `None` when DeepAR would not take it.
    /// Values may come as numbers and lists or as their text.
    fn read(self, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Array(_) => value.to_string(),
            _ => return None,
        };
        let whole = |text: &str| {
            let number = text.parse::<f64>().ok().and_then(whole_number)?;
            (1..=u64::from(GREATEST))
                .contains(&number)
                .then(|| number.to_string())
        };
        match self {
            Self::Whole => whole(&text),
            Self::Real(least, most) => {
                let number: f64 = text.parse().ok()?;
                (least..=most).contains(&number).then_some(text)
            }
            Self::Word(words) => words.contains(&text.as_str()).then_some(text),
            Self::DynamicFeatures if matches!(text.as_str(), "auto" | "ignore") => Some(text),
            Self::DynamicFeatures => whole(&text),
            Self::Cardinality if matches!(text.as_str(), "auto" | "ignore") => Some(text),
            Self::Cardinality => {
                let numbers = numbers(&text)?;
                numbers
                    .iter()
                    .all(|x| whole_number(*x).is_some_and(|x| x >= 1))
                    .then(|| list_text(&numbers))
            }
            Self::Quantiles => {
                let numbers = numbers(&text)?;
                numbers
                    .iter()
                    .all(|x| *x > 0.0 && *x < 1.0)
                    .then(|| list_text(&numbers))
            }
        }
    }
}

/// The numbers of a non-empty JSON list.
fn numbers(text: &str) -> Option<Vec<f64>> {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else {
        return None;
    };
    let numbers: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

fn list_text(numbers: &[f64]) -> String {
    let texts: Vec<String> = numbers.iter().map(f64::to_string).collect();
    format!("[{}]", texts.join(", "))
}
