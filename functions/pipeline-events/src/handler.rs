//! One event: whose is it, and what does it write?

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lambda_events::eventbridge::EventBridgeEvent;
use pipewright::arn::Home;
use pipewright::record::families::{PackageFacts, SAGEMAKER_EXECUTION_TAG};
use pipewright::record::reconcile::Told;
use pipewright::record::{
    Beyond, Candidate, ChangeRow, EndedTraining, Event, EventError, ExecutionArn, Expected,
    InvalidRecordId, Kind, Owner, RecordId, RecordUpdate, Refusal, Subject, Writes, whose, writes,
};
use pipewright_aws::dynamodb::endpoints::Registry;
use pipewright_aws::dynamodb::{Records, TableError};
use pipewright_aws::sagemaker::Origin;

use crate::envelope::parsed;
use crate::ports::{Failure, Questions};

/// How many executions' ids are kept while warm. Beyond that the memory is
/// started afresh: asking again costs one call.
const REMEMBERED_EXECUTIONS: usize = 1_000;

/// The same for pipelines, of which it is kept whether they are followed.
const REMEMBERED_PIPELINES: usize = 1_000;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Both writes are made.
    Recorded {
        /// The execution's record.
        id: RecordId,
        /// Whether it is the latest of its family; if not, only its change
        /// item was written.
        latest: bool,
    },
    /// It is none of ours, and nothing was written.
    NotOurs {
        /// Why not.
        why: String,
    },
}

/// Why an event could not be recorded. Lambda delivers it again, and keeps it
/// in the failure queue in the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HandlerError {
    /// It is one of ours and can't be read.
    #[error("{0}")]
    Malformed(EventError),
    /// It does not have the form of EventBridge's events.
    #[error("the event cannot be read: {0}")]
    Envelope(String),
    /// Whose it is could not be found out.
    #[error("could not find the record of the event: {0}")]
    Lookup(#[source] Failure),
    /// The table did not take it.
    #[error("could not write the event to execution {id}: {source}")]
    Write {
        /// The record's id.
        id: RecordId,
        /// What the table said.
        source: TableError,
    },
    /// The event is written, and what its training job ended with is not.
    #[error(
        "the event is written to execution {id}, but not what its training job {job} ended with: {source}"
    )]
    Training {
        /// The record's id.
        id: RecordId,
        /// The job's name.
        job: String,
        /// What SageMaker or the table said.
        source: Failure,
    },
    /// SageMaker's own id of the execution is not usable.
    #[error("could not record the event: {0}")]
    Id(#[from] InvalidRecordId),
    /// Its own id belongs to another execution.
    #[error("execution id {id} belongs to an execution other than {arn}")]
    Taken {
        /// The record's id.
        id: RecordId,
        /// The event's execution.
        arn: String,
    },
}

impl HandlerError {
    /// The name for Lambda's `errorType`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Envelope(_) => "MalformedEvent",
            Self::Lookup(_) => "LookupFailed",
            Self::Write { .. } => "WriteFailed",
            Self::Training { .. } => "TrainingNotRecorded",
            Self::Id(_) => "UnusableExecutionId",
            Self::Taken { .. } => "ExecutionIdTaken",
        }
    }
}

/// How the installation knows its pipelines, where an event does not come by a rule for one.
///
/// Executions and steps need none of it: the rules decide whose come here. The rules of models and
/// packages are for all of the region, and a model that is deleted does not name its pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    /// The installation's prefix, which the tags of pipelines have.
    pub(crate) prefix: String,
    /// The pipelines that are followed by name: the shipped one, and those that the
    /// template's parameter `PipelineNames` has.
    pub(crate) pipelines: Vec<String>,
}

/// What was tried under an id.
enum Tried {
    /// The event is recorded under it.
    Recorded(Outcome),
    /// No record is there that could take it.
    Absent,
    /// The record there is another execution's.
    OtherExecution,
}

