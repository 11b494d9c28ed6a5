//! What is said of steps that are only simulated: enough for later steps to read what is
//! certain in advance, such as names, ARNs and where results would lie.

use crate::names::Account;
use pipewright::definition::{Properties, Resource, StepKind, StepType};
use serde_json::{Map, Value, json};

/// The image in the place of the one that an AutoML job would have chosen.
const NO_IMAGE: &str = "simulated-by-pipewright-local";

/// The most training jobs that a tuning job has.
const MOST_TRAININGS: u64 = 500;

/// What the members with baselines have in their names.
const BASELINE: &str = "Baseline";

/// What is said of a simulated step.
#[derive(Debug)]
pub(super) struct Description {
    /// What `Steps.NAME...` reads: the arguments, and what the service would add.
    pub(super) document: Map<String, Value>,
    /// Its metadata in ListPipelineExecutionSteps; null if there is nothing to say.
    pub(super) metadata: Value,
}

/// Describes a step that has no job of its own here; `beside` is what stands beside its
/// arguments, resolved like them.
pub(super) fn describe(
    account: &Account,
    step_type: &StepType,
    request: Map<String, Value>,
    beside: &Value,
    job_name: &str,
) -> Description {
    let mut document = request;
    let metadata = match step_type.makes {
        Some(made) => {
            let arn = describe_resource(account, made, &mut document, job_name);
            match (step_type.kind, step_type.properties) {
                (_, Properties::Baselines) => check(step_type, beside, &mut document, &arn),
                (StepKind::Tuning, _) => {
                    tuning(account, &mut document, job_name);
                    json!({"Arn": arn})
                }
                (StepKind::AutoMl, _) => {
                    auto_ml(&mut document, job_name);
                    json!({"Arn": arn})
                }
                _ => json!({"Arn": arn}),
            }
        }
        None => Value::Null,
    };
    Description { document, metadata }
}

/// Adds name, ARN and status of what the step would have made, and gives the ARN.
fn describe_resource(
    account: &Account,
    made: Resource,
    document: &mut Map<String, Value>,
    job_name: &str,
) -> String {
    let name = made.member("Name");
    let given = document.get(&name).and_then(Value::as_str);
    // The pipeline names jobs itself.
    let given = given.filter(|_| !made.is_job()).unwrap_or(job_name);
    let arn = account.service_arn(made.service, made.arn_type, given);
    document.insert(name, json!(given));
    document.insert(made.member("Arn"), json!(arn));
    if let Some(status) = made.ready {
        document.insert(made.member("Status"), json!(status));
    }
    arn
}

fn tuning(account: &Account, document: &mut Map<String, Value>, job_name: &str) {
    let limits = document
        .get("HyperParameterTuningJobConfig")
        .map(|configuration| &configuration["ResourceLimits"]["MaxNumberOfTrainingJobs"]);
    let ordered = limits.and_then(Value::as_u64).unwrap_or(1);
    // As if each one had done better than the next.
    let jobs: Vec<Value> = (1..=ordered.clamp(1, MOST_TRAININGS))
        .map(|number| {
            let name = format!("{job_name}-{number:03}");
            json!({
                "TrainingJobName": name,
                "TrainingJobArn": account.arn("training-job", &name),
                "TrainingJobStatus": "Completed",
            })
        })
        .collect();
    document.insert("BestTrainingJob".to_owned(), json!(jobs[0]));
    document.insert("TrainingJobSummaries".to_owned(), json!(jobs));
}

fn auto_ml(document: &mut Map<String, Value>, job_name: &str) {
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
    document.insert("BestCandidate".to_owned(), candidate);
}

