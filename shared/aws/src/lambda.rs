//! Lambda: invoking a function and waiting for its answer.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use serde_json::Value;

/// A Lambda client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// Why there is no answer of a function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// Lambda refused the call, or could not be reached, retries included.
    #[error("Invoke of function {function}: {message}")]
    Call {
        /// The function's name.
        function: String,
        /// What the service or the client said.
        message: String,
    },
    /// The function ran, and failed.
    #[error("function {function} failed: {cause}")]
    Function {
        /// The function's name.
        function: String,
        /// Its `errorType` and `errorMessage`.
        cause: String,
    },
}

/// The functions of an account in a region.
#[derive(Debug, Clone)]
pub struct Functions {
    client: Client,
}

impl Functions {
    /// The functions that this client reaches.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Invokes a function with a JSON document, waits until it has ended, and
    /// gives its answer (null where that is not JSON).
    ///
    /// # Errors
    /// [`InvokeError::Call`] if it is not known to have run,
    /// [`InvokeError::Function`] if it failed.
    pub async fn invoke(&self, function: &str, payload: &str) -> Result<Value, InvokeError> {
        let answer = self
            .client
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload.as_bytes()))
            .send()
            .await
            .map_err(|error| InvokeError::Call {
                function: function.to_owned(),
                message: crate::service_cause(&error),
            })?;
        let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        match answer.function_error {
            None => Ok(value),
            Some(kind) => Err(InvokeError::Function {
                function: function.to_owned(),
                cause: cause(&value).unwrap_or(kind),
            }),
        }
    }
}

/// What a function's error document says: `<errorType>: <errorMessage>`.
#[must_use]
pub fn cause(error: &Value) -> Option<String> {
    let text = |name: &str| error[name].as_str().filter(|text| !text.is_empty());
    match (text("errorType"), text("errorMessage")) {
        (Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
        (kind, message) => kind.or(message).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_document_says_its_type_and_message_as_far_as_it_has_them() {
        let both = json!({"errorType": "WriteFailed", "errorMessage": "no table"});
        assert_eq!(cause(&both).unwrap(), "WriteFailed: no table");
        let one = json!({"errorMessage": "Task timed out after 30.00 seconds"});
        assert_eq!(cause(&one).unwrap(), "Task timed out after 30.00 seconds");
        assert_eq!(cause(&json!({"errorType": ""})), None);
        assert_eq!(cause(&Value::Null), None);
    }
}
