//! Runs a batch transform: a model's program, asked for each record of the input.

use super::process::{LAST_GRACE, ProcessGroups, ProcessRunner, create_folder, end_all};
use super::server::Running;
use super::{StopSignal, process::job_folder};
use crate::batch::{BatchError, MiniBatch, Plan, Preferences};
use crate::client::{Answer, Client};
use crate::error::{CallError, JobError};
use crate::state::{JobResult, TransformOrder};
use crate::storage::{NotAnS3Uri, S3Location, StorageError};
use flate2::read::MultiGzDecoder;
use pipewright_files::below::Below;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// How long the model may take for a request, and how often it is asked again, unless the job's
/// ModelClientConfig says otherwise.
const TIMEOUT_SECONDS: u64 = 600;
const RETRIES: u64 = 3;

/// How the model is asked.
#[derive(Clone)]
struct Asking {
    client: Client,
    port: u16,
    headers: Vec<(String, String)>,
    retries: u64,
}

/// Why the places of a transform's data cannot be read.
#[derive(Debug, thiserror::Error)]
enum TransformError {
    #[error("the local stand-in does not support manifest files")]
    Manifest,
    #[error("{member}: {error}")]
    Location {
        member: &'static str,
        error: NotAnS3Uri,
    },
}

/// Why a file is not transformed.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("it cannot be decompressed: {0}")]
    Compression(std::io::Error),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("request {number} of {of}: {error}")]
    Request {
        number: usize,
        of: usize,
        error: AskError,
    },
    #[error("the answer to request {0}: {1}")]
    Answer(usize, BatchError),
    #[error(transparent)]
    Lost(JoinError),
}

/// Why the model gives no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the model answered {0}: {1}")]
    Refused(u16, String),
    #[error("the model cannot be reached: {0}")]
    Unreached(CallError),
}

impl ProcessRunner {
    /// Runs a transform until its outputs are in S3. No program is left afterwards.
    pub(super) async fn run_transform(
        &self,
        order: &TransformOrder,
        stop: &mut StopSignal,
    ) -> JobResult {
        let folder = match job_folder(&self.settings.run_dir, &order.key) {
            Ok(folder) => folder,
            Err(error) => return JobResult::Failed(JobError::client(error).to_string()),
        };
        let mut groups = ProcessGroups::default();
        let transform = async {
            let own = self.acting_as(order.server.role.as_deref()).await?;
            own.transform(order, &folder, &mut groups).await
        };
        let (result, grace) = tokio::select! {
            result = transform => {
                let result = match result {
                    Ok(()) => JobResult::Succeeded,
                    Err(error) => JobResult::Failed(error.to_string()),
                };
                (result, LAST_GRACE)
            }
            grace = stop.stopped() => (JobResult::Stopped, grace),
        };
        // The program itself is gone with the work; what it has started is not.
        end_all(&groups, &mut JoinSet::<()>::new(), grace).await;
        result
    }

    async fn transform(
        &self,
        order: &TransformOrder,
        folder: &Path,
        groups: &mut ProcessGroups,
    ) -> Result<(), JobError> {
        let request = &order.request;
        // What is wrong with the job is told before a model is fetched for it.
        let plan = Plan::read(request, &Preferences::default()).map_err(JobError::client)?;
        let (source, target) = places(request).map_err(JobError::client)?;
        let mut running = self
            .start_server(&order.server, folder, &environment(&plan))
            .await?;
        groups.add(&running.child);
        let patience = Duration::from_secs(order.server.startup_seconds);
        running.until_ready(patience).await?;
        let asking = Asking::new(request, &plan, &running);
        let plan = Plan::read(request, &asking.preferences().await).map_err(JobError::client)?;

        let keys = match self.store.list(&source, None).await {
            Ok(keys) => keys,
            Err(StorageError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(JobError::client(error)),
        };
        let files: Vec<(&String, String)> = keys
            .iter()
            .filter_map(|key| Some((key, source.relative_path(key)?)))
            .collect();
        if files.is_empty() {
            return Err(JobError::Client(format!(
                "No S3 objects found under S3 URL \"{source}\" given in input data source."
            )));
        }
        let mut outputs = Below::new(folder.join("output"));
        for (key, relative) in files {
            let location = S3Location {
                bucket: source.bucket.clone(),
                key: key.clone(),
            };
            let output = self
                .transform_file(&location, &plan, &asking)
                .await
                .map_err(|error| JobError::Client(format!("{location}: {error}")))?;
            let name = format!("{relative}.out");
            let file = outputs
                .file(&name)
                .map_err(|error| JobError::Client(format!("the key '{key}': {error}")))?;
            if let Some(folder) = file.parent() {
                create_folder(folder).await?;
            }
            tokio::fs::write(&file, output)
                .await
                .map_err(|error| JobError::file(&file, &error))?;
            self.store
                .upload(&file, &target.below(&name))
                .await
                .map_err(|error| {
                    JobError::Client(format!("Failed to upload the output: {error}"))
                })?;
        }
        Ok(())
    }

    async fn transform_file(
        &self,
        location: &S3Location,
        plan: &Plan,
        asking: &Asking,
    ) -> Result<Vec<u8>, FileError> {
        let mut bytes = self.store.read(location, None).await?;
        if plan.is_gzip {
            let mut inflated = Vec::new();
            MultiGzDecoder::new(bytes.as_slice())
                .read_to_end(&mut inflated)
                .map_err(FileError::Compression)?;
            bytes = inflated;
        }
        let batches = plan.mini_batches(bytes)?;
        let mut waiting: VecDeque<(usize, Vec<u8>)> = batches
            .iter()
            .map(|batch| batch.body.clone())
            .enumerate()
            .collect();
        let mut answers: Vec<Option<Answer>> = vec![None; batches.len()];
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < plan.concurrent {
                let Some((number, body)) = waiting.pop_front() else {
                    break;
                };
                let asking = asking.clone();
                asked.spawn(async move { (number, asking.ask(body).await) });
            }
            match asked.join_next().await {
                None => break,
                Some(Err(error)) => return Err(FileError::Lost(error)),
                Some(Ok((number, answer))) => {
                    let answer = answer.map_err(|error| FileError::Request {
                        number: number + 1,
                        of: batches.len(),
                        error,
                    })?;
                    answers[number] = Some(answer);
                }
            }
        }
        assemble(plan, &batches, answers)
    }
}

