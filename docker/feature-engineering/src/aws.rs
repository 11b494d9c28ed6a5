//! The step's tables and bucket in AWS.

use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use pipewright::record::{Item, RecordId, names};
use pipewright_aws::dynamodb::{self, Executions, Records, Table, TableError, to_sdk};
use pipewright_aws::{SdkConfig, service_cause};

use serde_json::json;

use crate::environment::Environment;
use crate::journal::LogBatch;
use crate::report::Report;
use crate::store::{Body, ObjectError, Objects, Store, StoreError};

/// How long an attempt to upload one file may take: gigabytes over a slow line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The clients of everything that `environment` names, for a job in `account`.
pub fn connect(config: &SdkConfig, environment: &Environment, account: &str) -> (Tables, Bucket) {
    let tables = Tables {
        client: dynamodb::client(config),
        executions: environment.executions_table.clone(),
        assets: environment.assets_table.clone(),
        importances: environment.feature_importance_table.clone(),
    };
    let timeouts = config
        .timeout_config()
        .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder)
        .read_timeout(UPLOAD_TIMEOUT)
        .build();
    let patient = config.to_builder().timeout_config(timeouts).build();
    let bucket = Bucket {
        client: pipewright_aws::s3::client(&patient),
        name: environment.models_bucket.clone(),
        owner: account.to_owned(),
    };
    (tables, bucket)
}

/// DynamoDB.
#[derive(Debug, Clone)]
pub struct Tables {
    client: aws_sdk_dynamodb::Client,
    executions: String,
    assets: String,
    importances: String,
}

impl Tables {
    fn service<E>(table: &str, operation: &'static str, error: &E) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        StoreError::Service {
            table: table.to_owned(),
            operation,
            cause: service_cause(error),
        }
    }
}

impl Store for Tables {
    async fn record(&self, id: &RecordId) -> Result<Option<Item>, StoreError> {
        let executions = Executions::new(self.client.clone(), &*self.executions);
        executions.record(id).await.map_err(table_error)
    }

    async fn catalogue(&self) -> Result<Vec<Item>, StoreError> {
        let assets = Table::new(self.client.clone(), &*self.assets);
        assets.items().await.map_err(table_error)
    }

    async fn write_report(&self, id: &RecordId, report: &Report) -> Result<(), StoreError> {
        // The second condition keeps a write that was delayed on its way from
        // undoing the one after it.
        let sent = self
            .client
            .update_item()
            .table_name(&self.executions)
            .key(names::ID, AttributeValue::S(id.to_string()))
            .key(
                names::ENTRY,
                AttributeValue::S(names::RECORD_ENTRY.to_owned()),
            )
            .update_expression("SET #report = :report")
            .condition_expression(
                "attribute_exists(#id) AND (attribute_not_exists(#report.#at) OR #report.#at <= :at)",
            )
            .expression_attribute_names("#id", names::ID)
            .expression_attribute_names("#report", names::PROCESSING_STEP_REPORT)
            .expression_attribute_names("#at", names::AT)
            .expression_attribute_values(":report", to_sdk(&report.row().attribute()))
            .expression_attribute_values(":at", AttributeValue::N(report.at.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let table = self.executions.clone();
                let id = id.to_string();
                Err(match failed.item().filter(|item| !item.is_empty()) {
                    Some(_) => StoreError::Superseded { table, id },
                    None => StoreError::Gone { table, id },
                })
            }
            _ => Err(Self::service(&self.executions, "UpdateItem", &error)),
        }
    }

    async fn write_importance(&self, item: &Item) -> Result<(), StoreError> {
        let importances = Table::new(self.client.clone(), &*self.importances);
        importances.put(item).await.map_err(table_error)
    }

    // An update, not a put: the job's role may not replace an item whole.
    async fn write_log(&self, id: &RecordId, batch: &LogBatch) -> Result<(), StoreError> {
        let lines = json!(batch.row(id).lines);
        self.client
            .update_item()
            .table_name(&self.executions)
            .key(names::ID, AttributeValue::S(id.to_string()))
            .key(names::ENTRY, AttributeValue::S(batch.entry.clone()))
            .update_expression("SET #lines = :lines")
            .expression_attribute_names("#lines", names::LINES)
            .expression_attribute_values(":lines", to_sdk(&lines))
            .send()
            .await
            .map_err(|error| Self::service(&self.executions, "UpdateItem", &error))?;
        Ok(())
    }
}

fn table_error(error: TableError) -> StoreError {
    match error {
        TableError::Service {
            operation,
            table,
            message,
            ..
        } => StoreError::Service {
            table,
            operation,
            cause: message,
        },
        other => StoreError::Unreadable(other.to_string()),
    }
}

/// The models bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
    /// The account that it must belong to: S3 refuses to write to one that
    /// another account has made under this name.
    owner: String,
}

impl Objects for Bucket {
    async fn put(&self, key: &str, body: Body<'_>) -> Result<(), ObjectError> {
        let fault = |cause: String| ObjectError {
            uri: self.uri(key),
            cause,
        };
        let stream = match body {
            Body::File(path) => ByteStream::from_path(path)
                .await
                .map_err(|error| fault(format!("{}: {error}", path.display())))?,
            Body::Text(text) => ByteStream::from(text.as_bytes().to_vec()),
        };
        self.client
            .put_object()
            .bucket(&self.name)
            .expected_bucket_owner(&self.owner)
            .key(key)
            .set_content_type(content_type(key).map(str::to_owned))
            .body(stream)
            .send()
            .await
            .map_err(|error| fault(service_cause(&error)))?;
        Ok(())
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }
}

/// What a browser is to make of an object.
fn content_type(key: &str) -> Option<&'static str> {
    let extension = Path::new(key).extension()?.to_str()?;
    Some(match extension {
        "csv" => "text/csv; charset=utf-8",
        "json" => "application/json",
        "log" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "gz" => "application/gzip",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// The container writes to no bucket of another account than its job's.
    #[tokio::test]
    async fn an_upload_names_the_account_that_its_bucket_belongs_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let request = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut part = [0; 4096];
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut part).unwrap();
                head.extend_from_slice(&part[..read]);
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&head).to_ascii_lowercase()
        });
        let config = SdkConfig::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(
                aws_sdk_s3::config::Credentials::new("a", "b", None, None, "test"),
            ))
            .http_client(pipewright_aws::http_client())
            .endpoint_url(endpoint)
            .build();
        let environment = Environment::read(|name| Some(name.to_lowercase())).unwrap();
        let (_, bucket) = connect(&config, &environment, "123456789012");
        bucket.put("key", Body::Text("x")).await.unwrap();
        let head = request.join().unwrap();
        assert!(head.starts_with("put /models_bucket/key"), "{head}");
        assert!(
            head.contains("x-amz-expected-bucket-owner: 123456789012"),
            "{head}"
        );
    }
}
