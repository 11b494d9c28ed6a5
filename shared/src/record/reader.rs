//! Reading an event's `detail` field by field.

use serde_json::{Map, Value};

use super::event::EventError;
use super::families::Subject;
use super::id::ExecutionArn;
use super::moment;

/// What every family has.
pub(super) struct Read {
    pub(super) subject: Subject,
    pub(super) status: String,
    pub(super) previous: Option<String>,
    pub(super) failure_reason: Option<String>,
}

/// Reads one `detail`, noting what it meets.
pub(super) struct Reader<'a> {
    detail_type: &'a str,
    detail: &'a Map<String, Value>,
    known: Vec<&'static str>,
    unread: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(detail_type: &'a str, detail: &'a Map<String, Value>) -> Self {
        Self {
            detail_type,
            detail,
            known: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// A field's value; null is absent.
    pub(super) fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.detail.get(field).filter(|value| !value.is_null())
    }

    /// A text; an empty one is absent.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        match self.value(field) {
            None => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.leave(field.to_owned());
                None
            }
        }
    }

    pub(super) fn required_text(&mut self, field: &'static str) -> Result<String, EventError> {
        self.text(field).ok_or_else(|| {
            let problem = match self.detail.get(field) {
                None | Some(Value::Null) => "is missing",
                Some(Value::String(_)) => "is empty",
                Some(_) => "is not a string",
            };
            self.malformed(field, problem)
        })
    }

    /// Epoch milliseconds.
    pub(super) fn moment(&mut self, field: &'static str) -> Option<i64> {
        let value = self.value(field)?;
        moment::read(value).unwrap_or_else(|_| {
            self.leave(field.to_owned());
            None
        })
    }

    pub(super) fn execution_arn(&mut self) -> Result<ExecutionArn, EventError> {
        let field = "pipelineExecutionArn";
        let text = self.required_text(field)?;
        ExecutionArn::parse(text).map_err(|error| self.malformed(field, &error.to_string()))
    }

    pub(super) fn malformed(&self, field: &str, problem: &str) -> EventError {
        EventError::Malformed {
            detail_type: self.detail_type.to_owned(),
            field: format!("detail.{field}"),
            problem: problem.to_owned(),
        }
    }

    /// Marks fields that we know of and only keep.
    pub(super) fn know(&mut self, fields: &[&'static str]) {
        self.known.extend_from_slice(fields);
    }

    /// Notes a known field whose value can't be read, and is taken as absent.
    pub(super) fn leave(&mut self, field: String) {
        self.unread.push(field);
    }

    /// The fields that are not known, and the known ones that could not be read.
    pub(super) fn unknown_and_unread(self) -> (Vec<String>, Vec<String>) {
        let unknown = self
            .detail
            .keys()
            .filter(|name| !self.known.contains(&name.as_str()))
            .cloned()
            .collect();
        (unknown, self.unread)
    }
}
