//! Jobs of frameworks' images: a Python of this machine runs the programs that they bring.

use crate::common::{ROLE, StandIn};
use flate2::Compression;
use flate2::write::GzEncoder;
use pipewright_local::runner::{Containers, Mounts};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const IMAGE: &str = "host/scripts:1.2-1-cpu-py3";

/// A compressed archive of files, as the SDK uploads a program's folder.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn pipeline(steps: Value) -> Value {
    json!({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})
}

fn training(hyper_parameters: Value) -> Value {
    json!({"Name": "Train", "Type": "Training", "Arguments": {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "error", "Regex": "error=(\\S+)"}]},
        "HyperParameters": hyper_parameters,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": "s3://data/train"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://models/out"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "RoleArn": ROLE,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60}}})
}

/// Runs a pipeline; gives its execution's description and its steps.
async fn run(
    standin: &StandIn,
    steps: Value,
) -> (Value, std::collections::BTreeMap<String, Value>) {
    standin.create("scripts", &pipeline(steps)).await;
    let arn = standin.start_execution("scripts", json!([])).await;
    let ended = standin.finished(&arn).await;
    (ended, standin.steps(&arn).await)
}

/// The name of the job of the step `Train`.
fn job_name(steps: &std::collections::BTreeMap<String, Value>) -> &str {
    let arn = &steps["Train"]["Metadata"]["TrainingJob"]["Arn"];
    arn.as_str().unwrap().rsplit('/').next().unwrap()
}

/// What the stand-in says of that job.
async fn described(standin: &StandIn, name: &str) -> Value {
    let input = json!({"TrainingJobName": name});
    standin.call("DescribeTrainingJob", input).await
}

const TRAIN: &str = r#"
import argparse, json, os
import helper
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--name")
parser.add_argument("--x-y")
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
arguments = parser.parse_args()
with open(os.path.join(arguments.train, "numbers.txt")) as file:
    total = sum(map(float, file))
with open("/opt/ml/input/config/resourceconfig.json") as file:
    assert json.load(file)["current_instance_type"] == "ml.m5.large"
assert os.environ["TRAINING_JOB_NAME"] in os.environ["SM_TRAINING_ENV"]
with open(os.path.join(arguments.model_dir, "model.json"), "w") as file:
    json.dump({"total": total, "rate": arguments.rate, "name": arguments.name}, file)
assert os.environ["SM_HP_X-Y"] == arguments.x_y == "1"
print(f"error={helper.error()}")
"#;

const INFERENCE: &str = r#"
import json, os

def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.json")) as file:
        return json.load(file)

def predict_fn(data, model):
    return [model["total"] * each for each in data]
"#;

