//! The endpoints of SageMaker, as those see them who ask for predictions.

use aws_config::SdkConfig;
pub use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::primitives::Blob;

/// A client of the runtime API made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// An endpoint gave no prediction.
#[derive(Debug, thiserror::Error)]
#[error("InvokeEndpoint of endpoint {endpoint}: {message}")]
pub struct InvocationError {
    /// The endpoint's name.
    pub endpoint: String,
    /// What the container, the service or the client said.
    pub message: String,
}

/// Asks an endpoint with a JSON document; gives the bytes of its answer.
///
/// # Errors
/// [`InvocationError`], retries included.
pub async fn invoke(
    client: &Client,
    endpoint: &str,
    body: Vec<u8>,
) -> Result<Vec<u8>, InvocationError> {
    let json = "application/json";
    let sent = client
        .invoke_endpoint()
        .endpoint_name(endpoint)
        .content_type(json)
        .accept(json)
        .body(Blob::new(body))
        .send()
        .await
        .map_err(|error| InvocationError {
            endpoint: endpoint.to_owned(),
            message: crate::service_cause(&error),
        })?;
    Ok(sent.body.map(Blob::into_inner).unwrap_or_default())
}
