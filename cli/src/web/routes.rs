//! Which address has which page, and who gets it.
//!
//! A page in another tab of the browser can send requests to any port of this machine, also under a name of its own that it
//! has pointed here; another user can connect to any port. So a request is answered only under this machine's own name, and
//! only where its path begins with the token of this start. Nothing is written for any request.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use pipewright::record::History;
use pipewright::wording::{count, hex};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tera::Context;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::source::{Followed, LOOKED_BACK, Served, Source};
use crate::execution::compare;
use crate::execution::listing::Listed;
use crate::execution::render::{self, figure, moment};
use crate::execution::report;
use crate::html::{self, Frame, Status};
use crate::search::Unknown;

/// How often it is looked whether something has changed.
const INTERVAL: Duration = Duration::from_secs(2);

/// After how many looks a page with something under way is made anew in any case, for its durations.
const LOOKS: u32 = 5;

/// After how many looks in a row without news an execution that has ended is not looked at any more.
const QUIET_LOOKS: u32 = 5;

/// The most executions that are compared at once.
const COMPARED: usize = 20;

/// The random part of every address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Writes random bits so that they can stand in an address.
    pub(crate) fn new(random: [u8; 16]) -> Self {
        Self(hex(&random))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is this token; how long that takes tells nothing of it.
    fn is(&self, text: &str) -> bool {
        Sha256::digest(text) == Sha256::digest(&self.0)
    }
}

/// What is served, and to whom.
pub(crate) struct Site<S> {
    pub(crate) source: S,
    pub(crate) token: Token,
    /// The port on loopback.
    pub(crate) port: u16,
    /// The installation's prefix.
    pub(crate) prefix: String,
}

/// What is watched for changes.
enum Watched {
    /// A page of the list.
    Page(usize),
    Execution(String),
}

/// Answers a request.
pub(crate) async fn answer<S: Source>(site: Rc<Site<S>>, request: Request<Body>) -> Response {
    let mut response = match refusal(request.headers(), site.port) {
        Some(why) => plain(
            StatusCode::FORBIDDEN,
            &format!("The request is refused: {why}.\n"),
        ),
        None if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut refused = plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "These pages are only read.\n",
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(header::ALLOW, allowed);
            refused
        }
        None => routed(site, &request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&html::policy_of_server()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Why no browser of this machine's user sent a request for a page of ours; `None` where one may have.
fn refusal(headers: &HeaderMap, port: u16) -> Option<String> {
    let texts = |name: HeaderName| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let hosts = texts(header::HOST);
    let own = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
    if !matches!(&hosts[..], [host] if own.contains(host)) {
        return Some(format!(
            "it was sent to {:?}, and this server is {} only",
            hosts.join(", "),
            own.join(" or ")
        ));
    }
    let sites = texts(HeaderName::from_static("sec-fetch-site"));
    let from_elsewhere = sites
        .iter()
        .find(|site| !matches!(site.as_str(), "none" | "same-origin"));
    from_elsewhere.map(|site| format!("a browser sent it from a page that is {site}"))
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, text.to_owned()).into_response()
}

/// A request asks for what no page can show.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadRequest(String);

async fn routed<S: Source>(site: Rc<Site<S>>, request: &Request<Body>) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let (token, place) = path.split_once('/').unwrap_or((path, ""));
    if !site.token.is(token) {
        let text =
            "There is no such page. The address that `pipewright web` printed has a random part.\n";
        return plain(StatusCode::NOT_FOUND, text);
    }
    if !path.contains('/') {
        let whole = format!("/{token}/");
        return (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, whole)]).into_response();
    }
    let query = request.uri().query().unwrap_or_default();
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let value = |name: &str| {
        let mut values = query.iter().filter(|(known, _)| known == name);
        values.next().map(|(_, value)| value.as_str())
    };
    let number = value("page").map_or(Some(1), |page| page.parse().ok());
    let id = value("id").filter(|id| !id.is_empty());
    let page = match (place, number, id) {
        (_, None, _) => Err(BadRequest("page= is not a number.".to_owned()).into()),
        ("", Some(number), _) => executions(&site, number).await,
        ("execution", _, Some(id)) => execution(&site, id).await,
        ("execution", _, None) => Err(BadRequest(
            "id= names no execution: its id, ARN or display name.".to_owned(),
        )
        .into()),
        ("compare", ..) => {
            let ids = query.iter().filter(|(name, _)| name == "id");
            let ids: Vec<&str> = ids.map(|(_, id)| id.as_str()).collect();
            comparison(&site, &ids, value("all").is_some()).await
        }
        ("endpoints", ..) => endpoints(&site).await,
        ("failures", ..) => failures(&site).await,
        ("housekeeping", ..) => housekeeping(&site).await,
        ("events", Some(number), _) => {
            let watched = match value("execution") {
                Some(id) => Watched::Execution(id.to_owned()),
                None => Watched::Page(number),
            };
            let seen = value("seen").unwrap_or_default().to_owned();
            return events(site, watched, seen);
        }
        _ => {
            let text = "There is no such page.";
            message(&site, StatusCode::NOT_FOUND, text).map(|page| (StatusCode::NOT_FOUND, page))
        }
    };
    let answer = page.or_else(|error| {
        let status = if error.is::<Unknown>() {
            StatusCode::NOT_FOUND
        } else if error.is::<BadRequest>() {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::BAD_GATEWAY
        };
        Ok::<_, anyhow::Error>((status, message(&site, status, &format!("{error:#}"))?))
    });
    match answer {
        Ok((status, page)) => {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(header::CONTENT_TYPE, html)], page).into_response()
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
    }
}

