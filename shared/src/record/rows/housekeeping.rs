//! What housekeeping's last run did, kept beside the records of executions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Item, item};
use crate::record::names;

/// How many entries of a list are kept: an item has 400 kB, and a run may have a great deal to tell. The log has all.
const KEPT: usize = 100;

/// The report of housekeeping's last run that was not a dry one. It has a key that no execution's id can be, and no phase,
/// so that no listing of executions has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    #[serde(rename = "Id")]
    id: String,
    entry: String,
    /// When it ended, epoch milliseconds.
    pub at: i64,
    /// What it did, as the function answers it; of long lists the beginning.
    pub report: Value,
    /// Whether a list was cut.
    #[serde(default)]
    pub shortened: bool,
}

impl LastRun {
    /// The report of a run that ended then.
    pub fn new(at: i64, report: Value) -> Self {
        let (mut report, mut shortened) = (report, false);
        shorten(&mut report, &mut shortened);
        Self {
            id: names::HOUSEKEEPING_ID.to_owned(),
            entry: names::HOUSEKEEPING_ENTRY.to_owned(),
            at,
            report,
            shortened,
        }
    }

    /// What is stored.
    pub fn item(&self) -> Item {
        item(self)
    }

    /// What an item holds; `None` if it is no such item.
    pub fn read(item: &Item) -> Option<Self> {
        Some(Self {
            // As it is: serde would write some numbers in another way.
            report: item.get("report")?.clone(),
            ..Self::deserialize(item).ok()?
        })
    }
}

fn shorten(value: &mut Value, shortened: &mut bool) {
    match value {
        Value::Array(elements) => {
            *shortened |= elements.len() > KEPT;
            elements.truncate(KEPT);
        }
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| shorten(member, shortened)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordId;
    use serde_json::json;

    #[test]
    fn a_run_is_read_as_it_was_kept_and_long_lists_are_cut() {
        let run = LastRun::new(
            5,
            json!({"executions": {"open": 1, "found": vec!["x"; KEPT]}}),
        );
        assert!(!run.shortened);
        assert_eq!(LastRun::read(&run.item()), Some(run));
        let run = LastRun::new(5, json!({"failures": vec!["x"; KEPT + 1]}));
        assert!(run.shortened);
        assert_eq!(run.report["failures"].as_array().map(Vec::len), Some(KEPT));
        assert_eq!(LastRun::read(&Item::new()), None);
    }

    #[test]
    fn no_execution_can_have_its_key() {
        assert!(RecordId::new(names::HOUSEKEEPING_ID).is_err());
    }
}
