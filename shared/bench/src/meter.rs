//! What a piece of work costs inside the process.

use std::time::Instant;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// A result and its cost.
pub(crate) struct Measured {
    cpu_seconds: f64,
    wall_seconds: f64,
    result: Value,
}

impl Measured {
    /// Does `work`, whose result is a JSON object.
    pub(crate) fn of(work: impl FnOnce() -> Result<Value>) -> Result<Self> {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        let result = work()?;
        Ok(Self {
            wall_seconds: wall.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - cpu,
            result,
        })
    }

    /// `{"cpu": seconds of all threads, "wall": seconds, "result": ...}`.
    pub(crate) fn json(&self) -> Value {
        json!({ "cpu": self.cpu_seconds, "wall": self.wall_seconds, "result": self.result })
    }
}

/// CPU time of this process so far, all threads.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds and nanoseconds are far below 2^53"
)]
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
