//! The wire: AWS JSON 1.1 over HTTP; the runtime API has paths of its own beside it.

use crate::engine::Engine;
use crate::error::{ApiError, ErrorKind};
use crate::runtime;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// The service's name in `X-Amz-Target`.
const TARGET_PREFIX: &str = "SageMaker.";

/// More than the largest inline definition (1 MiB of characters, escaped) can be.
pub const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// The path that tells whether the stand-in is well, and how many events are lost.
pub const HEALTH_PATH: &str = "/_pipewright/health";

/// The stand-in's routes.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route(HEALTH_PATH, get(health))
        .merge(runtime::routes())
        .fallback(answer)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(engine)
}

async fn health(State(engine): State<Engine>) -> Response {
    let counts = engine.event_counts();
    let body = json!({"eventsSent": counts.sent(), "eventsLost": counts.lost()});
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn answer(
    State(engine): State<Engine>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path() != "/" {
        return runtime::elsewhere(uri.path());
    }
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let operation = operation_of(&headers);
    let result = match &operation {
        Ok(operation) => match members_of(&body) {
            Ok(members) => engine.call(operation, members).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error.clone()),
    };
    let operation = operation.unwrap_or_default();
    let (status, error_type, body) = match result {
        Ok(body) => {
            tracing::debug!(request, operation, "answered");
            (StatusCode::OK, None, body)
        }
        Err(error) => {
            tracing::info!(request, operation, "refused: {error}");
            let status = StatusCode::from_u16(error.kind.status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Some(error.kind.name()), error.body())
        }
    };
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    if let Ok(id) = HeaderValue::from_str(&format!("pipewright-{request}")) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Some(error_type) = error_type {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(error_type));
    }
    response
}

fn operation_of(headers: &HeaderMap) -> Result<String, ApiError> {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    target
        .strip_prefix(TARGET_PREFIX)
        .map(str::to_owned)
        .ok_or_else(|| {
            ApiError::new(
                ErrorKind::UnknownOperation,
                format!(
                    "The local stand-in for SageMaker takes POST requests with the header \
                     'X-Amz-Target: SageMaker.<Operation>'; here it is '{target}'"
                ),
            )
        })
}

fn members_of(body: &Bytes) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let refuse = |problem: String| ApiError::new(ErrorKind::Serialization, problem);
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(refuse("The request's body is not a JSON object".to_owned())),
        Err(error) => Err(refuse(format!("The request's body is not JSON: {error}"))),
    }
}
