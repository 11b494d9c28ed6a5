//! What the pages are made from: AWS behind this trait in the program, something in memory in tests.

use futures_util::future::join_all;
use pipewright::record::History;
use pipewright::record::history::history;
use pipewright::record::names;
use pipewright::record::rows::LastRun;
use pipewright_aws::cloudwatch::{self, Metrics};
use pipewright_aws::dynamodb::endpoints::Endpoints;
use pipewright_aws::process::now;
use pipewright_aws::{SdkConfig, dynamodb, sqs};
use tokio::sync::Mutex;

use crate::endpoint::list as endpoints;
use crate::execution::Items;
use crate::execution::known::Known;
use crate::execution::listing::{Listed, Listing};
use crate::execution::losses::{Curves, Logs};
use crate::execution::report::More;
use crate::installation::Installation;
use crate::redrive::{Queued, look};
use crate::search::Search;

/// For how long an endpoint's invocations are looked back, milliseconds.
pub(crate) const LOOKED_BACK: i64 = 15 * 24 * 60 * 60 * 1000;

/// An endpoint, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) row: endpoints::Row,
    /// The hour of its last invocation, epoch milliseconds; `None` if there was none in [`LOOKED_BACK`]; or why that is
    /// not known. Only of one in service.
    pub(crate) invoked: Option<Result<Option<i64>, String>>,
}

/// What is known of an execution that is being watched.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    items: Items,
}

/// What is asked of the world; every answer is only read.
pub(crate) trait Source: 'static {
    /// A page of the executions.
    async fn listed(&self, page: usize) -> anyhow::Result<Listed>;

    /// What the record and SageMaker know of an execution.
    async fn known(&self, text: &str) -> anyhow::Result<Known>;

    /// What its page has besides.
    async fn more(&self, known: &Known) -> More;

    /// The losses of its trainings.
    fn curves(&self, history: &History) -> Curves;

    /// What has come of an execution since the last look at it, if anything has: its history.
    async fn follow(&self, id: &str, followed: &mut Followed) -> anyhow::Result<Option<History>>;

    /// The endpoints that are there.
    async fn endpoints(&self) -> anyhow::Result<Vec<Served>>;

    /// What is in the failure queues, by their names.
    async fn failures(&self) -> anyhow::Result<Vec<(&'static str, Vec<Queued>)>>;

    /// What housekeeping did last.
    async fn last_run(&self) -> anyhow::Result<Option<LastRun>>;

    /// The time, in epoch milliseconds.
    fn now(&self) -> i64;
}

/// An installation in AWS, or what stands in for it on this machine.
pub(crate) struct Aws {
    config: SdkConfig,
    installation: Installation,
    search: Search,
    endpoints: Endpoints,
    metrics: Metrics,
    queues: sqs::Client,
    logs: Logs,
    listing: Mutex<Listing>,
}

impl Aws {
    pub(crate) fn new(
        config: SdkConfig,
        installation: Installation,
        table: Option<&str>,
        logs: Logs,
        days: u16,
    ) -> Self {
        let tables = dynamodb::client(&config);
        Self {
            search: Search::new(&config, &installation, table),
            endpoints: Endpoints::new(tables, installation.named("endpoints")),
            metrics: Metrics::new(cloudwatch::client(&config)),
            queues: sqs::client(&config),
            listing: Mutex::new(Listing::new(days)),
            config,
            installation,
            logs,
        }
    }

    async fn invoked(
        &self,
        row: &endpoints::Row,
        variants: &[String],
    ) -> Result<Option<i64>, String> {
        let now = self.now();
        let since = now
            .saturating_sub(LOOKED_BACK)
            .max(row.created_at.unwrap_or(0));
        let invoked = self.metrics.last_invoked(&row.name, variants, since, now);
        invoked.await.map_err(|error| error.to_string())
    }
}

impl Source for Aws {
    async fn listed(&self, page: usize) -> anyhow::Result<Listed> {
        let mut listing = self.listing.lock().await;
        Ok(listing
            .page(&self.search.executions, page, self.now())
            .await?)
    }

    async fn known(&self, text: &str) -> anyhow::Result<Known> {
        Known::of(&self.search, text).await
    }

    async fn more(&self, known: &Known) -> More {
        let mut more = More::of(&self.config, &known.history, &self.logs).await;
        let mut listing = self.listing.lock().await;
        more.find_before(&self.search, &mut listing, &known.history)
            .await;
        more
    }

    fn curves(&self, history: &History) -> Curves {
        self.logs.curves(history)
    }

    async fn follow(&self, id: &str, followed: &mut Followed) -> anyhow::Result<Option<History>> {
        let id = pipewright::record::RecordId::new(id)?;
        let news = followed.items.refresh(&self.search.executions, &id).await?;
        Ok(news.then(|| history(id.as_str(), followed.items.all())))
    }

    async fn endpoints(&self) -> anyhow::Result<Vec<Served>> {
        let rows = endpoints::rows(&self.endpoints, &self.search.sagemaker).await?;
        let there = rows.into_iter().filter(|(row, _)| row.status.is_some());
        let served = there.map(|(row, variants)| async move {
            let invoked = match row.status.as_deref() {
                Some("InService") => Some(self.invoked(&row, &variants).await),
                _ => None,
            };
            Served { row, invoked }
        });
        Ok(join_all(served).await)
    }

    async fn failures(&self) -> anyhow::Result<Vec<(&'static str, Vec<Queued>)>> {
        Ok(look(&self.queues, |name| self.installation.named(name)).await?)
    }

    async fn last_run(&self) -> anyhow::Result<Option<LastRun>> {
        let items = self.search.executions.items(names::HOUSEKEEPING_ID).await?;
        Ok(items.iter().find_map(LastRun::read))
    }

    fn now(&self) -> i64 {
        now()
    }
}