/// Records events.
#[derive(Debug)]
pub(crate) struct Handler<R, E, Q> {
    ours: Ours,
    records: R,
    endpoints: E,
    questions: Q,
    /// The record's id by the execution's ARN key, of executions that have a
    /// parameter `ExecutionId`. That one has none is not remembered, since
    /// right after the start SageMaker may not know yet.
    remembered: Mutex<HashMap<String, RecordId>>,
    /// Whether a pipeline is followed, by its ARN in lower case.
    pipelines: Mutex<HashMap<String, bool>>,
}

impl<R: Records, E: Registry, Q: Questions> Handler<R, E, Q> {
    pub(crate) fn new(ours: Ours, records: R, endpoints: E, questions: Q) -> Self {
        Self {
            ours,
            records,
            endpoints,
            questions,
            remembered: Mutex::new(HashMap::new()),
            pipelines: Mutex::new(HashMap::new()),
        }
    }

    /// Records one EventBridge event, in a function that runs in `home`.
    ///
    /// In the normal case that is two writes and no read. The end of a step
    /// that ran a training job is a question and a write more. A step's event asks
    /// SageMaker for its execution's id once while the process is warm; an
    /// execution started elsewhere, or one whose id another execution has,
    /// costs at most three refused updates and two questions more. The event
    /// of a model or package that comes before its step's, and that of such a
    /// step, read the execution's changes as well. Of a model or package whose
    /// execution has no record, the pipeline's tags are asked for, once while
    /// the process is warm.
    pub(crate) async fn handle(
        &self,
        home: &Home,
        event: &EventBridgeEvent,
    ) -> Result<Outcome, HandlerError> {
        let not_ours = |why: String| Ok(Outcome::NotOurs { why });
        if let Some(why) = sent_elsewhere(home, event) {
            return not_ours(why);
        }
        let event = match parsed(event) {
            Ok(event) => event,
            Err(error @ EventError::NotFollowed { .. }) => return not_ours(error.to_string()),
            Err(error) => return Err(HandlerError::Malformed(error)),
        };
        for field in &event.unread_fields {
            tracing::warn!(kind = event.kind().name(), field, "field could not be read");
        }
        if let Some(arn) = event.subject.arn()
            && !home.holds(arn)
        {
            return not_ours(format!("{arn} is in another account or region"));
        }
        // Anyone of the account may write what names the execution; that a step made it is SageMaker's word.
        let is_made = event.kind().made_by().is_some();
        match event.subject.owner() {
            Owner::Named {
                execution,
                display_name,
            } => self.named(&event, execution, display_name).await,
            Owner::Tagged {
                execution,
                arn,
                name,
            } if is_made => self.tagged(home, &event, execution, arn, name).await,
            Owner::Package(facts) if is_made => self.package(home, &event, facts).await,
            Owner::Tagged { .. } | Owner::Package(_) => not_ours(
                "what names its execution is proof of nothing, and no step makes it".to_owned(),
            ),
            Owner::Endpoint(name) => self.endpoint(&event, name).await,
        }
    }

