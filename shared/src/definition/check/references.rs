//! Functions and references: their form, and what they name.

use serde_json::{Map, Value};

use super::names::{choice, meant, show};
use super::types::follow;
use super::{Checker, Code};
use crate::definition::get::{GetPath, Member};
use crate::definition::model::{OutputParameter, PropertyFile, Step};
use crate::definition::path::JsonPath;
use crate::definition::reference::{Function, Owner, Reference, walk, walk_step};
use crate::definition::resolve::{parse_json_path, property_file};
use crate::definition::shapes::{self, Step as ShapeStep};
use crate::definition::step_types::{NamedItems, Properties, StepKind};
use crate::reading::kind_of;

/// The execution variables.
const VARIABLES: [&str; 8] = [
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "TrainingJobName",
    "ProcessingJobName",
];

/// The members of the experiment.
const EXPERIMENT: [&str; 2] = ["ExperimentName", "TrialName"];

/// What the two check steps hand on.
const BASELINES: [&str; 4] = [
    "CalculatedBaselineConstraints",
    "CalculatedBaselineStatistics",
    "BaselineUsedForDriftCheckConstraints",
    "BaselineUsedForDriftCheckStatistics",
];

/// The names in a list of a step's arguments, such as its outputs; `None` where
/// they are not all plain texts, so that nothing can be said.
pub(super) fn named_items<'a>(step: &Step<'a>, list: &[&str], key: &str) -> Option<Vec<&'a str>> {
    let mut at = step.arguments()?;
    for member in list {
        match at.get(member) {
            Some(value) => at = value,
            None => return Some(Vec::new()),
        }
    }
    at.as_array()?
        .iter()
        .map(|item| item.get(key).and_then(Value::as_str))
        .collect()
}

