"""`pipewright endpoint`: an endpoint for an execution's model, made, tracked and deleted."""

import json
import os
import re
import signal

import pytest

from harness import SAMPLE_TEMPLATE, wait_for

PREDICTION_LENGTH = SAMPLE_TEMPLATE["deepARMeta"]["predictionLength"]


@pytest.fixture(scope="module")
def endpoint(system):
    """The command; gives exit status and output."""
    return lambda *arguments: system.call("endpoint", *arguments)


@pytest.fixture(scope="module")
def trained(system):
    """An execution of its own, whose model is in its record: endpoints write into that."""
    execution = system.run(SAMPLE_TEMPLATE["Id"])
    wait_for(lambda: "modelName" in system.record(execution.id))
    return execution.id


def entry(system, name):
    """The endpoint's entry in the table of endpoints."""
    answer = system.client("dynamodb").get_item(
        TableName=system.outputs["EndpointsTableName"], Key={"EndpointName": {"S": name}}
    )
    return {name: value["S"] for name, value in answer.get("Item", {}).items()}


def endpoints(system):
    """The names of all endpoints."""
    return [
        found["EndpointName"] for found in system.client("sagemaker").list_endpoints()["Endpoints"]
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--execution", "nobody"], "there is no execution nobody"),
        (["--execution=a-"], "not usable"),
        (["--execution", "a", "--name", "Capital"], "lower-case"),
        (["--execution", "a", "--instance-type", "m5"], "ml.<family>.<size>"),
        (["--execution", "a", "--prefix", "No"], "begins with a letter"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(endpoint, arguments, words):
    status, output = endpoint("create", *arguments)
    assert status != 0
    assert words in output


def test_an_endpoint_is_made_tracked_and_deleted(system, endpoint, trained):
    sagemaker = system.client("sagemaker")
    create = ("create", "--execution", trained)
    name = f"pipewright-{trained}"

    status, output = endpoint(*create, "--wait", "--timeout", "30")
    assert status == 0, output
    assert output.splitlines()[-1] == f"endpoint {name}: InService"
    described = sagemaker.describe_endpoint(EndpointName=name)
    model = system.record(trained)["modelName"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    (variant,) = config["ProductionVariants"]
    assert (variant["ModelName"], variant["InstanceType"]) == (model, "ml.m5.large")
    expected = [
        {"Key": "pipewright:execution", "Value": trained},
        {"Key": "pipewright:stack", "Value": "pipewright"},
    ]
    for arn in (described["EndpointArn"], config["EndpointConfigArn"]):
        tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
        assert sorted(tags, key=lambda tag: tag["Key"]) == expected
    registered = {
        "EndpointName": name,
        "executionId": trained,
        "endpointConfigName": name,
        "modelName": model,
    }
    assert entry(system, name) == registered

    def in_service():
        record = system.record(trained)
        return record.get("endpointStatus") == "InService" and record

    assert wait_for(in_service)["endpointName"] == name
    # Its first event came before the command ended, and found its execution.
    told = [i["status"] for i in system.items(trained) if i.get("kind") == "endpoint"]
    assert told == ["Creating", "InService"]

    # The same again finds what is there; anything else is said to be in the way.
    status, output = endpoint(*create)
    assert (status, endpoints(system)) == (0, [name]), output
    assert "InService" in output
    status, output = endpoint(*create, "--instance-count", "2")
    assert status == 1
    assert "already" in output and "2 x ml.m5.large" in output

    status, output = endpoint("delete", "--execution", trained)
    assert (status, endpoints(system)) == (1, [name])
    assert "--yes" in output
    status, output = endpoint("delete", "--execution", trained, "--yes", "--wait")
    assert status == 0, output
    assert endpoints(system) == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    wait_for(lambda: system.record(trained).get("endpointStatus") == "Deleted")
    assert entry(system, name) == registered

    status, output = endpoint("delete", "--execution", trained, "--yes")
    assert status == 0
    assert "gone already" in output


@pytest.fixture
def served(system, endpoint, trained):
    """The name of an endpoint of the trained model that is in service."""
    status, output = endpoint("create", "--execution", trained, "--wait", "--timeout", "60")
    assert status == 0, output
    yield f"pipewright-{trained}"
    status, output = endpoint("delete", "--execution", trained, "--yes", "--wait")
    assert status == 0, output


def series(system, trained, number):
    """The first records of the execution's test channel."""
    lines = system.read("ModelsBucketName", f"execution/{trained}/test/test.json").splitlines()
    return [json.loads(line) for line in lines[:number]]


def test_boto3_invokes_it_by_the_request_forms_of_deepars_documentation(system, trained, served):
    """boto3's invoke_endpoint gets forecasts for each request form of DeepAR's documentation."""
    runtime = system.client("sagemaker-runtime")
    instances = series(system, trained, 2)
    # A missing value in each of its forms, and a start with the time of day.
    instances[0] = {
        "start": instances[0]["start"][:10] + " 00:00:00",
        "target": [1.0, None, "NaN", 4],
    }
    configuration = {
        "num_samples": 20,
        "output_types": ["mean", "quantiles", "samples"],
        "quantiles": ["0.5", "0.9"],
    }
    answer = runtime.invoke_endpoint(
        EndpointName=served,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"instances": instances, "configuration": configuration}),
    )
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"]
    predictions = json.loads(answer["Body"].read())["predictions"]
    assert len(predictions) == 2
    for prediction in predictions:
        assert set(prediction) == {"mean", "quantiles", "samples"}
        assert set(prediction["quantiles"]) == {"0.5", "0.9"}
        assert len(prediction["mean"]) == PREDICTION_LENGTH
        assert [len(path) for path in prediction["samples"]] == [PREDICTION_LENGTH] * 20
        pairs = zip(prediction["quantiles"]["0.5"], prediction["quantiles"]["0.9"], strict=True)
        assert all(low <= high for low, high in pairs)

    answer = runtime.invoke_endpoint(
        EndpointName=served,
        ContentType="application/jsonlines",
        Body="".join(json.dumps(instance) + "\n" for instance in instances),
    )
    lines = answer["Body"].read().splitlines()
    assert [len(json.loads(line)["mean"]) for line in lines] == [PREDICTION_LENGTH] * 2


def test_what_boto3_is_refused_has_the_exceptions_of_the_service(system, served):
    """An invocation that cannot be answered is an exception of boto3's, with its reason."""
    runtime = system.client("sagemaker-runtime")

    def invoke(name=served, body="{}", content_type="application/json"):
        runtime.invoke_endpoint(EndpointName=name, ContentType=content_type, Body=body)

    with pytest.raises(runtime.exceptions.ModelError) as refused:
        invoke(body='{"instances": [{"start": "never", "target": []}]}')
    assert refused.value.response["OriginalStatusCode"] == 400
    assert "start" in refused.value.response["OriginalMessage"]
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        invoke(content_type="text/csv")
    assert refused.value.response["OriginalStatusCode"] == 415
    with pytest.raises(runtime.exceptions.ClientError, match="Endpoint none of account"):
        invoke(name="none")
    with pytest.raises(runtime.exceptions.ClientError, match="larger than 6291456 bytes"):
        invoke(body=b" " * (6 * 1024 * 1024 + 1))
    with pytest.raises(runtime.exceptions.ClientError, match="There is nothing at"):
        runtime.invoke_endpoint_async(EndpointName=served, InputLocation="s3://bucket/key")


def test_an_endpoint_whose_program_is_killed_has_failed_in_the_record_too(system, trained, served):
    """A program that dies turns its endpoint Failed, and the record knows why."""
    logs = system.jobs_of("endpoints").glob(f"{served}.*/*/container.log")
    log = max(logs, key=lambda log: log.stat().st_mtime)
    process = int(re.search(r"^\[\S+ \S+ INFO (\d+)\] .*listening on", log.read_text(), re.M)[1])
    os.kill(process, signal.SIGKILL)

    def failed():
        record = system.record(trained)
        return record.get("endpointStatus") == "Failed" and record

    assert "signal 9" in json.dumps(wait_for(failed), default=str)
    described = system.client("sagemaker").describe_endpoint(EndpointName=served)
    assert described["EndpointStatus"] == "Failed"
    assert "signal 9" in described["FailureReason"]


def test_a_transform_of_the_test_channel_gives_one_line_a_record(system, trained):
    """A batch transform of the test channel gives one line for each of its records."""
    sagemaker = system.client("sagemaker")
    bucket = system.outputs["ModelsBucketName"]
    # The role of the pipeline's own model reads models alone, and a transform has its model's rights.
    shipped = sagemaker.describe_model(ModelName=system.record(trained)["modelName"])
    sagemaker.create_model(
        ModelName="transforming",
        ExecutionRoleArn=system.outputs["JobRoleArn"],
        PrimaryContainer=shipped["PrimaryContainer"],
    )
    sagemaker.create_transform_job(
        TransformJobName="test-channel",
        ModelName="transforming",
        BatchStrategy="SingleRecord",
        Environment={"DEEPAR_INFERENCE_CONFIG": json.dumps({"num_samples": 10})},
        TransformInput={
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"s3://{bucket}/execution/{trained}/test/",
                }
            },
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        TransformOutput={
            "S3OutputPath": f"s3://{bucket}/execution/{trained}/transformed",
            "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )

    def ended():
        job = sagemaker.describe_transform_job(TransformJobName="test-channel")
        return job["TransformJobStatus"] not in ("InProgress", "Stopping") and job

    job = wait_for(ended, within=120)
    assert job["TransformJobStatus"] == "Completed", job
    records = system.read("ModelsBucketName", f"execution/{trained}/test/test.json").splitlines()
    output = system.read(
        "ModelsBucketName", f"execution/{trained}/transformed/test.json.out"
    ).splitlines()
    assert len(output) == len(records)
    for line in output:
        assert len(json.loads(line)["mean"]) == PREDICTION_LENGTH


def test_an_endpoint_of_somebody_else_is_left_alone(system, endpoint, trained):
    sagemaker = system.client("sagemaker")
    variant = {"VariantName": "one", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    model = system.record(trained)["modelName"]
    sagemaker.create_endpoint_config(
        EndpointConfigName="theirs", ProductionVariants=[{**variant, "ModelName": model}]
    )
    sagemaker.create_endpoint(EndpointName="theirs", EndpointConfigName="theirs")
    try:
        status, output = endpoint("create", "--execution", trained, "--name", "theirs")
        assert status == 1
        assert "none of ours" in output
        status, output = endpoint("delete", "--execution", trained, "--name", "theirs", "--yes")
        assert status == 1
        assert "none of ours" in output

        system.client("dynamodb").put_item(
            TableName=system.outputs["EndpointsTableName"],
            Item={"EndpointName": {"S": "theirs"}, "executionId": {"S": "another-run"}},
        )
        for command in (["create"], ["delete", "--yes"]):
            status, output = endpoint(*command, "--execution", trained, "--name", "theirs")
            assert status == 1
            assert "another-run" in output
        assert endpoints(system) == ["theirs"]
    finally:

        def in_service():
            found = sagemaker.describe_endpoint(EndpointName="theirs")
            return found["EndpointStatus"] == "InService"

        wait_for(in_service)
        sagemaker.delete_endpoint(EndpointName="theirs")
        sagemaker.delete_endpoint_config(EndpointConfigName="theirs")


def test_an_execution_that_failed_has_nothing_to_serve(system, endpoint):
    started = system.client("sagemaker").start_pipeline_execution(
        PipelineName=system.outputs["PipelineName"],
        PipelineParameters=[
            {"Name": "ExecutionId", "Value": "nothing-to-serve"},
            {"Name": "HyperParamContextLength", "Value": "28"},
            {"Name": "HyperParamPredictionLength", "Value": "7"},
        ],
    )

    execution_id = started["PipelineExecutionArn"].rpartition("/")[2]

    def failed():
        record = system.record(execution_id)
        return record and record.get("pipelineStatus") == "Failed"

    wait_for(failed, within=60)
    status, output = endpoint("create", "--execution", execution_id)
    assert status == 1
    assert "ended as Failed" in output
