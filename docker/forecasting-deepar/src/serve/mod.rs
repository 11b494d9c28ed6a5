//! A model behind HTTP, as SageMaker asks its containers.
//!
//! | request | answer |
//! |---|---|
//! | `GET /ping` | 200, empty: the server runs |
//! | `GET /execution-parameters` | how a batch job should call it |
//! | `POST /invocations` | forecasts |
//!
//! Forecasts are computed on threads of their own, as many at once as there are
//! workers: a request takes one worker, and more where others are idle. Only so
//! many requests are read at once; the others wait unread. What a client that hangs
//! up asked for is not computed any further.

mod answer;
mod body;
mod request;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use pipewright_forecast::deepar::{ArtifactError, Model};
use pipewright_forecast::faults::Faults;
use pipewright_forecast::series::RecordRules;
use pipewright_matmul::parallel;
use pipewright_wording::excerpt;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::files::read_if_there;
use crate::layout::Layout;
use crate::log::{Amount, Dimensions, Log};
use crate::train::panic_text;
pub use body::BodyError;
pub use request::{
    Configuration, Instance, MOST_INSTANCES, MOST_NUMBERS, MOST_SAMPLES, RequestFault, Rules,
};
pub use settings::{ServerSettings, SettingFault};

/// How many records are forecast between two looks at whether the client is still
/// there and whether other workers have become idle.
const SLICE: usize = 64;

/// For each worker, how many requests' bodies may be in memory.
const BODIES_A_WORKER: usize = 8;

/// Why there is no server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no model.
    #[error(
        "there is no model: {0} does not exist; train one, or unpack the training's model.tar.gz into that folder"
    )]
    Missing(String),
    /// The model's file cannot be used.
    #[error("{file}: {source}")]
    Artifact {
        /// The file.
        file: String,
        /// Why not.
        source: ArtifactError,
    },
}

/// Reads the model of a training.
///
/// # Errors
/// [`ModelError`].
pub fn load(layout: &Layout) -> Result<Model, ModelError> {
    let path = layout.artifact();
    let file = path.display().to_string();
    let broken = |source| ModelError::Artifact {
        file: file.clone(),
        source,
    };
    match read_if_there(&path).map_err(|error| broken(error.into()))? {
        None => Err(ModelError::Missing(file)),
        Some(bytes) => Model::read(&mut bytes.as_slice()).map_err(broken),
    }
}

/// A model that is served.
#[derive(Debug)]
pub struct Server {
    model: Model,
    rules: Rules,
    settings: ServerSettings,
    log: Log,
    workers: Arc<Semaphore>,
    bodies: Semaphore,
}

impl Server {
    /// Serves a model, and tells of it in a log.
    #[must_use]
    pub fn new(model: Model, settings: ServerSettings, log: Log) -> Self {
        let trained = model.settings();
        let prediction_length = trained.prediction_length;
        let rules = Rules {
            records: RecordRules::forecast(
                trained.frequency,
                &trained.cardinality,
                trained.dynamic_features,
                prediction_length,
            ),
            prediction_length,
            configuration: settings.configuration.clone(),
            forwarded: settings.forwarded.clone(),
        };
        Self {
            rules,
            log,
            workers: Arc::new(Semaphore::new(settings.workers)),
            bodies: Semaphore::new(settings.workers.saturating_mul(BODIES_A_WORKER)),
            model,
            settings,
        }
    }

    /// The address and port to bind.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.settings.host, self.settings.port)
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What is answered where.
    pub fn router(self: Arc<Self>) -> Router {
        let is_local = self.settings.is_local;
        let router = Router::new()
            .route("/ping", get(async || StatusCode::OK))
            .route("/execution-parameters", get(execution_parameters))
            .route("/invocations", post(invocations))
            .fallback(async || {
                let text = "there are GET /ping, GET /execution-parameters and POST /invocations";
                (StatusCode::NOT_FOUND, text)
            })
            .method_not_allowed_fallback(async || {
                let text =
                    "only GET /ping, GET /execution-parameters and POST /invocations are answered";
                (StatusCode::METHOD_NOT_ALLOWED, text)
            })
            .with_state(self);
        if is_local {
            router.layer(middleware::from_fn(programs_only))
        } else {
            router
        }
    }

