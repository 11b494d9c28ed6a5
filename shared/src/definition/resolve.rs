//! Replacing references and functions by their values, as SageMaker does when
//! a step starts.

use std::fmt;

use serde_json::Value;

use super::get::{GetPath, GetPathError, Member, parse_members};
use super::reference::Function;
use crate::reading::kind_of;

/// How deep a value may be nested; a parsed definition never is that deep.
const DEEPEST: usize = 256;

/// Who knows the values of an execution.
///
/// The error of each method says why the value is missing.
pub trait Resolver {
    /// The value of a parameter, of its declared type.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn parameter(&self, name: &str) -> Result<Value, Unavailable>;

    /// The value of an execution variable such as `PipelineExecutionId`.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn execution(&self, variable: &str) -> Result<Value, Unavailable>;

    /// `ExperimentName` or `TrialName` of the experiment.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn experiment(&self, member: &str) -> Result<Value, Unavailable>;

    /// What a finished step is described by: the answer of its type's
    /// `Describe` call; for Lambda and Callback steps with a member
    /// `OutputParameters` (an object), for conditions with `Outcome`.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn step(&self, name: &str) -> Result<Value, Unavailable>;

    /// The JSON document of a property file or of an object in S3.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn document(&self, source: DocumentSource<'_>) -> Result<Value, Unavailable>;
}

/// Why a value is missing; the text follows the name of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing declares the parameter.
    #[error("the definition declares no such parameter")]
    Parameter,
    /// No execution variable has the name, or it has no value there.
    #[error("unknown variable in this place")]
    Variable,
    /// The configuration of the experiment has no such member.
    #[error("the definition's PipelineExperimentConfig has no {0}")]
    Experiment(String),
    /// The configuration of the experiment reads itself.
    #[error("PipelineExperimentConfig cannot read itself")]
    ReadsItself,
    /// The definition has no such step.
    #[error("the definition has no such step")]
    Step,
    /// The step has succeeded, and there is nothing to read of it.
    #[error("the step has nothing that can be read")]
    Nothing,
    /// The step's branch was not taken.
    #[error("the step did not run in this execution")]
    NotRun,
    /// The step is still to succeed.
    #[error("the step has not succeeded")]
    NotSucceeded,
    /// The step declares no property file of the name.
    #[error("step '{0}' declares no such property file")]
    PropertyFile(String),
    /// The step whose property file it is wrote none.
    #[error("step '{step}' was only simulated ({reason}), so its file was never written")]
    Simulated {
        /// The step.
        step: String,
        /// Why it was simulated.
        reason: String,
    },
    /// The property file's output is not in S3.
    #[error("step '{step}' has no output '{output}' in S3")]
    Output {
        /// The step.
        step: String,
        /// The output that the property file names.
        output: String,
    },
    /// The document is still to be read.
    #[error("it has not been read")]
    Unread,
    /// The document could not be read: what S3 or the reader of JSON said.
    #[error("{0}")]
    Unreadable(String),
    /// It has a value in the rounds of a `ForEach` step.
    #[error("is known within a ForEach step only")]
    OfForEach,
    /// What stands for the value cannot be resolved.
    #[error(transparent)]
    Within(Box<ResolveError>),
}

/// Where `Std:JsonGet` reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentSource<'a> {
    /// A property file of a processing step.
    PropertyFile {
        /// The step.
        step: &'a str,
        /// The property file's name.
        name: &'a str,
    },
    /// An object in S3.
    S3Uri(&'a str),
}

impl fmt::Display for DocumentSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PropertyFile { step, name } => {
                write!(f, "property file {name:?} of step {step:?}")
            }
            Self::S3Uri(uri) => f.write_str(uri),
        }
    }
}

/// Why a value could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A `Get` whose text is not a path.
    #[error("{text}: {error}")]
    Path {
        /// The text.
        text: String,
        /// What is wrong with it.
        error: GetPathError,
    },
    /// The resolver has no such value.
    #[error("{name}: {reason}")]
    Unavailable {
        /// What was asked for.
        name: String,
        /// Why.
        reason: Unavailable,
    },
    /// A path leads to nothing.
    #[error("{name} leads to nothing: {at} has no {missing}")]
    NoMember {
        /// The whole path.
        name: String,
        /// As far as it leads.
        at: String,
        /// What is not there.
        missing: String,
    },
    /// A function's members are not as they must be.
    #[error("{function}: {problem}")]
    Malformed {
        /// The function.
        function: String,
        /// What is wrong.
        problem: String,
    },
    /// The value is nested without end.
    #[error("a value is nested deeper than {DEEPEST} levels")]
    TooDeep,
}

