//! What is said of steps that are only pretended: enough for later steps to read what is
//! certain in advance, such as names, ARNs and where results would lie.

use crate::names::Account;
use pipewright::definition::{Step, StepKind};
use serde_json::{Map, Value, json};

/// The image in the place of the one that an AutoML job would have chosen.
const NO_IMAGE: &str = "simulated-by-pipewright-local";

/// A pretended step.
#[derive(Debug)]
pub(super) struct Pretended {
    /// What `Steps.NAME...` reads: the arguments, and what the service would add.
    pub(super) document: Map<String, Value>,
    /// The step's entry in ListPipelineExecutionSteps, by its member's name.
    pub(super) metadata: Option<(&'static str, Value)>,
}

/// Pretends a step that has no job of its own here.
pub(super) fn pretend(
    account: &Account,
    step: &Step<'_>,
    request: Map<String, Value>,
    job_name: &str,
) -> Pretended {
    let mut document = request;
    let metadata = match step.kind() {
        StepKind::Tuning => Some(tuning(account, &mut document, job_name)),
        StepKind::AutoMl => Some(auto_ml(account, &mut document, job_name)),
        StepKind::QualityCheck => Some((
            "QualityCheck",
            check(account, step, &mut document, job_name),
        )),
        StepKind::ClarifyCheck => Some((
            "ClarifyCheck",
            check(account, step, &mut document, job_name),
        )),
        StepKind::BedrockCustomModel => {
            let arn = account.service_arn("bedrock", "custom-model", job_name);
            document.insert("ModelArn".to_owned(), json!(arn));
            Some(("BedrockCustomModel", json!({"Arn": arn})))
        }
        StepKind::BedrockCustomModelDeployment => {
            let arn = account.service_arn("bedrock", "custom-model-deployment", job_name);
            document.insert("CustomModelDeploymentArn".to_owned(), json!(arn));
            Some(("BedrockCustomModelDeployment", json!({"Arn": arn})))
        }
        StepKind::BedrockModelImport => {
            let arn = account.service_arn("bedrock", "imported-model", job_name);
            document.insert("ImportedModelArn".to_owned(), json!(arn));
            Some(("BedrockModelImport", json!({"Arn": arn})))
        }
        StepKind::BedrockProvisionedModelThroughput => {
            let arn = account.service_arn("bedrock", "provisioned-model", job_name);
            document.insert("ProvisionedModelArn".to_owned(), json!(arn));
            Some(("BedrockProvisionedModelThroughput", json!({"Arn": arn})))
        }
        StepKind::InferenceComponent => {
            let name = document
                .entry("InferenceComponentName")
                .or_insert_with(|| json!(job_name))
                .as_str()
                .unwrap_or(job_name)
                .to_owned();
            let arn = account.arn("inference-component", &name);
            document.insert("InferenceComponentArn".to_owned(), json!(arn));
            Some(("InferenceComponent", json!({"Arn": arn})))
        }
        _ => None,
    };
    Pretended { document, metadata }
}

fn tuning(
    account: &Account,
    document: &mut Map<String, Value>,
    job_name: &str,
) -> (&'static str, Value) {
    let best = format!("{job_name}-001");
    let arn = account.arn("hyper-parameter-tuning-job", job_name);
    let training_job = json!({
        "TrainingJobName": best,
        "TrainingJobArn": account.arn("training-job", &best),
        "TrainingJobStatus": "Completed",
    });
    for (member, value) in [
        ("HyperParameterTuningJobName", json!(job_name)),
        ("HyperParameterTuningJobArn", json!(arn)),
        ("HyperParameterTuningJobStatus", json!("Completed")),
        ("BestTrainingJob", training_job.clone()),
        ("TrainingJobSummaries", json!([training_job])),
    ] {
        document.insert(member.to_owned(), value);
    }
    ("TuningJob", json!({"Arn": arn}))
}

fn auto_ml(
    account: &Account,
    document: &mut Map<String, Value>,
    job_name: &str,
) -> (&'static str, Value) {
    let arn = account.arn("automl-job", job_name);
    let output = document
        .get("OutputDataConfig")
        .and_then(|output| output["S3OutputPath"].as_str())
        .unwrap_or_default()
        .trim_end_matches('/');
    let candidate = json!({
        "CandidateName": format!("{job_name}-candidate"),
        "CandidateStatus": "Completed",
        "InferenceContainers": [{
            "Image": NO_IMAGE,
            "ModelDataUrl": format!("{output}/{job_name}/model.tar.gz"),
            "Environment": {},
        }],
    });
    for (member, value) in [
        ("AutoMLJobName", json!(job_name)),
        ("AutoMLJobArn", json!(arn)),
        ("AutoMLJobStatus", json!("Completed")),
        ("BestCandidate", candidate),
    ] {
        document.insert(member.to_owned(), value);
    }
    ("AutoMLJob", json!({"Arn": arn}))
}

/// A quality or Clarify check, whose results would lie in its first output.
fn check(
    account: &Account,
    step: &Step<'_>,
    document: &mut Map<String, Value>,
    job_name: &str,
) -> Value {
    let output = document
        .get("ProcessingOutputConfig")
        .and_then(|outputs| outputs["Outputs"][0]["S3Output"]["S3Uri"].as_str())
        .map(|uri| uri.trim_end_matches('/').to_owned());
    if let Some(output) = output {
        for (member, file) in [
            ("CalculatedBaselineConstraints", "constraints.json"),
            ("CalculatedBaselineStatistics", "statistics.json"),
            ("BaselineUsedForDriftCheckConstraints", "constraints.json"),
            ("BaselineUsedForDriftCheckStatistics", "statistics.json"),
        ] {
            document.insert(member.to_owned(), json!(format!("{output}/{file}")));
        }
    }
    json!({
        "CheckType": step.member("CheckType").cloned().unwrap_or_default(),
        "CheckJobArn": account.arn("processing-job", job_name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::definition::Definition;

    fn pretended(step: Value) -> Pretended {
        let account = Account {
            id: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        let arguments = step["Arguments"].as_object().cloned().unwrap_or_default();
        let definition = Definition::parse(&json!({"Steps": [step]}).to_string()).unwrap();
        pretend(&account, &definition.steps()[0], arguments, "job")
    }

    #[test]
    fn a_tuning_job_names_its_best_training_job() {
        let tuning = pretended(json!({"Name": "T", "Type": "Tuning", "Arguments": {"A": 1}}));
        assert_eq!(
            tuning.document["BestTrainingJob"]["TrainingJobName"],
            "job-001"
        );
        assert_eq!(tuning.document["A"], 1);
        assert_eq!(
            tuning.metadata.unwrap(),
            (
                "TuningJob",
                json!({"Arn":
                    "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/job"})
            )
        );
    }

    #[test]
    fn a_check_says_where_its_baseline_would_lie() {
        let check = pretended(json!({"Name": "Q", "Type": "QualityCheck",
            "CheckType": "DATA_QUALITY", "Arguments": {"ProcessingOutputConfig": {"Outputs": [
                {"OutputName": "o", "S3Output": {"S3Uri": "s3://b/q/"}}]}}}));
        assert_eq!(
            check.document["CalculatedBaselineConstraints"],
            "s3://b/q/constraints.json"
        );
        let (name, metadata) = check.metadata.unwrap();
        assert_eq!(
            (name, &metadata["CheckType"]),
            ("QualityCheck", &json!("DATA_QUALITY"))
        );
    }

    #[test]
    fn a_type_that_nobody_knows_gives_its_arguments_back() {
        let new = pretended(json!({"Name": "N", "Type": "New", "Arguments": {"A": "x"}}));
        assert_eq!(json!(new.document), json!({"A": "x"}));
        assert!(new.metadata.is_none());
    }
}
