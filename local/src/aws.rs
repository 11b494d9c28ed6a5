//! The seams filled in with the local AWS.

use crate::BoxFuture;
use crate::client::{Answer, Client};
use crate::clock::Clock;
use crate::error::{CallError, JobError};
use crate::event::Event;
use crate::event_queue::EventSink;
use crate::functions::FunctionCaller;
use crate::logs::{LogSink, LogStream};
use crate::names::resource_of;
use crate::queues::QueueSender;
use crate::roles::{Rights, Roles};
use crate::signature::{AccessKey, Scope, Signable, signed};
use crate::storage::{ObjectStore, S3Location, StorageError};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use pipewright_aws::eventbridge::{self, Entry};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

/// How long a Lambda function may take: Lambda's own limit.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(900);

/// What CloudWatch Logs says of a group or a stream that is to be made and is there.
const ALREADY_EXISTS: &str = "ResourceAlreadyExistsException";
/// What it says of one that is missing.
const NOT_FOUND: &str = "ResourceNotFoundException";

/// How many calls to these services are under way at once; a definition may have thousands of
/// steps that begin together.
const CALLS_AT_ONCE: usize = 64;

/// S3 through its SDK.
#[derive(Debug, Clone)]
pub struct S3Store(aws_sdk_s3::Client);

impl S3Store {
    /// A store that uses this client.
    pub fn new(client: aws_sdk_s3::Client) -> Self {
        Self(client)
    }
}

fn s3_error<E, R>(location: &S3Location, error: &SdkError<E, R>) -> StorageError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match error.code() {
        Some("NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" | "NotFound") => {
            StorageError::NotFound(location.to_string())
        }
        _ => StorageError::Failed {
            location: location.to_string(),
            message: pipewright_aws::service_cause(error),
        },
    }
}

fn file_error(path: &Path, error: &impl ToString) -> StorageError {
    StorageError::File {
        path: path.display().to_string(),
        message: error.to_string(),
    }
}

impl ObjectStore for S3Store {
    fn read<'a>(
        &'a self,
        location: &'a S3Location,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, StorageError>> {
        Box::pin(async move {
            let object = self
                .0
                .get_object()
                .bucket(&location.bucket)
                .key(&location.key)
                .set_version_id(version.map(str::to_owned))
                .send()
                .await
                .map_err(|error| s3_error(location, &error))?;
            let bytes = object
                .body
                .collect()
                .await
                .map_err(|error| StorageError::Failed {
                    location: location.to_string(),
                    message: error.to_string(),
                })?;
            Ok(bytes.to_vec())
        })
    }

    fn list<'a>(
        &'a self,
        location: &'a S3Location,
        most: Option<usize>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>> {
        Box::pin(async move {
            let most = most.unwrap_or(usize::MAX);
            let mut keys = Vec::new();
            let mut token = None;
            loop {
                let page = self
                    .0
                    .list_objects_v2()
                    .bucket(&location.bucket)
                    .prefix(&location.key)
                    .set_continuation_token(token)
                    .set_max_keys(i32::try_from(most).ok().map(|most| most.min(1000)))
                    .send()
                    .await
                    .map_err(|error| s3_error(location, &error))?;
                keys.extend(
                    page.contents()
                        .iter()
                        .filter_map(|object| object.key())
                        .map(str::to_owned),
                );
                token = page.next_continuation_token().map(str::to_owned);
                if token.is_none() || keys.len() >= most {
                    keys.truncate(most);
                    return Ok(keys);
                }
            }
        })
    }

    fn download<'a>(
        &'a self,
        location: &'a S3Location,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let mut object = self
                .0
                .get_object()
                .bucket(&location.bucket)
                .key(&location.key)
                .send()
                .await
                .map_err(|error| s3_error(location, &error))?;
            let mut target = tokio::fs::File::create(file)
                .await
                .map_err(|error| file_error(file, &error))?;
            while let Some(chunk) = object.body.next().await {
                let chunk = chunk.map_err(|error| StorageError::Failed {
                    location: location.to_string(),
                    message: error.to_string(),
                })?;
                target
                    .write_all(&chunk)
                    .await
                    .map_err(|error| file_error(file, &error))?;
            }
            target
                .flush()
                .await
                .map_err(|error| file_error(file, &error))
        })
    }

    fn upload<'a>(
        &'a self,
        file: &'a Path,
        location: &'a S3Location,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let body = ByteStream::from_path(file)
                .await
                .map_err(|error| file_error(file, &error))?;
            self.0
                .put_object()
                .bucket(&location.bucket)
                .key(&location.key)
                .body(body)
                .send()
                .await
                .map_err(|error| s3_error(location, &error))?;
            Ok(())
        })
    }
}

/// EventBridge's default bus.
#[derive(Debug, Clone)]
pub struct DefaultBus(aws_sdk_eventbridge::Client);

