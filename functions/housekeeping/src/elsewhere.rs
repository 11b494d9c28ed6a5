//! Executions that were started elsewhere, and of which no event arrived.

use pipewright::record::{Candidate, ExecutionArn, Item, RecordId, names, whose};
use pipewright_aws::sagemaker::ExecutionSummary;

use crate::executions::Looked;
use crate::handler::Run;
use crate::plan::{SEARCHED_FOR, is_followed};
use crate::ports::{Clock, Failure, Service, Usage};
use pipewright::record::arn_of;
use pipewright_aws::all;
use pipewright_aws::dynamodb::Records;
use pipewright_aws::dynamodb::endpoints::Registry;

/// Whether start-execution made this record for the execution, as far as is
/// known; or the execution has it already.
fn is_claimable(record: &Item, arn: &ExecutionArn) -> bool {
    match arn_of(record) {
        Some(known) => known.eq_ignore_ascii_case(arn.as_str()),
        None => record.contains_key(names::CREATED_AT),
    }
}

impl<R: Records, G: Registry, S: Service, U: Usage, C: Clock> Run<'_, R, G, S, U, C> {
    /// Gives a record to the executions of the last week that have none, of
    /// every pipeline that is followed.
    pub(crate) async fn started_elsewhere(&mut self) {
        for pipeline in self.followed_pipelines().await {
            if self.time_is_up() {
                break;
            }
            self.started_elsewhere_of(&pipeline).await;
        }
    }

    /// The names of the pipelines that are followed: those that are so by name,
    /// and of those that have records the ones with the installation's tag.
    /// That somebody made a record of another one's execution tells nothing of
    /// its other executions.
    async fn followed_pipelines(&mut self) -> Vec<String> {
        let settings = self.settings;
        let mut names = vec![settings.shipped_pipeline.clone()];
        let named = |names: &[String], name: &str| {
            names.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        for name in &settings.pipelines {
            if !named(&names, name) {
                names.push(name.clone());
            }
        }
        for arn in self.seen_pipelines.values().cloned().collect::<Vec<_>>() {
            let name = arn.rsplit('/').next().unwrap_or_default();
            if named(&names, name) {
                continue;
            }
            if self.time_is_up() {
                break;
            }
            let service = &self.world.service;
            match all(async |from| service.tags(&arn, from).await).await {
                Ok(tags) => {
                    if is_followed(&tags.into_iter().collect(), &settings.prefix) {
                        names.push(name.to_owned());
                    }
                }
                Err(error) => self.failed(&format!("the tags of pipeline {name}"), error),
            }
        }
        names
    }

    async fn started_elsewhere_of(&mut self, pipeline: &str) {
        let since = self.now().saturating_sub(SEARCHED_FOR);
        let service = &self.world.service;
        let list = async |from| service.executions_since(pipeline, since, from).await;
        let summaries = match all(list).await {
            Ok(summaries) => summaries,
            Err(error) => {
                let what = format!("the executions of pipeline {pipeline}");
                return self.failed(&what, error);
            }
        };
        for summary in summaries {
            // What is left is in the list of the next run.
            if self.time_is_up() {
                break;
            }
            if let Err(error) = self.adopt(&summary).await {
                self.failed(&format!("execution {}", summary.arn), error);
            }
        }
    }

    /// Gives an execution a record, unless it has one or had one.
    async fn adopt(&mut self, summary: &ExecutionSummary) -> Result<(), Failure> {
        let arn = ExecutionArn::parse(summary.arn.as_str())?;
        if self.recorded.contains(&arn.key()) {
            return Ok(());
        }
        let name = summary.display_name.as_deref();
        if let Some(named) = whose::started(name)
            && let Some(record) = self.world.records.record(&named.id).await?
            && is_claimable(&record, &arn)
        {
            // Its own, or searched for by its name in its turn.
            return Ok(());
        }
        let parameter = self.world.service.execution_id(arn.as_str()).await?;
        let parameter = parameter.as_deref();
        if name.is_some_and(|name| RecordId::new(name).is_ok()) && parameter == name {
            // Started by start-execution, which made a record beforehand:
            // that was deleted on purpose.
            return Ok(());
        }
        // As its events find an id.
        if let Some(candidate) = whose::started(parameter)
            && let Some(record) = self.world.records.record(&candidate.id).await?
            && is_claimable(&record, &arn)
        {
            return match arn_of(&record) {
                Some(_) => Ok(()),
                None => self.adopt_as(&candidate.id, &arn, &record).await,
            };
        }
        for Candidate { id, .. } in whose::elsewhere(parameter, name, &arn)? {
            let record = self.world.records.record(&id).await?;
            match record.as_ref().and_then(arn_of) {
                Some(known) if known.eq_ignore_ascii_case(arn.as_str()) => return Ok(()),
                Some(_) => {}
                None => return self.adopt_as(&id, &arn, &record.unwrap_or_default()).await,
            }
        }
        Err("every id that it could have belongs to another execution".into())
    }

    async fn adopt_as(
        &mut self,
        id: &RecordId,
        arn: &ExecutionArn,
        record: &Item,
    ) -> Result<(), Failure> {
        self.report.executions.looked_at += 1;
        match self.reconcile(id, arn, record).await? {
            Looked::Open | Looked::Ended => {
                tracing::info!(%id, %arn, "execution of which no event came");
                self.report.executions.adopted.push(id.to_string());
            }
            Looked::NotStarted => {}
        }
        Ok(())
    }
}
