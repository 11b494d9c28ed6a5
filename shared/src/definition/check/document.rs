//! What stands beside the steps: version, metadata, parameters, configurations.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::names::{choice, is_name, show};
use super::texts::described;
use super::{Checker, Code};
use crate::definition::get::GetPath;
use crate::definition::model::{Parameter, ParameterType};
use crate::definition::path::JsonPath;
use crate::definition::reference::{Function, Owner};
use crate::definition::shapes::Scalar;
use crate::reading::kind_of;

/// The version that all definitions have.
const VERSION: &str = "2020-12-01";

/// The top-level members.
const KEYS: [&str; 6] = [
    "Version",
    "Metadata",
    "Parameters",
    "PipelineExperimentConfig",
    "MlflowConfig",
    "Steps",
];

/// Arguments of CreatePipeline and StartPipelineExecution that people put into
/// the definition.
const ARGUMENTS_OF_CALLS: [&str; 8] = [
    "ParallelismConfiguration",
    "PipelineName",
    "PipelineDisplayName",
    "PipelineDescription",
    "PipelineParameters",
    "RoleArn",
    "Tags",
    "ClientRequestToken",
];

/// The longest name that StartPipelineExecution takes for a parameter.
const LONGEST_PARAMETER_NAME: usize = 256;
/// The longest name that the published schema takes.
const LONGEST_NAME_OF_SCHEMA: usize = 64;
/// The longest default that the published schema takes.
const LONGEST_DEFAULT: usize = 4096;
/// How many parameters StartPipelineExecution takes.
const MOST_PARAMETERS: usize = 200;

