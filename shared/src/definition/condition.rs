//! Evaluating the conditions of a Condition step.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::reading::kind_of;

/// The types of conditions.
pub const TYPES: [&str; 8] = [
    "Equals",
    "GreaterThan",
    "GreaterThanOrEqualTo",
    "LessThan",
    "LessThanOrEqualTo",
    "In",
    "Not",
    "Or",
];

/// The types of conditions that compare a `LeftValue` with a `RightValue`.
pub const COMPARISONS: [&str; 5] = [
    "Equals",
    "GreaterThan",
    "GreaterThanOrEqualTo",
    "LessThan",
    "LessThanOrEqualTo",
];

/// Why a condition cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// A member is missing or not of its kind.
    #[error("a condition of type {condition} needs {member}")]
    Malformed {
        /// The condition's type.
        condition: String,
        /// What it needs.
        member: &'static str,
    },
    /// No such type.
    #[error("{0:?} is not a type of condition; there are {list}", list = TYPES.join(", "))]
    UnknownType(String),
    /// The operands are of different kinds or have no order.
    #[error("{condition} cannot compare {left} with {right}")]
    NotComparable {
        /// The condition's type.
        condition: String,
        /// The left operand as JSON.
        left: String,
        /// The right operand as JSON.
        right: String,
    },
    /// Conditions within conditions without end.
    #[error("conditions are nested deeper than {DEEPEST} levels")]
    TooDeep,
}

const DEEPEST: usize = 256;

/// Whether all conditions hold; their operands are resolved values (see
/// [`super::resolve::resolve`]). No conditions hold always.
///
/// # Errors
/// [`ConditionError`] of the first condition that cannot be decided; a
/// condition after one that does not hold is not looked at.
pub fn all_hold(conditions: &[Value]) -> Result<bool, ConditionError> {
    for condition in conditions {
        if !holds_at(condition, 0)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether one condition with resolved operands holds.
///
/// Numbers are compared as numbers (exactly where both are whole), texts by
/// their characters, booleans only for equality. A number and a text are not
/// comparable; in the list of `In`, an item of another kind just is not equal.
///
/// # Errors
/// [`ConditionError`] when it cannot be decided.
pub fn holds(condition: &Value) -> Result<bool, ConditionError> {
    holds_at(condition, 0)
}

fn holds_at(condition: &Value, depth: usize) -> Result<bool, ConditionError> {
    if depth > DEEPEST {
        return Err(ConditionError::TooDeep);
    }
    let name = condition
        .get("Type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let need = |member: &'static str| {
        condition
            .get(member)
            .ok_or_else(|| ConditionError::Malformed {
                condition: name.to_owned(),
                member,
            })
    };
    let need_list = |member: &'static str| {
        need(member)?
            .as_array()
            .ok_or_else(|| ConditionError::Malformed {
                condition: name.to_owned(),
                member,
            })
    };
    match name {
        "Not" => Ok(!holds_at(need("Condition")?, depth + 1)?),
        "Or" => {
            for inner in need_list("Conditions")? {
                if holds_at(inner, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        "In" => {
            let query = need("QueryValue")?;
            Ok(need_list("Values")?
                .iter()
                .any(|value| compare(query, value) == Some(Ordering::Equal)))
        }
        _ if COMPARISONS.contains(&name) => {
            let (left, right) = (need("LeftValue")?, need("RightValue")?);
            let unordered = matches!((left, right), (Value::Bool(_), Value::Bool(_)));
            let order = compare(left, right)
                .filter(|_| name == "Equals" || !unordered)
                .ok_or_else(|| ConditionError::NotComparable {
                    condition: name.to_owned(),
                    left: describe(left),
                    right: describe(right),
                })?;
            Ok(match name {
                "Equals" => order.is_eq(),
                "GreaterThan" => order.is_gt(),
                "GreaterThanOrEqualTo" => order.is_ge(),
                "LessThan" => order.is_lt(),
                _ => order.is_le(),
            })
        }
        _ => Err(ConditionError::UnknownType(name.to_owned())),
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
        _ => format!("{} {value}", kind_of(value)),
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        _ => None,
    }
}

fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.to_string().parse::<i128>().ok();
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{all_hold, holds};

    fn compare(name: &str, left: Value, right: Value) -> Result<bool, String> {
        holds(&json!({"Type": name, "LeftValue": left, "RightValue": right}))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_big_ones_exactly() {
        assert_eq!(compare("Equals", json!(3), json!(3.0)), Ok(true));
        assert_eq!(compare("LessThan", json!(9), json!(10)), Ok(true));
        assert_eq!(
            compare(
                "Equals",
                json!(9_007_199_254_740_993_i64),
                json!(9_007_199_254_740_992_i64)
            ),
            Ok(false)
        );
        assert_eq!(
            compare("GreaterThanOrEqualTo", json!(0.5), json!(0.5)),
            Ok(true)
        );
        assert_eq!(
            compare("LessThanOrEqualTo", json!(0.6), json!(0.5)),
            Ok(false)
        );
        assert_eq!(compare("GreaterThan", json!("b"), json!("a")), Ok(true));
    }

    #[test]
    fn values_of_different_kinds_cannot_be_compared() {
        assert_eq!(
            compare("Equals", json!("1"), json!(1)).unwrap_err(),
            "Equals cannot compare a string \"1\" with a number 1"
        );
        assert!(compare("LessThan", json!(true), json!(false)).is_err());
        assert_eq!(compare("Equals", json!(true), json!(true)), Ok(true));
        assert!(compare("Equals", json!(null), json!(null)).is_err());
    }

    #[test]
    fn in_not_and_or_nest() {
        let inside = json!({"Type": "In", "QueryValue": "a", "Values": [1, "a"]});
        assert_eq!(holds(&inside), Ok(true));
        assert_eq!(
            holds(&json!({"Type": "Not", "Condition": inside})),
            Ok(false)
        );
        let or = json!({"Type": "Or", "Conditions": [
            {"Type": "Not", "Condition": inside}, inside]});
        assert_eq!(holds(&or), Ok(true));
        assert_eq!(
            all_hold(&[or, json!({"Type": "Not", "Condition": inside})]),
            Ok(false)
        );
        assert_eq!(all_hold(&[]), Ok(true));
    }

    #[test]
    fn malformed_conditions_are_named() {
        assert_eq!(
            holds(&json!({"Type": "Equals", "LeftValue": 1}))
                .unwrap_err()
                .to_string(),
            "a condition of type Equals needs RightValue"
        );
        assert!(
            holds(&json!({"Type": "Like"}))
                .unwrap_err()
                .to_string()
                .contains("\"Like\"")
        );
    }
}
