//! What changed between two definitions: parameter by parameter and step by
//! step, whatever their order.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use super::model::{Definition, Parameter, Side, Step};
use crate::wording::short;

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A top-level member besides parameters and steps.
    Document,
    /// A parameter by its name.
    Parameter(String),
    /// A step by its name, with its type.
    Step {
        /// The name; after a renaming the new one.
        name: String,
        /// The type; after a change of type the new one.
        step_type: String,
    },
}

/// How it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is only in the second definition.
    Added,
    /// It is only in the first definition.
    Removed,
    /// It has another name and is the same otherwise.
    Renamed {
        /// The name in the first definition.
        from: String,
    },
    /// It is in both with these differences.
    Changed(Vec<MemberChange>),
}

/// A member that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// Where, seen from the subject, such as `Arguments.ResourceConfig.VolumeSizeInGB`;
    /// an item of a list with names by its name, such as `Outputs['train']`.
    pub path: String,
    /// The value in the first definition; `None` when it was added.
    pub before: Option<Value>,
    /// The value in the second definition; `None` when it was removed.
    pub after: Option<Value>,
}

/// A change between two definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub subject: Subject,
    /// How it changed.
    pub kind: ChangeKind,
}

/// The keys by which items of lists are told apart.
const NAMES_OF_ITEMS: [&str; 9] = [
    "OutputName",
    "InputName",
    "ChannelName",
    "PropertyFileName",
    "ContainerHostname",
    "RuleConfigurationName",
    "VariantName",
    "Name",
    "Key",
];

/// What changed from `before` to `after`: the document's members, then
/// parameters, then steps, each in the order of the second definition with the
/// removed ones behind. The order of parameters, steps and members makes no
/// difference; the text of numbers does.
#[must_use]
pub fn diff(before: &Definition, after: &Definition) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut members = Vec::new();
    compare_objects(
        "",
        before.as_value(),
        after.as_value(),
        &["Parameters", "Steps"],
        &mut members,
    );
    if !members.is_empty() {
        changes.push(Change {
            subject: Subject::Document,
            kind: ChangeKind::Changed(members),
        });
    }
    changes.extend(diff_parameters(before, after));
    changes.extend(diff_steps(before, after));
    changes
}

fn diff_parameters(before: &Definition, after: &Definition) -> Vec<Change> {
    let (old, new) = (before.parameters(), after.parameters());
    let mut changes = Vec::new();
    let mut report = |name: &str, kind: ChangeKind| {
        changes.push(Change {
            subject: Subject::Parameter(name.to_owned()),
            kind,
        });
    };
    let old_names = numbered(old.iter().map(Parameter::name));
    let new_names = numbered(new.iter().map(Parameter::name));
    let old_by_name: HashMap<_, _> = old_names.iter().copied().zip(&old).collect();
    for (parameter, name) in new.iter().zip(&new_names) {
        match old_by_name.get(name) {
            None => report(parameter.name(), ChangeKind::Added),
            Some(was) => {
                let mut members = Vec::new();
                for key in keys_of(was.members(), parameter.members(), &[]) {
                    compare(
                        key,
                        was.members().get(key),
                        parameter.members().get(key),
                        &mut members,
                    );
                }
                if !members.is_empty() {
                    report(parameter.name(), ChangeKind::Changed(members));
                }
            }
        }
    }
    let new_names: HashSet<_> = new_names.into_iter().collect();
    for (parameter, name) in old.iter().zip(&old_names) {
        if !new_names.contains(name) {
            report(parameter.name(), ChangeKind::Removed);
        }
    }
    changes
}

/// Each name with the number of equal ones before it, so that faulty
/// definitions, with a name twice, can be compared too.
fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    names
        .map(|name| {
            let count = seen.entry(name).or_default();
            *count += 1;
            (name, *count - 1)
        })
        .collect()
}

fn diff_steps(before: &Definition, after: &Definition) -> Vec<Change> {
    let (old, new) = (before.steps(), after.steps());
    let old_names = numbered(old.iter().map(Step::name));
    let new_names = numbered(new.iter().map(Step::name));
    let old_by_name: HashMap<_, usize> = old_names.iter().zip(0..).collect();
    let known: HashSet<_> = new_names.iter().collect();
    let mut gone: Vec<usize> = (0..old.len())
        .filter(|index| !known.contains(&old_names[*index]))
        .collect();
    let mut changes = Vec::new();
    let mut report = |step: &Step<'_>, kind: ChangeKind| {
        changes.push(Change {
            subject: Subject::Step {
                name: step.name().to_owned(),
                step_type: step.type_name().to_owned(),
            },
            kind,
        });
    };
    for (step, name) in new.iter().zip(&new_names) {
        if let Some(was) = old_by_name.get(name).copied() {
            let members = changed_members(&old, &old[was], &new, step, &[]);
            if !members.is_empty() {
                report(step, ChangeKind::Changed(members));
            }
            continue;
        }
        let renamed = gone
            .iter()
            .position(|was| changed_members(&old, &old[*was], &new, step, &["Name"]).is_empty());
        match renamed {
            Some(position) => {
                let was = gone.remove(position);
                let from = old[was].name().to_owned();
                report(step, ChangeKind::Renamed { from });
            }
            None => report(step, ChangeKind::Added),
        }
    }
    for was in gone {
        report(&old[was], ChangeKind::Removed);
    }
    changes
}

