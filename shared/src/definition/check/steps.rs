//! The envelope of the steps: names, types, dependencies, cache, retries.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::names::{is_name, show};
use super::{Checker, Code};
use crate::definition::model::{Side, Step, StepKind};
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::definition::source::kind_of;
use crate::nearest::likely;

/// The longest name of a step.
const LONGEST_NAME: usize = 64;
/// The longest display name that the API takes.
const LONGEST_DISPLAY_NAME: usize = 256;
/// The longest description: the API takes 3,072 characters, the published
/// schema 4,096.
const LONGEST_DESCRIPTION: usize = 4096;

/// The members that a step of any type may have.
const KEYS: [&str; 8] = [
    "Name",
    "Type",
    "Arguments",
    "DependsOn",
    "DisplayName",
    "Description",
    "CacheConfig",
    "RetryPolicies",
];

/// The members that quality and Clarify checks have besides.
const KEYS_OF_CHECKS: [&str; 8] = [
    "CheckType",
    "ModelPackageGroupName",
    "ModelName",
    "SkipCheck",
    "FailOnViolation",
    "RegisterNewBaseline",
    "SuppliedBaselineStatistics",
    "SuppliedBaselineConstraints",
];

/// The exceptions that can be retried.
const EXCEPTIONS: [&str; 6] = [
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
    "Emr.RESOURCE_LIMIT",
];

