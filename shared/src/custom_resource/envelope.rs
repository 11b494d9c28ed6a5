//! The request, read in two steps: what an answer needs, then the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Failure, RefusedUrl, ResponseUrl, UrlPolicy};
use crate::wording::hex;

/// How the id of a resource that never came to be begins.
const FAILED_CREATE: &str = "failed-create-";

/// CloudFormation's limit on a physical id, in bytes.
const LONGEST_ID: usize = 1_024;

/// What an answer needs. Everything else of the event waits, unread, for
/// [`Envelope::request`].
#[derive(Debug, Clone)]
pub struct Envelope {
    response_url: ResponseUrl,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    event_digest: String,
    /// The other members, each as its JSON text.
    rest: BTreeMap<String, Box<RawValue>>,
}

/// What is wrong with a request that can be answered. None of these messages holds a value of the event.
#[derive(Debug, thiserror::Error)]
enum EnvelopeFault {
    #[error("PhysicalResourceId is not a text of 1 to {LONGEST_ID} bytes")]
    PhysicalId,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not an object")]
    NotAnObject(&'static str),
    /// Into this type only the syntax can be wrong, and the reader's message about that quotes nothing.
    #[error("{0} cannot be read as JSON: {1}")]
    Json(&'static str, #[source] serde_json::Error),
    #[error("RequestType is none of Create, Update and Delete")]
    RequestType,
    #[error("RequestType is not a text")]
    NoRequestType,
}

/// Why an event cannot be answered at all. None of these messages holds a
/// value of the event, save for a refused host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a JSON object.
    #[error("the event is not a JSON object, so it is not a request of CloudFormation")]
    NotAnObject,
    /// A member that the answer must repeat is missing or is not a string.
    #[error("the event has no {0} that is a non-empty text, so CloudFormation cannot be answered")]
    Missing(&'static str),
    /// The address may not be used.
    #[error(transparent)]
    Refused(#[from] RefusedUrl),
}

/// What CloudFormation asks for, with the ids it gave the resource before.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Make the resource.
    Create,
    /// Change it.
    Update {
        /// The id that the last successful request answered.
        physical_id: String,
        /// The properties of that request.
        old_properties: Value,
    },
    /// Delete it.
    Delete {
        /// The id to delete.
        physical_id: String,
    },
}

/// A request, without the secret address.
#[derive(Debug, Clone)]
pub struct Request {
    /// The stack's ARN.
    pub stack_id: String,
    /// The request's id. Not unique: CloudFormation uses them again.
    pub request_id: String,
    /// The resource's name in the template.
    pub logical_resource_id: String,
    /// The account that the function runs in: what it writes to is to belong
    /// to this one.
    pub account: String,
    /// 16 hexadecimal digits: others for every event, and the same however often
    /// Lambda delivers it. A digest of the event's ids and of its address, of which
    /// it tells nothing: request ids are used again, addresses are not.
    pub event_digest: String,
    /// The resource's type, such as `Custom::Something`; empty if not given.
    pub resource_type: String,
    /// The resource's properties. CloudFormation gives numbers and booleans in
    /// them as strings.
    pub properties: Value,
    claimed: Arc<OnceLock<String>>,
}

/// Who an answer is about, before anything is known of how it went: decides
/// the physical id of a failure.
#[derive(Debug, Clone)]
pub struct Subject {
    existing: Option<String>,
    marker: String,
    claimed: Arc<OnceLock<String>>,
}

impl Envelope {
    /// Reads from the JSON text of an event what an answer needs.
    ///
    /// # Errors
    /// [`EnvelopeError`] when no answer is possible: the event is not an object,
    /// lacks `ResponseURL`, `StackId`, `RequestId` or `LogicalResourceId`, or
    /// `policy` refuses the address.
    pub fn read(event: &str, policy: &UrlPolicy) -> Result<Self, EnvelopeError> {
        let mut rest: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(event).map_err(|_| EnvelopeError::NotAnObject)?;
        let mut take = |name: &'static str| {
            rest.remove(name)
                .and_then(|value| text(&value))
                .filter(|text| !text.is_empty())
                .ok_or(EnvelopeError::Missing(name))
        };
        let url = take("ResponseURL")?;
        let stack_id = take("StackId")?;
        let request_id = take("RequestId")?;
        let logical_resource_id = take("LogicalResourceId")?;
        Ok(Self {
            response_url: ResponseUrl::parse(&url, policy)?,
            event_digest: short_digest(&format!(
                "event\n{stack_id}\n{logical_resource_id}\n{request_id}\n{url}"
            )),
            stack_id,
            request_id,
            logical_resource_id,
            rest,
        })
    }

    /// Where the answer goes.
    #[must_use]
    pub fn response_url(&self) -> &ResponseUrl {
        &self.response_url
    }

    /// The stack's ARN.
    #[must_use]
    pub fn stack_id(&self) -> &str {
        &self.stack_id
    }

    /// The request's id.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The resource's name in the template.
    #[must_use]
    pub fn logical_resource_id(&self) -> &str {
        &self.logical_resource_id
    }

    /// Who the answer is about, as far as the event tells.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            existing: self.physical_id().ok(),
            marker: failed_create_id(&self.stack_id, &self.logical_resource_id),
            claimed: Arc::default(),
        }
    }

    /// The rest of the request, to a function that runs in `account`.
    ///
    /// # Errors
    /// All that is wrong with `RequestType`, `PhysicalResourceId`,
    /// `ResourceProperties` and `OldResourceProperties`, to be answered as a
    /// failure. The properties of a deletion count as an empty object when
    /// they are missing or cannot be read, so that a resource can always be
    /// deleted.
    pub fn request(
        &self,
        subject: &Subject,
        account: &str,
    ) -> Result<(Request, Operation), Failure> {
        let mut faults = Vec::new();
        let request_type = self.rest.get("RequestType").and_then(|value| text(value));
        let deletion = request_type.as_deref() == Some("Delete");
        let properties = match self.object("ResourceProperties") {
            Ok(Some(properties)) => properties,
            Ok(None) if deletion => Value::Object(serde_json::Map::new()),
            Ok(None) => {
                faults.push(EnvelopeFault::Missing("ResourceProperties"));
                Value::Null
            }
            // A creation may have failed for them; it must be possible to delete it.
            Err(_) if deletion => Value::Object(serde_json::Map::new()),
            Err(fault) => {
                faults.push(fault);
                Value::Null
            }
        };
        let operation = match request_type.as_deref() {
            Some("Create") => Some(Operation::Create),
            Some("Update") => {
                let old = self
                    .object("OldResourceProperties")
                    .unwrap_or_else(|fault| {
                        faults.push(fault);
                        None
                    });
                self.physical_id()
                    .map_err(|fault| faults.push(fault))
                    .ok()
                    .map(|physical_id| Operation::Update {
                        physical_id,
                        old_properties: old.unwrap_or(Value::Null),
                    })
            }
            Some("Delete") => self
                .physical_id()
                .map_err(|fault| faults.push(fault))
                .ok()
                .map(|physical_id| Operation::Delete { physical_id }),
            Some(_) => {
                faults.push(EnvelopeFault::RequestType);
                None
            }
            None => {
                faults.push(EnvelopeFault::NoRequestType);
                None
            }
        };
        match operation {
            Some(operation) if faults.is_empty() => Ok((
                Request {
                    stack_id: self.stack_id.clone(),
                    request_id: self.request_id.clone(),
                    logical_resource_id: self.logical_resource_id.clone(),
                    account: account.to_owned(),
                    event_digest: self.event_digest.clone(),
                    resource_type: self
                        .rest
                        .get("ResourceType")
                        .and_then(|value| text(value))
                        .unwrap_or_default(),
                    properties,
                    claimed: Arc::clone(&subject.claimed),
                },
                operation,
            )),
            _ => Err(Failure::with_faults("the request cannot be read", faults)),
        }
    }

    /// The id that the event gives the resource.
    fn physical_id(&self) -> Result<String, EnvelopeFault> {
        self.rest
            .get("PhysicalResourceId")
            .and_then(|value| text(value))
            .filter(|id| is_valid_id(id))
            .ok_or(EnvelopeFault::PhysicalId)
    }

    /// A member that must be an object, if it is there.
    fn object(&self, name: &'static str) -> Result<Option<Value>, EnvelopeFault> {
        let Some(raw) = self.rest.get(name) else {
            return Ok(None);
        };
        let value: Value =
            serde_json::from_str(raw.get()).map_err(|error| EnvelopeFault::Json(name, error))?;
        match value {
            Value::Null => Ok(None),
            Value::Object(_) => Ok(Some(value)),
            _ => Err(EnvelopeFault::NotAnObject(name)),
        }
    }
}

