//! The seam to SQS.

use crate::BoxFuture;
use crate::error::JobError;
use serde_json::Value;

/// Sends messages to queues.
pub trait QueueSender: Send + Sync {
    /// Sends one message to the queue of this URL.
    fn send<'a>(
        &'a self,
        queue_url: &'a str,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), JobError>>;
}
