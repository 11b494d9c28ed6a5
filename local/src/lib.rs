//! The stand-in for SageMaker on a laptop.
//!
//! It speaks SageMaker's wire protocol (AWS JSON 1.1) on loopback and runs pipelines: a
//! processing job whose image has a runner really runs, with SageMaker's directories, files
//! and environment; every other job is simulated, and said to be. Each change is put on
//! EventBridge in the shape that SageMaker gives it.
//!
//! [`state`] decides everything and touches nothing; [`engine`] carries out what it decides
//! through small seams ([`storage`], [`events`], [`functions`],
//! [`queues`], [`runner`]), which [`aws`]
//! fills in; [`http`] is the wire.

use std::future::Future;
use std::pin::Pin;

pub mod aws;
pub mod clock;
pub mod engine;
pub mod error;
pub mod event;
pub mod events;
pub mod functions;
pub mod http;
pub mod names;
pub mod queues;
pub mod runner;
pub mod state;
pub mod storage;

/// A future behind a pointer, so that the seams can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
