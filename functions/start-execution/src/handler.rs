//! One request: start an execution, once.

use pipewright::instance_type::has_accelerator;
use pipewright::reading::kind_of;
use pipewright::record::start::{
    Begun, Frozen, ParameterFaults, Taken, Wanted, begun, claimed, client_request_token,
    generated_id, new_record, parameters, parameters_of,
};
use pipewright::record::{ExecutionArn, InvalidRecordId, Item, RecordId, StartFailure};
use pipewright::training_template::{TemplateFaults, TrainingTemplate};
use pipewright_aws::dynamodb::{Creation, Records, TableError};
use pipewright_aws::sagemaker::Start;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ports::{Failure, Image, Pipeline, StartError, Templates};

/// DynamoDB's limit on a partition key, in bytes.
const LONGEST_TEMPLATE_ID: usize = 2_048;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Request {
    /// The training template to start from.
    pub(crate) template_id: String,
    /// The id that the execution is to have; absent = a new one.
    #[serde(default)]
    pub(crate) execution_id: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// The record's id.
    pub(crate) execution_id: String,
    /// SageMaker's ARN of the execution.
    pub(crate) pipeline_execution_arn: String,
    /// Whether the execution was known to be under way before this call.
    pub(crate) already_started: bool,
}

/// Why no execution was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HandlerError {
    /// The request is none.
    #[error("the request is not {{\"templateId\": \"...\", \"executionId\"?: \"...\"}}: {0}")]
    Request(#[from] serde_json::Error),
    /// The request is not an object.
    #[error(
        "the request is {found}; it must be a JSON object with templateId and, if the execution is to have a certain \
         id, executionId, such as {{\"templateId\": \"...\"}}"
    )]
    NoObject {
        /// What it is instead.
        found: &'static str,
    },
    /// The id asked for can't be one.
    #[error("{0}")]
    Id(#[from] InvalidRecordId),
    /// The template's id can be none.
    #[error(
        "templateId has {bytes} bytes; the id of a training template has 1 to {LONGEST_TEMPLATE_ID}"
    )]
    TemplateId {
        /// Its length in UTF-8.
        bytes: usize,
    },
    /// There is no such template.
    #[error(
        "there is no training template {id:?}; `pipewright data list` names those that there are, and `pipewright data import` adds one"
    )]
    UnknownTemplate {
        /// The template's id.
        id: String,
    },
    /// The template is faulty.
    #[error("training template {id:?}: {faults}")]
    Template {
        /// The template's id.
        id: String,
        /// What is wrong with it.
        faults: TemplateFaults,
    },
    /// A parameter is beyond SageMaker's limits.
    #[error("{0}")]
    Parameters(#[from] ParameterFaults),
    /// The id is taken.
    #[error("{0}")]
    Conflict(#[from] Taken),
    /// SageMaker would only find out minutes later, and bill them.
    #[error(
        "nothing was started: there is no image {image}; push it, as `make deploy` does, and call again"
    )]
    ImageMissing {
        /// Its repository and tag.
        image: String,
    },
    /// The image that trains computes on the CPU.
    #[error(
        "nothing was started: the instance type {instance_type} of the training has an accelerator, which Pipewright's \
         own DeepAR does not use; give the template a trainingInstanceType such as ml.m5.xlarge, or deploy with \
         TrainingAlgorithm AmazonDeepAR"
    )]
    Accelerator {
        /// The instance type.
        instance_type: String,
    },
    /// It is not known whether the image is there.
    #[error("nothing was started: {0}")]
    ImageUnknown(#[source] Failure),
    /// SageMaker will not start it.
    #[error("execution {id} was not started: {source}")]
    Refused {
        /// The record's id.
        id: RecordId,
        /// What SageMaker said.
        source: Failure,
    },
    /// It is not known whether it was started.
    #[error("execution {id} may not have been started; call again with this id: {source}")]
    Unfinished {
        /// The record's id.
        id: RecordId,
        /// What happened.
        source: Failure,
    },
    /// A table could not be read or written, before anything was started.
    #[error("nothing was started: {0}")]
    Table(#[from] TableError),
}

impl HandlerError {
    /// The name for Lambda's `errorType`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) | Self::NoObject { .. } => "InvalidRequest",
            Self::Id(_) => "InvalidExecutionId",
            Self::TemplateId { .. } => "InvalidTemplateId",
            Self::UnknownTemplate { .. } => "UnknownTemplate",
            Self::Template { .. } => "InvalidTemplate",
            Self::Parameters(_) => "InvalidParameters",
            Self::Conflict(_) => "Conflict",
            Self::ImageMissing { .. } => "ImageMissing",
            Self::Accelerator { .. } => "InvalidTemplate",
            Self::ImageUnknown(_) => "ImageUnknown",
            Self::Refused { .. } => "StartRefused",
            Self::Unfinished { .. } => "StartUnfinished",
            Self::Table(_) => "TableUnavailable",
        }
    }
}

