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
//! through small seams ([`storage`], [`events`], [`functions`],
//! [`queues`], [`runner`]), which [`aws`]
//! fills in; [`http`] is the wire, and [`guard`] says who may call.
//!
//! # What differs from SageMaker
//!
//! - A job without a runner is simulated: its S3 inputs must exist (but for those that another
//!   simulated step would have written), a training's hyperparameters must not be empty, then
//!   it takes `--simulated-step-seconds` and succeeds. It writes nothing. The step's events
//!   carry `metadata.pipewrightLocal = {"simulated": true, "reason": ...}`, and
//!   ListPipelineExecutionSteps a `StepDescription` that begins with `[simulated: `.
//! - A job with a runner is one process (or one for each host) of this machine, without
//!   a container: it sees the whole machine, has the runner's programs instead of an
//!   image (which must be of the account's own registry, or named with its host), and
//!   finds SageMaker's layout at `/opt/ml`, in a mount namespace of its own. Where the
//!   machine gives none (macOS, some settings of Linux), it is under
//!   `PIPEWRIGHT_ML_ROOT` alone, and entrypoint and arguments that name `/opt/ml` are
//!   led there. Inputs are S3 prefixes in File mode (FastFile in a training), without
//!   compression or manifests; outputs go to S3 at the end of a job that succeeded,
//!   `Continuous` ones too, and checkpoints at its end, however it comes. A stopped job
//!   is killed after 30 seconds, not 120. What a stopped training has in its model's
//!   folder is uploaded, as SageMaker does it; its step fails, unless the execution is
//!   stopped.
//! - A framework's image stands for the packages that it has, in a virtual environment; a program sees one
//!   machine without GPU. Algorithms of the image itself (XGBoost without a program) are simulated.
//! - An endpoint is one process for each variant, however many instances it has, if the images
//!   of all its models are among those that are to be served (`APPDIR/REPOSITORY serve`); otherwise
//!   it is an entry that answers nothing, and its models' steps are simulated. A program that dies is not
//!   started again: the endpoint has failed.
//! - A batch transform asks one process, without manifests, RecordIO and TFRecord. One that a
//!   call begins must have a model that can be served; a step is simulated otherwise.
//! - Packages are entries that are described, listed and told of by events. Lambda functions
//!   and callback queues are really called, with the key of the environment. All other types of steps are
//!   simulated.
//! - A step begins in a later second than those it waits for have ended in, and an execution
//!   ends in a later second than its last step: events carry whole seconds, so that their
//!   times alone tell cause from effect.
//! - After a failure no further step begins, and what runs is let run to its end.
//! - A step whose dependency stands in a branch that was not taken does not run.
//! - Caching never hits, `RetryPolicies` are not followed (their faults do not occur here),
//!   selective execution is refused, no permission is checked, nothing is kept on disk but the
//!   run directory.
//! - Names are found whatever their case.

use std::future::Future;
use std::pin::Pin;

pub mod aws;
mod batch;
mod client;
pub mod clock;
pub mod engine;
pub mod error;
pub mod event;
pub mod events;
mod framework;
pub mod functions;
pub mod guard;
pub mod http;
pub mod names;
pub mod queues;
pub mod runner;
mod runtime;
mod script;
pub mod signature;
pub mod state;
pub mod storage;

/// A future behind a pointer, so that the seams can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
