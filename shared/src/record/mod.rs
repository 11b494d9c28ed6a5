//! The record of an execution: how each event changes it, and how it reads.
//!
//! An execution is a small set of small items under one partition key: the
//! item `record`, one `change#...` per change that SageMaker told, one
//! `training#...` per training job that ended, one `log#...` per batch of the
//! container's log lines. What they hold is a function of the set of events
//! that happened, whatever the order, number and interruption of their
//! deliveries. `score` and `forecast#...` are what a person has asked for of
//! its model, and kept.
//!
//! - [`rows`] has what is stored.
//! - [`families`] has a file for each family of events, with all that is known of it.
//! - [`event`] reads an EventBridge event of any shape.
//! - [`whose`] says under which id an execution is recorded.
//! - [`fold`] says what it writes.
//! - [`training`] keeps what a training job ended with, its metrics above all.
//! - [`model`] keeps what was asked of its model: scores and forecasts.
//! - [`reconcile`] says what has to be written because its event went missing.
//! - [`start`] makes the record before the execution is started.
//! - [`history()`] reads the items back as what a person wants to know.
//!
//! Moments are epoch milliseconds throughout.

pub mod event;
pub mod families;
pub mod fold;
pub mod history;
pub mod id;
pub mod model;
pub mod moment;
pub mod names;
pub mod phase;
mod reader;
pub mod reconcile;
pub mod rows;
pub mod start;
pub mod status;
pub mod training;
mod verdict;
pub mod whose;

pub use event::{Event, EventError};
pub use families::{CACHE_HIT, Kind, Owner, REUSED_FROM, SELECTION, Subject};
pub use fold::{Beyond, Expected, RecordUpdate, Refusal, Writes, writes};
pub use history::{History, history};
pub use id::{ExecutionArn, InvalidRecordId, RecordId, arn_of};
pub use rows::record::StartFailure;
pub use rows::{ChangeRow, EndpointRow, Item, Record, TrainingRow};
pub use status::{Status, is_final};
pub use training::{EndedTraining, TrainingState};
pub use whose::Candidate;
