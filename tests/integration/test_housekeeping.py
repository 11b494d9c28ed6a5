"""What housekeeping mends, marks, deletes and leaves alone."""

import contextlib
import json
import time

import pytest
from test_record import start_elsewhere

from harness import SAMPLE_TEMPLATE, Replay, configured, wait_for
from ops.local.system import STACK

RULES = ("executions", "resources")
MINUTE = 60_000


def keep_house(system, **request):
    """Run housekeeping, with no patience for events; gives its report."""
    response = system.client("lambda").invoke(
        FunctionName=f"{STACK}-housekeeping",
        Payload=json.dumps({"graceSeconds": 0, **request}).encode(),
    )
    answer = json.loads(response["Payload"].read())
    assert "FunctionError" not in response, answer
    return answer


@contextlib.contextmanager
def lost(system, *rules):
    """The events that these rules would have matched are dropped on the bus, for a while."""
    events = system.client("events")
    for rule in rules:
        events.disable_rule(Name=f"{STACK}-{rule}")
    try:
        yield
    finally:
        for rule in rules:
            events.enable_rule(Name=f"{STACK}-{rule}")


def status(system, arn):
    """The status that SageMaker tells."""
    describe = system.client("sagemaker").describe_pipeline_execution
    return describe(PipelineExecutionArn=arn)["PipelineExecutionStatus"]


def parameters(execution_id):
    """The parameters that have no default."""
    values = {
        "ExecutionId": execution_id,
        "HyperParamContextLength": "28",
        "HyperParamPredictionLength": "7",
    }
    return [{"Name": name, "Value": value} for name, value in values.items()]


def changes(system, execution_id):
    """The change items of an execution."""
    items = system.items(execution_id)
    return [item for item in items if item["entry"].startswith("change#")]


def outcome(system, execution_id):
    """The last status of the execution and of each step, model and package, however told."""
    told = {}
    for item in sorted(changes(system, execution_id), key=lambda item: item["position"]):
        name = item.get("stepName", "")
        told[item["kind"], name] = (item["status"], item.get("approvalStatus"))
    return told


def put(system, table, item):
    """Write an item of plain texts and whole numbers."""
    system.client("dynamodb").put_item(
        TableName=system.outputs[table],
        Item={
            name: {"N": str(value)} if isinstance(value, int) else {"S": value}
            for name, value in item.items()
        },
    )


@pytest.fixture(scope="module")
def recorded(system, events):
    """An execution that was recorded event by event, and its events."""
    execution = system.run(SAMPLE_TEMPLATE["Id"], "housekept")
    sent = events.of(execution)

    def complete():
        return len(changes(system, execution.id)) >= len(sent)

    wait_for(complete)
    return execution, sent, outcome(system, execution.id)


def test_a_complete_record_is_left_as_it_is(system, recorded):
    """An execution all of whose events arrived is not written to."""
    execution, _, _ = recorded
    items = system.items(execution.id)
    report = keep_house(system)
    assert report["executions"]["lookedAt"] >= 1
    assert not [line for line in report["executions"]["reconciled"] if execution.id in line]
    assert system.items(execution.id) == items


@pytest.mark.parametrize(
    "kind",
    [
        "Model Building Pipeline Execution Status",
        "Model Building Pipeline Execution Step Status",
        "Model State",
        "Model Package State",
    ],
)
def test_a_kind_of_event_that_never_came_is_mended_and_marked(system, recorded, kind):
    """A kind of event that never came is mended by the next run, as far as SageMaker still
    knows, and marked; if it comes after all, nothing of what stood in for it is shown."""
    execution, sent, expected = recorded
    replay = Replay(system)
    replay.forget(execution.id)
    missing = [event for event in sent if event["detail-type"] == f"SageMaker {kind} Change"]
    assert missing
    replay.all([event for event in sent if event not in missing])
    assert outcome(system, execution.id) != expected

    keep_house(system)
    assert outcome(system, execution.id) == expected
    record = system.record(execution.id)
    assert record["pipelineStatus"] == "Succeeded"
    assert record["phase"].startswith("ended#")
    reconciled = [item for item in changes(system, execution.id) if item.get("reconciled")]
    assert reconciled
    items = system.items(execution.id)
    keep_house(system)
    assert system.items(execution.id) == items, "a second run writes nothing"

    # They come after all: nothing of what stood in for them is shown any more.
    replay.all(missing)
    _, show = system.call(
        *("execution", "show", execution.id, "--table", system.outputs["ExecutionsTableName"])
    )
    assert "Succeeded" in show
    assert "learnt by asking" not in show


