//! Metrics by CloudWatch's embedded metric format: one JSON line on standard
//! output, of which CloudWatch Logs makes the metrics. No API call, no right,
//! nothing to wait for.
//!
//! Lambda hands lines of a custom runtime on as they are, with its JSON log
//! format as well, and its level filter only drops what has a `level`.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::{self, Write};

use serde_json::{Map, Value, json};

/// The namespace of all of our metrics.
pub const NAMESPACE: &str = "Pipewright";

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// Metrics that share their dimensions.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    dimensions: Vec<(&'static str, String)>,
    metrics: Vec<(&'static str, Unit, f64)>,
}

/// One line of metrics. Names of metrics and dimensions must differ from each
/// other throughout, since they stand beside each other in the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    stack: String,
    at: i64,
    groups: Vec<Group>,
}

impl Metrics {
    /// Metrics of an installation (dimension `Stack`) at a moment (epoch
    /// milliseconds).
    pub fn new(stack: impl Into<String>, at: i64) -> Self {
        Self {
            stack: stack.into(),
            at,
            groups: Vec::new(),
        }
    }

    /// Adds metrics that have these dimensions beside `Stack`.
    #[must_use]
    pub fn with(
        mut self,
        dimensions: &[(&'static str, &str)],
        metrics: &[(&'static str, Unit, f64)],
    ) -> Self {
        self.groups.push(Group {
            dimensions: dimensions
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            metrics: metrics.to_vec(),
        });
        self
    }

    /// The line as JSON.
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        let directives: Vec<Value> = self
            .groups
            .iter()
            .filter(|group| !group.metrics.is_empty())
            .map(|group| {
                let names: Vec<&str> = std::iter::once("Stack")
                    .chain(group.dimensions.iter().map(|(name, _)| *name))
                    .collect();
                let metrics: Vec<Value> = group
                    .metrics
                    .iter()
                    .map(|(name, unit, _)| json!({"Name": name, "Unit": unit.name()}))
                    .collect();
                json!({"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics})
            })
            .collect();
        members.insert(
            "_aws".to_owned(),
            json!({"Timestamp": self.at, "CloudWatchMetrics": directives}),
        );
        members.insert("Stack".to_owned(), json!(self.stack));
        for group in &self.groups {
            for (name, value) in &group.dimensions {
                members.insert((*name).to_owned(), json!(value));
            }
            for (name, _, value) in &group.metrics {
                members.insert((*name).to_owned(), json!(value));
            }
        }
        Value::Object(members)
    }

    /// Writes the line to standard output.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn emit(&self) -> io::Result<()> {
        // One write, so that no other line comes in between.
        let line = format!("{}\n", self.to_json());
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_of_its_members_are_metrics_and_which_dimensions() {
        let line = Metrics::new("pipewright", 1_700_000_000_000)
            .with(
                &[("Kind", "step"), ("Outcome", "recorded")],
                &[("Events", Unit::Count, 1.0)],
            )
            .with(&[], &[("EventAge", Unit::Milliseconds, 1234.0)])
            .with(&[], &[])
            .to_json();
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_700_000_000_000_i64,
                    "CloudWatchMetrics": [
                        {
                            "Namespace": "Pipewright",
                            "Dimensions": [["Stack", "Kind", "Outcome"]],
                            "Metrics": [{"Name": "Events", "Unit": "Count"}],
                        },
                        {
                            "Namespace": "Pipewright",
                            "Dimensions": [["Stack"]],
                            "Metrics": [{"Name": "EventAge", "Unit": "Milliseconds"}],
                        },
                    ],
                },
                "Stack": "pipewright", "Kind": "step", "Outcome": "recorded",
                "Events": 1.0, "EventAge": 1234.0,
            })
        );
    }
}
