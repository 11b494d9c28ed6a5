//! What an event from SageMaker says, whatever its shape.
//!
//! The families of events disagree about everything: field case, the form of
//! timestamps, the form of tags, the spelling of statuses, whether a field
//! without a value is null or absent. [`Event::parse`] reads them all, requires
//! only what nothing can be done without, keeps every detail as it came, and
//! names what it did not know.

use pipewright_wording::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::family::Kind;
use super::id::ExecutionArn;
use super::moment;
use super::rows::ChangeRow;
use super::status::Status;
use crate::canonical_json;

/// One event of one of the five families we follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is about, and what is told about that.
    pub subject: Subject,
    /// When it happened, epoch milliseconds: the envelope's `time`, or within its second an
    /// endpoint's `LastModifiedTime`.
    pub at: i64,
    /// The status that it reports.
    pub status: Status,
    /// The status before, in our spelling.
    pub previous_status: Option<String>,
    /// Why, if it reports a failure.
    pub failure_reason: Option<String>,
    /// Set if a stand-in reports a job that it did not really run.
    pub simulated: Option<Simulated>,
    /// The event's `detail` as canonical JSON: keys in the order of their
    /// bytes, no blanks, numbers in their own text.
    pub detail: String,
    /// The first 8 hex digits of SHA-256 of the detail; with a hyphen before
    /// them if the event is [`reconciled`](Self::reconciled), so that it comes
    /// before every true event of the same moment and rank.
    pub digest: String,
    /// Whether it was made of what SageMaker answered, because the true event
    /// did not arrive; see [`reconcile`](super::reconcile).
    pub reconciled: bool,
    /// Top-level fields of the detail that we don't know; they are kept in
    /// `detail` like all others.
    pub unknown_fields: Vec<String>,
    /// Known fields whose value could not be read (an odd timestamp, a number
    /// where a text should be); taken as absent here, kept in `detail`.
    pub unread_fields: Vec<String>,
}

/// A job that was only acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// Why it was not run.
    pub reason: Option<String>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A pipeline's execution.
    Execution(ExecutionFacts),
    /// A step of one.
    Step(StepFacts),
    /// A model.
    Model(ModelFacts),
    /// A model package.
    Package(PackageFacts),
    /// An endpoint.
    Endpoint(EndpointFacts),
}

/// What an execution's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionFacts {
    /// Whose event it is.
    pub arn: ExecutionArn,
    /// The display name that was given at its start.
    pub display_name: Option<String>,
    /// The description that was given at its start.
    pub description: Option<String>,
    /// When it started, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When it ended, epoch milliseconds.
    pub ended_at: Option<i64>,
}

/// What a step's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFacts {
    /// The execution that the step belongs to.
    pub arn: ExecutionArn,
    /// The step's name in the definition.
    pub name: String,
    /// The step's type in the definition.
    pub step_type: Option<String>,
    /// When it started, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When it ended, epoch milliseconds.
    pub ended_at: Option<i64>,
    /// The ARN of what the step made or ran: a job, a model, a package.
    pub resource_arn: Option<String>,
    /// The execution whose result was taken from the cache.
    pub cache_hit_arn: Option<String>,
}

/// What a model's event tells. It has no status: `Created` is one with tags,
/// `Deleted` one whose tags are there and empty, `Changed` one without tags.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// Its name.
    pub name: Option<String>,
    /// Its ARN.
    pub arn: Option<String>,
    /// Where its artifact lies (of the first container).
    pub data_url: Option<String>,
    /// Its image (of the first container).
    pub image: Option<String>,
    /// When it was created, epoch milliseconds.
    pub created_at: Option<i64>,
    /// The execution in its tag `sagemaker:pipeline-execution-arn`.
    pub execution: Option<ExecutionArn>,
}

/// What a model package's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageFacts {
    /// Its ARN.
    pub arn: String,
    /// The group it is a version of.
    pub group: Option<String>,
    /// Its number in the group.
    pub version: Option<String>,
    /// Whether it may be deployed.
    pub approval_status: Option<String>,
    /// Where its artifact lies (of the first container).
    pub data_url: Option<String>,
    /// `ExecutionId` of its customer metadata, where the event carries it.
    pub execution_id: Option<String>,
    /// The execution that made it, where the event tells.
    pub execution: Option<ExecutionArn>,
    /// When it was created, epoch milliseconds.
    pub created_at: Option<i64>,
}

