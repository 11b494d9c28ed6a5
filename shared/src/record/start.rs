//! What an execution is started with, and the record that is made before it.
//!
//! An execution is started (by the function start-execution of the shipped pipeline, by the command line of
//! any other) in this order: the record is made, unless it is there; SageMaker starts the execution, by a
//! token that is made of the record's id; the record gets the ARN. So a call that was cut off
//! anywhere is repeated with the same id.

use pipewright_wording::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::macros::format_description;

use super::event::EXECUTION_ID;
use super::id::{ExecutionArn, RecordId, arn_of};
use super::rows::{self, Item, Record, record};
use super::{names, phase};
use crate::definition::{Definition, ParameterType};
use crate::nearest::likely;
use crate::training_template::TrainingTemplate;

/// The longest value of a pipeline parameter, in characters.
pub const MAX_PARAMETER_LENGTH: usize = 1024;

/// The longest name of a model package group.
pub const MAX_PACKAGE_GROUP_LENGTH: usize = 63;

/// How long after a record's creation its ARN may be missing before an
/// execution of its name is searched for, milliseconds. Within it, SageMaker
/// surely still knows the request's token.
const TOKEN_TRUSTED_FOR: i64 = 10 * 60 * 1000;

/// How far apart our clock and SageMaker's may be, milliseconds.
pub const CLOCK_TOLERANCE: i64 = 5 * 60 * 1000;

/// Pipeline parameters, name to value.
pub type Parameters = BTreeMap<String, String>;

/// What SageMaker would refuse, or would only fail at after minutes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the execution can't be started: {}", .faults.join("; "))]
pub struct ParameterFaults {
    /// Everything wrong, each with its name, its value and what is allowed.
    pub faults: Vec<String>,
}

/// The pipeline parameters of an execution: its id, the package group, and
/// everything that the template sets. What the template leaves open has its
/// default in the pipeline, with one exception: DeepAR has no way to say
/// "never stop early", so without `early_stopping_patience` the value of
/// `epochs` is sent, which comes to the same.
///
/// # Errors
/// [`ParameterFaults`] if a value or the group's name is beyond SageMaker's
/// limits. The hyperparameters themselves are checked where the template is
/// read.
pub fn parameters(
    template: &TrainingTemplate,
    id: &RecordId,
    package_group: &str,
) -> Result<Parameters, ParameterFaults> {
    let deepar = &template.deepar;
    let mut parameters = Parameters::new();
    let mut put = |name: &str, value: &str| {
        parameters.insert(name.to_owned(), value.to_owned());
    };
    put(EXECUTION_ID, id.as_str());
    put("ModelPackageGroupName", package_group);
    put("HyperParamTimeFreq", deepar.freq.name());
    put(
        "HyperParamContextLength",
        &deepar.context_length.to_string(),
    );
    put(
        "HyperParamPredictionLength",
        &deepar.prediction_length.to_string(),
    );
    if let Some(epochs) = deepar.hyper_params.get("epochs") {
        put("HyperParamEarlyStoppingPatience", epochs);
    }
    for (name, value) in deepar.hyper_params.iter() {
        put(&parameter_name(name), value);
    }
    for (name, value) in [
        ("ProcessingInstanceType", &template.processing_instance_type),
        ("TrainingInstanceType", &template.training_instance_type),
        ("ModelApprovalStatus", &template.model_approval_status),
    ] {
        if let Some(value) = value {
            put(name, value);
        }
    }
    let faults = faults(&parameters, package_group);
    match faults.is_empty() {
        true => Ok(parameters),
        false => Err(ParameterFaults { faults }),
    }
}

