//! The envelope of the steps: names, types, dependencies, cache, retries.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::names::{choice, is_name, meant, one_of, show};
use super::texts::described;
use super::{Checker, Code};
use crate::definition::model::{Step, dependency_name};
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::definition::shapes::{self, Scalar};
use crate::definition::step_types::{Arguments, Beside, StepKind, StepType};
use crate::nearest::likely;
use crate::reading::kind_of;

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

/// The members of a property file.
const KEYS_OF_PROPERTY_FILES: [&str; 3] = ["PropertyFileName", "OutputName", "FilePath"];

/// The known members that the unknown ones of an object stand for.
pub(super) fn misspelt_as<'k>(object: &Map<String, Value>, known: &[&'k str]) -> Vec<&'k str> {
    object
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .filter_map(|key| meant(key, known.iter().copied()))
        .filter(|found| found.surely)
        .map(|found| found.name)
        .collect()
}

/// The outcomes of a step that another can wait for.
const TRIGGERS: [&str; 4] = ["Completed", "Failed", "Stopped", "Any"];

/// The type of steps that a wrong name was meant for, where that is clear.
fn type_meant(name: &str) -> Option<&'static str> {
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let core = letters.strip_prefix("sagemaker").unwrap_or(&letters);
    let core = core.strip_prefix("create").unwrap_or(core);
    let core = core.strip_suffix("step").unwrap_or(core);
    let core = core.strip_suffix("job").unwrap_or(core);
    let called_so = |known: &&str| {
        let step_type = StepKind::from_name(known).step_type();
        step_type.other_names.contains(&core) || known.eq_ignore_ascii_case(core)
    };
    StepKind::NAMES.iter().copied().find(called_so).or_else(|| {
        meant(name, StepKind::NAMES.iter().copied())
            .filter(|found| found.surely)
            .map(|found| found.name)
    })
}

/// The members that a step of a type may have.
pub(super) fn members_of(step_type: &StepType) -> Vec<&'static str> {
    let beside = step_type.beside.iter().map(|(name, _)| *name);
    KEYS.iter().copied().chain(beside).collect()
}

/// Whether the arguments of a type have a member of that name.
fn is_argument(arguments: Arguments, key: &str) -> bool {
    match arguments {
        Arguments::Request(call) => {
            shapes::request(call).is_some_and(|request| request.member(key).is_some())
        }
        Arguments::Branches => matches!(key, "Conditions" | "IfSteps" | "ElseSteps"),
        Arguments::Message => key == "ErrorMessage",
        Arguments::Free | Arguments::Optional | Arguments::Loop | Arguments::Outputs => false,
    }
}

