//! The driver of a CloudFormation custom resource: runs a
//! [`Handler`] under the invocation's deadline and delivers exactly one reply,
//! whatever the handler does.
//!
//! A whole custom resource, here one that keeps a text under a name in memory:
//!
//! ```no_run
//! use pipewright::custom_resource::{Failure, Handler, Request, Resource};
//! use pipewright_aws::{custom_resource, logging};
//!
//! struct Greeting;
//!
//! impl Handler for Greeting {
//!     async fn create(&self, request: Request) -> Result<Resource, Failure> {
//!         let name = request.properties["Name"].as_str();
//!         let name = name.ok_or_else(|| Failure::new("Name is missing"))?;
//!         Ok(Resource::new(format!("greeting/{name}")).with("Text", format!("Hello {name}")))
//!     }
//!     async fn update(
//!         &self,
//!         request: Request,
//!         _physical_id: String,
//!         _old_properties: serde_json::Value,
//!     ) -> Result<Resource, Failure> {
//!         self.create(request).await
//!     }
//!     async fn delete(&self, _request: Request, _physical_id: String) -> Result<(), Failure> {
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
//! async fn main() -> Result<(), lambda_runtime::Error> {
//!     logging::init(logging::Libraries::WarningsAtMost)?;
//!     Ok(custom_resource::run(Greeting).await?)
//! }
//! ```
//!
//! The runtime needs two worker threads: one that a handler may block, and one
//! that still watches the clock. The program must be built with unwinding
//! panics.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use lambda_runtime::{Diagnostic, LambdaEvent};
use pipewright::arn::Home;
use pipewright::custom_resource::{
    Envelope, EnvelopeError, Failure, Handler, LogLocation, Operation, Outcome, Reply, ReplyError,
    Request, Resource, ResponseUrl, Schedule, Subject, Transport, TransportError, UrlPolicy,
    attempt_limit, is_failed_create, retry_delay,
};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::function::{self, RuntimeError, failure};
use crate::process::{now, optional_variable};
use crate::{CONNECT_TIMEOUT, READ_TIMEOUT, error_chain, http_connector};

/// The test-only switch: set to `1`, it lets a reply go to this machine, by
/// http. Nothing that is deployed sets it.
pub const ALLOW_LOOPBACK: &str = "PIPEWRIGHT_ALLOW_LOOPBACK_RESPONSE_URL";

/// Serves `handler` as a Lambda function, until the process ends.
///
/// # Errors
/// When the Lambda runtime's interface cannot be reached.
pub async fn run<H: Handler>(handler: H) -> Result<(), RuntimeError> {
    let loopback = optional_variable(ALLOW_LOOPBACK).is_some_and(|value| value == "1");
    if loopback {
        tracing::warn!("replies may go to this machine, since {ALLOW_LOOPBACK} is set");
    }
    let driver = Driver {
        handler: Arc::new(handler),
        transport: HttpTransport::default(),
        loopback,
    };
    function::serve(driver, Driver::invoked).await
}

/// What all invocations share.
struct Driver<H> {
    handler: Arc<H>,
    transport: HttpTransport,
    loopback: bool,
}

impl<H: Handler> Driver<H> {
    async fn invoked(self: Arc<Self>, event: LambdaEvent<Box<RawValue>>) -> Result<(), Diagnostic> {
        let context = event.context;
        let home = Home::of(&context.invoked_function_arn);
        let region = match &home {
            Some(home) => home.region.clone(),
            None => optional_variable("AWS_REGION").unwrap_or_default(),
        };
        let policy = UrlPolicy::of_region(region);
        let invocation = Invocation {
            // A clock before 1970 is as good as none: the deadline is then not believed.
            now: Duration::from_millis(u64::try_from(now()).unwrap_or_default()),
            deadline: Duration::from_millis(context.deadline),
            log: LogLocation {
                group: context.env_config.log_group.clone(),
                stream: context.env_config.log_stream.clone(),
                invocation: context.request_id.clone(),
            },
            policy: if self.loopback {
                policy.or_loopback()
            } else {
                policy
            },
            account: home.map(|home| home.account),
        };
        respond(
            event.payload.get(),
            &invocation,
            &self.handler,
            &self.transport,
        )
        .await
        .map_err(|error| failure("CustomResource.NotAnswered", &error))
    }
}

