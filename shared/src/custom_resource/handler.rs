//! What a custom resource implements, and how a reply leaves.

use std::future::Future;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Failure, Request, ResponseUrl};

/// A custom resource. Each method may be called again with the same request,
/// since deliveries are repeated, and must then lead to the same state.
///
/// A method may fail, panic, or never end: CloudFormation is answered all the
/// same, and [`Subject::failure_id`](super::Subject::failure_id) chooses the
/// id of that answer.
pub trait Handler: Send + Sync + 'static {
    /// Makes the resource. [`Request::claim`] its id before the first lasting
    /// effect: if the creation then fails half-way, CloudFormation will ask to
    /// delete that id.
    fn create(&self, request: Request) -> impl Future<Output = Result<Resource, Failure>> + Send;

    /// Changes the resource `physical_id`, made from `old_properties`, to the
    /// request's properties. Another id in the answer means another resource:
    /// once the stack's update has held, CloudFormation asks to delete the old
    /// one; so an update itself deletes nothing that a rollback would need.
    fn update(
        &self,
        request: Request,
        physical_id: String,
        old_properties: Value,
    ) -> impl Future<Output = Result<Resource, Failure>> + Send;

    /// Deletes the resource `physical_id`. One that does not exist, or is not
    /// this handler's, is a success.
    fn delete(
        &self,
        request: Request,
        physical_id: String,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A resource that exists: what a successful creation or update answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub(super) physical_id: String,
    pub(super) data: Map<String, Value>,
    pub(super) no_echo: bool,
}

impl Resource {
    /// The resource that CloudFormation is to know as `physical_id`, 1 to
    /// 1,024 bytes long.
    pub fn new(physical_id: impl Into<String>) -> Self {
        Self {
            physical_id: physical_id.into(),
            data: Map::new(),
            no_echo: false,
        }
    }

    /// Adds an attribute, for `Fn::GetAtt`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Has CloudFormation mask the attributes wherever it shows them.
    #[must_use]
    pub fn no_echo(mut self) -> Self {
        self.no_echo = true;
        self
    }
}

/// How a reply leaves.
pub trait Transport: Send + Sync {
    /// Puts `body` to `url` with an empty content type, in one attempt of at
    /// most `limit`, and gives the status of the answer.
    fn put(
        &self,
        url: &ResponseUrl,
        body: Vec<u8>,
        limit: Duration,
    ) -> impl Future<Output = Result<u16, TransportError>> + Send;
}

/// Why an attempt to deliver a reply got no answer. The text must not hold the
/// address's query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(
    /// What happened: a time-out, a refused connection, and so on.
    pub String,
);
