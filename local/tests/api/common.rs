//! A stand-in around fakes: S3 in memory, events in a list, functions of the test.

use pipewright_local::BoxFuture;
use pipewright_local::clock::{Clock, Millis};
use pipewright_local::engine::{Edges, Engine};
use pipewright_local::error::{CallError, JobError};
use pipewright_local::event::Event;
use pipewright_local::event_queue::EventSink;
use pipewright_local::functions::FunctionCaller;
use pipewright_local::http;
use pipewright_local::logs::{LogSink, LogStream};
use pipewright_local::names::Account;
use pipewright_local::queues::QueueSender;
use pipewright_local::roles::{Rights, Roles};
use pipewright_local::runner::{Containers, Mounts, ProcessRunner, ProcessSettings, Pythons};
use pipewright_local::state::{Settings, State};
use pipewright_local::storage::{ObjectStore, S3Location, StorageError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/pipeline";
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// S3 as a map from `bucket/key`.
#[derive(Default)]
pub(crate) struct MemoryStore(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryStore {
    pub(crate) fn put(&self, path: &str, content: &str) {
        self.0
            .lock()
            .unwrap()
            .insert(path.to_owned(), content.as_bytes().to_vec());
    }

    pub(crate) fn put_bytes(&self, path: &str, content: Vec<u8>) {
        self.0.lock().unwrap().insert(path.to_owned(), content);
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let objects = self.0.lock().unwrap();
        objects
            .get(path)
            .map(|bytes| String::from_utf8(bytes.clone()).unwrap())
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn get(&self, location: &S3Location) -> Result<Vec<u8>, StorageError> {
        self.0
            .lock()
            .unwrap()
            .get(&format!("{}/{}", location.bucket, location.key))
            .cloned()
            .ok_or_else(|| StorageError::NotFound(location.to_string()))
    }
}

impl ObjectStore for MemoryStore {
    fn read<'a>(
        &'a self,
        location: &'a S3Location,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, StorageError>> {
        Box::pin(async move { self.get(location) })
    }

    fn list<'a>(
        &'a self,
        location: &'a S3Location,
        most: Option<usize>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>> {
        Box::pin(async move {
            let prefix = format!("{}/{}", location.bucket, location.key);
            Ok(self
                .paths()
                .into_iter()
                .filter(|path| path.starts_with(&prefix))
                .map(|path| path[location.bucket.len() + 1..].to_owned())
                .take(most.unwrap_or(usize::MAX))
                .collect())
        })
    }

    fn download<'a>(
        &'a self,
        location: &'a S3Location,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            std::fs::write(file, self.get(location)?).unwrap();
            Ok(())
        })
    }

    fn upload<'a>(
        &'a self,
        file: &'a Path,
        location: &'a S3Location,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let path = format!("{}/{}", location.bucket, location.key);
            let bytes = std::fs::read(file).unwrap();
            self.0.lock().unwrap().insert(path, bytes);
            Ok(())
        })
    }
}

/// EventBridge as a list.
#[derive(Default)]
pub(crate) struct EventList(Mutex<Vec<Event>>);

impl EventSink for EventList {
    fn put<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(async move {
            self.0.lock().unwrap().push(event.clone());
            Ok(())
        })
    }
}

/// A function that doubles `n`, or fails when there is none.
struct Doubler;

impl FunctionCaller for Doubler {
    fn call<'a>(
        &'a self,
        function: &'a str,
        payload: &'a Value,
    ) -> BoxFuture<'a, Result<Value, JobError>> {
        Box::pin(async move {
            match payload["n"].as_i64() {
                Some(n) => Ok(json!({"doubled": n * 2, "by": function})),
                None => Err(JobError::client("n is missing")),
            }
        })
    }
}

/// Roles that may do anything.
struct AllRights;

impl Roles for AllRights {
    fn rights_of<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Rights>, JobError>> {
        Box::pin(async { Ok(None) })
    }
}

/// SQS as a list of messages.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Vec<Value>>);

impl QueueSender for Mailbox {
    fn send<'a>(
        &'a self,
        queue_url: &'a str,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move {
            if queue_url.ends_with("/missing") {
                return Err(JobError::client("there is no such queue"));
            }
            self.0.lock().unwrap().push(body.clone());
            Ok(())
        })
    }
}

