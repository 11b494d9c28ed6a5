//! The reply: what CloudFormation is told, within its limit.

use serde_json::{Map, Value};

use super::envelope::is_valid_id;
use super::failure::json_len;
use super::{Envelope, Failure, Resource};

/// CloudFormation's limit on a reply, in bytes.
pub const LIMIT: usize = 4_096;

/// How a request went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was done.
    Success {
        /// The id of the resource: 1 to 1,024 bytes.
        physical_id: String,
        /// Its attributes, for `Fn::GetAtt`.
        data: Map<String, Value>,
        /// Whether CloudFormation masks the attributes.
        no_echo: bool,
    },
    /// It was not done.
    Failed {
        /// The id that CloudFormation is to keep; see
        /// [`Subject::failure_id`](super::Subject::failure_id).
        physical_id: String,
        /// Why.
        failure: Failure,
    },
}

impl From<Resource> for Outcome {
    fn from(resource: Resource) -> Self {
        let Resource {
            physical_id,
            data,
            no_echo,
        } = resource;
        Self::Success {
            physical_id,
            data,
            no_echo,
        }
    }
}

/// Where the log of a request is, for the reason of a failure. Empty names are
/// left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLocation {
    /// The log group's name.
    pub group: String,
    /// The log stream's name.
    pub stream: String,
    /// The invocation's id, by which to find its lines.
    pub invocation: String,
}

impl LogLocation {
    /// How a reason ends: ` (log stream a in group b, request c)`.
    fn suffix(&self) -> String {
        let parts: Vec<String> = [
            ("log stream", &self.stream),
            ("log group", &self.group),
            ("request", &self.invocation),
        ]
        .iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(what, name)| format!("{what} {name}"))
        .collect();
        if parts.is_empty() {
            return String::new();
        }
        format!(" ({})", parts.join(", "))
    }
}

/// A reply that CloudFormation takes: JSON of at most [`LIMIT`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Vec<u8>);

/// Why an outcome cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The attributes do not fit, and cutting them would lie.
    #[error(
        "the reply with its attributes would have {bytes} bytes, and CloudFormation takes {LIMIT}: give fewer or shorter attributes"
    )]
    DataTooLarge {
        /// The reply's size.
        bytes: usize,
    },
    /// No id that CloudFormation takes.
    #[error(
        "the resource's id has {bytes} bytes or a control character; it must have 1 to 1,024 printable ones"
    )]
    BadPhysicalId {
        /// Its length.
        bytes: usize,
    },
    /// The ids that every reply repeats leave no room for a reason.
    #[error(
        "the ids that a reply repeats take {bytes} bytes, and CloudFormation takes {LIMIT} in all"
    )]
    EnvelopeTooLarge {
        /// The size of a reply without a reason.
        bytes: usize,
    },
}

impl Reply {
    /// Writes the reply to `envelope`'s request. A failure's reason is cut so
    /// that the reply fits, and always names the log, if there is room at all.
    ///
    /// # Errors
    /// [`ReplyError`] when a success cannot be told within the limit (answer a
    /// failure then), or when nothing can.
    pub fn new(
        envelope: &Envelope,
        outcome: &Outcome,
        log: &LogLocation,
    ) -> Result<Self, ReplyError> {
        let mut members = Map::new();
        let mut add = |name: &str, value: &str| members.insert(name.to_owned(), Value::from(value));
        match outcome {
            Outcome::Success {
                physical_id,
                data,
                no_echo,
            } => {
                if !is_valid_id(physical_id) {
                    return Err(ReplyError::BadPhysicalId {
                        bytes: physical_id.len(),
                    });
                }
                add("Status", "SUCCESS");
                add_ids(&mut add, envelope, physical_id);
                members.insert("NoEcho".to_owned(), Value::Bool(*no_echo));
                members.insert("Data".to_owned(), Value::Object(data.clone()));
                let reply = Value::Object(members).to_string().into_bytes();
                if reply.len() > LIMIT {
                    return Err(ReplyError::DataTooLarge { bytes: reply.len() });
                }
                Ok(Self(reply))
            }
            Outcome::Failed {
                physical_id,
                failure,
            } => {
                add("Status", "FAILED");
                add_ids(&mut add, envelope, physical_id);
                add("Reason", "");
                let bare = Value::Object(members.clone()).to_string().len();
                let room = LIMIT
                    .checked_sub(bare)
                    .filter(|room| *room > 0)
                    .ok_or(ReplyError::EnvelopeTooLarge { bytes: bare })?;
                let reason = failure.reason(&log.suffix(), room);
                debug_assert!(json_len(&reason) <= room);
                members.insert("Reason".to_owned(), Value::from(reason));
                Ok(Self(Value::Object(members).to_string().into_bytes()))
            }
        }
    }

