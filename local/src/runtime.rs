//! The wire of the runtime API, which invokes endpoints: REST with JSON for errors.

use crate::client::Answer;
use crate::engine::{Engine, Invocation, NoAnswer};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes of an invocation's body.
const LARGEST_BODY: usize = 6 * 1024 * 1024;

const CUSTOM_ATTRIBUTES: &str = "x-amzn-sagemaker-custom-attributes";
const TARGET_VARIANT: &str = "x-amzn-sagemaker-target-variant";

/// Headers of a request that reach the model's program.
const HANDED_ON: [&str; 4] = [
    "content-type",
    "accept",
    CUSTOM_ATTRIBUTES,
    "x-amzn-sagemaker-inference-id",
];

/// Headers that ask for what no program here does.
const NOT_SUPPORTED: [&str; 5] = [
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-target-container-hostname",
    "x-amzn-sagemaker-inference-component",
    "x-amzn-sagemaker-session-id",
    "x-amzn-sagemaker-enable-explanations",
];

/// The routes of the runtime API.
pub(crate) fn routes() -> Router<Engine> {
    Router::new().route(
        "/endpoints/{name}/invocations",
        post(invoke).fallback(async |uri: Uri| elsewhere(uri.path())),
    )
}

/// A refused call.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    body: Value,
}

impl Refusal {
    fn validation(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "ValidationError",
            body: json!({"Message": message.into()}),
        }
    }

    /// The model's program answered with an error, or not at all.
    fn model(engine: &Engine, invocation: &Invocation, status: u16, text: &str) -> Self {
        let whose = if (400..500).contains(&status) {
            "client"
        } else {
            "server"
        };
        let log = invocation.served.log.display().to_string();
        Self {
            status: StatusCode::FAILED_DEPENDENCY,
            kind: "ModelError",
            body: json!({
                "Message": format!(
                    "Received {whose} error ({status}) from primary with message \"{text}\". \
                     See {log} in account {} for more information.",
                    engine.account()
                ),
                "OriginalStatusCode": status,
                "OriginalMessage": text,
                "LogStreamArn": log,
            }),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = [
            ("content-type", "application/json"),
            ("x-amzn-errortype", self.kind),
        ];
        (self.status, headers, self.body.to_string()).into_response()
    }
}

/// The answer for a path that nothing is at.
pub(crate) fn elsewhere(path: &str) -> Response {
    Refusal::validation(format!(
        "There is nothing at {path}: the local stand-in for SageMaker answers POST / with the API \
         of SageMaker, and POST /endpoints/NAME/invocations with that of the SageMaker runtime, \
         without asynchronous invocations and response streams."
    ))
    .into_response()
}

async fn invoke(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let mut response = match answer(&engine, &name, &headers, body).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::info!(request, endpoint = name, "refused: {}", refusal.body);
            refusal.into_response()
        }
    };
    if let Ok(id) = HeaderValue::from_str(&format!("pipewright-invocation-{request}")) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

async fn answer(
    engine: &Engine,
    name: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let too_large = || {
        Refusal::validation(format!(
            "The request's body is larger than {LARGEST_BODY} bytes, the most that InvokeEndpoint \
             takes."
        ))
    };
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Refusal::validation(format!("The request's body cannot be read: {rejection}")),
    })?;
    // What is a little larger was read to its end, so that the client reads the refusal.
    if body.len() > LARGEST_BODY {
        return Err(too_large());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(header) = NOT_SUPPORTED.iter().find(|header| text(header).is_some()) {
        return Err(Refusal::validation(format!(
            "The local stand-in for SageMaker does not support the header {header}."
        )));
    }
    let handed_on: Vec<(String, String)> = HANDED_ON
        .iter()
        .filter_map(|header| Some(((*header).to_owned(), text(header)?.to_owned())))
        .collect();
    let invocation = engine
        .invoke(name, text(TARGET_VARIANT), &handed_on, body.to_vec())
        .await
        .map_err(Refusal::validation)?;
    match &invocation.answer {
        Ok(answer) if answer.is_success() => Ok(handed_back(&invocation, answer)),
        Ok(answer) => Err(Refusal::model(
            engine,
            &invocation,
            answer.status,
            &answer.text(),
        )),
        Err(NoAnswer::TimedOut) => {
            let text = "Your invocation timed out while waiting for a response from container \
                        primary. It has 60 seconds.";
            Err(Refusal::model(engine, &invocation, 0, text))
        }
        Err(NoAnswer::Lost(why)) => {
            let text = format!("the container hung up: {why}");
            Err(Refusal::model(engine, &invocation, 503, &text))
        }
    }
}

/// The model's answer as the service gives it.
fn handed_back(invocation: &Invocation, answer: &Answer) -> Response {
    let mut response = (StatusCode::OK, answer.body.clone()).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    for name in ["content-type", CUSTOM_ATTRIBUTES] {
        if let Some(value) = answer.header(name) {
            insert(name, value);
        }
    }
    insert(
        "x-amzn-invoked-production-variant",
        &invocation.served.variant,
    );
    response
}
