//! Stands before every server of the stand-in, which runs programs for every permitted caller.
//!
//! A page in a browser can send requests to any port of this machine, also under a name of its
//! own that it has pointed here; another user can connect to any port. So a request is refused
//! that a browser sent for a page of another origin, that was sent to another name than this
//! machine's, or that is not signed with the key. `ops/local/aws/guard.py` is the same for the local AWS.

use crate::clock::Clock;
use crate::signature::{AccessKey, Claim, SignatureError};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

/// Who may call a server.
#[derive(Clone)]
pub struct Guard {
    /// The server's own port.
    pub port: u16,
    /// What callers sign with.
    pub key: AccessKey,
    /// The service that they sign for.
    pub service: &'static str,
    /// Reads the time, which a signature must be near.
    pub clock: Clock,
    /// The largest body that is read, in bytes.
    pub largest_body: usize,
    /// Paths that may be got without a signature.
    pub open: &'static [&'static str],
}

/// The routes for guarded requests alone; any other is answered with 403 and why.
pub fn guarded(router: Router, guard: Guard) -> Router {
    router.layer(from_fn_with_state(Arc::new(guard), check))
}

async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if let Some(why) = refusal(request.headers(), guard.port) {
        tracing::warn!("a request is refused: {why}");
        let text = format!("The request is refused: {why}.\n");
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    if request.method() == Method::GET && guard.open.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let claim = match Claim::read(&parts.headers, &guard.key, guard.service, (guard.clock)()) {
        Ok(claim) => claim,
        Err(error) => return refuse(&error),
    };
    let Ok(body) = to_bytes(body, guard.largest_body).await else {
        let text = format!("The body is larger than {} bytes.\n", guard.largest_body);
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    };
    match claim.verify(&parts, &body, &guard.key) {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(error) => refuse(&error),
    }
}

/// Why no program of this machine sent a request; `None` where one may have.
pub fn refusal(headers: &HeaderMap, port: u16) -> Option<String> {
    let text = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    if let Some(origin) = text("origin").first() {
        return Some(format!(
            "it was sent for a page of {origin}, and no page may call this server"
        ));
    }
    let sites = text("sec-fetch-site");
    if sites
        .iter()
        .any(|site| !["none", "same-origin"].contains(&site.as_str()))
    {
        return Some(
            "it was sent for a page of another site, and no page may call this server".to_owned(),
        );
    }
    let hosts = text("host");
    if let [host] = &hosts[..]
        && is_ours(host, port)
    {
        return None;
    }
    let named = match &hosts[..] {
        [host] => host,
        _ => "none, or several",
    };
    Some(format!(
        "its Host is {named}, and this server is 127.0.0.1:{port} or localhost:{port}"
    ))
}

/// Whether a Host is this machine with the server's port.
fn is_ours(host: &str, port: u16) -> bool {
    host.rsplit_once(':').is_some_and(|(name, number)| {
        number == port.to_string()
            && ["127.0.0.1", "[::1]", "localhost"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
    })
}

fn refuse(error: &SignatureError) -> Response {
    tracing::warn!("a request is refused: {error}");
    let body = json!({"__type": error.code(), "message": error.to_string()});
    let headers = [
        (header::CONTENT_TYPE, "application/x-amz-json-1.1"),
        (
            header::HeaderName::from_static("x-amzn-errortype"),
            error.code(),
        ),
    ];
    (StatusCode::FORBIDDEN, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        refusal(&map, 4567)
    }

    #[test]
    fn what_a_page_sends_is_refused_and_what_a_program_sends_is_not() {
        let host = ("host", "127.0.0.1:4567");
        assert_eq!(judged(&[host]), None);
        assert_eq!(judged(&[("host", "LocalHost:4567")]), None);
        assert_eq!(judged(&[("host", "[::1]:4567")]), None);
        assert_eq!(judged(&[host, ("sec-fetch-site", "none")]), None);
        assert_eq!(judged(&[host, ("sec-fetch-site", "same-origin")]), None);
        for origin in ["https://evil.example", "null", "http://127.0.0.1:4567"] {
            assert!(
                judged(&[host, ("origin", origin)])
                    .unwrap()
                    .contains(origin)
            );
        }
        for site in ["cross-site", "same-site", "new"] {
            assert!(
                judged(&[host, ("sec-fetch-site", site)]).is_some(),
                "{site}"
            );
        }
        let both = [
            host,
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert!(judged(&both).is_some());
    }

    #[test]
    fn a_name_that_was_pointed_here_is_refused() {
        for wrong in [
            "evil.example:4567",
            "127.0.0.1.evil.example:4567",
            "localhost.evil.example:4567",
            "evil.localhost.:4567",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:04567",
            "0.0.0.0:4567",
            "",
        ] {
            assert!(judged(&[("host", wrong)]).is_some(), "{wrong}");
        }
        assert!(judged(&[]).is_some());
        let host = ("host", "127.0.0.1:4567");
        assert!(judged(&[host, host]).is_some());
    }
}