type Page = anyhow::Result<(StatusCode, String)>;

fn message<S: Source>(site: &Site<S>, status: StatusCode, text: &str) -> anyhow::Result<String> {
    let mut context = Context::new();
    let title = status.canonical_reason().unwrap_or("Error");
    context.insert("title", title);
    context.insert("text", text);
    made(site, html::MESSAGE, context, "", None)
}

fn made<S: Source>(
    site: &Site<S>,
    template: &str,
    mut context: Context,
    here: &'static str,
    events: Option<String>,
) -> anyhow::Result<String> {
    context.insert("prefix", &site.prefix);
    let frame = Frame::Web { here, events };
    Ok(html::page(template, context, &frame, site.source.now())?)
}

/// An address relative to the pages'.
fn address(place: &str, query: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    format!("{place}?{query}")
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    address: String,
    status: Status,
    /// The names of pipeline and training template.
    of: String,
    since: String,
    duration: String,
}

/// What is seen of a list: it changes when one of its rows does.
fn seen_of_list(listed: &Listed) -> String {
    let mut digest = Sha256::new();
    for row in &listed.rows {
        digest.update(format!("{} {} {:?}\n", row.id, row.status(), row.since()));
    }
    digest.update(format!("{}", listed.total));
    hex(&digest.finalize())
}

/// What is seen of an execution: it changes with every message, line of a log, and result.
fn seen_of_execution(history: &History) -> String {
    format!(
        "{}-{}-{}-{}-{}",
        history.changes.len(),
        history.log.len(),
        history.trainings.len(),
        history.forecasts.len(),
        history.last_seen.unwrap_or_default()
    )
}