impl Checker<'_> {
    pub(super) fn check_steps(&mut self) {
        let path = JsonPath::root().key("Steps");
        self.check_list_of_steps(self.definition.member("Steps"), path.clone());
        if self.definition.member("Steps") == Some(&Value::Array(Vec::new())) {
            self.report(Code::NoSteps, path, "the definition has no step");
        }
        let steps = self.steps;
        for (position, step) in steps.iter().enumerate() {
            self.check_step(position, step);
        }
        for (for_each, step) in self.bodies {
            self.check_step(*for_each, step);
        }
    }

    /// Checks a step; one of a body goes by the position of its ForEach step.
    fn check_step(&mut self, position: usize, step: &Step<'_>) {
        self.check_name(step);
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

    /// The first step of that name, also in a body.
    fn first_of_name(&self, name: &str) -> Option<&Step<'_>> {
        match self.index.get(name) {
            Some(position) => Some(&self.steps[*position]),
            None => self
                .body_index
                .get(name)
                .map(|position| &self.bodies[*position].1),
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

    fn check_name(&mut self, step: &Step<'_>) {
        let path = step.path().key("Name");
        match step.member("Name") {
            Some(Value::String(name)) if is_name(name) && name.len() <= LONGEST_NAME => {
                let first = self.first_of_name(name).map(Step::path);
                if let Some(first) = first.filter(|first| *first != step.path()) {
                    let message = format!(
                        "the name {} is already taken by {first}: names are unique over the whole \
                         definition, branches included",
                        show(name)
                    );
                    self.report(Code::DuplicateStep, path, message);
                }
            }
            Some(Value::String(name)) => self.report(
                Code::StepName,
                path,
                format!(
                    "{} is not a step's name: 1 to {LONGEST_NAME} letters, digits, - and _{}",
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
                if step.kind() != StepKind::Unknown || StepKind::ANNOUNCED.contains(&name.as_str())
                {
                    return;
                }
                let found = show(name);
                match type_meant(name) {
                    Some(meant) => self.report(
                        Code::StepType,
                        path,
                        format!("there is no type {found} of steps: did you mean {meant:?}?"),
                    ),
                    None => self.report(
                        Code::UnknownStepType,
                        path,
                        format!("the type {found} is not known"),
                    ),
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
        if step.kind() == StepKind::Unknown {
            return;
        }
        let step_type = step.step_type();
        let known = members_of(step_type);
        for key in step.members().keys().map(String::as_str) {
            // These two are looked at where they are checked.
            if known.contains(&key) || matches!(key, "PropertyFiles" | "OutputParameters") {
                continue;
            }
            let of = format!("a step of type {}", step.type_name());
            let path = step.path().key(key);
            if is_argument(step_type.arguments, key) {
                let message = format!(
                    "{of} has no member {}: it belongs into Arguments",
                    show(key)
                );
                self.report(Code::MisspeltKey, path, message);
            } else {
                self.report_unknown_key(path, key, &of, &known);
            }
        }
        for (key, member) in step_type.beside {
            match member {
                Beside::Text => self.check_member_type(step, key, Scalar::Text),
                Beside::Boolean => self.check_member_type(step, key, Scalar::Boolean),
                // Looked at where the arguments or these lists are.
                Beside::Plain
                | Beside::Choice(_)
                | Beside::PropertyFiles
                | Beside::OutputParameters => {}
            }
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
            self.check_trigger(name, &path);
            let Some(name) = dependency_name(name) else {
                let message = format!(
                    "DependsOn names a step by text or by {{\"Step\": ..., \"Trigger\": ...}}, \
                     not by {}",
                    kind_of(name)
                );
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
                None if self.is_in_body(position, name) => {}
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
                                "{} can not depends on {name}, as SageMaker has it: a Fail step \
                                 ends the execution",
                                step.name()
                            ),
                        );
                    }
                    self.check_branches(position, target, &path, name);
                }
            }
        }
    }

    /// Checks the outcome of a step that another waits for.
    fn check_trigger(&mut self, entry: &Value, path: &JsonPath<'_>) {
        let Some(object) = entry.as_object() else {
            return;
        };
        self.check_members(object, path, "an entry of DependsOn", &["Step", "Trigger"]);
        let found = object.get("Trigger").unwrap_or(&Value::Null);
        let name = found.as_str().unwrap_or_default();
        if object.contains_key("Step") && !TRIGGERS.contains(&name) {
            let choice = choice(name, &TRIGGERS);
            let message = format!("there is no Trigger {found}{choice}");
            self.report(Code::DependsOn, path.key("Trigger"), message);
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
        let Some(of_target) = steps[target].branch() else {
            return;
        };
        if self.branches(source).any(|branch| branch == of_target) {
            return;
        }
        let condition = steps[of_target.condition].name();
        if self
            .branches(target)
            .any(|branch| branch.condition == source)
        {
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
        if self.exclude_each_other(source, target) {
            // The SDK's integration tests make pipelines of it.
            return self.report(
                Code::BranchReference,
                path.clone(),
                format!(
                    "{}: the step {} runs only when this step, in the other branch of the same \
                     condition, does not",
                    show(text),
                    show(steps[target].name())
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

    /// Reports the members of an object that are not known.
    pub(super) fn check_members(
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
        if !step.step_type().may_have("PropertyFiles") && !files.is_empty() {
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
            let Some(file) = file.as_object() else {
                let message = format!("a property file is an object, not {}", kind_of(file));
                self.report(Code::PropertyFile, path, message);
                continue;
            };
            self.check_members(file, &path, "a property file", &KEYS_OF_PROPERTY_FILES);
            for key in KEYS_OF_PROPERTY_FILES {
                let found = file.get(key);
                let misspelt = || misspelt_as(file, &KEYS_OF_PROPERTY_FILES).contains(&key);
                if found.and_then(Value::as_str).is_none_or(str::is_empty)
                    && (found.is_some() || !misspelt())
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
                let there = if hint.is_empty() && !outputs.is_empty() {
                    format!(": its outputs are {}", one_of(outputs))
                } else {
                    hint
                };
                self.report(
                    Code::PropertyFile,
                    path.key("OutputName"),
                    format!("the step has no output {}{there}", show(output)),
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
        if !step.step_type().may_have("OutputParameters") {
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
            if let Some(output) = output.as_object() {
                self.check_members(output, &path, "an output", &["OutputName", "OutputType"]);
            }
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
                let choice = choice(found.and_then(Value::as_str).unwrap_or_default(), &TYPES);
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
            Some(Value::Object(object)) => self.report(
                Code::Arguments,
                step.path().key(key),
                format!("{key} is a text, not {}", described(object)),
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