/// What the driver needs to know of an invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The time at which it began, since the Unix epoch.
    pub now: Duration,
    /// The time at which it will be cut off, since the Unix epoch.
    pub deadline: Duration,
    /// Where its log lines are.
    pub log: LogLocation,
    /// Which hosts a reply may go to.
    pub policy: UrlPolicy,
    /// The account that the function runs in, by the ARN that it was invoked
    /// under. Emulators may give none; then it is that of the stack.
    pub account: Option<String>,
}

/// Why CloudFormation has got no answer. The invocation must then fail, so that
/// Lambda delivers the event again.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswered {
    /// The event does not say whom to answer, or names a host that is not
    /// AWS's.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// No reply fits.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The reply was not taken.
    #[error("the reply could not be delivered to {host} in {attempts} attempts: {last}")]
    Undelivered {
        /// The host it was put to.
        host: String,
        /// How often it was tried.
        attempts: u32,
        /// What came of the last attempt.
        last: String,
    },
}

/// Handles one event: reads it, runs `handler`, and delivers the reply.
///
/// The handler's panic, and its not ending in time ([`Schedule::handler`]),
/// are answered as failures. A reply is tried again, with growing pauses, until
/// it is taken or [`Schedule::reply`] has come; an answer of 4xx other than 408
/// and 429 is final. That a failure was delivered is a success of this
/// function.
///
/// # Errors
/// [`NotAnswered`] when CloudFormation has not been answered.
pub async fn respond<H: Handler, T: Transport>(
    event: &str,
    invocation: &Invocation,
    handler: &Arc<H>,
    transport: &T,
) -> Result<(), NotAnswered> {
    let begun = Instant::now();
    let schedule = Schedule::new(invocation.now, invocation.deadline);
    let envelope = Envelope::read(event, &invocation.policy).inspect_err(|error| {
        tracing::error!(%error, "the event cannot be answered");
    })?;
    let subject = envelope.subject();
    let account = invocation
        .account
        .clone()
        .or_else(|| Home::of(envelope.stack_id()).map(|home| home.account))
        .ok_or_else(|| {
            Failure::new("neither the function's ARN nor StackId names the account that it runs in")
        });
    let outcome = match account.and_then(|account| envelope.request(&subject, &account)) {
        Ok((request, operation)) => {
            tracing::info!(
                stack = request.stack_id,
                resource = request.logical_resource_id,
                request = request.request_id,
                operation = operation.name(),
                handler_limit_ms = schedule.handler.as_millis(),
                "request received"
            );
            let cut_off = begun + schedule.handler;
            guarded(handler, request, operation, &subject, cut_off).await
        }
        Err(failure) => failed(failure, &subject),
    };
    let reply = match (Reply::new(&envelope, &outcome, &invocation.log), &outcome) {
        // What was done can't be told, but that it can't be told can.
        (Err(error), Outcome::Success { .. }) => {
            let outcome = failed(Failure::new(error.to_string()), &subject);
            Reply::new(&envelope, &outcome, &invocation.log)?
        }
        (reply, _) => reply?,
    };
    deliver(&envelope, &reply, transport, begun + schedule.reply).await
}