/// The pipeline parameters of an execution of any pipeline: those that are
/// given, and its id as `ExecutionId` where the definition declares that.
///
/// # Errors
/// [`ParameterFaults`] with all that SageMaker would refuse: names that are not
/// declared, values of another type or not among those that are allowed, and
/// parameters without a value.
pub fn given_parameters(
    definition: &Definition,
    given: &Parameters,
    id: &RecordId,
) -> Result<Parameters, ParameterFaults> {
    let declared = definition.parameters();
    let mut parameters = given.clone();
    let mut faults = Vec::new();
    for (name, value) in given {
        let Some(parameter) = declared.iter().find(|one| one.name() == name) else {
            let near = likely(name, declared.iter().map(|one| one.name()));
            faults.push(match near {
                Some(near) => {
                    format!("the pipeline has no parameter {name}: did you mean {near:?}?")
                }
                None => format!("the pipeline has no parameter {name}"),
            });
            continue;
        };
        if name == EXECUTION_ID && value != id.as_str() {
            faults.push(format!(
                "parameter {EXECUTION_ID} is the record's id, {id}, and not {value:?}"
            ));
        }
        let length = value.chars().count();
        if length > MAX_PARAMETER_LENGTH {
            faults.push(format!(
                "parameter {name} has {length} characters; at most {MAX_PARAMETER_LENGTH} are allowed"
            ));
        }
        let kind = parameter.parameter_type().unwrap_or(ParameterType::String);
        match (kind.read(value), parameter.enum_values()) {
            (None, _) => faults.push(format!(
                "parameter {name} is of type {}, and {value:?} is not",
                kind.name()
            )),
            (Some(read), Some(allowed)) if !allowed.contains(&read) => {
                let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                faults.push(format!(
                    "parameter {name} must be one of {}, and is {value:?}",
                    allowed.join(", ")
                ));
            }
            (Some(_), _) => {}
        }
    }
    for parameter in &declared {
        let name = parameter.name();
        if name == EXECUTION_ID {
            parameters.insert(name.to_owned(), id.to_string());
        } else if parameter.default_value().is_none() && !given.contains_key(name) {
            faults.push(format!("parameter {name} has no default and needs a value"));
        }
    }
    match faults.is_empty() {
        true => Ok(parameters),
        false => Err(ParameterFaults { faults }),
    }
}

fn faults(parameters: &Parameters, package_group: &str) -> Vec<String> {
    let mut faults: Vec<String> = parameters
        .iter()
        .filter_map(|(name, value)| {
            let length = value.chars().count();
            if length == 0 {
                Some(format!("parameter {name} is empty"))
            } else if length > MAX_PARAMETER_LENGTH {
                let start: String = value.chars().take(40).collect();
                Some(format!(
                    "parameter {name} has {length} characters ({start}...); at most {MAX_PARAMETER_LENGTH} are allowed"
                ))
            } else {
                None
            }
        })
        .collect();
    let fits = (1..=MAX_PACKAGE_GROUP_LENGTH).contains(&package_group.len())
        && package_group
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !fits {
        faults.push(format!(
            "model package group {package_group:?} is not a name for one: 1 to {MAX_PACKAGE_GROUP_LENGTH} letters, digits and hyphens are allowed"
        ));
    }
    faults
}

/// `mini_batch_size` is the parameter `HyperParamMiniBatchSize`.
fn parameter_name(hyper_parameter: &str) -> String {
    let mut name = "HyperParam".to_owned();
    for word in hyper_parameter.split('_') {
        let mut characters = word.chars();
        name.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(characters.as_str());
    }
    name
}

/// A training template that an execution is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The template's id.
    pub id: String,
    /// The template as its table holds it: the copy that a later edit of the
    /// template can't change.
    pub item: Item,
}

/// The item `record` of an execution that is about to be started; `template`
/// is that of the shipped pipeline's.
pub fn new_record(
    id: &RecordId,
    pipeline: &str,
    template: Option<Frozen>,
    parameters: &Parameters,
    now: i64,
) -> Item {
    let (template_id, template) = template.map(|one| (one.id, one.item)).unzip();
    let mut record = rows::item(&record::Start {
        pipeline_name: Some(pipeline.to_owned()),
        template_id,
        created_at: Some(now),
        start_failure: None,
    });
    record.extend(template.map(|item| (names::PARAMETERS.to_owned(), Value::Object(item))));
    record.extend([
        (names::ID.to_owned(), Value::from(id.as_str())),
        (names::ENTRY.to_owned(), Value::from(names::RECORD_ENTRY)),
        (names::PIPELINE_PARAMETERS.to_owned(), json!(parameters)),
        (names::PHASE.to_owned(), Value::from(phase::OPEN)),
    ]);
    record
}

