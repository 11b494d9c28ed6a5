//! The seam to SQS.

use crate::BoxFuture;
use serde_json::Value;

/// Sends messages to queues.
pub trait QueueSender: Send + Sync {
    /// Sends one message to the queue of this URL.
    ///
    /// The error is a message for a person.
    fn send<'a>(&'a self, queue_url: &'a str, body: &'a Value)
    -> BoxFuture<'a, Result<(), String>>;
}
