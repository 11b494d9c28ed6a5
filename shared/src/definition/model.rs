//! A pipeline definition as its JSON document, and typed views into it.

use serde_json::{Map, Value};

use super::foreign;
use super::path::JsonPath;
use super::source::{self, ParseError};
use super::step_types::{StepKind, StepType};
use crate::reading::kind_of;

/// A SageMaker pipeline definition: the JSON document as it was parsed.
///
/// The document is the only thing kept, so that unknown step types, members
/// and functions survive; the typed views ([`Self::steps`],
/// [`Self::parameters`]) read it leniently, and [`super::check::check`] names
/// what is wrong with it. It can only be made from text, which bounds its
/// nesting (127 levels).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    value: Value,
}

impl Definition {
    /// Parses the JSON text of a definition.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a JSON object, is nested too deeply, has a key
    /// twice, or is known to be something else. What the members of a
    /// definition mean is not looked at.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let value = source::parse(text).map_err(|error| match error {
            ParseError::Syntax { .. } => foreign::of_text(text).map_or(error, ParseError::Foreign),
            other => other,
        })?;
        if let Some(found) = foreign::of_value(&value) {
            return Err(ParseError::Foreign(found));
        }
        if value.is_object() {
            Ok(Self { value })
        } else {
            Err(ParseError::NotAnObject(kind_of(&value)))
        }
    }

    /// The document, with its order of keys and its numbers' text.
    #[must_use]
    pub const fn as_value(&self) -> &Value {
        &self.value
    }

    /// A copy of the document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.value.clone()
    }

    /// The document as compact JSON in its own order: the same document gives
    /// the same bytes.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        self.value.to_string()
    }

    /// A top-level member.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Value> {
        self.value.get(key)
    }

    /// The declared parameters in their order; entries that are no objects are
    /// left out.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter<'_>> {
        self.member("Parameters")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(index, value)| {
                Some(Parameter {
                    value: value.as_object()?,
                    index,
                })
            })
            .collect()
    }

    /// The declared parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Parameter<'_>> {
        self.parameters()
            .into_iter()
            .find(|parameter| parameter.name() == name)
    }

    /// All steps, each condition directly before the steps of its branches;
    /// entries that are no objects are left out.
    #[must_use]
    pub fn steps(&self) -> Vec<Step<'_>> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        // What is still to be visited, the next one last.
        let mut pending: Vec<(&Value, JsonPath<'_>, Option<Branch>)> = Vec::new();
        let root = JsonPath::root().key("Steps");
        push_steps(&mut pending, self.member("Steps"), &root, None);
        while let Some((value, path, branch)) = pending.pop() {
            let Some(members) = value.as_object() else {
                continue;
            };
            let step = Step {
                members,
                path,
                branch,
            };
            if step.kind() == StepKind::Condition {
                let condition = steps.len();
                let arguments = step.path.key("Arguments");
                // Pushed in reverse, so that IfSteps come first.
                for (side, key) in [(Side::Else, "ElseSteps"), (Side::If, "IfSteps")] {
                    push_steps(
                        &mut pending,
                        step.arguments().and_then(|arguments| arguments.get(key)),
                        &arguments.key(key),
                        Some(Branch { condition, side }),
                    );
                }
            }
            steps.push(step);
        }
        steps
    }
}

fn push_steps<'a>(
    pending: &mut Vec<(&'a Value, JsonPath<'a>, Option<Branch>)>,
    steps: Option<&'a Value>,
    path: &JsonPath<'a>,
    branch: Option<Branch>,
) {
    let Some(steps) = steps.and_then(Value::as_array) else {
        return;
    };
    for (index, value) in steps.iter().enumerate().rev() {
        pending.push((value, path.index(index), branch));
    }
}

/// A parameter's type; an absent one means `String`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
}

impl ParameterType {
    /// The names that the definition language uses.
    pub const NAMES: [&str; 4] = ["String", "Integer", "Float", "Boolean"];

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "String" => Self::String,
            "Integer" => Self::Integer,
            "Float" => Self::Float,
            "Boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// The name that the definition language uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Integer => "Integer",
            Self::Float => "Float",
            Self::Boolean => "Boolean",
        }
    }

    /// The JSON value of a text given at start, where all values are texts;
    /// `None` when the text is not of this type.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(Value::String(text.to_owned())),
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Integer | Self::Float => serde_json::from_str(text.trim())
                .ok()
                .filter(|value| self.accepts(value)),
        }
    }

    /// Whether a JSON value is of this type; a `Float` takes whole numbers.
    #[must_use]
    pub fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::String, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Float, Value::Number(_)) => true,
            (Self::Integer, Value::Number(number)) => !number.to_string().contains(['.', 'e', 'E']),
            _ => false,
        }
    }
}