/// CloudWatch Logs as lines by group and stream.
#[derive(Default)]
pub(crate) struct LogBook(Mutex<BTreeMap<(String, String), Vec<String>>>);

impl LogSink for LogBook {
    fn put<'a>(
        &'a self,
        stream: &'a LogStream,
        lines: &'a [String],
    ) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(async move {
            let key = (stream.group.to_owned(), stream.name.clone());
            let mut streams = self.0.lock().unwrap();
            streams.entry(key).or_default().extend_from_slice(lines);
            Ok(())
        })
    }
}

/// A running stand-in.
pub(crate) struct StandIn {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) run_dir: PathBuf,
    /// Whether a program finds its job's folder at /opt/ml.
    pub(crate) mounts_folders: bool,
    events: Arc<EventList>,
    mailbox: Arc<Mailbox>,
    logs: Arc<LogBook>,
    engine: Engine,
    port: u16,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.run_dir);
    }
}

/// The Python of the machine that tests.
fn python() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join("python3"))
        .find(|program| program.is_file())
        .unwrap()
}

impl StandIn {
    /// Starts one whose images of repository `worker` run programs of this machine.
    pub(crate) async fn start(test: &str) -> Self {
        Self::start_with(test, Mounts::of_machine(&std::env::temp_dir()), None).await
    }

