//! A request's body, up to a size and for some time.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use thiserror::Error;

/// How long a body may take, as long as SageMaker waits for an answer.
const LONGEST: Duration = Duration::from_secs(60);

/// So many times the limit are read of a body that is too large, so that its client
/// comes to read why it was refused.
const READ_ON: usize = 4;

/// A request's body cannot be read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is too large.
    #[error("the body is larger than {most} bytes; send fewer records at once, or shorter targets")]
    TooLarge {
        /// The most bytes.
        most: usize,
    },
    /// It takes too long.
    #[error("the body did not come within {} seconds", LONGEST.as_secs())]
    Slow,
    /// The connection broke.
    #[error("the body cannot be read: {0}")]
    Broken(axum::Error),
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read(body: Body, most: usize) -> Result<Vec<u8>, BodyError> {
    tokio::time::timeout(LONGEST, read_up_to(body, most))
        .await
        .unwrap_or(Err(BodyError::Slow))
}

async fn read_up_to(mut body: Body, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut read = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length > most.saturating_mul(READ_ON) {
            break;
        } else if length > most {
            read = Vec::new();
        } else {
            read.extend_from_slice(&data);
        }
    }
    if length > most {
        return Err(BodyError::TooLarge { most });
    }
    Ok(read)
}
