//! Endpoints: what their records say, and those that are not used.

use std::collections::{BTreeMap, BTreeSet};

use pipewright::record::reconcile::EndpointFound;
use pipewright::record::whose::{EXECUTION_TAG, STACK_TAG};
use pipewright_aws::sagemaker::endpoints::{EndpointAnswer, ListedEndpoint};

use crate::handler::Run;
use crate::ports::{Clock, Failure, Service, Usage};
use pipewright_aws::all;
use pipewright_aws::dynamodb::Records;
use pipewright_aws::dynamodb::endpoints::Registry;

/// The tag that keeps an endpoint, whatever its value, unless that is `false`.
const KEEP_TAG: &str = "pipewright:keep";

/// An endpoint of ours.
struct Ours {
    name: String,
    tags: BTreeMap<String, String>,
    answer: EndpointAnswer,
}

/// What becomes of an endpoint.
enum Verdict {
    Kept(Kept),
    Idle,
}

/// Why an endpoint of ours is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
    /// Its tag says so.
    OptedOut,
    /// It is being made, changed or deleted, or has failed.
    NotInService,
    /// It was made or changed within the limit.
    Young,
    /// It was invoked within the limit.
    InUse,
}

impl Kept {
    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OptedOut => "optedOut",
            Self::NotInService => "notInService",
            Self::Young => "young",
            Self::InUse => "inUse",
        }
    }
}