impl DefaultBus {
    /// A bus reached through this client.
    pub fn new(client: aws_sdk_eventbridge::Client) -> Self {
        Self(client)
    }
}

impl EventSink for DefaultBus {
    fn put<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(async move {
            let entry = Entry {
                source: Event::SOURCE.to_owned(),
                detail_type: event.detail_type.to_owned(),
                resources: event.resources.clone(),
                time: event.time.0,
                detail: event.detail.to_string(),
            };
            eventbridge::put(&self.0, None, &[entry])
                .await
                .map_err(|error| CallError::Lost(error.to_string()))
        })
    }
}

/// The endpoints of a local AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Lambda's, for example `http://127.0.0.1:4566`.
    pub lambda: Option<String>,
    /// SQS's.
    pub sqs: Option<String>,
    /// STS's.
    pub sts: Option<String>,
    /// CloudWatch Logs'.
    pub logs: Option<String>,
}

/// Who calls, and where and when.
#[derive(Clone)]
pub struct Caller {
    /// What requests are signed with.
    pub key: AccessKey,
    /// The region of what is called.
    pub region: String,
    /// Reads the time.
    pub clock: Clock,
}

/// Lambda, SQS, STS and CloudWatch Logs of a local AWS.
///
/// A pipeline on a laptop calls none of them often enough to compile an SDK for it.
#[derive(Clone)]
pub struct LocalServices {
    endpoints: Endpoints,
    caller: Caller,
    client: Client,
    calls: Arc<Semaphore>,
}

impl LocalServices {
    /// The services at these endpoints; a call to one that is missing fails and says so.
    pub fn new(endpoints: Endpoints, caller: Caller) -> Self {
        Self {
            endpoints,
            caller,
            client: Client::new(FUNCTION_TIMEOUT),
            calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
        }
    }

    /// POSTs a body; gives the answer, and an error for a bad status.
    async fn post(
        &self,
        service: &str,
        uri: String,
        headers: &[(&'static str, &'static str)],
        body: &Value,
    ) -> Result<Answer, CallError> {
        // The semaphore is never closed; without a permit the call would only be early.
        let _permit = self.calls.acquire().await.ok();
        let body = body.to_string();
        let signable = Signable {
            method: "POST",
            uri: &uri,
            headers,
            body: body.as_bytes(),
        };
        let scope = Scope {
            region: &self.caller.region,
            service,
            time: (self.caller.clock)(),
        };
        let (signature, _) = signed(signable, &self.caller.key, scope)
            .map_err(|error| CallError::Request(error.to_string()))?;
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        all.extend(signature);
        let answer = self
            .client
            .send("POST", uri, &all, body.into_bytes())
            .await?;
        if answer.is_success() {
            Ok(answer)
        } else {
            Err(CallError::Status {
                status: answer.status,
                text: answer.text(),
            })
        }
    }

    async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, CallError> {
        let endpoint = endpoint(self.endpoints.lambda.as_deref(), "Lambda")?;
        let name = resource_of(function)
            .strip_prefix("function:")
            .unwrap_or(function);
        let uri = format!("{endpoint}/2015-03-31/functions/{name}/invocations");
        let answer = self
            .post(
                "lambda",
                uri,
                &[("content-type", "application/json")],
                payload,
            )
            .await?;
        let text = answer.text();
        if let Some(kind) = answer.header("x-amz-function-error") {
            let kind = kind.to_owned();
            return Err(CallError::Function { kind, text });
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| CallError::NotJson(error.to_string()))
    }