/// What an endpoint's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointFacts {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: Option<String>,
    /// Its configuration.
    pub config_name: Option<String>,
    /// When it was created, epoch milliseconds.
    pub created_at: Option<i64>,
    /// When it was last changed, epoch milliseconds.
    pub modified_at: Option<i64>,
}

/// An event that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// None of the families that we follow.
    #[error("event {detail_type:?} from {source_name:?} is none that the record follows")]
    NotFollowed {
        /// The event's `source`.
        source_name: String,
        /// The event's `detail-type`.
        detail_type: String,
    },
    /// Something without which nothing can be done is missing or odd.
    #[error("event {detail_type:?}: {field} {problem}")]
    Malformed {
        /// The event's `detail-type`.
        detail_type: String,
        /// The field, with `detail.` before it if it stands there.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The tag by which SageMaker links a model to the execution that made it.
pub const EXECUTION_TAG: &str = "sagemaker:pipeline-execution-arn";

/// The key of a package's customer metadata, and the name of the pipeline
/// parameter, that hold the record's id.
pub const EXECUTION_ID: &str = "ExecutionId";

impl Event {
    /// Reads an EventBridge event.
    ///
    /// # Errors
    /// [`EventError::NotFollowed`] for an event of another family, which is no
    /// fault; [`EventError::Malformed`] for one of ours that lacks its time,
    /// its subject or its status.
    pub fn parse(event: &Value) -> Result<Self, EventError> {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let (time, detail) = (&event["time"], &event["detail"]);
        Self::of(text("source"), text("detail-type"), time, detail)
    }

    /// As [`Event::parse`], by the parts of an EventBridge event that count.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn of(
        source_name: &str,
        detail_type: &str,
        time: &Value,
        detail: &Value,
    ) -> Result<Self, EventError> {
        let kind = Kind::of_detail_type(detail_type).filter(|_| source_name == SOURCE);
        let kind = kind.ok_or_else(|| EventError::NotFollowed {
            source_name: source_name.to_owned(),
            detail_type: detail_type.to_owned(),
        })?;
        let malformed = |field: &str, problem: &str| EventError::Malformed {
            detail_type: detail_type.to_owned(),
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        let at = match moment::read(time) {
            Ok(Some(at)) => at,
            Ok(None) => return Err(malformed("time", "is missing")),
            Err(error) => return Err(malformed("time", &error.to_string())),
        };
        let Value::Object(object) = detail else {
            return Err(malformed("detail", "is missing or no object"));
        };
        let mut reader = Reader::new(detail_type, object);
        let read = match kind {
            Kind::Execution => reader.execution(),
            Kind::Step => reader.step(),
            Kind::Model => reader.model(),
            Kind::Package => reader.package(),
            Kind::Endpoint => reader.endpoint(),
        }?;
        let detail = canonical_json(detail);
        let digest = digest(&detail);
        let previous_status = read
            .previous
            .map(|previous| Status::read(kind, &previous).name);
        let mut status = Status::read(kind, &read.status);
        if let Subject::Package(package) = &read.subject {
            // A decision follows the registration, whatever the digests say.
            if !matches!(
                package.approval_status.as_deref(),
                None | Some("PendingManualApproval")
            ) {
                status.rank += 1;
            }
        }
        Ok(Self {
            at: refined(at, &read.subject),
            subject: read.subject,
            status,
            previous_status,
            failure_reason: read.failure_reason.map(shortened),
            simulated: simulated(object),
            detail,
            digest,
            reconciled: false,
            unknown_fields: reader.unknown(),
            unread_fields: reader.unread,
        })
    }

    /// The event that a change item was made of; `None` if its detail was too long to be kept whole.
    pub fn of_change(change: &ChangeRow) -> Option<Self> {
        if change.detail_bytes.is_some() {
            return None;
        }
        let detail: Value = serde_json::from_str(&change.detail).ok()?;
        let event = Self::parse(&json!({
            "source": SOURCE,
            "detail-type": change.kind.detail_type(),
            "time": change.at,
            "detail": detail,
        }))
        .ok()?;
        Some(match change.reconciled {
            true => event.into_reconciled(),
            false => event,
        })
    }

    /// The event that stands for one that did not arrive: below every true
    /// event of its moment and rank, and marked.
    #[must_use]
    pub(super) fn into_reconciled(mut self) -> Self {
        if !self.reconciled {
            self.reconciled = true;
            self.digest.insert(0, '-');
        }
        self
    }

    /// The ARN of the model or package that it is about, or that a step made.
    pub fn made_arn(&self) -> Option<&str> {
        match &self.subject {
            Subject::Step(facts) => facts.resource_arn.as_deref(),
            Subject::Model(facts) => facts.arn.as_deref(),
            Subject::Package(facts) => Some(&facts.arn),
            Subject::Execution(_) | Subject::Endpoint(_) => None,
        }
    }

    /// The family of the event.
    pub fn kind(&self) -> Kind {
        match &self.subject {
            Subject::Execution(_) => Kind::Execution,
            Subject::Step(_) => Kind::Step,
            Subject::Model(_) => Kind::Model,
            Subject::Package(_) => Kind::Package,
            Subject::Endpoint(_) => Kind::Endpoint,
        }
    }

    /// The execution that the event itself names, if it does.
    pub fn execution(&self) -> Option<&ExecutionArn> {
        match &self.subject {
            Subject::Execution(facts) => Some(&facts.arn),
            Subject::Step(facts) => Some(&facts.arn),
            Subject::Model(facts) => facts.execution.as_ref(),
            Subject::Package(facts) => facts.execution.as_ref(),
            Subject::Endpoint(_) => None,
        }
    }

    /// The event's place in the order of its family:
    /// `<time>#<rank>#<digest>`, to be compared as text. Later time wins, rank
    /// breaks ties within a moment, and the digest makes the order total.
    pub fn position(&self) -> String {
        format!("{:013}#{:02}#{}", self.at, self.status.rank, self.digest)
    }
}

pub(super) const SOURCE: &str = "aws.sagemaker";

/// When an event happened. EventBridge keeps whole seconds, in which an endpoint can come into
/// service and fail; the endpoint's own moment of change orders the two.
fn refined(at: i64, subject: &Subject) -> i64 {
    match subject {
        Subject::Endpoint(EndpointFacts {
            modified_at: Some(modified),
            ..
        }) if at % 1000 == 0 && modified.div_euclid(1000) == at.div_euclid(1000) => *modified,
        _ => at,
    }
}

/// The longest reason that is kept beside the detail, in bytes. SageMaker documents 1,024.
const MAX_REASON_BYTES: usize = 8_192;

/// A reason that fits into a record, with a note where it is cut.
fn shortened(reason: String) -> String {
    if reason.len() <= MAX_REASON_BYTES {
        return reason;
    }
    let kept = super::fold::cut(&reason, MAX_REASON_BYTES);
    format!("{kept}… (cut; it has {} bytes)", reason.len())
}

/// The first 8 hex digits of SHA-256.
fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..4])
}

