//! A change of an execution, a step, a model, a package or an endpoint.

use serde::{Deserialize, Serialize};

use super::{Item, item};
use crate::record::families::Kind;
use crate::record::names::CHANGE_PREFIX;

/// The item `change#...`: one message that told a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRow {
    /// The record's id.
    #[serde(rename = "Id")]
    pub id: String,
    /// The sort key: `change#<time>#<step or ->#<rank>#<status>#<digest>`.
    pub entry: String,
    /// What changed.
    pub kind: Kind,
    /// When, epoch milliseconds.
    pub at: i64,
    /// The change's place in the order of its family.
    #[serde(default)]
    pub position: String,
    /// The status reported.
    pub status: String,
    /// The event's own spelling, where it differs.
    pub status_original: Option<String>,
    /// The status before.
    pub previous_status: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The execution's ARN as the event spelled it.
    pub execution_arn: Option<String>,
    /// The execution's display name.
    pub display_name: Option<String>,
    /// The step's name.
    pub step_name: Option<String>,
    /// The step's type.
    pub step_type: Option<String>,
    /// When the execution or step started, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When the execution or step ended, epoch milliseconds.
    pub ended_at: Option<i64>,
    /// The name of the model or endpoint.
    pub name: Option<String>,
    /// The ARN of the job, model, package or endpoint.
    pub resource_arn: Option<String>,
    /// The execution whose result came from the cache.
    pub cache_hit_arn: Option<String>,
    /// The execution whose result a selective execution took over.
    pub selection_arn: Option<String>,
    /// Whether the package may be deployed.
    pub approval_status: Option<String>,
    /// Whether the job was only simulated.
    #[serde(default, skip_serializing_if = "is_false")]
    pub simulated: bool,
    /// Why it was only simulated.
    pub simulated_reason: Option<String>,
    /// Whether the change was learnt by asking, its event having gone missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reconciled: bool,
    /// The event's detail as canonical JSON text.
    #[serde(default)]
    pub detail: String,
    /// The detail's length in bytes, where it was cut.
    pub detail_bytes: Option<usize>,
}

/// Serde asks for a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl ChangeRow {
    /// What is stored.
    pub fn item(&self) -> Item {
        item(self)
    }

    /// The rank of its status, which [`position`](Self::position) has after the moment.
    pub fn rank(&self) -> Option<u8> {
        self.position.split('#').nth(1)?.parse().ok()
    }

    /// What an item holds; `None` if it is no such item.
    pub fn read(item: &Item) -> Option<Self> {
        let row = Self::deserialize(item).ok()?;
        row.entry.starts_with(CHANGE_PREFIX).then_some(row)
    }
}