/// The differences of two steps, without the steps of their branches.
fn changed_members(
    old: &[Step<'_>],
    was: &Step<'_>,
    new: &[Step<'_>],
    is: &Step<'_>,
    without: &[&str],
) -> Vec<MemberChange> {
    let mut members = Vec::new();
    let place = |steps: &[Step<'_>], step: &Step<'_>| match step.branch() {
        None => Value::from("top"),
        Some(branch) => {
            let side = match branch.side {
                Side::If => "IfSteps",
                Side::Else => "ElseSteps",
            };
            Value::from(format!("{side} of {}", steps[branch.condition].name()))
        }
    };
    let (before, after) = (place(old, was), place(new, is));
    if before != after {
        members.push(MemberChange {
            path: "branch".to_owned(),
            before: Some(before),
            after: Some(after),
        });
    }
    for key in keys_of(was.members(), is.members(), without) {
        match (key, was.member(key), is.member(key)) {
            ("Arguments", Some(before), Some(after))
                if was.type_name() == "Condition" && is.type_name() == "Condition" =>
            {
                compare_objects(key, before, after, &["IfSteps", "ElseSteps"], &mut members);
            }
            ("DependsOn", before, after) => {
                // A set of names.
                let sorted = |value: Option<&Value>| {
                    let mut names: Vec<_> = value?.as_array()?.iter().map(Value::as_str).collect();
                    names.sort_unstable();
                    Some(
                        names
                            .into_iter()
                            .map(|name| name.map(str::to_owned))
                            .collect::<Vec<_>>(),
                    )
                };
                if sorted(before) != sorted(after) {
                    compare(key, before, after, &mut members);
                }
            }
            (_, before, after) => compare(key, before, after, &mut members),
        }
    }
    members
}

/// The keys of both objects, those of the second first.
fn keys_of<'a>(
    before: &'a serde_json::Map<String, Value>,
    after: &'a serde_json::Map<String, Value>,
    without: &[&str],
) -> Vec<&'a str> {
    after
        .keys()
        .chain(before.keys().filter(|key| !after.contains_key(*key)))
        .map(String::as_str)
        .filter(|key| !without.contains(key))
        .collect()
}

fn compare_objects(
    path: &str,
    before: &Value,
    after: &Value,
    without: &[&str],
    changes: &mut Vec<MemberChange>,
) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for key in keys_of(old, new, without) {
                let path = if path.is_empty() {
                    key.to_owned()
                } else {
                    format!("{path}.{key}")
                };
                compare(&path, old.get(key), new.get(key), changes);
            }
        }
        _ => compare(path, Some(before), Some(after), changes),
    }
}

