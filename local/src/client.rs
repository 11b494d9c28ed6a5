//! Plain HTTP to what runs on this machine.

use crate::error::CallError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use std::time::Duration;

/// Sends requests.
#[derive(Debug, Clone)]
pub(crate) struct Client(SharedHttpConnector);

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body, as far as it is text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    /// A client that waits so long for an answer to begin.
    pub(crate) fn new(read_timeout: Duration) -> Self {
        Self(pipewright_aws::http_connector(
            pipewright_aws::CONNECT_TIMEOUT,
            read_timeout,
        ))
    }

    /// Sends a request; gives the whole answer, whatever its status.
    pub(crate) async fn send(
        &self,
        method: &str,
        uri: String,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Answer, CallError> {
        let mut request = HttpRequest::new(SdkBody::from(body));
        let wrong = |error: &dyn std::error::Error| CallError::Request(error.to_string());
        request.set_method(method).map_err(|error| wrong(&error))?;
        request.set_uri(uri).map_err(|error| wrong(&error))?;
        for (name, value) in headers {
            request
                .headers_mut()
                .try_insert(name.clone(), value.clone())
                .map_err(|error| wrong(&error))?;
        }
        let mut response = self
            .0
            .call(request)
            .await
            .map_err(|error| CallError::Lost(pipewright_aws::error_chain(&error)))?;
        let body = ByteStream::new(response.take_body())
            .collect()
            .await
            .map_err(|error| CallError::Lost(error.to_string()))?
            .to_vec();
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body,
        })
    }
}
