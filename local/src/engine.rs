//! Carries out what the state decides.

use crate::client::{Answer, Client};
use crate::clock::{Clock, Millis};
use crate::error::{ApiError, CallError, ErrorKind, JobError};
use crate::event::Event;
use crate::event_queue::{EventCounts, EventQueue, EventSink, Retries};
use crate::functions::FunctionCaller;
use crate::queues::QueueSender;
use crate::runner::{JobRunner, STOP_GRACE, Served, StopSignal, Stopper};
use crate::state::{
    Effect, InputCheck, JobEnd, JobOrder, JobResult, ServersKey, ServersOrder, Signal, State,
    StepKey,
};
use crate::storage::{NotAnS3Uri, ObjectStore, S3Location, StorageError};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a model's program may take to answer: the limit of InvokeEndpoint.
const INVOCATION_LIMIT: Duration = Duration::from_secs(60);

/// How long jobs may take to end when the stand-in itself ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How often the clock is looked at while something waits for its time.
const CLOCK_CHECK: Duration = Duration::from_millis(10);

/// What the engine works with.
pub struct Edges {
    /// S3.
    pub store: Arc<dyn ObjectStore>,
    /// EventBridge.
    pub events: Arc<dyn EventSink>,
    /// Lambda.
    pub functions: Arc<dyn FunctionCaller>,
    /// SQS.
    pub queues: Arc<dyn QueueSender>,
    /// The programs that stand for images.
    pub runner: Arc<dyn JobRunner>,
    /// The time.
    pub clock: Clock,
}

/// The state and everything that happens because of it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Set when the stand-in ends: nothing is begun any more.
    closing: AtomicBool,
    running: Mutex<HashMap<StepKey, Stopper>>,
    serving: Mutex<HashMap<ServersKey, Servers>>,
    models: Client,
    events: EventQueue,
    store: Arc<dyn ObjectStore>,
    functions: Arc<dyn FunctionCaller>,
    queues: Arc<dyn QueueSender>,
    runner: Arc<dyn JobRunner>,
    clock: Clock,
}

/// The programs of an endpoint.
struct Servers {
    stopper: Stopper,
    /// Those that answer.
    served: Vec<Served>,
}

/// What a model's program answered to an invocation.
pub(crate) struct Invocation {
    pub(crate) served: Served,
    /// Why there is no answer, if so.
    pub(crate) answer: Result<Answer, NoAnswer>,
}

/// Why a model's program did not answer.
pub(crate) enum NoAnswer {
    /// It took longer than [`INVOCATION_LIMIT`].
    TimedOut,
    /// It could not be reached, or hung up.
    Lost(CallError),
}