/// The stand-in's mark in a step's metadata.
fn simulated(detail: &Map<String, Value>) -> Option<Simulated> {
    let mark = detail.get("metadata")?.get("pipewrightLocal")?;
    (mark.get("simulated") == Some(&Value::Bool(true))).then(|| Simulated {
        reason: mark["reason"].as_str().map(str::to_owned),
    })
}

/// What every family has.
struct Read {
    subject: Subject,
    status: String,
    previous: Option<String>,
    failure_reason: Option<String>,
}

/// Reads one `detail`, noting what it meets.
struct Reader<'a> {
    detail_type: &'a str,
    detail: &'a Map<String, Value>,
    known: Vec<&'static str>,
    unread: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(detail_type: &'a str, detail: &'a Map<String, Value>) -> Self {
        Self {
            detail_type,
            detail,
            known: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// A field's value; null is absent.
    fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.detail.get(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &'static str) -> Option<String> {
        match self.value(field) {
            None => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.unread.push(field.to_owned());
                None
            }
        }
    }

    fn required_text(&mut self, field: &'static str) -> Result<String, EventError> {
        self.text(field).ok_or_else(|| {
            let problem = match self.detail.get(field) {
                None | Some(Value::Null) => "is missing",
                Some(Value::String(_)) => "is empty",
                Some(_) => "is no text",
            };
            self.malformed(field, problem)
        })
    }

    fn moment(&mut self, field: &'static str) -> Option<i64> {
        let value = self.value(field)?;
        moment::read(value).unwrap_or_else(|_| {
            self.unread.push(field.to_owned());
            None
        })
    }

    fn execution_arn(&mut self) -> Result<ExecutionArn, EventError> {
        let field = "pipelineExecutionArn";
        let text = self.required_text(field)?;
        ExecutionArn::parse(text).map_err(|error| self.malformed(field, &error.to_string()))
    }

    fn malformed(&self, field: &str, problem: &str) -> EventError {
        EventError::Malformed {
            detail_type: self.detail_type.to_owned(),
            field: format!("detail.{field}"),
            problem: problem.to_owned(),
        }
    }

    /// Marks fields that we know of and only keep.
    fn know(&mut self, fields: &[&'static str]) {
        self.known.extend_from_slice(fields);
    }

    fn unknown(&self) -> Vec<String> {
        self.detail
            .keys()
            .filter(|name| !self.known.contains(&name.as_str()))
            .cloned()
            .collect()
    }

    fn execution(&mut self) -> Result<Read, EventError> {
        self.know(&["pipelineArn"]);
        Ok(Read {
            subject: Subject::Execution(ExecutionFacts {
                arn: self.execution_arn()?,
                display_name: self.text("pipelineExecutionDisplayName"),
                description: self.text("pipelineExecutionDescription"),
                started_at: self.moment("executionStartTime"),
                ended_at: self.moment("executionEndTime"),
            }),
            status: self.required_text("currentPipelineExecutionStatus")?,
            previous: self.text("previousPipelineExecutionStatus"),
            failure_reason: self.text("failureReason"),
        })
    }

    fn step(&mut self) -> Result<Read, EventError> {
        self.know(&["pipelineArn"]);
        let step_type = self.text("stepType");
        let metadata = self.value("metadata");
        let cache_hit = self.value("cacheHitResult");
        Ok(Read {
            subject: Subject::Step(StepFacts {
                arn: self.execution_arn()?,
                name: self.required_text("stepName")?,
                resource_arn: metadata.and_then(resource_arn),
                step_type,
                started_at: self.moment("stepStartTime"),
                ended_at: self.moment("stepEndTime"),
                cache_hit_arn: cache_hit
                    .and_then(|hit| hit["sourcePipelineExecutionArn"].as_str())
                    .map(str::to_owned),
            }),
            status: self.required_text("currentStepStatus")?,
            previous: self.text("previousStepStatus"),
            failure_reason: self.text("failureReason"),
        })
    }

    fn model(&mut self) -> Result<Read, EventError> {
        self.know(&["ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"]);
        let name = self.text("ModelName");
        let arn = self.text("ModelArn");
        if name.is_none() && arn.is_none() {
            return Err(self.malformed("ModelName", "is missing, and so is detail.ModelArn"));
        }
        let tags = self.value("Tags").and_then(tags);
        let status = match &tags {
            None => "Changed",
            Some(tags) if tags.is_empty() => "Deleted",
            Some(_) => "Created",
        };
        let execution = tags
            .into_iter()
            .flatten()
            .find(|(key, _)| key.eq_ignore_ascii_case(EXECUTION_TAG));
        let execution = match execution.map(|(_, arn)| ExecutionArn::parse(arn)) {
            Some(Ok(arn)) => Some(arn),
            Some(Err(_)) => {
                self.unread.push(format!("Tags.{EXECUTION_TAG}"));
                None
            }
            None => None,
        };
        let primary = self.value("PrimaryContainer");
        let container = first_container(primary, self.value("Containers"));
        let of_container = |field: &str| {
            container
                .and_then(|container| container[field].as_str())
                .map(str::to_owned)
        };
        Ok(Read {
            subject: Subject::Model(ModelFacts {
                name,
                arn,
                data_url: of_container("ModelDataUrl"),
                image: of_container("Image"),
                created_at: self.moment("CreationTime"),
                execution,
            }),
            status: status.to_owned(),
            previous: None,
            failure_reason: None,
        })
    }

    fn package(&mut self) -> Result<Read, EventError> {
        self.know(&[
            "ModelPackageName",
            "ModelPackageDescription",
            "ModelPackageStatusDetails",
            "CertifyForMarketplace",
            "ModelMetrics",
            "ModelLifeCycle",
            "UpdatedModelPackageFields",
            "LastModifiedTime",
            "CreatedBy",
            "LastModifiedBy",
            "ApprovalDescription",
            "Domain",
            "Task",
            "Tags",
        ]);
        let containers = self
            .value("InferenceSpecification")
            .and_then(|specification| specification.get("Containers"));
        let version = match self.value("ModelPackageVersion") {
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.unread.push("ModelPackageVersion".to_owned());
                None
            }
            None => None,
        };
        let customer = self.value("CustomerMetadataProperties");
        let generated_by = self
            .value("MetadataProperties")
            .and_then(|properties| properties["GeneratedBy"].as_str());
        Ok(Read {
            subject: Subject::Package(PackageFacts {
                arn: self.required_text("ModelPackageArn")?,
                group: self.text("ModelPackageGroupName"),
                version,
                approval_status: self.text("ModelApprovalStatus"),
                data_url: first_container(None, containers)
                    .and_then(|container| container["ModelDataUrl"].as_str())
                    .map(str::to_owned),
                execution_id: customer
                    .and_then(|properties| properties[EXECUTION_ID].as_str())
                    .map(str::to_owned),
                // Whatever made it may be something else than a pipeline.
                execution: generated_by.and_then(|arn| ExecutionArn::parse(arn).ok()),
                created_at: self.moment("CreationTime"),
            }),
            status: self.required_text("ModelPackageStatus")?,
            previous: None,
            failure_reason: self.text("FailureReason"),
        })
    }

    fn endpoint(&mut self) -> Result<Read, EventError> {
        self.know(&["ProductionVariants", "Tags"]);
        Ok(Read {
            subject: Subject::Endpoint(EndpointFacts {
                name: self.required_text("EndpointName")?,
                arn: self.text("EndpointArn"),
                config_name: self.text("EndpointConfigName"),
                created_at: self.moment("CreationTime"),
                modified_at: self.moment("LastModifiedTime"),
            }),
            status: self.required_text("EndpointStatus")?,
            previous: None,
            failure_reason: self.text("FailureReason"),
        })
    }
}

/// The ARN in a step's metadata, which is a map of what the step made:
/// `{"processingJob": {"arn": "..."}}`. New kinds of steps bring new keys, so
/// the first entry that has an ARN counts.
fn resource_arn(metadata: &Value) -> Option<String> {
    metadata.as_object()?.values().find_map(|made| {
        made.get("arn")
            .or_else(|| made.get("Arn"))?
            .as_str()
            .map(str::to_owned)
    })
}

/// The container whose model counts: the only one, or the first of several.
fn first_container<'a>(
    primary: Option<&'a Value>,
    containers: Option<&'a Value>,
) -> Option<&'a Value> {
    primary.or_else(|| containers?.as_array()?.first())
}

/// Tags come as a map, or as the API's list of `{Key, Value}`.
fn tags(json: &Value) -> Option<Vec<(String, String)>> {
    let pair =
        |key: &Value, value: &Value| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()));
    match json {
        Value::Object(map) => Some(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        ),
        Value::Array(list) => Some(
            list.iter()
                .filter_map(|tag| pair(&tag["Key"], &tag["Value"]))
                .collect(),
        ),
        _ => None,
    }
}