/// Replaces every reference and function in a value. The input is left alone.
///
/// # Errors
/// The first [`ResolveError`] in the value's order.
pub fn resolve(value: &Value, resolver: &dyn Resolver) -> Result<Value, ResolveError> {
    resolve_at(value, resolver, 0)
}

fn resolve_at(value: &Value, resolver: &dyn Resolver, depth: usize) -> Result<Value, ResolveError> {
    if depth > DEEPEST {
        return Err(ResolveError::TooDeep);
    }
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| resolve_at(item, resolver, depth + 1))
            .collect(),
        Value::Object(members) => match Function::of(members) {
            None => members
                .iter()
                .map(|(key, value)| Ok((key.clone(), resolve_at(value, resolver, depth + 1)?)))
                .collect::<Result<_, _>>()
                .map(Value::Object),
            Some(Function::Get(path)) => get(path, resolver),
            Some(Function::Join(join)) => self::join(join, resolver, depth),
            Some(Function::JsonGet(source)) => json_get(source, resolver, depth),
            Some(Function::Unknown(name, _)) => Err(malformed(
                name,
                format!(
                    "unknown function; there are {}",
                    Function::NAMES.join(" and ")
                ),
            )),
        },
        _ => Ok(value.clone()),
    }
}

fn malformed(function: &str, problem: impl Into<String>) -> ResolveError {
    ResolveError::Malformed {
        function: function.to_owned(),
        problem: problem.into(),
    }
}

fn get(path: &Value, resolver: &dyn Resolver) -> Result<Value, ResolveError> {
    let text = path
        .as_str()
        .ok_or_else(|| malformed("Get", format!("takes a text, not {}", kind_of(path))))?;
    let parsed = parse_get(text)?;
    let unavailable = |reason| ResolveError::Unavailable {
        name: text.to_owned(),
        reason,
    };
    match parsed {
        GetPath::Parameter(name) => resolver.parameter(name).map_err(unavailable),
        GetPath::Execution(name) => resolver.execution(name).map_err(unavailable),
        GetPath::Experiment(name) => resolver.experiment(name).map_err(unavailable),
        GetPath::Step { step, members } => {
            let description = resolver.step(step).map_err(unavailable)?;
            lookup(&description, &members, text, &format!("Steps.{step}")).cloned()
        }
        GetPath::Item { .. } | GetPath::Iteration { .. } => {
            Err(unavailable(Unavailable::OfForEach))
        }
    }
}

fn parse_get(text: &str) -> Result<GetPath<'_>, ResolveError> {
    GetPath::parse(text).map_err(|error| ResolveError::Path {
        text: text.to_owned(),
        error,
    })
}

/// Follows members into a JSON value. `['key']` is a member of an object, or
/// the item of a list that goes by that name: whose member ending in `Name`
/// (such as `OutputName`, `ChannelName`, `MetricName`) equals it.
///
/// # Errors
/// [`ResolveError::NoMember`], in which `name` stands for the whole path and
/// `root` for the value's own name.
pub fn lookup<'v>(
    value: &'v Value,
    members: &[Member<'_>],
    name: &str,
    root: &str,
) -> Result<&'v Value, ResolveError> {
    let mut at = value;
    for (position, member) in members.iter().enumerate() {
        let next = match (member, at) {
            (Member::Name(key) | Member::Key(key), Value::Object(object)) => object.get(*key),
            (Member::Index(index), Value::Array(items)) => items.get(*index),
            (Member::Key(key), Value::Array(items)) => {
                items.iter().find(|item| is_named(item, key))
            }
            _ => None,
        };
        at = next.ok_or_else(|| ResolveError::NoMember {
            name: name.to_owned(),
            at: members[..position]
                .iter()
                .fold(root.to_owned(), |at, member| at + &member.to_string()),
            missing: member.to_string(),
        })?;
    }
    Ok(at)
}

/// Whether a list's item goes by the name: `Outputs` are found by their
/// `OutputName`, `InputDataConfig` by `ChannelName`, and so on.
fn is_named(item: &Value, name: &str) -> bool {
    item.as_object().is_some_and(|members| {
        members
            .iter()
            .any(|(key, value)| key.ends_with("Name") && value.as_str() == Some(name))
    })
}

