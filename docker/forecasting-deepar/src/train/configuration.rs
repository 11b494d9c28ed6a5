//! What SageMaker tells a training beside its data: hyperparameters and channels.

use std::collections::BTreeMap;
use std::fmt;

use pipewright_forecast::hyperparameters::TABLE;
use pipewright_wording::nearest::likely;
use serde_json::{Map, Value};
use thiserror::Error;

/// A channel that this algorithm reads.
pub(super) const TRAIN: &str = "train";
/// A channel that this algorithm reads if it is there.
pub(super) const TEST: &str = "test";

/// The job's channels are not those that this algorithm takes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InputFault {
    /// `inputdataconfig.json` is not an object of objects.
    #[error(
        "input/config/inputdataconfig.json must be a JSON object with an object for each channel: {0}"
    )]
    Form(String),
    /// There is no channel `train`.
    #[error("the job has no channel `train`{}; InputDataConfig must have one of that name", near.as_deref().map_or_else(String::new, |near| format!("; is it `{near}`?")))]
    NoTrain {
        /// A channel that it could be.
        near: Option<String>,
    },
    /// A channel is streamed.
    #[error(
        "the channel `{0}` has TrainingInputMode Pipe; DeepAR reads files: choose File or FastFile"
    )]
    Pipe(String),
    /// A host would see a part of a channel.
    #[error(
        "the channel `{0}` has S3DistributionType ShardedByS3Key, so that the one host that trains has a part of it only; choose FullyReplicated, or an instance count of 1"
    )]
    Sharded(String),
}

/// The channels that are read, by name, with their content types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Channels {
    /// Of `train`.
    pub train: Option<String>,
    /// Of `test`; `None` = there is no such channel.
    pub test: Option<Option<String>>,
    /// Channels that are not read.
    pub others: Vec<String>,
}

impl Channels {
    /// The channels of `inputdataconfig.json`, which a job of `hosts` hosts has.
    ///
    /// # Errors
    /// There is no channel `train`, or one cannot be read as files, whole.
    pub(super) fn read(document: &[u8], hosts: usize) -> Result<Self, InputFault> {
        let form = |text: String| InputFault::Form(text);
        let document: Map<String, Value> =
            serde_json::from_slice(document).map_err(|error| form(error.to_string()))?;
        let mut channels = Self::default();
        let mut has_train = false;
        for (name, channel) in &document {
            if ![TRAIN, TEST].contains(&name.as_str()) {
                channels.others.push(name.clone());
                continue;
            }
            let channel = channel
                .as_object()
                .ok_or_else(|| form(format!("`{name}` is none")))?;
            let member = |member: &str| channel.get(member).and_then(Value::as_str);
            if member("TrainingInputMode") == Some("Pipe") {
                return Err(InputFault::Pipe(name.clone()));
            }
            if hosts > 1 && member("S3DistributionType") == Some("ShardedByS3Key") {
                return Err(InputFault::Sharded(name.clone()));
            }
            let content_type = member("ContentType").map(str::to_owned);
            if name == TRAIN {
                has_train = true;
                channels.train = content_type;
            } else {
                channels.test = Some(content_type);
            }
        }
        if has_train {
            return Ok(channels);
        }
        let near = likely(TRAIN, channels.others.iter().map(String::as_str));
        // A training's channel is called `training` by most other algorithms.
        let training = channels.others.iter().find(|name| *name == "training");
        Err(InputFault::NoTrain {
            near: near.map(str::to_owned).or_else(|| training.cloned()),
        })
    }
}

/// Hyperparameters by name, as texts, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Texts(BTreeMap<String, String>);

impl Texts {
    /// The defaults.
    pub(super) fn defaults() -> Self {
        let defaults = TABLE.iter().filter_map(|definition| {
            Some((definition.name.to_owned(), definition.default?.to_owned()))
        });
        Self(defaults.collect())
    }

    /// Those of `hyperparameters.json`; none if that is not an object.
    pub(super) fn given(document: &[u8]) -> Self {
        let given: Map<String, Value> = serde_json::from_slice(document).unwrap_or_default();
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Self(
            given
                .into_iter()
                .map(|(name, value)| (name, text(value)))
                .collect(),
        )
    }

    /// These, and `others` where they are not given.
    pub(super) fn or(mut self, others: Self) -> Self {
        for (name, text) in others.0 {
            self.0.entry(name).or_insert(text);
        }
        self
    }
}

impl fmt::Display for Texts {
    /// As Python prints a dictionary of texts: `{'epochs': '20'}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| -> String {
            let escaped = text.chars().flat_map(|c| match c {
                '\'' | '\\' => vec!['\\', c],
                c if c.is_control() => c.escape_default().collect(),
                c => vec![c],
            });
            format!("'{}'", escaped.collect::<String>())
        };
        f.write_str("{")?;
        for (number, (name, text)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}", quoted(name), quoted(text))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_those_of_the_job() {
        let document = br#"{"train": {"TrainingInputMode": "File", "ContentType": "json.gz", "RecordWrapperType": "None"},
            "test": {"TrainingInputMode": "FastFile"}, "validation": {}}"#;
        assert_eq!(
            Channels::read(document, 1),
            Ok(Channels {
                train: Some("json.gz".to_owned()),
                test: Some(None),
                others: vec!["validation".to_owned()],
            })
        );
        let alone = Channels::read(br#"{"train": {}}"#, 1).unwrap();
        assert_eq!((alone.train, alone.test), (None, None));
    }

    #[test]
    fn channels_that_cannot_be_read_are_named_with_the_cure() {
        let fault = |document: &str, hosts| {
            Channels::read(document.as_bytes(), hosts)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            fault(r#"{"training": {}, "test": {}}"#, 1),
            "the job has no channel `train`; is it `training`?; InputDataConfig must have one of that name"
        );
        assert_eq!(
            fault("{}", 1),
            "the job has no channel `train`; InputDataConfig must have one of that name"
        );
        assert_eq!(
            fault(r#"{"train": {"TrainingInputMode": "Pipe"}}"#, 1),
            "the channel `train` has TrainingInputMode Pipe; DeepAR reads files: choose File or FastFile"
        );
        let sharded = r#"{"train": {"S3DistributionType": "ShardedByS3Key"}}"#;
        assert!(fault(sharded, 2).contains("an instance count of 1"));
        assert!(Channels::read(sharded.as_bytes(), 1).is_ok());
        for document in ["", "[]", r#"{"train": 1}"#] {
            assert!(fault(document, 1).contains("must be a JSON object"));
        }
    }

    #[test]
    fn hyperparameters_are_printed_as_python_prints_them() {
        let given = Texts::given(br#"{"time_freq": "2H", "epochs": 20, "x": "it's\n"}"#);
        assert_eq!(
            given.to_string(),
            r"{'epochs': '20', 'time_freq': '2H', 'x': 'it\'s\n'}"
        );
        let merged = given.or(Texts::defaults()).to_string();
        assert!(
            merged.starts_with("{'_seed': '', 'cardinality': 'auto', 'dropout_rate': '0.1', "),
            "{merged}"
        );
        assert!(merged.contains("'epochs': '20'"), "{merged}");
        assert_eq!(Texts::given(b"[1]").to_string(), "{}");
    }
}
