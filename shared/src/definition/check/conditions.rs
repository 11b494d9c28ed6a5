//! The conditions of Condition steps.

use serde_json::{Map, Value};

use super::names::{choice, show};
use super::steps::{members_of, misspelt_as};
use super::texts::described;
use super::types::Type;
use super::{Checker, Code};
use crate::definition::condition::{COMPARISONS, TYPES};
use crate::definition::model::{ParameterType, Step};
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::reading::kind_of;

/// Types that the published schema lists, and no SDK writes.
const ONLY_IN_SCHEMA: [&str; 2] = ["NotEquals", "NotIn"];

/// The members of conditions.
const COMPARISON: [&str; 3] = ["Type", "LeftValue", "RightValue"];
const IN: [&str; 3] = ["Type", "QueryValue", "Values"];
const NOT: [&str; 2] = ["Type", "Condition"];
/// The members of a Condition step's arguments.
const ARGUMENTS: [&str; 3] = ["Conditions", "IfSteps", "ElseSteps"];

impl Checker<'_> {
    pub(super) fn check_condition_step(&mut self, step: &Step<'_>, arguments: &Map<String, Value>) {
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
        let misspelt = !misspelt_as(arguments, &ARGUMENTS).is_empty();
        if arguments.get("IfSteps").is_none() && is_empty("ElseSteps") && !misspelt {
            self.report(
                Code::Condition,
                path.key("IfSteps"),
                "the condition has neither IfSteps nor ElseSteps, and decides nothing",
            );
        }
        for key in arguments.keys() {
            if members_of(step.step_type()).contains(&key.as_str()) {
                let message = format!("{key} stands beside Arguments, as a member of the step");
                self.report(Code::MisplacedArgument, path.key(key), message);
            } else if !ARGUMENTS.contains(&key.as_str()) {
                self.report_unknown_key(path.key(key), key, "a condition's Arguments", &ARGUMENTS);
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
                    None => self.missing(members, &path, name, "Condition"),
                }
                &NOT
            }
            "Or" => {
                self.check_conditions(members.get("Conditions"), &path.key("Conditions"));
                &["Type", "Conditions"]
            }
            "In" => {
                self.check_operand(members, &path, name, "QueryValue");
                match members.get("Values") {
                    Some(Value::Array(values)) => {
                        self.check_never_in(members.get("QueryValue"), values, &path);
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
                    None => self.missing(members, &path, name, "Values"),
                }
                &IN
            }
            _ if COMPARISONS.contains(&name) => {
                for operand in ["LeftValue", "RightValue"] {
                    self.check_operand(members, &path, name, operand);
                }
                self.check_comparable(members, &path, name);
                &COMPARISON
            }
            _ if ONLY_IN_SCHEMA.contains(&name) => {
                return self.report(
                    Code::DoubtfulCondition,
                    path.key("Type"),
                    format!(
                        "the published schema lists the condition {name}, but no SDK writes it: \
                         use Not with {}",
                        &name["Not".len()..]
                    ),
                );
            }
            _ => {
                let choice = choice(condition_name(name), &TYPES);
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

    fn missing(
        &mut self,
        members: &Map<String, Value>,
        path: &JsonPath<'_>,
        name: &str,
        member: &'static str,
    ) {
        // What is misspelt is told of as such.
        let known: &[&str] = match name {
            "In" => &IN,
            "Not" => &NOT,
            _ => &COMPARISON,
        };
        if !misspelt_as(members, known).contains(&member) {
            self.report(
                Code::Condition,
                path.key(member),
                format!("a condition {name} needs {member}"),
            );
        }
    }

    fn check_operand(
        &mut self,
        members: &Map<String, Value>,
        path: &JsonPath<'_>,
        name: &str,
        member: &'static str,
    ) {
        match members.get(member) {
            None => self.missing(members, path, name, member),
            Some(value) if is_operand(value) => {}
            Some(value) => {
                self.report(Code::Condition, path.key(member), operand_message(value));
            }
        }
    }

    /// Checks that the types of what is compared, where they are known, can be.
    fn check_comparable(&mut self, members: &Map<String, Value>, path: &JsonPath<'_>, name: &str) {
        let (Some(left), Some(right)) = (members.get("LeftValue"), members.get("RightValue"))
        else {
            return;
        };
        let (Some(of_left), Some(of_right)) =
            (self.type_of_operand(left), self.type_of_operand(right))
        else {
            return;
        };
        if of_left.compares(of_right, name != "Equals") {
            return;
        }
        let cure = match (of_left, of_right) {
            (Type::Whole(_), _) | (_, Type::Whole(_)) => "read a member that is a plain value",
            (Type::Plain(ParameterType::Boolean), Type::Plain(ParameterType::Boolean)) => {
                "booleans are equal or not, and have no order"
            }
            _ => {
                "both must be numbers, texts or booleans: declare the parameter or write the \
                  value in the other's type"
            }
        };
        self.report(
            Code::Condition,
            path.clone(),
            format!(
                "{name} never compares {} with {}, {} with {}: {cure}",
                shown(left),
                shown(right),
                of_left.article(),
                of_right.article()
            ),
        );
    }

    /// Warns of a list none of whose values is of the type of what is looked for.
    fn check_never_in(&mut self, query: Option<&Value>, values: &[Value], path: &JsonPath<'_>) {
        let Some(of_query) = query.and_then(|query| self.type_of_operand(query)) else {
            return;
        };
        let never = |value: &Value| {
            self.type_of_operand(value)
                .is_some_and(|of_value| !of_query.compares(of_value, false))
        };
        if !values.is_empty() && values.iter().all(never) {
            let message = format!(
                "none of the Values is of the type of the QueryValue, {}: this never holds",
                of_query.article()
            );
            self.report(Code::DoubtfulCondition, path.key("Values"), message);
        }
    }
}

/// A value as a message names it.
fn shown(value: &Value) -> String {
    match value.as_object().and_then(Function::of) {
        Some(Function::Get(Value::String(text))) => text.clone(),
        Some(Function::Join(_)) => "a Std:Join".to_owned(),
        _ => value.as_str().map_or_else(|| value.to_string(), show),
    }
}

/// The type of condition that the SDK's class of that name writes:
/// `ConditionEquals` is `Equals`.
fn condition_name(name: &str) -> &str {
    name.strip_prefix("Condition").unwrap_or(name)
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
    let found = match value {
        Value::Object(object) => described(object),
        other => kind_of(other).to_owned(),
    };
    format!("an operand is a text, a number, a boolean or a function, not {found}")
}