impl Checker<'_> {
    pub(super) fn check_document(&mut self) {
        let root = JsonPath::root();
        match self.definition.member("Version") {
            Some(Value::String(version)) if version == VERSION => {}
            Some(other) => self.report(
                Code::Version,
                root.key("Version"),
                format!("Version is {other}, and the only one there is is {VERSION:?}"),
            ),
            None => self.report(
                Code::Version,
                root.key("Version"),
                format!("Version is missing: add \"Version\": {VERSION:?}"),
            ),
        }
        let document = self.definition.as_value().as_object();
        for key in document.into_iter().flat_map(|members| members.keys()) {
            if ARGUMENTS_OF_CALLS.contains(&key.as_str()) {
                self.report(
                    Code::MisspeltKey,
                    root.key(key),
                    format!(
                        "{key} is an argument of the call that makes or starts a pipeline, not a \
                         member of its definition"
                    ),
                );
            } else if !KEYS.contains(&key.as_str()) {
                self.report_unknown_key(root.key(key), key, "a definition", &KEYS);
            }
        }
        self.check_metadata();
        self.check_parameters();
        self.check_configuration("PipelineExperimentConfig", &["ExperimentName", "TrialName"]);
        self.check_configuration(
            "MlflowConfig",
            &["MlflowResourceArn", "MlflowExperimentName"],
        );
    }

    fn check_metadata(&mut self) {
        let path = JsonPath::root().key("Metadata");
        match self.definition.member("Metadata") {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => {
                for (key, value) in members {
                    if !value.is_string() {
                        self.report(
                            Code::Metadata,
                            path.key(key),
                            format!("metadata are texts, and this is {}", kind_of(value)),
                        );
                    }
                }
            }
            Some(other) => self.report(
                Code::Metadata,
                path,
                format!("Metadata is an object of texts, not {}", kind_of(other)),
            ),
        }
    }

    fn check_parameters(&mut self) {
        let path = JsonPath::root().key("Parameters");
        let entries = match self.definition.member("Parameters") {
            None => return,
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                let message = format!("Parameters is an array, not {}", kind_of(other));
                return self.report(Code::Parameter, path, message);
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            if !entry.is_object() {
                self.report(
                    Code::Parameter,
                    path.index(index),
                    format!("a parameter is an object, not {}", kind_of(entry)),
                );
            }
        }
        if entries.len() > MOST_PARAMETERS {
            self.report(
                Code::ParameterLimit,
                path,
                format!(
                    "{} parameters are declared, and an execution can be given values for \
                     {MOST_PARAMETERS}",
                    entries.len()
                ),
            );
        }
        let mut first_places = HashMap::new();
        let read: HashSet<&str> = self
            .references
            .iter()
            .filter_map(|reference| match reference.target {
                Ok(GetPath::Parameter(name)) => Some(name),
                _ => None,
            })
            .collect();
        for parameter in self.parameters {
            self.check_parameter(parameter);
            let name = parameter.name();
            if name.is_empty() {
                continue;
            }
            if let Some(first) = first_places.get(name) {
                self.report(
                    Code::DuplicateParameter,
                    parameter.path().key("Name"),
                    format!(
                        "the parameter {} is already declared at $.Parameters[{first}]",
                        show(name)
                    ),
                );
            } else {
                first_places.insert(name, parameter.index());
                if !read.contains(name) {
                    self.report(
                        Code::UnusedParameter,
                        parameter.path().key("Name"),
                        format!("nothing reads the parameter {}", show(name)),
                    );
                }
            }
        }
    }

    fn check_parameter(&mut self, parameter: &Parameter<'_>) {
        let path = parameter.path();
        match parameter.members().get("Name") {
            Some(Value::String(name)) if is_name(name) && name.len() <= LONGEST_PARAMETER_NAME => {
                if name.len() > LONGEST_NAME_OF_SCHEMA {
                    self.report(
                        Code::ParameterLimit,
                        path.key("Name"),
                        format!(
                            "the name has {} characters; the published schema takes \
                             {LONGEST_NAME_OF_SCHEMA}",
                            name.len()
                        ),
                    );
                }
            }
            Some(Value::String(name)) => self.report(
                Code::Parameter,
                path.key("Name"),
                format!(
                    "{} is not a parameter's name: 1 to {LONGEST_PARAMETER_NAME} letters, digits, \
                     - and _",
                    show(name)
                ),
            ),
            other => self.report(
                Code::Parameter,
                path.key("Name"),
                match other {
                    None => "the parameter has no Name".to_owned(),
                    Some(other) => format!("Name is a text, not {}", kind_of(other)),
                },
            ),
        }
        for key in parameter.members().keys() {
            const KNOWN: [&str; 5] = ["Name", "Type", "DefaultValue", "EnumValues", "Description"];
            if !KNOWN.contains(&key.as_str()) {
                self.report_unknown_key(path.key(key), key, "a parameter", &KNOWN);
            }
        }
        let Some(kind) = parameter.parameter_type() else {
            let found = parameter.members().get("Type").unwrap_or(&Value::Null);
            let choice = choice(found.as_str().unwrap_or_default(), &ParameterType::NAMES);
            return self.report(
                Code::ParameterType,
                path.key("Type"),
                format!("there is no type {found} of parameters{choice}"),
            );
        };
        if let Some(default) = parameter.default_value() {
            if !kind.accepts(default) {
                self.report(
                    Code::ParameterDefault,
                    path.key("DefaultValue"),
                    match default {
                        Value::Object(object) => format!(
                            "the default of a parameter of type {} is a plain value, not {}",
                            kind.name(),
                            described(object)
                        ),
                        Value::Array(_) => format!(
                            "the default of a parameter of type {} is a plain value, not an array",
                            kind.name()
                        ),
                        _ => format!("{default} is not of the parameter's type {}", kind.name()),
                    },
                );
            }
            if default
                .as_str()
                .is_some_and(|text| text.chars().count() > LONGEST_DEFAULT)
            {
                self.report(
                    Code::ParameterLimit,
                    path.key("DefaultValue"),
                    format!("the default is longer than {LONGEST_DEFAULT} characters"),
                );
            }
        }
        self.check_enum(parameter, kind);
    }

    fn check_enum(&mut self, parameter: &Parameter<'_>, kind: ParameterType) {
        let path = parameter.path();
        let values = match parameter.members().get("EnumValues") {
            None => return,
            Some(Value::Array(values)) => values,
            Some(other) => {
                return self.report(
                    Code::ParameterEnum,
                    path.key("EnumValues"),
                    format!("EnumValues is an array, not {}", kind_of(other)),
                );
            }
        };
        if kind != ParameterType::String {
            self.report(
                Code::ParameterLimit,
                path.key("EnumValues"),
                format!(
                    "only parameters of type String have EnumValues, not {}",
                    kind.name()
                ),
            );
        }
        for (index, value) in values.iter().enumerate() {
            if !kind.accepts(value) {
                self.report(
                    Code::ParameterEnum,
                    path.key("EnumValues").index(index),
                    format!(
                        "{} is not of the parameter's type {}",
                        kind_of(value),
                        kind.name()
                    ),
                );
            }
        }
        if let Some(default) = parameter.default_value()
            && kind.accepts(default)
            && !values.contains(default)
        {
            let known: Vec<_> = values.iter().map(ToString::to_string).collect();
            self.report(
                Code::ParameterEnum,
                path.key("DefaultValue"),
                format!(
                    "the default {default} is none of the EnumValues {}",
                    known.join(", ")
                ),
            );
        }
    }

    fn check_configuration(&mut self, key: &'static str, members: &[&'static str]) {
        let path = JsonPath::root().key(key);
        let configuration = match self.definition.member(key) {
            None | Some(Value::Null) => return,
            Some(Value::Object(configuration)) => configuration,
            Some(other) => {
                let message = format!("{key} is an object or null, not {}", kind_of(other));
                return self.report(Code::Experiment, path, message);
            }
        };
        for (name, value) in configuration {
            if !members.contains(&name.as_str()) {
                self.report_unknown_key(path.key(name), name, key, members);
                continue;
            }
            let function = value.as_object().and_then(Function::of);
            let is_text = match value {
                Value::String(_) => true,
                Value::Null => key == "MlflowConfig",
                Value::Object(_) => matches!(
                    function,
                    Some(Function::Get(_) | Function::Join(_) | Function::Unknown(..))
                ),
                _ => false,
            };
            if let Some(function) = function {
                let path = path.key(name);
                self.check_assigned(Code::DoubtfulType, Scalar::Text, function, &path);
            }
            if !is_text {
                self.report(
                    Code::Experiment,
                    path.key(name),
                    format!(
                        "{name} is a text, a Get or a Std:Join, not {}",
                        kind_of(value)
                    ),
                );
            }
        }
        if key == "PipelineExperimentConfig" {
            for name in members
                .iter()
                .filter(|name| !configuration.contains_key(**name))
            {
                self.report(
                    Code::Experiment,
                    path.key(name),
                    format!("{key} lacks {name}"),
                );
            }
        }
        for reference in self.references {
            if reference.owner == Owner::Configuration
                && matches!(reference.target, Ok(GetPath::Step { .. }))
                && reference.path.segments().first() == path.segments().first()
            {
                self.report(
                    Code::Experiment,
                    reference.path.clone(),
                    format!(
                        "{} reads a step, and {key} is needed before any step runs",
                        show(reference.text)
                    ),
                );
            }
        }
    }
}
