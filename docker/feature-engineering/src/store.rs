//! The seam to AWS, and the shape of what passes through it.
//!
//! [`Store`] is DynamoDB, [`Objects`] the models bucket in S3. The items are
//! made and read here, by pure functions; the clients only carry them.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use pipewright::features::{CatalogueAsset, Importance, UNCLASSIFIED};
use pipewright::record::rows::{self, AssetRow};
use pipewright::record::{ExecutionArn, Item, RecordId, names};
use serde_json::{Value, json};
use thiserror::Error;

use crate::journal::{EpochMs, Journal, LogBatch};
use crate::report::Report;

/// How many features and classes the item of feature importances keeps; the
/// file `features/importance.json` has all. An item may have 400 KB, and a
/// ticker 128 bytes.
pub const MOST_FEATURES: usize = 200;

/// A table can't be read or written.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum StoreError {
    /// The service refused, failed or could not be reached.
    #[error("DynamoDB table {table}: {operation} failed: {cause}")]
    Service {
        /// The table.
        table: String,
        /// The call.
        operation: &'static str,
        /// What the service or the client said.
        cause: String,
    },
    /// The service did not answer in time.
    #[error("DynamoDB: {operation} had no answer within {seconds} s")]
    TimedOut {
        /// The call.
        operation: &'static str,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// The execution's record was deleted while the step ran.
    #[error("DynamoDB table {table}: the record of execution {id} is gone")]
    Gone {
        /// The table.
        table: String,
        /// The record's id.
        id: String,
    },
    /// A later report stands in the record already.
    #[error(
        "DynamoDB table {table}: the record of execution {id} has a later report, of another job"
    )]
    Superseded {
        /// The table.
        table: String,
        /// The record's id.
        id: String,
    },
    /// What came from a table can't be read.
    #[error("DynamoDB {0}")]
    Unreadable(String),
}

impl StoreError {
    /// Whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Service { .. } | Self::TimedOut { .. })
    }
}

