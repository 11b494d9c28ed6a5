//! Jobs that no pipeline has.

use crate::common::{ROLE, StandIn};
use serde_json::{Value, json};
use std::time::Duration;

const WORKER: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker:1";

fn processing(name: &str, program: &str) -> Value {
    json!({
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": WORKER, "ContainerEntrypoint": ["sh", "-c", program]},
        "ProcessingResources": {"ClusterConfig":
            {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        "ProcessingInputs": [{"InputName": "in", "S3Input": {"S3Uri": "s3://data/in",
            "LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix", "S3InputMode": "File"}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output":
            {"S3Uri": "s3://data/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}}]},
        "Environment": {"WORD": "said"},
        "Tags": [{"Key": "team", "Value": "a"}],
    })
}

fn training(name: &str, image: &str) -> Value {
    json!({
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sh", "-c", "echo made > $PIPEWRIGHT_ML_ROOT/model/m; echo trained"]},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource":
            {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://data/models/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "HyperParameters": {"n": "1"},
    })
}

/// Waits until a job has the status; gives its description.
async fn described(standin: &StandIn, noun: &str, name: &str, status: &str) -> Value {
    for _ in 0..1000 {
        let input = json!({format!("{noun}Name"): name});
        let job = standin.call(&format!("Describe{noun}"), input).await;
        if job[format!("{noun}Status")] == status {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never is {status}");
}

/// The statuses that a job's events tell, in their order.
fn told(standin: &StandIn, detail_type: &str, noun: &str) -> Vec<Value> {
    let events = standin.events();
    let of_type = events
        .iter()
        .filter(|event| event.detail_type == detail_type);
    of_type
        .map(|event| event.detail[format!("{noun}Status")].clone())
        .collect()
}

/// A processing job that a call begins runs its program as a step's job does, is listed, has its tags, tells of its statuses, and what it prints is in CloudWatch Logs.
#[tokio::test]
async fn a_processing_job_of_its_own_runs_its_program() {
    let standin = StandIn::start("own-processing").await;
    standin.store.put("data/in/a.txt", "content");
    let program = "cd $PIPEWRIGHT_ML_ROOT/processing && cp in/a.txt out/b.txt && printf \"$WORD\\n\\nwithout end\"";
    let request = processing("Job-1", program);
    let made = standin.call("CreateProcessingJob", request.clone()).await;
    let arn = made["ProcessingJobArn"].clone();
    assert_eq!(
        arn,
        "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/Job-1"
    );
    let job = described(&standin, "ProcessingJob", "Job-1", "Completed").await;
    assert_eq!(job["Environment"]["WORD"], "said");
    assert_eq!(standin.store.text("data/out/b.txt").unwrap(), "content");
    let listed = standin.call("ListProcessingJobs", json!({})).await;
    assert_eq!(
        listed["ProcessingJobSummaries"][0]["ProcessingJobName"],
        "Job-1"
    );
    let tags = standin.call("ListTags", json!({"ResourceArn": arn})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "a"}]));
    let detail_type = "SageMaker Processing Job State Change";
    assert_eq!(
        told(&standin, detail_type, "ProcessingJob"),
        ["InProgress", "Completed"]
    );
    let event = standin.events().pop().unwrap();
    assert_eq!(event.resources, [arn.as_str().unwrap()]);
    assert_eq!(event.detail["Tags"], json!({"team": "a"}));
    assert!(event.detail["CreationTime"].as_i64().unwrap() > 1_600_000_000_000);
    let lines = vec!["said".to_owned(), "without end".to_owned()];
    let group = "/aws/sagemaker/ProcessingJobs".to_owned();
    assert_eq!(
        standin.logged("Job-1"),
        [(group, "algo-1".to_owned(), lines)]
    );
    let (kind, message) = standin.refused("CreateProcessingJob", request).await;
    assert_eq!(kind, "ResourceInUse");
    assert!(message.contains("must be unique"), "{message}");
}

/// A training job that a call begins leaves its model; without a program for its image it is simulated, and says so.
#[tokio::test]
async fn a_training_job_of_its_own_leaves_its_model() {
    let standin = StandIn::start("own-training").await;
    standin.store.put("data/in/a.txt", "content");
    standin
        .call("CreateTrainingJob", training("t", WORKER))
        .await;
    let job = described(&standin, "TrainingJob", "t", "Completed").await;
    let artifact = job["ModelArtifacts"]["S3ModelArtifacts"].as_str().unwrap();
    assert_eq!(artifact, "s3://data/models/t/output/model.tar.gz");
    assert!(
        standin
            .store
            .paths()
            .contains(&"data/models/t/output/model.tar.gz".to_owned())
    );
    assert_eq!(standin.logged("t")[0].2, ["trained"]);
    let other = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/other:1";
    standin
        .call("CreateTrainingJob", training("simulated", other))
        .await;
    let job = described(&standin, "TrainingJob", "simulated", "Completed").await;
    let note = job["SecondaryStatusTransitions"][0]["StatusMessage"]
        .as_str()
        .unwrap();
    assert!(
        note.starts_with("simulated by the local stand-in: no runner for image"),
        "{note}"
    );
    let mut empty = training("empty", other);
    empty["HyperParameters"]["n"] = json!("");
    standin.call("CreateTrainingJob", empty).await;
    let job = described(&standin, "TrainingJob", "empty", "Failed").await;
    assert!(
        job["FailureReason"]
            .as_str()
            .unwrap()
            .contains("n must not be empty")
    );
    let detail_type = "SageMaker Training Job State Change";
    let statuses = [
        "InProgress",
        "Completed",
        "InProgress",
        "Completed",
        "InProgress",
        "Failed",
    ];
    assert_eq!(told(&standin, detail_type, "TrainingJob"), statuses);
    let (kind, message) = standin
        .refused("CreateTrainingJob", training("T", WORKER))
        .await;
    assert_eq!(kind, "ResourceInUse");
    assert!(
        message.starts_with("Training job names must be unique"),
        "{message}"
    );
}

/// A job that a call has begun is stopped by a call, and one whose data is missing fails with the service's words.
#[tokio::test]
async fn a_job_of_its_own_is_stopped_and_fails_as_a_steps_job() {
    let standin = StandIn::start("own-stopped").await;
    let job = processing("missing", "true");
    standin.call("CreateProcessingJob", job).await;
    let job = described(&standin, "ProcessingJob", "missing", "Failed").await;
    let reason = job["FailureReason"].as_str().unwrap();
    assert!(
        reason.contains("No S3 objects found under S3 URL \"s3://data/in\""),
        "{reason}"
    );
    standin.store.put("data/in/a.txt", "content");
    let job = processing("long", "echo up; exec sleep 60");
    standin.call("CreateProcessingJob", job).await;
    let log = standin.run_dir.join("processing-jobs/long/container.log");
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("up")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let name = json!({"ProcessingJobName": "long"});
    standin.call("StopProcessingJob", name).await;
    described(&standin, "ProcessingJob", "long", "Stopped").await;
    let detail_type = "SageMaker Processing Job State Change";
    let statuses = ["InProgress", "Failed", "InProgress", "Stopping", "Stopped"];
    assert_eq!(told(&standin, detail_type, "ProcessingJob"), statuses);
}

#[tokio::test]
async fn a_job_of_its_own_that_cannot_be_meant_is_refused() {
    let standin = StandIn::start("own-refused").await;
    let mut wrong = processing("a b", "true");
    let (_, message) = standin.refused("CreateProcessingJob", wrong.clone()).await;
    assert!(message.contains("processingJobName"), "{message}");
    wrong["ProcessingJobName"] = json!("a");
    wrong["Environment"] = json!({"N": 1});
    let (kind, message) = standin.refused("CreateProcessingJob", wrong.clone()).await;
    assert_eq!(kind, "ValidationException");
    assert!(
        message.starts_with("Environment['N'] must be a string"),
        "{message}"
    );
    wrong["Environment"] = json!({});
    wrong["RoleArn"] = Value::Null;
    let (_, message) = standin.refused("CreateProcessingJob", wrong).await;
    assert!(message.contains("roleArn"), "{message}");
}
