//! The container's own word on the processing step, `processingStepReport` of the record.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Item;
use crate::record::names::PROCESSING_STEP_REPORT;

/// Member of the summary: where the outputs lie.
pub const OUTPUTS: &str = "outputs";

/// Member of the summary: how many plots there are.
pub const PLOTS: &str = "plots";

/// The most important features in words, `MSFT_BB_MA (79.1 %)`: member of the summary, and what it is called.
pub const TOP_FEATURES: (&str, &str) = ("topFeatures", "top features");

/// The figures of the summary that are told in words, in this order; others follow by their own names.
pub const FIGURES: [(&str, &str); 16] = [
    ("assets", "assets"),
    ("rows", "rows"),
    ("columns", "columns"),
    ("series", "series"),
    ("trainSeries", "training series"),
    ("testRecords", "test records"),
    ("trainValues", "training values"),
    ("firstDate", "first date"),
    ("lastDate", "last date"),
    ("limitingAsset", "limiting asset"),
    ("limitingAssetRows", "rows it costs"),
    ("observedDays", "observed days"),
    TOP_FEATURES,
    (PLOTS, "plots"),
    ("leftOutCount", "series left out"),
    ("warningsCount", "warnings"),
];

/// What the container tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepReport {
    /// `Running`, `Succeeded`, `Failed` or `Stopped`.
    pub status: String,
    /// What it is doing, or did last.
    pub stage: Option<String>,
    /// Why it ended without outputs.
    pub reason: Option<String>,
    /// When, epoch milliseconds.
    pub at: Option<i64>,
    /// What it made: `rows`, `columns`, `series`, ...
    pub summary: Value,
    /// What else a reader should know, such as log lines that went missing.
    pub notes: Vec<String>,
}

impl StepReport {
    /// The attribute's value: only what is told.
    pub fn attribute(&self) -> Value {
        let mut told = json!(self);
        if let Value::Object(members) = &mut told {
            members.retain(|_, value| !value.is_null() && *value != json!([]));
        }
        told
    }

    /// What the item `record` has; `None` before the step began.
    pub fn of_record(record: &Item) -> Option<Self> {
        let stored = record.get(PROCESSING_STEP_REPORT)?;
        Some(Self {
            // As it is: serde would write some numbers in another way.
            summary: stored["summary"].clone(),
            ..Self::deserialize(stored).ok()?
        })
    }
}
