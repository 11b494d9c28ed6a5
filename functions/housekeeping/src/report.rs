//! What a run did: its answer, its log line and its metrics.

use std::collections::BTreeMap;

use pipewright_aws::metrics::{Metrics, Unit};
use serde::Serialize;

/// How many failures the error of a run names; the log has all of them.
const FAILURES_NAMED: usize = 10;

/// What a run did, or in a dry run would have done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunReport {
    /// Whether nothing was to be written or deleted.
    pub(crate) dry_run: bool,
    /// Executions.
    pub(crate) executions: Executions,
    /// Endpoints.
    pub(crate) endpoints: Endpoints,
    /// What went wrong, each with what it happened to. All the rest was done
    /// nevertheless.
    pub(crate) failures: Vec<String>,
}

/// What became of the executions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Executions {
    /// How many were looked at.
    pub(crate) looked_at: usize,
    /// How many were left to the next runs, for want of time or by the limit.
    pub(crate) left: usize,
    /// The changes that were added, `<execution>: <what> <status>` each.
    pub(crate) reconciled: Vec<String>,
    /// Executions whose ARN was found.
    pub(crate) found: Vec<String>,
    /// Executions that have a record now although no event told of them.
    pub(crate) adopted: Vec<String>,
    /// Executions of which the record says now that they were not started.
    pub(crate) not_started: Vec<String>,
    /// How many are not final.
    pub(crate) open: usize,
    /// The id of the oldest of them whose age is known.
    pub(crate) oldest_open: Option<String>,
    /// Its age, seconds.
    pub(crate) oldest_open_seconds: i64,
}

/// What became of the endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    /// How many are ours.
    pub(crate) ours: usize,
    /// Those that are tagged with the installation's prefix and that the table
    /// of endpoints does not have, or has for another execution than their tag
    /// says. They are never deleted.
    pub(crate) not_registered: Vec<String>,
    /// How many of them, or of all if it is not known, were left to the next
    /// runs, for want of time or by the limit.
    pub(crate) left: usize,
    /// Idle ones that were deleted.
    pub(crate) deleted: Vec<String>,
    /// Idle ones that would have been deleted, had it been allowed.
    pub(crate) would_delete: Vec<String>,
    /// How many were kept, by reason.
    pub(crate) kept: BTreeMap<&'static str, usize>,
    /// How many could not be looked at or deleted.
    pub(crate) failed: usize,
}

impl RunReport {
    /// The metrics of a run: how many executions are open, and what there was
    /// besides. A metric costs by the hours in which it is told, so zeros are
    /// not.
    pub(crate) fn metrics(&self, stack: &str, now: i64) -> Metrics {
        let count = |name, value: usize| (name, Unit::Count, value as f64);
        let executions = &self.executions;
        let endpoints = &self.endpoints;
        let mut metrics = vec![
            (
                "OldestOpenExecutionAge",
                Unit::Seconds,
                executions.oldest_open_seconds as f64,
            ),
            count("ExecutionsLeft", executions.left),
            count("EndpointsKept", endpoints.kept.values().sum()),
            count("EndpointsFailed", endpoints.failed),
            count("HousekeepingFailures", self.failures.len()),
        ];
        // A dry run has changed nothing.
        if !self.dry_run {
            metrics.push(count("ChangesReconciled", executions.reconciled.len()));
            metrics.push(count("EndpointsDeleted", endpoints.deleted.len()));
        }
        metrics.retain(|(_, _, value)| *value > 0.0);
        metrics.push(count("OpenExecutions", executions.open));
        Metrics::new(stack, now).with(&[], &metrics)
    }

    /// What the run's error says, if anything failed.
    pub(crate) fn error(&self) -> Option<String> {
        if self.failures.is_empty() {
            return None;
        }
        let named = &self.failures[..self.failures.len().min(FAILURES_NAMED)];
        let mut text = named.join("; ");
        if self.failures.len() > named.len() {
            let rest = self.failures.len() - named.len();
            text.push_str(&format!("; and {rest} more, which the log has"));
        }
        Some(format!(
            "housekeeping has done all that it could, but for: {text}"
        ))
    }
}