fn join(join: &Value, resolver: &dyn Resolver, depth: usize) -> Result<Value, ResolveError> {
    let on = match join.get("On") {
        None => "",
        Some(on) => on
            .as_str()
            .ok_or_else(|| malformed("Std:Join", format!("On is a text, not {}", kind_of(on))))?,
    };
    let values = join
        .get("Values")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("Std:Join", "Values must be a list"))?;
    let mut parts = Vec::with_capacity(values.len());
    for value in values {
        parts.push(match resolve_at(value, resolver, depth + 1)? {
            Value::String(text) => text,
            other @ (Value::Number(_) | Value::Bool(_)) => other.to_string(),
            other => {
                return Err(malformed(
                    "Std:Join",
                    format!("joins texts, numbers and booleans, not {}", kind_of(&other)),
                ));
            }
        });
    }
    Ok(Value::String(parts.join(on)))
}

fn json_get(
    arguments: &Value,
    resolver: &dyn Resolver,
    depth: usize,
) -> Result<Value, ResolveError> {
    const NAME: &str = "Std:JsonGet";
    let path = arguments
        .get("Path")
        .and_then(Value::as_str)
        .ok_or_else(|| malformed(NAME, "Path must be a text"))?;
    let members = parse_json_path(path)
        .map_err(|error| malformed(NAME, format!("Path {path:?}: {error}")))?;
    let read = |source: DocumentSource<'_>| {
        let document = resolver
            .document(source)
            .map_err(|reason| ResolveError::Unavailable {
                name: source.to_string(),
                reason,
            })?;
        lookup(&document, &members, path, &source.to_string()).cloned()
    };
    match (arguments.get("PropertyFile"), arguments.get("S3Uri")) {
        (Some(file), None) => {
            let text = match file.as_object().and_then(Function::of) {
                Some(Function::Get(Value::String(text))) => text,
                _ => {
                    return Err(malformed(
                        NAME,
                        r#"PropertyFile must be {"Get": "Steps.STEP.PropertyFiles.NAME"}"#,
                    ));
                }
            };
            let parsed = parse_get(text)?;
            let Some((step, name)) = property_file(&parsed) else {
                return Err(malformed(NAME, format!("{text} names no property file")));
            };
            read(DocumentSource::PropertyFile { step, name })
        }
        (None, Some(uri)) => match resolve_at(uri, resolver, depth + 1)? {
            Value::String(uri) => read(DocumentSource::S3Uri(&uri)),
            other => Err(malformed(
                NAME,
                format!("S3Uri is a text, not {}", kind_of(&other)),
            )),
        },
        _ => Err(malformed(NAME, "takes one of PropertyFile and S3Uri")),
    }
}

/// Step and name of `Steps.STEP.PropertyFiles.NAME` (or `['NAME']`).
#[must_use]
pub fn property_file<'a>(path: &GetPath<'a>) -> Option<(&'a str, &'a str)> {
    match path {
        GetPath::Step { step, members } => match members.as_slice() {
            [
                Member::Name("PropertyFiles"),
                Member::Name(name) | Member::Key(name),
            ] => Some((step, name)),
            _ => None,
        },
        _ => None,
    }
}

/// The quotes around a key in the path of a `Std:JsonGet`.
const QUOTES: [char; 2] = ['\'', '"'];

