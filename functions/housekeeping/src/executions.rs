//! Records whose events went missing.

use std::collections::{BTreeMap, BTreeSet};

use pipewright::definition::StepKind;
use pipewright::record::reconcile::{Comparison, EndpointState, ModelState, StepState, Told};
use pipewright::record::training::ended_trainings;
use pipewright::record::{
    Beyond, ChangeRow, EndedTraining, Event, ExecutionArn, Expected, Item, Kind, Record, RecordId,
    Refusal, StartFailure, Subject, is_final, names, phase, writes,
};

use crate::handler::Run;
use crate::plan::{DAYS_AFTER_END, Unstarted, choose, unstarted};
use crate::ports::{Clock, Failure, Service, Usage};
use pipewright::record::arn_of;
use pipewright::record::start::CLOCK_TOLERANCE;
use pipewright_aws::all;
use pipewright_aws::dynamodb::Records;
use pipewright_aws::dynamodb::endpoints::Registry;

/// What a record says that start-execution put, and of which no execution came.
const NOT_STARTED: &str = "the start did not finish, and SageMaker has no execution of this name; \
                           call start-execution again with this id to start it";

impl<R: Records, G: Registry, S: Service, U: Usage, C: Clock> Run<'_, R, G, S, U, C> {
    /// Makes the records right of the executions that are open, or ended within
    /// a week.
    pub(crate) async fn executions(&mut self) {
        let records = &self.world.records;
        let mut open = BTreeMap::new();
        match all(async |from| records.in_phase(phase::OPEN, from).await).await {
            Ok(rows) => open.extend(rows.into_iter().map(|row| (row.id, row.since))),
            Err(error) => self.failed("the open executions", error),
        }
        let mut ended = Vec::new();
        for phase in phase::ended_within(DAYS_AFTER_END, self.now()) {
            match all(async |from| records.in_phase(&phase, from).await).await {
                Ok(rows) => ended.extend(rows.into_iter().map(|row| row.id)),
                Err(error) => self.failed(&phase, error),
            }
        }
        ended.retain(|id| !open.contains_key(id));
        let (chosen, left) = choose(
            open.keys().cloned().collect(),
            ended,
            self.settings.executions_per_run,
            self.now(),
        );
        self.report.executions.left = left;
        for (place, id) in chosen.iter().enumerate() {
            if self.time_is_up() {
                self.report.executions.left += chosen.len() - place;
                break;
            }
            self.report.executions.looked_at += 1;
            match self.execution(id).await {
                // Nothing runs that could be old.
                Ok(Looked::NotStarted | Looked::Ended) => drop(open.remove(id)),
                Ok(Looked::Open) => {}
                Err(error) => self.failed(&format!("execution {id}"), error),
            }
        }
        self.started_elsewhere().await;
        let now = self.now();
        self.report.executions.open = open.len();
        let dated = open
            .iter()
            .filter_map(|(id, since)| Some((*since.as_ref()?, id)));
        if let Some((since, id)) = dated.min() {
            self.report.executions.oldest_open = Some(id.clone());
            self.report.executions.oldest_open_seconds = now.saturating_sub(since).max(0) / 1000;
        }
    }

    /// Makes one execution's record right.
    async fn execution(&mut self, id: &str) -> Result<Looked, Failure> {
        let id = RecordId::new(id)?;
        // The index may show what is deleted since.
        let Some(record) = self.world.records.record(&id).await? else {
            return Ok(Looked::NotStarted);
        };
        let arn = match arn_of(&record) {
            Some(arn) => ExecutionArn::parse(arn)?,
            None => match self.search(&id, &record).await? {
                Some(arn) => arn,
                None => return Ok(Looked::NotStarted),
            },
        };
        self.recorded.insert(arn.key());
        let pipeline = arn.pipeline_arn();
        self.seen_pipelines
            .entry(pipeline.to_ascii_lowercase())
            .or_insert_with(|| pipeline.to_owned());
        self.reconcile(&id, &arn, &record).await
    }

    /// Makes the record right that is kept of an execution under `id`. If it is
    /// empty, there is none yet: the execution's own change makes it, and if
    /// that is left to its event, so is everything else.
    pub(crate) async fn reconcile(
        &mut self,
        id: &RecordId,
        arn: &ExecutionArn,
        record: &Item,
    ) -> Result<Looked, Failure> {
        // Before SageMaker is asked: so what differs is newer there.
        let changes = self.world.records.changes(id).await?;
        let told = Told::of(&changes);
        let service = &self.world.service;
        let Some(state) = service.execution(arn.as_str()).await? else {
            // Its pipeline was deleted, say: its record can't be made right.
            return Ok(Looked::Open);
        };
        let steps = all(async |from| service.steps(arn.as_str(), from).await).await?;
        let comparison = self.comparison(arn, &told);
        let of_execution = comparison.execution(&state)?;
        let mut of_steps = Vec::new();
        for step in &steps {
            of_steps.extend(comparison.step(step)?);
        }
        let beyond = Beyond {
            execution: Some(arn.clone()),
            ..Beyond::default()
        };
        match of_execution {
            Some(event) => {
                let has_record = if record.is_empty() {
                    HasRecord::Maybe
                } else {
                    HasRecord::Yes
                };
                self.write(id, &event, &beyond, has_record).await?;
            }
            None if record.is_empty() => return Ok(Looked::NotStarted),
            None => {}
        }
        for event in &of_steps {
            self.write(id, event, &beyond, HasRecord::Yes).await?;
        }

        // What the steps made; each on its own, since each may fail.
        let made = |kind| {
            steps
                .iter()
                .filter_map(|step| step.made.as_ref())
                .filter(move |made| made.kind == kind)
                .map(|made| made.arn.as_str())
        };
        let models: BTreeMap<String, &str> = made(StepKind::Model)
            .chain(told.arns(Kind::Model))
            .map(|arn| (arn.to_ascii_lowercase(), arn))
            .collect();
        let packages: BTreeMap<String, &str> = made(StepKind::RegisterModel)
            .chain(told.arns(Kind::Package))
            .map(|arn| (arn.to_ascii_lowercase(), arn))
            .collect();
        let known = Record::read(record);
        for model in models.values() {
            // An ARN may have the name in lower case.
            let last = model.rsplit('/').next().unwrap_or(model);
            let name = known
                .model
                .model_name
                .as_deref()
                .filter(|name| name.eq_ignore_ascii_case(last))
                .unwrap_or(last);
            if let Err(error) = self.model(id, name, model, &told, &beyond).await {
                self.failed(&format!("execution {id}, model {name}"), error);
            }
        }
        for package in packages.values() {
            if let Err(error) = self.package(id, package, &told, &beyond).await {
                self.failed(&format!("execution {id}, package {package}"), error);
            }
        }
        if let Err(error) = self.trainings(id, &changes, &steps).await {
            self.failed(&format!("execution {id}, its training jobs"), error);
        }
        Ok(if is_final(&state.status) {
            Looked::Ended
        } else {
            Looked::Open
        })
    }

    fn comparison<'c>(&self, arn: &'c ExecutionArn, told: &'c Told<'c>) -> Comparison<'c> {
        Comparison {
            arn,
            told,
            settled_before: self.settled_before(),
        }
    }

    async fn model(
        &mut self,
        id: &RecordId,
        name: &str,
        arn: &str,
        told: &Told<'_>,
        beyond: &Beyond,
    ) -> Result<(), Failure> {
        let Some(execution) = &beyond.execution else {
            return Ok(());
        };
        let state = ModelState {
            name: name.to_owned(),
            arn: arn.to_owned(),
            found: self.world.service.model(name).await?,
        };
        match self.comparison(execution, told).model(&state)? {
            Some(event) => self.write(id, &event, beyond, HasRecord::Yes).await,
            None => Ok(()),
        }
    }

    async fn package(
        &mut self,
        id: &RecordId,
        arn: &str,
        told: &Told<'_>,
        beyond: &Beyond,
    ) -> Result<(), Failure> {
        let state = self.world.service.package(arn).await?;
        let (Some(state), Some(execution)) = (state, &beyond.execution) else {
            return Ok(());
        };
        match self.comparison(execution, told).package(&state)? {
            Some(event) => self.write(id, &event, beyond, HasRecord::Yes).await,
            None => Ok(()),
        }
    }

    /// Adds what training jobs ended with, where it is not known.
    async fn trainings(
        &mut self,
        id: &RecordId,
        changes: &[ChangeRow],
        steps: &[StepState],
    ) -> Result<(), Failure> {
        let settled_before = self.settled_before();
        let is_settled = |at: Option<i64>| at.is_none_or(|at| at <= settled_before);
        let mut ended = ended_trainings(
            changes.iter().filter(|change| is_settled(Some(change.at))),
            steps.iter().filter(|step| is_settled(step.ended_at)),
        );
        if ended.is_empty() {
            return Ok(());
        }
        let known = self.world.records.trainings(id).await?;
        let known: BTreeSet<&str> = known.iter().map(|row| row.entry.as_str()).collect();
        ended.retain(|training| !known.contains(training.entry().as_str()));
        for training in &ended {
            if let Err(error) = self.training(id, training).await {
                let job = training.job();
                self.failed(&format!("execution {id}, training job {job}"), error);
            }
        }
        Ok(())
    }

    async fn training(&mut self, id: &RecordId, training: &EndedTraining) -> Result<(), Failure> {
        let job = training.job();
        let Some(state) = self.world.service.training(job).await? else {
            return Ok(());
        };
        let Some(row) = training.row(id, &state) else {
            return Ok(());
        };
        if !self.settings.dry_run {
            self.world.records.put_training(&row).await?;
        }
        let status = &state.status;
        tracing::info!(%id, job, status, "training reconciled");
        self.report
            .executions
            .reconciled
            .push(format!("{id}: training {job} {status}"));
        Ok(())
    }

    /// A change that SageMaker dates after this moment is left to its event.
    fn settled_before(&self) -> i64 {
        self.now().saturating_sub(self.settings.grace)
    }

    /// Makes the record right of an execution that a registered endpoint serves
    /// the model of. `listed` says whether SageMaker lists the endpoint.
    pub(crate) async fn registered_endpoint(
        &mut self,
        name: &str,
        execution: &str,
        listed: bool,
    ) -> Result<(), Failure> {
        let id = RecordId::new(execution)?;
        let changes = self.world.records.changes(&id).await?;
        let told = Told::of(&changes);
        let status = told.status(Kind::Endpoint, name);
        if listed || status.is_some_and(|status| status != "Deleted") {
            let Some(record) = self.world.records.record(&id).await? else {
                return Ok(());
            };
            let Some(arn) = arn_of(&record) else {
                return Ok(());
            };
            let arn = ExecutionArn::parse(arn)?;
            let state = EndpointState {
                name: name.to_owned(),
                found: self
                    .world
                    .service
                    .endpoint(name)
                    .await?
                    .map(|answer| answer.found),
            };
            if let Some(event) = self.comparison(&arn, &told).endpoint(&state)? {
                self.write(&id, &event, &Beyond::default(), HasRecord::Yes)
                    .await?;
            }
            if state.found.is_some() {
                return Ok(());
            }
        }
        // One that was never told of may not have been made yet.
        if status.is_some() && !self.settings.dry_run {
            let now = self.now();
            self.world.registry.mark_deleted(name, now).await?;
        }
        Ok(())
    }

    /// Searches the execution of a record that has no ARN.
    async fn search(
        &mut self,
        id: &RecordId,
        record: &Item,
    ) -> Result<Option<ExecutionArn>, Failure> {
        let start = Record::read(record).start;
        let created_at = start.created_at;
        let says_so = record.contains_key(names::START_FAILURE);
        let now = self.now();
        let note = match unstarted(created_at, says_so, now) {
            Unstarted::Leave => return Ok(None),
            Unstarted::Search { note } => note,
        };
        let since = created_at
            .unwrap_or_default()
            .saturating_sub(CLOCK_TOLERANCE);
        // Before a record said whose it is, all were the shipped pipeline's.
        let named = start.pipeline_name.as_ref();
        let pipeline = named.unwrap_or(&self.settings.shipped_pipeline);
        let service = &self.world.service;
        match service.find(pipeline, id.as_str(), since).await? {
            Some(arn) => {
                let arn = ExecutionArn::parse(arn)?;
                tracing::info!(%id, %arn, "execution found by its name");
                if !self.settings.dry_run {
                    self.world.records.claim_arn(id, &arn).await?;
                }
                self.report.executions.found.push(id.to_string());
                Ok(Some(arn))
            }
            None => {
                if note {
                    tracing::warn!(%id, "execution was not started");
                    if !self.settings.dry_run {
                        self.world
                            .records
                            .note_start_failure(id, &StartFailure::new(NOT_STARTED, now))
                            .await?;
                    }
                    self.report.executions.not_started.push(id.to_string());
                }
                Ok(None)
            }
        }
    }

    /// Makes an event's two writes.
    async fn write(
        &mut self,
        id: &RecordId,
        event: &Event,
        beyond: &Beyond,
        has_record: HasRecord,
    ) -> Result<(), Failure> {
        let status = &event.status.name;
        if !self.settings.dry_run {
            let mut writes = writes(event, id, beyond);
            if has_record == HasRecord::Yes {
                writes.update.expected = Expected::Exists;
            }
            match self.world.records.update_record(&writes.update).await? {
                // The record was deleted on purpose.
                Some(Refusal::Absent) => return Ok(()),
                Some(Refusal::OtherExecution) => {
                    return Err("the record belongs to another execution meanwhile".into());
                }
                Some(Refusal::NotLater | Refusal::NotMade) | None => {}
            }
            self.world.records.put_change(&writes.change).await?;
        }
        let what = what(event);
        tracing::info!(%id, what, status, at = event.at, "change reconciled");
        self.report
            .executions
            .reconciled
            .push(format!("{id}: {what} {status}"));
        Ok(())
    }
}

/// Whether an execution has its record already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HasRecord {
    /// It has; if not any more, somebody deleted it.
    Yes,
    /// It may not have one yet.
    Maybe,
}

/// What became of an execution that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Its record is as SageMaker says, and it is not final; or SageMaker
    /// doesn't say.
    Open,
    /// Its record is as SageMaker says, and it is final.
    Ended,
    /// Nothing was started under its id, as far as is known or as events have
    /// had the time to tell.
    NotStarted,
}

fn what(event: &Event) -> String {
    match &event.subject {
        Subject::Step(facts) => format!("step {}", facts.name),
        _ => event.kind().name().to_owned(),
    }
}