async fn executions<S: Source>(site: &Site<S>, number: usize) -> Page {
    let listed = site.source.listed(number).await?;
    let rows: Vec<Row> = listed
        .rows
        .iter()
        .map(|row| Row {
            id: row.id.clone(),
            address: address("execution", &[("id", &row.id)]),
            status: Status::new(row.status()),
            of: [row.pipeline.as_deref(), row.template_id.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
            since: row
                .since()
                .and_then(moment)
                .unwrap_or_else(|| "-".to_owned()),
            duration: row.duration(),
        })
        .collect();
    let page = |number: usize| address("./", &[("page", &number.to_string())]);
    let mut context = Context::new();
    context.insert("title", &format!("Executions of {}", site.prefix));
    context.insert("rows", &rows);
    context.insert("total", &count(listed.total, "execution"));
    context.insert("page", &listed.page);
    context.insert("pages", &listed.pages);
    context.insert("newer", &(listed.page > 1).then(|| page(listed.page - 1)));
    context.insert(
        "older",
        &(listed.page < listed.pages).then(|| page(listed.page + 1)),
    );
    context.insert("units", &format!("{:.1}", listed.units));
    let number = listed.page.to_string();
    let seen = seen_of_list(&listed);
    let events = address("events", &[("page", &number), ("seen", &seen)]);
    let page = made(site, html::EXECUTIONS, context, "Executions", Some(events))?;
    Ok((StatusCode::OK, page))
}

async fn execution<S: Source>(site: &Site<S>, id: &str) -> Page {
    let known = site.source.known(id).await?;
    let more = site.source.more(&known).await;
    let history = &known.history;
    let seen = seen_of_execution(history);
    let events = address("events", &[("execution", &history.id), ("seen", &seen)]);
    let frame = Frame::Web {
        here: "",
        events: (!history.is_over()).then_some(events),
    };
    let page = report::page(&known, &more, &frame, site.source.now())?;
    Ok((StatusCode::OK, page))
}

async fn comparison<S: Source>(site: &Site<S>, ids: &[&str], all: bool) -> Page {
    if !(2..=COMPARED).contains(&ids.len()) {
        let ticked = match ids.len() {
            1 => "1 execution is".to_owned(),
            number => format!("{number} executions are"),
        };
        let text = format!("{ticked} ticked: from 2 to {COMPARED} can be compared.");
        return Err(BadRequest(text).into());
    }
    let (mut executions, mut curves) = (Vec::new(), Vec::new());
    for id in ids {
        let known = site.source.known(id).await?;
        curves.push(site.source.curves(&known.history));
        executions.push(known);
    }
    let frame = Frame::Web {
        here: "",
        events: None,
    };
    let page = compare::page(&executions, &curves, all, &frame, site.source.now())?;
    Ok((StatusCode::OK, page))
}

#[derive(Debug, Serialize)]
struct Endpoint {
    name: String,
    status: Status,
    execution: String,
    address: String,
    created: String,
    used: String,
    reason: String,
}

/// How an endpoint is used, in words.
fn used(served: &Served, now: i64) -> String {
    match &served.invoked {
        None => "-".to_owned(),
        Some(Err(error)) => format!("not known: {error}"),
        Some(Ok(Some(hour))) => {
            // The hour of an invocation is known, not its moment.
            let idle = now.saturating_sub(*hour).saturating_sub(3_600_000);
            match idle > 0 {
                true => format!("idle for {}", render::duration(idle)),
                false => "invoked within the last hour".to_owned(),
            }
        }
        Some(Ok(None)) => {
            let since = served.row.created_at.unwrap_or(0);
            match now.saturating_sub(since) < LOOKED_BACK {
                true => format!(
                    "not invoked since it was made {} ago",
                    render::duration(now.saturating_sub(since))
                ),
                false => "not invoked within 15 days".to_owned(),
            }
        }
    }
}

async fn endpoints<S: Source>(site: &Site<S>) -> Page {
    let now = site.source.now();
    let rows: Vec<Endpoint> = site
        .source
        .endpoints()
        .await?
        .iter()
        .map(|served| {
            let row = &served.row;
            Endpoint {
                name: row.name.clone(),
                status: Status::new(row.status.clone().unwrap_or_default()),
                execution: row.execution.clone(),
                address: address("execution", &[("id", &row.execution)]),
                created: row.created_at.and_then(moment).unwrap_or_default(),
                used: used(served, now),
                reason: row.failure_reason.clone().unwrap_or_default(),
            }
        })
        .collect();
    let mut context = Context::new();
    context.insert("title", &format!("Endpoints of {}", site.prefix));
    context.insert("rows", &rows);
    let page = made(site, html::ENDPOINTS, context, "Endpoints", None)?;
    Ok((StatusCode::OK, page))
}

async fn failures<S: Source>(site: &Site<S>) -> Page {
    let queues = site.source.failures().await?;
    let mut context = Context::new();
    context.insert("title", &format!("Failures of {}", site.prefix));
    context.insert("queues", &queues);
    let page = made(site, html::FAILURES, context, "Failures", None)?;
    Ok((StatusCode::OK, page))
}

#[derive(Debug, Serialize)]
struct Fact {
    name: String,
    value: String,
}

/// A name such as `oldestOpenSeconds` in words.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// What a part of the report says: numbers and texts, lists by their length and their entries.
fn facts(part: &serde_json::Value) -> (Vec<Fact>, Vec<(String, Vec<String>)>) {
    let (mut facts, mut lists) = (Vec::new(), Vec::new());
    for (name, value) in part.as_object().into_iter().flatten() {
        let name = words(name);
        match value {
            serde_json::Value::Array(entries) if entries.is_empty() => {
                facts.push(Fact {
                    name,
                    value: "none".to_owned(),
                });
            }
            serde_json::Value::Array(entries) => {
                lists.push((name, entries.iter().filter_map(figure).collect()));
            }
            serde_json::Value::Object(members) => {
                let value: Vec<String> = members
                    .iter()
                    .filter_map(|(name, value)| Some(format!("{} {}", figure(value)?, words(name))))
                    .collect();
                let value = match value.is_empty() {
                    true => "none".to_owned(),
                    false => value.join(", "),
                };
                facts.push(Fact { name, value });
            }
            value => facts.extend(figure(value).map(|value| Fact { name, value })),
        }
    }
    (facts, lists)
}

async fn housekeeping<S: Source>(site: &Site<S>) -> Page {
    let run = site.source.last_run().await?;
    let mut context = Context::new();
    context.insert("title", &format!("Housekeeping of {}", site.prefix));
    let parts: Vec<_> = ["executions", "endpoints"]
        .into_iter()
        .filter_map(|name| {
            let (facts, lists) = facts(&run.as_ref()?.report[name]);
            Some((name, facts, lists))
        })
        .collect();
    context.insert("parts", &parts);
    let failures = run.as_ref().map(|run| &run.report["failures"]);
    let failures = failures.and_then(serde_json::Value::as_array);
    let failures: Vec<String> = failures.into_iter().flatten().filter_map(figure).collect();
    context.insert("failures", &failures);
    context.insert("at", &run.as_ref().and_then(|run| moment(run.at)));
    context.insert("shortened", &run.is_some_and(|run| run.shortened));
    let page = made(site, html::HOUSEKEEPING, context, "Housekeeping", None)?;
    Ok((StatusCode::OK, page))
}

/// What the browser is told of.
struct Watch<S> {
    site: Rc<Site<S>>,
    watched: Watched,
    seen: String,
    followed: Followed,
    /// Whether something is under way, whose duration grows.
    is_open: bool,
    /// How many looks found nothing new.
    quiet: u32,
    over: bool,
}

impl<S: Source> Watch<S> {
    /// Whether there is news.
    async fn look(&mut self) -> anyhow::Result<bool> {
        let seen = match &self.watched {
            Watched::Page(number) => {
                let listed = self.site.source.listed(*number).await?;
                self.is_open = listed.rows.iter().any(|row| !row.is_over());
                Some(seen_of_list(&listed))
            }
            Watched::Execution(id) => {
                let history = self.site.source.follow(id, &mut self.followed).await?;
                if let Some(history) = &history {
                    self.is_open = !history.is_over();
                }
                history.map(|history| seen_of_execution(&history))
            }
        };
        match seen {
            Some(seen) if seen != self.seen => {
                self.seen = seen;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// What there is to tell after a look; `None` for nothing.
    async fn event(&mut self) -> Option<Event> {
        let event = Event::default();
        match self.look().await {
            Err(error) => Some(event.event("failed").data(format!("{error:#}"))),
            Ok(true) => {
                self.quiet = 0;
                Some(event.event("changed").data(&self.seen))
            }
            Ok(false) => {
                self.quiet += 1;
                let is_execution = matches!(self.watched, Watched::Execution(_));
                if self.is_open && self.quiet >= LOOKS {
                    self.quiet = 0;
                    Some(event.event("changed").data(&self.seen))
                } else if is_execution && !self.is_open && self.quiet >= QUIET_LOOKS {
                    self.over = true;
                    Some(event.event("done").data(&self.seen))
                } else {
                    None
                }
            }
        }
    }

    /// Tells what there is until there is no more, or the browser has gone away.
    async fn tell(mut self, events: mpsc::Sender<Event>) {
        while !self.over {
            if let Some(event) = self.event().await
                && events.send(event).await.is_err()
            {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = events.closed() => return,
            }
        }
    }
}

/// The stream of events of a page: `changed`, `failed` with the reason, and `done` when nothing more is to come.
fn events<S: Source>(site: Rc<Site<S>>, watched: Watched, seen: String) -> Response {
    let (events, told) = mpsc::channel(1);
    let watch = Watch {
        site,
        watched,
        seen,
        followed: Followed::default(),
        is_open: true,
        quiet: 0,
        over: false,
    };
    spawn_local(watch.tell(events));
    let stream = unfold(told, async |mut told| {
        let event: Event = told.recv().await?;
        Some((Ok::<_, Infallible>(event), told))
    });
    Sse::new(stream)
        .keep_alive(KeepAlive::default())
        .into_response()
}
