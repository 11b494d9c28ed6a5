//! What the requests and descriptions of the service hold, from the table
//! `shared/data/sagemaker_shapes.json` (made by `tests/definitions/make_shapes.py`).

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use regex_lite::Regex;
use serde_json::Value;

/// The table as it is shipped.
static TABLE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/sagemaker_shapes.json"))
        .unwrap_or_else(|error| unreachable!("the shipped table is JSON: {error}"))
});

/// The table with its names looked up: a definition of thousands of steps asks
/// for hundreds of thousands of them.
static MODEL: LazyLock<Model> = LazyLock::new(Model::read);

struct Model {
    /// The shapes of requests and of descriptions by the name of the call.
    requests: HashMap<&'static str, usize>,
    descriptions: HashMap<&'static str, usize>,
    shapes: Vec<Entry>,
}

/// A type of the service's model; others are named by their positions.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    kind: Kind,
    limits: Limits,
}

#[derive(Debug)]
enum Kind {
    Structure {
        members: HashMap<&'static str, usize>,
        required: Vec<&'static str>,
    },
    List(usize),
    Map {
        key: usize,
        value: usize,
    },
    Scalar(Scalar),
}

/// What a plain value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A moment, or bytes, whose form the service's model leaves open.
    Other,
}

impl Scalar {
    const NAMES: [(&'static str, Self); 6] = [
        ("string", Self::Text),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("timestamp", Self::Other),
        ("blob", Self::Other),
    ];
}

/// What the service's model allows of a value.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// The least number, or the least number of characters, items or entries.
    pub(super) least: Option<f64>,
    /// The largest number, or the most characters, items or entries.
    pub(super) most: Option<f64>,
    /// The texts that are known; none when any is.
    pub(super) values: Vec<&'static str>,
    /// Whether the service adds to these texts all the time.
    pub(super) grows: bool,
    /// What a text must look like.
    pub(super) pattern: Option<Pattern>,
    /// Texts that break the pattern and may be meant all the same.
    pub(super) tolerated: Option<Pattern>,
}

/// A regular expression for whole texts, compiled when it is first needed.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As it stands in the table.
    pub(super) text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    /// The expression; `None` where it is none, which a test of the table rules out.
    fn regex(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| Regex::new(&format!("^(?:{})$", self.text)).ok())
            .as_ref()
    }

    /// Whether a text is of this form as a whole.
    pub(super) fn fits(&self, text: &str) -> bool {
        self.regex().is_none_or(|regex| regex.is_match(text))
    }
}

impl Limits {
    fn read(entry: &'static Value) -> Self {
        let number = |key: &str| entry.get(key).and_then(Value::as_f64);
        let pattern = |key: &str| entry.get(key).and_then(Value::as_str).map(Pattern::new);
        Self {
            least: number("min"),
            most: number("max"),
            values: texts(entry.get("enum")),
            grows: entry.get("grows").is_some(),
            pattern: pattern("pattern"),
            tolerated: pattern("tolerated"),
        }
    }
}