/// Recursion is bounded by the depth that parsing allows.
fn compare(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<MemberChange>,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(old @ Value::Object(was)), Some(new @ Value::Object(is)))
            if was.len() != 1 || is.len() != 1 || was.keys().eq(is.keys()) && !is_function(is) =>
        {
            compare_objects(path, old, new, &[], changes);
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => match (names_of(was), names_of(is)) {
            (Some(old), Some(new)) => {
                for (name, item) in &new {
                    let was = old.iter().find(|(known, _)| known == name);
                    compare(
                        &format!("{path}['{name}']"),
                        was.map(|(_, item)| *item),
                        Some(item),
                        changes,
                    );
                }
                for (name, item) in old {
                    if !new.iter().any(|(known, _)| *known == name) {
                        compare(&format!("{path}['{name}']"), Some(item), None, changes);
                    }
                }
            }
            _ if was.len() == is.len() => {
                for (index, (was, is)) in was.iter().zip(is).enumerate() {
                    compare(&format!("{path}[{index}]"), Some(was), Some(is), changes);
                }
            }
            _ => changes.push(MemberChange {
                path: path.to_owned(),
                before: before.cloned(),
                after: after.cloned(),
            }),
        },
        _ => changes.push(MemberChange {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn is_function(object: &serde_json::Map<String, Value>) -> bool {
    super::reference::Function::of(object).is_some()
}

/// The items of a list by their names, if all have one and each another.
fn names_of(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut seen = HashSet::new();
    let named: Option<Vec<_>> = items
        .iter()
        .map(|item| {
            let name = NAMES_OF_ITEMS
                .iter()
                .find_map(|key| item.get(key).and_then(Value::as_str))?;
            seen.insert(name).then_some((name, item))
        })
        .collect();
    named.filter(|named| !named.is_empty() || items.is_empty())
}

impl fmt::Display for MemberChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Value| short(&value.to_string(), 160);
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                write!(f, "{}: {} -> {}", self.path, show(before), show(after))
            }
            (None, Some(after)) => write!(f, "{}: added {}", self.path, show(after)),
            (Some(before), None) => write!(f, "{}: removed, was {}", self.path, show(before)),
            (None, None) => f.write_str(&self.path),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = match &self.subject {
            Subject::Document => "definition".to_owned(),
            Subject::Parameter(name) => format!("parameter {name}"),
            Subject::Step { name, step_type } => format!("step {name} ({step_type})"),
        };
        match &self.kind {
            ChangeKind::Added => write!(f, "+ {subject}"),
            ChangeKind::Removed => write!(f, "- {subject}"),
            ChangeKind::Renamed { from } => write!(f, "~ {subject}, was named {from}"),
            ChangeKind::Changed(members) => {
                write!(f, "~ {subject}")?;
                members
                    .iter()
                    .try_for_each(|member| write!(f, "\n    {member}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::definition::Definition;

    fn changes(before: &str, after: &str) -> Vec<String> {
        diff(
            &Definition::parse(before).unwrap(),
            &Definition::parse(after).unwrap(),
        )
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    #[test]
    fn definitions_with_a_name_twice_can_be_compared() {
        let one = r#"{"Name":"A","Type":"Lambda","Arguments":{"x":1}}"#;
        let other = r#"{"Name":"A","Type":"Lambda","Arguments":{"x":2}}"#;
        let of = |steps: &[&str]| {
            let text = format!(
                r#"{{"Parameters":[{{"Name":"P","Type":"String"}},{{"Name":"P","Type":"Float"}}],"Steps":[{}]}}"#,
                steps.join(",")
            );
            Definition::parse(&text).unwrap()
        };
        let twice = of(&[one, other]);
        assert!(diff(&twice, &twice).is_empty());
        let less = diff(&twice, &of(&[one]));
        assert_eq!(less.len(), 1);
        assert_eq!(less[0].to_string(), "- step A (Lambda)");
    }

    #[test]
    fn order_makes_no_difference() {
        assert_eq!(
            changes(
                r#"{"Version":"1","Parameters":[{"Name":"A"},{"Name":"B"}],
                    "Steps":[{"Name":"x","Type":"Fail","DependsOn":["a","b"]},{"Name":"y"}]}"#,
                r#"{"Steps":[{"Name":"y"},{"DependsOn":["b","a"],"Type":"Fail","Name":"x"}],
                    "Parameters":[{"Name":"B"},{"Name":"A"}],"Version":"1"}"#,
            ),
            [""; 0]
        );
    }

    #[test]
    fn parameters_and_steps_are_told_apart_by_name() {
        assert_eq!(
            changes(
                r#"{"Metadata":{},"Parameters":[{"Name":"A","DefaultValue":1},{"Name":"B"}],"Steps":[
                    {"Name":"x","Type":"T","Arguments":{"v":1,"o":[{"OutputName":"a","u":1},{"OutputName":"b","u":1}],"l":[1,2]}},
                    {"Name":"y","Type":"T","Arguments":{"k":1}},{"Name":"z","Type":"U"}]}"#,
                r#"{"Metadata":{"m":"1"},"Parameters":[{"Name":"A","DefaultValue":2},{"Name":"C"}],"Steps":[
                    {"Name":"x","Type":"T","Arguments":{"v":{"Get":"Parameters.A"},"o":[{"OutputName":"b","u":2},{"OutputName":"c","u":1}],"l":[1,3]}},
                    {"Name":"w","Type":"T","Arguments":{"k":1}},{"Name":"n","Type":"V"}]}"#,
            ),
            [
                "~ definition\n    Metadata.m: added \"1\"",
                "~ parameter A\n    DefaultValue: 1 -> 2",
                "+ parameter C",
                "- parameter B",
                "~ step x (T)\n    Arguments.v: 1 -> {\"Get\":\"Parameters.A\"}\n    \
                 Arguments.o['b'].u: 1 -> 2\n    Arguments.o['c']: added {\"OutputName\":\"c\",\"u\":1}\n    \
                 Arguments.o['a']: removed, was {\"OutputName\":\"a\",\"u\":1}\n    Arguments.l[1]: 2 -> 3",
                "~ step w (T), was named y",
                "+ step n (V)",
                "- step z (U)",
            ]
        );
    }

    #[test]
    fn a_step_that_moves_to_a_branch_is_the_same_step() {
        let condition = |inside: &str, outside: &str| {
            format!(
                r#"{{"Steps":[{{"Name":"C","Type":"Condition","Arguments":{{"Conditions":[],
                    "IfSteps":[{inside}],"ElseSteps":[]}}}}{outside}]}}"#
            )
        };
        let step =
            r#"{"Name":"F","Type":"Fail","Arguments":{"ErrorMessage":{"Get":"Parameters.A"}}}"#;
        let changed = step.replace("Parameters.A", "Parameters.B");
        assert_eq!(
            changes(&condition(step, ""), &condition("", &format!(",{changed}"))),
            [
                "~ step F (Fail)\n    branch: \"IfSteps of C\" -> \"top\"\n    \
                 Arguments.ErrorMessage: {\"Get\":\"Parameters.A\"} -> {\"Get\":\"Parameters.B\"}"
            ]
        );
    }
}