def test_an_execution_that_no_event_told_of_is_mended(system, recorded):
    """Every event is dropped on the bus, and the record is right after the next run."""
    _, _, expected = recorded
    with lost(system, *RULES):
        answer = system.start_execution(SAMPLE_TEMPLATE["Id"], "untold")
        arn = answer["pipelineExecutionArn"]
        wait_for(lambda: status(system, arn) != "Executing", within=120)
        assert changes(system, "untold") == []
        dry = keep_house(system, dryRun=True)
        assert [line for line in dry["executions"]["reconciled"] if "untold" in line]
        assert changes(system, "untold") == []
        report = keep_house(system)
    assert "untold: execution Succeeded" in report["executions"]["reconciled"]
    assert outcome(system, "untold") == expected
    assert all(item["reconciled"] for item in changes(system, "untold"))
    _, show = system.call(
        *("execution", "show", "untold", "--table", system.outputs["ExecutionsTableName"])
    )
    assert "learnt by asking" in show


def test_an_execution_started_elsewhere_without_events_gets_a_record(system):
    """An execution that was started elsewhere, and that no event told of, gets its record from the
    next run."""
    with lost(system, *RULES):
        arn = start_elsewhere(system, PipelineParameters=parameters("nobody-told"))
        own_id = arn.rpartition("/")[2]
        wait_for(lambda: status(system, arn) != "Executing", within=60)
        assert system.items(own_id) == []
        dry = keep_house(system, dryRun=True)
        assert own_id in dry["executions"]["adopted"]
        assert system.items(own_id) == []
        assert own_id in keep_house(system)["executions"]["adopted"]
    record = system.record(own_id)
    assert record["pipelineStatus"] == status(system, arn)
    assert record["pipelineExecutionArn"].lower() == arn.lower()
    assert all(item["reconciled"] for item in changes(system, own_id))
    items = system.items(own_id)
    assert own_id not in keep_house(system)["executions"]["adopted"]
    assert system.items(own_id) == items, "a second run writes nothing"


def test_a_crash_between_start_and_record_is_mended_by_housekeeping(system):
    """An execution whose start died before its record had the ARN is found by its name."""
    with lost(system, *RULES):
        answer = system.start_execution(SAMPLE_TEMPLATE["Id"], "crashed")
        created = system.record("crashed")["createdAt"]
        system.client("dynamodb").update_item(
            TableName=system.outputs["ExecutionsTableName"],
            Key={"Id": {"S": "crashed"}, "entry": {"S": "record"}},
            UpdateExpression="SET createdAt = :then REMOVE arnKey, pipelineExecutionArn",
            ExpressionAttributeValues={":then": {"N": str(int(created) - 20 * MINUTE)}},
        )
        report = keep_house(system)
        # Before it is stopped: that event may come when no event is lost any more.
        record = system.record("crashed")
        system.client("sagemaker").stop_pipeline_execution(
            PipelineExecutionArn=answer["pipelineExecutionArn"],
            ClientRequestToken="crashed".ljust(32, "-"),
        )
    assert "crashed" in report["executions"]["found"]
    assert record["pipelineExecutionArn"] == answer["pipelineExecutionArn"]
    assert record["pipelineStatus"] == "Executing"
    again = system.start_execution(SAMPLE_TEMPLATE["Id"], "crashed")
    assert again["alreadyStarted"]


def test_a_crash_between_start_and_record_is_mended_by_the_first_event(system):
    """A record whose start died before it had the ARN gets it from the execution's first event, if
    that comes before housekeeping.
    """
    record = {
        "Id": "crashed-too",
        "entry": "record",
        "phase": "open",
        "templateId": SAMPLE_TEMPLATE["Id"],
        "createdAt": int(time.time() * 1000),
    }
    put(system, "ExecutionsTableName", record)
    arn = start_elsewhere(
        system,
        PipelineExecutionDisplayName="crashed-too",
        PipelineParameters=parameters("crashed-too"),
    )
    healed = wait_for(lambda: system.record("crashed-too").get("arnKey"))
    assert healed == arn.lower()
    assert system.record("crashed-too")["templateId"] == SAMPLE_TEMPLATE["Id"]


def test_a_record_that_was_never_started_says_so(system):
    """A record whose execution SageMaker does not have says so after an hour."""
    record = {
        "Id": "never-started",
        "entry": "record",
        "phase": "open",
        "templateId": SAMPLE_TEMPLATE["Id"],
        "createdAt": int(time.time() * 1000) - 120 * MINUTE,
    }
    put(system, "ExecutionsTableName", record)
    assert "never-started" in keep_house(system)["executions"]["notStarted"]
    assert "call start-execution again" in system.record("never-started")["startFailure"]["reason"]