fn texts(value: Option<&'static Value>) -> Vec<&'static str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
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
        // What has no entry is a plain value without limits, named by its kind.
        positions.extend(
            Scalar::NAMES
                .iter()
                .enumerate()
                .map(|(at, (name, _))| (*name, entries.len() + at)),
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
        let scalar_of = |name: Option<&Value>| {
            let name = name.and_then(Value::as_str);
            Scalar::NAMES
                .iter()
                .find(|(known, _)| Some(*known) == name)
                .map_or(Scalar::Text, |(_, scalar)| *scalar)
        };
        let requests = by_name(TABLE.get("requests"));
        let descriptions = by_name(TABLE.get("descriptions"));
        let mut shapes = Vec::new();
        for (name, entry) in entries {
            let at = |key: &str| entry.get(key).and_then(position_of);
            let kind = if let Some(members) = entry.get("members") {
                Kind::Structure {
                    members: by_name(Some(members)),
                    required: texts(entry.get("required")),
                }
            } else if let Some(item) = at("list") {
                Kind::List(item)
            } else if let (Some(key), Some(value)) = (at("key"), at("map")) {
                Kind::Map { key, value }
            } else {
                Kind::Scalar(scalar_of(entry.get("kind")))
            };
            shapes.push(Entry {
                name,
                kind,
                limits: Limits::read(entry),
            });
        }
        shapes.extend(Scalar::NAMES.into_iter().map(|(name, scalar)| Entry {
            name,
            kind: Kind::Scalar(scalar),
            limits: Limits::default(),
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
    Map {
        /// What the keys are.
        key: Shape,
        /// What the values are.
        value: Shape,
    },
    /// There is nothing inside.
    Scalar(Scalar),
}

/// The request of a call.
pub(super) fn request(call: &str) -> Option<Shape> {
    MODEL.requests.get(call).copied().map(Shape::at)
}

/// The answer of a Describe call, and what pipelines add to it.
pub(super) fn description(call: &str) -> Option<Shape> {
    MODEL.descriptions.get(call).copied().map(Shape::at)
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
            Kind::Structure { .. } => Step::Structure,
            Kind::List(item) => Step::List(Self::at(*item)),
            Kind::Map { key, value } => Step::Map {
                key: Self::at(*key),
                value: Self::at(*value),
            },
            Kind::Scalar(scalar) => Step::Scalar(*scalar),
        }
    }

    /// A structure's member.
    pub(super) fn member(self, key: &str) -> Option<Self> {
        match &self.0.kind {
            Kind::Structure { members, .. } => members.get(key).copied().map(Self::at),
            _ => None,
        }
    }

    /// The names of a structure's members, in no order.
    pub(super) fn members(self) -> impl Iterator<Item = &'static str> {
        match &self.0.kind {
            Kind::Structure { members, .. } => Some(members.keys().copied()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// The members that a structure must have.
    pub(super) fn required(self) -> &'static [&'static str] {
        match &self.0.kind {
            Kind::Structure { required, .. } => required,
            _ => &[],
        }
    }

    /// Where inside of a structure, at most three levels down, a member of that
    /// name has its place: `S3Input.S3Uri`, the nearest one.
    pub(super) fn place_of(self, key: &str) -> Option<String> {
        let mut level = vec![(self, String::new())];
        for _ in 0..3 {
            let mut next = Vec::new();
            for (shape, way) in level {
                let Kind::Structure { members, .. } = &shape.0.kind else {
                    continue;
                };
                let mut inner: Vec<_> = members.iter().collect();
                inner.sort_unstable();
                for (name, at) in inner {
                    let mut member = Self::at(*at);
                    let mut way = format!("{way}{name}");
                    while let Kind::List(item) = &member.0.kind {
                        member = Self::at(*item);
                        way += "[]";
                    }
                    if member.member(key).is_some() {
                        return Some(way);
                    }
                    way.push('.');
                    next.push((member, way));
                }
            }
            level = next;
        }
        None
    }

    /// What is allowed of a value.
    pub(super) const fn limits(self) -> &'static Limits {
        &self.0.limits
    }
}

#[cfg(test)]
mod tests {
    use super::{MODEL, Scalar, Step, TABLE, description, request};

    #[test]
    fn every_name_in_the_table_is_in_the_table() {
        let shapes = TABLE["shapes"].as_object().unwrap();
        for (name, entry) in shapes {
            let inner = entry["members"]
                .as_object()
                .into_iter()
                .flat_map(|members| members.values())
                .chain(entry.get("list"))
                .chain(entry.get("map"))
                .chain(entry.get("key"))
                .chain(entry.get("kind"));
            for shape in inner {
                let shape = shape.as_str().unwrap();
                assert!(
                    Scalar::NAMES.iter().any(|(known, _)| *known == shape)
                        || shapes.contains_key(shape),
                    "{name}: {shape}"
                );
            }
        }
    }

    #[test]
    fn every_pattern_of_the_table_can_be_read() {
        let mut seen = 0;
        for entry in &MODEL.shapes {
            let limits = &entry.limits;
            for pattern in limits.pattern.iter().chain(&limits.tolerated) {
                assert!(
                    pattern.regex().is_some(),
                    "{}: {}",
                    entry.name,
                    pattern.text
                );
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn requests_and_descriptions_lead_to_their_members() {
        let image = request("CreateTrainingJob")
            .and_then(|request| request.member("AlgorithmSpecification"))
            .and_then(|specification| specification.member("TrainingImage"))
            .unwrap();
        assert!(matches!(image.step(), Step::Scalar(Scalar::Text)));
        assert_eq!(image.limits().most, Some(255.0));
        let outputs = description("DescribeProcessingJob")
            .and_then(|answer| answer.member("ProcessingOutputConfig"))
            .and_then(|config| config.member("Outputs"))
            .unwrap();
        assert!(matches!(outputs.step(), Step::List(_)));
        assert!(request("InvokeFunction").is_none());
    }
}
