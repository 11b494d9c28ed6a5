//! What is in the failure queues, for those who only look: nothing is hidden from others.

use std::collections::BTreeMap;
use std::time::Duration;

use pipewright_aws::sqs::{Client, Message, Queue, QueueError};

use super::iso;
use super::message::{Source, shown, unwrap};

/// How often a queue is asked at most. Each answer is a sample of at most ten messages.
const ROUNDS: usize = 10;

/// A message of a failure queue, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Queued {
    pub(crate) id: String,
    /// When it failed, as AWS wrote it.
    pub(crate) at: String,
    /// What it is about; empty where the message does not say.
    pub(crate) subject: String,
    /// Why it failed.
    pub(crate) cause: String,
}

/// What a message says.
pub(super) fn read(source: Source, message: &Message) -> Queued {
    let sent = message.sent_at.and_then(iso).unwrap_or_default();
    let id = shown(&message.id);
    match unwrap(source, message) {
        Ok(failure) => Queued {
            id,
            at: failure.at.unwrap_or(sent),
            subject: failure.subject,
            cause: failure.cause,
        },
        Err(problem) => Queued {
            id,
            at: sent,
            subject: String::new(),
            cause: problem.to_string(),
        },
    }
}

/// Messages of both failure queues of an installation, by the queue's name without prefix. They stay visible to others;
/// that they were received counts for them all the same. Of many messages, some may be missing.
pub(crate) async fn look(
    client: &Client,
    named: impl Fn(&str) -> String,
) -> Result<Vec<(&'static str, Vec<Queued>)>, QueueError> {
    let mut queues = Vec::new();
    for source in Source::ALL {
        let queue = Queue::named(client.clone(), &named(source.name())).await?;
        let mut messages = BTreeMap::new();
        for _ in 0..ROUNDS {
            let before = messages.len();
            for message in queue.receive(Duration::ZERO).await? {
                messages.insert(message.id.clone(), read(source, &message));
            }
            if messages.len() == before {
                break;
            }
        }
        let mut messages: Vec<Queued> = messages.into_values().collect();
        messages.sort_by(|one, other| (&other.at, &other.id).cmp(&(&one.at, &one.id)));
        queues.push((source.name(), messages));
    }
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_without_secrets_and_whatever_it_says() {
        let message = |body: &str, target: &[(&str, &str)]| Message {
            id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: body.to_owned(),
            attributes: target
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            sent_at: Some(1_714_978_800_000),
        };
        let secret = r#"{"ResponseURL": "https://host/path?signature=secret", "RequestType": "Create",
            "LogicalResourceId": "Pipeline"}"#;
        let arn = "arn:aws:lambda:r:1:function:pw-pipeline-definition";
        let target = [
            ("TARGET_ARN", arn),
            ("ERROR_MESSAGE", "no https://host/path?signature=secret"),
        ];
        let queued = read(Source::UndeliveredEvents, &message(secret, &target));
        assert!(!format!("{queued:?}").contains("secret"), "{queued:?}");
        assert!(queued.subject.contains("custom resource Pipeline"));
        assert_eq!(queued.at, "2024-05-06T07:00:00Z");
        let other = read(Source::FailedInvocations, &message("<script>", &[]));
        assert!(other.cause.contains("invocation record"), "{other:?}");
    }
}
