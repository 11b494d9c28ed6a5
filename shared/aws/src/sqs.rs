//! SQS: looking into a queue without losing what is in it.
//!
//! A received message is hidden from others, not taken away: it shows again
//! when its time is up, unless it was deleted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
pub use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::MessageSystemAttributeName;

/// The most messages that one call hands out.
const MOST_MESSAGES: i32 = 10;

/// How long a call waits for messages, in seconds. Any wait makes SQS ask all
/// of its servers, not a sample of them.
const WAIT_SECONDS: i32 = 1;

/// An SQS client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// SQS refused an operation, or could not be reached, retries included.
#[derive(Debug, thiserror::Error)]
#[error("{operation} on queue {queue}: {message}")]
pub struct QueueError {
    /// The API operation.
    pub operation: &'static str,
    /// The queue's name.
    pub queue: String,
    /// The service's error code, where it gave one.
    pub code: Option<String>,
    /// What the service or the client said.
    pub message: String,
}

/// A message as a queue handed it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same each time it is received.
    pub id: String,
    /// What this reception is acknowledged by; another one each time.
    pub receipt: String,
    /// What was sent.
    pub body: String,
    /// The attributes that its sender put beside the body, those of text only.
    pub attributes: BTreeMap<String, String>,
    /// When it was sent, epoch milliseconds.
    pub sent_at: Option<i64>,
}

/// Without the body, which may hold a secret.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("sent_at", &self.sent_at)
            .finish_non_exhaustive()
    }
}

/// One queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    name: String,
    url: String,
}

impl Queue {
    /// The queue of this name, in the account and region of the client.
    ///
    /// # Errors
    /// [`QueueError`] if there is none, or SQS did not answer.
    pub async fn named(client: Client, name: &str) -> Result<Self, QueueError> {
        let failed = |code, message| QueueError {
            operation: "GetQueueUrl",
            queue: name.to_owned(),
            code,
            message,
        };
        let answer = client
            .get_queue_url()
            .queue_name(name)
            .send()
            .await
            .map_err(|error| failed(code_of(&error), crate::service_cause(&error)))?;
        let url = answer
            .queue_url
            .ok_or_else(|| failed(None, "the answer has no URL".to_owned()))?;
        Ok(Self {
            client,
            name: name.to_owned(),
            url,
        })
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Receives some messages, at most ten, and hides them for so long. None
    /// does not mean that the queue is empty, but that it very likely is.
    ///
    /// # Errors
    /// [`QueueError`] if SQS did not answer; messages whose answer was lost show
    /// again after `hidden_for`.
    pub async fn receive(&self, hidden_for: Duration) -> Result<Vec<Message>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MOST_MESSAGES)
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(seconds(hidden_for))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| self.error("ReceiveMessage", &error))?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(message)
            .collect())
    }

    /// Hides a received message from now on for so long; for no time: shows it
    /// to others again.
    ///
    /// # Errors
    /// [`QueueError`] if SQS refused, for example since the message's time was
    /// up, or did not answer.
    pub async fn hide(&self, message: &Message, hidden_for: Duration) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .visibility_timeout(seconds(hidden_for))
            .send()
            .await
            .map_err(|error| self.error("ChangeMessageVisibility", &error))?;
        Ok(())
    }

    /// Deletes a received message for good.
    ///
    /// # Errors
    /// [`QueueError`] if SQS refused or did not answer.
    pub async fn delete(&self, message: &Message) -> Result<(), QueueError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .send()
            .await
            .map_err(|error| self.error("DeleteMessage", &error))?;
        Ok(())
    }

    fn error<E>(&self, operation: &'static str, error: &E) -> QueueError
    where
        E: std::error::Error + ProvideErrorMetadata,
    {
        QueueError {
            operation,
            queue: self.name.clone(),
            code: code_of(error),
            message: crate::service_cause(error),
        }
    }
}

fn code_of(error: &impl ProvideErrorMetadata) -> Option<String> {
    error.code().map(str::to_owned)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// SQS leaves out neither id nor receipt; a message without could not be
/// handled, and shows again by itself.
fn message(received: aws_sdk_sqs::types::Message) -> Option<Message> {
    let sent_at = received
        .attributes()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp))
        .and_then(|millis| millis.parse().ok());
    let attributes = received
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.string_value?)))
        .collect();
    Some(Message {
        id: received.message_id?,
        receipt: received.receipt_handle?,
        body: received.body.unwrap_or_default(),
        attributes,
        sent_at,
    })
}