/// Runs the handler in a task of its own until `cut_off`.
async fn guarded<H: Handler>(
    handler: &Arc<H>,
    request: Request,
    operation: Operation,
    subject: &Subject,
    cut_off: Instant,
) -> Outcome {
    let left = cut_off.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return failed(
            Failure::new("the function had no time left when the request arrived: try again"),
            subject,
        );
    }
    let task = tokio::spawn(perform(Arc::clone(handler), request, operation));
    let abort = task.abort_handle();
    match timeout_at(cut_off, task).await {
        Ok(Ok(Ok(outcome))) => {
            if let Outcome::Success { physical_id, .. } = &outcome {
                tracing::info!(physical_id, "done");
                // Should the attributes not fit the reply, the failure still
                // names what was made.
                subject.claim(physical_id);
            }
            outcome
        }
        Ok(Ok(Err(failure))) => failed(failure, subject),
        Ok(Err(panicked)) => {
            // The panic's message may hold anything; the log has it.
            tracing::error!(panic = panicked.is_panic(), "the handler did not return");
            failed(
                Failure::new(
                    "the function failed by a fault of its own (a panic): its log says where",
                ),
                subject,
            )
        }
        Err(_) => {
            abort.abort();
            failed(
                Failure::new(format!(
                    "not finished after {} s, so that CloudFormation is answered in time: \
                     see the log for what it was waiting for, and try again",
                    left.as_secs_f32().round()
                )),
                subject,
            )
        }
    }
}

async fn perform<H: Handler>(
    handler: Arc<H>,
    request: Request,
    operation: Operation,
) -> Result<Outcome, Failure> {
    match operation {
        Operation::Create => handler.create(request).await.map(Outcome::from),
        Operation::Update {
            physical_id,
            old_properties,
        } => handler
            .update(request, physical_id, old_properties)
            .await
            .map(Outcome::from),
        Operation::Delete { physical_id } => {
            // What never came to be needs no deleting.
            if !is_failed_create(&physical_id) {
                handler.delete(request, physical_id.clone()).await?;
            }
            Ok(Outcome::from(Resource::new(physical_id)))
        }
    }
}

/// A failure's outcome, after it has been written to the log whole: its reply
/// may hold only a part.
fn failed(failure: Failure, subject: &Subject) -> Outcome {
    let physical_id = subject.failure_id().to_owned();
    tracing::error!(physical_id, "failed: {failure}");
    Outcome::Failed {
        physical_id,
        failure,
    }
}

/// Puts the reply until it is taken or `until` has come.
async fn deliver<T: Transport>(
    envelope: &Envelope,
    reply: &Reply,
    transport: &T,
    until: Instant,
) -> Result<(), NotAnswered> {
    let url = envelope.response_url();
    let mut attempts = 0;
    let mut last = "there was no time left".to_owned();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let limit = attempt_limit(left);
        let put = transport.put(url, reply.as_bytes().to_vec(), limit);
        attempts += 1;
        last = match timeout(limit, put).await {
            Ok(Ok(status @ 200..=299)) => {
                tracing::info!(attempts, status, "CloudFormation has been answered");
                return Ok(());
            }
            Ok(Ok(status)) => {
                let again = !(400..=499).contains(&status) || matches!(status, 408 | 429);
                let told = format!("status {status}");
                if !again {
                    last = told;
                    break;
                }
                told
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", limit.as_millis()),
        };
        tracing::warn!(
            attempts,
            host = url.host(),
            "the reply was not taken: {last}"
        );
        let pause = retry_delay(attempts - 1, jitter());
        sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
    }
    let error = NotAnswered::Undelivered {
        host: url.host().to_owned(),
        attempts,
        last,
    };
    tracing::error!(%error, "CloudFormation has not been answered");
    Err(error)
}

/// A number from 0 to 1 that differs from call to call and process to process.
fn jitter() -> f64 {
    f64::from(crate::process::random()) / f64::from(u32::MAX)
}

/// Puts replies with the HTTP stack that the SDK clients use.
#[derive(Debug, Default)]
pub struct HttpTransport {
    // Made at the first reply: a cold start need not wait for certificates.
    connector: OnceLock<SharedHttpConnector>,
}

