//! The stand-in for SageMaker on a laptop.
//!
//! It speaks SageMaker's wire protocol (AWS JSON 1.1) on loopback and runs pipelines: a
//! processing or training job whose image has a runner really runs, with SageMaker's
//! directories, files and environment, as does one of a framework's image that brings a program
//! (script mode), by a Python of this machine, and a model of such an image is served by endpoints and
//! batch transforms; every other job is simulated, and said to be. Each change is put on
//! EventBridge in the shape that SageMaker gives it.
//!
//! [`state`] decides everything and touches nothing; [`engine`] carries out what it decides
//! through small seams ([`storage`], [`event_queue`], [`functions`],
//! [`queues`], [`logs`], [`roles`], [`runner`]), which [`aws`]
//! fills in; [`http`] is the wire, and [`guard`] says who may call.
//!
//! What differs from SageMaker, with a test for each difference, is `docs/LOCAL.md`.

use std::future::Future;
use std::pin::Pin;

pub mod aws;
mod batch;
mod client;
pub mod clock;
pub mod engine;
pub mod error;
pub mod event;
pub mod event_queue;
mod framework;
pub mod functions;
pub mod guard;
pub mod http;
pub mod logs;
pub mod names;
pub mod queues;
pub mod roles;
pub mod runner;
mod runtime;
mod script;
pub mod signature;
pub mod state;
pub mod storage;

/// A future behind a pointer, so that the seams can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