/// What an execution is to be started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A training template of the shipped pipeline, by its id.
    Template(&'a str),
    /// Any other pipeline.
    Pipeline {
        /// Its name.
        name: &'a str,
        /// The pipeline parameters of the start.
        parameters: &'a Parameters,
    },
}

/// How far an earlier, or a concurrent, call with the same id has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The execution is started.
    Started {
        /// Its ARN.
        arn: String,
    },
    /// The record is made, and it is not known whether the execution is
    /// started. To start it by the same token starts it once.
    Recorded,
    /// The same, longer ago than SageMaker surely knows the token: it is to be
    /// searched for by its name first.
    Doubtful {
        /// From which moment on it may have been created, epoch milliseconds.
        since: i64,
    },
}

/// An id that cannot be used for what is to be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "execution id {id} is taken: it belongs to {by}; choose another id, or leave it out to get a new one"
)]
pub struct Taken {
    /// The id.
    pub id: RecordId,
    /// What it belongs to.
    pub by: String,
}

/// How far the execution has come that `record` was made for.
///
/// # Errors
/// [`Taken`] if it was made for something else.
pub fn begun(id: &RecordId, record: &Item, wanted: Wanted<'_>, now: i64) -> Result<Begun, Taken> {
    let start = Record::read(record).start;
    let taken = |by: String| Taken { id: id.clone(), by };
    let by_template = start.template_id.as_deref();
    match (wanted, by_template, start.pipeline_name.as_deref()) {
        (Wanted::Template(wanted), Some(other), _) if other != wanted => {
            return Err(taken(format!("an execution of template {other:?}")));
        }
        (Wanted::Template(_), Some(_), _) => {}
        (Wanted::Pipeline { .. }, Some(other), _) => {
            return Err(taken(format!("an execution of template {other:?}")));
        }
        (Wanted::Pipeline { name, parameters }, None, Some(other))
            if other.eq_ignore_ascii_case(name) =>
        {
            if parameters_of(record).as_ref() != Some(parameters) {
                return Err(taken(format!(
                    "an execution of pipeline {other} with other parameters"
                )));
            }
        }
        (_, None, Some(other)) => {
            return Err(taken(format!("an execution of pipeline {other}")));
        }
        (_, None, None) => {
            return Err(taken("an execution that was started elsewhere".to_owned()));
        }
    }
    if let Some(arn) = arn_of(record) {
        return Ok(Begun::Started {
            arn: arn.to_owned(),
        });
    }
    let since = start.created_at.unwrap_or(now);
    Ok(if now.saturating_sub(since) > TOKEN_TRUSTED_FOR {
        Begun::Doubtful {
            since: since.saturating_sub(CLOCK_TOLERANCE),
        }
    } else {
        Begun::Recorded
    })
}

/// Checks that a record has the ARN of the execution that was started for it, `stored` being what it
/// has after that was to be stored.
///
/// # Errors
/// [`Taken`] if another execution has it.
pub fn claimed(id: &RecordId, ours: &ExecutionArn, stored: &Item) -> Result<(), Taken> {
    let theirs = stored
        .get(names::ARN_KEY)
        .and_then(|key| ExecutionArn::parse(key.as_str()?).ok());
    match theirs {
        Some(theirs) if theirs != *ours => Err(Taken {
            id: id.clone(),
            by: format!("the execution {theirs}"),
        }),
        _ => Ok(()),
    }
}

