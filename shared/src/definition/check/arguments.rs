//! The arguments of steps, against the requests of the service.

use serde_json::{Map, Value};

use super::limits::{problem_of, problem_of_size, problem_of_text};
use super::names::{choice, meant, show};
use super::steps::members_of;
use super::texts::{CURE_OF_FOREIGN, described, foreign_function};
use super::types::needed;
use super::{Checker, Code};
use crate::definition::get::GetPath;
use crate::definition::model::Step;
use crate::definition::path::{JsonPath, Segment};
use crate::definition::reference::{Function, walk};
use crate::definition::shapes::{self, Scalar, Shape, Step as ShapeStep};
use crate::definition::step_types::{Arguments, Beside, Need, StepType};
use crate::reading::kind_of;

impl Checker<'_> {
    pub(super) fn check_arguments(&mut self, step: &Step<'_>) {
        let step_type = step.step_type();
        for (key, member) in step_type.beside {
            match member {
                Beside::Plain => self.check_plain_text(step, key),
                Beside::Choice(choices) => self.check_choice(step, key, choices),
                _ => {}
            }
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
            // The documentation lets these leave them out, and what a type is
            // that is not known, the definition alone knows.
            None if step_type.arguments == Arguments::Optional => return,
            None => {
                let message = format!("the step {} has no Arguments", show(step.name()));
                return self.report(Code::Arguments, path, message);
            }
        };
        match step_type.arguments {
            Arguments::Branches => return self.check_condition_step(step, arguments),
            Arguments::Loop => return self.check_for_each(step, arguments, &path),
            Arguments::Outputs => self.check_cleanup(arguments, &path),
            Arguments::Message => self.check_message(arguments, &path),
            Arguments::Request(_) | Arguments::Free | Arguments::Optional => {}
        }
        self.check_needs(step_type, arguments, &path);
        let request = match step_type.arguments {
            Arguments::Request(call) => shapes::request(call),
            _ => None,
        };
        let Some(request) = request else {
            return self.check_free(arguments, &path);
        };
        let mut place = Place {
            path,
            around: Vec::new(),
            beside: members_of(step_type),
            own_name: step_type.makes.map(|made| made.member("Name")),
        };
        self.check_shape(request, arguments, &mut place);
    }

    fn check_choice(&mut self, step: &Step<'_>, key: &'static str, choices: &[&'static str]) {
        let found = step.member(key);
        if !found
            .and_then(Value::as_str)
            .is_some_and(|name| choices.contains(&name))
        {
            let choice = choice(found.and_then(Value::as_str).unwrap_or_default(), choices);
            self.report(
                Code::Arguments,
                step.path().key(key),
                match found {
                    None => format!("{key} is missing{choice}"),
                    Some(found) => format!("there is no {key} {found}{choice}"),
                },
            );
        }
    }

    /// What the documentation or the service ask for beyond the request.
    fn check_needs(
        &mut self,
        step_type: &StepType,
        arguments: &Map<String, Value>,
        path: &JsonPath<'_>,
    ) {
        if let Some(made) = step_type.makes.filter(|_| step_type.names_are_prefixes) {
            self.check_job_name(&made.member("Name"), arguments, path);
        }
        let at = |way: &[&'static str]| {
            let (first, inner) = way.split_first()?;
            let start = arguments.get(*first);
            let value = inner.iter().try_fold(start?, |value, key| value.get(key))?;
            let place = way.iter().fold(path.clone(), |path, key| path.key(key));
            Some((value, place))
        };
        for need in step_type.needs {
            match need {
                Need::OneOf(keys) => self.check_one_of(arguments, path, keys),
                Need::Given(keys) => self.check_needed(arguments, path, keys),
                Need::Absent(way, keys) => {
                    let Some((object, place)) = at(way) else {
                        continue;
                    };
                    for key in keys.iter().filter(|key| object.get(**key).is_some()) {
                        self.report(
                            Code::Arguments,
                            place.key(key),
                            format!(
                                "{key} may not be given: the pipeline decides it for a cluster of \
                                 its own"
                            ),
                        );
                    }
                }
                Need::Only(way, key, only) => {
                    let Some((object, place)) = at(way) else {
                        continue;
                    };
                    let found = object.get(key).and_then(Value::as_str);
                    if let Some(found) = found.filter(|found| found != only) {
                        let message = format!(
                            "the {key} of an {} step is {only:?}, not {}",
                            step_type.name,
                            show(found)
                        );
                        self.report(Code::Arguments, place.key(key), message);
                    }
                }
            }
        }
    }

    /// Checks the message of a Fail step.
    fn check_message(&mut self, arguments: &Map<String, Value>, path: &JsonPath<'_>) {
        self.check_members(
            arguments,
            path,
            "a Fail step's Arguments",
            &["ErrorMessage"],
        );
        let path = path.key("ErrorMessage");
        let found = match arguments.get("ErrorMessage") {
            None | Some(Value::String(_) | Value::Null) => return,
            Some(Value::Object(object)) => match Function::of(object) {
                Some(function) => {
                    self.check_assigned(Code::DoubtfulType, Scalar::Text, function, &path);
                    return;
                }
                None => described(object),
            },
            Some(other) => kind_of(other).to_owned(),
        };
        let message = format!("ErrorMessage is a text, not {found}");
        self.report(Code::Arguments, path, message);
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

    /// Checks the name of a job, which SageMaker makes longer.
    fn check_job_name(&mut self, key: &str, arguments: &Map<String, Value>, path: &JsonPath<'_>) {
        let length = arguments
            .get(key)
            .and_then(Value::as_str)
            .map_or(0, |name| name.chars().count());
        if (LONGEST_JOB_NAME - ADDED_TO_JOB_NAME + 1..=LONGEST_JOB_NAME).contains(&length) {
            self.report(
                Code::DoubtfulValue,
                path.key(key),
                format!(
                    "the name has {length} characters; SageMaker puts an execution's id, a token \
                     and a count behind it, {ADDED_TO_JOB_NAME} characters, and a job's name has \
                     at most {LONGEST_JOB_NAME}: take at most {}",
                    LONGEST_JOB_NAME - ADDED_TO_JOB_NAME
                ),
            );
        }
    }

    /// Checks an object against a structure of the service's request.
    ///
    /// Recursion is bounded by the depth that parsing allows.
    fn check_shape<'d>(
        &mut self,
        shape: Shape,
        object: &'d Map<String, Value>,
        place: &mut Place<'d>,
    ) {
        let mut misspelt = Vec::new();
        place.around.push(shape);
        for (key, value) in object {
            place.path.push_key(key);
            match shape.member(key) {
                Some(member) => self.check_value(member, key, value, place),
                None => misspelt.extend(self.check_unknown_member(key, object, place)),
            }
            place.path.pop();
        }
        place.around.pop();
        for key in shape.required() {
            let made = place.around.is_empty() && place.own_name.as_deref() == Some(*key);
            // The step's role is the pipeline's where none is given, and of a
            // member that is misspelt this has been said.
            if made || *key == "RoleArn" || object.contains_key(*key) || misspelt.contains(key) {
                continue;
            }
            let code = if LOOSE.contains(&shape.name()) {
                Code::DoubtfulValue
            } else {
                Code::MissingArgument
            };
            self.report(
                code,
                place.path.key(key),
                format!("{} needs {key}, which is missing", shape.name()),
            );
        }
    }

    /// Reports a member that the request does not have, and returns the member
    /// that it is a misspelling of.
    fn check_unknown_member(
        &mut self,
        key: &str,
        object: &Map<String, Value>,
        place: &Place<'_>,
    ) -> Option<&'static str> {
        let shape = *place.around.last()?;
        let what = format!("{} has no member {}", shape.name(), show(key));
        let path = place.path.clone();
        if place.around.len() == 1 && place.beside.contains(&key) {
            let message =
                format!("{what}: it stands beside Arguments, as a member of the step itself");
            self.report(Code::MisplacedArgument, path, message);
            return None;
        }
        // What is there already is not what was meant.
        let absent: Vec<&'static str> = shape
            .members()
            .filter(|member| !object.contains_key(*member))
            .collect();
        let near = meant(key, absent.iter().copied());
        if let Some(near) = near.filter(|near| near.surely) {
            let message = format!("{what}: did you mean {:?}?", near.name);
            self.report(Code::MisplacedArgument, path, message);
            return Some(near.name);
        }
        if let Some(inside) = shape.place_of(key) {
            let message = format!("{what}: it belongs into {inside}");
            self.report(Code::MisplacedArgument, path, message);
            return None;
        }
        if let Some(outside) = place.around[..place.around.len() - 1]
            .iter()
            .rev()
            .find(|around| around.member(key).is_some())
        {
            let message = format!("{what}: it belongs further out, into {}", outside.name());
            self.report(Code::MisplacedArgument, path, message);
            return None;
        }
        let hint = near.map_or_else(String::new, |near| {
            format!(": did you mean {:?}?", near.name)
        });
        self.report(Code::UnknownArgument, path, what + &hint);
        None
    }

    fn check_value<'d>(
        &mut self,
        shape: Shape,
        key: &str,
        value: &'d Value,
        place: &mut Place<'d>,
    ) {
        let is_member = place
            .path
            .segments()
            .last()
            .is_some_and(|last| matches!(last, Segment::Key(name) if name == key));
        if is_member && REFUSED.contains(&key) {
            self.report(
                Code::UnknownArgument,
                place.path.clone(),
                format!(
                    "pipelines were seen to refuse {key} (\"Unknown Argument member\"), though the \
                     service's request has it"
                ),
            );
        }
        let function = value.as_object().and_then(Function::of);
        let wanted = match shape.step() {
            ShapeStep::Structure | ShapeStep::Map { .. } => "an object",
            ShapeStep::List(_) => "an array",
            ShapeStep::Scalar(scalar) => {
                return self.check_scalar(shape, scalar, key, value, &place.path);
            }
        };
        if function.is_some() {
            return self.report(
                Code::Arguments,
                place.path.clone(),
                format!("{wanted} must stand here: a function or reference cannot stand for it"),
            );
        }
        match (shape.step(), value) {
            (_, Value::Null) => {}
            (ShapeStep::Structure, Value::Object(object)) => self.check_shape(shape, object, place),
            (ShapeStep::Map { key: keys, value }, Value::Object(object)) => {
                self.check_size(shape, key, object.len(), &place.path);
                for (entry, inner) in object {
                    place.path.push_key(entry);
                    if let Some(found) = problem_of_text(keys, "a key", entry) {
                        self.report(found.code, place.path.clone(), found.message);
                    }
                    self.check_value(value, key, inner, place);
                    place.path.pop();
                }
            }
            (ShapeStep::List(inner), Value::Array(items)) => {
                self.check_size(shape, key, items.len(), &place.path);
                for (index, item) in items.iter().enumerate() {
                    place.path.push_index(index);
                    self.check_value(inner, key, item, place);
                    place.path.pop();
                }
            }
            _ => {
                let found = match value {
                    Value::Object(object) => described(object),
                    other => kind_of(other).to_owned(),
                };
                self.report(
                    Code::Arguments,
                    place.path.clone(),
                    format!("{wanted} must stand here, not {found}"),
                );
            }
        }
    }

    fn check_size(&mut self, shape: Shape, key: &str, size: usize, path: &JsonPath<'_>) {
        if let Some(found) = problem_of_size(shape, key, size) {
            self.report(found.code, path.clone(), found.message);
        }
    }

    fn check_scalar(
        &mut self,
        shape: Shape,
        scalar: Scalar,
        key: &str,
        value: &Value,
        path: &JsonPath<'_>,
    ) {
        match value {
            Value::Object(object) => match Function::of(object) {
                Some(function) => {
                    if self.check_assigned(Code::ReferenceType, scalar, function, path) {
                        self.check_landing(shape, key, function, path);
                    }
                }
                None => {
                    let message = format!(
                        "{} must stand here, not {}",
                        needed(scalar),
                        described(object)
                    );
                    self.report(Code::Arguments, path.clone(), message);
                }
            },
            Value::Array(_) => self.report(
                Code::Arguments,
                path.clone(),
                format!("{} must stand here, not an array", needed(scalar)),
            ),
            _ => {
                if let Some(found) = problem_of(shape, key, value) {
                    self.report(found.code, path.clone(), found.message);
                }
            }
        }
    }

    /// Looks at the values that a parameter has by its declaration where an
    /// argument takes it.
    fn check_landing(
        &mut self,
        shape: Shape,
        key: &str,
        function: Function<'_>,
        path: &JsonPath<'_>,
    ) {
        let Function::Get(Value::String(text)) = function else {
            return;
        };
        let Ok(GetPath::Parameter(name)) = GetPath::parse(text) else {
            return;
        };
        let Some(parameter) = self.parameter(name) else {
            return;
        };
        let Some(kind) = parameter.parameter_type() else {
            return;
        };
        // Once for each place of a kind.
        if !self.landed.insert((parameter.index(), shape.name())) {
            return;
        }
        let default = parameter
            .default_value()
            .map(|value| (value, parameter.path().key("DefaultValue"), "default"));
        let allowed = parameter.enum_values().unwrap_or_default();
        let values = allowed.iter().enumerate().map(|(index, value)| {
            let path = parameter.path().key("EnumValues").index(index);
            (value, path, "value")
        });
        for (value, at, what) in default.into_iter().chain(values) {
            if !kind.accepts(value) {
                continue;
            }
            if let Some(found) = problem_of(shape, key, value) {
                // An empty default says that a value is given at the start.
                let code = if value.as_str() == Some("") {
                    Code::DoubtfulValue
                } else {
                    found.code
                };
                let message = format!(
                    "the {what} {} does not fit where it is read, at {path}: {}",
                    value, found.message
                );
                self.report(code, at, message);
            }
        }
    }

    /// Looks through arguments whose form the step's own code decides.
    fn check_free(&mut self, arguments: &Map<String, Value>, path: &JsonPath<'_>) {
        let mut found = Vec::new();
        for (key, value) in arguments {
            walk(
                value,
                path.key(key),
                |_, _| false,
                |value, path| {
                    if let Some(name) = value.as_object().and_then(foreign_function) {
                        found.push((path.clone().into_owned(), name.to_owned()));
                    }
                },
            );
        }
        for (path, name) in found {
            let message = format!("{} stands here as it is: {CURE_OF_FOREIGN}", show(&name));
            self.report(Code::ForeignFunction, path, message);
        }
    }
}

/// Where in the arguments the check is.
struct Place<'d> {
    path: JsonPath<'d>,
    /// The shapes from the request inwards.
    around: Vec<Shape>,
    /// What stands beside the arguments of such a step.
    beside: Vec<&'static str>,
    /// The name of what the step makes.
    own_name: Option<String>,
}

/// What pipelines were seen to refuse although the service's requests have it,
/// by the Python SDK's issue 4994.
const REFUSED: [&str; 1] = ["AdditionalModelDataSources"];

/// What the SDKs hand on as a person wrote it, and their own tests write
/// otherwise than the service has it.
const LOOSE: [&str; 1] = ["Tag"];

/// What SageMaker puts behind the name of a job that the definition gives:
/// `-<execution id>-<token>-<count>`, with 12, 10 and 1 characters, by the
/// Python SDK's pull request 3946.
const ADDED_TO_JOB_NAME: usize = 26;

/// The longest name of most jobs.
const LONGEST_JOB_NAME: usize = 63;