impl Operation {
    /// CloudFormation's name for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update { .. } => "Update",
            Self::Delete { .. } => "Delete",
        }
    }
}

impl Request {
    /// Says which resource a creation is about to make. If the creation fails
    /// afterwards, in whatever way, this id is answered instead of a marker,
    /// and CloudFormation will ask to delete it. The first claim counts; an
    /// update or deletion has its id already and needs none.
    pub fn claim(&self, physical_id: &str) {
        claim(&self.claimed, physical_id);
    }

    /// A digest of the stack and the resource's name in it, 16 lower-case
    /// hexadecimal digits: what keeps the things of one resource apart from
    /// those of all others. It is the same for every request about a resource,
    /// and differs between two stacks of the same name.
    #[must_use]
    pub fn stack_digest(&self) -> String {
        stack_digest(&self.stack_id, &self.logical_resource_id)
    }
}

impl Subject {
    /// As [`Request::claim`], by the driver.
    pub fn claim(&self, physical_id: &str) {
        claim(&self.claimed, physical_id);
    }

    /// The physical id of a failure. The one that the resource has, if it has
    /// one, since any other would make CloudFormation delete what is in use;
    /// else the one that the creation claimed; else a marker, which
    /// [`is_failed_create`] knows again.
    #[must_use]
    pub fn failure_id(&self) -> &str {
        self.existing
            .as_deref()
            .or(self.claimed.get().map(String::as_str))
            .unwrap_or(&self.marker)
    }
}