    async fn answer(self: &Arc<Self>, request: Request) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let form = Form::of(&head.headers)?;
        // Never closed, so that there always is a permit in the end.
        let _body_permit = self.bodies.acquire().await;
        let body = body::read(body, self.settings.body_bytes).await?;
        let permit = Arc::clone(&self.workers).acquire_owned().await;
        let permit = permit.map_err(|_| Refusal::bug("the workers are closed"))?;
        // Dropped, with this future, when the client hangs up.
        let mut client = Client::default();
        let (server, gone) = (Arc::clone(self), client.gone());
        let work = tokio::task::spawn_blocking(move || server.compute(form, &body, permit, &gone));
        let computed = work.await.map_err(|error| {
            let text = error
                .try_into_panic()
                .map_or_else(|error| error.to_string(), |payload| panic_text(&*payload));
            Refusal::bug(&text)
        })?;
        client.is_answered = true;
        Ok(Answer {
            form,
            text: computed?,
        })
    }

    /// Reads the request and computes its answer, on this thread and on those of idle
    /// workers.
    fn compute(
        &self,
        form: Form,
        body: &[u8],
        permit: OwnedSemaphorePermit,
        gone: &AtomicBool,
    ) -> Result<String, Faults<RequestFault>> {
        let request = match form {
            Form::Json => self.rules.json(body)?,
            Form::JsonLines => self.rules.json_lines(body)?,
        };
        let is_gone = || gone.load(Ordering::Relaxed);
        // `None` = the client has hung up.
        let forecast = |instance: &Instance, threads: usize| {
            if is_gone() {
                return None;
            }
            let samples = request.configuration.samples;
            let prediction = self.model.predict_by(&instance.series, samples, threads);
            let answer = |p| answer::answer(&p, &request.configuration, &instance.forwarded);
            Some(prediction.map(answer))
        };
        let (head, between, tail) = match form {
            Form::Json => ("{\"predictions\":[", ",", "]}"),
            Form::JsonLines => ("", "", ""),
        };
        let mut text = String::from(head);
        let mut faults = Faults::default();
        let mut is_first = true;
        for slice in request.instances.chunks(SLICE) {
            if is_gone() {
                break;
            }
            let most = slice.len() * Model::most_threads(request.configuration.samples);
            let idle: Vec<OwnedSemaphorePermit> = (1..most)
                .map_while(|_| Arc::clone(&self.workers).try_acquire_owned().ok())
                .collect();
            let threads = 1 + idle.len();
            let answers = parallel::map(
                slice.len(),
                threads,
                // Of few instances, each is divided.
                |i| forecast(&slice[i], (threads / slice.len()).max(1)),
                &mut |_, _| (),
            );
            for (instance, answer) in slice.iter().zip(answers) {
                match answer {
                    None => break,
                    Some(Ok(answer)) => {
                        if !std::mem::take(&mut is_first) {
                            text.push_str(between);
                        }
                        text.push_str(&answer);
                        if form == Form::JsonLines {
                            text.push('\n');
                        }
                    }
                    Some(Err(fault)) => faults.push(RequestFault::Model {
                        place: instance.place.clone(),
                        fault,
                    }),
                }
            }
        }
        drop(permit);
        text.push_str(tail);
        faults.or(text)
    }
}

/// Says whether the client of a request is still there.
#[derive(Debug, Default)]
struct Client {
    gone: Arc<AtomicBool>,
    is_answered: bool,
}

impl Client {
    fn gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.gone)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.is_answered {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}

/// The form of a request's body and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    JsonLines,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let given = headers
            .get(header::CONTENT_TYPE)
            .map_or(Ok(""), |value| value.to_str())
            .unwrap_or("not text");
        let name = given.split(';').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/jsonlines" | "application/x-jsonlines" => Ok(Self::JsonLines),
            _ => Err(Refusal {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                text: format!(
                    "Customer Error: Content-Type header value '{}' not supported; send application/json or application/jsonlines",
                    excerpt(given)
                ),
            }),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonlines",
        }
    }
}

struct Answer {
    form: Form,
    text: String,
}

/// Why a request is not answered.
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn bug(text: &str) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            text: format!("Algorithm Error: the program panicked, which is a bug: {text}"),
        }
    }
}

impl From<Faults<RequestFault>> for Refusal {
    fn from(faults: Faults<RequestFault>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            text: format!("Unable to evaluate payload provided: {faults}"),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Slow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            text: format!("Unable to evaluate payload provided: {error}"),
        }
    }
}

/// Refuses what a web page can send to a server of this machine: it cannot help saying whose it
/// is, and by which name it found the server.
async fn programs_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .map_or(Ok(""), |host| host.to_str());
    let host = host.unwrap_or("not text");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_here = ["127.0.0.1", "localhost", "[::1]"].contains(&name);
    if is_here && !headers.contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    let text = "a local server answers programs of this machine by its address, and no web page";
    (StatusCode::FORBIDDEN, text).into_response()
}

async fn execution_parameters(State(server): State<Arc<Server>>) -> Response {
    let parameters = serde_json::json!({
        "MaxConcurrentTransforms": server.settings.workers,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 6,
    });
    json_response(StatusCode::OK, "application/json", parameters.to_string())
}

async fn invocations(State(server): State<Arc<Server>>, request: Request) -> Response {
    let log = &server.log;
    let began = log.now();
    let answer = server.answer(request).await;
    let span = log.now().saturating_sub(began);
    let counted = match &answer {
        Ok(_) => Amount::Count("invocations.count", 1),
        Err(refusal) => {
            let Refusal { status, text } = refusal;
            log.warn(format_args!(
                "invocation refused with status {status}: {text}"
            ));
            Amount::Count("invocations_error.count", 1)
        }
    };
    let dimensions = Dimensions {
        algorithm: "DeepARModel",
        host: "UNKNOWN",
        operation: "scoring",
    };
    log.metrics(
        began,
        dimensions,
        &[counted, Amount::Time("model.evaluate.time", span)],
    );
    match answer {
        Ok(Answer { form, text }) => json_response(StatusCode::OK, form.content_type(), text),
        Err(Refusal { status, text }) => (status, text).into_response(),
    }
}

fn json_response(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type)];
    (status, headers, Body::from(text)).into_response()
}