/// Parses the path of a `Std:JsonGet`: `a.b`, `a['b c'][0].d` (with quotes of
/// either kind), with or without a leading `$`; an empty path is the document.
///
/// # Errors
/// [`GetPathError`], naming the place in the text.
pub fn parse_json_path(path: &str) -> Result<Vec<Member<'_>>, GetPathError> {
    if path == "$" || path.starts_with("$.") || path.starts_with("$[") {
        return parse_members(path, 1, &QUOTES);
    }
    if path.is_empty() || path.starts_with('[') {
        return parse_members(path, 0, &QUOTES);
    }
    let end = path.find(['.', '[', ']', '\'', '"']).unwrap_or(path.len());
    if end == 0 {
        return Err(GetPathError::MissingName { at: 1 });
    }
    let mut members = vec![Member::Name(&path[..end])];
    members.extend(parse_members(path, end, &QUOTES)?);
    Ok(members)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DocumentSource, Resolver, Unavailable, parse_json_path, resolve};

    struct Known;

    impl Resolver for Known {
        fn parameter(&self, name: &str) -> Result<Value, Unavailable> {
            match name {
                "Count" => Ok(json!(3)),
                "Text" => Ok(json!("t")),
                _ => Err(Unavailable::Parameter),
            }
        }

        fn execution(&self, variable: &str) -> Result<Value, Unavailable> {
            Ok(json!(format!("<{variable}>")))
        }

        fn experiment(&self, _: &str) -> Result<Value, Unavailable> {
            Err(Unavailable::Experiment("ExperimentName".to_owned()))
        }

        fn step(&self, name: &str) -> Result<Value, Unavailable> {
            match name {
                "P" => Ok(json!({
                    "ProcessingOutputConfig": {"Outputs": [
                        {"OutputName": "test", "S3Output": {"S3Uri": "s3://b/test"}},
                        {"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}]},
                    "FinalMetricDataList": [{"MetricName": "v:rmse", "Value": 0.5}],
                    "OutputParameters": {"a b": 7}})),
                _ => Err(Unavailable::NotSucceeded),
            }
        }

        fn document(&self, source: DocumentSource<'_>) -> Result<Value, Unavailable> {
            match source {
                DocumentSource::PropertyFile {
                    step: "P",
                    name: "R",
                }
                | DocumentSource::S3Uri("s3://b/train/results.json") => {
                    Ok(json!({"m": {"b c": [{"d": 1.50}]}}))
                }
                _ => Err(Unavailable::Unread),
            }
        }
    }

    fn resolved(value: Value) -> Value {
        resolve(&value, &Known).unwrap()
    }

    fn message(value: Value) -> String {
        resolve(&value, &Known).unwrap_err().to_string()
    }

    #[test]
    fn references_take_their_values_with_their_types() {
        assert_eq!(
            resolved(
                json!({"a": [{"Get": "Parameters.Count"}], "b": {"c": {"Get": "Execution.PipelineName"}}})
            ),
            json!({"a": [3], "b": {"c": "<PipelineName>"}})
        );
    }

    #[test]
    fn items_of_a_list_are_found_by_name_or_number() {
        for path in ["Outputs['train']", "Outputs[1]"] {
            assert_eq!(
                resolved(
                    json!({"Get": format!("Steps.P.ProcessingOutputConfig.{path}.S3Output.S3Uri")})
                ),
                json!("s3://b/train")
            );
        }
        assert_eq!(
            resolved(json!({"Get": "Steps.P.FinalMetricDataList['v:rmse'].Value"})),
            json!(0.5)
        );
        assert_eq!(
            resolved(json!({"Get": "Steps.P.OutputParameters['a b']"})),
            json!(7)
        );
    }

    #[test]
    fn join_writes_numbers_as_they_stand_and_joins_nested_values() {
        assert_eq!(
            resolved(json!({"Std:Join": {"On": "/", "Values": [
                "s3:/", {"Get": "Parameters.Count"}, true,
                {"Std:Join": {"Values": ["a", {"Get": "Parameters.Text"}]}}]}})),
            json!("s3://3/true/at")
        );
    }

    #[test]
    fn json_get_reads_property_files_and_objects_in_s3() {
        assert_eq!(
            resolved(
                json!({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.P.PropertyFiles.R"},
                "Path": "m['b c'][0].d"}})
            ),
            json!(1.5)
        );
        assert_eq!(
            resolved(
                json!({"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": [
                {"Get": "Steps.P.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"},
                "results.json"]}}, "Path": "$.m['b c']"}})
            ),
            json!([{"d": 1.5}])
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            message(json!({"Get": "Steps.P.ProcessingOutputConfig.Outputs['val'].S3Output"})),
            "Steps.P.ProcessingOutputConfig.Outputs['val'].S3Output leads to nothing: \
             Steps.P.ProcessingOutputConfig.Outputs has no ['val']"
        );
        assert_eq!(
            message(json!({"Get": "Parameters.X"})),
            "Parameters.X: the definition declares no such parameter"
        );
        assert_eq!(
            message(json!({"Get": "Steps.Q.X"})),
            "Steps.Q.X: the step has not succeeded"
        );
        assert!(message(json!({"Std:Split": []})).contains("Std:Split: unknown function"));
        assert!(message(json!({"Std:Join": {"Values": [null]}})).contains("not null"));
        assert!(message(json!({"Std:JsonGet": {"Path": "a"}})).contains("one of PropertyFile"));
    }

    #[test]
    fn endless_nesting_is_an_error() {
        let mut value = json!(1);
        for _ in 0..300 {
            value = json!([value]);
        }
        assert!(message(value).contains("256 levels"));
    }

    #[test]
    fn json_paths_may_begin_with_a_dollar_sign() {
        for path in [
            "a.b[0]",
            "$.a.b[0]",
            "a[\"b\"][0]",
            "$['a'].b[0]",
            "['a'].b[0]",
        ] {
            assert_eq!(parse_json_path(path).unwrap().len(), 3, "{path}");
        }
        assert_eq!(parse_json_path("$x").unwrap().len(), 1);
        assert!(parse_json_path("$").unwrap().is_empty());
        assert!(
            parse_json_path(".a")
                .unwrap_err()
                .to_string()
                .contains("character 1")
        );
    }
}
