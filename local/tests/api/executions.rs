//! Executions, driven over HTTP, with S3, EventBridge and Lambda in memory.

use crate::common::{ROLE, StandIn, TOKEN};
use pipewright_local::clock::Millis;
use pipewright_local::event::Event;
use pipewright_local::runner::Mounts;
use serde_json::{Value, json};
use std::time::Duration;

/// A processing step that runs a shell script in the job's folder.
fn script_step(name: &str, script: &str) -> Value {
    json!({
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {
                "ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker:1",
                "ContainerEntrypoint": ["/bin/sh", "-c", script, "job"],
                "ContainerArguments": ["/opt/ml/processing", {"Get": "Parameters.Word"}],
            },
            "Environment": {"EXECUTION": {"Get": "Execution.PipelineExecutionId"}},
            "ProcessingInputs": [{"InputName": "in", "S3Input": {
                "S3Uri": "s3://data/in/", "LocalPath": "/opt/ml/processing/in",
                "S3DataType": "S3Prefix", "S3InputMode": "File"}}],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": {
                "S3Uri": {"Std:Join": {"On": "/", "Values":
                    ["s3://data/out", {"Get": "Execution.PipelineExecutionId"}]}},
                "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}}]},
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
                "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
            "RoleArn": ROLE,
        },
        "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "out",
            "FilePath": "report.json"}],
    })
}

fn training_step(uri: Value, hyper_parameters: Value) -> Value {
    json!({
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {"TrainingImage": "x/forecasting-deepar:1",
                "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://models/m"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 10},
            "RoleArn": ROLE,
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": uri}}}],
            "HyperParameters": hyper_parameters,
        },
    })
}

fn definition(steps: Value) -> Value {
    json!({
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [
            {"Name": "Word", "Type": "String", "DefaultValue": "hello"},
            {"Name": "Limit", "Type": "Float", "DefaultValue": 0.5},
            {"Name": "Colour", "Type": "String", "DefaultValue": "red",
             "EnumValues": ["red", "blue"]},
            {"Name": "Count", "Type": "Integer", "DefaultValue": 21},
        ],
        "PipelineExperimentConfig": {"ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"}},
        "Steps": steps,
    })
}

const REPORT: &str = r#"set -e; cat "$1/in/a.txt" > "$1/out/copy.txt"; echo "$2" >> "$1/out/copy.txt";
    echo '{"metrics": {"error": 0.25}}' > "$1/out/report.json"; echo done by "$EXECUTION""#;

