//! What the messages of the failure queues say: the event or request that went
//! wrong, the function that it was for, and why.
//!
//! EventBridge puts an undelivered event into the body and the rest into
//! attributes; Lambda wraps a failed invocation into an invocation record.
//! A custom resource's request holds its ResponseURL, a secret: nothing here
//! shows a payload, and no text that is shown has more of a URL than its host.

use std::fmt;

use pipewright::record::Event;
use pipewright_aws::lambda;
use pipewright_aws::sqs::Message;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The most characters of a cause that are shown.
const MAX_SHOWN: usize = 300;

/// Which failure queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// What EventBridge could not hand to a function.
    UndeliveredEvents,
    /// What a function took and failed at each time.
    FailedInvocations,
}

impl Source {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::UndeliveredEvents, Self::FailedInvocations];

    /// The queue's name without the prefix.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UndeliveredEvents => "undelivered-events",
            Self::FailedInvocations => "failed-invocations",
        }
    }
}

/// The document that a function is to be invoked with again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload(String);

impl Payload {
    /// The document, byte by byte as it was.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// It may hold a secret.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// An event, which may be delivered as often as one likes.
    Event,
    /// CloudFormation's request to a custom resource.
    CustomResource,
    /// Another request, such as one to start an execution.
    Request,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The function's name.
    pub(crate) function: String,
    /// What it was invoked with.
    pub(crate) payload: Payload,
    /// What kind of thing that is.
    pub(crate) kind: MessageKind,
    /// The same in words: what it is about, and of which execution.
    pub(crate) subject: String,
    /// Why it went wrong.
    pub(crate) cause: String,
    /// When, as AWS wrote it.
    pub(crate) at: Option<String>,
}

/// A message that none of the two services has written so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not what AWS puts into this queue: {problem}")]
pub(crate) struct NotAnEnvelope {
    problem: String,
}

impl NotAnEnvelope {
    fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
        }
    }
}

/// Lambda's record of an asynchronous invocation, as far as it is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord<'a> {
    timestamp: Option<String>,
    request_context: Option<RequestContext>,
    #[serde(borrow)]
    request_payload: Option<&'a RawValue>,
    #[serde(default)]
    response_payload: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    function_arn: Option<String>,
    condition: Option<String>,
    approximate_invoke_count: Option<u32>,
}

/// Reads a message of one of the queues.
///
/// # Errors
/// [`NotAnEnvelope`] if it does not say which function failed at what.
pub(crate) fn unwrap(source: Source, message: &Message) -> Result<Failure, NotAnEnvelope> {
    match source {
        Source::UndeliveredEvents => undelivered(message),
        Source::FailedInvocations => failed(message),
    }
}

fn undelivered(message: &Message) -> Result<Failure, NotAnEnvelope> {
    let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
    let arn = attribute("TARGET_ARN")
        .ok_or_else(|| NotAnEnvelope::new("it has no attribute TARGET_ARN"))?;
    let function = function_name(arn)
        .ok_or_else(|| NotAnEnvelope::new("its TARGET_ARN is not that of a function"))?;
    let code = attribute("ERROR_CODE").unwrap_or("no ERROR_CODE");
    let mut cause = match attribute("ERROR_MESSAGE") {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    if let Some(condition) = attribute("EXHAUSTED_RETRY_CONDITION") {
        let attempts = attribute("RETRY_ATTEMPTS").unwrap_or("?");
        cause += &format!(" ({condition}, retries: {attempts})");
    }
    failure(function, &message.body, &cause, None)
}

fn failed(message: &Message) -> Result<Failure, NotAnEnvelope> {
    // The parser's own words could quote the body.
    let record: InvocationRecord<'_> = serde_json::from_str(&message.body)
        .map_err(|_| NotAnEnvelope::new("its body is not Lambda's invocation record"))?;
    let context = record
        .request_context
        .ok_or_else(|| NotAnEnvelope::new("it has no requestContext"))?;
    let function = context
        .function_arn
        .as_deref()
        .and_then(function_name)
        .ok_or_else(|| NotAnEnvelope::new("its functionArn is not that of a function"))?;
    let payload = record.request_payload.ok_or_else(|| {
        NotAnEnvelope::new("it has no requestPayload (Lambda leaves out what is too large)")
    })?;
    let condition = context.condition.as_deref().unwrap_or("no condition");
    let mut cause = lambda::cause(&record.response_payload).map_or_else(
        || condition.to_owned(),
        |cause| format!("{cause} ({condition})"),
    );
    if let Some(count) = context.approximate_invoke_count {
        cause += &format!(", {count} attempts");
    }
    failure(function, payload.get(), &cause, record.timestamp)
}

fn failure(
    function: &str,
    payload: &str,
    cause: &str,
    at: Option<String>,
) -> Result<Failure, NotAnEnvelope> {
    let document: Value = serde_json::from_str(payload)
        .map_err(|_| NotAnEnvelope::new("what it holds is not JSON"))?;
    if !document.is_object() {
        return Err(NotAnEnvelope::new("what it holds is not a JSON object"));
    }
    let (kind, subject) = subject(&document);
    let secret = document["ResponseURL"].as_str().map(query_of);
    let cause = match secret {
        Some(secret) if !secret.is_empty() && cause.contains(secret) => {
            "not shown: it holds the ResponseURL".to_owned()
        }
        _ => shown(cause),
    };
    Ok(Failure {
        function: function.to_owned(),
        payload: Payload(payload.to_owned()),
        kind,
        subject: shown(&subject),
        cause,
        at: at.map(|at| shown(&at)),
    })
}

/// What follows a URL's `?`.
fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The name in a function's ARN, which may end in a version or an alias.
fn function_name(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", _, "lambda", _, _, "function", name]
        | ["arn", _, "lambda", _, _, "function", name, _] => (!name.is_empty()).then_some(name),
        _ => None,
    }
}