impl Checker<'_> {
    pub(super) fn check_references(&mut self) {
        let mut functions = Vec::new();
        for key in ["PipelineExperimentConfig", "MlflowConfig"] {
            if let Some(value) = self.definition.member(key) {
                let path = JsonPath::root().key(key);
                walk(
                    value,
                    path,
                    |_, _| false,
                    |value, path| {
                        collect(&mut functions, value, path);
                    },
                );
            }
        }
        for step in self.steps {
            walk_step(step, |value, path| collect(&mut functions, value, path));
        }
        for (object, path) in functions {
            self.check_function(object, &path);
        }
        for reference in self.references {
            self.check_reference(reference);
        }
    }

    fn check_function(&mut self, object: &Map<String, Value>, path: &JsonPath<'_>) {
        match Function::of(object) {
            None => self.report(
                Code::GetBeside,
                path.clone(),
                "a Get stands beside other members, so the object is taken as it is: a reference \
                 is an object's only member",
            ),
            Some(Function::Get(Value::String(_))) => {}
            Some(Function::Get(other)) => self.report(
                Code::Get,
                path.clone(),
                format!("Get takes a text such as \"Parameters.NAME\", not {other}"),
            ),
            Some(Function::Join(join)) => self.check_join(join, path),
            Some(Function::JsonGet(arguments)) => self.check_json_get(arguments, path),
            Some(Function::Unknown(name, _)) => {
                let choice = choice(name, &Function::NAMES);
                self.report(
                    Code::UnknownFunction,
                    path.clone(),
                    format!("there is no function {}{choice}", show(name)),
                );
            }
        }
    }

    fn check_join(&mut self, join: &Value, path: &JsonPath<'_>) {
        let Some(members) = join.as_object() else {
            return self.report(
                Code::Join,
                path.clone(),
                format!(
                    "Std:Join takes an object with On and Values, not {}",
                    kind_of(join)
                ),
            );
        };
        match members.get("On") {
            None | Some(Value::String(_)) => {}
            Some(other) => self.report(
                Code::Join,
                path.clone(),
                format!("On is a text, not {}", kind_of(other)),
            ),
        }
        for key in members.keys() {
            if key != "On" && key != "Values" {
                let message = format!("Std:Join has On and Values, and no {}", show(key));
                self.report(Code::Join, path.clone(), message);
            }
        }
        match members.get("Values") {
            Some(Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    let joins = match value {
                        Value::String(_) | Value::Number(_) | Value::Bool(_) => true,
                        Value::Object(object) => Function::of(object).is_some(),
                        Value::Null | Value::Array(_) => false,
                    };
                    if !joins {
                        self.report(
                            Code::Join,
                            path.key("Std:Join").key("Values").index(index),
                            format!(
                                "Std:Join takes texts, numbers, booleans and functions, not {}",
                                kind_of(value)
                            ),
                        );
                    }
                }
            }
            Some(other) => self.report(
                Code::Join,
                path.clone(),
                format!("Values must be an array, not {}", kind_of(other)),
            ),
            None => self.report(Code::Join, path.clone(), "Std:Join lacks Values"),
        }
    }

    fn check_json_get(&mut self, arguments: &Value, path: &JsonPath<'_>) {
        let Some(members) = arguments.as_object() else {
            return self.report(
                Code::JsonGet,
                path.clone(),
                format!("Std:JsonGet takes an object, not {}", kind_of(arguments)),
            );
        };
        match members.get("Path") {
            Some(Value::String(text)) => {
                if let Err(error) = parse_json_path(text) {
                    self.report(
                        Code::JsonGet,
                        path.clone(),
                        format!("the Path {} cannot be read: {error}", show(text)),
                    );
                }
            }
            Some(other) => self.report(
                Code::JsonGet,
                path.clone(),
                format!("Path is a text, not {}", kind_of(other)),
            ),
            None => self.report(Code::JsonGet, path.clone(), "Std:JsonGet lacks Path"),
        }
        match (members.get("PropertyFile"), members.get("S3Uri")) {
            (Some(file), None) => self.check_property_file_of(file, path),
            (None, Some(uri)) => {
                let is_text = match uri {
                    Value::String(_) => true,
                    Value::Object(object) => Function::of(object).is_some(),
                    _ => false,
                };
                if !is_text {
                    self.report(
                        Code::JsonGet,
                        path.clone(),
                        format!("S3Uri is a text or a Std:Join, not {}", kind_of(uri)),
                    );
                }
            }
            (Some(_), Some(_)) => self.report(
                Code::JsonGet,
                path.clone(),
                "Std:JsonGet reads from PropertyFile or from S3Uri, not from both",
            ),
            (None, None) => self.report(
                Code::JsonGet,
                path.clone(),
                "Std:JsonGet lacks what it reads from: PropertyFile or S3Uri",
            ),
        }
        for key in members.keys() {
            if !matches!(key.as_str(), "PropertyFile" | "S3Uri" | "Path") {
                self.report(
                    Code::JsonGet,
                    path.clone(),
                    format!(
                        "Std:JsonGet has PropertyFile, S3Uri and Path, and no {}",
                        show(key)
                    ),
                );
            }
        }
    }

    fn check_property_file_of(&mut self, file: &Value, path: &JsonPath<'_>) {
        let text = match file.as_object().and_then(Function::of) {
            Some(Function::Get(Value::String(text))) => text,
            _ => {
                return self.report(
                    Code::JsonGet,
                    path.clone(),
                    "PropertyFile must be {\"Get\": \"Steps.STEP.PropertyFiles.NAME\"}",
                );
            }
        };
        // What cannot be parsed is reported with the references.
        let Ok(parsed) = GetPath::parse(text) else {
            return;
        };
        let Some((step, name)) = property_file(&parsed) else {
            return self.report(
                Code::JsonGet,
                path.clone(),
                format!(
                    "{} names no property file: Steps.STEP.PropertyFiles.NAME",
                    show(text)
                ),
            );
        };
        let Some(target) = self.index.get(step).map(|target| &self.steps[*target]) else {
            return;
        };
        if !target.step_type().may_have("PropertyFiles") {
            self.report(
                Code::PropertyFile,
                path.clone(),
                format!(
                    "{}: only Processing steps have property files, and {} is of type {}",
                    show(text),
                    show(step),
                    target.type_name()
                ),
            );
            return;
        }
        let files = target.property_files();
        if !files.iter().any(|file| file.name == name) {
            let hint = self
                .suggestions
                .hint(name, files.iter().map(|file: &PropertyFile<'_>| file.name));
            self.report(
                Code::PropertyFile,
                path.clone(),
                format!(
                    "the step {} has no property file {}{hint}",
                    show(step),
                    show(name)
                ),
            );
        }
    }

    fn check_reference(&mut self, reference: &Reference<'_>) {
        let (text, path) = (reference.text, &reference.path);
        match &reference.target {
            Err(error) => {
                let root = text.split('.').next().unwrap_or_default();
                let hint = self.suggestions.hint(
                    root,
                    [
                        "Parameters",
                        "Execution",
                        "PipelineExperimentConfig",
                        "Steps",
                    ],
                );
                self.report(
                    Code::GetPath,
                    path.clone(),
                    format!("{} cannot be read: {error}{hint}", show(text)),
                );
            }
            Ok(GetPath::Parameter(name)) => {
                if !self.declared.contains_key(name) {
                    let parameters = self.parameters;
                    let hint = self
                        .suggestions
                        .hint(name, parameters.iter().map(|parameter| parameter.name()));
                    self.report(
                        Code::UnknownParameter,
                        path.clone(),
                        format!("the parameter {} is not declared{hint}", show(name)),
                    );
                }
            }
            Ok(GetPath::Execution(name)) => {
                if !VARIABLES.contains(name) {
                    let choice = choice(name, &VARIABLES);
                    self.report(
                        Code::UnknownVariable,
                        path.clone(),
                        format!("there is no execution variable {}{choice}", show(name)),
                    );
                }
            }
            Ok(GetPath::Experiment(name)) => {
                if !EXPERIMENT.contains(name) {
                    let choice = choice(name, &EXPERIMENT);
                    self.report(
                        Code::UnknownVariable,
                        path.clone(),
                        format!("the experiment has no {}{choice}", show(name)),
                    );
                }
            }
            Ok(GetPath::Step { step, members }) => {
                self.check_step_reference(reference, step, members);
            }
            Ok(GetPath::Item { .. }) => self.check_loop_reference(reference, None),
            Ok(GetPath::Iteration { step, .. }) => {
                self.check_loop_reference(reference, Some(step));
            }
        }
    }

    fn check_step_reference(
        &mut self,
        reference: &Reference<'_>,
        step: &str,
        members: &[Member<'_>],
    ) {
        let (text, path) = (reference.text, &reference.path);
        let Some(target) = self.index.get(step).copied() else {
            return self.check_reference_into_body(reference, step, members);
        };
        // In the configurations every step is refused as such.
        let Owner::Step(owner) = reference.owner else {
            return;
        };
        if owner == target {
            let message = format!("{}: the step reads its own data", show(text));
            return self.report(Code::SelfReference, path.clone(), message);
        }
        self.check_branches(owner, target, path, text);
        let target = &self.steps[target];
        if target.kind() == StepKind::Fail {
            let message = format!(
                "{}: {} is a Fail step: it ends the execution, and nothing can read from it",
                show(text),
                show(step)
            );
            self.report(Code::FailReference, path.clone(), message);
        } else if !reference.in_property_file {
            self.check_members_of(reference, target, members);
        }
    }

    /// Checks a reference to a step that is not among the definition's own: one
    /// of a body, which the other steps of the body can read.
    fn check_reference_into_body(
        &mut self,
        reference: &Reference<'_>,
        step: &str,
        members: &[Member<'_>],
    ) {
        let (text, path) = (reference.text, &reference.path);
        let bodies = self.bodies;
        let found = self.body_index.get(step).map(|position| &bodies[*position]);
        let message = match found {
            Some((for_each, target)) if reference.owner == Owner::Step(*for_each) => {
                return self.check_members_of(reference, target, members);
            }
            Some((for_each, _)) => format!(
                "{}: {} runs for each item of {}; Steps.{}.IterationOutputs[0].{step} is its first \
                 round",
                show(text),
                show(step),
                show(self.steps[*for_each].name()),
                self.steps[*for_each].name()
            ),
            None => {
                let hint = self.nearest_step(step);
                format!("{}: there is no step {}{hint}", show(text), show(step))
            }
        };
        self.report(Code::Dangling, path.clone(), message);
    }

    fn check_members_of(
        &mut self,
        reference: &Reference<'_>,
        target: &Step<'_>,
        members: &[Member<'_>],
    ) {
        let (text, path) = (reference.text, &reference.path);
        let first = match members.first() {
            // A step as a whole can be built, and nothing tells what it gives.
            None => return,
            Some(Member::Name(name)) => *name,
            Some(other) => {
                let message = format!("{}: a step has members, and no {other}", show(text));
                return self.report(Code::Member, path.clone(), message);
            }
        };
        match (first, target.step_type().properties) {
            ("OutputParameters", _) => self.check_output_parameter(reference, target, members),
            ("PropertyFiles", _) => self.report(
                Code::PropertyFile,
                path.clone(),
                format!(
                    "{}: a property file is read by Std:JsonGet, as its PropertyFile",
                    show(text)
                ),
            ),
            (_, Properties::Rounds) => self.check_result(reference, target, members),
            ("Outcome", Properties::Outcome) => {}
            (_, Properties::Outcome) => self.report(
                Code::Member,
                path.clone(),
                format!("{}: a Condition step has only Outcome", show(text)),
            ),
            (_, Properties::Baselines) => {
                if !BASELINES.contains(&first) {
                    let choice = choice(first, &BASELINES);
                    let message = format!(
                        "{}: a {} step has no {}{choice}",
                        show(text),
                        target.type_name(),
                        show(first)
                    );
                    self.report(Code::Member, path.clone(), message);
                }
            }
            (_, Properties::Described(call)) => {
                self.check_described(reference, call, members);
                self.check_named(reference, target, members);
            }
            (_, Properties::Open) => {}
        }
    }

    fn check_output_parameter(
        &mut self,
        reference: &Reference<'_>,
        target: &Step<'_>,
        members: &[Member<'_>],
    ) {
        let (text, path) = (reference.text, &reference.path);
        if target.kind() == StepKind::Unknown {
            return;
        }
        if !target.step_type().may_have("OutputParameters") {
            return self.report(
                Code::OutputParameter,
                path.clone(),
                format!(
                    "{}: only Lambda and Callback steps have output parameters, and {} is of \
                     type {}",
                    show(text),
                    show(target.name()),
                    target.type_name()
                ),
            );
        }
        let name = match members {
            [_, Member::Key(name) | Member::Name(name)] => *name,
            _ => {
                let message = format!("{}: OutputParameters['NAME'] is meant", show(text));
                return self.report(Code::OutputParameter, path.clone(), message);
            }
        };
        let outputs = target.output_parameters();
        if !outputs.iter().any(|output| output.name == name) {
            let hint = self.suggestions.hint(
                name,
                outputs
                    .iter()
                    .map(|output: &OutputParameter<'_>| output.name),
            );
            self.report(
                Code::OutputParameter,
                path.clone(),
                format!(
                    "{}: the step {} declares no output parameter {}{hint}",
                    show(text),
                    show(target.name()),
                    show(name)
                ),
            );
        }
    }

    /// Checks members against the answer of the service's Describe call.
    fn check_described(&mut self, reference: &Reference<'_>, call: &str, members: &[Member<'_>]) {
        let Some(description) = shapes::description(call) else {
            return;
        };
        let Err((at, member)) = follow(description, members) else {
            return;
        };
        let problem = match (at.step(), member) {
            (ShapeStep::Structure, Member::Name(name) | Member::Key(name)) => {
                let known: Vec<_> = at.members().collect();
                let hint = meant(name, known.iter().copied()).map_or_else(String::new, |found| {
                    format!(": did you mean {:?}?", found.name)
                });
                format!("{} has no member {}{hint}", at.name(), show(name))
            }
            (ShapeStep::List(_), _) => {
                format!("{} is a list: take an item by [0] or ['name']", at.name())
            }
            (ShapeStep::Map { .. }, _) => {
                format!("{} is a map: take an entry by ['key']", at.name())
            }
            (ShapeStep::Structure, Member::Index(_)) => format!("{} is not a list", at.name()),
            (ShapeStep::Scalar(_), _) => format!("a plain value has no {member}"),
        };
        let message = format!("{}: {problem}", show(reference.text));
        self.report(Code::Member, reference.path.clone(), message);
    }

    /// Checks the names of outputs, inputs and channels.
    fn check_named(
        &mut self,
        reference: &Reference<'_>,
        target: &Step<'_>,
        members: &[Member<'_>],
    ) {
        let named = target.step_type().named.iter().find_map(|named| {
            let (list, inner) = members.split_at_checked(named.list.len())?;
            let is_it = |(member, key): (&Member<'_>, &&str)| {
                matches!(member, Member::Name(name) if name == key)
            };
            let is_list = list.iter().zip(named.list).all(is_it);
            Some((named, inner.first().filter(|_| is_list)?))
        });
        let Some((NamedItems { list, key, item }, member)) = named else {
            return;
        };
        let Some(names) = named_items(target, list, key) else {
            return;
        };
        let problem = match member {
            Member::Key(name) if !names.contains(name) => {
                let hint = self.suggestions.hint(name, names.iter().copied());
                format!("{}{}", show(name), hint)
            }
            Member::Index(index) if *index >= names.len() => {
                format!("{index}: it has {}, counted from 0", names.len())
            }
            _ => return,
        };
        self.report(
            Code::Output,
            reference.path.clone(),
            format!(
                "{}: the step {} has no {item} {problem}",
                show(reference.text),
                show(target.name())
            ),
        );
    }
}

/// Keeps what is a function, or looks like a reference that is none.
fn collect<'a>(
    functions: &mut Vec<(&'a Map<String, Value>, JsonPath<'a>)>,
    value: &'a Value,
    path: &JsonPath<'a>,
) {
    let Some(object) = value.as_object() else {
        return;
    };
    let beside = object.len() > 1
        && object
            .get("Get")
            .and_then(Value::as_str)
            .is_some_and(|text| GetPath::parse(text).is_ok());
    if beside || Function::of(object).is_some() {
        functions.push((object, path.clone()));
    }
}
