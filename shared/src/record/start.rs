//! What an execution is started with, and the record that is made before it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::attribute::{Attribute, Item};
use super::event::EXECUTION_ID;
use super::id::RecordId;
use super::{names, phase};
use crate::training_template::TrainingTemplate;

/// The longest value of a pipeline parameter, in characters.
pub const MAX_PARAMETER_LENGTH: usize = 1024;

/// The longest name of a model package group.
pub const MAX_PACKAGE_GROUP_LENGTH: usize = 63;

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
            "model package group {package_group:?} is no name for one: 1 to {MAX_PACKAGE_GROUP_LENGTH} letters, digits and hyphens are allowed"
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

/// The item `record` of an execution that is about to be started.
///
/// `frozen` is the training template as its table holds it: the copy that a
/// later edit of the template can't change.
pub fn new_record(
    id: &RecordId,
    template_id: &str,
    frozen: Item,
    parameters: &Parameters,
    now: i64,
) -> Item {
    let parameters = parameters
        .iter()
        .map(|(name, value)| (name.clone(), Attribute::s(value)))
        .collect();
    Item::from([
        (names::ID.to_owned(), Attribute::s(id.as_str())),
        (names::ENTRY.to_owned(), Attribute::s(names::RECORD_ENTRY)),
        (names::TEMPLATE_ID.to_owned(), Attribute::s(template_id)),
        (names::PARAMETERS.to_owned(), Attribute::M(frozen)),
        (
            names::PIPELINE_PARAMETERS.to_owned(),
            Attribute::M(parameters),
        ),
        (names::CREATED_AT.to_owned(), Attribute::from(now)),
        (names::PHASE.to_owned(), Attribute::s(phase::OPEN)),
    ])
}

/// The pipeline parameters that a record was made with.
pub fn parameters_of(record: &Item) -> Option<Parameters> {
    record
        .get(names::PIPELINE_PARAMETERS)?
        .as_map()?
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The token by which SageMaker knows a repeated start: hex SHA-256 of the
/// pipeline's name and the id.
pub fn client_request_token(pipeline: &str, id: &RecordId) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(format!("{pipeline}\n{id}").as_bytes()) {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// An id for an execution that nobody named: the moment, to sort by, and
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
    use serde_json::{Value, json};

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
        let frozen = Item::from([("rate".to_owned(), Attribute::N("0.0005".to_owned()))]);
        let record = new_record(&id(), "t", frozen.clone(), &parameters, 5);
        assert_eq!(parameters_of(&record), Some(parameters));
        assert_eq!(record["parameters"], Attribute::M(frozen));
        assert_eq!(record["phase"], Attribute::s("open"));
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
