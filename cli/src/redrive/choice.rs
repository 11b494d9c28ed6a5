//! Which messages are to be replayed, or discarded.

use super::message::{Failure, MessageKind, NotAnEnvelope};
use crate::installation::has_function;

/// The fewest characters that stand for an id.
const MIN_ID_LENGTH: usize = 8;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The installation's prefix.
    pub(crate) prefix: String,
    /// All events.
    pub(crate) all: bool,
    /// These messages: their ids, or how they begin.
    pub(crate) ids: Vec<String>,
    /// Requests of custom resources too, where they are among these messages.
    pub(crate) custom_resources: bool,
    /// These messages are to be deleted, not replayed.
    pub(crate) discard: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It is replayed.
    Replay(&'a Failure),
    /// It is deleted, whatever it says.
    Discard,
    /// It stays, since it was not asked for.
    NotChosen,
    /// It stays, since all does not mean it; the text says how to choose it.
    Spared(String),
    /// It was asked for and stays nevertheless.
    Refused(String),
}

/// Why the ids that were asked for don't say which messages are meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UnclearId {
    /// Too little of it to go by.
    #[error("message id {0:?} is too short: give at least its first {MIN_ID_LENGTH} characters")]
    Short(String),
    /// No message has such an id.
    #[error("there is no message {0} in the queues, or another reader holds it just now")]
    Unknown(String),
    /// Several have.
    #[error("several messages begin with {0}: give more of the id")]
    Ambiguous(String),
}