/// A training in script mode finds its hyperparameters, channels and folders as the toolkit gives them, and what it leaves is its model.
#[tokio::test]
async fn a_training_in_script_mode_runs_the_program_that_it_brings() {
    let standin = StandIn::start("script-mode").await;
    if !standin.mounts_folders {
        eprintln!(
            "not tested: the program names /opt/ml, and this machine gives no mount namespace"
        );
        return;
    }
    standin.store.put("data/train/numbers.txt", "1\n2\n");
    let files = [
        ("jobs/train.py", TRAIN),
        ("helper.py", "def error():\n    return 0.125\n"),
    ];
    standin
        .store
        .put_bytes("code/job/source/sourcedir.tar.gz", archive(&files));
    let step = training(json!({
        "sagemaker_program": "\"jobs/train.py\"",
        "x-y": "1",
        "sagemaker_submit_directory": "\"s3://code/job/source/sourcedir.tar.gz\"",
        "rate": "0.5",
        "name": "\"two words\"",
    }));
    let (ended, steps) = run(&standin, json!([step])).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{steps:?}");
    let name = job_name(&steps);
    let job = described(&standin, name).await;
    assert_eq!(job["FinalMetricDataList"][0]["Value"], 0.125, "{job}");
    // The model is served by the functions of a program of its own.
    let inference = archive(&[("inference.py", INFERENCE)]);
    standin
        .store
        .put_bytes("code/inference/sourcedir.tar.gz", inference);
    let container = json!({"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "s3://code/inference/sourcedir.tar.gz"}});
    crate::endpoints::create(&standin, &[container]).await;
    crate::endpoints::status(&standin, "InService").await;
    let (status, _, answer) = standin
        .invoke("e", "content-type: application/json\r\n", b"[2, 4]")
        .await;
    assert_eq!((status, answer.as_str()), (200, "[6.0, 12.0]"));
    let (status, _, answer) = standin.invoke("e", "content-type: text/x\r\n", b"?").await;
    assert_eq!(status, 424, "{answer}");
    assert!(answer.contains("text/x"), "{answer}");
}

/// A program in script mode that fails is told with the end of its log and its command, as the toolkit does it.
#[tokio::test]
async fn a_program_that_fails_is_told_as_the_toolkit_does() {
    let standin = StandIn::start("script-failure").await;
    standin.store.put("data/train/numbers.txt", "1\n");
    let files = [(
        "train.py",
        "print('begun')\nraise ValueError('no such column')\n",
    )];
    standin
        .store
        .put_bytes("code/sourcedir.tar.gz", archive(&files));
    let step = training(json!({"sagemaker_program": "train.py", "n": "3",
        "sagemaker_submit_directory": "s3://code/sourcedir.tar.gz"}));
    let (ended, steps) = run(&standin, json!([step])).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Failed");
    let reason = steps["Train"]["FailureReason"].as_str().unwrap();
    assert!(
        reason.contains("ExecuteUserScriptError:\nExitCode 1\nErrorMessage \"ValueError: no such column\"\nCommand \"python3 train.py -n 3\""),
        "{reason}"
    );
}

/// A processing job of a framework's image runs its entrypoint, a script that unpacks the sources among them.
#[tokio::test]
async fn a_processing_job_runs_the_program_that_it_brings() {
    let standin = StandIn::start("script-processing").await;
    if !standin.mounts_folders {
        eprintln!(
            "not tested: the program names /opt/ml, and this machine gives no mount namespace"
        );
        return;
    }
    standin.store.put_bytes(
        "code/sourcedir.tar.gz",
        archive(&[("prepare.py", "import sys\nopen('/opt/ml/processing/out/said.txt', 'w').write(' '.join(sys.argv[1:]))\n")]),
    );
    standin.store.put(
        "code/entry/runproc.sh",
        "cd /opt/ml/processing/input/code/ && tar -xzf sourcedir.tar.gz && exec python prepare.py \"$@\"\n",
    );
    let input = |name: &str, uri: &str, path: &str| {
        json!({"InputName": name, "AppManaged": false,
        "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}})
    };
    let step = |name: &str, image: &str| {
        json!({"Name": name, "Type": "Processing", "Arguments": {
        "AppSpecification": {"ImageUri": image, "ContainerArguments": ["a", "b c"],
            "ContainerEntrypoint": ["/bin/bash", "/opt/ml/processing/input/entrypoint/runproc.sh"]},
        "ProcessingInputs": [
            input("code", "s3://code/sourcedir.tar.gz", "/opt/ml/processing/input/code/"),
            input("entrypoint", "s3://code/entry/runproc.sh", "/opt/ml/processing/input/entrypoint")],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": {
            "S3Uri": format!("s3://data/{name}"), "LocalPath": "/opt/ml/processing/out",
            "S3UploadMode": "EndOfJob"}}]},
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
            "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        "RoleArn": ROLE}})
    };
    let steps = json!([
        step("Prepare", IMAGE),
        step("Foreign", "ghcr.io/somebody/scripts:1")
    ]);
    let (ended, steps) = run(&standin, steps).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{steps:?}");
    assert_eq!(
        standin.store.text("data/Prepare/said.txt").unwrap(),
        "a b c"
    );
    let note = steps["Foreign"]["StepDescription"].as_str().unwrap();
    assert!(note.starts_with("[simulated: "), "{note}");
}

/// A training whose entrypoint is a script of a channel, as that of a function with the SDK's `@step` is, runs it with the image's Python.
#[tokio::test]
async fn a_training_runs_the_entrypoint_that_a_channel_brings() {
    let standin = StandIn::start("decorated").await;
    if !standin.mounts_folders {
        eprintln!(
            "not tested: the program names /opt/ml, and this machine gives no mount namespace"
        );
        return;
    }
    let driver = "exec python \"$(dirname \"$0\")/invoke.py\" \"$@\"\n";
    standin.store.put("code/bootstrap/job_driver.sh", driver);
    standin.store.put(
        "code/bootstrap/invoke.py",
        "import json, sys\n\
         with open('/opt/ml/input/config/resourceconfig.json') as file:\n    \
         assert json.load(file)['current_instance_type'] == 'ml.m5.large'\n\
         print('error=' + sys.argv[sys.argv.index('--function') + 1])\n",
    );
    let mut step = training(json!({}));
    let arguments = &mut step["Arguments"];
    arguments["AlgorithmSpecification"]["ContainerEntrypoint"] = json!([
        "/bin/bash",
        "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh"
    ]);
    arguments["AlgorithmSpecification"]["ContainerArguments"] =
        json!(["--region", "eu-west-1", "--function", "0.25"]);
    arguments["InputDataConfig"] = json!([{"ChannelName": "sagemaker_remote_function_bootstrap",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://code/bootstrap"}}}]);
    let (ended, steps) = run(&standin, json!([step])).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{steps:?}");
    let job = described(&standin, job_name(&steps)).await;
    assert_eq!(job["FinalMetricDataList"][0]["Value"], 0.25, "{job}");
}

/// A training that brings no program, for the image has an algorithm of its own, is simulated and says so.
#[tokio::test]
async fn an_algorithm_of_the_image_itself_is_simulated() {
    let standin = StandIn::start("own-algorithm").await;
    standin.store.put("data/train/numbers.txt", "1\n");
    let (ended, steps) = run(&standin, json!([training(json!({"max_depth": "3"}))])).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded");
    let note = steps["Train"]["StepDescription"].as_str().unwrap();
    assert!(
        note.contains("no hyperparameter sagemaker_program"),
        "{note}"
    );
}

/// Stands for docker: writes down what it is called with, and works in the job's folder.
const ENGINE: &str = r#"#!/bin/sh
echo "$@" >> "$CALLS"
[ "$1" = run ] || exit 0
for word; do case $word in *:/opt/ml) root=${word%:/opt/ml};; esac; done
case "$*" in
*--fail*) echo "no such file" >&2; exit 1;;
esac
echo "error=0.5"
cp "$root/input/data/train/numbers.txt" "$root/model/"
"#;

/// Where containers are asked for, an image is run itself, with the job's folder at /opt/ml; one that fails is removed.
#[tokio::test]
async fn an_image_is_run_itself_where_containers_are_asked_for() {
    let folder = std::env::temp_dir().join(format!("pipewright-engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (engine, calls) = (folder.join("docker"), folder.join("calls"));
    std::fs::write(&engine, ENGINE).unwrap();
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
    let environment = vec![("CALLS".into(), calls.clone().into_os_string())];
    let environment = [environment, vec![("PATH".into(), "/usr/bin:/bin".into())]].concat();
    let mounts = Mounts::None {
        reason: "an engine mounts by itself".to_owned(),
    };
    let containers = Containers {
        engine,
        environment,
        certificates: None,
    };
    let standin = StandIn::start_with("containers", mounts, Some(containers)).await;
    standin.store.put("data/train/numbers.txt", "1\n");
    let image = "683313688378.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1";
    let mut step = training(json!({"max_depth": "3"}));
    step["Arguments"]["AlgorithmSpecification"]["TrainingImage"] = json!(image);
    let (ended, steps) = run(&standin, json!([step])).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{steps:?}");
    assert!(steps["Train"].get("StepDescription").is_none());
    let name = job_name(&steps);
    let job = described(&standin, name).await;
    assert_eq!(job["FinalMetricDataList"][0]["Value"], 0.5, "{job}");
    let called = std::fs::read_to_string(&calls).unwrap();
    assert!(
        called.starts_with(&format!(
            "run --rm --init --network host --name {name}-algo-1"
        )),
        "{called}"
    );
    assert!(called.contains("--env TRAINING_JOB_NAME"), "{called}");
    assert!(
        called.trim_end().ends_with(&format!("{image} train")),
        "{called}"
    );

    step["Arguments"]["AlgorithmSpecification"]["ContainerArguments"] = json!(["--fail"]);
    standin
        .call(
            "DeletePipeline",
            json!({"PipelineName": "scripts", "ClientRequestToken": crate::common::TOKEN}),
        )
        .await;
    let (ended, steps) = run(&standin, json!([step])).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Failed");
    let called = std::fs::read_to_string(&calls).unwrap();
    let removed = format!("rm --force {}-algo-1", job_name(&steps));
    assert!(called.contains(&removed), "{called}");
    std::fs::remove_dir_all(folder).unwrap();
}
