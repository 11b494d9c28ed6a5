//! The contract between CloudFormation and a custom resource, as a reusable
//! piece: it knows nothing of pipelines.
//!
//! CloudFormation invokes a function with a request and waits until someone
//! puts a reply to a presigned address. What can go wrong there is always the
//! same, and is decided here once:
//!
//! - The event is read in two steps. [`Envelope::read`] takes what an answer
//!   needs and nothing else, so that whatever is wrong with the rest can still
//!   be answered; [`Envelope::request`] reads the rest.
//! - The reply's address is a secret, and is checked: see [`ResponseUrl`].
//! - A [`Handler`] creates, updates and deletes; it cannot answer a failure
//!   with an id that would make CloudFormation delete something in use, since
//!   [`Subject::failure_id`] chooses that id.
//! - A reply has at most [`reply::LIMIT`] bytes. Reasons are cut to fit, data
//!   never are: see [`Reply`].
//! - [`Schedule`] divides the time until the deadline between the handler and
//!   the reply, and [`retry_delay`] spaces the attempts to deliver it.
//!
//! Everything here is pure. `pipewright_aws::custom_resource` holds the driver
//! that runs a handler under a deadline and delivers the reply, with an example
//! of a whole custom resource.

mod envelope;
mod failure;
mod handler;
pub mod reply;
mod response_url;
mod schedule;

pub use envelope::{Envelope, EnvelopeError, Operation, Request, Subject, is_failed_create};
pub use failure::Failure;
pub use handler::{Handler, Resource, Transport, TransportError};
pub use reply::{LogLocation, Outcome, Reply, ReplyError};
pub use response_url::{RefusedUrl, ResponseUrl, UrlPolicy};
pub use schedule::{Schedule, attempt_limit, retry_delay};
