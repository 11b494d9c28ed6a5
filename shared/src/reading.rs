//! JSON that others wrote, read value by value: each has its path, and what is wrong with it
//! is a fault at that path. Reading goes on after a fault, so that all of them are told at once.

use std::fmt;

use serde_json::{Map, Value};

use crate::nearest::nearest;
use crate::wording::excerpt;

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// Where, such as `feMeta.fftSettings.num_steps[1]`; empty = the document.
    pub path: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.path, self.text)
        }
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults {
    found: Vec<Fault>,
    unseen: bool,
}

impl Faults {
    /// Faults of a document whose values may be secrets: none is quoted.
    #[must_use]
    pub fn unseen() -> Self {
        Self {
            unseen: true,
            ..Self::default()
        }
    }

    /// Adds one.
    pub fn add(&mut self, path: &str, text: impl Into<String>) {
        self.found.push(Fault {
            path: path.to_owned(),
            text: text.into(),
        });
    }

    /// What was read, if there are no faults; whatever could not be read is one.
    ///
    /// # Errors
    /// All faults, in the order in which they were found, if there are some.
    pub fn into_result<T>(self, read: Option<T>) -> Result<T, Vec<Fault>> {
        match read {
            Some(read) if self.found.is_empty() => Ok(read),
            _ => Err(self.found),
        }
    }

    fn described(&self, value: &Value) -> String {
        if self.unseen {
            kind_of(value).to_owned()
        } else {
            described(value)
        }
    }
}

/// What kind of JSON value this is, with its article, for messages.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value for a message: itself where it is short, or else its kind.
#[must_use]
pub fn described(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("the string `{}`", excerpt(text)),
        _ => kind_of(value).to_owned(),
    }
}

/// A place of the document with the value that stands there.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// Where it is.
    pub path: String,
    /// What stands there.
    pub value: Option<&'a Value>,
    /// Whether it is a fault if nothing does.
    pub required: bool,
}

impl<'a> Field<'a> {
    /// The document as a whole.
    #[must_use]
    pub fn root(document: &'a Value) -> Self {
        Self {
            path: String::new(),
            value: Some(document),
            required: true,
        }
    }

    /// As it is, but for being required.
    #[must_use]
    pub fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// The value as `read` takes it. Where there is none it is a fault if it is required; one
    /// that `read` refuses is a fault, too. What it must be is `expected`.
    pub fn read<T>(
        &self,
        faults: &mut Faults,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let Some(value) = self.value else {
            if self.required {
                faults.add(&self.path, format!("is missing; it must be {expected}"));
            }
            return None;
        };
        let read = read(value);
        if read.is_none() {
            let found = faults.described(value);
            faults.add(&self.path, format!("must be {expected}, not {found}"));
        }
        read
    }

    /// A text.
    pub fn text(&self, faults: &mut Faults) -> Option<&'a str> {
        self.read(faults, "a string", Value::as_str)
    }

    /// True or false.
    pub fn boolean(&self, faults: &mut Faults) -> Option<bool> {
        self.read(faults, "true or false", Value::as_bool)
    }

    /// A list, of which `expected` says more.
    pub fn list(&self, faults: &mut Faults, expected: &str) -> Option<&'a [Value]> {
        self.read(faults, expected, |value| {
            value.as_array().map(Vec::as_slice)
        })
    }

    /// The items of a list, each with its path.
    pub fn items(&self, items: &'a [Value]) -> impl Iterator<Item = Field<'a>> {
        items.iter().enumerate().map(|(i, value)| Field {
            path: format!("{}[{i}]", self.path),
            value: Some(value),
            required: true,
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, faults: &mut Faults, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(faults)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<String> = choices
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            self.wrong_text(faults, &names.join(" or "), text);
        }
        found.map(|(_, value)| *value)
    }

    /// Adds the fault of a text that is not what it must be.
    pub fn wrong_text(&self, faults: &mut Faults, expected: &str, text: &str) {
        let found = match faults.unseen {
            true => "another text".to_owned(),
            false => format!("`{}`", excerpt(text)),
        };
        faults.add(&self.path, format!("must be {expected}, not {found}"));
    }
}

/// An object of the document with its path.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    /// Where it is.
    pub path: String,
    /// Its members; none where it is absent or something else.
    pub members: Option<&'a Map<String, Value>>,
    /// Whether members that are asked for by [`Object::field`] must be there.
    pub required: bool,
}

impl<'a> Object<'a> {
    /// Reads an object. Each of its keys that is not among `known` is a fault, with the one that
    /// was probably meant.
    pub fn of(faults: &mut Faults, field: Field<'a>, known: &[&str]) -> Self {
        let members = field.read(faults, "an object", Value::as_object);
        let object = Self {
            // What is missing as a whole is one fault, not one for each key.
            required: field.required && members.is_some(),
            path: field.path,
            members,
        };
        let keys = members.into_iter().flat_map(Map::keys);
        for key in keys.filter(|key| !known.contains(&key.as_str())) {
            let meant = nearest(key, known.iter().copied()).map_or_else(String::new, |near| {
                format!(": did you mean {}?", object.path_of(near))
            });
            let path = object.path_of(&excerpt(key));
            faults.add(&path, format!("is unknown{meant}"));
        }
        object
    }

    /// The path of the member `key`.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The member `key`; it must be there if this object's members must. A null counts as absent.
    #[must_use]
    pub fn field(&self, key: &str) -> Field<'a> {
        Field {
            required: self.required,
            ..self.optional(key)
        }
    }

    /// The member `key`, which may be absent. A null counts as absent.
    #[must_use]
    pub fn optional(&self, key: &str) -> Field<'a> {
        let field = self.given(key);
        Field {
            value: field.value.filter(|value| !value.is_null()),
            ..field
        }
    }

    /// The member `key`, which may be absent. A null is a value like others.
    #[must_use]
    pub fn given(&self, key: &str) -> Field<'a> {
        Field {
            path: self.path_of(key),
            value: self.members.and_then(|members| members.get(key)),
            required: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The faults of a document that must be `{"a": text, "b": {"c": true or false}}`.
    fn faults(document: &Value, mut faults: Faults) -> Vec<String> {
        let root = Object::of(&mut faults, Field::root(document), &["alpha", "b"]);
        root.field("alpha").text(&mut faults);
        let inner = Object::of(&mut faults, root.field("b"), &["count"]);
        inner.field("count").boolean(&mut faults);
        let found = faults.into_result(Some(())).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_has_its_path_and_what_would_be_right() {
        assert_eq!(
            faults(&json!({"alhpa": 1, "b": {"count": [1]}}), Faults::default()),
            [
                "alhpa: is unknown: did you mean alpha?",
                "alpha: is missing; it must be a string",
                "b.count: must be true or false, not an array",
            ]
        );
        assert_eq!(
            faults(&json!([]), Faults::default()),
            ["must be an object, not an array"]
        );
    }

    #[test]
    fn values_that_may_be_secrets_are_not_quoted() {
        let document = json!({"alpha": 7, "b": {"count": "secret"}});
        assert_eq!(
            faults(&document, Faults::default()),
            [
                "alpha: must be a string, not 7",
                "b.count: must be true or false, not the string `secret`",
            ]
        );
        assert_eq!(
            faults(&document, Faults::unseen()),
            [
                "alpha: must be a string, not a number",
                "b.count: must be true or false, not a string",
            ]
        );
    }
}