impl Wish {
    /// Whether each id that was asked for means one message.
    ///
    /// # Errors
    /// [`UnclearId`] names the first one that does not.
    pub(crate) fn check<'a>(
        &self,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), UnclearId> {
        for id in &self.ids {
            if id.len() < MIN_ID_LENGTH {
                return Err(UnclearId::Short(id.clone()));
            }
            match known.clone().filter(|known| known.starts_with(id)).count() {
                0 => return Err(UnclearId::Unknown(id.clone())),
                1 => {}
                _ => return Err(UnclearId::Ambiguous(id.clone())),
            }
        }
        Ok(())
    }

    /// What becomes of a message.
    ///
    /// All means all events, which may come as often as they like. A request
    /// does something each time, so it has to be named. CloudFormation gave a
    /// custom resource's request up long ago and may have done the opposite
    /// since, so that has to be asked for twice.
    pub(crate) fn judge<'a>(
        &self,
        id: &str,
        read: &'a Result<Failure, NotAnEnvelope>,
    ) -> Verdict<'a> {
        let named = self.ids.iter().any(|wanted| id.starts_with(wanted));
        if !named && !self.all {
            return Verdict::NotChosen;
        }
        // What nothing can be made of is what somebody wants to be rid of. All
        // of them at once never are.
        if self.discard && named {
            return Verdict::Discard;
        }
        let failure = match read {
            Ok(failure) => failure,
            Err(problem) => return Verdict::Refused(problem.to_string()),
        };
        if !has_function(&self.prefix, &failure.function) {
            return Verdict::Refused(format!(
                "function {} is none of installation {}",
                failure.function, self.prefix
            ));
        }
        match failure.kind {
            MessageKind::Event => Verdict::Replay(failure),
            MessageKind::Request if named => Verdict::Replay(failure),
            MessageKind::Request => Verdict::Spared(
                "a request, no event: --all leaves it alone; name it with --message to repeat it"
                    .to_owned(),
            ),
            MessageKind::CustomResource if named && self.custom_resources => {
                Verdict::Replay(failure)
            }
            MessageKind::CustomResource => {
                let why = "CloudFormation no longer waits for it; name it with --message and add --custom-resource if \
                           it is to be repeated"
                    .to_owned();
                if named {
                    Verdict::Refused(why)
                } else {
                    Verdict::Spared(why)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redrive::message::{Source, unwrap};
    use pipewright_aws::sqs::Message;
    use std::collections::BTreeMap;

    fn failure(function: &str, payload: &str) -> Result<Failure, NotAnEnvelope> {
        let message = Message {
            id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: payload.to_owned(),
            attributes: BTreeMap::from([(
                "TARGET_ARN".to_owned(),
                format!("arn:aws:lambda:r:1:function:{function}"),
            )]),
            sent_at: None,
        };
        unwrap(Source::UndeliveredEvents, &message)
    }

    const EVENT: &str = r#"{"detail-type": "any"}"#;
    const START: &str = r#"{"templateId": "any"}"#;
    const CUSTOM: &str = r#"{"ResponseURL": "https://h/p?q"}"#;

    fn wish(all: bool, ids: &[&str], custom_resources: bool) -> Wish {
        Wish {
            prefix: "pw".to_owned(),
            all,
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            custom_resources,
            discard: false,
        }
    }

    #[test]
    fn all_means_all_events() {
        let all = wish(true, &[], true);
        assert!(matches!(
            all.judge("m", &failure("pw-pipeline-events", EVENT)),
            Verdict::Replay(_)
        ));
        for payload in [START, CUSTOM] {
            let read = failure("pw-pipeline-events", payload);
            let verdict = all.judge("m", &read);
            let Verdict::Spared(how) = verdict else {
                panic!("{payload}: {verdict:?}");
            };
            assert!(how.contains("name it with --message"), "{how}");
        }
        // It may be an event: that it was not replayed is a failure.
        let read = failure("pw-pipeline-events", "no envelope");
        assert!(matches!(all.judge("m", &read), Verdict::Refused(_)));
    }

    #[test]
    fn a_request_is_replayed_only_where_it_is_asked_for() {
        let named = wish(false, &["12345678"], false);
        let id = "12345678-9";
        assert!(matches!(
            named.judge(id, &failure("pw-start-execution", START)),
            Verdict::Replay(_)
        ));
        let custom = failure("pw-pipeline-definition", CUSTOM);
        assert!(matches!(named.judge(id, &custom), Verdict::Refused(_)));
        let twice = wish(false, &["12345678"], true);
        assert!(matches!(twice.judge(id, &custom), Verdict::Replay(_)));
        assert_eq!(
            named.judge("another", &failure("pw-start-execution", START)),
            Verdict::NotChosen
        );
    }

    #[test]
    fn what_is_named_can_be_discarded_whatever_it_says_and_nothing_else() {
        let discard = Wish {
            discard: true,
            ..wish(false, &["12345678"], false)
        };
        for payload in [EVENT, START, CUSTOM, "no envelope"] {
            let read = failure("other-events", payload);
            assert_eq!(discard.judge("12345678-9", &read), Verdict::Discard);
            assert_eq!(discard.judge("another", &read), Verdict::NotChosen);
        }
    }

    #[test]
    fn functions_of_others_are_not_invoked() {
        // An installation `pw-2` is beside `pw`.
        for other in [
            "other-pipeline-events",
            "pwx-pipeline-events",
            "pw-2-pipeline-events",
            "pw-anything",
            "pw-",
            "pw",
            "pipeline-events",
        ] {
            let read = failure(other, EVENT);
            let verdict = wish(true, &[], false).judge("m", &read);
            assert!(matches!(verdict, Verdict::Refused(_)), "{other}");
        }
    }

    #[test]
    fn an_id_must_mean_one_message() {
        let known = ["12345678-a", "12345678-b", "87654321-a"];
        let check = |id: &str| wish(false, &[id], false).check(known.into_iter());
        assert_eq!(check("87654321"), Ok(()));
        assert_eq!(check("12345678-b"), Ok(()));
        assert!(matches!(check("1234"), Err(UnclearId::Short(_))));
        assert!(matches!(check("12345678"), Err(UnclearId::Ambiguous(_))));
        assert!(matches!(check("12345678-c"), Err(UnclearId::Unknown(_))));
    }
}
