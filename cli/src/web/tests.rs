//! The pages, made from what is in memory.

use std::pin::pin;
use std::rc::Rc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use pipewright::record::rows::LastRun;
use pipewright::record::{History, phase};
use pipewright_aws::dynamodb::memory::Memory;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::LocalSet;

use super::routes::{Site, Token, answer};
use super::source::{Followed, Served, Source};
use crate::endpoint::list::Row;
use crate::execution::known::Known;
use crate::execution::listing::{Listed, Listing};
use crate::execution::losses::Curves;
use crate::execution::report::More;
use crate::html::{HOSTILE, assert_harmless};
use crate::redrive::Queued;

// 2024-05-06T07:00:00Z
const NOW: i64 = 1_714_978_800_000;
const HOUR: i64 = 3_600_000;

/// An installation in memory, all of whose texts may be hostile.
struct World {
    memory: Memory,
    listing: Mutex<Listing>,
    endpoints: Vec<Served>,
    failures: Vec<(&'static str, Vec<Queued>)>,
}

impl World {
    fn new() -> Self {
        Self {
            memory: Memory::default(),
            listing: Mutex::new(Listing::new(7)),
            endpoints: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn record(&self, id: &str, status: &str) {
        let record = json!({
            "Id": id, "entry": "record", "pipelineStatus": status, "startedAt": NOW - HOUR, "createdAt": NOW - HOUR,
            "phase": phase::OPEN, "pipelineName": HOSTILE, "templateId": HOSTILE, "failureReason": HOSTILE,
        });
        self.memory.put(record.as_object().unwrap().clone());
    }
}

impl Source for World {
    async fn listed(&self, page: usize) -> anyhow::Result<Listed> {
        let mut listing = self.listing.lock().await;
        Ok(listing.page(&&self.memory, page, NOW).await?)
    }

    async fn known(&self, text: &str) -> anyhow::Result<Known> {
        anyhow::ensure!(
            self.memory.record_of(text).is_some(),
            "there is no execution {text}"
        );
        Ok(Known::alone(self.memory.history(text)))
    }

    async fn more(&self, _: &Known) -> More {
        More::default()
    }

    fn curves(&self, _: &History) -> Curves {
        Curves::new()
    }

    async fn follow(&self, id: &str, _: &mut Followed) -> anyhow::Result<Option<History>> {
        Ok(Some(self.memory.history(id)))
    }

    async fn endpoints(&self) -> anyhow::Result<Vec<Served>> {
        Ok(self.endpoints.clone())
    }

    async fn failures(&self) -> anyhow::Result<Vec<(&'static str, Vec<Queued>)>> {
        Ok(self.failures.clone())
    }

    async fn last_run(&self) -> anyhow::Result<Option<LastRun>> {
        let items = self.memory.items();
        Ok(items.values().find_map(LastRun::read))
    }

    fn now(&self) -> i64 {
        NOW
    }
}

const HOST: &str = "127.0.0.1:8000";

fn site(world: World) -> Rc<Site<World>> {
    Rc::new(Site {
        source: world,
        token: Token::new([7; 16]),
        port: 8000,
        prefix: "pipewright".to_owned(),
    })
}

fn place(site: &Site<World>, place: &str) -> String {
    format!("/{}/{place}", site.token.as_str())
}

async fn ask(site: &Rc<Site<World>>, method: &str, path: &str, host: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .body(Body::empty())
        .unwrap();
    answer(Rc::clone(site), request).await
}

async fn page(site: &Rc<Site<World>>, name: &str) -> (StatusCode, String) {
    let response = ask(site, "GET", &place(site, name), HOST).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A page of `pipewright web` is handed out only under this machine's own name and to who knows the random part of its
/// address; no request but GET and HEAD is answered.
#[tokio::test]
async fn a_page_is_for_who_knows_its_address_on_this_machine() {
    let site = site(World::new());
    let whole = place(&site, "");
    for (method, path, host, status) in [
        ("GET", whole.as_str(), HOST, StatusCode::OK),
        ("HEAD", &whole, "localhost:8000", StatusCode::OK),
        ("GET", &whole, "127.0.0.1", StatusCode::FORBIDDEN),
        ("GET", &whole, "evil.example:8000", StatusCode::FORBIDDEN),
        ("GET", "/", HOST, StatusCode::NOT_FOUND),
        ("GET", "/0707/", HOST, StatusCode::NOT_FOUND),
        ("GET", "/executions", HOST, StatusCode::NOT_FOUND),
        ("POST", &whole, HOST, StatusCode::METHOD_NOT_ALLOWED),
        ("DELETE", &whole, HOST, StatusCode::METHOD_NOT_ALLOWED),
        ("OPTIONS", &whole, HOST, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let response = ask(&site, method, path, host).await;
        assert_eq!(response.status(), status, "{method} {path} of {host}");
        let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
        assert!(policy.to_str().unwrap().starts_with("default-src 'none';"));
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }
    let bare = whole.trim_end_matches('/');
    let response = ask(&site, "GET", bare, HOST).await;
    assert_eq!(response.headers()[header::LOCATION], whole);
}

#[tokio::test]
async fn a_request_that_lacks_what_its_page_needs_is_bad() {
    let site = site(World::new());
    for place in [
        "execution",
        "execution?id=",
        "?page=abc",
        "compare?id=run-1",
    ] {
        assert_eq!(
            page(&site, place).await.0,
            StatusCode::BAD_REQUEST,
            "{place}"
        );
    }
}

#[tokio::test]
async fn a_request_that_a_page_elsewhere_sends_is_refused() {
    let site = site(World::new());
    for (sent_from, status) in [
        ("cross-site", StatusCode::FORBIDDEN),
        ("same-site", StatusCode::FORBIDDEN),
        ("same-origin", StatusCode::OK),
        ("none", StatusCode::OK),
    ] {
        let request = Request::builder()
            .uri(place(&site, ""))
            .header(header::HOST, HOST)
            .header("sec-fetch-site", sent_from)
            .body(Body::empty())
            .unwrap();
        let response = answer(Rc::clone(&site), request).await;
        assert_eq!(response.status(), status, "{sent_from}");
    }
}

/// No text that is stored, such as an id, a reason or a cause, becomes markup or script of a page of `pipewright web`.
#[tokio::test]
async fn nothing_that_is_stored_becomes_markup_of_any_page() {
    let mut world = World::new();
    world.record("run-1", HOSTILE);
    world.record("run-2", "Failed");
    let run = LastRun::new(
        NOW,
        json!({
            "executions": {HOSTILE: HOSTILE, "found": [HOSTILE]}, "endpoints": {"kept": {HOSTILE: 1}},
            "failures": [HOSTILE],
        }),
    );
    world.memory.put(run.item());
    world.endpoints.push(Served {
        row: Row {
            name: HOSTILE.to_owned(),
            status: Some(HOSTILE.to_owned()),
            execution: HOSTILE.to_owned(),
            created_at: Some(NOW),
            failure_reason: Some(HOSTILE.to_owned()),
            deleted_at: None,
        },
        invoked: Some(Err(HOSTILE.to_owned())),
    });
    let queued = Queued {
        id: HOSTILE.to_owned(),
        at: HOSTILE.to_owned(),
        subject: HOSTILE.to_owned(),
        cause: HOSTILE.to_owned(),
    };
    world.failures.push(("undelivered-events", vec![queued]));
    let site = site(world);
    for (name, status) in [
        ("", StatusCode::OK),
        ("execution?id=run-1", StatusCode::OK),
        ("compare?id=run-1&id=run-2", StatusCode::OK),
        ("endpoints", StatusCode::OK),
        ("failures", StatusCode::OK),
        ("housekeeping", StatusCode::OK),
        (
            "execution?id=%3Cscript%3Ealert(1)%3C/script%3E",
            StatusCode::BAD_GATEWAY,
        ),
        ("%3Cscript%3E", StatusCode::NOT_FOUND),
    ] {
        let (answered, page) = page(&site, name).await;
        assert_eq!(answered, status, "{name}: {page}");
        assert_harmless(&page, 2);
    }
}

#[tokio::test]
async fn the_pages_say_what_there_is() {
    let mut world = World::new();
    world.record("run-1", "Executing");
    let run = LastRun::new(
        NOW,
        json!({"executions": {"oldestOpenSeconds": 5, "found": []}}),
    );
    world.memory.put(run.item());
    let served = |name: &str, invoked| Served {
        row: Row {
            name: name.to_owned(),
            status: Some("InService".to_owned()),
            execution: "run-1".to_owned(),
            created_at: Some(NOW - 48 * HOUR),
            failure_reason: None,
            deleted_at: None,
        },
        invoked,
    };
    world.endpoints = vec![
        served("used", Some(Ok(Some(NOW)))),
        served("idle", Some(Ok(Some(NOW - 5 * HOUR)))),
        served("never", Some(Ok(None))),
    ];
    world.failures = vec![("failed-invocations", Vec::new())];
    let site = site(world);
    for (name, told) in [
        ("", "1 execution, page 1 of 1"),
        ("", "<a href=\"execution?id=run-1\">run-1</a>"),
        (
            "execution?id=run-1",
            "data-events=\"events?execution=run-1&amp;seen=",
        ),
        ("endpoints", "<td>invoked within the last hour</td>"),
        ("endpoints", "<td>idle for 4 h 00 min</td>"),
        (
            "endpoints",
            "<td>not invoked since it was made 48 h 00 min ago</td>",
        ),
        ("failures", "Nothing is in this queue."),
        ("housekeeping", "<dt>oldest open seconds</dt><dd>5</dd>"),
        ("housekeeping", "<dt>found</dt><dd>none</dd>"),
        (
            "compare?id=run-1",
            "1 execution is ticked: from 2 to 20 can be compared.",
        ),
    ] {
        let (_, page) = page(&site, name).await;
        assert!(page.contains(told), "{told} is not in {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_browser_is_told_when_something_has_changed() {
    LocalSet::new().run_until(told_of_changes()).await;
}

async fn told_of_changes() {
    let world = World::new();
    world.record("run-1", "Executing");
    let site = site(world);
    let (_, listed) = page(&site, "").await;
    let (_, events) = listed.split_once("data-events=\"").unwrap();
    let events = events.split('"').next().unwrap().replace("&amp;", "&");
    let response = ask(&site, "GET", &place(&site, &events), HOST).await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut body = pin!(response.into_body());
    // What is under way is told of every ten seconds, for its duration.
    let begin = tokio::time::Instant::now();
    let first = next(body.as_mut()).await;
    assert!(first.starts_with("event: changed\n"), "{first}");
    assert!(begin.elapsed().as_secs() >= 8);
    // What has changed is told of at once.
    site.source.listing.lock().await.forget();
    site.source.record("run-2", "Executing");
    let begin = tokio::time::Instant::now();
    let second = next(body.as_mut()).await;
    assert!(second.starts_with("event: changed\n"), "{second}");
    assert!(begin.elapsed().as_secs() <= 2);
}

/// The next event of a stream, without the comments that keep it alive.
async fn next(mut body: std::pin::Pin<&mut Body>) -> String {
    use axum::body::HttpBody;
    loop {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        let data = frame.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(data.to_vec()).unwrap();
        if !text.starts_with(':') {
            return text;
        }
    }
}
