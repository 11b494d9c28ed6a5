//! The limits of literal values: lengths, ranges, patterns and known values.

use serde_json::Value;

use super::Code;
use super::names::{choice, one_of, show};
use super::types::needed;
use crate::definition::shapes::{Limits, Scalar, Shape, Step as ShapeStep};
use crate::nearest::likely;
use crate::reading::kind_of;

/// What is wrong with a value where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The kind of fault.
    pub(super) code: Code,
    /// What is wrong, without the place.
    pub(super) message: String,
}

fn problem(code: Code, message: impl Into<String>) -> Option<Problem> {
    Some(Problem {
        code,
        message: message.into(),
    })
}

/// What is wrong with a plain literal that an argument of this shape is given;
/// `key` is the argument's name. Null is taken everywhere.
pub(super) fn problem_of(shape: Shape, key: &str, value: &Value) -> Option<Problem> {
    let ShapeStep::Scalar(scalar) = shape.step() else {
        return None;
    };
    let limits = shape.limits();
    match (scalar, value) {
        (_, Value::Null) | (Scalar::Other, _) => None,
        (Scalar::Text, Value::String(text)) => problem_of_text(shape, key, text),
        (Scalar::Boolean, Value::Bool(_)) => None,
        (Scalar::Integer | Scalar::Number, Value::Number(number)) => {
            let number = number.as_f64()?;
            if scalar == Scalar::Integer && number.fract() != 0.0 {
                return problem(
                    Code::ArgumentValue,
                    format!("{key} takes a whole number, and this is {value}"),
                );
            }
            out_of_range(limits, number).and_then(|range| {
                problem(
                    Code::ArgumentLimit,
                    format!("{key} is {value}, and takes {range}"),
                )
            })
        }
        _ => {
            let cure = match (scalar, value) {
                (Scalar::Text, Value::Number(_) | Value::Bool(_)) => {
                    format!(": write \"{value}\" in quotes")
                }
                (_, Value::String(text)) if reads_as(scalar, text) => {
                    format!(": write {text} without quotes")
                }
                _ => String::new(),
            };
            problem(
                Code::ArgumentValue,
                format!(
                    "{} is needed here, not {}{cure}",
                    needed(scalar),
                    kind_of(value)
                ),
            )
        }
    }
}

/// Whether a text would be of the kind without its quotes.
fn reads_as(scalar: Scalar, text: &str) -> bool {
    matches!(
        (scalar, serde_json::from_str(text)),
        (Scalar::Boolean, Ok(Value::Bool(_)))
            | (Scalar::Integer | Scalar::Number, Ok(Value::Number(_)))
    )
}

/// What is wrong with a text, or a map's key.
pub(super) fn problem_of_text(shape: Shape, key: &str, text: &str) -> Option<Problem> {
    let limits = shape.limits();
    if !limits.values.is_empty() {
        return problem_of_choice(limits, key, text);
    }
    // A text that is not of the form at all tells more by that than by its length.
    if let Some(pattern) = limits
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.fits(text))
    {
        let form = form_of(shape.name()).map_or_else(
            || format!("text of the form {}", pattern.text),
            str::to_owned,
        );
        let code = match &limits.tolerated {
            Some(tolerated) if tolerated.fits(text) => Code::DoubtfulValue,
            _ => Code::ArgumentLimit,
        };
        let found = if text.is_empty() {
            "is empty"
        } else {
            "has another form"
        };
        return problem(
            code,
            format!(
                "{key} takes {form}, and this text {found}{}",
                unfilled(text)
            ),
        );
    }
    let length = text.chars().count();
    out_of_range(limits, as_number(length)).and_then(|range| {
        problem(
            Code::ArgumentLimit,
            format!("the text has {length} characters, and {key} takes {range}"),
        )
    })
}

fn problem_of_choice(limits: &Limits, key: &str, text: &str) -> Option<Problem> {
    if limits.values.contains(&text) {
        return None;
    }
    if limits.grows {
        let hint = likely(text, limits.values.iter().copied())
            .map_or_else(String::new, |near| format!(": did you mean {near:?}?"));
        return problem(
            Code::DoubtfulValue,
            format!(
                "{} is none of the {} values of {key} that are known{hint}",
                show(text),
                limits.values.len()
            ),
        );
    }
    let mut choice = choice(text, &limits.values);
    if limits.values.len() <= 6 && choice.starts_with(": did you mean") {
        choice += &format!(" It is {}", one_of(&limits.values));
    }
    problem(
        Code::ArgumentValue,
        format!(
            "{} is not a value of {key}{choice}{}",
            show(text),
            unfilled(text)
        ),
    )
}

/// What is wrong with the size of a list or a map, if anything.
pub(super) fn problem_of_size(shape: Shape, key: &str, size: usize) -> Option<Problem> {
    let unit = match (shape.step(), size) {
        (ShapeStep::Map { .. }, 1) => "entry",
        (ShapeStep::Map { .. }, _) => "entries",
        (_, 1) => "item",
        _ => "items",
    };
    out_of_range(shape.limits(), as_number(size)).and_then(|range| {
        problem(
            Code::ArgumentLimit,
            format!("{key} has {size} {unit}, and takes {range}"),
        )
    })
}

/// A length or count as the table has it.
#[expect(
    clippy::cast_precision_loss,
    reason = "no definition comes near 2^53 characters"
)]
const fn as_number(count: usize) -> f64 {
    count as f64
}

/// The range that a number is outside of, in words.
fn out_of_range(limits: &Limits, number: f64) -> Option<String> {
    match (limits.least, limits.most) {
        (Some(least), _) if number < least => Some(format!("at least {least}")),
        (_, Some(most)) if number > most => Some(format!("at most {most}")),
        _ => None,
    }
}

/// What texts of a shape look like, for people.
fn form_of(shape: &str) -> Option<&'static str> {
    Some(match shape {
        "RoleArn" => "a role's ARN, such as arn:aws:iam::111122223333:role/NAME",
        "S3Uri" | "Url" | "DestinationS3Uri" => "a location such as s3://BUCKET/KEY",
        "ContainerImage" => "an image's address, without blanks",
        "ChannelName" => "letters, digits, ., - and _",
        "SubnetId" => "a subnet's id, such as subnet-0a1b2c3d",
        "SecurityGroupId" => "a security group's id, such as sg-0a1b2c3d",
        "ContentDigest" | "ImageDigest" => "sha256: and 64 hexadecimal digits",
        "ModelName"
        | "InferenceComponentName"
        | "ProcessingJobName"
        | "TrainingJobName"
        | "TransformJobName"
        | "HyperParameterTuningJobName"
        | "AutoMLJobName"
        | "EndpointName"
        | "EndpointConfigName"
        | "EntityName" => "letters, digits and -, and begins and ends with a letter or digit",
        "ProcessingEnvironmentKey"
        | "TrainingEnvironmentKey"
        | "EnvironmentKey"
        | "TransformEnvironmentKey" => "letters, digits and _, and begins with no digit",
        _ => return None,
    })
}

/// A word about a placeholder in a text that nothing filled.
fn unfilled(text: &str) -> &'static str {
    if text.contains("${") || text.contains("{{") {
        " (a placeholder in it was not filled)"
    } else {
        ""
    }
}
