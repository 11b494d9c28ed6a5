//! One event: whose is it, and what does it write?

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pipewright::record::event::{EndpointFacts, ExecutionFacts, ModelFacts, PackageFacts};
use pipewright::record::{
    Beyond, ChangeItem, Event, EventError, ExecutionArn, InvalidRecordId, RecordId, Refusal,
    Subject, writes,
};
use serde_json::Value;

use crate::ports::{Endpoints, Failure, Questions, Records};

/// How many executions' ids are kept while warm. Beyond that the memory is
/// started afresh: asking again costs one call.
const REMEMBERED_EXECUTIONS: usize = 1_000;

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
    /// Nobody could say whose it is.
    #[error("could not find the record of the event: {0}")]
    Lookup(#[source] Failure),
    /// The table did not take it.
    #[error("could not write the event to execution {id}: {source}")]
    Write {
        /// The record's id.
        id: RecordId,
        /// What the table said.
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
            Self::Malformed(_) => "MalformedEvent",
            Self::Lookup(_) => "LookupFailed",
            Self::Write { .. } => "WriteFailed",
            Self::Id(_) => "UnusableExecutionId",
            Self::Taken { .. } => "ExecutionIdTaken",
        }
    }
}

/// The names of what is ours.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// The model package group's name.
    pub(crate) package_group: String,
}

/// Records events.
#[derive(Debug)]
pub(crate) struct Handler<R, E, Q> {
    ours: Ours,
    records: R,
    endpoints: E,
    questions: Q,
    /// Parameter `ExecutionId` by the execution's ARN key. It is fixed at the
    /// start of an execution; that one has none is not remembered, since right
    /// after the start SageMaker may not know yet.
    remembered: Mutex<HashMap<String, RecordId>>,
}

impl<R: Records, E: Endpoints, Q: Questions> Handler<R, E, Q> {
    pub(crate) fn new(ours: Ours, records: R, endpoints: E, questions: Q) -> Self {
        Self {
            ours,
            records,
            endpoints,
            questions,
            remembered: Mutex::new(HashMap::new()),
        }
    }

    /// Records one EventBridge event.
    ///
    /// In the normal case that is two writes and no read. A step's event asks
    /// SageMaker for its execution's id once while the process is warm; an
    /// execution started elsewhere, or one whose id another execution has,
    /// costs at most two refused updates and two questions more.
    pub(crate) async fn handle(&self, event: &Value) -> Result<Outcome, HandlerError> {
        let event = match Event::parse(event) {
            Ok(event) => event,
            Err(error @ EventError::NotFollowed { .. }) => {
                return Ok(Outcome::NotOurs {
                    why: error.to_string(),
                });
            }
            Err(error) => return Err(HandlerError::Malformed(error)),
        };
        for field in &event.unread_fields {
            tracing::warn!(kind = event.kind().name(), field, "field could not be read");
        }
        match &event.subject {
            Subject::Execution(facts) => self.execution(&event, facts).await,
            Subject::Step(facts) => match self.foreign(&facts.arn) {
                Some(outcome) => Ok(outcome),
                None => {
                    self.of_execution(&event, &facts.arn, Beyond::default())
                        .await
                }
            },
            Subject::Model(facts) => self.model(&event, facts).await,
            Subject::Package(facts) => self.package(&event, facts).await,
            Subject::Endpoint(facts) => self.endpoint(&event, facts).await,
        }
    }

    fn foreign(&self, arn: &ExecutionArn) -> Option<Outcome> {
        (!arn.is_of_pipeline(&self.ours.pipeline)).then(|| Outcome::NotOurs {
            why: format!("execution of pipeline {}", arn.pipeline_name()),
        })
    }

