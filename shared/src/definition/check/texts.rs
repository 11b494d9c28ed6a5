//! Texts and objects that belong to another language: Python's prints of
//! objects, placeholders that nothing filled, CloudFormation's functions.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::names::unfilled;
use super::{Checker, Code};
use crate::definition::path::JsonPath;
use crate::definition::reference::{walk, walk_step};

/// How CloudFormation's values get into a definition.
pub(super) const CURE_OF_FOREIGN: &str = "SageMaker does not resolve CloudFormation's functions \
    within a definition; make a key {{ Name }} of it in a template, or write the definition as \
    one text in Fn::Sub";

/// The function of CloudFormation that an object is: `Ref` or `Fn::...`.
pub(super) fn foreign_function(object: &Map<String, Value>) -> Option<&str> {
    let key = object.keys().next().filter(|_| object.len() == 1)?;
    (key == "Ref" || key.starts_with("Fn::")).then_some(key)
}

/// What an object is that stands where none may, with the cure where there is one.
pub(super) fn described(object: &Map<String, Value>) -> String {
    if let Some(name) = foreign_function(object) {
        return format!("{name}: {CURE_OF_FOREIGN}");
    }
    let only = object.keys().next().filter(|_| object.len() == 1);
    match only.map(String::as_str) {
        Some("Join" | "Std.Join" | "std:Join" | "Std::Join") => {
            return "an object: the function is Std:Join".to_owned();
        }
        Some("JsonGet" | "Std.JsonGet" | "std:JsonGet" | "Std::JsonGet") => {
            return "an object: the function is Std:JsonGet".to_owned();
        }
        Some("get" | "GET" | "Std:Get") => return "an object: the reference is Get".to_owned(),
        _ => {}
    }
    if object.contains_key("Values") && object.keys().all(|key| key == "On" || key == "Values") {
        return "an object with Values: {\"Std:Join\": {\"On\": ..., \"Values\": [...]}} is meant"
            .to_owned();
    }
    "an object".to_owned()
}

/// How Python prints the variables of the SDK, and other objects that cannot
/// have been meant as a text.
static PRINTED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        // The default print of any object.
        r"<[\w.]+(?: [\w.<>]+)* (?:object )?at 0x[0-9a-f]+>",
        // The SDK's own classes.
        r"|\bParameter(?:String|Integer|Float|Boolean)?\(name='[^']*'[^()]*\)",
        r"|\bJoin\(on='|\bJsonGet\(step(?:_name)?='|\bExecutionVariable\(name='",
        r"|\b(?:PropertyFile\(name='|(?:Lambda|Callback)Output\(output_name=')",
        r"|\{'_step': None, 'step_name': ",
        r"|<\w+(?:Enum|\.\w+)\.?\w*: '",
        // What stands for them in the definition, as a text.
        r#"|\{['"]Get['"]: ?['"](?:Parameters|Steps|Execution|PipelineExperimentConfig)\."#,
        r#"|\{['"]Std:(?:Join|JsonGet)['"]: ?\{"#,
        r"|\b(?:Posix|Windows|PurePosix)Path\('",
    ))
    .ok()
});

/// The part of a text that is Python's print of an object.
fn printed(text: &str) -> Option<&str> {
    // All forms have one of these; the rest need not be looked through.
    if !text.contains(['<', '(', '{']) {
        return None;
    }
    PRINTED.as_ref()?.find(text).map(|found| found.as_str())
}

/// A placeholder that CloudFormation or Terraform would have filled:
/// `${AWS::Region}`, `${var.bucket}`, `${aws_iam_role.r.arn}`.
fn placeholder(text: &str) -> Option<&str> {
    const ROOTS: [&str; 8] = [
        "AWS::", "var.", "local.", "module.", "data.", "aws_", "each.", "path.",
    ];
    let mut from = 0;
    while let Some(start) = text[from..].find("${").map(|at| from + at) {
        let inside = &text[start + 2..];
        let end = inside.find('}')?;
        let name = inside[..end].trim();
        let whole = &text[start..start + 2 + end + 1];
        if ROOTS.iter().any(|root| {
            name.strip_prefix(root)
                .is_some_and(|rest| *root != "aws_" || rest.contains('.'))
        }) {
            return Some(whole);
        }
        from = start + 2;
    }
    None
}

impl Checker<'_> {
    /// Looks at every text for what was to be something else.
    pub(super) fn check_texts_of_values(&mut self) {
        let mut found = Vec::new();
        let mut look = |value: &Value, path: &JsonPath<'_>| {
            let Some(text) = value.as_str() else { return };
            if let Some(part) = printed(text) {
                // The name tells enough; what follows may be anybody's value.
                let name = part.split(['(', ' ', ':']).next().unwrap_or_default();
                let message = format!(
                    "{name}... is how Python prints an object: use to_string() or Join to make a \
                     text of a pipeline variable, not str() or an f-string"
                );
                found.push((Code::Printed, path.clone().into_owned(), message));
            } else if let Some(part) = unfilled(text) {
                let message = format!(
                    "{part} looks like a template's key that was left unfilled; SageMaker takes \
                     it as it is"
                );
                found.push((Code::UnfilledKey, path.clone().into_owned(), message));
            } else if let Some(part) = placeholder(text) {
                let message = format!(
                    "{part} looks like a placeholder of CloudFormation or Terraform that was left \
                     unfilled; SageMaker takes it as it is"
                );
                found.push((Code::UnfilledKey, path.clone().into_owned(), message));
            }
        };
        for parameter in self.parameters {
            if let Some(value) = parameter.default_value() {
                let path = parameter.path().key("DefaultValue");
                walk(value, path, |_, _| false, &mut look);
            }
        }
        for step in self.steps {
            walk_step(step, &mut look);
        }
        for (code, path, message) in found {
            self.report(code, path, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PRINTED, placeholder, printed};

    #[test]
    fn prints_of_python_objects_are_known() {
        assert!(PRINTED.is_some());
        for text in [
            "ParameterInteger(name='Folds', parameter_type=<ParameterTypeEnum.INTEGER: 'Integer'>, default_value=3)",
            "s3://b/<sagemaker.workflow.properties.Properties object at 0x7f3a5c0b1d30>/x",
            "<function make at 0x7f3a5c0b1d30>",
            "<bound method Join.to_string of Join(on='', values=[])>",
            "--in={'Get': 'Parameters.Folds'}",
            r#"{"Std:Join": {"On": ""}}"#,
            "{'_step': None, 'step_name': 'X', 'path': 'ModelArtifacts'}",
            "<ProcessingS3UploadMode.END: 'EndOfJob'>",
            "PosixPath('/opt/ml')",
        ] {
            assert!(printed(text).is_some(), "{text}");
        }
        for text in [
            "a < b > c",
            "<html>",
            "{\"Get\": 1}",
            "{'name': 'x'}",
            "Join(a, b)",
            "print(\"Parameters.X\")",
            "if x < 3 (or so)",
        ] {
            assert_eq!(printed(text), None, "{text}");
        }
    }

    #[test]
    fn placeholders_of_other_tools_are_known() {
        for (text, found) in [
            ("arn:${AWS::Partition}:x", Some("${AWS::Partition}")),
            ("s3://${var.bucket}/x", Some("${var.bucket}")),
            ("${aws_iam_role.r.arn}", Some("${aws_iam_role.r.arn}")),
            ("echo ${HOME} ${aws_region}", None),
            ("${", None),
        ] {
            assert_eq!(placeholder(text), found, "{text}");
        }
    }
}