    /// Whether the installation follows the pipeline of an execution: by its
    /// name, or by its tag.
    async fn is_followed(&self, arn: &ExecutionArn) -> Result<bool, HandlerError> {
        if self
            .ours
            .pipelines
            .iter()
            .any(|name| arn.is_of_pipeline(name))
        {
            return Ok(true);
        }
        let key = arn.pipeline_arn().to_ascii_lowercase();
        let lock = || {
            self.pipelines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let known = lock().get(&key).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let tag = self
            .questions
            .tag(arn.pipeline_arn(), whose::PIPELINE_TAG)
            .await
            .map_err(HandlerError::Lookup)?;
        let followed = tag.is_some_and(|prefix| prefix == self.ours.prefix);
        let mut pipelines = lock();
        if pipelines.len() >= REMEMBERED_PIPELINES {
            pipelines.clear();
        }
        pipelines.insert(key, followed);
        Ok(followed)
    }

    async fn named(
        &self,
        event: &Event,
        arn: &ExecutionArn,
        display_name: Option<&str>,
    ) -> Result<Outcome, HandlerError> {
        let mut beyond = Beyond::default();
        // No event of an execution has its reason.
        if event.kind() == Kind::Execution
            && event.status.name == "Failed"
            && event.failure_reason.is_none()
        {
            beyond.failure_reason = self
                .questions
                .failure_reason(arn.as_str())
                .await
                .map_err(HandlerError::Lookup)?;
        }
        // The display name is the id of every execution that start-execution
        // started: nothing need be asked.
        if let Some(candidate) = whose::started(display_name)
            && let Tried::Recorded(outcome) = self.record(event, candidate, &beyond).await?
        {
            return Ok(outcome);
        }
        self.of_execution(event, arn, display_name, &beyond).await
    }

    async fn tagged(
        &self,
        home: &Home,
        event: &Event,
        execution: Option<&ExecutionArn>,
        made: Option<&str>,
        name: Option<&str>,
    ) -> Result<Outcome, HandlerError> {
        let tag = match (execution, made) {
            (Some(arn), _) => Some(arn.clone()),
            (None, Some(made)) => self
                .questions
                .tag(made, SAGEMAKER_EXECUTION_TAG)
                .await
                .map_err(HandlerError::Lookup)?
                .and_then(|arn| ExecutionArn::parse(arn).ok()),
            (None, None) => None,
        };
        let arn = match (tag, name, made) {
            (Some(arn), _, _) => Some(arn),
            (None, Some(name), Some(made)) => self.execution_in_name(name, made).await?,
            _ => None,
        };
        match (arn, made) {
            (Some(arn), Some(made)) => self.made(home, event, made, &arn).await,
            _ => Ok(Outcome::NotOurs {
                why: format!("{} that no pipeline of ours made", event.kind().name()),
            }),
        }
    }

    /// The execution whose id stands in a name, `pipelines-<12 characters>-...`: what is deleted has no
    /// tags any more. Which pipeline's it is the name does not say, so SageMaker is asked.
    async fn execution_in_name(
        &self,
        name: &str,
        arn: &str,
    ) -> Result<Option<ExecutionArn>, HandlerError> {
        let guess = || {
            let (id, _) = name.strip_prefix("pipelines-")?.split_once('-')?;
            let (partition, rest) = arn.split_once(":sagemaker:")?;
            let mut parts = rest.splitn(3, ':');
            let (region, account) = (parts.next()?, parts.next()?);
            Some((format!("{partition}:sagemaker:{region}:{account}"), id))
        };
        match guess() {
            Some((scope, id)) => self.execution_of_ours(&scope, id).await,
            None => Ok(None),
        }
    }

    /// The execution with one of SageMaker's own ids, 12 letters and digits, if
    /// `id` is of that form, of the pipelines that are followed by name.
    async fn execution_of_ours(
        &self,
        scope: &str,
        id: &str,
    ) -> Result<Option<ExecutionArn>, HandlerError> {
        let of_sagemaker = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !of_sagemaker {
            return Ok(None);
        }
        for pipeline in &self.ours.pipelines {
            let arn = ExecutionArn::parse(format!("{scope}:pipeline/{pipeline}/execution/{id}"));
            if let Ok(arn) = arn
                && self.exists(&arn).await?
            {
                return Ok(Some(arn));
            }
        }
        Ok(None)
    }

    async fn exists(&self, arn: &ExecutionArn) -> Result<bool, HandlerError> {
        let exists = self.questions.exists(arn.as_str()).await;
        exists.map_err(HandlerError::Lookup)
    }

    async fn package(
        &self,
        home: &Home,
        event: &Event,
        facts: &PackageFacts,
    ) -> Result<Outcome, HandlerError> {
        if let Some(arn) = &facts.execution {
            return self.made(home, event, &facts.arn, arn).await;
        }
        if let Some(id) = &facts.execution_id
            && let Some(outcome) = self.package_of(event, &facts.arn, id).await?
        {
            return Ok(outcome);
        }
        let origin = self
            .questions
            .package_origin(&facts.arn)
            .await
            .map_err(HandlerError::Lookup)?;
        let Origin {
            generated_by,
            execution_id,
        } = origin.unwrap_or_default();
        // Whatever made it may be something else than a pipeline.
        if let Some(Ok(arn)) = generated_by.map(ExecutionArn::parse) {
            return self.made(home, event, &facts.arn, &arn).await;
        }
        let asked = execution_id.filter(|_| facts.execution_id.is_none());
        if let Some(id) = &asked
            && let Some(outcome) = self.package_of(event, &facts.arn, id).await?
        {
            return Ok(outcome);
        }
        Ok(Outcome::NotOurs {
            why: match facts.execution_id.as_ref().or(asked.as_ref()) {
                Some(id) => format!("package that names execution {id}, which does not exist"),
                None => "package that names no execution".to_owned(),
            },
        })
    }

    /// Records the event of a package that was given the id of its execution,
    /// and not the ARN; `None` if there is no such execution.
    async fn package_of(
        &self,
        event: &Event,
        package: &str,
        id: &str,
    ) -> Result<Option<Outcome>, HandlerError> {
        let Ok(id) = RecordId::new(id) else {
            return Ok(None);
        };
        let candidate = Candidate {
            id: id.clone(),
            expected: Expected::Started,
        };
        let beyond = Beyond::default();
        if let Tried::Recorded(outcome) = self.record(event, candidate, &beyond).await? {
            return Ok(Some(outcome));
        }
        // The events of an execution that was started elsewhere may yet come
        // and make the record, which has SageMaker's own id.
        let scope = package.split_once(":model-package/");
        let elsewhere = match scope {
            Some((scope, _)) => self.execution_of_ours(scope, id.as_str()).await?,
            None => None,
        };
        match elsewhere {
            Some(_) => Ok(Some(self.pending(event, id, &beyond).await?)),
            None => Ok(None),
        }
    }

    /// Records the event of a model or package that names the execution `arn`.
    /// That it does proves nothing: it needs a record that is there, and
    /// changes only its own item until a step's event says that it was made
    /// there.
    async fn made(
        &self,
        home: &Home,
        event: &Event,
        made: &str,
        arn: &ExecutionArn,
    ) -> Result<Outcome, HandlerError> {
        if !home.holds(arn.as_str()) {
            return Ok(Outcome::NotOurs {
                why: format!("{made} names {arn}, which is in another account or region"),
            });
        }
        let beyond = Beyond {
            execution: Some(arn.clone()),
            ..Beyond::default()
        };
        self.of_execution(event, arn, None, &beyond).await
    }

    async fn endpoint(&self, event: &Event, name: &str) -> Result<Outcome, HandlerError> {
        let registered = self
            .endpoints
            .find(name)
            .await
            .map_err(|error| HandlerError::Lookup(error.into()))?
            .map(|entry| entry.execution);
        let Some(id) = registered else {
            return Ok(Outcome::NotOurs {
                why: format!("endpoint {name} is not registered"),
            });
        };
        let id = RecordId::new(id)?;
        let writes = writes(event, &id, &Beyond::default());
        let refusal = self.update(&id, &writes.update).await?;
        self.finish(id, &writes.change, refusal.is_none()).await
    }

    /// Records an event of the execution `arn`, whose id has to be found.
    /// `told` is its display name, where the event tells.
    async fn of_execution(
        &self,
        event: &Event,
        arn: &ExecutionArn,
        told: Option<&str>,
        beyond: &Beyond,
    ) -> Result<Outcome, HandlerError> {
        let key = arn.key();
        // Nothing panics while the map is locked.
        let lock = || {
            self.remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let remembered = lock().get(&key).cloned();
        if let Some(id) = remembered {
            let candidate = Candidate {
                id,
                expected: Expected::Exists,
            };
            if let Tried::Recorded(outcome) = self.record(event, candidate, beyond).await? {
                return Ok(outcome);
            }
        }
        let parameter = self
            .questions
            .execution_id(arn.as_str())
            .await
            .map_err(HandlerError::Lookup)?;
        let (id, outcome) = self
            .look_for(event, arn, parameter.as_deref(), told, beyond)
            .await?;
        if let (Some(id), true) = (id, parameter.is_some()) {
            let mut remembered = lock();
            if remembered.len() >= REMEMBERED_EXECUTIONS {
                remembered.clear();
            }
            remembered.insert(key, id);
        }
        Ok(outcome)
    }

    /// Tries the ids that the execution `arn` may have, with its parameter
    /// `ExecutionId`; gives the one that the event is recorded under. SageMaker
    /// is asked for the display name only where it counts.
    async fn look_for(
        &self,
        event: &Event,
        arn: &ExecutionArn,
        parameter: Option<&str>,
        told: Option<&str>,
        beyond: &Beyond,
    ) -> Result<(Option<RecordId>, Outcome), HandlerError> {
        // What the event told was tried before.
        if let Some(candidate) = whose::started(parameter)
            && parameter != told
        {
            let id = candidate.id.clone();
            if let Tried::Recorded(outcome) = self.record(event, candidate, beyond).await? {
                return Ok((Some(id), outcome));
            }
        }
        let asked = match told {
            Some(_) => None,
            None => self
                .questions
                .display_name(arn.as_str())
                .await
                .map_err(HandlerError::Lookup)?,
        };
        let name = told.or(asked.as_deref());
        if let Some(candidate) = whose::started(name)
            && name != told
            && name != parameter
        {
            let id = candidate.id.clone();
            if let Tried::Recorded(outcome) = self.record(event, candidate, beyond).await? {
                return Ok((Some(id), outcome));
            }
        }
        let is_proof = matches!(event.subject.owner(), Owner::Named { .. });
        let mut last = None;
        for mut candidate in whose::elsewhere(parameter, name, arn)? {
            let id = candidate.id.clone();
            if !is_proof {
                candidate.expected = Expected::Exists;
            }
            match self.record(event, candidate, beyond).await? {
                Tried::Recorded(outcome) => return Ok((Some(id), outcome)),
                Tried::Absent if !self.is_followed(arn).await? => {
                    let why = format!(
                        "{arn} has no record, and pipeline {} has no tag {}={}",
                        arn.pipeline_name(),
                        whose::PIPELINE_TAG,
                        self.ours.prefix
                    );
                    return Ok((None, Outcome::NotOurs { why }));
                }
                // Its execution's own events may yet come and make the record.
                Tried::Absent if self.exists(arn).await? => {
                    return Ok((None, self.pending(event, id, beyond).await?));
                }
                Tried::Absent => {
                    let why = format!("{arn}, which it names, does not exist");
                    return Ok((None, Outcome::NotOurs { why }));
                }
                Tried::OtherExecution => last = Some(id),
            }
        }
        Err(HandlerError::Taken {
            id: last.map_or_else(|| RecordId::new(arn.execution_id()), Ok)?,
            arn: arn.to_string(),
        })
    }

    /// Makes both writes under an id, if the record there is what it must be.
    async fn record(
        &self,
        event: &Event,
        candidate: Candidate,
        beyond: &Beyond,
    ) -> Result<Tried, HandlerError> {
        let Candidate { id, expected } = candidate;
        let Writes { mut update, change } = writes(event, &id, beyond);
        update = update.of(expected);
        if let (Some(_), Some(made)) = (event.kind().made_by(), event.made_arn()) {
            update = update.if_made(event.kind(), made);
        }
        let outcome = match self.update(&id, &update).await? {
            None => self.finish(id.clone(), &change, true).await?,
            Some(Refusal::NotLater) => self.finish(id.clone(), &change, false).await?,
            Some(Refusal::NotMade) => self.pending(event, id.clone(), beyond).await?,
            Some(Refusal::Absent) => return Ok(Tried::Absent),
            Some(Refusal::OtherExecution) => return Ok(Tried::OtherExecution),
        };
        self.take_up_what_was_made(event, &id, beyond).await?;
        self.take_up_the_training(event, &id).await?;
        Ok(Tried::Recorded(outcome))
    }

    /// Writes the change item of a model or package of which it is not known
    /// yet whether a step of the execution made it; if a step did, it is in the
    /// record at once. Otherwise that step's event takes it up, since either
    /// looks for the other's change item after it has written its own.
    async fn pending(
        &self,
        event: &Event,
        id: RecordId,
        beyond: &Beyond,
    ) -> Result<Outcome, HandlerError> {
        let Writes { update, change } = writes(event, &id, beyond);
        self.put(&id, &change).await?;
        let changes = self.changes(&id).await?;
        let told = Told::of(&changes);
        let made = event
            .made_arn()
            .is_some_and(|made| told.is_made(event.kind(), made));
        let latest = made && {
            let update = update.of(Expected::Exists);
            self.update(&id, &update).await?.is_none()
        };
        Ok(Outcome::Recorded { id, latest })
    }

    /// After the event of a step that made a model or package: what was told of
    /// that before goes into the record.
    async fn take_up_what_was_made(
        &self,
        event: &Event,
        id: &RecordId,
        beyond: &Beyond,
    ) -> Result<(), HandlerError> {
        let Subject::Step(facts) = &event.subject else {
            return Ok(());
        };
        let kind = Kind::made_by_step(facts.step_type.as_deref());
        let (Some(kind), Some(made)) = (kind, &facts.resource_arn) else {
            return Ok(());
        };
        let changes = self.changes(id).await?;
        let latest = changes
            .iter()
            .filter_map(Event::of_change)
            .filter(|told| told.kind() == kind)
            .filter(|told| {
                told.made_arn()
                    .is_some_and(|arn| arn.eq_ignore_ascii_case(made))
            })
            .max_by_key(Event::position);
        if let Some(told) = latest {
            let update = writes(&told, id, beyond).update.of(Expected::Exists);
            // Refused, a later event of it is there, or somebody has deleted
            // the record.
            self.update(id, &update).await?;
        }
        Ok(())
    }

    /// After the final event of a step that ran a training job: what the job
    /// ended with goes into the record. The event itself is written by then, so
    /// its status is there, whatever comes of this. A job that SageMaker does
    /// not have, or not yet as ended, is left to housekeeping.
    async fn take_up_the_training(&self, event: &Event, id: &RecordId) -> Result<(), HandlerError> {
        let Some(training) = EndedTraining::of_event(event) else {
            return Ok(());
        };
        let failed = |source| HandlerError::Training {
            id: id.clone(),
            job: training.job().to_owned(),
            source,
        };
        let state = self.questions.training(training.job()).await;
        let row = state
            .map_err(failed)?
            .and_then(|state| training.row(id, &state));
        match row {
            Some(row) => {
                let put = self.records.put_training(&row).await;
                put.map_err(|error| failed(error.into()))
            }
            None => {
                tracing::warn!(%id, job = training.job(), "the training job has not ended, for SageMaker");
                Ok(())
            }
        }
    }

    async fn update(
        &self,
        id: &RecordId,
        update: &RecordUpdate,
    ) -> Result<Option<Refusal>, HandlerError> {
        self.records
            .update_record(update)
            .await
            .map_err(|source| HandlerError::Write {
                id: id.clone(),
                source,
            })
    }

    async fn put(&self, id: &RecordId, change: &ChangeRow) -> Result<(), HandlerError> {
        self.records
            .put_change(change)
            .await
            .map_err(|source| HandlerError::Write {
                id: id.clone(),
                source,
            })
    }

    async fn changes(&self, id: &RecordId) -> Result<Vec<ChangeRow>, HandlerError> {
        let changes = self.records.changes(id).await;
        changes.map_err(|error| HandlerError::Lookup(error.into()))
    }

    async fn finish(
        &self,
        id: RecordId,
        change: &ChangeRow,
        latest: bool,
    ) -> Result<Outcome, HandlerError> {
        self.put(&id, change).await?;
        Ok(Outcome::Recorded { id, latest })
    }
}

/// Why an event that says where it was sent is not ours, if it was sent
/// elsewhere.
fn sent_elsewhere(home: &Home, event: &EventBridgeEvent) -> Option<String> {
    let other = |field: &str, theirs: Option<&str>, ours: &str| {
        let theirs = theirs.filter(|theirs| *theirs != ours)?;
        Some(format!("event of {field} {theirs}"))
    };
    other("account", event.account.as_deref(), &home.account)
        .or_else(|| other("region", event.region.as_deref(), &home.region))
}