/// The pipeline parameters that a record was made with.
pub fn parameters_of(record: &Item) -> Option<Parameters> {
    record
        .get(names::PIPELINE_PARAMETERS)?
        .as_object()?
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The token by which SageMaker knows a repeated start: hex SHA-256 of the
/// pipeline's name and the id.
pub fn client_request_token(pipeline: &str, id: &RecordId) -> String {
    hex(&Sha256::digest(format!("{pipeline}\n{id}").as_bytes()))
}

/// An id for an execution that was given none: the moment, to sort by, and
/// `random`, so that two of one moment differ.
pub fn generated_id(now: i64, random: u32) -> RecordId {
    let format = format_description!("[year][month][day]-[hour][minute][second]");
    let moment = OffsetDateTime::from_unix_timestamp(now.div_euclid(1000))
        .ok()
        .and_then(|moment| moment.format(format).ok())
        .unwrap_or_else(|| now.unsigned_abs().to_string());
    // Digits, hyphens and hex digits are what an id is made of.
    RecordId::trusted(format!("{moment}-{random:08x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(hyper_params: Value) -> TrainingTemplate {
        let document = json!({
            "Id": "t", "predictedAsset": "JPM", "feMeta": {"baseAssets": "all"},
            "deepARMeta": {
                "freq": "1D", "predictionLength": 7, "contextLength": 28,
                "startDataset": 1_262_304_000_000_i64, "endTraining": 1_514_764_800_000_i64,
                "testWindows": 4, "hyperParams": hyper_params,
            },
            "trainingInstanceType": "ml.c5.xlarge",
        });
        TrainingTemplate::parse(&document).unwrap()
    }

    fn id() -> RecordId {
        RecordId::new("run-1").unwrap()
    }

    #[test]
    fn every_value_of_the_template_becomes_a_parameter() {
        let template = template(json!({
            "epochs": 100, "early_stopping_patience": 40, "mini_batch_size": 64,
            "learning_rate": 0.0005, "num_dynamic_feat": "ignore", "test_quantiles": [0.1, 0.9],
        }));
        let parameters = parameters(&template, &id(), "assets").unwrap();
        let pairs: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("ExecutionId", "run-1"),
                ("HyperParamContextLength", "28"),
                ("HyperParamEarlyStoppingPatience", "40"),
                ("HyperParamEpochs", "100"),
                ("HyperParamLearningRate", "0.0005"),
                ("HyperParamMiniBatchSize", "64"),
                ("HyperParamNumDynamicFeat", "ignore"),
                ("HyperParamPredictionLength", "7"),
                ("HyperParamTestQuantiles", "[0.1, 0.9]"),
                ("HyperParamTimeFreq", "1D"),
                ("ModelPackageGroupName", "assets"),
                ("TrainingInstanceType", "ml.c5.xlarge"),
            ]
        );
    }

    #[test]
    fn every_hyperparameter_is_a_parameter_of_the_shipped_pipeline() {
        use pipewright_forecast::hyperparameters::TABLE;

        let names = TABLE.iter().map(|definition| definition.name);
        for name in names.filter(|name| !name.starts_with('_')) {
            let parameter = parameter_name(name);
            for needed in [
                format!(r#"{{"Name": "{parameter}", "Type": "String""#),
                format!(r#""{name}": {{"Get": "Parameters.{parameter}"}}"#),
            ] {
                assert!(
                    crate::template::shipped().contains(&needed),
                    "shared/templates/asset-prediction.json.tera lacks {needed}"
                );
            }
        }
    }

    #[test]
    fn without_a_patience_training_never_stops_early() {
        let parameters = parameters(&template(json!({"epochs": 7})), &id(), "assets").unwrap();
        assert_eq!(parameters["HyperParamEarlyStoppingPatience"], "7");
    }

    #[test]
    fn what_sagemaker_would_refuse_is_named_all_at_once() {
        let quantiles: Vec<f64> = (1..400).map(|n| f64::from(n) / 400.0).collect();
        let template = template(json!({"epochs": 7, "test_quantiles": quantiles}));
        let error = parameters(&template, &id(), "no_underscore").unwrap_err();
        assert_eq!(error.faults.len(), 2);
        assert!(error.faults[0].starts_with("parameter HyperParamTestQuantiles has "));
        assert!(error.faults[1].contains("\"no_underscore\""));
    }

    #[test]
    fn the_record_keeps_the_parameters_it_was_made_with() {
        let parameters = parameters(&template(json!({"epochs": 7})), &id(), "assets").unwrap();
        let frozen = Item::from_iter([("rate".to_owned(), json!(0.0005))]);
        let template = Frozen {
            id: "t".to_owned(),
            item: frozen.clone(),
        };
        let record = new_record(&id(), "assets", Some(template), &parameters, 5);
        assert_eq!(parameters_of(&record), Some(parameters));
        assert_eq!(record["pipelineName"], Value::from("assets"));
        assert_eq!(record["parameters"], Value::Object(frozen));
        assert_eq!(record["phase"], Value::from("open"));
    }

    fn definition() -> Definition {
        Definition::parse(
            &json!({
                "Version": "2020-12-01", "Metadata": {}, "PipelineExperimentConfig": null, "Steps": [
                    {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
                "Parameters": [
                    {"Name": "ExecutionId", "Type": "String"},
                    {"Name": "Input", "Type": "String"},
                    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5},
                    {"Name": "Approval", "Type": "String", "DefaultValue": "Approved",
                     "EnumValues": ["Approved", "Rejected"]},
                ],
            })
            .to_string(),
        )
        .unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> Parameters {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn a_declared_execution_id_is_the_records() {
        let parameters = given(&[("Input", "s3://b/k"), ("Rate", "1e-3")]);
        let all = given_parameters(&definition(), &parameters, &id()).unwrap();
        assert_eq!(
            all,
            given(&[
                ("ExecutionId", "run-1"),
                ("Input", "s3://b/k"),
                ("Rate", "1e-3")
            ])
        );
    }

    #[test]
    fn all_that_sagemaker_would_refuse_of_given_parameters_is_told_at_once() {
        let long = "x".repeat(1025);
        let parameters = given(&[
            ("ExecutionId", "run-2"),
            ("Inptu", &long),
            ("Rate", "much"),
            ("Approval", "Perhaps"),
        ]);
        let error = given_parameters(&definition(), &parameters, &id()).unwrap_err();
        assert_eq!(
            error.faults,
            [
                r#"parameter Approval must be one of "Approved", "Rejected", and is "Perhaps""#,
                r#"parameter ExecutionId is the record's id, run-1, and not "run-2""#,
                r#"the pipeline has no parameter Inptu: did you mean "Input"?"#,
                r#"parameter Rate is of type Float, and "much" is not"#,
                "parameter Input has no default and needs a value",
            ]
        );
    }

    #[test]
    fn a_record_says_how_far_its_start_has_come_and_whose_it_is() {
        let parameters = given(&[("Input", "a")]);
        let mut record = new_record(&id(), "Mine", None, &parameters, 1_000);
        let wanted = Wanted::Pipeline {
            name: "mine",
            parameters: &parameters,
        };
        let minutes = |minutes: i64| 1_000 + minutes * 60_000;
        let at = |record: &Item, now| begun(&id(), record, wanted, now).unwrap();
        assert_eq!(at(&record, minutes(10)), Begun::Recorded);
        assert_eq!(
            at(&record, minutes(11)),
            Begun::Doubtful { since: minutes(-5) }
        );
        record.insert("arnKey".to_owned(), Value::from("arn"));
        assert_eq!(
            at(&record, minutes(11)),
            Begun::Started {
                arn: "arn".to_owned()
            }
        );
        let others = given(&[("Input", "b")]);
        for (wanted, by) in [
            (Wanted::Template("t"), "an execution of pipeline Mine"),
            (
                Wanted::Pipeline {
                    name: "other",
                    parameters: &parameters,
                },
                "an execution of pipeline Mine",
            ),
            (
                Wanted::Pipeline {
                    name: "mine",
                    parameters: &others,
                },
                "an execution of pipeline Mine with other parameters",
            ),
        ] {
            assert_eq!(begun(&id(), &record, wanted, 0).unwrap_err().by, by);
        }
        let elsewhere = begun(&id(), &Item::new(), wanted, 0).unwrap_err();
        assert_eq!(elsewhere.by, "an execution that was started elsewhere");
    }

    #[test]
    fn a_token_is_of_the_pipeline_and_the_id() {
        let token = client_request_token("assets", &id());
        assert_eq!(token.len(), 64);
        assert_ne!(token, client_request_token("other", &id()));
        assert_ne!(
            token,
            client_request_token("assets", &RecordId::new("run-2").unwrap())
        );
    }

    #[test]
    fn a_generated_id_sorts_by_its_moment() {
        let id = generated_id(1_714_978_800_999, 0xab);
        assert_eq!(id.as_str(), "20240506-070000-000000ab");
        assert_eq!(RecordId::new(id.as_str()), Ok(id.clone()));
        for now in [i64::MIN, -1, 0, i64::MAX] {
            let id = generated_id(now, u32::MAX);
            assert!(RecordId::new(id.as_str()).is_ok(), "{id}");
        }
    }
}
