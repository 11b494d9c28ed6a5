//! Pipelines, packages, models, endpoints and tags, over HTTP.

use crate::common::{ROLE, StandIn, TOKEN};
use pipewright_local::event::Event;
use serde_json::{Value, json};
use std::time::Duration;

fn empty_definition() -> Value {
    json!({"Version": "2020-12-01", "Parameters": [], "Steps": []})
}

#[tokio::test]
async fn a_pipeline_is_created_updated_described_listed_and_deleted() {
    let standin = StandIn::start("pipeline").await;
    standin.create("One", &empty_definition()).await;
    // The same token again is the same call again; another one is another pipeline's.
    standin.create("One", &empty_definition()).await;
    let (kind, message) = standin
        .refused(
            "CreatePipeline",
            json!({"PipelineName": "one", "RoleArn": ROLE,
                "ClientRequestToken": "another-token-of-at-least-32-letters",
                "PipelineDefinition": empty_definition().to_string()}),
        )
        .await;
    assert_eq!(kind, "ValidationException");
    assert!(message.starts_with("Pipeline names must be unique within"));
    standin
        .call(
            "UpdatePipeline",
            json!({"PipelineName": "One", "PipelineDescription": "new"}),
        )
        .await;
    let described = standin
        .call("DescribePipeline", json!({"PipelineName": "One"}))
        .await;
    assert_eq!(described["PipelineDescription"], "new");
    assert_eq!(described["PipelineName"], "One");
    assert_eq!(
        described["PipelineDefinition"],
        empty_definition().to_string()
    );
    assert!(described["CreationTime"].is_number());
    let listed = standin.call("ListPipelines", json!({})).await;
    assert_eq!(listed["PipelineSummaries"][0]["PipelineName"], "One");
    standin
        .call(
            "DeletePipeline",
            json!({"PipelineName": "One", "ClientRequestToken": TOKEN}),
        )
        .await;
    let (kind, _) = standin
        .refused("DescribePipeline", json!({"PipelineName": "One"}))
        .await;
    assert_eq!(kind, "ResourceNotFound");
}

#[tokio::test]
async fn every_definition_of_a_pipeline_is_a_version_that_can_be_run() {
    let standin = StandIn::start("versions").await;
    let definition = |names: &[&str]| {
        let step = |name: &&str| json!({"Name": name, "Type": "Lineage", "Arguments": {}});
        let steps: Vec<Value> = names.iter().map(step).collect();
        json!({"Version": "2020-12-01", "Parameters": [], "Steps": steps})
    };
    standin.create("p", &definition(&["A"])).await;
    let update = json!({"PipelineName": "p",
        "PipelineDefinition": definition(&["A", "B"]).to_string()});
    let updated = standin.call("UpdatePipeline", update).await;
    assert_eq!(updated["PipelineVersionId"], 2);
    let renamed = json!({"PipelineName": "p", "PipelineDescription": "as before"});
    let updated = standin.call("UpdatePipeline", renamed).await;
    assert_eq!(updated["PipelineVersionId"], 2);

    let first = json!({"PipelineName": "p", "PipelineVersionId": 1});
    let described = standin.call("DescribePipeline", first).await;
    assert_eq!(
        described["PipelineDefinition"],
        definition(&["A"]).to_string()
    );
    let third = json!({"PipelineName": "p", "PipelineVersionId": 3});
    let (kind, _) = standin.refused("DescribePipeline", third).await;
    assert_eq!(kind, "ResourceNotFound");

    let start = json!({"PipelineName": "p", "PipelineVersionId": 1, "ClientRequestToken": TOKEN});
    let started = standin.call("StartPipelineExecution", start).await;
    let arn = started["PipelineExecutionArn"].as_str().unwrap();
    let ended = standin.finished(arn).await;
    assert_eq!(ended["PipelineVersionId"], 1);
    assert_eq!(standin.steps(arn).await.len(), 1);
    let listed = standin
        .call("ListPipelineVersions", json!({"PipelineName": "p"}))
        .await;
    let rows = listed["PipelineVersionSummaries"].as_array().unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let last = row.get("LastExecutionPipelineExecutionArn");
            (row["PipelineVersionId"].as_u64(), last.is_some())
        })
        .collect();
    assert_eq!(seen, [(Some(2), false), (Some(1), true)]);
}

