//! The seam to CloudWatch Logs.

use crate::BoxFuture;
use crate::error::CallError;

/// Where the lines of a program go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    /// For example `/aws/sagemaker/TrainingJobs`.
    pub group: &'static str,
    /// For example `JOB/algo-1-1700000000`.
    pub name: String,
}

/// Keeps what programs print.
pub trait LogSink: Send + Sync {
    /// Adds lines to a stream, none of which is empty; the first call makes it.
    fn put<'a>(
        &'a self,
        stream: &'a LogStream,
        lines: &'a [String],
    ) -> BoxFuture<'a, Result<(), CallError>>;
}
