//! Executions that were started elsewhere, and of which no event arrived.

use pipewright::record::{ExecutionArn, Item, RecordId};
use pipewright_aws::sagemaker::ExecutionSummary;

use crate::executions::{Looked, arn_of};
use crate::handler::Run;
use crate::plan::SEARCHED_FOR;
use crate::ports::{Clock, Failure, Records, Registry, Service, Usage, all};

impl<R: Records, G: Registry, S: Service, U: Usage, C: Clock> Run<'_, R, G, S, U, C> {
    /// Gives a record to the pipeline's executions of the last week that have
    /// none.
    pub(crate) async fn started_elsewhere(&mut self) {
        if self.time_is_up() {
            return;
        }
        let since = self.now().saturating_sub(SEARCHED_FOR);
        let service = &self.world.service;
        let summaries = match all(async |from| service.executions_since(since, from).await).await {
            Ok(summaries) => summaries,
            Err(error) => return self.failed("the pipeline's executions", error),
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
        let named = name.and_then(|name| RecordId::new(name).ok());
        if let Some(named) = &named
            && let Some(record) = self.world.records.record(named).await?
        {
            match arn_of(&record) {
                Some(known) if known.eq_ignore_ascii_case(arn.as_str()) => return Ok(()),
                Some(_) => {}
                // Searched for by its name in its turn.
                None => return Ok(()),
            }
        }
        let parameter = self.world.service.execution_id(arn.as_str()).await?;
        if named.is_some() && parameter.as_deref() == name {
            // Started by start-execution, which made a record beforehand:
            // whoever deleted that wants none.
            return Ok(());
        }
        // As its events find an id, and what they do where that is taken.
        let first = RecordId::of_execution(parameter.as_deref(), name, &arn)?;
        for id in [first, RecordId::new(arn.execution_id())?] {
            let record = self.world.records.record(&id).await?;
            match record.as_ref().and_then(arn_of) {
                Some(known) if known.eq_ignore_ascii_case(arn.as_str()) => return Ok(()),
                Some(_) => {}
                None => return self.adopt_as(&id, &arn, &record.unwrap_or_default()).await,
            }
        }
        Err("both ids that it could have belong to other executions".into())
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
