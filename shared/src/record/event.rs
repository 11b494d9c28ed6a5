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

use super::families::{Kind, Subject};
use super::id::ExecutionArn;
use super::moment;
use super::reader::Reader;
use super::rows::ChangeRow;
use super::status::Status;
use crate::canonical_json;

/// One event of one of the families that are followed.
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

/// A job that was only simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// Why it was not run.
    pub reason: Option<String>,
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
        let read = (kind.family().read)(&mut reader)?;
        let detail = canonical_json(detail);
        let digest = digest(&detail);
        let previous_status = read
            .previous
            .map(|previous| Status::read(kind, &previous).name);
        let mut status = Status::read(kind, &read.status);
        let facts = read.subject.facts();
        if facts.is_later() {
            status.rank += 1;
        }
        let at = refined(at, facts.moment());
        let (unknown_fields, unread_fields) = reader.unknown_and_unread();
        Ok(Self {
            at,
            subject: read.subject,
            status,
            previous_status,
            failure_reason: read.failure_reason.map(shortened),
            simulated: simulated(object),
            detail,
            digest,
            reconciled: false,
            unknown_fields,
            unread_fields,
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
        self.subject.facts().made_arn()
    }

    /// The family of the event.
    pub fn kind(&self) -> Kind {
        self.subject.facts().family().kind
    }

    /// The execution that the event itself names, if it does.
    pub fn execution(&self) -> Option<&ExecutionArn> {
        self.subject.facts().execution()
    }

    /// The event's place in the order of its family:
    /// `<time>#<rank>#<digest>`, to be compared as text. Later time wins, rank
    /// breaks ties within a moment, and the digest makes the order total.
    pub fn position(&self) -> String {
        format!("{:013}#{:02}#{}", self.at, self.status.rank, self.digest)
    }
}

/// The `source` of SageMaker's events.
pub const SOURCE: &str = "aws.sagemaker";

/// When an event happened. EventBridge keeps whole seconds, in which an endpoint can come into
/// service and fail; the endpoint's own moment of change orders the two.
fn refined(at: i64, moment: Option<i64>) -> i64 {
    moment
        .filter(|moment| at % 1000 == 0 && moment.div_euclid(1000) == at.div_euclid(1000))
        .unwrap_or(at)
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
