//! The seam to Lambda.

use crate::BoxFuture;
use crate::error::JobError;
use serde_json::Value;

/// Calls Lambda functions.
pub trait FunctionCaller: Send + Sync {
    /// Calls a function, by ARN or name, and waits for its answer.
    ///
    /// The error is the function's own, or why it could not be called.
    fn call<'a>(
        &'a self,
        function: &'a str,
        payload: &'a Value,
    ) -> BoxFuture<'a, Result<Value, JobError>>;
}