/// What kind of thing a document is, and what it is about.
fn subject(document: &Value) -> (MessageKind, String) {
    let text = |name: &str| document[name].as_str().unwrap_or("?");
    let is = |name: &str| document[name].is_string();
    if is("ResponseURL") || (is("RequestType") && is("LogicalResourceId")) {
        let stack = text("StackId").rsplit('/').nth(1).unwrap_or("?");
        let words = format!(
            "custom resource {} of stack {stack}: {}",
            text("LogicalResourceId"),
            text("RequestType")
        );
        return (MessageKind::CustomResource, words);
    }
    if is("detail-type") {
        let words = Event::parse(document).map_or_else(
            |_| format!("event {:?}", text("detail-type")),
            |event| about(&event),
        );
        return (
            MessageKind::Event,
            format!("{words}, event of {}", text("time")),
        );
    }
    if is("templateId") {
        let words = format!(
            "start of execution {} of template {}",
            document["executionId"].as_str().unwrap_or("without an id"),
            text("templateId")
        );
        return (MessageKind::Request, words);
    }
    (MessageKind::Request, "a request of unknown kind".to_owned())
}

/// `step Train Failed, execution k3v9q0zt2m1a`.
fn about(event: &Event) -> String {
    let mut words = event.kind().name().to_owned();
    if let Some(name) = event.subject.name() {
        words += &format!(" {name}");
    }
    words += &format!(" {}", event.status.name);
    if let Some(arn) = event.execution() {
        words += &format!(", execution {}", arn.execution_id());
    }
    words
}

/// A text as it may be shown: no control characters, no more of a URL than its
/// host, and not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + "://".len());
        plain += before;
        rest = after;
        let scheme = before.to_ascii_lowercase();
        if !scheme.ends_with("https://") && !scheme.ends_with("http://") {
            continue;
        }
        let (url, behind) = after.split_at(after.find(ends_a_url).unwrap_or(after.len()));
        let host = url.split(['/', '?', '#']).next().unwrap_or_default();
        // A password may stand before the host.
        let host = host.rsplit('@').next().unwrap_or_default();
        plain += host;
        if host.len() < url.len() {
            plain += "/...";
        }
        rest = behind;
    }
    plain += rest;
    let mut short: String = plain
        .chars()
        .take(MAX_SHOWN)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if plain.chars().nth(MAX_SHOWN).is_some() {
        short += "...";
    }
    short
}

