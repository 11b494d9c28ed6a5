//! The arguments of steps, against the requests of the service.

use serde_json::{Map, Value};

use super::names::show;
use super::shapes::{self, Shape, Step as ShapeStep};
use super::{Checker, Code};
use crate::definition::model::{Step, StepKind};
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::definition::source::kind_of;

/// What of an EMR cluster's configuration the pipeline decides itself.
const FORBIDDEN_IN_CLUSTER: [&str; 5] = [
    "Name",
    "Steps",
    "AutoTerminationPolicy",
    "KeepJobFlowAliveWhenNoSteps",
    "TerminationProtected",
];

impl Checker<'_> {
    pub(super) fn check_arguments(&mut self, step: &Step<'_>) {
        let kind = step.kind();
        match kind {
            StepKind::Lambda => self.check_plain_text(step, "FunctionArn"),
            StepKind::Callback => self.check_plain_text(step, "SqsQueueUrl"),
            StepKind::QualityCheck => {
                self.check_check_type(step, &["DATA_QUALITY", "MODEL_QUALITY"]);
            }
            StepKind::ClarifyCheck => {
                self.check_check_type(step, &["DATA_BIAS", "MODEL_BIAS", "MODEL_EXPLAINABILITY"])
            }
            _ => {}
        }
        let path = step.path().key("Arguments");
        let arguments = match step.arguments() {
            Some(Value::Object(members)) if Function::of(members).is_none() => members,
            Some(Value::Object(_)) => {
                return self.report(
                    Code::Arguments,
                    path,
                    "Arguments must be an object: a function or reference cannot stand for it",
                );
            }
            Some(other) => {
                let message = format!("Arguments must be an object, not {}", kind_of(other));
                return self.report(Code::Arguments, path, message);
            }
            // What a type is that is not known, nobody knows.
            None if kind == StepKind::Unknown => return,
            None => {
                let message = format!("the step {} has no Arguments", show(step.name()));
                return self.report(Code::Arguments, path, message);
            }
        };
        if kind == StepKind::Condition {
            if let Some(arguments) = step.arguments() {
                self.check_condition_step(step, arguments);
            }
            return;
        }
        self.check_requirements(kind, arguments, &path);
        if let Some(request) = shapes::request(step.type_name()) {
            self.check_shape(request, arguments, &mut path.clone());
        }
    }

    fn check_check_type(&mut self, step: &Step<'_>, types: &[&'static str]) {
        let found = step.member("CheckType");
        if !found
            .and_then(Value::as_str)
            .is_some_and(|name| types.contains(&name))
        {
            let choice = self
                .suggestions
                .choice(found.and_then(Value::as_str).unwrap_or_default(), types);
            self.report(
                Code::Arguments,
                step.path().key("CheckType"),
                match found {
                    None => format!("CheckType is missing{choice}"),
                    Some(found) => format!("there is no CheckType {found}{choice}"),
                },
            );
        }
    }

    /// What the documentation or the service ask for beyond the request.
    fn check_requirements(
        &mut self,
        kind: StepKind,
        arguments: &Map<String, Value>,
        path: &JsonPath<'_>,
    ) {
        let has = |key: &str| arguments.contains_key(key);
        match kind {
            StepKind::Emr => {
                self.check_one_of(arguments, path, &["ClusterId", "ClusterConfig"]);
                self.check_needed(arguments, path, &["StepConfig"]);
                let cluster = arguments.get("ClusterConfig");
                let instances = cluster.and_then(|cluster| cluster.get("Instances"));
                for (object, path) in [
                    (cluster, path.key("ClusterConfig")),
                    (instances, path.key("ClusterConfig").key("Instances")),
                ] {
                    for key in FORBIDDEN_IN_CLUSTER {
                        if object.is_some_and(|object| object.get(key).is_some()) {
                            self.report(
                                Code::Arguments,
                                path.key(key),
                                format!(
                                    "{key} may not be given: the pipeline decides it for a \
                                     cluster of its own"
                                ),
                            );
                        }
                    }
                }
            }
            StepKind::EmrServerless => {
                self.check_one_of(arguments, path, &["ApplicationId", "ApplicationConfig"]);
                self.check_needed(arguments, path, &["ExecutionRoleArn", "JobConfig"]);
            }
            StepKind::RegisterModel if has("ModelPackageName") => self.report(
                Code::Arguments,
                path.key("ModelPackageName"),
                "ModelPackageName is refused in a pipeline: models are registered in a group, \
                 ModelPackageGroupName",
            ),
            StepKind::Tuning => self.check_one_of(
                arguments,
                path,
                &["TrainingJobDefinition", "TrainingJobDefinitions"],
            ),
            StepKind::Model => {
                self.check_one_of(arguments, path, &["PrimaryContainer", "Containers"]);
            }
            StepKind::AutoMl => {
                let mode = arguments
                    .get("AutoMLJobConfig")
                    .and_then(|config| config.get("Mode"))
                    .and_then(Value::as_str);
                if let Some(mode) = mode.filter(|mode| *mode != "ENSEMBLING") {
                    self.report(
                        Code::Arguments,
                        path.key("AutoMLJobConfig").key("Mode"),
                        format!(
                            "the Mode of an AutoML step is \"ENSEMBLING\", not {}",
                            show(mode)
                        ),
                    );
                }
            }
            StepKind::Fail => {
                for key in arguments.keys().filter(|key| *key != "ErrorMessage") {
                    let mut place = path.clone().into_owned();
                    place.push_owned_key(key.clone());
                    self.report_unknown_key(
                        place,
                        key,
                        "a Fail step's Arguments",
                        &["ErrorMessage"],
                    );
                }
            }
            _ => {}
        }
    }

    fn check_needed(
        &mut self,
        arguments: &Map<String, Value>,
        path: &JsonPath<'_>,
        keys: &[&'static str],
    ) {
        for key in keys.iter().filter(|key| !arguments.contains_key(**key)) {
            self.report(Code::Arguments, path.key(key), format!("{key} is missing"));
        }
    }

    fn check_one_of(
        &mut self,
        arguments: &Map<String, Value>,
        path: &JsonPath<'_>,
        keys: &[&'static str; 2],
    ) {
        match keys.map(|key| arguments.contains_key(key)) {
            [false, false] => self.report(
                Code::Arguments,
                path.key(keys[0]),
                format!("one of {} and {} is needed", keys[0], keys[1]),
            ),
            [true, true] => self.report(
                Code::Arguments,
                path.key(keys[1]),
                format!("{} and {} exclude each other", keys[0], keys[1]),
            ),
            _ => {}
        }
    }

    /// Checks an object against a structure of the service's request.
    ///
    /// Recursion is bounded by the depth that parsing allows.
    fn check_shape<'d>(
        &mut self,
        shape: Shape,
        object: &'d Map<String, Value>,
        path: &mut JsonPath<'d>,
    ) {
        for (key, value) in object {
            path.push_key(key);
            match shape.member(key) {
                Some(member) => self.check_value(member, value, path),
                None => {
                    let hint = self.suggestions.hint(key, shape.members());
                    self.report(
                        Code::UnknownArgument,
                        path.clone(),
                        format!("{} has no member {}{hint}", shape.name(), show(key)),
                    );
                }
            }
            path.pop();
        }
        for key in shape.required() {
            // Names of jobs and models are made by the pipeline.
            let is_name = path.segments().last().is_some_and(
                |last| matches!(last, crate::definition::path::Segment::Key(key) if key == "Arguments"),
            ) && key.ends_with("Name");
            if !is_name && !object.contains_key(key) {
                self.report(
                    Code::ArgumentValue,
                    path.key(key),
                    format!("{} needs {key}, which is missing", shape.name()),
                );
            }
        }
    }

    fn check_value<'d>(&mut self, shape: Shape, value: &'d Value, path: &mut JsonPath<'d>) {
        let function = value.as_object().and_then(Function::of);
        let wanted = match shape.step() {
            ShapeStep::Structure | ShapeStep::Map(_) => "an object",
            ShapeStep::List(_) => "an array",
            ShapeStep::Scalar => {
                if function.is_none() {
                    self.check_scalar(shape, value, path);
                }
                return;
            }
        };
        if function.is_some() {
            return self.report(
                Code::Arguments,
                path.clone(),
                format!("{wanted} must stand here: a function or reference cannot stand for it"),
            );
        }
        match (shape.step(), value) {
            (_, Value::Null) => {}
            (ShapeStep::Structure, Value::Object(object)) => self.check_shape(shape, object, path),
            (ShapeStep::Map(inner), Value::Object(object)) => {
                for (key, value) in object {
                    path.push_key(key);
                    self.check_value(inner, value, path);
                    path.pop();
                }
            }
            (ShapeStep::List(inner), Value::Array(items)) => {
                if items.len() < shape.least() {
                    self.report(
                        Code::ArgumentValue,
                        path.clone(),
                        format!(
                            "the list has {} items and needs {}",
                            items.len(),
                            shape.least()
                        ),
                    );
                }
                for (index, item) in items.iter().enumerate() {
                    path.push_index(index);
                    self.check_value(inner, item, path);
                    path.pop();
                }
            }
            _ => self.report(
                Code::Arguments,
                path.clone(),
                format!("{wanted} must stand here, not {}", kind_of(value)),
            ),
        }
    }

    fn check_scalar(&mut self, shape: Shape, value: &Value, path: &JsonPath<'_>) {
        if let Value::Object(_) | Value::Array(_) = value {
            return self.report(
                Code::Arguments,
                path.clone(),
                format!("a plain value must stand here, not {}", kind_of(value)),
            );
        }
        let allowed = shape.enum_values();
        if let (Some(text), false) = (value.as_str(), allowed.is_empty()) {
            if !allowed.contains(&text) {
                let choice = self.suggestions.choice(text, allowed);
                self.report(
                    Code::ArgumentValue,
                    path.clone(),
                    format!("the value {} is not known here{choice}", show(text)),
                );
            }
            return;
        }
        let fits = match (shape.scalar(), value) {
            (_, Value::Null)
            | ("string" | "blob", Value::String(_))
            | ("number", Value::Number(_))
            | ("boolean", Value::Bool(_)) => true,
            ("string" | "blob" | "number" | "boolean", _) => false,
            _ => true,
        };
        if !fits {
            self.report(
                Code::ArgumentValue,
                path.clone(),
                format!(
                    "a {} is expected here, not {}",
                    shape.scalar(),
                    kind_of(value)
                ),
            );
        }
    }
}