/// A quality or Clarify check, which finds no violation and whose results would lie in its first
/// output.
fn check(
    step_type: &StepType,
    beside: &Value,
    document: &mut Map<String, Value>,
    job_arn: &str,
) -> Value {
    let flag = |member: &str| beside[member].as_bool().unwrap_or(false);
    let mut metadata = json!({
        "CheckType": beside["CheckType"],
        "CheckJobArn": job_arn,
        "SkipCheck": flag("SkipCheck"),
        "RegisterNewBaseline": flag("RegisterNewBaseline"),
    });
    if beside["ModelPackageGroupName"].is_string() {
        metadata["ModelPackageGroupName"] = beside["ModelPackageGroupName"].clone();
    }
    let output = document
        .get("ProcessingOutputConfig")
        .and_then(|outputs| outputs["Outputs"][0]["S3Output"]["S3Uri"].as_str())
        .map(|uri| uri.trim_end_matches('/').to_owned());
    let Some(output) = output else {
        return metadata;
    };
    for (what, file) in [
        ("Constraints", "constraints.json"),
        ("Statistics", "statistics.json"),
    ] {
        let calculated = json!(format!("{output}/{file}"));
        // A new baseline takes the place of the one that is supplied.
        let supplied = beside.get(format!("Supplied{BASELINE}{what}"));
        let supplied = supplied.filter(|uri| uri.as_str().is_some_and(|uri| !uri.is_empty()));
        let used = supplied.filter(|_| !flag("RegisterNewBaseline"));
        let used = used.unwrap_or(&calculated).clone();
        for (member, uri) in [
            (format!("Calculated{BASELINE}{what}"), calculated),
            (format!("{BASELINE}UsedForDriftCheck{what}"), used),
        ] {
            // The metadata of a Clarify check has no statistics.
            if what == "Constraints" || step_type.kind == StepKind::QualityCheck {
                metadata[&member] = uri.clone();
            }
            document.insert(member, uri);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::definition::Definition;

    fn described(step: Value) -> Description {
        let account = Account {
            id: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        let arguments = step["Arguments"].as_object().cloned().unwrap_or_default();
        let definition = Definition::parse(&json!({"Steps": [&step]}).to_string()).unwrap();
        let step_type = definition.steps()[0].step_type();
        describe(&account, step_type, arguments, &step, "job")
    }

    #[test]
    fn a_tuning_job_names_its_best_training_job() {
        let tuning = described(json!({"Name": "T", "Type": "Tuning", "Arguments": {"A": 1,
            "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 2}}}}));
        let jobs = tuning.document["TrainingJobSummaries"].as_array().unwrap();
        let names: Vec<&Value> = jobs.iter().map(|job| &job["TrainingJobName"]).collect();
        assert_eq!(names, ["job-001", "job-002"]);
        assert_eq!(
            tuning.document["BestTrainingJob"]["TrainingJobName"],
            "job-001"
        );
        assert_eq!(tuning.document["A"], 1);
        assert_eq!(
            tuning.metadata,
            json!({"Arn":
                "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/job"})
        );
    }

    #[test]
    fn a_check_says_where_its_baseline_would_lie() {
        let check = described(json!({"Name": "Q", "Type": "QualityCheck",
            "CheckType": "DATA_QUALITY", "Arguments": {"ProcessingOutputConfig": {"Outputs": [
                {"OutputName": "o", "S3Output": {"S3Uri": "s3://b/q/"}}]}}}));
        assert_eq!(
            check.document["CalculatedBaselineConstraints"],
            "s3://b/q/constraints.json"
        );
        assert_eq!(check.metadata["CheckType"], "DATA_QUALITY");
    }

    #[test]
    fn a_check_uses_the_supplied_baseline_unless_it_registers_a_new_one() {
        let step = |kind: &str, new: bool| {
            json!({"Name": "Q", "Type": kind, "CheckType": "DATA_BIAS",
                "SkipCheck": false, "RegisterNewBaseline": new,
                "ModelPackageGroupName": "group", "SuppliedBaselineStatistics": "",
                "SuppliedBaselineConstraints": "s3://b/given.json",
                "Arguments": {"ProcessingOutputConfig": {"Outputs": [
                    {"OutputName": "o", "S3Output": {"S3Uri": "s3://b/q"}}]}}})
        };
        let job = "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/job";
        assert_eq!(
            described(step("QualityCheck", false)).metadata,
            json!({"CheckType": "DATA_BIAS", "CheckJobArn": job, "SkipCheck": false,
                "RegisterNewBaseline": false, "ModelPackageGroupName": "group",
                "CalculatedBaselineConstraints": "s3://b/q/constraints.json",
                "BaselineUsedForDriftCheckConstraints": "s3://b/given.json",
                "CalculatedBaselineStatistics": "s3://b/q/statistics.json",
                "BaselineUsedForDriftCheckStatistics": "s3://b/q/statistics.json"})
        );
        assert_eq!(
            described(step("ClarifyCheck", true)).metadata,
            json!({"CheckType": "DATA_BIAS", "CheckJobArn": job, "SkipCheck": false,
                "RegisterNewBaseline": true, "ModelPackageGroupName": "group",
                "CalculatedBaselineConstraints": "s3://b/q/constraints.json",
                "BaselineUsedForDriftCheckConstraints": "s3://b/q/constraints.json"})
        );
    }

    #[test]
    fn an_unknown_type_gives_its_arguments_back() {
        let new = described(json!({"Name": "N", "Type": "New", "Arguments": {"A": "x"}}));
        assert_eq!(json!(new.document), json!({"A": "x"}));
        assert!(new.metadata.is_null());
    }
}