    async fn send_message(&self, queue_url: &str, body: &Value) -> Result<(), CallError> {
        let endpoint = endpoint(self.endpoints.sqs.as_deref(), "SQS")?;
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "AmazonSQS.SendMessage"),
        ];
        let message = json!({"QueueUrl": queue_url, "MessageBody": body.to_string()});
        self.post("sqs", format!("{endpoint}/"), &headers, &message)
            .await
            .map(|_| ())
    }

    async fn call_logs(&self, target: &'static str, body: &Value) -> Result<(), CallError> {
        let endpoint = endpoint(self.endpoints.logs.as_deref(), "CloudWatch Logs")?;
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
        ];
        let answer = self
            .post("logs", format!("{endpoint}/"), &headers, body)
            .await;
        match answer {
            Err(CallError::Status { text, .. }) if text.contains(ALREADY_EXISTS) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

fn endpoint<'a>(endpoint: Option<&'a str>, service: &'static str) -> Result<&'a str, CallError> {
    endpoint
        .map(|endpoint| endpoint.trim_end_matches('/'))
        .ok_or(CallError::NoEndpoint { service })
}

/// The roles of an account of a local AWS, which SageMaker assumes.
pub struct AccountRoles {
    services: LocalServices,
    account: String,
    /// S3's client has this configuration, with the key of a role's session.
    config: pipewright_aws::SdkConfig,
}

/// The name of SageMaker's sessions. The local AWS takes it for SageMaker where the account's own
/// key asks for one.
const SESSION_NAME: &str = "SageMaker";

/// How long a session lasts: the longest of STS.
const SESSION_SECONDS: u64 = 12 * 60 * 60;

impl AccountRoles {
    /// The roles of an account.
    pub fn new(
        services: LocalServices,
        account: String,
        config: pipewright_aws::SdkConfig,
    ) -> Self {
        Self {
            services,
            account,
            config,
        }
    }

    async fn session(&self, role_arn: &str) -> Result<AccessKey, CallError> {
        let endpoint = endpoint(self.services.endpoints.sts.as_deref(), "STS")?;
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            (
                "x-amz-target",
                "AWSSecurityTokenServiceV20110615.AssumeRole",
            ),
        ];
        let request = json!({"RoleArn": role_arn, "RoleSessionName": SESSION_NAME,
            "DurationSeconds": SESSION_SECONDS});
        let answer = self
            .services
            .post("sts", format!("{endpoint}/"), &headers, &request)
            .await?;
        let answer: Value = serde_json::from_str(&answer.text())
            .map_err(|error| CallError::NotJson(error.to_string()))?;
        let member = |name: &str| answer["Credentials"][name].as_str().map(str::to_owned);
        match (member("AccessKeyId"), member("SecretAccessKey")) {
            (Some(id), Some(secret)) => Ok(AccessKey {
                id,
                secret,
                token: member("SessionToken"),
            }),
            _ => Err(CallError::Lost("its answer has no Credentials".to_owned())),
        }
    }
}

impl Roles for AccountRoles {
    fn rights_of<'a>(
        &'a self,
        role_arn: &'a str,
    ) -> BoxFuture<'a, Result<Option<Rights>, JobError>> {
        Box::pin(async move {
            if role_arn.split(':').nth(4) != Some(&self.account) {
                tracing::warn!(
                    "the role {role_arn} is of another account: its job has the rights of this one"
                );
                return Ok(None);
            }
            let key = self.session(role_arn).await.map_err(|error| match error {
                CallError::Status { status: 403, .. } => JobError::Client(format!(
                    "Could not assume role {role_arn}. Please ensure that the role exists and \
                     allows principal 'sagemaker.amazonaws.com' to assume the role."
                )),
                other => JobError::Internal(format!("the role {role_arn}: {other}")),
            })?;
            let client = pipewright_aws::s3::client_with_key(
                &self.config,
                &key.id,
                &key.secret,
                key.token.clone(),
            );
            Ok(Some(Rights {
                store: Arc::new(S3Store::new(client)),
                environment: vec![
                    ("AWS_ACCESS_KEY_ID", key.id),
                    ("AWS_SECRET_ACCESS_KEY", key.secret),
                    ("AWS_SESSION_TOKEN", key.token.unwrap_or_default()),
                ],
            }))
        })
    }
}

impl FunctionCaller for LocalServices {
    fn call<'a>(
        &'a self,
        function: &'a str,
        payload: &'a Value,
    ) -> BoxFuture<'a, Result<Value, JobError>> {
        Box::pin(async move {
            self.invoke(function, payload).await.map_err(|error| {
                JobError::Client(format!(
                    "Failed to invoke the Lambda function '{function}': {error}"
                ))
            })
        })
    }
}

impl LogSink for LocalServices {
    fn put<'a>(
        &'a self,
        stream: &'a LogStream,
        lines: &'a [String],
    ) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(async move {
            let time = (self.caller.clock)().0;
            let events: Vec<Value> = lines
                .iter()
                .map(|line| json!({"timestamp": time, "message": line}))
                .collect();
            let group = json!({"logGroupName": stream.group});
            let mut place = group.clone();
            place["logStreamName"] = json!(stream.name);
            let mut request = place.clone();
            request["logEvents"] = json!(events);
            let put = async || self.call_logs("Logs_20140328.PutLogEvents", &request).await;
            match put().await {
                Err(CallError::Status { text, .. }) if text.contains(NOT_FOUND) => {
                    self.call_logs("Logs_20140328.CreateLogGroup", &group)
                        .await?;
                    self.call_logs("Logs_20140328.CreateLogStream", &place)
                        .await?;
                    put().await
                }
                answer => answer,
            }
        })
    }
}

impl QueueSender for LocalServices {
    fn send<'a>(
        &'a self,
        queue_url: &'a str,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move {
            self.send_message(queue_url, body).await.map_err(|error| {
                JobError::Client(format!(
                    "Failed to send a message to the queue '{queue_url}': {error}"
                ))
            })
        })
    }
}
