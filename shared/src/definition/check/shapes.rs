//! What the requests and descriptions of the service hold, from the table
//! `shared/data/sagemaker_shapes.json` (made by `tests/definitions/make_shapes.py`).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

/// The table as it is shipped.
static TABLE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../data/sagemaker_shapes.json"))
        .unwrap_or_else(|error| unreachable!("the shipped table is JSON: {error}"))
});

/// The table with its names looked up: a definition of thousands of steps asks
/// for hundreds of thousands of them.
static MODEL: LazyLock<Model> = LazyLock::new(Model::read);

struct Model {
    /// The shapes of requests and of descriptions by type of step.
    requests: HashMap<&'static str, usize>,
    descriptions: HashMap<&'static str, usize>,
    shapes: Vec<Entry>,
}

/// A type of the service's model; others are named by their positions.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    kind: Kind,
    required: Vec<&'static str>,
    values: Vec<&'static str>,
    least: usize,
}

#[derive(Debug)]
enum Kind {
    Structure(HashMap<&'static str, usize>),
    List(usize),
    Map(usize),
    Scalar(&'static str),
}

impl Model {
    fn read() -> Self {
        let Some(entries) = TABLE.get("shapes").and_then(Value::as_object) else {
            unreachable!("the shipped table has shapes");
        };
        let mut positions: HashMap<&'static str, usize> = entries
            .keys()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        // What has no entry is a plain value, named by its kind.
        let scalars = ["string", "number", "boolean", "blob"];
        positions.extend(
            scalars
                .iter()
                .enumerate()
                .map(|(at, name)| (*name, entries.len() + at)),
        );
        let position_of = |value: &'static Value| positions.get(value.as_str()?).copied();
        let by_name = |value: Option<&'static Value>| -> HashMap<&'static str, usize> {
            value
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(key, name)| Some((key.as_str(), position_of(name)?)))
                .collect()
        };
        let texts = |value: Option<&'static Value>| -> Vec<&'static str> {
            value
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        };
        let requests = by_name(TABLE.get("requests"));
        let descriptions = by_name(TABLE.get("descriptions"));
        let mut shapes = Vec::new();
        for (name, entry) in entries {
            let kind = if let Some(members) = entry.get("members") {
                Kind::Structure(by_name(Some(members)))
            } else if let Some(item) = entry.get("list").and_then(position_of) {
                Kind::List(item)
            } else if let Some(value) = entry.get("map").and_then(position_of) {
                Kind::Map(value)
            } else {
                Kind::Scalar("string")
            };
            shapes.push(Entry {
                name,
                kind,
                required: texts(entry.get("required")),
                values: texts(entry.get("enum")),
                least: entry
                    .get("min")
                    .and_then(Value::as_u64)
                    .and_then(|least| usize::try_from(least).ok())
                    .unwrap_or(0),
            });
        }
        shapes.extend(scalars.into_iter().map(|name| Entry {
            name,
            kind: Kind::Scalar(name),
            required: Vec::new(),
            values: Vec::new(),
            least: 0,
        }));
        Self {
            requests,
            descriptions,
            shapes,
        }
    }
}

/// A type of the service's model: a structure, list, map, or plain value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape(&'static Entry);

/// How to go on from a shape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// By a member.
    Structure,
    /// By an item.
    List(Shape),
    /// By an entry.
    Map(Shape),
    /// There is nothing inside.
    Scalar,
}

/// The request that the arguments of a step of that type are.
pub(super) fn request(step_type: &str) -> Option<Shape> {
    MODEL.requests.get(step_type).copied().map(Shape::at)
}

/// The description that references to a step of that type read.
pub(super) fn description(step_type: &str) -> Option<Shape> {
    MODEL.descriptions.get(step_type).copied().map(Shape::at)
}

impl Shape {
    fn at(position: usize) -> Self {
        Self(&MODEL.shapes[position])
    }

    /// The name in the service's model.
    pub(super) const fn name(self) -> &'static str {
        self.0.name
    }

    /// How to go on.
    pub(super) fn step(self) -> Step {
        match &self.0.kind {
            Kind::Structure(_) => Step::Structure,
            Kind::List(item) => Step::List(Self::at(*item)),
            Kind::Map(value) => Step::Map(Self::at(*value)),
            Kind::Scalar(_) => Step::Scalar,
        }
    }

    /// A structure's member.
    pub(super) fn member(self, key: &str) -> Option<Self> {
        match &self.0.kind {
            Kind::Structure(members) => members.get(key).copied().map(Self::at),
            _ => None,
        }
    }

    /// The names of a structure's members, in no order.
    pub(super) fn members(self) -> impl Iterator<Item = &'static str> {
        match &self.0.kind {
            Kind::Structure(members) => Some(members.keys().copied()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// The members that a structure must have.
    pub(super) fn required(self) -> impl Iterator<Item = &'static str> {
        self.0.required.iter().copied()
    }

    /// The values that a text may have; none when any is allowed or the table
    /// leaves them out.
    pub(super) fn enum_values(self) -> &'static [&'static str] {
        &self.0.values
    }

    /// How many items a list needs.
    pub(super) const fn least(self) -> usize {
        self.0.least
    }

    /// What a plain value is: `string`, `number`, `boolean` or `blob`.
    pub(super) const fn scalar(self) -> &'static str {
        match self.0.kind {
            Kind::Scalar(kind) => kind,
            _ => self.0.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, TABLE, description, request};

    #[test]
    fn every_name_in_the_table_is_in_the_table() {
        const SCALARS: [&str; 4] = ["string", "number", "boolean", "blob"];
        let shapes = TABLE["shapes"].as_object().unwrap();
        for (name, entry) in shapes {
            let inner = entry["members"]
                .as_object()
                .into_iter()
                .flat_map(|members| members.values())
                .chain(entry.get("list"))
                .chain(entry.get("map"));
            for shape in inner {
                let shape = shape.as_str().unwrap();
                assert!(
                    SCALARS.contains(&shape) || shapes.contains_key(shape),
                    "{name}: {shape}"
                );
            }
        }
    }

    #[test]
    fn requests_and_descriptions_lead_to_their_members() {
        let image = request("Training")
            .and_then(|request| request.member("AlgorithmSpecification"))
            .and_then(|specification| specification.member("TrainingImage"))
            .unwrap();
        assert!(matches!(image.step(), Step::Scalar));
        let outputs = description("Processing")
            .and_then(|answer| answer.member("ProcessingOutputConfig"))
            .and_then(|config| config.member("Outputs"))
            .unwrap();
        assert!(matches!(outputs.step(), Step::List(_)));
        assert!(request("Lambda").is_none());
    }
}