/// The names of what is started.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// The model package group's name.
    pub(crate) package_group: String,
    /// Where Pipewright's own image trains, on the CPU: the type of the training's instance
    /// if a template names none.
    pub(crate) cpu_training: Option<String>,
}

/// Starts executions.
#[derive(Debug)]
pub(crate) struct Handler<T, R, I, P> {
    ours: Ours,
    templates: T,
    records: R,
    /// Those that the pipeline runs and that somebody has to push.
    images: Vec<I>,
    pipeline: P,
}

impl<T: Templates, R: Records, I: Image, P: Pipeline> Handler<T, R, I, P> {
    pub(crate) fn new(ours: Ours, templates: T, records: R, images: Vec<I>, pipeline: P) -> Self {
        Self {
            ours,
            templates,
            records,
            images,
            pipeline,
        }
    }

    /// Starts the execution asked for, or answers with the one that was
    /// started under the same id before.
    ///
    /// `now` is the clock in epoch milliseconds; `random` makes a new id
    /// differ from others of the same second.
    pub(crate) async fn handle(
        &self,
        request: &Value,
        now: i64,
        random: u32,
    ) -> Result<Answer, HandlerError> {
        // Of a list, serde would take the elements for the fields in their order.
        if !request.is_object() {
            return Err(HandlerError::NoObject {
                found: kind_of(request),
            });
        }
        let request = Request::deserialize(request)?;
        let bytes = request.template_id.len();
        if !(1..=LONGEST_TEMPLATE_ID).contains(&bytes) {
            return Err(HandlerError::TemplateId { bytes });
        }
        let asked = request.execution_id.map(RecordId::new).transpose()?;
        // What a record exists for needs no template any more: it may have
        // been edited, or be gone.
        if let Some(id) = &asked
            && let Some(record) = self.records.record(id).await?
        {
            return self.take_up(id, &request.template_id, &record, now).await;
        }
        let id = asked.unwrap_or_else(|| generated_id(now, random));
        let (frozen, template) = self.template(&request.template_id).await?;
        let parameters = parameters(&template, &id, &self.ours.package_group)?;
        self.need_cpu(&template)?;
        self.need_images().await?;
        let template = Frozen {
            id: request.template_id.clone(),
            item: frozen,
        };
        let record = new_record(&id, &self.ours.pipeline, Some(template), &parameters, now);
        match self.records.create_record(&record).await? {
            Creation::Created => self.start(&id, &record, now).await,
            Creation::Exists(record) => self.take_up(&id, &request.template_id, &record, now).await,
        }
    }

    async fn template(&self, id: &str) -> Result<(Item, TrainingTemplate), HandlerError> {
        let Some(item) = self.templates.template(id).await? else {
            return Err(HandlerError::UnknownTemplate { id: id.to_owned() });
        };
        match TrainingTemplate::parse(&Value::Object(item.clone())) {
            Ok(template) => Ok((item, template)),
            Err(faults) => Err(HandlerError::Template {
                id: id.to_owned(),
                faults,
            }),
        }
    }

