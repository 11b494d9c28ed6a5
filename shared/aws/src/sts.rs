//! STS: whose credentials the environment has.

use aws_config::SdkConfig;
use aws_sdk_sts::Client;

/// It could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("GetCallerIdentity: {message}")]
pub struct CallerError {
    /// What the service or the client said.
    pub message: String,
}

/// The account of the credentials.
///
/// # Errors
/// [`CallerError`] if STS does not know them, or could not be reached.
pub async fn account(config: &SdkConfig) -> Result<String, CallerError> {
    let asked = Client::new(config).get_caller_identity().send().await;
    let identity = asked.map_err(|error| CallerError {
        message: crate::service_cause(&error),
    })?;
    identity.account.ok_or_else(|| CallerError {
        message: "the answer names no account".to_owned(),
    })
}
