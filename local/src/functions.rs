//! The seam to Lambda.

use crate::BoxFuture;
use serde_json::Value;

/// Calls Lambda functions.
pub trait FunctionCaller: Send + Sync {
    /// Calls a function, by ARN or name, and waits for its answer.
    ///
    /// The error is a message for a person: the function's own error, or why it could not be
    /// called.
    fn call<'a>(
        &'a self,
        function: &'a str,
        payload: &'a Value,
    ) -> BoxFuture<'a, Result<Value, String>>;
}
