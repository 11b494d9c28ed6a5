//! What housekeeping decides, with the clock passed in.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use pipewright::record::whose;
use serde::Deserialize;

/// How long after its creation a record may be without an ARN before its
/// execution is searched for, milliseconds: start-execution has ended by then.
const START_TAKES_AT_MOST: i64 = 10 * 60 * 1000;

/// After this time without an ARN, milliseconds, a record says that its
/// execution was not started: a repeated start has tried by then.
const NOT_STARTED_AFTER: i64 = 60 * 60 * 1000;

/// For how many days after its end an execution is looked at.
pub(crate) const DAYS_AFTER_END: u16 = 7;

/// Beyond this age, milliseconds, an execution is no longer searched for.
pub(crate) const SEARCHED_FOR: i64 = DAYS_AFTER_END as i64 * 24 * 60 * 60 * 1000;

/// How often housekeeping runs, milliseconds: what is too much for one run is
/// taken up by the next ones in turn.
const RUNS_EVERY: i64 = 15 * 60 * 1000;

/// The hours without an invocation after which an endpoint is idle that a
/// caller may ask for: those that the template's parameter `IdleEndpointHours`
/// takes.
const IDLE_ENDPOINT_HOURS: RangeInclusive<u16> = 1..=720;

/// What one run may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunSettings {
    /// The installation's prefix.
    pub(crate) prefix: String,
    /// The name of the pipeline that the installation has of its own.
    pub(crate) shipped_pipeline: String,
    /// The other pipelines that are followed by name.
    pub(crate) pipelines: Vec<String>,
    /// An endpoint is idle after this time without an invocation, milliseconds.
    pub(crate) idle_after: i64,
    /// Nothing is written or deleted; the report says what would have been.
    pub(crate) dry_run: bool,
    /// Whether idle endpoints are deleted, or only reported.
    pub(crate) delete_endpoints: bool,
    /// How many endpoints are deleted at most.
    pub(crate) endpoints_per_run: usize,
    /// How many executions are looked at at most.
    pub(crate) executions_per_run: usize,
    /// How old a change must be before its event counts as missing,
    /// milliseconds.
    pub(crate) grace: i64,
}

/// What a caller may ask for; the schedule asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Request {
    /// Write and delete nothing, and say what would have been.
    dry_run: bool,
    /// How old a change must be before its event counts as missing, seconds.
    grace_seconds: Option<u32>,
    /// How many executions to look at at most.
    executions_per_run: Option<usize>,
    /// An endpoint is idle after this time without an invocation, hours.
    idle_endpoint_hours: Option<u16>,
}

/// A request for what no caller may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "idleEndpointHours is {hours}: it must be {} to {}, as the template's parameter IdleEndpointHours",
    IDLE_ENDPOINT_HOURS.start(),
    IDLE_ENDPOINT_HOURS.end()
)]
pub(crate) struct OutOfRange {
    hours: u16,
}

impl RunSettings {
    /// These settings, as far as the request does not ask for others.
    ///
    /// # Errors
    /// [`OutOfRange`] if it asks for what the template's parameters would not
    /// take: a caller must not have endpoints deleted that are in use.
    pub(crate) fn asked(&self, request: &Request) -> Result<Self, OutOfRange> {
        let mut settings = self.clone();
        settings.dry_run |= request.dry_run;
        if let Some(seconds) = request.grace_seconds {
            settings.grace = i64::from(seconds) * 1000;
        }
        if let Some(most) = request.executions_per_run {
            settings.executions_per_run = most;
        }
        if let Some(hours) = request.idle_endpoint_hours {
            if !IDLE_ENDPOINT_HOURS.contains(&hours) {
                return Err(OutOfRange { hours });
            }
            settings.idle_after = i64::from(hours) * 60 * 60 * 1000;
        }
        Ok(settings)
    }
}

/// The executions to look at in this run, and how many are left: open ones
/// first; where there are too many, the runs take turns.
pub(crate) fn choose(
    open: Vec<String>,
    ended: Vec<String>,
    most: usize,
    now: i64,
) -> (Vec<String>, usize) {
    let all = open.len() + ended.len();
    let mut chosen = Vec::new();
    for mut group in [open, ended] {
        let room = most.saturating_sub(chosen.len());
        if group.len() > room && !group.is_empty() {
            let turn = usize::try_from(now.div_euclid(RUNS_EVERY)).unwrap_or_default();
            let start = turn.wrapping_mul(room.max(1)) % group.len();
            group.rotate_left(start);
            group.truncate(room);
        }
        chosen.append(&mut group);
    }
    let left = all - chosen.len();
    (chosen, left)
}

/// What is done about a record that has no ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstarted {
    /// Nothing: the start may be under way, or it is unknown since when, or it
    /// is too long ago.
    Leave,
    /// Its execution is searched for by name.
    Search {
        /// Whether the record is to say so if there is none.
        note: bool,
    },
}

/// What is done about a record without ARN that was created then, and says or
/// doesn't that its start failed.
pub(crate) fn unstarted(created_at: Option<i64>, says_so: bool, now: i64) -> Unstarted {
    let Some(created_at) = created_at else {
        return Unstarted::Leave;
    };
    let age = now.saturating_sub(created_at);
    if age <= START_TAKES_AT_MOST || age > SEARCHED_FOR {
        return Unstarted::Leave;
    }
    Unstarted::Search {
        note: age > NOT_STARTED_AFTER && !says_so,
    }
}

/// Whether a pipeline with these tags is followed.
pub(crate) fn is_followed(tags: &BTreeMap<String, String>, prefix: &str) -> bool {
    tags.get(whose::PIPELINE_TAG)
        .is_some_and(|value| value == prefix)
}
