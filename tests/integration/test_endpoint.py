"""`pipewright endpoint`: an endpoint for an execution's model, made, tracked and deleted."""

import pytest

from harness import SAMPLE_TEMPLATE, wait_for


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


def test_a_simulated_model_is_not_served_unasked(system, endpoint, trained):
    status, output = endpoint("create", "--execution", trained)
    assert status == 1
    assert "simulated" in output and "nothing was trained" in output
    assert endpoints(system) == []
    assert entry(system, f"pipewright-{trained}") == {}


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
    create = ("create", "--execution", trained, "--simulated")
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


def test_an_endpoint_of_somebody_else_is_left_alone(system, endpoint, trained):
    sagemaker = system.client("sagemaker")
    variant = {"VariantName": "one", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    model = system.record(trained)["modelName"]
    sagemaker.create_endpoint_config(
        EndpointConfigName="theirs", ProductionVariants=[{**variant, "ModelName": model}]
    )
    sagemaker.create_endpoint(EndpointName="theirs", EndpointConfigName="theirs")
    try:
        status, output = endpoint(
            "create", "--execution", trained, "--simulated", "--name", "theirs"
        )
        assert status == 1
        assert "none of ours" in output
        status, output = endpoint("delete", "--execution", trained, "--name", "theirs", "--yes")
        assert status == 1
        assert "none of ours" in output

        system.client("dynamodb").put_item(
            TableName=system.outputs["EndpointsTableName"],
            Item={"EndpointName": {"S": "theirs"}, "executionId": {"S": "another-run"}},
        )
        for command in (["create", "--simulated"], ["delete", "--yes"]):
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
    status, output = endpoint("create", "--execution", execution_id, "--simulated")
    assert status == 1
    assert "ended as Failed" in output
