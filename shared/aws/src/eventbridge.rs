//! Putting events on an EventBridge bus.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

/// The most events that one call takes.
const MOST_ENTRIES: usize = 10;

/// An EventBridge client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// An event as its sender knows it; EventBridge adds id, account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who sends it, for example `aws.sagemaker` (AWS itself refuses `aws.` from others).
    pub source: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// ARNs of what it is about.
    pub resources: Vec<String>,
    /// When it happened, in epoch milliseconds; EventBridge keeps whole seconds.
    pub time: i64,
    /// A JSON object.
    pub detail: String,
}

/// Why events are not on the bus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The call itself failed, after the client's own retries.
    #[error("EventBridge could not be called: {0}")]
    Call(String),
    /// EventBridge took the call and refused some of its entries; the others are on the bus.
    #[error("EventBridge refused {} of the events, the first with {code}: {message}", refused.len())]
    Refused {
        /// Positions of the refused entries in what was passed in.
        refused: Vec<usize>,
        /// The first one's error code.
        code: String,
        /// The first one's message.
        message: String,
    },
}

/// Puts events on a bus (the account's default one without a name), in their order.
///
/// # Errors
/// [`PutError::Call`] when a call fails, and what came after it was not sent;
/// [`PutError::Refused`] when EventBridge refused single entries.
pub async fn put(client: &Client, bus: Option<&str>, entries: &[Entry]) -> Result<(), PutError> {
    let mut refused = Vec::new();
    let mut first: Option<(String, String)> = None;
    for (batch, chunk) in entries.chunks(MOST_ENTRIES).enumerate() {
        let answer = client
            .put_events()
            .set_entries(Some(
                chunk
                    .iter()
                    .map(|entry| request_entry(bus, entry))
                    .collect(),
            ))
            .send()
            .await
            .map_err(|error| PutError::Call(crate::service_cause(&error)))?;
        if answer.failed_entry_count() == 0 {
            continue;
        }
        for (position, result) in answer.entries().iter().enumerate() {
            if let Some(code) = result.error_code() {
                refused.push(batch * MOST_ENTRIES + position);
                first.get_or_insert_with(|| {
                    let message = result.error_message().unwrap_or_default();
                    (code.to_owned(), message.to_owned())
                });
            }
        }
    }
    match first {
        None => Ok(()),
        Some((code, message)) => Err(PutError::Refused {
            refused,
            code,
            message,
        }),
    }
}

fn request_entry(bus: Option<&str>, entry: &Entry) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .set_event_bus_name(bus.map(str::to_owned))
        .source(&entry.source)
        .detail_type(&entry.detail_type)
        .set_resources(Some(entry.resources.clone()))
        .time(DateTime::from_millis(entry.time))
        .detail(&entry.detail)
        .build()
}
