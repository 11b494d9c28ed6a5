//! DynamoDB's values, without DynamoDB's SDK.
//!
//! The record's rules are written against these types; the rim converts them
//! to and from the SDK's. Numbers are text in both worlds: a learning rate of
//! `0.0005` must not become `0.0005000000000000001` on its way through.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Number, Value};

/// One item of a table: attributes by name.
pub type Item = BTreeMap<String, Attribute>;

/// One attribute's value.
///
/// DynamoDB's sets are read as lists; it has no other type that we write or
/// expect to read (binary is refused at the rim).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// An explicit null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, as its text.
    N(String),
    /// A string.
    S(String),
    /// A list.
    L(Vec<Attribute>),
    /// A map.
    M(Item),
}

/// An attribute's number is not one that JSON can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute {path}: {text:?} is not a number")]
pub struct NotANumber {
    /// Where, with dots between the names.
    pub path: String,
    /// What stands there.
    pub text: String,
}

impl Attribute {
    /// A string attribute.
    pub fn s(text: impl Into<String>) -> Self {
        Self::S(text.into())
    }

    /// A number attribute from anything that prints as one.
    pub fn n(number: impl Into<i64>) -> Self {
        Self::N(number.into().to_string())
    }

    /// The text of a string attribute.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number attribute that is a whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::N(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The value of a boolean attribute.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The entries of a map attribute.
    pub fn as_map(&self) -> Option<&Item> {
        match self {
            Self::M(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a list attribute.
    pub fn as_list(&self) -> Option<&[Attribute]> {
        match self {
            Self::L(elements) => Some(elements),
            _ => None,
        }
    }

    /// The attribute that holds a JSON value; a number keeps its text.
    pub fn from_json(json: &Value) -> Self {
        match json {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::N(number.to_string()),
            Value::String(text) => Self::S(text.clone()),
            Value::Array(elements) => Self::L(elements.iter().map(Self::from_json).collect()),
            Value::Object(entries) => Self::M(item_from_json(entries)),
        }
    }

    /// The JSON value that an attribute holds; a number keeps its text. Keys
    /// come in the order of their bytes, since DynamoDB keeps none.
    ///
    /// # Errors
    /// [`NotANumber`] for a number attribute whose text is none.
    pub fn to_json(&self) -> Result<Value, NotANumber> {
        self.to_json_at(&mut Vec::new())
    }

    fn to_json_at<'a>(&'a self, path: &mut Vec<&'a str>) -> Result<Value, NotANumber> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::N(text) => Value::Number(Number::from_str(text).map_err(|_| NotANumber {
                path: path.join("."),
                text: text.clone(),
            })?),
            Self::S(text) => Value::String(text.clone()),
            Self::L(elements) => {
                path.push("[]");
                let json = elements
                    .iter()
                    .map(|element| element.to_json_at(path))
                    .collect::<Result<_, _>>()?;
                path.pop();
                Value::Array(json)
            }
            Self::M(entries) => {
                let mut json = Map::with_capacity(entries.len());
                for (name, value) in entries {
                    path.push(name);
                    json.insert(name.clone(), value.to_json_at(path)?);
                    path.pop();
                }
                Value::Object(json)
            }
        })
    }
}

/// The item that holds a JSON object.
pub fn item_from_json(object: &Map<String, Value>) -> Item {
    object
        .iter()
        .map(|(name, value)| (name.clone(), Attribute::from_json(value)))
        .collect()
}

/// The JSON object that an item holds.
///
/// # Errors
/// [`NotANumber`] for a number attribute whose text is none.
pub fn item_to_json(item: &Item) -> Result<Map<String, Value>, NotANumber> {
    item.iter()
        .map(|(name, value)| {
            value
                .to_json()
                .map(|json| (name.clone(), json))
                .map_err(|error| NotANumber {
                    path: if error.path.is_empty() {
                        name.clone()
                    } else {
                        format!("{name}.{}", error.path)
                    },
                    ..error
                })
        })
        .collect()
}

/// The number, if DynamoDB takes it: finite, and neither as large nor as small as
/// only absurd prices make it.
#[must_use]
pub fn recordable(number: f64) -> Option<f64> {
    let size = number.abs();
    (size == 0.0 || (1e-100..1e100).contains(&size)).then_some(number)
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::S(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::S(text)
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::N(number.to_string())
    }
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_keeps_its_text_both_ways() {
        for text in ["0.0005", "1e-3", "12345678901234567890123", "1.10", "-0"] {
            let json: Value = serde_json::from_str(text).unwrap();
            let attribute = Attribute::from_json(&json);
            assert_eq!(attribute, Attribute::N(text.to_owned()));
            assert_eq!(attribute.to_json().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_number_that_is_none_is_named_with_its_place() {
        let item = Item::from([(
            "a".to_owned(),
            Attribute::M(Item::from([("b".to_owned(), Attribute::N("x".into()))])),
        )]);
        let error = item_to_json(&item).unwrap_err();
        assert_eq!(error.to_string(), "attribute a.b: \"x\" is not a number");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            "[0-9]{1,20}\\.[0-9]{1,20}".prop_map(|text| {
                Value::Number(
                    Number::from_str(text.trim_start_matches('0'))
                        .unwrap_or_else(|_| Number::from(0)),
                )
            }),
            ".{0,8}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(".{0,5}", inner, 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_value_survives_the_way_to_an_attribute_and_back(json in any_json()) {
            prop_assert_eq!(Attribute::from_json(&json).to_json().unwrap(), json);
        }
    }
}
