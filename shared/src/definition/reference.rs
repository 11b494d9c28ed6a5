//! The references and functions of a definition: `Get`, `Std:Join`,
//! `Std:JsonGet`.

use serde_json::{Map, Value};

use super::get::{GetPath, GetPathError};
use super::model::{Definition, Step};
use super::path::JsonPath;
use super::step_types::StepKind;

/// What an object in an argument stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function<'a> {
    /// `{"Get": path}`
    Get(&'a Value),
    /// `{"Std:Join": {"On": text, "Values": [...]}}`
    Join(&'a Value),
    /// `{"Std:JsonGet": {"PropertyFile" or "S3Uri": ..., "Path": text}}`
    JsonGet(&'a Value),
    /// `{"Std:...": ...}` that no version of the language knows.
    Unknown(&'a str, &'a Value),
}

impl<'a> Function<'a> {
    /// The names of the functions.
    pub const NAMES: [&'static str; 2] = ["Std:Join", "Std:JsonGet"];

    /// The function that an object stands for; `None` for a plain object. A
    /// function is an object's only member.
    #[must_use]
    pub fn of(object: &'a Map<String, Value>) -> Option<Self> {
        let (key, value) = object.iter().next().filter(|_| object.len() == 1)?;
        match key.as_str() {
            "Get" => Some(Self::Get(value)),
            "Std:Join" => Some(Self::Join(value)),
            "Std:JsonGet" => Some(Self::JsonGet(value)),
            name if name.starts_with("Std:") => Some(Self::Unknown(name, value)),
            _ => None,
        }
    }
}

/// Who holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A step, by its position in [`Definition::steps`].
    Step(usize),
    /// The experiment's or MLflow's configuration, which has no step's data.
    Configuration,
}

/// A `Get` in the definition.
#[derive(Clone, Debug)]
pub struct Reference<'a> {
    /// The place of the object that holds the `Get`.
    pub path: JsonPath<'a>,
    /// The text of the `Get`.
    pub text: &'a str,
    /// What it names.
    pub target: Result<GetPath<'a>, GetPathError>,
    /// Who holds it.
    pub owner: Owner,
    /// Whether it stands as the `PropertyFile` of a `Std:JsonGet`.
    pub in_property_file: bool,
}

/// Calls `visit` for a value and everything in it, outermost first, with its
/// place. Members for which `skip` says so are left out. Does not recurse.
pub(crate) fn walk<'a>(
    value: &'a Value,
    path: JsonPath<'a>,
    skip: impl Fn(&JsonPath<'a>, &str) -> bool,
    mut visit: impl FnMut(&'a Value, &JsonPath<'a>),
) {
    enum Next<'a> {
        Key(&'a str, &'a Value),
        Index(usize, &'a Value),
        Leave,
    }
    fn push<'a>(
        pending: &mut Vec<Next<'a>>,
        value: &'a Value,
        path: &JsonPath<'a>,
        skip: impl Fn(&JsonPath<'a>, &str) -> bool,
    ) {
        match value {
            Value::Object(members) => pending.extend(
                members
                    .iter()
                    .rev()
                    .filter(|(key, _)| !skip(path, key))
                    .map(|(key, value)| Next::Key(key, value)),
            ),
            Value::Array(items) => pending.extend(
                items
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(index, value)| Next::Index(index, value)),
            ),
            _ => {}
        }
    }

    let mut path = path;
    let mut pending = Vec::new();
    visit(value, &path);
    push(&mut pending, value, &path, &skip);
    while let Some(next) = pending.pop() {
        let value = match next {
            Next::Leave => {
                path.pop();
                continue;
            }
            Next::Key(key, value) => {
                path.push_key(key);
                value
            }
            Next::Index(index, value) => {
                path.push_index(index);
                value
            }
        };
        visit(value, &path);
        pending.push(Next::Leave);
        push(&mut pending, value, &path, &skip);
    }
}