/// A declared pipeline parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    value: &'a Map<String, Value>,
    index: usize,
}

impl<'a> Parameter<'a> {
    /// The name; empty when it is missing or no text.
    #[must_use]
    pub fn name(&self) -> &'a str {
        text(self.value.get("Name")).unwrap_or_default()
    }

    /// The type; `None` when it is none that the language knows.
    #[must_use]
    pub fn parameter_type(&self) -> Option<ParameterType> {
        match self.value.get("Type") {
            None => Some(ParameterType::String),
            Some(name) => ParameterType::from_name(name.as_str()?),
        }
    }

    /// The default; without one the parameter must be given at start.
    #[must_use]
    pub fn default_value(&self) -> Option<&'a Value> {
        self.value.get("DefaultValue")
    }

    /// The values that are allowed; `None` when any is.
    #[must_use]
    pub fn enum_values(&self) -> Option<&'a [Value]> {
        self.value
            .get("EnumValues")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
    }

    /// The JSON object.
    #[must_use]
    pub const fn members(&self) -> &'a Map<String, Value> {
        self.value
    }

    /// The position in `$.Parameters`.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The place in the document.
    #[must_use]
    pub fn path(&self) -> JsonPath<'static> {
        JsonPath::root().key("Parameters").index(self.index)
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// The side of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// `IfSteps`
    If,
    /// `ElseSteps`
    Else,
}

/// The branch that a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// The position of the condition in [`Definition::steps`].
    pub condition: usize,
    /// The side on which the step runs.
    pub side: Side,
}

/// A step of the definition.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    members: &'a Map<String, Value>,
    path: JsonPath<'a>,
    branch: Option<Branch>,
}

