//! One run: records first, then idle endpoints.

use std::collections::{BTreeMap, BTreeSet};

use pipewright_aws::dynamodb::Records;
use pipewright_aws::dynamodb::endpoints::Registry;

use crate::plan::RunSettings;
use crate::ports::{Clock, Service, Usage};
use crate::report::RunReport;

/// How long before its deadline a run begins nothing more, milliseconds: what
/// is under way then still ends, retries included.
const MARGIN: i64 = 30_000;

/// Keeps the house.
#[derive(Debug)]
pub(crate) struct Housekeeper<R, G, S, U, C> {
    pub(crate) records: R,
    pub(crate) registry: G,
    pub(crate) service: S,
    pub(crate) usage: U,
    pub(crate) clock: C,
}

/// One run of it.
pub(crate) struct Run<'a, R, G, S, U, C> {
    pub(crate) world: &'a Housekeeper<R, G, S, U, C>,
    pub(crate) settings: &'a RunSettings,
    /// Nothing is begun from this moment on, epoch milliseconds.
    stop_at: i64,
    /// The keys of the executions that were seen to have a record.
    pub(crate) recorded: BTreeSet<String>,
    /// The pipelines that records were seen of: ARN by its lower case.
    pub(crate) seen_pipelines: BTreeMap<String, String>,
    pub(crate) report: RunReport,
}

impl<R: Records, G: Registry, S: Service, U: Usage, C: Clock> Housekeeper<R, G, S, U, C> {
    /// Does what there is to do until shortly before `deadline` (epoch
    /// milliseconds). A failure is noted in the report and stops nothing else.
    pub(crate) async fn run(&self, settings: &RunSettings, deadline: i64) -> RunReport {
        let mut run = Run {
            world: self,
            settings,
            stop_at: deadline.saturating_sub(MARGIN),
            recorded: BTreeSet::new(),
            seen_pipelines: BTreeMap::new(),
            report: RunReport {
                dry_run: settings.dry_run,
                ..RunReport::default()
            },
        };
        run.executions().await;
        run.endpoints().await;
        run.report
    }
}

impl<R: Records, G: Registry, S: Service, U: Usage, C: Clock> Run<'_, R, G, S, U, C> {
    pub(crate) fn now(&self) -> i64 {
        self.world.clock.now()
    }

    /// Whether nothing may be begun any more.
    pub(crate) fn time_is_up(&self) -> bool {
        self.now() >= self.stop_at
    }

    /// Notes that something failed.
    pub(crate) fn failed(&mut self, what: &str, why: impl std::fmt::Display) {
        tracing::error!(what, %why, "housekeeping failed");
        self.report.failures.push(format!("{what}: {why}"));
    }
}