/// Calls `visit` for everything that a step itself holds: all its members, but
/// of a condition not the steps of its branches.
pub(crate) fn walk_step<'a>(step: &Step<'a>, mut visit: impl FnMut(&'a Value, &JsonPath<'a>)) {
    let condition = step.kind() == StepKind::Condition;
    for (key, value) in step.members() {
        let path = step.path().key(key);
        let inside = path.segments().len();
        let is_arguments = condition && key == "Arguments";
        walk(
            value,
            path,
            |path, key| {
                is_arguments
                    && path.segments().len() == inside
                    && matches!(key, "IfSteps" | "ElseSteps")
            },
            &mut visit,
        );
    }
}

impl Definition {
    /// Every `Get` with a text, in the order of [`Self::steps`], the
    /// configurations' first. A step's references are those it holds itself:
    /// a condition's do not include its branches'.
    #[must_use]
    pub fn references(&self) -> Vec<Reference<'_>> {
        self.references_of(&self.steps())
    }

    /// As [`Self::references`], for steps that are at hand already.
    pub(crate) fn references_of<'a>(&'a self, steps: &[Step<'a>]) -> Vec<Reference<'a>> {
        let mut references = Vec::new();
        for key in ["PipelineExperimentConfig", "MlflowConfig"] {
            if let Some(value) = self.member(key) {
                walk(
                    value,
                    JsonPath::root().key(key),
                    |_, _| false,
                    |value, path| collect(&mut references, value, path, Owner::Configuration),
                );
            }
        }
        for (index, step) in steps.iter().enumerate() {
            walk_step(step, |value, path| {
                collect(&mut references, value, path, Owner::Step(index));
            });
        }
        references
    }
}

fn collect<'a>(
    references: &mut Vec<Reference<'a>>,
    value: &'a Value,
    path: &JsonPath<'a>,
    owner: Owner,
) {
    let Some(Function::Get(Value::String(text))) = value.as_object().and_then(Function::of) else {
        return;
    };
    let in_property_file = matches!(
        path.segments(),
        [.., super::path::Segment::Key(function), super::path::Segment::Key(member)]
            if function == "Std:JsonGet" && member == "PropertyFile"
    );
    references.push(Reference {
        path: path.clone(),
        text,
        target: GetPath::parse(text),
        owner,
        in_property_file,
    });
}

#[cfg(test)]
mod tests {
    use super::Owner;
    use crate::definition::Definition;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let definition = Definition::parse(
            r#"{"PipelineExperimentConfig":{"TrialName":{"Get":"Execution.PipelineExecutionId"}},
              "Steps":[{"Name":"C","Type":"Condition","Arguments":{
                "Conditions":[{"Type":"Equals","LeftValue":{"Std:JsonGet":{
                    "PropertyFile":{"Get":"Steps.P.PropertyFiles.R"},"Path":"a"}},
                  "RightValue":{"Std:Join":{"On":"","Values":[1,{"Get":"Parameters.X"}]}}}],
                "IfSteps":[{"Name":"F","Type":"Fail","Arguments":{"ErrorMessage":{"Get":"bad"}}}],
                "ElseSteps":[]}},
               {"Name":"Q","Type":"Lambda","Arguments":{"Get":"Parameters.X","Other":1}}]}"#,
        )
        .unwrap();
        let seen: Vec<_> = definition
            .references()
            .into_iter()
            .map(|found| {
                (
                    found.path.to_string(),
                    found.text,
                    found.owner,
                    found.in_property_file,
                    found.target.is_ok(),
                )
            })
            .collect();
        let at = |text: &str| text.to_owned();
        let left = at("$.Steps[0].Arguments.Conditions[0].LeftValue['Std:JsonGet'].PropertyFile");
        let right = at("$.Steps[0].Arguments.Conditions[0].RightValue['Std:Join'].Values[1]");
        assert_eq!(
            seen,
            [
                (
                    at("$.PipelineExperimentConfig.TrialName"),
                    "Execution.PipelineExecutionId",
                    Owner::Configuration,
                    false,
                    true
                ),
                (left, "Steps.P.PropertyFiles.R", Owner::Step(0), true, true),
                (right, "Parameters.X", Owner::Step(0), false, true),
                (
                    at("$.Steps[0].Arguments.IfSteps[0].Arguments.ErrorMessage"),
                    "bad",
                    Owner::Step(1),
                    false,
                    false
                ),
            ]
        );
    }
}