impl Checker<'_> {
    pub(super) fn check_steps(&mut self) {
        let path = JsonPath::root().key("Steps");
        self.check_list_of_steps(self.definition.member("Steps"), path.clone());
        if self.definition.member("Steps") == Some(&Value::Array(Vec::new())) {
            self.report(Code::NoSteps, path, "the definition has no step");
        }
        let steps = self.steps;
        for (position, step) in steps.iter().enumerate() {
            self.check_name(position, step);
            self.check_type(step);
            self.check_texts(step);
            self.check_keys(step);
            self.check_depends_on(position, step);
            self.check_cache(step);
            self.check_retries(step);
            self.check_property_files(step);
            self.check_output_parameters(step);
            self.check_arguments(step);
        }
    }

    /// Checks that a list of steps, also a branch, is one.
    pub(super) fn check_list_of_steps(&mut self, list: Option<&Value>, path: JsonPath<'_>) {
        match list {
            Some(Value::Array(entries)) => {
                for (index, entry) in entries.iter().enumerate() {
                    if !entry.is_object() {
                        self.report(
                            Code::Steps,
                            path.index(index),
                            format!("a step is an object, not {}", kind_of(entry)),
                        );
                    }
                }
            }
            Some(other) => {
                let message = format!("a list of steps is an array, not {}", kind_of(other));
                self.report(Code::Steps, path, message);
            }
            None => self.report(Code::Steps, path, "the list of steps is missing"),
        }
    }

    fn check_name(&mut self, position: usize, step: &Step<'_>) {
        let path = step.path().key("Name");
        match step.member("Name") {
            Some(Value::String(name)) if is_name(name) && name.len() <= LONGEST_NAME => {
                let first = self.index.get(name.as_str()).copied().unwrap_or(position);
                if first != position {
                    let message = format!(
                        "the name {} is already taken by {}: names are unique over the whole \
                         definition, branches included",
                        show(name),
                        self.steps[first].path()
                    );
                    self.report(Code::DuplicateStep, path, message);
                }
            }
            Some(Value::String(name)) => self.report(
                Code::StepName,
                path,
                format!(
                    "{} is no step's name: 1 to {LONGEST_NAME} letters, digits, - and _{}",
                    show(name),
                    if name.len() > LONGEST_NAME {
                        format!(", and this has {}", name.chars().count())
                    } else {
                        String::new()
                    }
                ),
            ),
            Some(other) => {
                let message = format!("Name is a text, not {}", kind_of(other));
                self.report(Code::StepName, path, message);
            }
            None => self.report(Code::StepName, path, "the step has no Name"),
        }
    }

    fn check_type(&mut self, step: &Step<'_>) {
        let path = step.path().key("Type");
        match step.member("Type") {
            Some(Value::String(name)) if !name.is_empty() => {
                if step.kind() == StepKind::Unknown {
                    let hint = self.suggestions.hint(name, StepKind::NAMES.iter().copied());
                    self.report(
                        Code::UnknownStepType,
                        path,
                        format!("the type {} is not known{hint}", show(name)),
                    );
                }
            }
            Some(Value::String(_)) | None => {
                let meant = step
                    .members()
                    .keys()
                    .filter(|key| !KEYS.contains(&key.as_str()))
                    .find(|key| likely(key, ["Type"]).is_some())
                    .map_or_else(String::new, |key| {
                        format!(": {key:?} seems to be meant for it")
                    });
                let message = format!("the step {} has no Type{meant}", show(step.name()));
                self.report(Code::StepType, path, message);
            }
            Some(other) => {
                let message = format!("Type is a text, not {}", kind_of(other));
                self.report(Code::StepType, path, message);
            }
        }
    }

    fn check_texts(&mut self, step: &Step<'_>) {
        for (key, longest) in [
            ("DisplayName", LONGEST_DISPLAY_NAME),
            ("Description", LONGEST_DESCRIPTION),
        ] {
            match step.member(key) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => {
                    let length = text.chars().count();
                    if length > longest {
                        self.report(
                            Code::Text,
                            step.path().key(key),
                            format!("{key} has {length} characters, and takes {longest}"),
                        );
                    }
                }
                Some(other) => self.report(
                    Code::Text,
                    step.path().key(key),
                    format!("{key} is a text, not {}", kind_of(other)),
                ),
            }
        }
    }

    fn check_keys(&mut self, step: &Step<'_>) {
        let kind = step.kind();
        if kind == StepKind::Unknown {
            return;
        }
        let more: &[&str] = match kind {
            StepKind::Processing => &["PropertyFiles"],
            StepKind::Lambda => &["FunctionArn", "OutputParameters"],
            StepKind::Callback => &["SqsQueueUrl", "OutputParameters"],
            StepKind::QualityCheck | StepKind::ClarifyCheck => &KEYS_OF_CHECKS,
            _ => &[],
        };
        for key in step.members().keys().map(String::as_str) {
            // These two are looked at where they are checked.
            if KEYS.contains(&key)
                || more.contains(&key)
                || matches!(key, "PropertyFiles" | "OutputParameters")
            {
                continue;
            }
            let known: Vec<&str> = KEYS.iter().chain(more).copied().collect();
            let of = format!("a step of type {}", step.type_name());
            self.report_unknown_key(step.path().key(key), key, &of, &known);
        }
    }

    fn check_depends_on(&mut self, position: usize, step: &Step<'_>) {
        let path = step.path().key("DependsOn");
        let names = match step.member("DependsOn") {
            None | Some(Value::Null) => return,
            Some(Value::Array(names)) => names,
            Some(other) => {
                let message = format!(
                    "DependsOn is an array of step names, not {}",
                    kind_of(other)
                );
                return self.report(Code::DependsOn, path, message);
            }
        };
        let mut seen = HashSet::new();
        for (item, name) in names.iter().enumerate() {
            let path = path.index(item);
            let Some(name) = name.as_str() else {
                let message = format!("DependsOn names steps by text, not by {}", kind_of(name));
                self.report(Code::DependsOn, path, message);
                continue;
            };
            if !seen.insert(name) {
                self.report(
                    Code::RepeatedDependency,
                    path,
                    format!("the step {} is named twice", show(name)),
                );
                continue;
            }
            match self.index.get(name).copied() {
                _ if name == step.name() => self.report(
                    Code::SelfReference,
                    path,
                    format!("the step {} depends on itself", show(name)),
                ),
                None => {
                    let hint = self.nearest_step(name);
                    let message = format!("there is no step {}{hint}", show(name));
                    self.report(Code::Dangling, path, message);
                }
                Some(target) => {
                    if self.steps[target].kind() == StepKind::Fail {
                        self.report(
                            Code::FailReference,
                            path.clone(),
                            format!(
                                "{} is a Fail step: it ends the execution, and nothing can depend \
                                 on it",
                                show(name)
                            ),
                        );
                    }
                    self.check_branches(position, target, &path, name);
                }
            }
        }
    }

    /// Checks that a step can wait for another as far as branches go; `path`
    /// and `text` are those of what makes it wait.
    pub(super) fn check_branches(
        &mut self,
        source: usize,
        target: usize,
        path: &JsonPath<'_>,
        text: &str,
    ) {
        let steps = self.steps;
        let branches = |mut step: usize| {
            std::iter::from_fn(move || {
                let branch = steps[step].branch()?;
                step = branch.condition;
                Some(branch)
            })
        };
        let Some(of_target) = steps[target].branch() else {
            return;
        };
        if branches(source).any(|branch| branch == of_target) {
            return;
        }
        let condition = steps[of_target.condition].name();
        if branches(target).any(|branch| branch.condition == source) {
            return self.report(
                Code::ImpossibleBranch,
                path.clone(),
                format!(
                    "{}: the condition {} waits for a step of its own branch",
                    show(text),
                    show(steps[source].name())
                ),
            );
        }
        let opposite = branches(target).find(|branch| {
            branches(source)
                .any(|other| other.condition == branch.condition && other.side != branch.side)
        });
        if let Some(branch) = opposite {
            let (this, other) = match branch.side {
                Side::If => ("ElseSteps", "IfSteps"),
                Side::Else => ("IfSteps", "ElseSteps"),
            };
            return self.report(
                Code::ImpossibleBranch,
                path.clone(),
                format!(
                    "{}: a step in the {this} of {} waits for one in its {other}, which runs only \
                     when this one does not",
                    show(text),
                    show(steps[branch.condition].name())
                ),
            );
        }
        self.report(
            Code::BranchReference,
            path.clone(),
            format!(
                "{}: the step {} runs only if its branch of the condition {} is taken, and this \
                 step stands outside of that branch",
                show(text),
                show(steps[target].name()),
                show(condition)
            ),
        );
    }

    fn check_cache(&mut self, step: &Step<'_>) {
        let path = step.path().key("CacheConfig");
        let cache = match step.member("CacheConfig") {
            None | Some(Value::Null) => return,
            Some(Value::Object(cache)) => cache,
            Some(other) => {
                let message = format!("CacheConfig is an object, not {}", kind_of(other));
                return self.report(Code::Cache, path, message);
            }
        };
        match cache.get("Enabled") {
            Some(Value::Bool(_)) => {}
            Some(other) => {
                let message = format!("Enabled is true or false, not {other}");
                self.report(Code::Cache, path.key("Enabled"), message);
            }
            None => self.report(
                Code::Cache,
                path.key("Enabled"),
                "CacheConfig lacks Enabled",
            ),
        }
        match cache.get("ExpireAfter") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if is_duration(text) => {}
            Some(other) => self.report(
                Code::Cache,
                path.key("ExpireAfter"),
                format!("{other} is no ISO 8601 duration such as \"PT1H\" or \"P30D\""),
            ),
        }
        self.check_members(cache, &path, "CacheConfig", &["Enabled", "ExpireAfter"]);
        if matches!(
            step.kind(),
            StepKind::Condition | StepKind::Fail | StepKind::Model | StepKind::RegisterModel
        ) {
            let message = format!("steps of type {} are not cached", step.type_name());
            self.report(Code::UncachedType, path, message);
        }
    }

    /// Reports the members of an object that are not known.
    fn check_members(
        &mut self,
        object: &Map<String, Value>,
        path: &JsonPath<'_>,
        of: &str,
        known: &[&str],
    ) {
        for key in object.keys() {
            if !known.contains(&key.as_str()) {
                // The key borrows from the definition, the path may not.
                let mut place = path.clone().into_owned();
                place.push_owned_key(key.clone());
                self.report_unknown_key(place, key, of, known);
            }
        }
    }

    fn check_retries(&mut self, step: &Step<'_>) {
        let path = step.path().key("RetryPolicies");
        let policies = match step.member("RetryPolicies") {
            None | Some(Value::Null) => return,
            Some(Value::Array(policies)) => policies,
            Some(other) => {
                let message = format!("RetryPolicies is an array, not {}", kind_of(other));
                return self.report(Code::Retry, path, message);
            }
        };
        if matches!(step.kind(), StepKind::Condition | StepKind::Fail) {
            let message = format!("steps of type {} are not retried", step.type_name());
            self.report(Code::UnknownRetry, path.clone(), message);
        }
        for (index, policy) in policies.iter().enumerate() {
            let path = path.index(index);
            match policy.as_object() {
                Some(policy) => self.check_retry(policy, &path),
                None => {
                    let message = format!("a retry policy is an object, not {}", kind_of(policy));
                    self.report(Code::Retry, path, message);
                }
            }
        }
    }

    fn check_retry(&mut self, policy: &Map<String, Value>, path: &JsonPath<'_>) {
        let types = path.key("ExceptionType");
        match policy.get("ExceptionType") {
            Some(Value::Array(exceptions)) => {
                if exceptions.is_empty() {
                    self.report(Code::Retry, types.clone(), "no exception is named");
                }
                for (index, exception) in exceptions.iter().enumerate() {
                    match exception.as_str() {
                        Some(name) if EXCEPTIONS.contains(&name) => {}
                        Some(name) => {
                            let hint = self.suggestions.hint(name, EXCEPTIONS);
                            self.report(
                                Code::UnknownRetry,
                                types.index(index),
                                format!("the exception {} is not documented{hint}", show(name)),
                            );
                        }
                        None => self.report(
                            Code::Retry,
                            types.index(index),
                            format!(
                                "an exception is named by text, not by {}",
                                kind_of(exception)
                            ),
                        ),
                    }
                }
            }
            Some(other) => self.report(
                Code::Retry,
                types,
                format!("ExceptionType takes an array, here [{other}]"),
            ),
            None => self.report(Code::Retry, types, "the policy names no ExceptionType"),
        }
        for (key, whole, least, most) in [
            ("IntervalSeconds", true, 0.0, 43_200.0),
            ("BackoffRate", false, 0.0, f64::INFINITY),
            ("MaxAttempts", true, 0.0, 20.0),
            ("ExpireAfterMin", true, 0.0, 14_400.0),
        ] {
            let Some(value) = policy.get(key).filter(|value| !value.is_null()) else {
                continue;
            };
            let fits = value.as_f64().is_some_and(|number| {
                (least..=most).contains(&number) && (!whole || number.fract() == 0.0)
            });
            if !fits {
                let kind = if whole { "a whole number" } else { "a number" };
                let range = if most.is_finite() {
                    format!("{least} to {most}")
                } else {
                    format!("{least} or more")
                };
                self.report(
                    Code::Retry,
                    path.key(key),
                    format!("{key} is {kind} of {range}, not {value}"),
                );
            }
        }
        let given = |key: &str| policy.get(key).is_some_and(|value| !value.is_null());
        if given("MaxAttempts") && given("ExpireAfterMin") {
            self.report(
                Code::Retry,
                path.key("ExpireAfterMin"),
                "a policy ends by MaxAttempts or by ExpireAfterMin, not by both",
            );
        }
        self.check_members(
            policy,
            path,
            "a retry policy",
            &[
                "ExceptionType",
                "IntervalSeconds",
                "BackoffRate",
                "MaxAttempts",
                "ExpireAfterMin",
            ],
        );
    }

    fn check_property_files(&mut self, step: &Step<'_>) {
        let path = step.path().key("PropertyFiles");
        let files = match step.member("PropertyFiles") {
            None | Some(Value::Null) => return,
            Some(Value::Array(files)) => files,
            Some(other) => {
                let message = format!("PropertyFiles is an array, not {}", kind_of(other));
                return self.report(Code::PropertyFile, path, message);
            }
        };
        if !matches!(step.kind(), StepKind::Processing | StepKind::Unknown) && !files.is_empty() {
            self.report(
                Code::PropertyFilesElsewhere,
                path.clone(),
                format!(
                    "only Processing steps have property files, not {}",
                    step.type_name()
                ),
            );
        }
        let outputs = super::references::named_items(
            step,
            &["ProcessingOutputConfig", "Outputs"],
            "OutputName",
        );
        let mut seen = HashSet::new();
        for (index, file) in files.iter().enumerate() {
            let path = path.index(index);
            for key in ["PropertyFileName", "OutputName", "FilePath"] {
                if file
                    .get(key)
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
                {
                    self.report(
                        Code::PropertyFile,
                        path.key(key),
                        format!("a property file needs {key}, a text"),
                    );
                }
            }
            if let Some(name) = file.get("PropertyFileName").and_then(Value::as_str)
                && !seen.insert(name)
            {
                self.report(
                    Code::PropertyFile,
                    path.key("PropertyFileName"),
                    format!("the property file {} is declared twice", show(name)),
                );
            }
            if let (Some(output), Some(outputs)) =
                (file.get("OutputName").and_then(Value::as_str), &outputs)
                && step.kind() == StepKind::Processing
                && !outputs.contains(&output)
            {
                let hint = self.suggestions.hint(output, outputs.iter().copied());
                self.report(
                    Code::PropertyFile,
                    path.key("OutputName"),
                    format!("the step has no output {}{hint}", show(output)),
                );
            }
        }
    }

    fn check_output_parameters(&mut self, step: &Step<'_>) {
        let path = step.path().key("OutputParameters");
        let outputs = match step.member("OutputParameters") {
            None | Some(Value::Null) => return,
            Some(Value::Array(outputs)) => outputs,
            Some(other) => {
                let message = format!("OutputParameters is an array, not {}", kind_of(other));
                return self.report(Code::OutputParameter, path, message);
            }
        };
        if !matches!(
            step.kind(),
            StepKind::Lambda | StepKind::Callback | StepKind::Unknown
        ) {
            self.report(
                Code::UnknownKey,
                path.clone(),
                format!(
                    "only Lambda and Callback steps have output parameters, not {}",
                    step.type_name()
                ),
            );
        }
        let mut seen = HashSet::new();
        for (index, output) in outputs.iter().enumerate() {
            let path = path.index(index);
            match output.get("OutputName").and_then(Value::as_str) {
                Some(name) if !name.is_empty() => {
                    if !seen.insert(name) {
                        self.report(
                            Code::OutputParameter,
                            path.key("OutputName"),
                            format!("the output parameter {} is declared twice", show(name)),
                        );
                    }
                }
                _ => self.report(
                    Code::OutputParameter,
                    path.key("OutputName"),
                    "an output parameter needs OutputName, a text",
                ),
            }
            const TYPES: [&str; 4] = ["String", "Integer", "Boolean", "Float"];
            let found = output.get("OutputType");
            if !found
                .and_then(Value::as_str)
                .is_some_and(|name| TYPES.contains(&name))
            {
                let choice = self
                    .suggestions
                    .choice(found.and_then(Value::as_str).unwrap_or_default(), &TYPES);
                self.report(
                    Code::OutputParameter,
                    path.key("OutputType"),
                    match found {
                        None => format!("OutputType is missing{choice}"),
                        Some(found) => format!("there is no OutputType {found}{choice}"),
                    },
                );
            }
        }
    }

    /// Checks that a member that must be a plain text is one.
    pub(super) fn check_plain_text(&mut self, step: &Step<'_>, key: &'static str) {
        match step.member(key) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::Object(object)) if Function::of(object).is_some() => self.report(
                Code::Arguments,
                step.path().key(key),
                format!("{key} must be a text: no function or reference may stand here"),
            ),
            Some(other) => self.report(
                Code::Arguments,
                step.path().key(key),
                format!("{key} is a text, not {other}"),
            ),
            None => self.report(
                Code::Arguments,
                step.path().key(key),
                format!("a step of type {} needs {key}", step.type_name()),
            ),
        }
    }
}