impl Transport for HttpTransport {
    async fn put(
        &self,
        url: &ResponseUrl,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<u16, TransportError> {
        let connector = self
            .connector
            .get_or_init(|| http_connector(CONNECT_TIMEOUT, READ_TIMEOUT));
        let length = body.len();
        let mut request = HttpRequest::new(SdkBody::from(body));
        let built = request
            .set_method("PUT")
            .map_err(|_| "the method")
            .and_then(|_| request.set_uri(url.expose()).map_err(|_| "the address"));
        if let Err(part) = built {
            return Err(TransportError(format!(
                "{part} cannot be put into an HTTP request"
            )));
        }
        // The address is signed for an empty content type.
        request.headers_mut().insert("content-type", "");
        request
            .headers_mut()
            .insert("content-length", length.to_string());
        match timeout(limit, connector.call(request)).await {
            Ok(Ok(response)) => Ok(response.status().as_u16()),
            Ok(Err(error)) => Err(TransportError(without_secret(&error_chain(&error), url))),
            Err(_) => Err(TransportError(format!(
                "no answer within {} ms",
                limit.as_millis()
            ))),
        }
    }
}

/// `text`, unless it quotes what is secret of `url`. HTTP clients are not
/// expected to, but nothing says that they never will.
fn without_secret(text: &str, url: &ResponseUrl) -> String {
    let secret = url.expose().split_once('?').map_or("", |(_, query)| query);
    if secret.is_empty() || !text.contains(secret) {
        text.to_owned()
    } else {
        "the connection failed, in words that quote the address".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use aws_lambda_events::cloudformation::{
        CloudFormationCustomResourceRequest, CloudFormationCustomResourceResponse,
    };
    use serde_json::{Value, json};

    use super::*;

    /// What the handler of these tests does.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Succeeds,
        ClaimsAndFails,
        Panics,
        Hangs,
        ClaimsAndHangs,
        BlocksItsThread,
        SaysTooMuch,
        GivesAnEmptyId,
    }

    struct Doing(Does);

    impl Doing {
        async fn act(&self, request: &Request) -> Result<Resource, Failure> {
            match self.0 {
                Does::Succeeds => Ok(Resource::new("made/it").with("A", "1")),
                Does::ClaimsAndFails => {
                    request.claim("half/made");
                    Err(Failure::with_faults("bad", ["one", "two"]))
                }
                Does::Panics => panic!("boom"),
                Does::Hangs => std::future::pending().await,
                Does::ClaimsAndHangs => {
                    request.claim("half/made");
                    std::future::pending().await
                }
                Does::BlocksItsThread => {
                    std::thread::sleep(Duration::from_secs(4));
                    Ok(Resource::new("too/late"))
                }
                Does::SaysTooMuch => Ok(Resource::new("made/it").with("A", "x".repeat(5_000))),
                Does::GivesAnEmptyId => Ok(Resource::new("")),
            }
        }
    }

    impl Handler for Doing {
        async fn create(&self, request: Request) -> Result<Resource, Failure> {
            self.act(&request).await
        }
        async fn update(&self, request: Request, _: String, _: Value) -> Result<Resource, Failure> {
            self.act(&request).await
        }
        async fn delete(&self, request: Request, _: String) -> Result<(), Failure> {
            self.act(&request).await.map(drop)
        }
    }

    /// Answers as told, and 200 when it has been told nothing more.
    #[derive(Default)]
    struct Answers {
        statuses: Mutex<VecDeque<Option<u16>>>,
        replies: Mutex<Vec<(Instant, Vec<u8>)>>,
    }

    impl Answers {
        /// `None` never answers.
        fn first(statuses: impl IntoIterator<Item = Option<u16>>) -> Self {
            Self {
                statuses: Mutex::new(statuses.into_iter().collect()),
                replies: Mutex::default(),
            }
        }
        fn reply(&self) -> Value {
            let replies = self.replies.lock().unwrap();
            serde_json::from_slice(&replies.last().unwrap().1).unwrap()
        }
        fn attempts(&self) -> usize {
            self.replies.lock().unwrap().len()
        }
    }

    impl Transport for Answers {
        async fn put(
            &self,
            _: &ResponseUrl,
            body: Vec<u8>,
            _: Duration,
        ) -> Result<u16, TransportError> {
            assert!(body.len() <= 4_096);
            self.replies.lock().unwrap().push((Instant::now(), body));
            let status = self.statuses.lock().unwrap().pop_front();
            match status {
                None => Ok(200),
                Some(Some(0)) => Err(TransportError("connection refused".to_owned())),
                Some(Some(status)) => Ok(status),
                Some(None) => std::future::pending().await,
            }
        }
    }

    fn event(operation: &str, id: Option<&str>) -> String {
        let mut event = json!({
            "RequestType": operation,
            "ResponseURL": "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/k?X-Amz-Signature=secret",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
            "RequestId": "r-1",
            "LogicalResourceId": "Definition",
            "ResourceType": "Custom::Thing",
            "ResourceProperties": {"A": "1"},
        });
        if let Some(id) = id {
            event["PhysicalResourceId"] = json!(id);
        }
        event.to_string()
    }

    fn policy() -> UrlPolicy {
        UrlPolicy::of_region("eu-west-1")
    }

    fn invocation(seconds: u64) -> Invocation {
        let now = Duration::from_secs(1_780_000_000);
        Invocation {
            now,
            deadline: now + Duration::from_secs(seconds),
            log: LogLocation {
                group: "group".to_owned(),
                stream: "stream".to_owned(),
                invocation: "i".to_owned(),
            },
            policy: policy(),
            account: None,
        }
    }

    async fn answer(does: Does, event: &str) -> Value {
        let transport = Answers::default();
        respond(event, &invocation(60), &Arc::new(Doing(does)), &transport)
            .await
            .unwrap();
        assert_eq!(transport.attempts(), 1);
        transport.reply()
    }

    /// A request that can be met is answered once, with its attributes.
    #[tokio::test(start_paused = true)]
    async fn a_success_is_answered_once() {
        let reply = answer(Does::Succeeds, &event("Create", None)).await;
        assert_eq!(reply["Status"], "SUCCESS");
        assert_eq!(reply["PhysicalResourceId"], "made/it");
        assert_eq!(reply["Data"], json!({"A": "1"}));
    }

    /// If a failure was delivered, the invocation succeeds, so that Lambda does not deliver the
    /// event again.
    #[tokio::test(start_paused = true)]
    async fn a_delivered_failure_is_a_success_of_the_invocation() {
        let reply = answer(Does::ClaimsAndFails, &event("Update", Some("old/id"))).await;
        assert_eq!(reply["Status"], "FAILED");
        assert_eq!(reply["PhysicalResourceId"], "old/id");
        let reason = reply["Reason"].as_str().unwrap();
        assert!(
            reason.starts_with("bad: one; two (log stream stream"),
            "{reason}"
        );
    }

    /// A panic is answered as a failure.
    #[tokio::test(start_paused = true)]
    async fn a_panic_is_answered() {
        let reply = answer(Does::Panics, &event("Delete", Some("old/id"))).await;
        assert_eq!(reply["Status"], "FAILED");
        assert_eq!(reply["PhysicalResourceId"], "old/id");
        assert!(reply["Reason"].as_str().unwrap().contains("panic"));
    }

    /// Work that waits for ever is cut off and answered as a failure.
    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_answered_well_before_the_deadline() {
        let begun = Instant::now();
        let reply = answer(Does::Hangs, &event("Create", None)).await;
        assert_eq!(reply["Status"], "FAILED");
        assert!(
            begun.elapsed() <= Duration::from_secs(49),
            "{:?}",
            begun.elapsed()
        );
        let id = reply["PhysicalResourceId"].as_str().unwrap();
        assert!(is_failed_create(id), "{id}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_creation_cut_short_is_answered_with_the_id_it_claimed() {
        for does in [Does::ClaimsAndFails, Does::ClaimsAndHangs] {
            let reply = answer(does, &event("Create", None)).await;
            assert_eq!(reply["Status"], "FAILED");
            assert_eq!(reply["PhysicalResourceId"], "half/made");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_handler_that_blocks_its_thread_is_answered_in_time() {
        let transport = Answers::default();
        let begun = Instant::now();
        let handler = Arc::new(Doing(Does::BlocksItsThread));
        respond(&event("Create", None), &invocation(3), &handler, &transport)
            .await
            .unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(transport.reply()["Status"], "FAILED");
    }

    #[tokio::test(start_paused = true)]
    async fn the_account_is_the_functions_or_else_the_stacks() {
        struct Account;
        impl Handler for Account {
            async fn create(&self, request: Request) -> Result<Resource, Failure> {
                Ok(Resource::new(request.account))
            }
            async fn update(&self, _: Request, _: String, _: Value) -> Result<Resource, Failure> {
                Err(Failure::new("not asked for"))
            }
            async fn delete(&self, _: Request, _: String) -> Result<(), Failure> {
                Err(Failure::new("not asked for"))
            }
        }
        let no_arn = event("Create", None).replace("arn:aws:cloudformation", "urn:x");
        for (function, event, told) in [
            (Some("210987654321"), event("Create", None), "210987654321"),
            (None, event("Create", None), "123456789012"),
            (None, no_arn, "failed-create-"),
        ] {
            let transport = Answers::default();
            let invocation = Invocation {
                account: function.map(str::to_owned),
                ..invocation(60)
            };
            respond(&event, &invocation, &Arc::new(Account), &transport)
                .await
                .unwrap();
            let id = transport.reply()["PhysicalResourceId"].clone();
            assert!(id.as_str().unwrap().starts_with(told), "{id}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_told_is_a_failure_about_the_same_resource() {
        let reply = answer(Does::SaysTooMuch, &event("Create", None)).await;
        assert_eq!(reply["Status"], "FAILED");
        assert_eq!(reply["PhysicalResourceId"], "made/it");
        assert!(
            reply["Reason"].as_str().unwrap().contains("4096"),
            "{reply}"
        );

        let reply = answer(Does::SaysTooMuch, &event("Update", Some("old/id"))).await;
        assert_eq!(reply["PhysicalResourceId"], "old/id");

        let reply = answer(Does::GivesAnEmptyId, &event("Update", Some("old/id"))).await;
        assert_eq!(reply["Status"], "FAILED");
        assert_eq!(reply["PhysicalResourceId"], "old/id");
    }

    /// Deleting such a marker succeeds and touches nothing.
    #[tokio::test(start_paused = true)]
    async fn deleting_a_creation_that_failed_does_not_reach_the_handler() {
        let failed = answer(Does::Hangs, &event("Create", None)).await;
        let marker = failed["PhysicalResourceId"].as_str().unwrap();
        let reply = answer(Does::Panics, &event("Delete", Some(marker))).await;
        assert_eq!(reply["Status"], "SUCCESS");
        assert_eq!(reply["PhysicalResourceId"], marker);
    }

    /// A reply that meets a server error, a lost connection or silence is put again, the same
    /// bytes, with growing and jittered pauses.
    #[tokio::test(start_paused = true)]
    async fn a_reply_is_tried_again_until_it_is_taken() {
        let statuses = [Some(500), Some(503), Some(0), None, Some(429)];
        let transport = Answers::first(statuses);
        let handler = Arc::new(Doing(Does::Succeeds));
        respond(
            &event("Create", None),
            &invocation(60),
            &handler,
            &transport,
        )
        .await
        .unwrap();
        assert_eq!(transport.attempts(), 6);
        let replies = transport.replies.lock().unwrap();
        assert!(replies.iter().all(|(_, reply)| *reply == replies[0].1));
    }

    /// If no reply was taken in time, the invocation fails, so that Lambda delivers the event
    /// again.
    #[tokio::test(start_paused = true)]
    async fn a_reply_that_is_never_taken_is_an_error_a_second_before_the_deadline() {
        for never in [Some(500), Some(0), None] {
            for does in [Does::Succeeds, Does::Hangs] {
                let transport = Answers::first(vec![never; 1_000]);
                let begun = Instant::now();
                let handler = Arc::new(Doing(does));
                let error = respond(
                    &event("Create", None),
                    &invocation(60),
                    &handler,
                    &transport,
                )
                .await
                .unwrap_err();
                assert!(matches!(error, NotAnswered::Undelivered { .. }), "{error}");
                let elapsed = begun.elapsed();
                assert!(elapsed <= Duration::from_secs(59), "{elapsed:?}");
                assert!(transport.attempts() >= 5, "{}", transport.attempts());
                assert!(!error.to_string().contains("Signature"), "{error}");
            }
        }
    }

    /// A reply that is refused is not put again.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let transport = Answers::first([Some(403)]);
        let handler = Arc::new(Doing(Does::Succeeds));
        let error = respond(
            &event("Create", None),
            &invocation(60),
            &handler,
            &transport,
        )
        .await
        .unwrap_err();
        assert_eq!(transport.attempts(), 1);
        assert!(error.to_string().contains("status 403"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_without_an_address_for_the_answer_is_an_error() {
        let transport = Answers::default();
        let handler = Arc::new(Doing(Does::Succeeds));
        let error = respond("{}", &invocation(60), &handler, &transport)
            .await
            .unwrap_err();
        assert!(matches!(error, NotAnswered::Envelope(_)));
        assert_eq!(transport.attempts(), 0);
    }

    /// A request that arrives with less than two seconds left is answered as a failure, and
    /// nothing is begun.
    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_too_late_is_answered_without_the_handler() {
        let transport = Answers::default();
        let handler = Arc::new(Doing(Does::Panics));
        respond(&event("Create", None), &invocation(2), &handler, &transport)
            .await
            .unwrap();
        let reply = transport.reply();
        assert!(
            reply["Reason"].as_str().unwrap().contains("no time left"),
            "{reply}"
        );
    }

    #[test]
    fn jitter_lies_between_0_and_1_and_varies() {
        let samples: Vec<f64> = (0..100).map(|_| jitter()).collect();
        assert!(samples.iter().all(|sample| (0.0..1.0).contains(sample)));
        assert!(samples.iter().any(|sample| *sample < 0.5));
        assert!(samples.iter().any(|sample| *sample > 0.5));
    }

    #[test]
    fn an_error_that_quotes_the_secret_is_not_repeated() {
        let url = "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/k?X-Amz-Signature=1";
        let url = ResponseUrl::parse(url, &policy()).unwrap();
        assert_eq!(without_secret("dns error", &url), "dns error");
        assert!(!without_secret("bad /k?X-Amz-Signature=1", &url).contains("Signature"));
    }

    #[test]
    fn requests_are_of_the_published_type_and_no_reply_needs_more_than_it() {
        let fixtures = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/pipeline-definition"
        );
        for file in std::fs::read_dir(fixtures).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let request: CloudFormationCustomResourceRequest = serde_json::from_str(&text).unwrap();
            let envelope =
                Envelope::read(&text, &UrlPolicy::of_region("eu-west-1").or_loopback()).unwrap();
            let (_, operation) = envelope.request(&envelope.subject(), "1").unwrap();
            let same = match &request {
                CloudFormationCustomResourceRequest::Create(_) => operation == Operation::Create,
                CloudFormationCustomResourceRequest::Update(of) => {
                    matches!(operation, Operation::Update { physical_id, .. } if physical_id == of.physical_resource_id)
                }
                CloudFormationCustomResourceRequest::Delete(of) => {
                    matches!(operation, Operation::Delete { physical_id } if physical_id == of.physical_resource_id)
                }
                _ => false,
            };
            assert!(same, "{text}");

            let log = LogLocation::default();
            let done = Resource::new("made/it").with("A", "1").into();
            let done = Reply::new(&envelope, &done, &log).unwrap();
            let published: CloudFormationCustomResourceResponse =
                serde_json::from_slice(done.as_bytes()).unwrap();
            assert_eq!(published.physical_resource_id, "made/it");
            assert_eq!(published.data["A"], "1");
            // A failure is not written as that type: it would have to give attributes and whether
            // they are masked. A success would have a reason that is null, and its attributes stand
            // in another order in each process, so that what fits a reply could not be counted
            // before it is written.
            let failed = failed(Failure::new("bad"), &envelope.subject());
            let failed = Reply::new(&envelope, &failed, &log).unwrap();
            let mut failed: Value = serde_json::from_slice(failed.as_bytes()).unwrap();
            failed["NoEcho"] = json!(false);
            failed["Data"] = json!({});
            let published: CloudFormationCustomResourceResponse =
                serde_json::from_value(failed).unwrap();
            assert_eq!(published.reason.as_deref(), Some("bad"));
        }
    }
}