class Endpoints:
    """Endpoints in the stand-in that serve an execution's model."""

    def __init__(self, system, model, execution_id):
        self._system = system
        self._sagemaker = system.client("sagemaker")
        self._model = model
        self._execution_id = execution_id

    def create(self, name, registered=True, **tags):
        """An endpoint in service, with the tags of this stack's ones and others."""
        every = {"pipewright:stack": STACK, "pipewright:execution": self._execution_id, **tags}
        if registered:
            entry = {"EndpointName": name, "executionId": self._execution_id}
            put(self._system, "EndpointsTableName", entry)
        tags = [{"Key": key.replace("_", ":"), "Value": value} for key, value in every.items()]
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": self._model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        self._sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=tags
        )
        self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)
        wait_for(lambda: self.status(name) == "InService")

    def status(self, name):
        """Its status; None if there is none."""
        try:
            return self._sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
        except self._sagemaker.exceptions.ClientError:
            return None

    def configs(self):
        """The names of all configurations."""
        pages = self._sagemaker.get_paginator("list_endpoint_configs").paginate()
        return {row["EndpointConfigName"] for page in pages for row in page["EndpointConfigs"]}


@pytest.fixture(scope="module")
def endpoints(system, recorded):
    """Endpoints that serve the recorded execution's model."""
    execution, _, _ = recorded
    return Endpoints(system, system.record(execution.id)["modelName"], execution.id)


def test_lost_events_of_an_endpoint_are_mended(system, recorded, endpoints):
    """Lost events of an endpoint of ours, its deletion included, are mended by the next run."""
    execution, _, _ = recorded
    with lost(system, "resources"):
        endpoints.create("untold", pipewright_keep="yes")
        keep_house(system)
        assert system.record(execution.id)["endpointStatus"] == "InService"
        system.client("sagemaker").delete_endpoint(EndpointName="untold")
        wait_for(lambda: endpoints.status("untold") is None)
        keep_house(system)
    assert system.record(execution.id)["endpointStatus"] == "Deleted"
    table = system.outputs["EndpointsTableName"]
    key = {"EndpointName": {"S": "untold"}}
    entry = system.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    assert "deletedAt" in entry


def test_an_idle_endpoint_is_deleted_and_no_other(system, endpoints):
    """An idle endpoint of this stack is deleted with its configuration; one that is tagged to be
    kept, was invoked, is another stack's, or is not in the table of endpoints is not."""
    endpoints.create("idle")
    endpoints.create("kept", pipewright_keep="")
    endpoints.create("busy")
    endpoints.create("of-others", **{"pipewright:stack": "another"})
    endpoints.create("only-tagged", registered=False)
    system.client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": "Invocations",
                "Dimensions": [
                    {"Name": "EndpointName", "Value": "busy"},
                    {"Name": "VariantName", "Value": "AllTraffic"},
                ],
                "Value": 3,
            }
        ],
    )
    safe = {"kept", "busy", "of-others", "only-tagged"}
    # No caller can ask for less than an hour, so that nothing in use looks idle.
    with configured(system, "housekeeping", IDLE_ENDPOINT_HOURS="0"):
        dry = keep_house(system, dryRun=True)["endpoints"]
        assert "idle" in dry["wouldDelete"] and not safe & set(dry["wouldDelete"])
        assert dry["deleted"] == []
        assert endpoints.status("idle") == "InService"
        report = keep_house(system)["endpoints"]
    assert report["notRegistered"] == ["only-tagged"]
    assert "idle" in report["deleted"] and not safe & set(report["deleted"])
    assert report["kept"]["inUse"] >= 1 and report["kept"]["optedOut"] >= 1
    wait_for(lambda: endpoints.status("idle") is None)
    assert safe <= endpoints.configs()
    assert "idle" not in endpoints.configs()
    for name in safe:
        assert endpoints.status(name) == "InService"


def test_metrics_are_lines_of_the_log(system):
    """Both functions write what CloudWatch makes metrics of."""
    logs = system.client("logs")

    def lines(function):
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{STACK}-{function}")["events"]
        messages = [event["message"].strip() for event in found]
        return [json.loads(text) for text in messages if text.startswith('{"_aws"')]

    keep_house(system)
    assert any("OpenExecutions" in line for line in lines("housekeeping"))
    recorded = [line for line in lines("pipeline-events") if line["Outcome"] == "recorded"]
    assert {line["Kind"] for line in recorded} >= {"execution", "step", "model", "package"}
    assert all(line["Stack"] == STACK and "EventAge" in line for line in recorded)