    async fn execution(
        &self,
        event: &Event,
        facts: &ExecutionFacts,
    ) -> Result<Outcome, HandlerError> {
        if let Some(outcome) = self.foreign(&facts.arn) {
            return Ok(outcome);
        }
        let mut beyond = Beyond::default();
        if event.status.name == "Failed" && event.failure_reason.is_none() {
            beyond.failure_reason = self
                .questions
                .failure_reason(facts.arn.as_str())
                .await
                .map_err(HandlerError::Lookup)?;
        }
        // The display name is the id of every execution that start-execution
        // started, and it made the record beforehand. Where there is none, or
        // another execution's, somebody else chose the name.
        let named = facts.display_name.as_deref().map(RecordId::new);
        if let Some(Ok(id)) = named {
            let mut writes = writes(event, &id, &beyond);
            writes.update.must_exist = true;
            match self.update(&id, &writes.update).await? {
                None => return self.finish(id, &writes.change, true).await,
                Some(Refusal::NotLater) => return self.finish(id, &writes.change, false).await,
                Some(Refusal::Absent | Refusal::OtherExecution) => {}
            }
        }
        self.of_execution(event, &facts.arn, beyond).await
    }

    async fn model(&self, event: &Event, facts: &ModelFacts) -> Result<Outcome, HandlerError> {
        let tag = match (&facts.execution, &facts.arn) {
            (Some(arn), _) => Some(arn.clone()),
            (None, Some(model)) => self
                .questions
                .execution_tag(model)
                .await
                .map_err(HandlerError::Lookup)?
                .and_then(|arn| ExecutionArn::parse(arn).ok()),
            (None, None) => None,
        };
        let arn = match tag {
            Some(arn) => Some(arn),
            None => self.execution_in_name(facts).await?,
        };
        let Some(arn) = arn else {
            return Ok(Outcome::NotOurs {
                why: "model that no pipeline of ours made".to_owned(),
            });
        };
        if let Some(outcome) = self.foreign(&arn) {
            return Ok(outcome);
        }
        let beyond = Beyond {
            execution: Some(arn.clone()),
            ..Beyond::default()
        };
        self.of_execution(event, &arn, beyond).await
    }

    /// The execution of our pipeline whose id stands in a model's name,
    /// `pipelines-<12 characters>-...`: a deleted model has no tags any more.
    /// Other pipelines' models have such names too, so SageMaker is asked.
    async fn execution_in_name(
        &self,
        facts: &ModelFacts,
    ) -> Result<Option<ExecutionArn>, HandlerError> {
        let guess = || {
            let name = facts.name.as_deref()?.strip_prefix("pipelines-")?;
            let (id, _) = name.split_once('-')?;
            let (scope, _) = facts.arn.as_deref()?.split_once(":model/")?;
            let known = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let pipeline = &self.ours.pipeline;
            let arn = format!("{scope}:pipeline/{pipeline}/execution/{id}");
            known.then(|| ExecutionArn::parse(arn).ok())?
        };
        match guess() {
            Some(arn) => {
                let exists = self.questions.exists(arn.as_str()).await;
                Ok(exists.map_err(HandlerError::Lookup)?.then_some(arn))
            }
            None => Ok(None),
        }
    }

    async fn package(&self, event: &Event, facts: &PackageFacts) -> Result<Outcome, HandlerError> {
        let group = facts.group.as_deref().or_else(|| {
            let (_, name) = facts.arn.split_once(":model-package/")?;
            name.split('/').next()
        });
        if !group.is_some_and(|group| group.eq_ignore_ascii_case(&self.ours.package_group)) {
            return Ok(Outcome::NotOurs {
                why: format!("package of group {}", group.unwrap_or("none")),
            });
        }
        let id = match &facts.execution_id {
            Some(id) => Some(id.clone()),
            None => self
                .questions
                .package_execution_id(&facts.arn)
                .await
                .map_err(HandlerError::Lookup)?,
        };
        match (id.map(RecordId::new), &facts.execution) {
            (Some(Ok(id)), arn) => {
                self.record(event, id, arn.as_ref(), Beyond::default())
                    .await
            }
            (_, Some(arn)) if self.foreign(arn).is_none() => {
                self.of_execution(event, arn, Beyond::default()).await
            }
            _ => Ok(Outcome::NotOurs {
                why: "package that names no execution".to_owned(),
            }),
        }
    }