/// Whether `physical_id` stands for a resource that never came to be: to delete
/// it is to do nothing.
#[must_use]
pub fn is_failed_create(physical_id: &str) -> bool {
    physical_id
        .strip_prefix(FAILED_CREATE)
        .is_some_and(|digest| digest.len() == 16 && digest.bytes().all(is_lower_hex))
}

fn claim(claimed: &OnceLock<String>, physical_id: &str) {
    if is_valid_id(physical_id) {
        // The first claim counts, so a later one may fail to be set.
        let _ = claimed.set(physical_id.to_owned());
    }
}

/// Whether CloudFormation takes `id` as a physical id.
pub(super) fn is_valid_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && !id.chars().any(char::is_control)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn failed_create_id(stack_id: &str, logical_resource_id: &str) -> String {
    format!(
        "{FAILED_CREATE}{}",
        stack_digest(stack_id, logical_resource_id)
    )
}

fn stack_digest(stack_id: &str, logical_resource_id: &str) -> String {
    short_digest(&format!("{stack_id}\n{logical_resource_id}"))
}

/// The first 16 hexadecimal digits of a SHA-256.
fn short_digest(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

/// The text that a JSON value is, if it is one.
fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const ACCOUNT: &str = "123456789012";

    fn policy() -> UrlPolicy {
        UrlPolicy::of_region("eu-west-1")
    }

    fn event() -> Value {
        json!({
            "RequestType": "Update",
            "ResponseURL": "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/k?X-Amz-Signature=secret",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
            "RequestId": "r-1",
            "LogicalResourceId": "Definition",
            "PhysicalResourceId": "bucket/key",
            "ResourceType": "Custom::Thing",
            "ResourceProperties": {"A": "1"},
            "OldResourceProperties": {"A": "0"},
        })
    }

    fn read(event: &Value) -> Result<Envelope, EnvelopeError> {
        Envelope::read(&event.to_string(), &policy())
    }

    fn request(event: &Value) -> Result<(Request, Operation), Failure> {
        let envelope = read(event).unwrap();
        envelope.request(&envelope.subject(), ACCOUNT)
    }

    #[test]
    fn a_whole_event_is_read() {
        let (request, operation) = request(&event()).unwrap();
        assert_eq!(request.properties, json!({"A": "1"}));
        assert_eq!(request.resource_type, "Custom::Thing");
        assert_eq!(
            operation,
            Operation::Update {
                physical_id: "bucket/key".to_owned(),
                old_properties: json!({"A": "0"}),
            }
        );
    }

    #[test]
    fn without_an_address_or_the_ids_to_repeat_there_is_no_answer() {
        for name in ["ResponseURL", "StackId", "RequestId", "LogicalResourceId"] {
            for wrong in [
                None,
                Some(json!(null)),
                Some(json!(7)),
                Some(json!("")),
                Some(json!({"a": [1]})),
            ] {
                let mut event = event();
                match wrong {
                    None => drop(event.as_object_mut().unwrap().remove(name)),
                    Some(value) => event[name] = value,
                }
                assert_eq!(
                    read(&event).unwrap_err(),
                    EnvelopeError::Missing(name),
                    "{event}"
                );
            }
        }
        for not_an_object in ["", "7", "[]", "null", "\"x\"", "{"] {
            assert_eq!(
                Envelope::read(not_an_object, &policy()).unwrap_err(),
                EnvelopeError::NotAnObject
            );
        }
    }

    #[test]
    fn everything_else_can_be_wrong_and_is_answered_at_once() {
        let mut event = event();
        event["RequestType"] = json!("Upsert");
        event["ResourceProperties"] = json!([1]);
        let failure = request(&event).unwrap_err();
        assert_eq!(failure.faults().len(), 2, "{failure}");

        event["RequestType"] = json!("Update");
        event["PhysicalResourceId"] = json!({"no": "text"});
        event["OldResourceProperties"] = json!("x");
        let failure = request(&event).unwrap_err();
        assert_eq!(failure.faults().len(), 3, "{failure}");
    }

    #[test]
    fn properties_nested_beyond_the_readers_depth_are_a_failure_not_a_crash() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = event()
            .to_string()
            .replace("{\"A\":\"1\"}", &format!("{{\"A\":{deep}}}"));
        let envelope = Envelope::read(&text, &policy()).unwrap();
        let failure = envelope.request(&envelope.subject(), ACCOUNT).unwrap_err();
        assert!(
            failure
                .to_string()
                .contains("ResourceProperties cannot be read"),
            "{failure}"
        );
    }

    /// A deletion reads no properties that it does not need.
    #[test]
    fn a_deletion_is_possible_whatever_its_properties_are() {
        let deep = format!("{}1{}", "[".repeat(400), "]".repeat(400));
        for properties in ["[1]", "\"\\ud83d\"", "7", "null", &deep] {
            let mut event = event();
            event["RequestType"] = json!("Delete");
            let text = event.to_string().replace("{\"A\":\"1\"}", properties);
            let envelope = Envelope::read(&text, &policy()).unwrap();
            let (request, _) = envelope.request(&envelope.subject(), ACCOUNT).unwrap();
            assert_eq!(request.properties, json!({}), "{properties}");
        }
    }

    /// A delivery is told from the next event by the address, of which its digest tells nothing.
    #[test]
    fn an_events_digest_is_the_same_for_each_delivery_and_no_other_event() {
        let digest = |event: &Value| request(event).unwrap().0.event_digest;
        let first = event();
        assert_eq!(digest(&first), digest(&first.clone()));
        let mut next = first.clone();
        let url = next["ResponseURL"].as_str().unwrap().to_owned();
        next["ResponseURL"] = json!(format!("{url}1"));
        assert_ne!(digest(&first), digest(&next));
        assert_eq!(digest(&first).len(), 16);
        let (request, _) = request(&first).unwrap();
        assert_ne!(request.event_digest, request.stack_digest());
    }

    #[test]
    fn a_deletion_needs_no_properties() {
        let mut event = event();
        event["RequestType"] = json!("Delete");
        event.as_object_mut().unwrap().remove("ResourceProperties");
        let (request, operation) = request(&event).unwrap();
        assert_eq!(request.properties, json!({}));
        assert_eq!(
            operation,
            Operation::Delete {
                physical_id: "bucket/key".to_owned()
            }
        );
    }

    /// A failed update or deletion answers the id that it came with.
    #[test]
    fn a_failed_update_or_deletion_keeps_the_id_it_came_with() {
        let envelope = read(&event()).unwrap();
        let subject = envelope.subject();
        let (request, _) = envelope.request(&subject, ACCOUNT).unwrap();
        request.claim("bucket/new");
        assert_eq!(subject.failure_id(), "bucket/key");
    }

    /// A failed creation answers the id of what it may have written, or a marker if it had written
    /// nothing.
    #[test]
    fn a_failed_creation_has_the_claimed_id_or_else_a_marker() {
        let mut event = event();
        event["RequestType"] = json!("Create");
        event.as_object_mut().unwrap().remove("PhysicalResourceId");
        let envelope = read(&event).unwrap();
        let subject = envelope.subject();
        assert!(
            is_failed_create(subject.failure_id()),
            "{}",
            subject.failure_id()
        );
        assert_eq!(subject.failure_id(), envelope.subject().failure_id());

        let (request, _) = envelope.request(&subject, ACCOUNT).unwrap();
        request.claim("");
        assert!(is_failed_create(subject.failure_id()));
        request.claim("bucket/key");
        request.claim("bucket/other");
        assert_eq!(subject.failure_id(), "bucket/key");
    }

    /// Two stacks, or two resources of one stack, never share an id, though their properties be
    /// the same.
    #[test]
    fn the_stack_digest_parts_stacks_and_resources() {
        let (a, _) = request(&event()).unwrap();
        assert_eq!(a.stack_digest(), "6ce2a64761712e8e");
        let mut b = a.clone();
        b.stack_id.push('2');
        let mut c = a.clone();
        c.logical_resource_id.push('2');
        assert_ne!(a.stack_digest(), b.stack_digest());
        assert_ne!(a.stack_digest(), c.stack_digest());
    }

    #[test]
    fn debug_shows_no_secret() {
        let envelope = read(&event()).unwrap();
        assert!(!format!("{envelope:?}").contains("X-Amz-Signature"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = Envelope::read(&text, &policy().or_loopback());
        }

        #[test]
        fn errors_hold_nothing_of_the_events_values(secret in "[a-z]{20}", member in 0usize..9) {
            let mut event = event();
            let name = event.as_object().unwrap().keys().nth(member).unwrap().clone();
            event[&name] = json!({ "x": secret });
            let shown = match read(&event) {
                Err(error) => error.to_string(),
                Ok(envelope) => match envelope.request(&envelope.subject(), ACCOUNT) {
                    Err(failure) => failure.to_string(),
                    Ok(_) => String::new(),
                },
            };
            prop_assert!(!shown.contains(&secret), "{}", shown);
        }
    }
}
