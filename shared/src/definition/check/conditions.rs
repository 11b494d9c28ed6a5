//! The conditions of Condition steps.

use serde_json::Value;

use super::names::show;
use super::{Checker, Code};
use crate::definition::condition::{COMPARISONS, TYPES};
use crate::definition::model::Step;
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::definition::source::kind_of;

/// Types that the published schema lists, and no SDK writes.
const ONLY_IN_SCHEMA: [&str; 2] = ["NotEquals", "NotIn"];

impl Checker<'_> {
    pub(super) fn check_condition_step(&mut self, step: &Step<'_>, arguments: &Value) {
        let path = step.path().key("Arguments");
        self.check_conditions(arguments.get("Conditions"), &path.key("Conditions"));
        for key in ["IfSteps", "ElseSteps"] {
            if let Some(branch) = arguments.get(key) {
                self.check_list_of_steps(Some(branch), path.key(key));
            }
        }
        let is_empty = |key: &str| {
            arguments
                .get(key)
                .and_then(Value::as_array)
                .is_none_or(Vec::is_empty)
        };
        if arguments.get("IfSteps").is_none() && is_empty("ElseSteps") {
            self.report(
                Code::Condition,
                path.key("IfSteps"),
                "the condition has neither IfSteps nor ElseSteps, and decides nothing",
            );
        }
        for key in arguments
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys())
        {
            const KNOWN: [&str; 3] = ["Conditions", "IfSteps", "ElseSteps"];
            if !KNOWN.contains(&key.as_str()) {
                self.report_unknown_key(path.key(key), key, "a condition's Arguments", &KNOWN);
            }
        }
    }

    fn check_conditions(&mut self, conditions: Option<&Value>, path: &JsonPath<'_>) {
        match conditions {
            Some(Value::Array(conditions)) if !conditions.is_empty() => {
                for (index, condition) in conditions.iter().enumerate() {
                    self.check_condition(condition, path.index(index));
                }
            }
            Some(Value::Array(_)) | None => self.report(
                Code::Condition,
                path.clone(),
                "Conditions is missing or empty: at least one is needed",
            ),
            Some(other) => self.report(
                Code::Condition,
                path.clone(),
                format!("Conditions is an array, not {}", kind_of(other)),
            ),
        }
    }

    /// Recursion is bounded by the depth that parsing allows.
    fn check_condition(&mut self, condition: &Value, path: JsonPath<'_>) {
        let Some(members) = condition.as_object() else {
            let message = format!("a condition is an object, not {}", kind_of(condition));
            return self.report(Code::Condition, path, message);
        };
        let name = match members.get("Type") {
            Some(Value::String(name)) => name.as_str(),
            Some(other) => {
                let message = format!("a condition's Type is a text, not {}", kind_of(other));
                return self.report(Code::Condition, path.key("Type"), message);
            }
            None => {
                return self.report(
                    Code::Condition,
                    path.key("Type"),
                    "the condition has no Type",
                );
            }
        };
        let known: &[&str] = match name {
            "Not" => {
                match members.get("Condition") {
                    Some(inner) => self.check_condition(inner, path.key("Condition")),
                    None => self.missing(&path, name, "Condition"),
                }
                &["Type", "Condition"]
            }
            "Or" => {
                self.check_conditions(members.get("Conditions"), &path.key("Conditions"));
                &["Type", "Conditions"]
            }
            "In" => {
                self.check_operand(members.get("QueryValue"), &path, name, "QueryValue");
                match members.get("Values") {
                    Some(Value::Array(values)) => {
                        for (index, value) in values.iter().enumerate() {
                            if !is_operand(value) {
                                let message = operand_message(value);
                                let path = path.key("Values").index(index);
                                self.report(Code::Condition, path, message);
                            }
                        }
                    }
                    Some(other) => self.report(
                        Code::Condition,
                        path.key("Values"),
                        format!("Values is an array, not {}", kind_of(other)),
                    ),
                    None => self.missing(&path, name, "Values"),
                }
                &["Type", "QueryValue", "Values"]
            }
            _ if COMPARISONS.contains(&name) => {
                for operand in ["LeftValue", "RightValue"] {
                    self.check_operand(members.get(operand), &path, name, operand);
                }
                &["Type", "LeftValue", "RightValue"]
            }
            _ if ONLY_IN_SCHEMA.contains(&name) => {
                return self.report(
                    Code::UnknownCondition,
                    path.key("Type"),
                    format!(
                        "the published schema lists the condition {name}, but no SDK writes it: \
                         use Not with {}",
                        &name["Not".len()..]
                    ),
                );
            }
            _ => {
                let choice = self.suggestions.choice(name, &TYPES);
                return self.report(
                    Code::Condition,
                    path.key("Type"),
                    format!("there is no condition of type {}{choice}", show(name)),
                );
            }
        };
        for key in members.keys() {
            if !known.contains(&key.as_str()) {
                let mut place = path.clone().into_owned();
                place.push_owned_key(key.clone());
                self.report_unknown_key(place, key, &format!("a condition {name}"), known);
            }
        }
    }

    fn missing(&mut self, path: &JsonPath<'_>, name: &str, member: &'static str) {
        self.report(
            Code::Condition,
            path.key(member),
            format!("a condition {name} needs {member}"),
        );
    }

    fn check_operand(
        &mut self,
        value: Option<&Value>,
        path: &JsonPath<'_>,
        name: &str,
        member: &'static str,
    ) {
        match value {
            None => self.missing(path, name, member),
            Some(value) if is_operand(value) => {}
            Some(value) => {
                self.report(Code::Condition, path.key(member), operand_message(value));
            }
        }
    }
}

fn is_operand(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => true,
        // A malformed function is reported as such.
        Value::Object(object) => Function::of(object).is_some(),
        Value::Null | Value::Array(_) => false,
    }
}

fn operand_message(value: &Value) -> String {
    format!(
        "an operand is a text, a number, a boolean or a function, not {}",
        kind_of(value)
    )
}