fn ends_a_url(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'' | '<' | '>' | '`' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn fixture(name: &str) -> Message {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures/failure-queues")
            .join(format!("{name}.json"));
        let recorded: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let attributes = recorded["MessageAttributes"].as_object();
        Message {
            id: recorded["MessageId"].as_str().unwrap().to_owned(),
            receipt: "receipt".to_owned(),
            body: recorded["Body"].as_str().unwrap().to_owned(),
            attributes: attributes
                .into_iter()
                .flatten()
                .map(|(name, value)| {
                    (
                        name.clone(),
                        value["StringValue"].as_str().unwrap().to_owned(),
                    )
                })
                .collect(),
            sent_at: None,
        }
    }

    #[test]
    fn an_undelivered_event_says_its_target_its_cause_and_its_subject() {
        let failure = unwrap(Source::UndeliveredEvents, &fixture("undelivered-step")).unwrap();
        assert_eq!(failure.function, "pipewright-pipeline-events");
        assert_eq!(failure.kind, MessageKind::Event);
        assert_eq!(
            failure.subject,
            "step Feature-Engineering-Step Executing, execution k3v9q0zt2m1a, event of 2026-01-01T07:00:04Z"
        );
        assert_eq!(
            failure.cause,
            "NO_PERMISSIONS: Lambda refused the call for lack of a permission. (MaximumRetryAttempts, retries: 0)"
        );
        assert_eq!(failure.payload.as_str(), fixture("undelivered-step").body);
    }

    #[test]
    fn a_failed_invocation_is_unwrapped_byte_by_byte() {
        let message = fixture("failed-execution");
        let failure = unwrap(Source::FailedInvocations, &message).unwrap();
        assert_eq!(failure.function, "pipewright-pipeline-events");
        assert_eq!(
            failure.subject,
            "execution run-1 Failed, execution k3v9q0zt2m1a, event of 2026-01-01T07:10:00Z"
        );
        assert!(
            failure.cause.starts_with("WriteFailed: could not write"),
            "{}",
            failure.cause
        );
        assert!(
            failure.cause.ends_with("(RetriesExhausted), 3 attempts"),
            "{}",
            failure.cause
        );
        assert_eq!(failure.at.as_deref(), Some("2026-01-01T07:13:05.568Z"));
        // Blanks, the order of members and the text of numbers stay as they were.
        let payload = failure.payload.as_str();
        assert!(message.body.contains(payload));
        assert!(payload.contains("1.50"), "{payload}");
    }

    #[test]
    fn one_that_was_never_tried_says_why() {
        let failure = unwrap(Source::FailedInvocations, &fixture("failed-too-old")).unwrap();
        assert_eq!(failure.cause, "EventAgeExceeded, 0 attempts");
    }

    #[test]
    fn a_custom_resource_shows_nothing_of_its_response_url() {
        let message = fixture("failed-custom-resource");
        let failure = unwrap(Source::FailedInvocations, &message).unwrap();
        assert_eq!(failure.kind, MessageKind::CustomResource);
        assert_eq!(
            failure.subject,
            "custom resource PipelineDefinition of stack pipewright-PipelineStack: Update"
        );
        assert!(failure.payload.as_str().contains("Signature=secret"));
        for text in [
            format!("{failure:?}"),
            format!("{message:?}"),
            failure.cause,
        ] {
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_cause_that_quotes_the_address_without_its_scheme_is_not_shown() {
        let mut message = fixture("failed-custom-resource");
        message.body = message
            .body
            .replace("timed out", "X-Amz-Signature=secret&X-Amz-Date=1");
        let failure = unwrap(Source::FailedInvocations, &message).unwrap();
        assert!(!failure.cause.contains("secret"), "{}", failure.cause);
    }

    #[test]
    fn a_request_to_start_is_none_of_an_event() {
        let failure = unwrap(Source::FailedInvocations, &fixture("failed-start")).unwrap();
        assert_eq!(failure.kind, MessageKind::Request);
        assert_eq!(
            failure.subject,
            "start of execution run-1 of template sample"
        );
    }

    #[test]
    fn what_is_no_envelope_is_told_without_its_content() {
        let message = |body: &str, target: Option<&str>| Message {
            id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: body.to_owned(),
            attributes: BTreeMap::from_iter(
                target.map(|target| ("TARGET_ARN".to_owned(), target.to_owned())),
            ),
            sent_at: None,
        };
        let function = "arn:aws:lambda:r:1:function:f";
        for (source, message, words) in [
            (Source::UndeliveredEvents, message("{}", None), "TARGET_ARN"),
            (
                Source::UndeliveredEvents,
                message("{}", Some("arn:aws:sqs:r:1:q")),
                "TARGET_ARN",
            ),
            (
                Source::UndeliveredEvents,
                message("secret", Some(function)),
                "not JSON",
            ),
            (
                Source::UndeliveredEvents,
                message("[\"secret\"]", Some(function)),
                "JSON object",
            ),
            (
                Source::FailedInvocations,
                message("secret", None),
                "invocation record",
            ),
            (
                Source::FailedInvocations,
                message("{\"requestPayload\": {\"a\": \"secret\"}}", None),
                "requestContext",
            ),
            (
                Source::FailedInvocations,
                message(
                    "{\"requestContext\": {\"functionArn\": \"secret\"}, \"requestPayload\": {}}",
                    None,
                ),
                "functionArn",
            ),
            (
                Source::FailedInvocations,
                message(
                    &format!("{{\"requestContext\": {{\"functionArn\": \"{function}\"}}}}"),
                    None,
                ),
                "requestPayload",
            ),
        ] {
            let problem = unwrap(source, &message).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn of_a_url_the_host_is_shown_and_nothing_else() {
        assert_eq!(
            shown(
                "PUT https://user:word@host.example:443/path?X=1#y failed;\u{1b}[31m see s3://bucket/key"
            ),
            "PUT https://host.example:443/... failed; [31m see s3://bucket/key"
        );
        assert_eq!(shown("HTTPS://h?x=1"), "HTTPS://h/...");
        assert_eq!(shown(&"x".repeat(301)), format!("{}...", "x".repeat(300)));
    }

    proptest! {
        #[test]
        fn whatever_surrounds_a_url_its_path_stays_hidden(
            before in "[ -~]{0,20}", scheme in "[hH][tT][tT][pP][sS]?", after in "([ \"'][ -~]{0,20})?"
        ) {
            let text = shown(&format!("{before}{scheme}://host.example/SECRET?SECRET{after}"));
            prop_assert!(!text.contains("SECRET"), "{}", text);
        }
    }
}