/// Why a document that a definition reads can't be read.
#[derive(Debug, thiserror::Error)]
enum DocumentError {
    #[error(transparent)]
    Uri(#[from] NotAnS3Uri),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{uri} is not JSON: {error}")]
    NotJson {
        uri: String,
        error: serde_json::Error,
    },
}

/// A lock whose holder panicked still guards consistent data: every change of the state is
/// made in one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line for each change that a person following an execution wants to see.
fn log_event(event: &Event) {
    let text = |member: &str| event.detail[member].as_str().unwrap_or_default();
    match event.detail_type {
        Event::EXECUTION => tracing::info!(
            execution = text("pipelineExecutionArn"),
            "execution is {}",
            text("currentPipelineExecutionStatus")
        ),
        Event::STEP => tracing::info!(
            execution = text("pipelineExecutionArn"),
            reason = event.detail["failureReason"].as_str(),
            "step {} is {}",
            text("stepName"),
            text("currentStepStatus")
        ),
        other => tracing::info!(resource = event.resources.first(), "{other}"),
    }
    tracing::debug!(detail = %event.detail);
}

impl Engine {
    /// An engine around a state; must be made inside a Tokio runtime.
    pub fn new(state: State, edges: Edges) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                closing: AtomicBool::new(false),
                running: Mutex::default(),
                serving: Mutex::default(),
                models: Client::new(INVOCATION_LIMIT),
                events: EventQueue::start(edges.events, Retries::default()),
                store: edges.store,
                functions: edges.functions,
                queues: edges.queues,
                runner: edges.runner,
                clock: edges.clock,
            }),
        }
    }

    /// Answers one call of the API.
    ///
    /// # Errors
    /// What SageMaker would refuse; what the stand-in can't do.
    pub async fn call(
        &self,
        operation: &str,
        mut members: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        if matches!(operation, "CreatePipeline" | "UpdatePipeline") {
            self.fetch_definition(&mut members).await?;
        }
        let mut state = lock(&self.shared.state);
        let reply = state.call((self.shared.clock)(), operation, &members)?;
        // Still under the lock: effects are begun in the order in which they were decided.
        self.begin(reply.effects);
        Ok(reply.body)
    }

    /// What became of the events so far.
    pub fn event_counts(&self) -> &EventCounts {
        self.shared.events.counts()
    }

    /// Hands a request on to the program that serves an endpoint's model.
    ///
    /// # Errors
    /// A text in the service's words, if there is nothing to invoke.
    pub(crate) async fn invoke(
        &self,
        endpoint: &str,
        variant: Option<&str>,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Invocation, String> {
        let (key, variant) = lock(&self.shared.state).route_invocation(endpoint, variant)?;
        let served = lock(&self.shared.serving)
            .get(&key)
            .and_then(|servers| {
                let mut served = servers.served.iter();
                served.find(|served| served.variant == variant).cloned()
            })
            .ok_or_else(|| format!("Endpoint {endpoint} is going out of service."))?;
        let uri = format!("http://127.0.0.1:{}/invocations", served.port);
        let answer = self.shared.models.send("POST", uri, headers, body);
        let answer = match tokio::time::timeout(INVOCATION_LIMIT, answer).await {
            Ok(answer) => answer.map_err(NoAnswer::Lost),
            Err(_) => Err(NoAnswer::TimedOut),
        };
        Ok(Invocation { served, answer })
    }

    /// Whose endpoints these are, for messages.
    pub(crate) fn account(&self) -> String {
        lock(&self.shared.state).account().to_owned()
    }

    /// Stops every job and waits until they have ended, or the time for it is over.
    pub async fn shut_down(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        for stopper in lock(&self.shared.running).values() {
            stopper.stop(SHUTDOWN_GRACE);
        }
        for servers in lock(&self.shared.serving).values() {
            servers.stopper.stop(SHUTDOWN_GRACE);
        }
        let deadline = tokio::time::Instant::now() + SHUTDOWN_GRACE + Duration::from_secs(1);
        let is_busy =
            || !lock(&self.shared.running).is_empty() || !lock(&self.shared.serving).is_empty();
        while is_busy() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Puts the text in the place of `PipelineDefinitionS3Location`, as SageMaker does when
    /// the pipeline is created or updated.
    async fn fetch_definition(&self, members: &mut Map<String, Value>) -> Result<(), ApiError> {
        if members
            .get("PipelineDefinition")
            .is_some_and(|text| !text.is_null())
        {
            // Both at once is refused by the state.
            return Ok(());
        }
        let Some(given) = members
            .get("PipelineDefinitionS3Location")
            .filter(|location| !location.is_null())
        else {
            return Ok(());
        };
        let member = |name: &str| given.get(name).and_then(Value::as_str);
        let (Some(bucket), Some(key)) = (member("Bucket"), member("ObjectKey")) else {
            return Err(ApiError::validation(
                "PipelineDefinitionS3Location must have Bucket and ObjectKey",
            ));
        };
        let location = S3Location {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        let bytes = self
            .shared
            .store
            .read(&location, member("VersionId"))
            .await
            .map_err(|error| match error {
                StorageError::NotFound(_) => ApiError::validation(format!(
                    "Unable to read the pipeline definition from S3: {error}"
                )),
                other => ApiError::new(
                    ErrorKind::Internal,
                    format!("Unable to read the pipeline definition from S3: {other}"),
                ),
            })?;
        let text = String::from_utf8(bytes).map_err(|_| {
            ApiError::validation(format!(
                "Unable to parse pipeline definition. {location} is not UTF-8 text"
            ))
        })?;
        members.remove("PipelineDefinitionS3Location");
        members.insert("PipelineDefinition".to_owned(), Value::String(text));
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let mut state = lock(&self.shared.state);
        let effects = state.signal((self.shared.clock)(), signal);
        self.begin(effects);
    }

    fn begin(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Emit(event) => {
                    log_event(&event);
                    self.shared.events.push(event);
                }
                Effect::WakeAt { execution, at } => {
                    self.signal_at(at, Signal::Wake { execution });
                }
                Effect::EndpointAt { name, at } => {
                    self.signal_at(at, Signal::EndpointDue { name });
                }
                Effect::ReadDocuments { key, uris } => {
                    let engine = self.clone();
                    tokio::spawn(async move {
                        let documents = engine.read_documents(uris).await;
                        engine.signal(Signal::DocumentsRead { key, documents });
                    });
                }
                Effect::CallFunction(order) => {
                    let engine = self.clone();
                    tokio::spawn(async move {
                        let answer = engine
                            .shared
                            .functions
                            .call(&order.function, &order.payload)
                            .await;
                        engine.signal(Signal::FunctionAnswered {
                            key: order.key,
                            answer: answer.map_err(|error| error.to_string()),
                        });
                    });
                }
                Effect::SendMessage(order) => {
                    let engine = self.clone();
                    tokio::spawn(async move {
                        let result = engine
                            .shared
                            .queues
                            .send(&order.queue_url, &order.body)
                            .await;
                        engine.signal(Signal::MessageSent {
                            key: order.key,
                            result: result.map_err(|error| error.to_string()),
                        });
                    });
                }
                Effect::StartJob(order) => self.start_job(*order),
                Effect::StartServers(order) => self.start_servers(order),
                Effect::StopServers(key) => {
                    if let Some(servers) = lock(&self.shared.serving).get(&key) {
                        servers.stopper.stop(STOP_GRACE);
                    }
                }
                Effect::StopJob(key) => {
                    if let Some(stopper) = lock(&self.shared.running).get(&key) {
                        stopper.stop(STOP_GRACE);
                    }
                }
            }
        }
    }

    fn signal_at(&self, at: Millis, signal: Signal) {
        let engine = self.clone();
        tokio::spawn(async move {
            // In short naps: the clock decides, and it may go otherwise than Tokio's timer
            // (a laptop that was asleep, a test's clock).
            while (engine.shared.clock)() < at {
                tokio::time::sleep(CLOCK_CHECK).await;
            }
            engine.signal(signal);
        });
    }

    fn start_job(&self, order: JobOrder) {
        let key = order.key().clone();
        let (stopper, stop) = StopSignal::new();
        {
            let mut running = lock(&self.shared.running);
            // Looked at under the lock, so that a job is either stopped or never begun.
            if self.shared.closing.load(Ordering::SeqCst) {
                return;
            }
            running.insert(key.clone(), stopper);
        }
        let engine = self.clone();
        // In a task of its own, so that a panic of the job's code is told as its failure.
        let job = tokio::spawn(async move { engine.run_job(&order, stop).await });
        let engine = self.clone();
        tokio::spawn(async move {
            let end = job.await.unwrap_or_else(|error| {
                let what = format!("the local stand-in failed to run the job: {error}");
                JobEnd::from(JobResult::Failed(JobError::Internal(what).to_string()))
            });
            lock(&engine.shared.running).remove(&key);
            engine.signal(Signal::JobEnded { key, end });
        });
    }

    fn start_servers(&self, order: ServersOrder) {
        let key = order.key.clone();
        let (stopper, stop) = StopSignal::new();
        {
            let mut serving = lock(&self.shared.serving);
            if self.shared.closing.load(Ordering::SeqCst) {
                return;
            }
            let served = Vec::new();
            serving.insert(key.clone(), Servers { stopper, served });
        }
        let engine = self.clone();
        let programs = tokio::spawn(async move {
            let ready = |served| {
                if let Some(servers) = lock(&engine.shared.serving).get_mut(&order.key) {
                    servers.served = served;
                }
                engine.signal(Signal::ServersReady(order.key.clone()));
            };
            let runner = &engine.shared.runner;
            runner.serve(&order, stop, Box::new(ready)).await
        });
        let engine = self.clone();
        tokio::spawn(async move {
            let result = programs.await.unwrap_or_else(|error| {
                let what = format!("the local stand-in failed to run the model: {error}");
                Err(JobError::Internal(what))
            });
            lock(&engine.shared.serving).remove(&key);
            // An end that the stand-in itself made is none that anybody is told of.
            if !engine.shared.closing.load(Ordering::SeqCst) {
                let result = result.map_err(|error| error.to_string());
                engine.signal(Signal::ServersEnded { key, result });
            }
        });
    }

    async fn run_job(&self, order: &JobOrder, mut stop: StopSignal) -> JobEnd {
        match order {
            JobOrder::Program(order) => self.shared.runner.run(order, stop).await,
            JobOrder::Transform(order) => self.shared.runner.transform(order, stop).await,
            JobOrder::Simulated { checks, millis, .. } => {
                let work = async {
                    if let Err(error) = self.check_inputs(checks).await {
                        return JobResult::Failed(error.to_string());
                    }
                    let millis = u64::try_from(*millis).unwrap_or(0);
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    JobResult::Succeeded
                };
                tokio::select! {
                    result = work => result.into(),
                    _ = stop.stopped() => JobResult::Stopped.into(),
                }
            }
        }
    }

    async fn check_inputs(&self, checks: &[InputCheck]) -> Result<(), JobError> {
        for check in checks {
            let location = S3Location::parse(&check.uri)
                .map_err(|error| JobError::Client(format!("input '{}': {error}", check.name)))?;
            let none = match self.shared.store.list(&location, Some(1)).await {
                Ok(keys) => keys.is_empty(),
                Err(StorageError::NotFound(_)) => true,
                Err(error) => {
                    let what = format!("input '{}': {error}", check.name);
                    return Err(JobError::Client(what));
                }
            };
            if none {
                return Err(JobError::no_objects(&check.uri, &check.name));
            }
        }
        Ok(())
    }

    async fn read_documents(&self, uris: Vec<String>) -> Vec<(String, Result<Value, String>)> {
        let mut documents = Vec::with_capacity(uris.len());
        for uri in uris {
            let document = self.read_document(&uri).await;
            documents.push((uri, document.map_err(|error| error.to_string())));
        }
        documents
    }

    async fn read_document(&self, uri: &str) -> Result<Value, DocumentError> {
        let location = S3Location::parse(uri)?;
        let bytes = self.shared.store.read(&location, None).await?;
        serde_json::from_slice(&bytes).map_err(|error| DocumentError::NotJson {
            uri: uri.to_owned(),
            error,
        })
    }
}