/// Calls again while an error may pass, `attempts` times in all, with pauses of
/// half a second, one, two and so on; the clients' own retries are much closer
/// together.
///
/// # Errors
/// The last call's.
pub async fn retried<T>(
    journal: &Journal,
    what: &str,
    attempts: u32,
    mut call: impl AsyncFnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut pause = Duration::from_millis(500);
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if error.is_transient() && attempt < attempts => {
                journal.warn(format!(
                    "{what}: attempt {attempt} of {attempts} failed: {error}"
                ));
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// An object can't be written.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{uri} cannot be written: {cause}")]
pub struct ObjectError {
    /// `s3://<bucket>/<key>`.
    pub uri: String,
    /// What the service or the client said.
    pub cause: String,
}

/// The tables.
pub trait Store: Send + Sync {
    /// The execution's item `record`, read consistently; `None` where there is
    /// none.
    fn record(
        &self,
        id: &RecordId,
    ) -> impl Future<Output = Result<Option<Item>, StoreError>> + Send;

    /// Every item of the asset catalogue.
    fn catalogue(&self) -> impl Future<Output = Result<Vec<Item>, StoreError>> + Send;

    /// Sets `processingStepReport` of a record that exists and has no later
    /// one.
    fn write_report(
        &self,
        id: &RecordId,
        report: &Report,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes the item of feature importances, over one of an earlier try.
    fn write_importance(&self, item: &Item) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes a batch of log lines; the same batch again changes nothing.
    fn write_log(
        &self,
        id: &RecordId,
        batch: &LogBatch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What an object is made of.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// The content of a file, streamed.
    File(&'a Path),
    /// A text.
    Text(&'a str),
}

/// The models bucket.
pub trait Objects: Send + Sync {
    /// Writes an object whole, or not at all.
    fn put(
        &self,
        key: &str,
        body: Body<'_>,
    ) -> impl Future<Output = Result<(), ObjectError>> + Send;

    /// `s3://<bucket>/<key>`.
    fn uri(&self, key: &str) -> String;
}

/// Whether a record may be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It belongs to this pipeline execution.
    Ours,
    /// It is not stored yet to which pipeline execution it belongs.
    Unknown,
    /// It belongs to another one, with this ARN.
    Other(String),
}

/// Whether the item `record` belongs to the pipeline execution of that id. The
/// case of letters doesn't count: SageMaker lower-cases some ARNs.
pub fn claim(record: &Item, pipeline_execution_id: &str) -> Claim {
    let arn = record.get(names::PIPELINE_EXECUTION_ARN);
    let Some(arn) = arn.and_then(Value::as_str) else {
        return Claim::Unknown;
    };
    match ExecutionArn::parse(arn) {
        Ok(parsed)
            if parsed
                .execution_id()
                .eq_ignore_ascii_case(pipeline_execution_id) =>
        {
            Claim::Ours
        }
        _ => Claim::Other(arn.to_owned()),
    }
}

/// The training template that was frozen into the record, as JSON; `None`
/// where start-execution has stored none.
pub fn frozen_template(record: &Item) -> Option<&Value> {
    record.get(names::PARAMETERS)
}

/// The asset catalogue from its items, and the tickers that have no class and
/// count as [`UNCLASSIFIED`].
///
/// # Errors
/// Names an item that has no ticker.
pub fn catalogue_assets(items: &[Item]) -> Result<(Vec<CatalogueAsset>, Vec<String>), String> {
    let mut assets = Vec::with_capacity(items.len());
    let mut unclassified = Vec::new();
    for item in items {
        let row = AssetRow::read(item)
            .ok_or_else(|| format!("an item has neither ticker nor Id: {item:?}"))?;
        let class = row.class.unwrap_or_else(|| {
            unclassified.push(row.ticker.clone());
            UNCLASSIFIED.to_owned()
        });
        assets.push(CatalogueAsset {
            ticker: row.ticker,
            class,
        });
    }
    unclassified.sort_unstable();
    Ok((assets, unclassified))
}

/// The item of an execution's feature importances, made at `now`: the most
/// important features and classes with all their figures.
pub fn importance_item(id: &RecordId, importance: &Importance, now: EpochMs) -> Item {
    let (features, classes) = (&importance.features, &importance.classes);
    rows::item(&json!({
        "Id": id.as_str(),
        "at": now,
        "target": importance.target,
        "rows": importance.rows,
        "firstDate": importance.first_date.to_string(),
        "lastDate": importance.last_date.to_string(),
        "featureCount": features.len(),
        "features": features[..features.len().min(MOST_FEATURES)],
        "classCount": classes.len(),
        "classes": classes[..classes.len().min(MOST_FEATURES)],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Level, Line};
    use crate::report::Event;
    use pipewright::features::{ClassImportance, FeatureImportance};

    fn item(json: Value) -> Item {
        match json {
            Value::Object(item) => item,
            other => panic!("not an object: {other:?}"),
        }
    }

    const ARN: &str =
        "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/prediction/execution/Abc123";

    #[test]
    fn a_record_is_ours_by_its_arn_whatever_the_case() {
        let record = item(json!({ "pipelineExecutionArn": ARN }));
        assert_eq!(claim(&record, "abc123"), Claim::Ours);
        assert_eq!(claim(&record, "zzz"), Claim::Other(ARN.to_owned()));
        assert_eq!(claim(&item(json!({})), "abc123"), Claim::Unknown);
    }

    #[test]
    fn an_arn_that_cannot_be_read_is_not_ours() {
        let record = item(json!({ "pipelineExecutionArn": "abc123" }));
        assert_eq!(claim(&record, "abc123"), Claim::Other("abc123".to_owned()));
    }

    #[test]
    fn the_frozen_template_keeps_its_numbers_text() {
        let template: Value = serde_json::from_str(r#"{"rate": 0.00050}"#).unwrap();
        let record = item(json!({ "parameters": template }));
        assert_eq!(
            frozen_template(&record).unwrap().to_string(),
            r#"{"rate":0.00050}"#
        );
        assert_eq!(frozen_template(&item(json!({}))), None);
    }

    #[test]
    fn an_asset_without_class_is_named_and_unclassified() {
        let items = [
            item(json!({"Id": "B", "ticker": "B", "assetClass": "Energy"})),
            item(json!({"Id": "A"})),
        ];
        let (assets, unclassified) = catalogue_assets(&items).unwrap();
        let classes: Vec<&str> = assets.iter().map(|asset| &*asset.class).collect();
        assert_eq!(classes, ["Energy", UNCLASSIFIED]);
        assert_eq!(unclassified, ["A"]);
        assert!(catalogue_assets(&[item(json!({"assetClass": "x"}))]).is_err());
    }

    #[test]
    fn a_report_has_only_the_members_that_it_knows() {
        let report = Report::begin("merge", 7);
        assert_eq!(
            report.row().attribute(),
            json!({"at": 7, "stage": "merge", "status": "Running"})
        );
        let mut failed = report.fold(Event::Failed("no CSV".to_owned()), 8);
        failed.notes.push("the log is short".to_owned());
        assert_eq!(
            failed.row().attribute(),
            json!({
                "at": 8, "notes": ["the log is short"], "reason": "no CSV",
                "stage": "merge", "status": "Failed"
            })
        );
    }

    #[test]
    fn the_item_of_importances_keeps_the_top_of_the_features_and_fits() {
        let long = "T".repeat(128);
        let features = (0..300).map(|i| FeatureImportance {
            column: format!("{long}_FT_{i}"),
            asset: long.clone(),
            class: "c".repeat(300),
            importance: 1.0 / 300.0,
            gain: 1.234_567_890_123_456_7e38,
            total_gain: 1.5e-44,
            splits: 7,
        });
        let importance = Importance {
            note: "",
            target: "A".to_owned(),
            rows: 9,
            first_date: time::macros::date!(2020 - 01 - 02),
            last_date: time::macros::date!(2021 - 01 - 02),
            features: features.collect(),
            classes: vec![ClassImportance {
                class: "c".to_owned(),
                columns: 300,
                importance: 0.25,
            }],
        };
        let id = RecordId::new("run-1").unwrap();
        let item = Value::Object(importance_item(&id, &importance, 5));
        assert_eq!(item["features"].as_array().unwrap().len(), MOST_FEATURES);
        assert_eq!(item["featureCount"], 300);
        assert_eq!(item["firstDate"], "2020-01-02");
        assert_eq!(
            item["classes"],
            json!([{"class": "c", "columns": 300, "importance": 0.25}])
        );
        assert!(item.to_string().len() < 400_000);
    }

    #[test]
    fn a_log_batch_is_the_list_of_its_lines() {
        let batch = LogBatch {
            entry: "log#0000000000005#0000".to_owned(),
            lines: vec![Line {
                at: 5,
                level: Level::Warn,
                msg: "m".to_owned(),
            }],
        };
        let id = RecordId::new("run-1").unwrap();
        assert_eq!(
            batch.row(&id).item()["lines"],
            json!([{"at": 5, "level": "WARN", "msg": "m"}])
        );
    }
}
