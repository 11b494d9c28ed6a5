//! The seam to the programs that stand for container images.

mod layout;
mod process;

pub use process::{ProcessRunner, ProcessSettings};

use crate::BoxFuture;
use crate::state::{JobEnd, ProgramOrder};
use std::time::Duration;
use tokio::sync::watch;

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
                // Whoever could stop the job is gone: nobody will.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Runs processing and training jobs.
pub trait JobRunner: Send + Sync {
    /// Runs a job to its end: inputs, program, outputs.
    fn run<'a>(&'a self, order: &'a ProgramOrder, stop: StopSignal) -> BoxFuture<'a, JobEnd>;
}