impl<'a> Step<'a> {
    /// The name; empty when it is missing or no text.
    #[must_use]
    pub fn name(&self) -> &'a str {
        text(self.members.get("Name")).unwrap_or_default()
    }

    /// The type as it stands; empty when it is missing or no text.
    #[must_use]
    pub fn type_name(&self) -> &'a str {
        text(self.members.get("Type")).unwrap_or_default()
    }

    /// The type, if it is known.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        StepKind::from_name(self.type_name())
    }

    /// What is known of its type.
    #[must_use]
    pub fn step_type(&self) -> &'static StepType {
        self.kind().step_type()
    }

    /// The arguments; `None` when they are missing.
    #[must_use]
    pub fn arguments(&self) -> Option<&'a Value> {
        self.members.get("Arguments")
    }

    /// Any member of the step, such as `FunctionArn`.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key)
    }

    /// The JSON object.
    #[must_use]
    pub const fn members(&self) -> &'a Map<String, Value> {
        self.members
    }

    /// The place in the document.
    #[must_use]
    pub const fn path(&self) -> &JsonPath<'a> {
        &self.path
    }

    /// The branch it belongs to; `None` at the top.
    #[must_use]
    pub const fn branch(&self) -> Option<Branch> {
        self.branch
    }

    /// The name to show to people; `None` when there is none besides the name.
    #[must_use]
    pub fn display_name(&self) -> Option<&'a str> {
        text(self.members.get("DisplayName"))
    }

    /// The description.
    #[must_use]
    pub fn description(&self) -> Option<&'a str> {
        text(self.members.get("Description"))
    }

    /// The names in `DependsOn`, whatever outcome is waited for.
    #[must_use]
    pub fn depends_on(&self) -> Vec<&'a str> {
        self.list("DependsOn").filter_map(dependency_name).collect()
    }

    /// The steps that a ForEach step runs for each of its items, which are not
    /// among [`Definition::steps`]; entries that are no objects are left out.
    #[must_use]
    pub fn body(&self) -> Vec<Step<'a>> {
        if self.kind() != StepKind::ForEach {
            return Vec::new();
        }
        let path = self.path.key("Arguments").key(FOR_EACH_BODY);
        self.arguments()
            .and_then(|arguments| arguments.get(FOR_EACH_BODY))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(index, value)| {
                Some(Step {
                    members: value.as_object()?,
                    path: path.index(index),
                    branch: None,
                })
            })
            .collect()
    }

    /// The property files; entries without a name are left out.
    #[must_use]
    pub fn property_files(&self) -> Vec<PropertyFile<'a>> {
        self.list("PropertyFiles")
            .filter_map(|file| {
                Some(PropertyFile {
                    name: text(file.get("PropertyFileName"))?,
                    output_name: text(file.get("OutputName")).unwrap_or_default(),
                    file_path: text(file.get("FilePath")).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// The outputs of a Lambda or Callback step; entries without a name are
    /// left out.
    #[must_use]
    pub fn output_parameters(&self) -> Vec<OutputParameter<'a>> {
        self.list("OutputParameters")
            .filter_map(|output| {
                Some(OutputParameter {
                    name: text(output.get("OutputName"))?,
                    output_type: text(output.get("OutputType")).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// The conditions of a Condition step, of which all must hold.
    #[must_use]
    pub fn conditions(&self) -> &'a [Value] {
        self.arguments()
            .and_then(|arguments| arguments.get("Conditions"))
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &'a Value> {
        self.members
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }
}

/// The argument of a ForEach step that holds its steps.
pub(crate) const FOR_EACH_BODY: &str = "ForEachBody";

/// The step that an entry of `DependsOn` names: the entry itself, or the `Step`
/// of an object with a `Trigger`.
pub(crate) fn dependency_name(entry: &Value) -> Option<&str> {
    entry
        .as_str()
        .or_else(|| entry.get("Step").and_then(Value::as_str))
}

/// A file of a processing step's output that conditions can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertyFile<'a> {
    /// The name that references use.
    pub name: &'a str,
    /// The output that holds the file; empty when it is missing.
    pub output_name: &'a str,
    /// The path below the output; empty when it is missing.
    pub file_path: &'a str,
}

/// A value that a Lambda or Callback step hands back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputParameter<'a> {
    /// The name that references use.
    pub name: &'a str,
    /// `String`, `Integer`, `Float` or `Boolean`; empty when it is missing.
    pub output_type: &'a str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Definition, ParameterType, Side, StepKind};

    #[test]
    fn steps_of_branches_follow_their_condition() {
        let definition = Definition::parse(
            r#"{"Steps":[
                {"Name":"C","Type":"Condition","Arguments":{"Conditions":[],
                  "IfSteps":[{"Name":"D","Type":"Condition","Arguments":{
                     "IfSteps":[{"Name":"E","Type":"Fail"}]}}],
                  "ElseSteps":[{"Name":"F","Type":"New"}]}},
                {"Name":"G"}]}"#,
        )
        .unwrap();
        let steps = definition.steps();
        let seen: Vec<_> = steps
            .iter()
            .map(|step| {
                (
                    step.name(),
                    step.kind(),
                    step.path().to_string(),
                    step.branch().map(|branch| (branch.condition, branch.side)),
                )
            })
            .collect();
        let at = |text: &str| text.to_owned();
        assert_eq!(
            seen,
            [
                ("C", StepKind::Condition, at("$.Steps[0]"), None),
                (
                    "D",
                    StepKind::Condition,
                    at("$.Steps[0].Arguments.IfSteps[0]"),
                    Some((0, Side::If))
                ),
                (
                    "E",
                    StepKind::Fail,
                    at("$.Steps[0].Arguments.IfSteps[0].Arguments.IfSteps[0]"),
                    Some((1, Side::If))
                ),
                (
                    "F",
                    StepKind::Unknown,
                    at("$.Steps[0].Arguments.ElseSteps[0]"),
                    Some((0, Side::Else))
                ),
                ("G", StepKind::Unknown, at("$.Steps[1]"), None),
            ]
        );
    }

    #[test]
    fn a_parameter_without_a_type_is_text() {
        let definition =
            Definition::parse(r#"{"Parameters":[{"Name":"A","DefaultValue":""},7]}"#).unwrap();
        let parameter = definition.parameter("A").unwrap();
        assert_eq!(parameter.parameter_type(), Some(ParameterType::String));
        assert_eq!(parameter.default_value(), Some(&json!("")));
        assert_eq!(definition.parameters().len(), 1);
    }

    #[test]
    fn texts_given_at_start_get_the_declared_type() {
        assert_eq!(ParameterType::Integer.read("30"), Some(json!(30)));
        assert_eq!(ParameterType::Integer.read("3.0"), None);
        assert_eq!(ParameterType::Float.read("3"), Some(json!(3)));
        assert_eq!(ParameterType::Boolean.read("True"), Some(json!(true)));
        assert_eq!(ParameterType::Boolean.read("1"), None);
        assert_eq!(ParameterType::String.read("1"), Some(json!("1")));
    }
}