#[tokio::test]
async fn a_definition_is_taken_from_s3_when_the_pipeline_is_made() {
    let standin = StandIn::start("s3").await;
    let location = json!({"Bucket": "b", "ObjectKey": "definitions/1.json"});
    let create = json!({"PipelineName": "p", "RoleArn": ROLE, "ClientRequestToken": TOKEN,
        "PipelineDefinitionS3Location": location});
    let (kind, message) = standin.refused("CreatePipeline", create.clone()).await;
    assert_eq!(kind, "ValidationException");
    assert!(message.contains("s3://b/definitions/1.json"), "{message}");
    standin
        .store
        .put("b/definitions/1.json", &empty_definition().to_string());
    standin.call("CreatePipeline", create).await;
    standin.store.put("b/definitions/1.json", "changed later");
    let described = standin
        .call("DescribePipeline", json!({"PipelineName": "p"}))
        .await;
    assert_eq!(
        described["PipelineDefinition"],
        empty_definition().to_string()
    );
    let (_, message) = standin
        .refused(
            "UpdatePipeline",
            json!({"PipelineName": "p", "PipelineDefinitionS3Location": location}),
        )
        .await;
    assert!(
        message.starts_with("Unable to parse pipeline definition. "),
        "{message}"
    );
}

#[tokio::test]
async fn a_wrong_definition_is_refused_with_all_its_faults() {
    let standin = StandIn::start("wrong").await;
    let definition = json!({"Version": "2020-12-01", "Steps": [
        {"Name": "A", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Parameters.Gone"}}},
        {"Name": "B", "Type": "Fail", "DependsOn": ["Nobody"], "Arguments": {"ErrorMessage": ""}},
    ]});
    let (kind, message) = standin
        .refused(
            "CreatePipeline",
            json!({"PipelineName": "p", "RoleArn": ROLE, "ClientRequestToken": TOKEN,
                "PipelineDefinition": definition.to_string()}),
        )
        .await;
    assert_eq!(kind, "ValidationException");
    assert!(message.starts_with("Unable to parse pipeline definition. "));
    for word in ["Gone", "Nobody", "$.Steps[1].DependsOn[0]"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn a_step_may_read_the_other_branch_and_may_not_wait_for_a_failure() {
    let standin = StandIn::start("branches").await;
    let function = |name: &str, argument: Value| {
        json!({"Name": name, "Type": "Lambda", "FunctionArn": "f", "Arguments": {"n": argument},
            "OutputParameters": [{"OutputName": "doubled", "OutputType": "Integer"}]})
    };
    let other = json!({"Get": "Steps.One.OutputParameters['doubled']"});
    let mut condition = json!({"Name": "CondStep", "Type": "Condition", "Arguments": {
        "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
        "IfSteps": [function("One", json!(1))], "ElseSteps": [function("Two", other)]}});
    let definition =
        |steps: Value| json!({"Version": "2020-12-01", "Parameters": [], "Steps": steps});
    standin.create("p", &definition(json!([condition]))).await;
    let arn = standin.start_execution("p", json!([])).await;
    let ended = standin.finished(&arn).await;
    assert_eq!(ended["PipelineExecutionStatus"], "Succeeded");

    condition["DependsOn"] = json!(["FailStep"]);
    let fail = json!({"Name": "FailStep", "Type": "Fail", "Arguments": {"ErrorMessage": ""}});
    let create = json!({"PipelineName": "q", "RoleArn": ROLE, "ClientRequestToken": TOKEN,
        "PipelineDefinition": definition(json!([condition, fail])).to_string()});
    let (_, message) = standin.refused("CreatePipeline", create).await;
    assert!(
        message.contains("CondStep can not depends on FailStep"),
        "{message}"
    );
}

#[tokio::test]
async fn unknown_operations_and_bodies_that_are_no_json_are_refused() {
    let standin = StandIn::start("unknown").await;
    let (kind, message) = standin.refused("CreateNotebookInstance", json!({})).await;
    assert_eq!(kind, "UnknownOperationException");
    assert!(message.contains("CreatePipeline"), "{message}");
    let (status, body) = standin.send("SageMaker.ListPipelines", "{").await;
    assert_eq!(
        (status, body["__type"].as_str().unwrap()),
        (400, "SerializationException")
    );
    let (status, body) = standin.send("Logs.PutLogEvents", "{}").await;
    assert_eq!(
        (status, body["__type"].as_str().unwrap()),
        (400, "UnknownOperationException")
    );
}

#[tokio::test]
async fn a_pipeline_with_a_running_execution_cannot_be_deleted() {
    let standin = StandIn::start("busy").await;
    let definition = json!({"Version": "2020-12-01", "Parameters": [], "Steps": [
        {"Name": "A", "Type": "Lineage", "Arguments": {}}]});
    standin.create("p", &definition).await;
    let arn = standin.start_execution("p", json!([])).await;
    let delete = json!({"PipelineName": "p", "ClientRequestToken": TOKEN});
    let (kind, _) = standin.refused("DeletePipeline", delete.clone()).await;
    assert_eq!(kind, "ConflictException");
    standin.finished(&arn).await;
    standin.call("DeletePipeline", delete).await;
    let (kind, _) = standin
        .refused(
            "DescribePipelineExecution",
            json!({"PipelineExecutionArn": arn}),
        )
        .await;
    assert_eq!(kind, "ResourceNotFound");
}

#[tokio::test]
async fn packages_are_versions_in_a_group_and_keep_what_they_were_given() {
    let standin = StandIn::start("packages").await;
    standin
        .call(
            "CreateModelPackageGroup",
            json!({"ModelPackageGroupName": "Forecasts"}),
        )
        .await;
    for version in 1..=2 {
        let created = standin
            .call(
                "CreateModelPackage",
                json!({"ModelPackageGroupName": "Forecasts",
                    "CustomerMetadataProperties": {"ExecutionId": format!("run-{version}")}}),
            )
            .await;
        assert_eq!(
            created["ModelPackageArn"],
            format!("arn:aws:sagemaker:eu-west-1:123456789012:model-package/Forecasts/{version}")
        );
    }
    let arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/forecasts/2";
    standin
        .call(
            "UpdateModelPackage",
            json!({"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"}),
        )
        .await;
    let described = standin
        .call("DescribeModelPackage", json!({"ModelPackageName": arn}))
        .await;
    assert_eq!(described["ModelApprovalStatus"], "Approved");
    assert_eq!(
        described["CustomerMetadataProperties"]["ExecutionId"],
        "run-2"
    );
    let listed = standin
        .call(
            "ListModelPackages",
            json!({"ModelPackageGroupName": "Forecasts", "SortOrder": "Ascending"}),
        )
        .await;
    assert_eq!(
        listed["ModelPackageSummaryList"].as_array().unwrap().len(),
        2
    );
    let (kind, _) = standin
        .refused(
            "DeleteModelPackageGroup",
            json!({"ModelPackageGroupName": "Forecasts"}),
        )
        .await;
    assert_eq!(kind, "ConflictException");
    for version in 1..=2 {
        let arn =
            format!("arn:aws:sagemaker:eu-west-1:123456789012:model-package/forecasts/{version}");
        standin
            .call("DeleteModelPackage", json!({"ModelPackageName": arn}))
            .await;
    }
    standin
        .call(
            "DeleteModelPackageGroup",
            json!({"ModelPackageGroupName": "Forecasts"}),
        )
        .await;
}

#[tokio::test]
async fn a_package_without_a_group_has_a_name_and_its_life_cycle() {
    let standin = StandIn::start("unversioned").await;
    let life_cycle = json!({"Stage": "Development", "StageStatus": "In-Progress"});
    let create = json!({"ModelPackageName": "Single", "ModelLifeCycle": life_cycle});
    let created = standin.call("CreateModelPackage", create.clone()).await;
    let arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/Single";
    assert_eq!(created["ModelPackageArn"], arn);
    let (_, message) = standin.refused("CreateModelPackage", create).await;
    assert_eq!(message, format!("Model Package already exists: {arn}"));
    for name in ["single", arn] {
        let described = standin
            .call("DescribeModelPackage", json!({"ModelPackageName": name}))
            .await;
        assert_eq!(described["ModelPackageName"], "Single");
        assert_eq!(described["ModelLifeCycle"], life_cycle);
        for member in [
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelApprovalStatus",
        ] {
            assert!(described.get(member).is_none(), "{described}");
        }
    }
    for (kind, count) in [("Versioned", 0), ("Unversioned", 1), ("Both", 1)] {
        let listed = standin
            .call("ListModelPackages", json!({"ModelPackageType": kind}))
            .await;
        let rows = listed["ModelPackageSummaryList"].as_array().unwrap();
        assert_eq!(rows.len(), count, "{kind}");
    }
    let step = json!({"Name": "Register", "Type": "RegisterModel", "Arguments": {
        "InferenceSpecification": {"Containers": [{"Image": "i"}]}}});
    let definition = json!({"Version": "2020-12-01", "Parameters": [], "Steps": [step]});
    standin.create("p", &definition).await;
    let execution = standin.start_execution("p", json!([])).await;
    standin.finished(&execution).await;
    let steps = standin.steps(&execution).await;
    let made = &steps["Register"]["Metadata"]["RegisterModel"]["Arn"];
    let described = standin
        .call("DescribeModelPackage", json!({"ModelPackageName": made}))
        .await;
    let name = described["ModelPackageName"].as_str().unwrap();
    assert!(name.starts_with("pipelines-"), "{name}");
}

#[tokio::test]
async fn an_endpoint_comes_up_and_goes_down_and_tells_of_it() {
    let standin = StandIn::start("endpoint").await;
    standin
        .call(
            "CreateModel",
            json!({"ModelName": "m", "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": "i"}}),
        )
        .await;
    standin
        .call(
            "CreateEndpointConfig",
            json!({"EndpointConfigName": "c", "ProductionVariants": [
                {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large",
                 "InitialInstanceCount": 1}]}),
        )
        .await;
    standin
        .call(
            "CreateEndpoint",
            json!({"EndpointName": "e", "EndpointConfigName": "c",
                "Tags": [{"Key": "pipewright:stack", "Value": "s"}]}),
        )
        .await;
    let wait_for = |wanted: &'static str| {
        let standin = &standin;
        async move {
            loop {
                let (status, body) = standin
                    .send("SageMaker.DescribeEndpoint", r#"{"EndpointName": "e"}"#)
                    .await;
                let now = if status == 200 {
                    body["EndpointStatus"].as_str().unwrap().to_owned()
                } else {
                    "gone".to_owned()
                };
                if now == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    wait_for("InService").await;
    standin
        .call("DeleteEndpoint", json!({"EndpointName": "e"}))
        .await;
    wait_for("gone").await;
    while standin.events().len() < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let statuses: Vec<String> = standin
        .events()
        .iter()
        .filter(|event| event.detail_type == Event::ENDPOINT)
        .map(|event| {
            assert_eq!(event.detail["Tags"], json!({"pipewright:stack": "s"}));
            event.detail["EndpointStatus"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(statuses, ["CREATING", "IN_SERVICE", "DELETING", "DELETED"]);
}

#[tokio::test]
async fn tags_are_added_listed_and_deleted_by_arn() {
    let standin = StandIn::start("tags").await;
    let created = standin.create("p", &empty_definition()).await;
    let arn = &created["PipelineArn"];
    standin
        .call(
            "AddTags",
            json!({"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "1"},
                {"Key": "b", "Value": "2"}]}),
        )
        .await;
    standin
        .call("DeleteTags", json!({"ResourceArn": arn, "TagKeys": ["a"]}))
        .await;
    let listed = standin.call("ListTags", json!({"ResourceArn": arn})).await;
    assert_eq!(listed["Tags"], json!([{"Key": "b", "Value": "2"}]));
    let (kind, _) = standin
        .refused(
            "ListTags",
            json!({"ResourceArn": "arn:aws:sagemaker:r:1:model/x"}),
        )
        .await;
    assert_eq!(kind, "ResourceNotFound");
}