    /// The reply's JSON.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn add_ids(
    add: &mut impl FnMut(&str, &str) -> Option<Value>,
    envelope: &Envelope,
    physical_id: &str,
) {
    add("PhysicalResourceId", physical_id);
    add("StackId", envelope.stack_id());
    add("RequestId", envelope.request_id());
    add("LogicalResourceId", envelope.logical_resource_id());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custom_resource::UrlPolicy;
    use proptest::prelude::*;
    use serde_json::json;

    fn envelope(logical: &str) -> Envelope {
        let event = json!({
            "ResponseURL": "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/k?secret",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
            "RequestId": "r-1",
            "LogicalResourceId": logical,
        });
        Envelope::read(&event.to_string(), &UrlPolicy::of_region("eu-west-1")).unwrap()
    }

    fn log() -> LogLocation {
        LogLocation {
            group: "/aws/lambda/f".to_owned(),
            stream: "2026/01/01/[$LATEST]abc".to_owned(),
            invocation: "i-1".to_owned(),
        }
    }

    fn parsed(reply: &Reply) -> Value {
        serde_json::from_slice(reply.as_bytes()).unwrap()
    }

    #[test]
    fn a_success_repeats_the_ids_and_gives_the_attributes() {
        let outcome = Resource::new("bucket/key").with("Key", "key").into();
        let reply = Reply::new(&envelope("Definition"), &outcome, &log()).unwrap();
        assert_eq!(
            parsed(&reply),
            json!({
                "Status": "SUCCESS",
                "PhysicalResourceId": "bucket/key",
                "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
                "RequestId": "r-1",
                "LogicalResourceId": "Definition",
                "NoEcho": false,
                "Data": {"Key": "key"},
            })
        );
    }

    #[test]
    fn no_echo_is_passed_on() {
        let outcome = Resource::new("x").no_echo().into();
        let reply = Reply::new(&envelope("D"), &outcome, &log()).unwrap();
        assert_eq!(parsed(&reply)["NoEcho"], json!(true));
    }

    #[test]
    fn a_failure_names_the_log() {
        let outcome = Outcome::Failed {
            physical_id: "bucket/key".to_owned(),
            failure: Failure::new("Bucket is missing"),
        };
        let reply = Reply::new(&envelope("Definition"), &outcome, &log()).unwrap();
        assert_eq!(parsed(&reply)["Status"], "FAILED");
        assert_eq!(
            parsed(&reply)["Reason"],
            "Bucket is missing (log stream 2026/01/01/[$LATEST]abc, log group /aws/lambda/f, request i-1)"
        );
    }

    /// Attributes that do not fit are a failure; they are never cut.
    #[test]
    fn attributes_that_do_not_fit_are_an_error_not_a_cut() {
        let outcome = Resource::new("x").with("Text", "y".repeat(LIMIT)).into();
        let error = Reply::new(&envelope("D"), &outcome, &log()).unwrap_err();
        assert!(matches!(error, ReplyError::DataTooLarge { bytes } if bytes > LIMIT));
    }

    #[test]
    fn attributes_that_just_fit_are_told() {
        let small = Reply::new(
            &envelope("D"),
            &Resource::new("x").with("T", "").into(),
            &log(),
        )
        .unwrap();
        let room = LIMIT - small.as_bytes().len();
        let full = Resource::new("x").with("T", "y".repeat(room)).into();
        assert_eq!(
            Reply::new(&envelope("D"), &full, &log())
                .unwrap()
                .as_bytes()
                .len(),
            LIMIT
        );
        let over = Resource::new("x").with("T", "y".repeat(room + 1)).into();
        assert!(Reply::new(&envelope("D"), &over, &log()).is_err());
    }

    #[test]
    fn an_id_that_cloudformation_would_refuse_is_an_error() {
        for id in ["".to_owned(), "x".repeat(1_025), "a\nb".to_owned()] {
            let error = Reply::new(&envelope("D"), &Resource::new(&id).into(), &log()).unwrap_err();
            assert_eq!(error, ReplyError::BadPhysicalId { bytes: id.len() });
        }
    }

    #[test]
    fn ids_that_leave_no_room_are_an_error() {
        let outcome = Outcome::Failed {
            physical_id: "x".to_owned(),
            failure: Failure::new("y"),
        };
        let error = Reply::new(&envelope(&"l".repeat(LIMIT)), &outcome, &log()).unwrap_err();
        assert!(matches!(error, ReplyError::EnvelopeTooLarge { .. }));
    }

    proptest! {
        /// A reply is valid JSON in UTF-8 of at most 4,096 bytes, and a failure's reason ends with
        /// where its log is.
        #[test]
        fn every_failure_is_told_in_valid_json_within_the_limit(
            what in "[aö\"\n]{0,20}",
            faults in prop::collection::vec(("[aö\"\n\u{1}]{0,9}", 0usize..40), 0..60),
            logical in "[A-Za-z0-9]{1,255}",
            long in 0usize..5_000,
        ) {
            let outcome = Outcome::Failed {
                physical_id: "bucket/key".to_owned(),
                failure: Failure::with_faults(
                    what.repeat(1 + long / 100),
                    faults.iter().map(|(fault, times)| fault.repeat(*times)),
                ),
            };
            let reply = Reply::new(&envelope(&logical), &outcome, &log()).unwrap();
            prop_assert!(reply.as_bytes().len() <= LIMIT);
            let reply = parsed(&reply);
            prop_assert!(reply["Reason"].as_str().unwrap().ends_with("request i-1)"));
        }
    }
}