/// Process, decide by what the process wrote, train, register, make a model.
fn full_definition() -> Value {
    definition(json!([
        {"Name": "Register", "Type": "RegisterModel", "Arguments": {
            "ModelPackageGroupName": "forecasts",
            "ModelApprovalStatus": "PendingManualApproval",
            "CustomerMetadataProperties": {"ExecutionId": "run-1"},
            "InferenceSpecification": {"Containers": [{"Image": "i",
                "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"]}}},
        {"Name": "Model", "Type": "Model", "Arguments": {"ExecutionRoleArn": ROLE,
            "PrimaryContainer": {"Image": "i", "Environment": {},
                "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}}},
        script_step("Process", REPORT),
        training_step(json!({"Get":
            "Steps.Process.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}),
            json!({"epochs": "3"})),
        {"Name": "Good", "Type": "Condition", "Arguments": {
            "Conditions": [{"Type": "LessThanOrEqualTo",
                "LeftValue": {"Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.Process.PropertyFiles.Report"},
                    "Path": "metrics.error"}},
                "RightValue": {"Get": "Parameters.Limit"}}],
            "IfSteps": [{"Name": "Double", "Type": "Lambda",
                "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:double",
                "Arguments": {"n": {"Get": "Parameters.Count"}},
                "OutputParameters": [{"OutputName": "doubled", "OutputType": "Integer"}]}],
            "ElseSteps": [{"Name": "TooBad", "Type": "Fail", "Arguments": {"ErrorMessage":
                {"Std:Join": {"On": " ", "Values": ["error above", {"Get": "Parameters.Limit"}]}}}}],
        }},
    ]))
}

#[tokio::test]
async fn a_pipeline_runs_its_steps_in_order_and_tells_of_every_change() {
    let standin = StandIn::start("full").await;
    standin.store.put("data/in/a.txt", "content\n");
    let created = standin.create("MyPipe", &full_definition()).await;
    assert_eq!(
        created["PipelineArn"],
        "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/MyPipe"
    );
    let arn = standin
        .start_execution("mypipe", json!([{"Name": "Word", "Value": "welt"}]))
        .await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
    assert_eq!(
        ended["PipelineExperimentConfig"]["ExperimentName"],
        "MyPipe"
    );
    let id = arn.rsplit('/').next().unwrap();

    // The job really ran, with its input, argument, environment and output.
    assert_eq!(
        standin
            .store
            .text(&format!("data/out/{id}/copy.txt"))
            .unwrap(),
        "content\nwelt\n"
    );
    let log = standin.run_dir.join(id).join("Process/container.log");
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        format!("done by {id}\n")
    );

    let steps = standin.steps(&arn).await;
    assert_eq!(steps.len(), 6, "{steps:?}");
    assert!(!steps.contains_key("TooBad"));
    assert_eq!(
        steps["Good"]["Metadata"]["Condition"]["Outcome"], "True",
        "0.25 is below 0.5"
    );
    assert_eq!(
        steps["Double"]["Metadata"]["Lambda"]["OutputParameters"],
        json!([{"Name": "doubled", "Value": "42"}])
    );
    assert!(steps["Process"].get("StepDescription").is_none());
    for simulated in ["Train", "Model", "Register"] {
        let note = steps[simulated]["StepDescription"].as_str().unwrap();
        assert!(note.starts_with("[simulated: "), "{note}");
    }

    assert_eq!(standin.execution_statuses(), ["Executing", "Succeeded"]);
    let changes = standin.step_changes();
    let at = |change: &str| {
        changes
            .iter()
            .position(|sent| sent == change)
            .unwrap_or_else(|| panic!("no '{change}' in {changes:?}"))
    };
    for step in ["Process", "Train", "Good", "Double", "Register", "Model"] {
        assert!(at(&format!("{step} Starting")) < at(&format!("{step} Executing")));
        assert!(at(&format!("{step} Executing")) < at(&format!("{step} Succeeded")));
    }
    assert!(at("Process Succeeded") < at("Train Starting"));
    assert!(at("Train Succeeded") < at("Register Starting"));
    assert_eq!(changes.len(), 18);
}

/// A program finds its job's folder at /opt/ml, as SageMaker has it, and two jobs at once don't meet there.
#[tokio::test]
async fn a_program_finds_its_own_folder_at_opt_ml() {
    let mounts = Mounts::of_machine(&std::env::temp_dir());
    if let Mounts::None { reason } = &mounts {
        eprintln!("not tested, since this machine gives no mount namespace: {reason}");
        return;
    }
    let standin = StandIn::start_with("own-folder", mounts, None).await;
    standin.store.put("data/in/a.txt", "content\n");
    let script = r#"set -e; cd /opt/ml/processing; cat /opt/ml/processing/in/a.txt > out/copy.txt
        echo "$EXECUTION" >> /opt/ml/processing/out/who.txt; sleep 0.5
        test "$(cat /opt/ml/processing/out/who.txt)" = "$EXECUTION"; test -d "$PIPEWRIGHT_ML_ROOT""#;
    standin
        .create(
            "literal",
            &definition(json!([script_step("Process", script)])),
        )
        .await;
    let first = standin.start_execution("literal", json!([])).await;
    let second = standin.start_execution("literal", json!([])).await;
    for arn in [first, second] {
        let ended = standin.finished(&arn).await;
        assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
        let id = arn.rsplit('/').next().unwrap();
        let written = |name: &str| standin.store.text(&format!("data/out/{id}/{name}"));
        assert_eq!(written("copy.txt").unwrap(), "content\n");
        assert_eq!(written("who.txt").unwrap(), format!("{id}\n"));
    }
    assert!(!std::path::Path::new("/opt/ml/processing/out/who.txt").exists());
}

/// Where a machine gives no mount namespace, arguments are led to the job's folder, and a failure that names /opt/ml says why it is not there.
#[tokio::test]
async fn a_failure_for_lack_of_opt_ml_says_why() {
    let mounts = Mounts::None {
        reason: "unshare failed: Operation not permitted".to_owned(),
    };
    let standin = StandIn::start_with("no-mounts", mounts, None).await;
    standin.store.put("data/in/a.txt", "content\n");
    let script = "cat \"$1/in/a.txt\" && cat /opt/ml/processing/in/a.txt";
    standin
        .create(
            "literal",
            &definition(json!([script_step("Process", script)])),
        )
        .await;
    let arn = standin.start_execution("literal", json!([])).await;
    standin.finished(&arn).await;
    let reason = standin.steps(&arn).await["Process"]["FailureReason"].clone();
    let reason = reason.as_str().unwrap();
    assert!(
        reason.contains("its log names /opt/ml, which is not there: this machine gives no mount namespace (unshare failed: Operation not permitted)"),
        "{reason}"
    );
}

#[tokio::test]
async fn events_have_the_shape_that_sagemaker_gives_them() {
    let standin = StandIn::start("shape").await;
    standin.store.put("data/in/a.txt", "content\n");
    standin.create("MyPipe", &full_definition()).await;
    let arn = standin.start_execution("MyPipe", json!([])).await;
    let ended = standin.finished(&arn).await;
    let created = Millis::from_json(&ended["CreationTime"]).unwrap();
    let pipeline = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/MyPipe";
    let events = standin.events();
    let of = |step: &str, status: &str| {
        events
            .iter()
            .find(|event| {
                event.detail["stepName"] == step && event.detail["currentStepStatus"] == status
            })
            .unwrap()
            .detail
            .clone()
    };
    for event in &events {
        if [Event::EXECUTION, Event::STEP].contains(&event.detail_type) {
            assert_eq!(event.resources, [pipeline, &arn]);
        }
    }
    assert_eq!(
        events[0].detail,
        json!({
            "pipelineExecutionDisplayName": "run-1",
            "currentPipelineExecutionStatus": "Executing",
            "executionStartTime": created.to_iso(),
            "pipelineArn": pipeline,
            "pipelineExecutionArn": arn,
        })
    );
    let starting = of("Process", "Starting");
    assert_eq!(starting["metadata"], json!({}));
    assert!(starting.get("previousStepStatus").is_none());
    assert!(starting.get("stepEndTime").is_none());
    let done = of("Process", "Succeeded");
    assert_eq!(done["previousStepStatus"], "Executing");
    assert_eq!(done["stepType"], "Processing");
    let job = done["metadata"]["processingJob"]["arn"].as_str().unwrap();
    let id = arn.rsplit('/').next().unwrap();
    assert!(job.contains(&format!(":processing-job/pipelines-{id}-Process-")));
    assert_eq!(
        of("Train", "Succeeded")["metadata"]["pipewrightLocal"]["simulated"],
        true
    );
    assert_eq!(
        of("Good", "Succeeded")["metadata"],
        json!({"condition": {"outcome": "True"}})
    );
    let model = events
        .iter()
        .find(|event| event.detail_type == Event::MODEL)
        .unwrap();
    assert_eq!(
        model.detail["Tags"]["sagemaker:pipeline-execution-arn"],
        json!(arn)
    );
    assert_eq!(model.detail["Containers"], Value::Null);
    let package = events
        .iter()
        .find(|event| event.detail_type == Event::MODEL_PACKAGE)
        .unwrap();
    assert_eq!(package.detail["ModelPackageVersion"], 1);
    assert_eq!(
        package.detail["CustomerMetadataProperties"],
        json!({"ExecutionId": "run-1"})
    );
    // A step begins in a later second than what it waits for has ended in: times alone tell
    // their order.
    assert!(
        of("Train", "Starting")["stepStartTime"].as_str().unwrap()
            > done["stepEndTime"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_condition_that_does_not_hold_takes_the_other_branch() {
    let standin = StandIn::start("else").await;
    standin.store.put("data/in/a.txt", "content\n");
    standin.create("p", &full_definition()).await;
    let arn = standin
        .start_execution("p", json!([{"Name": "Limit", "Value": "0.2"}]))
        .await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Failed");
    assert_eq!(
        ended["FailureReason"],
        "Step failure: One or multiple steps failed."
    );
    let steps = standin.steps(&arn).await;
    assert!(!steps.contains_key("Double"));
    assert_eq!(steps["TooBad"]["FailureReason"], "error above 0.2");
    let failed = standin
        .events()
        .into_iter()
        .find(|event| event.detail["currentStepStatus"] == "Failed")
        .unwrap();
    assert_eq!(failed.detail["failureReason"], "error above 0.2");
}

#[tokio::test]
async fn a_failed_program_fails_its_step_with_its_message_and_no_upload() {
    let standin = StandIn::start("fails").await;
    standin.store.put("data/in/a.txt", "content\n");
    let script = r#"echo x > "$1/out/half"; mkdir -p "$1/../output";
        printf 'the CSV has no rows' > "$1/../output/message"; exit 3"#;
    let steps = json!([
        script_step("Process", script),
        {"Name": "After", "Type": "Fail", "DependsOn": ["Process"],
         "Arguments": {"ErrorMessage": ""}},
    ]);
    standin.create("p", &definition(steps)).await;
    let arn = standin.start_execution("p", json!([])).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Failed");
    let steps = standin.steps(&arn).await;
    assert_eq!(steps.len(), 1, "nothing begins after a failure");
    let reason = "AlgorithmError: the CSV has no rows, exit code: 3";
    assert_eq!(
        steps["Process"]["FailureReason"],
        format!("ClientError: {reason}")
    );
    let job = steps["Process"]["Metadata"]["ProcessingJob"]["Arn"]
        .as_str()
        .unwrap();
    let described = standin
        .call(
            "DescribeProcessingJob",
            json!({"ProcessingJobName": job.rsplit('/').next().unwrap()}),
        )
        .await;
    assert_eq!(described["ProcessingJobStatus"], "Failed");
    assert_eq!(described["FailureReason"], reason);
    assert_eq!(described["ExitMessage"], "the CSV has no rows");
    assert_eq!(standin.store.paths(), ["data/in/a.txt"]);
}

#[tokio::test]
async fn missing_data_and_empty_hyperparameters_fail_a_simulated_training() {
    let standin = StandIn::start("training").await;
    for (name, hyper_parameters, reason) in [
        ("a", json!({"epochs": "3"}), "No S3 objects found"),
        (
            "b",
            json!({"epochs": "3", "cardinality": ""}),
            "cardinality must not be empty",
        ),
    ] {
        let steps = json!([training_step(json!("s3://data/nothing/"), hyper_parameters)]);
        standin.create(name, &definition(steps)).await;
        let arn = standin.start_execution(name, json!([])).await;
        standin.finished(&arn).await;
        let steps = standin.steps(&arn).await;
        let given = steps["Train"]["FailureReason"].as_str().unwrap();
        assert!(given.starts_with("ClientError: "), "{given}");
        assert!(given.contains(reason), "{given}");
    }
}

#[tokio::test]
async fn a_reference_to_what_is_not_there_fails_the_step_by_name() {
    let standin = StandIn::start("reference").await;
    standin.store.put("data/in/a.txt", "content\n");
    let mut condition = full_definition()["Steps"][4].clone();
    condition["Arguments"]["Conditions"][0]["LeftValue"]["Std:JsonGet"]["Path"] =
        json!("metrics.accuracy");
    let steps = json!([script_step("Process", REPORT), condition]);
    standin.create("p", &definition(steps)).await;
    let arn = standin.start_execution("p", json!([])).await;
    standin.finished(&arn).await;
    let steps = standin.steps(&arn).await;
    let reason = steps["Good"]["FailureReason"].as_str().unwrap();
    assert!(reason.contains("accuracy"), "{reason}");
    assert!(standin.step_changes().contains(&"Good Failed".to_owned()));
}

#[tokio::test]
async fn a_stopped_execution_stops_its_program_and_ends_as_stopped() {
    let standin = StandIn::start("stop").await;
    standin.store.put("data/in/a.txt", "content\n");
    let script = r#"trap 'echo told to stop; exit 0' TERM; echo up; sleep 600 & wait"#;
    let steps = json!([
        script_step("Process", script),
        {"Name": "After", "Type": "Fail", "DependsOn": ["Process"],
         "Arguments": {"ErrorMessage": ""}},
    ]);
    standin.create("p", &definition(steps)).await;
    let arn = standin.start_execution("p", json!([])).await;
    let id = arn.rsplit('/').next().unwrap();
    let log = standin.run_dir.join(id).join("Process/container.log");
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("up")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stop = json!({"PipelineExecutionArn": arn, "ClientRequestToken": TOKEN});
    standin.call("StopPipelineExecution", stop.clone()).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Stopped");
    assert_eq!(
        standin.execution_statuses(),
        ["Executing", "Stopping", "Stopped"]
    );
    assert_eq!(
        standin.step_changes(),
        [
            "Process Starting",
            "Process Executing",
            "Process Stopping",
            "Process Stopped"
        ]
    );
    assert!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("told to stop")
    );
    let (kind, _) = standin.refused("StopPipelineExecution", stop).await;
    assert_eq!(kind, "ValidationException");
}

/// An instance with a GPU, spot capacity, a VPC and keys of KMS are described as they were asked for; the job runs without.
#[tokio::test]
async fn what_a_laptop_has_not_is_taken_and_has_no_effect() {
    let standin = StandIn::start("laptop").await;
    let asked = json!({
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.p4d.24xlarge",
            "VolumeSizeInGB": 16000,
            "VolumeKmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/volume"},
        "EnableManagedSpotTraining": true,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    });
    let train = scripted_training("true", asked.clone());
    standin.store.put("data/in/a.txt", "content\n");
    standin.create("p", &definition(json!([train]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
    let job = training_job(&standin, &arn).await;
    for (member, value) in asked.as_object().unwrap() {
        assert_eq!(&job[member], value);
    }
}

#[tokio::test]
async fn every_host_of_a_job_gets_its_own_folder_and_knows_who_it_is() {
    let standin = StandIn::start("hosts").await;
    for key in ["a", "b", "c"] {
        standin.store.put(&format!("data/in/{key}.txt"), key);
    }
    let mut step = script_step(
        "Process",
        r#"ls "$1/in" | tr '\n' ' '; cp "$1/../config/resourceconfig.json" "$1/out/$(hostname -f >/dev/null 2>&1; sed 's/.*"current_host":"\([^"]*\).*/\1/' "$1/../config/resourceconfig.json").json""#,
    );
    step["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = json!(2);
    step["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] =
        json!("ShardedByS3Key");
    standin.create("p", &definition(json!([step]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
    let id = arn.rsplit('/').next().unwrap();
    for (host, inputs) in [("algo-1", "a.txt c.txt "), ("algo-2", "b.txt ")] {
        let folder = standin.run_dir.join(id).join("Process").join(host);
        assert_eq!(
            std::fs::read_to_string(folder.join("container.log")).unwrap(),
            inputs
        );
        let config = standin
            .store
            .text(&format!("data/out/{id}/{host}.json"))
            .unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&config).unwrap(),
            json!({"current_host": host, "hosts": ["algo-1", "algo-2"]})
        );
    }
}

#[tokio::test]
async fn parameters_are_checked_at_start_and_all_faults_are_named() {
    let standin = StandIn::start("parameters").await;
    let mut with_required = definition(json!([]));
    with_required["Parameters"]
        .as_array_mut()
        .unwrap()
        .push(json!({"Name": "Needed", "Type": "String"}));
    standin.create("p", &with_required).await;
    let (kind, message) = standin
        .refused(
            "StartPipelineExecution",
            json!({"PipelineName": "p", "ClientRequestToken": TOKEN, "PipelineParameters": [
                {"Name": "Unknown", "Value": "1"},
                {"Name": "Limit", "Value": "much"},
                {"Name": "Count", "Value": "1.5"},
                {"Name": "Colour", "Value": "green"},
            ]}),
        )
        .await;
    assert_eq!(kind, "ValidationException");
    for word in ["'Unknown'", "'Limit'", "'Count'", "'Colour'", "'Needed'"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn one_token_starts_one_execution() {
    let standin = StandIn::start("token").await;
    standin.create("p", &definition(json!([]))).await;
    let first = standin.start_execution("p", json!([])).await;
    let again = standin.start_execution("p", json!([])).await;
    assert_eq!(first, again);
    standin.finished(&first).await;
    let other = standin
        .call(
            "StartPipelineExecution",
            json!({"PipelineName": "p", "ClientRequestToken": "another-token-of-at-least-32-letters"}),
        )
        .await;
    assert_ne!(other["PipelineExecutionArn"], json!(first));
    let listed = standin
        .call(
            "ListPipelineExecutions",
            json!({"PipelineName": "p", "MaxResults": 1, "SortOrder": "Ascending"}),
        )
        .await;
    assert_eq!(
        listed["PipelineExecutionSummaries"][0]["PipelineExecutionArn"],
        json!(first)
    );
    assert!(listed["NextToken"].is_string());
}

#[tokio::test]
async fn parameters_of_an_execution_come_in_pages() {
    let standin = StandIn::start("pages").await;
    standin.create("p", &definition(json!([]))).await;
    let arn = standin
        .start_execution("p", json!([{"Name": "Count", "Value": "7"}]))
        .await;
    let mut seen = Vec::new();
    let mut input = json!({"PipelineExecutionArn": arn, "MaxResults": 3});
    loop {
        let page = standin
            .call("ListPipelineParametersForExecution", input.clone())
            .await;
        for parameter in page["PipelineParameters"].as_array().unwrap() {
            seen.push(format!(
                "{}={}",
                parameter["Name"].as_str().unwrap(),
                parameter["Value"].as_str().unwrap()
            ));
        }
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["Word=hello", "Limit=0.5", "Colour=red", "Count=7"]);
}

#[tokio::test]
async fn a_training_whose_image_has_a_runner_trains_and_leaves_its_model() {
    let standin = StandIn::start("trains").await;
    standin.store.put("data/in/a.txt", "content\n");
    let script = r#"set -e; cp "$1/input/data/train/a.txt" "$1/model/"; echo "loss=0.5"
        echo "loss=0.25"; cat "$1/input/config/hyperparameters.json"; echo " $TRAINING_JOB_NAME""#;
    let mut train = training_step(json!("s3://data/in/"), json!({"epochs": "3"}));
    train["Arguments"]["AlgorithmSpecification"] = json!({
        "TrainingImage": "worker:1", "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/sh", "-c", script, "job"],
        "ContainerArguments": ["/opt/ml"],
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]});
    let good = json!({"Name": "Good", "Type": "Condition", "Arguments": {
        "Conditions": [{"Type": "LessThan", "RightValue": 0.3,
            "LeftValue": {"Get": "Steps.Train.FinalMetricDataList['loss'].Value"}}],
        "IfSteps": [], "ElseSteps": []}});
    standin.create("p", &definition(json!([train, good]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
    let steps = standin.steps(&arn).await;
    assert!(steps["Train"].get("StepDescription").is_none());
    assert_eq!(steps["Good"]["Metadata"]["Condition"]["Outcome"], "True");
    let job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"]
        .as_str()
        .unwrap();
    let described = standin
        .call(
            "DescribeTrainingJob",
            json!({"TrainingJobName": job.rsplit('/').next().unwrap()}),
        )
        .await;
    let name = described["TrainingJobName"].as_str().unwrap();
    let artifact = described["ModelArtifacts"]["S3ModelArtifacts"]
        .as_str()
        .unwrap();
    assert!(
        standin
            .store
            .paths()
            .contains(&artifact.replace("s3://", ""))
    );
    let id = arn.rsplit('/').next().unwrap();
    let log = standin.run_dir.join(id).join("Train/container.log");
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        format!("loss=0.5\nloss=0.25\n{{\"epochs\":\"3\"}} {name}\n")
    );
}

/// A training step that runs a shell script, whose first argument is /opt/ml.
fn scripted_training(script: &str, changes: Value) -> Value {
    let mut train = training_step(json!("s3://data/in/"), json!({"epochs": "3"}));
    train["Arguments"]["AlgorithmSpecification"] = json!({
        "TrainingImage": "worker:1", "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/sh", "-c", script, "job"],
        "ContainerArguments": ["/opt/ml"]});
    for (member, value) in changes.as_object().unwrap() {
        train["Arguments"][member] = value.clone();
    }
    train
}

/// What DescribeTrainingJob says of the job of step `Train`.
async fn training_job(standin: &StandIn, arn: &str) -> Value {
    let steps = standin.steps(arn).await;
    let job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"]
        .as_str()
        .unwrap();
    standin
        .call(
            "DescribeTrainingJob",
            json!({"TrainingJobName": job.rsplit('/').next().unwrap()}),
        )
        .await
}

/// Whether the model of a job is in S3.
fn has_model(standin: &StandIn, job: &Value) -> bool {
    let artifact = job["ModelArtifacts"]["S3ModelArtifacts"].as_str().unwrap();
    let path = artifact.trim_start_matches("s3://");
    standin.store.paths().iter().any(|known| known == path)
}

/// Saves a model when it is told to stop, and says that it is up.
const UNTIL_STOPPED: &str =
    r#"trap 'echo best > "$1/model/m"; exit 0' TERM; echo up; sleep 600 & wait"#;

/// A training that is stopped keeps the model that it has until then.
#[tokio::test]
async fn a_training_stopped_by_a_call_keeps_its_model_and_fails_its_step() {
    let standin = StandIn::start("stop-training").await;
    standin.store.put("data/in/a.txt", "content\n");
    let train = scripted_training(UNTIL_STOPPED, json!({}));
    standin.create("p", &definition(json!([train]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    let id = arn.rsplit('/').next().unwrap();
    let log = standin.run_dir.join(id).join("Train/container.log");
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("up")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let name = json!({"TrainingJobName": training_job(&standin, &arn).await["TrainingJobName"]});
    standin.call("StopTrainingJob", name.clone()).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Failed", "{ended}");
    let steps = standin.steps(&arn).await;
    let reason = steps["Train"]["FailureReason"].as_str().unwrap();
    assert!(reason.contains("stopped by a call of its own"), "{reason}");
    let job = training_job(&standin, &arn).await;
    assert_eq!(job["TrainingJobStatus"], "Stopped");
    assert!(has_model(&standin, &job));
    let (_, message) = standin.refused("StopTrainingJob", name).await;
    assert!(
        message.contains("training job is in status Stopped"),
        "{message}"
    );
}

/// So does one whose time is up; its job is stopped, and its step fails.
#[tokio::test]
async fn a_training_whose_time_is_up_keeps_its_model() {
    let standin = StandIn::start("out-of-time").await;
    standin.store.put("data/in/a.txt", "content\n");
    let limit = json!({"StoppingCondition": {"MaxRuntimeInSeconds": 1}});
    let train = scripted_training(UNTIL_STOPPED, limit);
    standin.create("p", &definition(json!([train]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Failed", "{ended}");
    let job = training_job(&standin, &arn).await;
    assert_eq!(job["TrainingJobStatus"], "Stopped");
    assert_eq!(job["SecondaryStatus"], "MaxRuntimeExceeded");
    assert!(has_model(&standin, &job));
}

/// What a program says of its failure is told whole as far as 1,024 characters hold it, with its exit status.
#[tokio::test]
async fn why_a_training_failed_is_told_whole_up_to_the_services_limit() {
    let standin = StandIn::start("training-fails").await;
    standin.store.put("data/in/a.txt", "content\n");
    for (name, length, whole) in [("a", 980, true), ("b", 5000, false)] {
        let script = format!(
            r#"printf 'because%{length}d' 0 > "$1/output/failure"; echo x > "$1/model/m"; exit 2"#
        );
        let train = scripted_training(&script, json!({}));
        standin.create(name, &definition(json!([train]))).await;
        let arn = standin.start_execution(name, json!([])).await;
        standin.finished(&arn).await;
        let job = training_job(&standin, &arn).await;
        let reason = job["FailureReason"].as_str().unwrap();
        assert!(reason.starts_with("AlgorithmError: because"), "{reason}");
        assert!(reason.ends_with(", exit code: 2"), "{reason}");
        assert!(reason.len() <= 1024, "{}", reason.len());
        assert_eq!(reason.contains("[cut: "), !whole, "{reason}");
        assert!(!has_model(&standin, &job));
        let steps = standin.steps(&arn).await;
        assert_eq!(steps["Train"]["FailureReason"], reason);
    }
}

/// Checkpoints are there when a training begins, and kept when it ends, however that comes.
#[tokio::test]
async fn checkpoints_are_there_at_the_start_and_kept_however_it_ends() {
    let standin = StandIn::start("checkpoints").await;
    standin.store.put("data/in/a.txt", "content\n");
    standin
        .store
        .put("data/checkpoints-of-another/state", "other\n");
    let script = r#"cd "$1/checkpoints"; ls; echo epoch >> state; exit 1"#;
    let train = scripted_training(
        script,
        json!({"CheckpointConfig": {"S3Uri": "s3://data/checkpoints"}}),
    );
    for (name, states) in [("a", "epoch\n"), ("b", "epoch\nepoch\n")] {
        standin
            .create(name, &definition(json!([train.clone()])))
            .await;
        let arn = standin.start_execution(name, json!([])).await;
        let ended = standin.finished(&arn).await;
        assert_eq!(ended["PipelineExecutionStatus"], "Failed");
        let kept = standin.store.text("data/checkpoints/state").unwrap();
        assert_eq!(kept, states);
    }
}

#[tokio::test]
async fn a_steps_job_has_the_prefix_and_tags_it_was_given() {
    let standin = StandIn::start("job-tags").await;
    standin.store.put("data/in/a.txt", "content\n");
    let mut step = training_step(json!("s3://data/in/"), json!({}));
    step["Arguments"]["Tags"] = json!([{"Key": "team", "Value": "forecasts"}]);
    step["Arguments"]["TrainingJobName"] = json!("Mine");
    standin.create("p", &definition(json!([step]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    standin.finished(&arn).await;
    let job = standin.steps(&arn).await["Train"]["Metadata"]["TrainingJob"]["Arn"].clone();
    let id = arn.rsplit('/').next().unwrap();
    let name = job.as_str().unwrap().rsplit('/').next().unwrap();
    assert!(name.starts_with(&format!("Mine-{id}-")), "{name}");
    let listed = standin.call("ListTags", json!({"ResourceArn": job})).await;
    assert_eq!(
        listed["Tags"],
        json!([
            {"Key": "sagemaker:pipeline-execution-arn", "Value": arn},
            {"Key": "sagemaker:pipeline-step-name", "Value": "Train"},
            {"Key": "team", "Value": "forecasts"},
        ])
    );
}

#[tokio::test]
async fn a_callback_waits_for_the_answer_with_its_token() {
    let standin = StandIn::start("callback").await;
    let steps = json!([
        {"Name": "Ask", "Type": "Callback",
         "SqsQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/asks",
         "Arguments": {"count": {"Get": "Parameters.Count"}},
         "OutputParameters": [{"OutputName": "rows", "OutputType": "Integer"}]},
        {"Name": "Tell", "Type": "Fail", "Arguments": {"ErrorMessage": {"Std:Join": {"On": " ",
            "Values": ["rows:", {"Get": "Steps.Ask.OutputParameters['rows']"}]}}}},
    ]);
    standin.create("p", &definition(steps)).await;
    let arn = standin.start_execution("p", json!([])).await;
    let message = standin.message().await;
    assert_eq!(message["pipelineExecutionArn"], json!(arn));
    assert_eq!(message["arguments"], json!({"count": 21}));
    let token = &message["token"];
    let answer = |value: &str| json!({"CallbackToken": token, "OutputParameters": [{"Name": "rows", "Value": value}]});
    let operation = "SendPipelineExecutionStepSuccess";
    let (_, refusal) = standin.refused(operation, answer("many")).await;
    assert!(refusal.contains("'rows' is of type Integer"), "{refusal}");
    standin.call(operation, answer("7")).await;
    standin.finished(&arn).await;
    assert_eq!(
        standin.steps(&arn).await["Tell"]["FailureReason"],
        "rows: 7"
    );
    let (kind, _) = standin.refused(operation, answer("7")).await;
    assert_eq!(kind, "ResourceNotFound");
}

#[tokio::test]
async fn an_outcome_is_joined_as_a_boolean_and_a_failure_may_have_no_reason() {
    let condition = json!({"Name": "Decide", "Type": "Condition", "Arguments": {
        "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Parameters.Count"},
            "RightValue": 1}], "IfSteps": [], "ElseSteps": []}});
    let told = json!({"ErrorMessage": {"Std:Join": {"On": ": ", "Values":
        ["it holds", {"Get": "Steps.Decide.Outcome"}]}}});
    for (test, arguments, reason) in [
        ("outcome", told, Some("it holds: false")),
        ("no-reason", json!({"ErrorMessage": ""}), None),
        ("no-message", json!({}), None),
    ] {
        let standin = StandIn::start(test).await;
        let fail = json!({"Name": "Tell", "Type": "Fail", "Arguments": arguments});
        standin
            .create("p", &definition(json!([condition, fail])))
            .await;
        let arn = standin.start_execution("p", json!([])).await;
        let ended = standin.finished(&arn).await;
        assert_eq!(ended["PipelineExecutionStatus"], "Failed");
        let steps = standin.steps(&arn).await;
        let told = &steps["Tell"];
        assert_eq!(told.get("FailureReason").and_then(Value::as_str), reason);
        assert_eq!(
            told["Metadata"]["Fail"]["ErrorMessage"],
            reason.unwrap_or_default()
        );
        assert_eq!(steps["Decide"]["Metadata"]["Condition"]["Outcome"], "False");
    }
}

#[tokio::test]
async fn a_callback_that_cannot_be_sent_or_is_answered_by_a_failure_fails() {
    let standin = StandIn::start("callback-fails").await;
    let ask = |queue: &str| {
        json!({"Name": "Ask", "Type": "Callback", "Arguments": {},
        "SqsQueueUrl": format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{queue}")})
    };
    standin
        .create("a", &definition(json!([ask("missing")])))
        .await;
    let arn = standin.start_execution("a", json!([])).await;
    standin.finished(&arn).await;
    assert_eq!(
        standin.steps(&arn).await["Ask"]["FailureReason"],
        "ClientError: there is no such queue"
    );
    standin.create("b", &definition(json!([ask("asks")]))).await;
    let arn = standin.start_execution("b", json!([])).await;
    let token = standin.message().await["token"].clone();
    standin
        .call(
            "SendPipelineExecutionStepFailure",
            json!({"CallbackToken": token, "FailureReason": "no"}),
        )
        .await;
    standin.finished(&arn).await;
    assert_eq!(standin.steps(&arn).await["Ask"]["FailureReason"], "no");
}

#[tokio::test]
async fn a_failed_execution_can_be_retried_where_it_failed() {
    let standin = StandIn::start("retry").await;
    let steps = json!([
        {"Name": "First", "Type": "Lineage", "Arguments": {}},
        script_step("Process", REPORT),
    ]);
    standin.create("p", &definition(steps)).await;
    let arn = standin.start_execution("p", json!([])).await;
    standin.finished(&arn).await;
    let reason = standin.steps(&arn).await["Process"]["FailureReason"].clone();
    assert!(reason.as_str().unwrap().contains("No S3 objects found"));
    standin.store.put("data/in/a.txt", "content\n");
    standin
        .call(
            "RetryPipelineExecution",
            json!({"PipelineExecutionArn": arn, "ClientRequestToken": TOKEN}),
        )
        .await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
    assert!(ended.get("FailureReason").is_none());
    let steps = standin.steps(&arn).await;
    assert_eq!(steps["Process"]["AttemptCount"], 2);
    assert!(steps["Process"].get("FailureReason").is_none());
    assert_eq!(steps["First"]["AttemptCount"], 1, "it had succeeded");
    assert_eq!(
        standin.execution_statuses(),
        ["Executing", "Failed", "Executing", "Succeeded"]
    );
    let id = arn.rsplit('/').next().unwrap();
    let second = standin.run_dir.join(id).join("Process.attempt-2");
    assert!(second.join("container.log").is_file());
}

/// A cached step's program does not run again, and a condition reads the file that its first run wrote.
#[tokio::test]
async fn a_cached_steps_program_runs_once_and_its_file_is_read_twice() {
    let standin = StandIn::start("cache").await;
    standin.store.put("data/in/a.txt", "content\n");
    let mut process = script_step("Process", REPORT);
    process["CacheConfig"] = json!({"Enabled": true, "ExpireAfter": "P1D"});
    let decide = json!({"Name": "Decide", "Type": "Condition", "Arguments": {
        "Conditions": [{"Type": "LessThanOrEqualTo",
            "LeftValue": {"Std:JsonGet": {"Path": "metrics.error",
                "PropertyFile": {"Get": "Steps.Process.PropertyFiles.Report"}}},
            "RightValue": 0.25}],
        "IfSteps": [], "ElseSteps": []}});
    process["Arguments"]
        .as_object_mut()
        .unwrap()
        .remove("Environment");
    standin
        .create("p", &definition(json!([process, decide])))
        .await;
    let first = standin.start_execution("p", json!([])).await;
    standin.finished(&first).await;
    let second = standin.start_again("p", 1).await;
    let ended = standin.finished(&second).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded", "{ended}");
    let (ran, cached) = (standin.steps(&first).await, standin.steps(&second).await);
    assert_eq!(
        cached["Process"]["CacheHitResult"]["SourcePipelineExecutionArn"],
        json!(first)
    );
    assert_eq!(cached["Process"]["Metadata"], ran["Process"]["Metadata"]);
    assert_eq!(
        cached["Decide"]["Metadata"]["Condition"]["Outcome"], "True",
        "it read the first run's file"
    );
    let id = second.rsplit('/').next().unwrap();
    assert!(!standin.run_dir.join(id).exists(), "nothing ran");
}

#[tokio::test]
async fn at_most_the_allowed_number_of_steps_runs_at_once() {
    let standin = StandIn::start("parallelism").await;
    let steps: Vec<Value> = (0..6)
        .map(|number| json!({"Name": format!("S{number}"), "Type": "Lineage", "Arguments": {}}))
        .collect();
    standin.create("p", &definition(json!(steps))).await;
    let body = standin
        .call(
            "StartPipelineExecution",
            json!({"PipelineName": "p", "ClientRequestToken": TOKEN,
                "ParallelismConfiguration": {"MaxParallelExecutionSteps": 2}}),
        )
        .await;
    standin
        .finished(body["PipelineExecutionArn"].as_str().unwrap())
        .await;
    let mut running = 0;
    let mut most = 0;
    for change in standin.step_changes() {
        match change.split_once(' ').unwrap().1 {
            "Starting" => running += 1,
            "Succeeded" => running -= 1,
            _ => {}
        }
        most = most.max(running);
    }
    assert_eq!(most, 2);
}

#[tokio::test]
async fn data_that_only_a_simulated_step_would_have_written_is_missed_by_name() {
    let standin = StandIn::start("unwritten").await;
    standin.store.put("data/in/a.txt", "content\n");
    let train = training_step(json!("s3://data/in/"), json!({"epochs": "3"}));
    let mut evaluate = script_step("Evaluate", "exit 0");
    evaluate["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] =
        json!({"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"});
    standin
        .create("p", &definition(json!([train, evaluate])))
        .await;
    let arn = standin.start_execution("p", json!([])).await;
    standin.finished(&arn).await;
    let steps = standin.steps(&arn).await;
    let reason = steps["Evaluate"]["FailureReason"].as_str().unwrap();
    assert!(
        reason.ends_with("(step 'Train' was only simulated)"),
        "{reason}"
    );
}