    /// Goes on with a record that an earlier, or a concurrent, call made.
    async fn take_up(
        &self,
        id: &RecordId,
        template_id: &str,
        record: &Item,
        now: i64,
    ) -> Result<Answer, HandlerError> {
        match begun(id, record, Wanted::Template(template_id), now)? {
            Begun::Started { arn } => return Ok(answer(id, &arn, true)),
            Begun::Recorded => {}
            Begun::Doubtful { since } => {
                let start = self.request(id, record)?;
                let found = self.pipeline.find(&start, since).await;
                let found = found.map_err(|source| HandlerError::Unfinished {
                    id: id.clone(),
                    source,
                })?;
                if let Some(arn) = found {
                    return self.claim(id, &arn, true).await;
                }
            }
        }
        self.need_images().await?;
        self.start(id, record, now).await
    }

    /// Refuses an accelerator that the image that trains would not use.
    fn need_cpu(&self, template: &TrainingTemplate) -> Result<(), HandlerError> {
        let Some(default) = &self.ours.cpu_training else {
            return Ok(());
        };
        let chosen = template.training_instance_type.as_ref().unwrap_or(default);
        if has_accelerator(chosen) {
            return Err(HandlerError::Accelerator {
                instance_type: chosen.clone(),
            });
        }
        Ok(())
    }

    /// Refuses while an image is not there: the tag is known, and deployed,
    /// before the image is built and pushed.
    async fn need_images(&self) -> Result<(), HandlerError> {
        for image in &self.images {
            let exists = image.exists().await.map_err(HandlerError::ImageUnknown)?;
            if !exists {
                return Err(HandlerError::ImageMissing {
                    image: image.name(),
                });
            }
        }
        Ok(())
    }

    fn request(&self, id: &RecordId, record: &Item) -> Result<Start, HandlerError> {
        let parameters = parameters_of(record).ok_or_else(|| Taken {
            id: id.clone(),
            by: "a record without pipeline parameters".to_owned(),
        })?;
        Ok(Start {
            pipeline: self.ours.pipeline.clone(),
            display_name: id.to_string(),
            client_request_token: client_request_token(&self.ours.pipeline, id),
            parameters,
        })
    }

    async fn start(&self, id: &RecordId, record: &Item, now: i64) -> Result<Answer, HandlerError> {
        let start = self.request(id, record)?;
        match self.pipeline.start(&start).await {
            Ok(arn) => self.claim(id, &arn, false).await,
            Err(StartError::Unknown(source)) => Err(HandlerError::Unfinished {
                id: id.clone(),
                source,
            }),
            Err(StartError::Refused(source)) => {
                // So that the record says why nothing happens.
                let noted = self
                    .records
                    .note_start_failure(id, &StartFailure::new(&source, now))
                    .await;
                if let Err(error) = noted {
                    tracing::error!(%id, %error, "could not note why the start failed");
                }
                Err(HandlerError::Refused {
                    id: id.clone(),
                    source,
                })
            }
        }
    }

    /// Stores the ARN. If this fails the execution runs nevertheless, and its
    /// first event stores it; so may a repeated call.
    async fn claim(
        &self,
        id: &RecordId,
        arn: &str,
        already_started: bool,
    ) -> Result<Answer, HandlerError> {
        let unfinished = |source| HandlerError::Unfinished {
            id: id.clone(),
            source,
        };
        let ours = ExecutionArn::parse(arn).map_err(|error| unfinished(error.into()))?;
        let stored = self.records.claim_arn(id, &ours).await;
        let stored = stored.map_err(|error| unfinished(error.into()))?;
        claimed(id, &ours, &stored)?;
        Ok(answer(id, arn, already_started))
    }
}

fn answer(id: &RecordId, arn: &str, already_started: bool) -> Answer {
    Answer {
        execution_id: id.to_string(),
        pipeline_execution_arn: arn.to_owned(),
        already_started,
    }
}
