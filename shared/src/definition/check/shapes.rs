//! What the requests and descriptions of the service hold, from the table
//! `shared/data/sagemaker_shapes.json` (made by `tests/definitions/make_shapes.py`).

use std::sync::LazyLock;

use serde_json::Value;

static TABLE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../data/sagemaker_shapes.json"))
        .unwrap_or_else(|error| unreachable!("the shipped table is JSON: {error}"))
});

/// A type of the service's model: a structure, list, map, or plain value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    name: &'static str,
    /// The table's entry; plain values without a list of values have none.
    entry: Option<&'static Value>,
}

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
    root("requests", step_type)
}

/// The description that references to a step of that type read.
pub(super) fn description(step_type: &str) -> Option<Shape> {
    root("descriptions", step_type)
}

fn root(table: &str, step_type: &str) -> Option<Shape> {
    TABLE.get(table)?.get(step_type)?.as_str().map(Shape::named)
}

impl Shape {
    fn named(name: &'static str) -> Self {
        Self {
            name,
            entry: TABLE.get("shapes").and_then(|shapes| shapes.get(name)),
        }
    }

    fn of(self, key: &str) -> Option<Self> {
        self.entry?.get(key)?.as_str().map(Self::named)
    }

    /// The name in the service's model.
    pub(super) const fn name(self) -> &'static str {
        self.name
    }

    /// How to go on.
    pub(super) fn step(self) -> Step {
        if self
            .entry
            .is_some_and(|entry| entry.get("members").is_some())
        {
            Step::Structure
        } else if let Some(item) = self.of("list") {
            Step::List(item)
        } else if let Some(value) = self.of("map") {
            Step::Map(value)
        } else {
            Step::Scalar
        }
    }

    /// A structure's member.
    pub(super) fn member(self, key: &str) -> Option<Self> {
        self.entry?
            .get("members")?
            .get(key)?
            .as_str()
            .map(Self::named)
    }

    /// The names of a structure's members.
    pub(super) fn members(self) -> impl Iterator<Item = &'static str> {
        self.entry
            .and_then(|entry| entry.get("members"))
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|members| members.keys())
            .map(String::as_str)
    }

    /// The members that a structure must have.
    pub(super) fn required(self) -> impl Iterator<Item = &'static str> {
        self.texts("required")
    }

    /// The values that a text may have; none when any is allowed or the table
    /// leaves them out.
    pub(super) fn enum_values(self) -> impl Iterator<Item = &'static str> {
        self.texts("enum")
    }

    fn texts(self, key: &str) -> impl Iterator<Item = &'static str> {
        self.entry
            .and_then(|entry| entry.get(key))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// How many items a list needs.
    pub(super) fn least(self) -> usize {
        self.entry
            .and_then(|entry| entry.get("min"))
            .and_then(Value::as_u64)
            .and_then(|least| usize::try_from(least).ok())
            .unwrap_or(0)
    }

    /// What a plain value is: `string`, `number`, `boolean` or `blob`.
    pub(super) fn scalar(self) -> &'static str {
        if self.entry.is_some() {
            "string"
        } else {
            self.name
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