    /// The same, where a job's folder is found so, and with what runs containers.
    pub(crate) async fn start_with(
        test: &str,
        mounts: Mounts,
        containers: Option<Containers>,
    ) -> Self {
        let run_dir =
            std::env::temp_dir().join(format!("pipewright-local-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&run_dir).unwrap();
        let run_dir = run_dir.canonicalize().unwrap();
        let mounts_folders = matches!(mounts, Mounts::Own(_));
        let store = Arc::new(MemoryStore::default());
        let events = Arc::new(EventList::default());
        let mailbox = Arc::new(Mailbox::default());
        let state = State::new(Settings {
            account: Account {
                id: "123456789012".to_owned(),
                region: "eu-west-1".to_owned(),
            },
            simulated_step_millis: 20,
            runners: ["worker".to_owned(), "server".to_owned()].into(),
            servers: ["server".to_owned()].into(),
            pythons: ["scripts".to_owned()].into(),
            runs_frameworks: false,
            runs_containers: containers.is_some(),
            faults: Vec::new(),
            seed: 1,
        });
        let settings = ProcessSettings {
            run_dir: run_dir.clone(),
            app_dirs: [
                ("worker".to_owned(), PathBuf::from("/bin")),
                ("server".to_owned(), run_dir.join("app")),
            ]
            .into(),
            pythons: Pythons {
                named: [("scripts".to_owned(), python())].into(),
                ..Pythons::default()
            },
            containers,
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            mounts,
        };
        let begin = Instant::now();
        let logs = Arc::new(LogBook::default());
        // Twenty times as fast as the real one: steps follow each other by the second.
        let clock: Clock = Arc::new(move || {
            let elapsed = i64::try_from(begin.elapsed().as_millis()).unwrap();
            Millis(1_700_000_000_000 + elapsed * 20)
        });
        let engine = Engine::new(
            state,
            Edges {
                store: Arc::<MemoryStore>::clone(&store),
                events: Arc::<EventList>::clone(&events),
                functions: Arc::new(Doubler),
                queues: Arc::<Mailbox>::clone(&mailbox),
                runner: Arc::new(ProcessRunner::new(
                    settings,
                    Arc::<MemoryStore>::clone(&store),
                    Arc::new(AllRights),
                    Arc::<LogBook>::clone(&logs),
                    Clock::clone(&clock),
                )),
                clock,
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(axum::serve(listener, http::router(engine.clone())).into_future());
        Self {
            store,
            run_dir,
            mounts_folders,
            events,
            mailbox,
            logs,
            engine,
            port,
        }
    }

    /// The lines of the job's hosts in CloudWatch Logs, by group and host.
    pub(crate) fn logged(&self, job: &str) -> Vec<(String, String, Vec<String>)> {
        let streams = self.logs.0.lock().unwrap();
        let of_job = streams.iter().filter_map(|((group, name), lines)| {
            let (its_job, host) = name.rsplit_once('/')?;
            let (host, _) = host.rsplit_once('-')?;
            (its_job == job).then(|| (group.clone(), host.to_owned(), lines.clone()))
        });
        of_job.collect()
    }

    /// As the program ends, whatever signal ends it.
    pub(crate) async fn shut_down(&self) {
        self.engine.shut_down().await;
    }

    /// An invocation of an endpoint, with lines of headers: status, head and body.
    pub(crate) async fn invoke(
        &self,
        endpoint: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, String, String) {
        let path = format!("/endpoints/{endpoint}/invocations");
        self.request("POST", &path, headers, body).await
    }

    /// A request, with lines of headers: the answer's status, head and body.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, String, String) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        // A body that is too large is not read to its end.
        tokio::spawn(async move {
            let _ = to.write_all(&request).await;
            std::future::pending::<()>().await;
        });
        let mut answer = Vec::new();
        let _ = from.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    /// A call over HTTP: the status and the body.
    pub(crate) async fn send(&self, target: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Amz-Target: {target}\r\n\
             Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// A call that must be answered well.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Value {
        let (status, body) = self
            .send(&format!("SageMaker.{operation}"), &input.to_string())
            .await;
        assert_eq!(status, 200, "{operation}: {body}");
        body
    }

    /// A call that must be refused: the exception's name and message.
    pub(crate) async fn refused(&self, operation: &str, input: Value) -> (String, String) {
        let (status, body) = self
            .send(&format!("SageMaker.{operation}"), &input.to_string())
            .await;
        assert_eq!(status, 400, "{operation}: {body}");
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        (text("__type"), text("message"))
    }

    pub(crate) async fn create(&self, name: &str, definition: &Value) -> Value {
        self.call(
            "CreatePipeline",
            json!({"PipelineName": name, "RoleArn": ROLE, "ClientRequestToken": TOKEN,
                "PipelineDefinition": definition.to_string()}),
        )
        .await
    }

    /// Starts an execution; gives its ARN.
    pub(crate) async fn start_execution(&self, name: &str, parameters: Value) -> String {
        let body = self
            .call(
                "StartPipelineExecution",
                json!({"PipelineName": name, "ClientRequestToken": TOKEN,
                    "PipelineExecutionDisplayName": "run-1", "PipelineParameters": parameters}),
            )
            .await;
        body["PipelineExecutionArn"].as_str().unwrap().to_owned()
    }

    /// Starts a further execution, told apart by its number; gives its ARN.
    pub(crate) async fn start_again(&self, name: &str, number: u32) -> String {
        let token = format!("{TOKEN}{number}");
        let input = json!({"PipelineName": name, "ClientRequestToken": token});
        let body = self.call("StartPipelineExecution", input).await;
        body["PipelineExecutionArn"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn describe(&self, arn: &str) -> Value {
        self.call(
            "DescribePipelineExecution",
            json!({"PipelineExecutionArn": arn}),
        )
        .await
    }

    /// Waits for the end of an execution and of its events; gives its description.
    pub(crate) async fn finished(&self, arn: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let body = self.describe(arn).await;
            let status = body["PipelineExecutionStatus"].as_str().unwrap();
            if ["Succeeded", "Failed", "Stopped"].contains(&status)
                && self
                    .execution_statuses()
                    .last()
                    .is_some_and(|last| last == status)
            {
                return body;
            }
            assert!(Instant::now() < deadline, "still {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The rows of all steps that have begun, by name.
    pub(crate) async fn steps(&self, arn: &str) -> BTreeMap<String, Value> {
        let body = self
            .call(
                "ListPipelineExecutionSteps",
                json!({"PipelineExecutionArn": arn, "MaxResults": 100}),
            )
            .await;
        body["PipelineExecutionSteps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["StepName"].as_str().unwrap().to_owned(), row.clone()))
            .collect()
    }

    /// Waits for a message of a Callback step.
    pub(crate) async fn message(&self) -> Value {
        loop {
            if let Some(message) = self.mailbox.0.lock().unwrap().pop() {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.0.lock().unwrap().clone()
    }

    pub(crate) fn execution_statuses(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter_map(|event| event.detail["currentPipelineExecutionStatus"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// `step status` of each step event, in the order sent.
    pub(crate) fn step_changes(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter(|event| event.detail_type == Event::STEP)
            .map(|event| {
                format!(
                    "{} {}",
                    event.detail["stepName"].as_str().unwrap(),
                    event.detail["currentStepStatus"].as_str().unwrap()
                )
            })
            .collect()
    }
}
