//! The stand-in, driven over HTTP, with S3, EventBridge and Lambda in memory.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, the helpers among them too"
)]

mod common;
mod endpoints;
mod executions;
mod jobs;
mod resources;
mod scripts;
