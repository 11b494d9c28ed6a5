//! The seam to the programs that stand for container images.

mod archive;
mod containers;
mod follow;
mod layout;
mod mounts;
mod process;
mod python;
mod server;
mod transform;

pub use containers::Containers;
pub use mounts::Mounts;
pub use process::{ProcessRunner, ProcessSettings};
pub use python::Pythons;

use crate::BoxFuture;
use crate::error::JobError;
use crate::state::{JobEnd, ProgramOrder, ServersOrder, TransformOrder};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// How long a stopped job may take to end. SageMaker gives 120 seconds; a person at a
/// terminal does not.
pub const STOP_GRACE: Duration = Duration::from_secs(30);

/// Tells a running job to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Option<Duration>>);

impl Stopper {
    /// Asks the job to end within `grace`; after it, it is killed.
    pub fn stop(&self, grace: Duration) {
        self.0.send_replace(Some(grace));
    }
}

/// The job's side of a [`Stopper`].
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<Option<Duration>>);

impl StopSignal {
    /// A stopper and its signal.
    pub fn new() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(None);
        (Stopper(sender), Self(receiver))
    }

    /// Waits until the job is to stop; gives the time that it may still take.
    pub async fn stopped(&mut self) -> Duration {
        loop {
            if let Some(grace) = *self.0.borrow_and_update() {
                return grace;
            }
            if self.0.changed().await.is_err() {
                // What could stop the job is gone.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A program that serves a model and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The production variant.
    pub variant: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// What it writes to its standard output and error.
    pub log: PathBuf,
}

/// Runs processing, training and transform jobs, and programs that serve models.
pub trait JobRunner: Send + Sync {
    /// Runs a job to its end: inputs, program, outputs.
    fn run<'a>(&'a self, order: &'a ProgramOrder, stop: StopSignal) -> BoxFuture<'a, JobEnd>;

    /// Runs a batch transform to its end.
    fn transform<'a>(
        &'a self,
        order: &'a TransformOrder,
        stop: StopSignal,
    ) -> BoxFuture<'a, JobEnd>;

    /// Runs the programs of an endpoint until they are stopped, which is not an error, or one of
    /// them fails. `ready` is told when all of them answer.
    fn serve<'a>(
        &'a self,
        order: &'a ServersOrder,
        stop: StopSignal,
        ready: Box<dyn FnOnce(Vec<Served>) + Send + 'a>,
    ) -> BoxFuture<'a, Result<(), JobError>>;
}
