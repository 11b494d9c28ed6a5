//! Steps that write and read one location without an order between them.

use std::collections::HashMap;

use serde_json::Value;

use super::names::show;
use super::{Checker, Code};
use crate::definition::model::Step;
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::definition::step_types::StepKind;

/// For how many steps it is worked out what they wait for: it takes time in the
/// size of the definition for each, and what is found is doubtful only.
const MOST_STEPS: usize = 256;

/// A place in a step's arguments that names a location.
struct Use<'a> {
    step: usize,
    path: JsonPath<'a>,
    writes: bool,
    /// How later steps would read what is written.
    reference: String,
}

/// Collects the values at the end of a way.
fn follow<'a>(
    value: &'a Value,
    way: &'static str,
    path: JsonPath<'a>,
    found: &mut Vec<(&'a Value, JsonPath<'a>)>,
) {
    if way.is_empty() {
        return found.push((value, path));
    }
    let (first, rest) = way.split_once('.').unwrap_or((way, ""));
    if first == "*" {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            follow(item, rest, path.index(index), found);
        }
    } else if let Some(inner) = value.get(first) {
        follow(inner, rest, path.key(first), found);
    }
}

/// What two values that are one location have in common; `None` where it is not
/// known before an execution that they are.
fn location_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.starts_with("s3://") && text.len() > "s3://".len() => {
            Some(text.trim_end_matches('/').to_owned())
        }
        Value::Object(object) => match Function::of(object)? {
            // A step's output has an order by itself.
            Function::Get(Value::String(text)) if text.starts_with("Steps.") => None,
            Function::Get(_) | Function::Join(_) => Some(value.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// How a later step would read an output.
fn reference_of(step: &Step<'_>, way: &str, path: &JsonPath<'_>) -> String {
    let inner = match way.split('.').next() {
        Some("ProcessingOutputConfig") => {
            let index = path
                .segments()
                .iter()
                .rev()
                .find_map(|segment| match segment {
                    crate::definition::path::Segment::Index(index) => Some(*index),
                    crate::definition::path::Segment::Key(_) => None,
                });
            let outputs = step
                .arguments()
                .and_then(|arguments| arguments.pointer("/ProcessingOutputConfig/Outputs"));
            let name = index
                .and_then(|index| outputs?.get(index)?.get("OutputName")?.as_str())
                .unwrap_or("NAME");
            format!("ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri")
        }
        Some("OutputDataConfig") if step.kind() == StepKind::Training => {
            "ModelArtifacts.S3ModelArtifacts".to_owned()
        }
        _ => way.to_owned(),
    };
    format!("Steps.{}.{inner}", step.name())
}

impl Checker<'_> {
    pub(super) fn check_locations(&mut self) {
        let mut uses: HashMap<String, Vec<Use<'_>>> = HashMap::new();
        let steps = self.steps;
        for (position, step) in steps.iter().enumerate() {
            let Some(arguments) = step.arguments() else {
                continue;
            };
            let step_type = step.step_type();
            let written = step_type.writes.iter().map(|way| (*way, true));
            let read = step_type.reads.iter().map(|way| (*way, false));
            for (way, writes) in written.chain(read) {
                let mut found = Vec::new();
                follow(arguments, way, step.path().key("Arguments"), &mut found);
                for (value, path) in found {
                    if let Some(location) = location_of(value) {
                        let reference = reference_of(step, way, &path);
                        uses.entry(location).or_default().push(Use {
                            step: position,
                            path,
                            writes,
                            reference,
                        });
                    }
                }
            }
        }
        let mut waits = Waits::new(self.graph.dependencies());
        let mut found = Vec::new();
        for (location, uses) in &uses {
            let (writers, readers): (Vec<_>, Vec<_>) = uses.iter().partition(|place| place.writes);
            for reader in readers {
                let unordered = writers.iter().find(|writer| {
                    writer.step != reader.step
                        && !self.exclude_each_other(writer.step, reader.step)
                        && waits.ordered(writer.step, reader.step) == Some(false)
                });
                if let Some(writer) = unordered {
                    found.push((reader, *writer, location));
                }
            }
        }
        found.sort_by(|one, other| (one.0.step, &one.0.path).cmp(&(other.0.step, &other.0.path)));
        for (reader, writer, location) in found {
            let place = if location.starts_with("s3://") {
                show(location)
            } else {
                "this location".to_owned()
            };
            let message = format!(
                "the step {} writes {place}, and this step does not wait for it: add DependsOn, \
                 or take {{\"Get\": \"{}\"}}",
                show(steps[writer.step].name()),
                writer.reference
            );
            self.report(Code::Unordered, reader.path.clone(), message);
        }
    }
}

/// What steps wait for, worked out when it is asked for.
struct Waits {
    dependencies: Vec<Vec<usize>>,
    /// For a step, whether it waits for each of the others.
    known: HashMap<usize, Vec<bool>>,
}

impl Waits {
    fn new(dependencies: Vec<Vec<usize>>) -> Self {
        Self {
            dependencies,
            known: HashMap::new(),
        }
    }

    /// Whether one of two steps waits for the other; `None` where too many have
    /// been asked for already.
    fn ordered(&mut self, one: usize, other: usize) -> Option<bool> {
        Some(self.waits(one, other)? || self.waits(other, one)?)
    }

    fn waits(&mut self, step: usize, target: usize) -> Option<bool> {
        if !self.known.contains_key(&step) {
            if self.known.len() >= MOST_STEPS {
                return None;
            }
            let mut reached = vec![false; self.dependencies.len()];
            let mut pending = vec![step];
            while let Some(at) = pending.pop() {
                for before in &self.dependencies[at] {
                    if !std::mem::replace(&mut reached[*before], true) {
                        pending.push(*before);
                    }
                }
            }
            self.known.insert(step, reached);
        }
        self.known.get(&step).map(|reached| reached[target])
    }
}
