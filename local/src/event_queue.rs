//! Sending events in the order in which they happened.

use crate::BoxFuture;
use crate::error::CallError;
use crate::event::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How an event is tried again that could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often an event is tried before it counts as lost; at least once.
    pub attempts: u32,
    /// The pause after the first failed attempt; each further one is twice as long.
    pub first_pause: Duration,
}

impl Default for Retries {
    /// Six attempts in eight seconds.
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(250),
        }
    }
}

/// The seam to EventBridge.
pub trait EventSink: Send + Sync {
    /// Puts one event on the bus.
    fn put<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), CallError>>;
}

/// What became of the events so far.
#[derive(Debug, Default)]
pub struct EventCounts {
    sent: AtomicU64,
    lost: AtomicU64,
}

impl EventCounts {
    /// How many events are on the bus.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many events could not be sent at all.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Sends events one after the other: the next one only when the one before is on the bus, or
/// is given up and reported.
#[derive(Debug, Clone)]
pub struct EventQueue {
    sender: UnboundedSender<Event>,
    counts: Arc<EventCounts>,
}

impl EventQueue {
    /// A queue that sends to `sink` in a task of its own.
    pub fn start(sink: Arc<dyn EventSink>, retries: Retries) -> Self {
        let (sender, receiver) = unbounded_channel();
        let counts = Arc::new(EventCounts::default());
        tokio::spawn(send_all(sink, retries, receiver, Arc::clone(&counts)));
        Self { sender, counts }
    }

    /// Adds an event at the end.
    pub fn push(&self, event: Event) {
        if self.sender.send(event).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!("an event is lost: the sending task has ended");
        }
    }

    /// What became of the events so far.
    pub fn counts(&self) -> &EventCounts {
        &self.counts
    }
}

async fn send_all(
    sink: Arc<dyn EventSink>,
    retries: Retries,
    mut receiver: UnboundedReceiver<Event>,
    counts: Arc<EventCounts>,
) {
    while let Some(event) = receiver.recv().await {
        match send(sink.as_ref(), retries, &event).await {
            Ok(()) => {
                counts.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    detail_type = event.detail_type,
                    detail = %event.detail,
                    attempts = retries.attempts,
                    "an event is lost: {error}"
                );
            }
        }
    }
}

async fn send(sink: &dyn EventSink, retries: Retries, event: &Event) -> Result<(), CallError> {
    let mut pause = retries.first_pause;
    let mut attempt = 1;
    loop {
        match sink.put(event).await {
            Ok(()) => return Ok(()),
            Err(error) if attempt >= retries.attempts => return Err(error),
            Err(error) => {
                tracing::warn!(
                    detail_type = event.detail_type,
                    attempt,
                    "an event could not be sent and will be tried again: {error}"
                );
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use serde_json::json;
    use std::sync::Mutex;

    /// Fails a number of times for each event, then keeps it.
    struct Flaky {
        failures: u32,
        left: Mutex<u32>,
        kept: Mutex<Vec<String>>,
    }

    impl EventSink for Flaky {
        fn put<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), CallError>> {
            Box::pin(async move {
                let mut left = self.left.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return Err(CallError::Lost("throttled".to_owned()));
                }
                *left = self.failures;
                self.kept.lock().unwrap().push(event.detail.to_string());
                Ok(())
            })
        }
    }

    async fn run(failures: u32) -> (Arc<Flaky>, EventQueue) {
        let sink = Arc::new(Flaky {
            failures,
            left: Mutex::new(failures),
            kept: Mutex::default(),
        });
        let retries = Retries {
            attempts: 3,
            first_pause: Duration::from_millis(1),
        };
        let queue = EventQueue::start(Arc::<Flaky>::clone(&sink), retries);
        for number in 1..=3 {
            queue.push(Event {
                detail_type: Event::STEP,
                resources: vec![],
                time: Millis(0),
                detail: json!(number),
            });
        }
        while queue.counts().sent() + queue.counts().lost() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (sink, queue)
    }

    #[tokio::test]
    async fn events_keep_their_order_whatever_must_be_tried_again() {
        let (sink, queue) = run(2).await;
        assert_eq!(*sink.kept.lock().unwrap(), ["1", "2", "3"]);
        assert_eq!((queue.counts().sent(), queue.counts().lost()), (3, 0));
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_sent_is_counted() {
        let (_, queue) = run(1000).await;
        assert_eq!((queue.counts().sent(), queue.counts().lost()), (0, 3));
    }
}