impl<R: Records, G: Registry, S: Service, U: Usage, C: Clock> Run<'_, R, G, S, U, C> {
    /// Makes right what records say of endpoints, and deletes idle ones.
    pub(crate) async fn endpoints(&mut self) {
        let service = &self.world.service;
        let listed = match all(async |from| service.endpoints(from).await).await {
            Ok(listed) => listed,
            Err(error) => {
                self.failed("the endpoints", error);
                return;
            }
        };
        // Without the table it is unknown which endpoints are ours.
        let Some(registered) = self.registered(&listed).await else {
            return;
        };
        let ours = self.ours(&listed, &registered).await;
        self.report.endpoints.ours = ours.len();
        for (place, endpoint) in ours.iter().enumerate() {
            let deletions =
                self.report.endpoints.deleted.len() + self.report.endpoints.would_delete.len();
            if self.time_is_up() || deletions >= self.settings.endpoints_per_run {
                self.report.endpoints.left += ours.len() - place;
                break;
            }
            let shared = ours.iter().any(|other| {
                other.name != endpoint.name
                    && other.answer.found.config_name == endpoint.answer.found.config_name
            });
            let done = match self.verdict(endpoint).await {
                Ok(Verdict::Kept(why)) => {
                    *self.report.endpoints.kept.entry(why.name()).or_default() += 1;
                    Ok(())
                }
                Ok(Verdict::Idle) => self.idle(endpoint, shared).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.report.endpoints.failed += 1;
                self.failed(&format!("endpoint {}", endpoint.name), error);
            }
        }
    }

    /// Makes right what records say of the endpoints that are registered, and
    /// gives the execution of each by its name in lower case; `None` if the
    /// table can't be read.
    async fn registered(&mut self, listed: &[ListedEndpoint]) -> Option<BTreeMap<String, String>> {
        let registry = &self.world.registry;
        let registered = match all(async |from| registry.page(from).await).await {
            Ok(registered) => registered,
            Err(error) => {
                self.failed("the registered endpoints", error);
                return None;
            }
        };
        let listed: BTreeSet<String> = listed
            .iter()
            .map(|endpoint| endpoint.name.to_ascii_lowercase())
            .collect();
        let executions = registered
            .iter()
            .map(|entry| (entry.name.to_ascii_lowercase(), entry.execution.clone()))
            .collect();
        for entry in registered {
            let is_listed = listed.contains(&entry.name.to_ascii_lowercase());
            if self.time_is_up() {
                break;
            }
            if !is_listed && entry.deleted_at.is_some() {
                continue;
            }
            let done = self
                .registered_endpoint(&entry.name, &entry.execution, is_listed)
                .await;
            if let Err(error) = done {
                self.failed(&format!("the record of endpoint {}", entry.name), error);
            }
        }
        Some(executions)
    }

    /// The endpoints that are ours: tagged as such, and `registered` for the
    /// execution that their tag names.
    async fn ours(
        &mut self,
        listed: &[ListedEndpoint],
        registered: &BTreeMap<String, String>,
    ) -> Vec<Ours> {
        let mut ours = Vec::new();
        for (place, endpoint) in listed.iter().enumerate() {
            if self.time_is_up() {
                self.report.endpoints.left += listed.len() - place;
                break;
            }
            let execution = registered.get(&endpoint.name.to_ascii_lowercase());
            match self.described(endpoint, execution).await {
                Ok(Some(endpoint)) => ours.push(endpoint),
                Ok(None) => {}
                Err(error) => {
                    self.report.endpoints.failed += 1;
                    self.failed(&format!("endpoint {}", endpoint.name), error);
                }
            }
        }
        ours
    }

    async fn described(
        &mut self,
        listed: &ListedEndpoint,
        execution: Option<&String>,
    ) -> Result<Option<Ours>, Failure> {
        let service = &self.world.service;
        let tags: BTreeMap<String, String> =
            all(async |from| service.tags(&listed.arn, from).await)
                .await?
                .into_iter()
                .collect();
        if !claims_to_be_ours(&tags, &self.settings.prefix) {
            return Ok(None);
        }
        if !execution.is_some_and(|execution| serves(&tags, execution)) {
            tracing::warn!(
                endpoint = listed.name,
                "tagged as ours, and the table of endpoints does not say so: left alone"
            );
            self.report
                .endpoints
                .not_registered
                .push(listed.name.clone());
            return Ok(None);
        }
        let answer = service.endpoint(&listed.name).await?;
        Ok(answer.map(|answer| Ours {
            name: listed.name.clone(),
            tags,
            answer,
        }))
    }

    async fn verdict(&self, endpoint: &Ours) -> Result<Verdict, Failure> {
        let now = self.now();
        let idle_after = self.settings.idle_after;
        if let Some(why) = kept_anyway(&endpoint.tags, &endpoint.answer.found, idle_after, now) {
            return Ok(Verdict::Kept(why));
        }
        let variants = &endpoint.answer.variants;
        if variants.is_empty() {
            return Err("it is in service and has no variant, so its use is not known".into());
        }
        let since = now.saturating_sub(idle_after);
        let invocations = self
            .world
            .usage
            .invocations(&endpoint.name, variants, since, now)
            .await?;
        Ok(if invocations > 0.0 {
            Verdict::Kept(Kept::InUse)
        } else {
            Verdict::Idle
        })
    }

    /// Deletes an idle endpoint and its configuration, unless another endpoint
    /// of ours has the same one.
    async fn idle(&mut self, endpoint: &Ours, shared: bool) -> Result<(), Failure> {
        let name = &endpoint.name;
        if self.settings.dry_run || !self.settings.delete_endpoints {
            self.report.endpoints.would_delete.push(name.clone());
            return Ok(());
        }
        self.world.service.delete_endpoint(name).await?;
        tracing::warn!(
            endpoint = name,
            "idle endpoint deleted; tag {KEEP_TAG} keeps one"
        );
        self.report.endpoints.deleted.push(name.clone());
        match &endpoint.answer.found.config_name {
            Some(config) if !shared => self.world.service.delete_config(config).await,
            _ => Ok(()),
        }
    }
}

/// Whether an endpoint with these tags says that it is the installation's.
/// Everyone who may tag can say so: that it is ours, the table of endpoints decides
/// ([`serves`]).
pub(crate) fn claims_to_be_ours(tags: &BTreeMap<String, String>, prefix: &str) -> bool {
    tags.get(STACK_TAG).is_some_and(|stack| stack == prefix)
}

/// Whether an endpoint with these tags is the one that the table of endpoints
/// has for `execution`.
pub(crate) fn serves(tags: &BTreeMap<String, String>, execution: &str) -> bool {
    tags.get(EXECUTION_TAG).is_some_and(|of| of == execution)
}

/// Why an endpoint of ours is kept without asking how it is used; `None` if its
/// use decides.
pub(crate) fn kept_anyway(
    tags: &BTreeMap<String, String>,
    endpoint: &EndpointFound,
    idle_after: i64,
    now: i64,
) -> Option<Kept> {
    if tags
        .get(KEEP_TAG)
        .is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    {
        return Some(Kept::OptedOut);
    }
    if endpoint.status != "InService" {
        return Some(Kept::NotInService);
    }
    // Of unknown age is young: nothing is deleted on a guess.
    let since = endpoint.created_at.max(endpoint.modified_at);
    since
        .is_none_or(|since| now.saturating_sub(since) <= idle_after)
        .then_some(Kept::Young)
}
