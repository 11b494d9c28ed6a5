//! Taking messages out of a queue, replaying them, and putting back the rest.
//!
//! A message is deleted after its function has succeeded, or after a person has
//! said that it is to go, and at no other time. Whatever fails before that, and
//! wherever the program dies, the message shows again: nothing is lost, at worst
//! something is done twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use pipewright_aws::lambda;
use pipewright_aws::sqs::{self, Message};
use serde_json::Value;

use super::message::Payload;

/// How long a message is hidden from other readers: longer than a function may
/// run, and short enough to wait for after a crash.
pub(crate) const HIDDEN_FOR: Duration = Duration::from_secs(600);

/// How many calls in a row must bring nothing new before a queue is taken to be
/// empty.
const QUIET_CALLS: u32 = 2;

/// Why the world did not do what was asked.
pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// A queue.
pub(crate) trait Queue {
    /// Receives some messages and hides them.
    async fn receive(&self) -> Result<Vec<Message>, Trouble>;
    /// Hides a received message anew.
    async fn hide(&self, message: &Message) -> Result<(), Trouble>;
    /// Shows a received message to others again.
    async fn show(&self, message: &Message) -> Result<(), Trouble>;
    /// Deletes a received message.
    async fn delete(&self, message: &Message) -> Result<(), Trouble>;
}

/// The functions.
pub(crate) trait Functions {
    /// Invokes one and waits for its answer; an error also if it failed.
    async fn invoke(&self, function: &str, payload: &str) -> Result<Value, Trouble>;
}

impl Queue for sqs::Queue {
    async fn receive(&self) -> Result<Vec<Message>, Trouble> {
        Ok(Self::receive(self, HIDDEN_FOR).await?)
    }

    async fn hide(&self, message: &Message) -> Result<(), Trouble> {
        Ok(Self::hide(self, message, HIDDEN_FOR).await?)
    }

    async fn show(&self, message: &Message) -> Result<(), Trouble> {
        Ok(Self::hide(self, message, Duration::ZERO).await?)
    }

    async fn delete(&self, message: &Message) -> Result<(), Trouble> {
        Ok(Self::delete(self, message).await?)
    }
}

impl Functions for lambda::Functions {
    async fn invoke(&self, function: &str, payload: &str) -> Result<Value, Trouble> {
        Ok(Self::invoke(self, function, payload).await?)
    }
}

/// How a replay went wrong. The message stays in its queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReplayError {
    /// It could not be kept from other readers for the time of the replay.
    #[error("not replayed, since it could not be kept from other readers: {0}")]
    NotHeld(#[source] Trouble),
    /// The function did not succeed.
    #[error("{0}")]
    Invocation(#[source] Trouble),
    /// The function succeeded and the message is still there. Replaying it
    /// again does no harm to an event.
    #[error("replayed, but the message could not be deleted: {0}")]
    NotDeleted(#[source] Trouble),
}

/// How discarding went wrong. The message stays in its queue, unless only the
/// answer to its deletion got lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DiscardError {
    /// Another reader may have it.
    #[error("not discarded, since it could not be kept from other readers; try again: {0}")]
    NotHeld(#[source] Trouble),
    /// It may still be there.
    #[error("it could not be deleted; try again: {0}")]
    NotDeleted(#[source] Trouble),
}

/// What is held of a queue: received, hidden from others, not yet deleted.
#[derive(Debug)]
pub(crate) struct Held<Q> {
    queue: Q,
    messages: RefCell<BTreeMap<String, Message>>,
}

impl<Q: Queue> Held<Q> {
    /// Nothing yet of a queue.
    pub(crate) fn nothing_of(queue: Q) -> Self {
        Self {
            queue,
            messages: RefCell::default(),
        }
    }

    /// Receives what is in the queue, until it is empty or `limit` is reached;
    /// tells whether there may be more.
    ///
    /// # Errors
    /// If the queue can't be read; what was received by then is held.
    pub(crate) async fn receive(&self, limit: usize) -> Result<bool, Trouble> {
        let mut quiet = 0;
        while quiet < QUIET_CALLS {
            if self.messages.borrow().len() >= limit {
                return Ok(true);
            }
            let received = self.queue.receive().await?;
            let mut messages = self.messages.borrow_mut();
            let mut news = false;
            for message in received {
                // The receipt of a message that came again is the one that counts.
                news |= messages.insert(message.id.clone(), message).is_none();
            }
            quiet = if news { 0 } else { quiet + 1 };
        }
        Ok(false)
    }

    /// What is held, the oldest first.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.messages.borrow().values().cloned().collect();
        messages.sort_by_key(|message| message.sent_at);
        messages
    }

    /// Invokes the function with the payload, and deletes the message if that
    /// succeeded; gives the function's answer.
    ///
    /// # Errors
    /// [`ReplayError`]; the message is still held.
    pub(crate) async fn replay(
        &self,
        message: &Message,
        functions: &impl Functions,
        function: &str,
        payload: &Payload,
    ) -> Result<Value, ReplayError> {
        self.queue
            .hide(message)
            .await
            .map_err(ReplayError::NotHeld)?;
        let answer = functions
            .invoke(function, payload.as_str())
            .await
            .map_err(ReplayError::Invocation)?;
        self.queue
            .delete(message)
            .await
            .map_err(ReplayError::NotDeleted)?;
        self.messages.borrow_mut().remove(&message.id);
        Ok(answer)
    }

    /// Deletes a message without replaying it.
    ///
    /// # Errors
    /// [`DiscardError`]; the message is still held.
    pub(crate) async fn discard(&self, message: &Message) -> Result<(), DiscardError> {
        // Somebody may have taken long to say yes: what another reader got
        // meanwhile is not ours to delete.
        self.queue
            .hide(message)
            .await
            .map_err(DiscardError::NotHeld)?;
        self.queue
            .delete(message)
            .await
            .map_err(DiscardError::NotDeleted)?;
        self.messages.borrow_mut().remove(&message.id);
        Ok(())
    }

    /// Shows all that is held to other readers again; gives how many could not
    /// be shown, which come back by themselves after [`HIDDEN_FOR`].
    pub(crate) async fn release(&self) -> usize {
        let held = std::mem::take(&mut *self.messages.borrow_mut());
        let mut remaining = 0;
        for message in held.values() {
            if self.queue.show(message).await.is_err() {
                remaining += 1;
            }
        }
        remaining
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