/// Whether a text is a duration of ISO 8601 or of the looser forms that the
/// documentation shows: `PT1H`, `P30d`, `T12H`, `30d`.
fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix('P').unwrap_or(&text);
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let parts = |text: &str, units: &str| -> bool {
        // Each unit at most once and in order.
        let mut units = units.chars();
        let mut digits = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() || (c == '.' && !digits.is_empty()) {
                digits.push(c);
            } else if digits.is_empty() || !units.any(|unit| unit == c) {
                return false;
            } else {
                digits.clear();
            }
        }
        digits.is_empty()
    };
    (!date.is_empty() || time.is_some_and(|time| !time.is_empty()))
        && parts(date, "YMWD")
        && time.is_none_or(|time| !time.is_empty() && parts(time, "HMS"))
}

#[cfg(test)]
mod tests {
    use super::is_duration;

    #[test]
    fn durations_are_read_in_all_forms_that_the_documentation_shows() {
        for text in [
            "PT1H",
            "P30d",
            "T12H",
            "T30m",
            "30d",
            "10d",
            "P1Y2M3DT4H5M6.5S",
            "P7D",
        ] {
            assert!(is_duration(text), "{text}");
        }
        for text in [
            "1 hour", "", "P", "PT", "1", "PT1D", "P1H", "H", "P1DT", "1d1d", "-1d",
        ] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