    async fn endpoint(
        &self,
        event: &Event,
        facts: &EndpointFacts,
    ) -> Result<Outcome, HandlerError> {
        let registered = self
            .endpoints
            .execution_of(&facts.name)
            .await
            .map_err(HandlerError::Lookup)?;
        match registered {
            Some(id) => {
                self.record(event, RecordId::new(id)?, None, Beyond::default())
                    .await
            }
            None => Ok(Outcome::NotOurs {
                why: format!("endpoint {} is not registered", facts.name),
            }),
        }
    }

    /// Records an event of the execution `arn`, whose id has to be found.
    async fn of_execution(
        &self,
        event: &Event,
        arn: &ExecutionArn,
        beyond: Beyond,
    ) -> Result<Outcome, HandlerError> {
        let id = self.id_of(arn).await?;
        self.record(event, id, Some(arn), beyond).await
    }

    /// The id of an execution's record ([`RecordId::of_execution`]). SageMaker is
    /// asked for the display name only where it counts.
    async fn id_of(&self, arn: &ExecutionArn) -> Result<RecordId, HandlerError> {
        let key = arn.key();
        // Nothing panics while the map is locked.
        let lock = || {
            self.remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(id) = lock().get(&key) {
            return Ok(id.clone());
        }
        let parameter = self
            .questions
            .execution_id(arn.as_str())
            .await
            .map_err(HandlerError::Lookup)?;
        if let Some(Ok(id)) = parameter.map(RecordId::new) {
            let mut remembered = lock();
            if remembered.len() >= REMEMBERED_EXECUTIONS {
                remembered.clear();
            }
            remembered.insert(key, id.clone());
            return Ok(id);
        }
        let name = self
            .questions
            .display_name(arn.as_str())
            .await
            .map_err(HandlerError::Lookup)?;
        Ok(RecordId::of_execution(None, name.as_deref(), arn)?)
    }

    /// Makes both writes under `id`, or, if that belongs to another execution,
    /// under SageMaker's own id of this one.
    async fn record(
        &self,
        event: &Event,
        id: RecordId,
        arn: Option<&ExecutionArn>,
        beyond: Beyond,
    ) -> Result<Outcome, HandlerError> {
        let first = writes(event, &id, &beyond);
        match (self.update(&id, &first.update).await?, arn) {
            (None, _) => self.finish(id, &first.change, true).await,
            (Some(Refusal::OtherExecution), Some(arn)) => {
                let own = RecordId::new(arn.execution_id())?;
                tracing::warn!(%id, %arn, "execution id belongs to another execution");
                let second = writes(event, &own, &beyond);
                match self.update(&own, &second.update).await? {
                    Some(Refusal::OtherExecution | Refusal::Absent) => Err(HandlerError::Taken {
                        id: own,
                        arn: arn.to_string(),
                    }),
                    refusal => self.finish(own, &second.change, refusal.is_none()).await,
                }
            }
            (Some(Refusal::NotLater | Refusal::Absent | Refusal::OtherExecution), _) => {
                self.finish(id, &first.change, false).await
            }
        }
    }

    async fn update(
        &self,
        id: &RecordId,
        update: &pipewright::record::RecordUpdate,
    ) -> Result<Option<Refusal>, HandlerError> {
        self.records
            .update(update)
            .await
            .map_err(|source| HandlerError::Write {
                id: id.clone(),
                source,
            })
    }

    async fn finish(
        &self,
        id: RecordId,
        change: &ChangeItem,
        latest: bool,
    ) -> Result<Outcome, HandlerError> {
        match self.records.put(change).await {
            Ok(()) => Ok(Outcome::Recorded { id, latest }),
            Err(source) => Err(HandlerError::Write { id, source }),
        }
    }
}