fn assemble(
    plan: &Plan,
    batches: &[MiniBatch],
    answers: Vec<Option<Answer>>,
) -> Result<Vec<u8>, FileError> {
    let mut output = Vec::new();
    for (number, (batch, answer)) in batches.iter().zip(answers).enumerate() {
        let Some(answer) = answer else { continue };
        let content_type = answer.header("content-type").map(str::to_owned);
        let part = plan
            .output(batch, answer.body, content_type.as_deref())
            .map_err(|error| FileError::Answer(number + 1, error))?;
        output.extend(part);
    }
    Ok(output)
}

/// Where the data come from and go to.
fn places(request: &Map<String, Value>) -> Result<(S3Location, S3Location), TransformError> {
    let empty = Value::Null;
    let at = |member: &str| request.get(member).unwrap_or(&empty);
    let source = &at("TransformInput")["DataSource"]["S3DataSource"];
    if source["S3DataType"].as_str().unwrap_or("S3Prefix") != "S3Prefix" {
        return Err(TransformError::Manifest);
    }
    let location = |member: &'static str, value: &Value| {
        S3Location::parse(value.as_str().unwrap_or_default())
            .map_err(|error| TransformError::Location { member, error })
    };
    Ok((
        location("S3Uri", &source["S3Uri"])?,
        location("S3OutputPath", &at("TransformOutput")["S3OutputPath"])?,
    ))
}

/// What SageMaker tells a container of the job that it is in.
fn environment(plan: &Plan) -> [(&'static str, String); 4] {
    let strategy = if plan.is_single {
        "SINGLE_RECORD"
    } else {
        "MULTI_RECORD"
    };
    [
        ("SAGEMAKER_BATCH", "true".to_owned()),
        (
            "SAGEMAKER_MAX_PAYLOAD_IN_MB",
            plan.payload_megabytes.to_string(),
        ),
        ("SAGEMAKER_BATCH_STRATEGY", strategy.to_owned()),
        (
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
            plan.concurrent.to_string(),
        ),
    ]
}

impl Asking {
    fn new(request: &Map<String, Value>, plan: &Plan, running: &Running) -> Self {
        let configured = |member: &str, default: u64| {
            request
                .get("ModelClientConfig")
                .and_then(|configuration| configuration[member].as_u64())
                .unwrap_or(default)
        };
        let timeout = configured("InvocationsTimeoutInSeconds", TIMEOUT_SECONDS);
        let headers = [
            ("content-type", &plan.content_type),
            ("accept", &plan.accept),
        ];
        Self {
            client: Client::new(Duration::from_secs(timeout)),
            port: running.served.port,
            headers: headers
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
                .collect(),
            retries: configured("InvocationsMaxRetries", RETRIES),
        }
    }

    fn uri(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// How the program likes to be asked; a program need not say it.
    async fn preferences(&self) -> Preferences {
        let uri = self.uri("execution-parameters");
        match self.client.send("GET", uri, &[], Vec::new()).await {
            Ok(answer) if answer.is_success() => serde_json::from_slice(&answer.body)
                .map(|answer| Preferences::read(&answer))
                .unwrap_or_default(),
            _ => Preferences::default(),
        }
    }

    async fn ask(&self, body: Vec<u8>) -> Result<Answer, AskError> {
        let mut attempt = 0;
        loop {
            let uri = self.uri("invocations");
            let answer = self
                .client
                .send("POST", uri, &self.headers, body.clone())
                .await;
            let why = match answer {
                Ok(answer) if answer.is_success() => return Ok(answer),
                Ok(answer) => {
                    let why = AskError::Refused(answer.status, answer.text());
                    if (400..500).contains(&answer.status) && answer.status != 429 {
                        return Err(why);
                    }
                    why
                }
                Err(error) => AskError::Unreached(error),
            };
            if attempt == self.retries {
                return Err(why);
            }
            attempt += 1;
        }
    }
}
