"""A pipeline of one's own, which is started, watched, stopped, retried, listed, mended and cleaned up by
the commands and functions of the shipped one.
"""

import concurrent.futures
import json
import shutil
import time

import pytest
from test_housekeeping import RULES, Endpoints, changes, keep_house, lost, outcome
from test_own_pipeline import deploy
from test_redrive import emptied, ids

from harness import BINARIES, OWN_PIPELINE, SAMPLES, FailureQueue, Replay, configured, wait_for
from ops.local.system import ACCOUNT, REGION, STACK
from ops.pipeline import pipelines
from ops.pipeline.from_definition import PipelineFromDefinition
from ops.stack.ownership import own_pipeline

STEPS = ("Prepare", "Train", "Evaluate", "GoodEnough", "Register")
NAME = "any-pipeline"


def reconciled(system, execution_id):
    """What housekeeping had to add to a record."""
    return [item for item in changes(system, execution_id) if item.get("reconciled")]


class Mine:
    """The pipeline, and the commands for its executions."""

    def __init__(self, system, events):
        self._system = system
        self._events = events
        self.arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{NAME}"

    def execution(self, *arguments, status=0):
        """The output of `pipewright execution ...`, which must end with this status."""
        found, output = self._system.call("execution", *arguments)
        assert found == status, output
        return output

    def start(self, execution_id, *parameters):
        """Start an execution; gives what is answered."""
        arguments = [word for parameter in parameters for word in ("--parameter", parameter)]
        arguments += ["--id", execution_id, "--format", "json"]
        return json.loads(self.execution("start", "--pipeline", NAME, *arguments))

    def watch(self, which, status=0):
        """Watch one to its end; gives what was shown."""
        return self.execution("watch", which, "--timeout", "90", "--interval", "250", status=status)

    def sent(self, execution_id, arn):
        """The events of an execution, all of which are recorded."""

        class Watched:
            pass

        watched = Watched()
        watched.arn = arn
        sent = self._events.of(watched)
        wait_for(lambda: len(changes(self._system, execution_id)) >= len(sent))
        return sent

    def started_elsewhere(self, **arguments):
        """Start an execution in SageMaker itself; gives its ARN."""
        start = self._system.client("sagemaker").start_pipeline_execution
        return start(PipelineName=NAME, **arguments)["PipelineExecutionArn"]

    def ended(self, arn):
        """SageMaker's status of an execution, once it is final."""

        def final():
            describe = self._system.client("sagemaker").describe_pipeline_execution
            status = describe(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
            return status if status in ("Succeeded", "Failed", "Stopped") else None

        return wait_for(final, within=60)


@pytest.fixture(scope="module")
def mine(system, events, tmp_path_factory):
    """The sample's own pipeline under another name."""
    directory = tmp_path_factory.mktemp("pipelines") / NAME
    shutil.copytree(OWN_PIPELINE, directory)
    assert deploy(system, directory)["PipelineName"] == NAME
    return Mine(system, events)


@pytest.fixture(scope="module")
def recorded(system, mine):
    """An execution that the command started and followed to its end; its answer and its events."""
    answer = mine.start("any-recorded", "LargestError=0.3")
    shown = mine.watch("any-recorded")
    return answer, shown, mine.sent("any-recorded", answer["pipelineExecutionArn"])


def test_its_pipeline_is_tagged_and_has_one_rule_of_its_own(system, mine):
    tags = system.client("sagemaker").list_tags(ResourceArn=mine.arn)["Tags"]
    assert {"Key": "pipewright:pipeline", "Value": STACK} in tags
    rules = system.client("events").list_rules(NamePrefix=f"{STACK}.follows-")["Rules"]
    assert [json.loads(rule["EventPattern"]) for rule in rules].count(
        {
            "source": ["aws.sagemaker"],
            "detail-type": [
                "SageMaker Model Building Pipeline Execution Status Change",
                "SageMaker Model Building Pipeline Execution Step Status Change",
            ],
            "detail": {"pipelineArn": [{"equals-ignore-case": mine.arn}]},
        }
    ) == 1


def test_an_execution_of_any_pipeline_is_recorded_event_by_event(system, recorded):
    """An execution of any pipeline that the installation follows has each of its events in its record."""
    answer, shown, sent = recorded
    assert answer["executionId"] == "any-recorded"
    assert not answer["alreadyStarted"]
    for step in STEPS:
        assert f"{step}  " in shown
    told = changes(system, "any-recorded")
    assert len(told) == len(sent)
    assert not reconciled(system, "any-recorded")
    record = system.record("any-recorded")
    assert record["pipelineStatus"] == "Succeeded"
    assert record["pipelineName"] == NAME
    assert record["pipelineParameters"] == {"LargestError": "0.3"}
    assert record["arnKey"] == answer["pipelineExecutionArn"].lower()
    assert f":model-package/{NAME}/" in record["modelPackageArn"]
    assert record["approvalStatus"] == "PendingManualApproval"


def test_an_approval_long_after_the_end_is_recorded(system, recorded):
    package = system.record("any-recorded")["modelPackageArn"]
    system.client("sagemaker").update_model_package(
        ModelPackageArn=package, ModelApprovalStatus="Approved"
    )

    def approved():
        return system.record("any-recorded")["approvalStatus"] == "Approved"

    wait_for(approved)


def test_any_start_is_made_once(system, mine):
    """Calls of the command with one id, many at once and again later, start one execution of a pipeline."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: mine.start("any-once"), range(6)))
    (arn,) = {answer["pipelineExecutionArn"] for answer in answers}
    assert mine.start("any-once") == {
        "executionId": "any-once",
        "pipelineExecutionArn": arn,
        "alreadyStarted": True,
    }
    rows = system.client("sagemaker").list_pipeline_executions(PipelineName=NAME)
    names = [row["PipelineExecutionDisplayName"] for row in rows["PipelineExecutionSummaries"]]
    assert names.count("any-once") == 1
    # A call that crashed before the record had its ARN is repeated as well.
    system.client("dynamodb").update_item(
        TableName=system.outputs["ExecutionsTableName"],
        Key={"Id": {"S": "any-once"}, "entry": {"S": "record"}},
        UpdateExpression="REMOVE arnKey, pipelineExecutionArn",
    )
    assert mine.start("any-once")["pipelineExecutionArn"] == arn
    mine.watch("any-once")


def test_a_start_that_cannot_be_is_refused_with_all_its_faults(system, mine, recorded):
    bad = ("--parameter", "LargestEror=1", "--parameter", "ModelApprovalStatus=Maybe")
    output = mine.execution("start", "--pipeline", NAME, "--id", "any-bad", *bad, status=1)
    assert 'the pipeline has no parameter LargestEror: did you mean "LargestError"?' in output
    assert 'must be one of "Approved", "Rejected", "PendingManualApproval"' in output
    assert system.record("any-bad") is None
    taken = ("--id", "any-recorded", "--parameter", "LargestError=0.4")
    output = mine.execution("start", "--pipeline", NAME, *taken, status=1)
    assert f"it belongs to an execution of pipeline {NAME} with other parameters" in output
    output = mine.execution("start", "--pipeline", "nobodys", status=1)
    assert "SageMaker has no pipeline nobodys" in output
    shipped = system.outputs["PipelineName"]
    output = mine.execution("start", "--pipeline", shipped, status=1)
    assert "`pipewright execution start --template ID`" in output


def test_a_template_starts_the_shipped_pipeline(system, mine):
    system.template_with("any-template")
    started = mine.execution("start", "--template", "any-template", "--id", "any-shipped")
    assert started.startswith("execution any-shipped is started: arn:")
    assert system.record("any-shipped")["templateId"] == "any-template"
    again = mine.execution("start", "--template", "any-template", "--id", "any-shipped")
    assert again.startswith("execution any-shipped was started before: arn:")
    assert "execution any-shipped is being stopped" in mine.execution("stop", "any-shipped")
    mine.watch("any-shipped", status=1)


def test_an_execution_is_stopped_and_goes_on_by_commands(system, mine):
    """An execution that the command stops ends as Stopped, and when it is retried goes on to its end."""
    arn = mine.start("any-stopped")["pipelineExecutionArn"]
    assert "is being stopped" in mine.execution("stop", arn)
    assert "Stopped" in mine.watch("any-stopped", status=1)
    assert system.record("any-stopped")["pipelineStatus"] == "Stopped"
    # An event tells whole seconds, and of two in one the end counts.
    time.sleep(1)
    assert "execution any-stopped goes on\n" in mine.execution("retry", "any-stopped")
    assert "Succeeded" in mine.watch("any-stopped")
    assert system.record("any-stopped")["pipelineStatus"] == "Succeeded"
    assert "Succeeded" in mine.execution("retry", "any-stopped", status=1)


def test_it_is_found_by_id_arn_and_display_name(system, mine, recorded):
    """An execution is found by its record's id, its ARN in any case, its display name and SageMaker's own id."""
    answer, *_ = recorded
    arn = mine.started_elsewhere(PipelineExecutionDisplayName="any-nightly")
    assert mine.ended(arn) == "Succeeded"
    own = arn.rpartition("/")[2]
    wait_for(lambda: system.record(own) and system.record(own).get("pipelineStatus") == "Succeeded")
    for which, execution_id in (
        (own, own),
        (arn, own),
        (arn.replace(NAME, NAME.upper()), own),
        ("any-nightly", own),
        (answer["pipelineExecutionArn"], "any-recorded"),
        (answer["pipelineExecutionArn"].rpartition("/")[2], "any-recorded"),
    ):
        shown = json.loads(mine.execution("show", which, "--format", "json"))
        assert shown["id"] == execution_id, which
    second = mine.started_elsewhere(PipelineExecutionDisplayName="any-nightly")
    mine.watch(second)
    output = mine.execution("show", "any-nightly", status=1)
    assert "2 executions have the name any-nightly" in output
    assert own in output


def test_an_unknown_execution_is_told_at_once_with_those_that_are_near(system, mine, recorded):
    """An unknown execution is told at once, with those that are near, unless it is to be waited for."""
    for command in ("show", "watch", "stop", "retry"):
        began = time.monotonic()
        output = mine.execution(command, "any-recordde", status=1)
        assert time.monotonic() - began < 5
        assert 'did you mean "any-recorded"?' in output
        assert "`pipewright execution list` has the ids" in output
    output = mine.execution("show", "any-rec", status=1)
    assert 'did you mean "any-recorded"?' in output
    output = mine.execution("watch", "nobodys", "--wait", "--timeout", "1", status=3)
    assert output.count("there is no execution") == 1
    assert "there is still no record of that execution" in output
    output = mine.execution("watch", f"{mine.arn}/execution/nobodysnobod", status=1)
    assert "there is no execution arn:" in output
    other = ("--prefix", "another")
    assert "another-executions" in mine.execution("list", *other, status=1)


def test_it_is_listed_with_the_others(system, mine, recorded):
    listed = json.loads(mine.execution("list", "--pipeline", NAME.upper(), "--format", "json"))
    assert {row["pipeline"] for row in listed} == {NAME}
    (row,) = [row for row in listed if row["id"] == "any-recorded"]
    assert row["displayName"] == "any-recorded"
    lines = mine.execution("list").splitlines()
    (line,) = [line for line in lines if line.startswith("any-recorded ")]
    assert line.split()[:4] == ["any-recorded", "Succeeded", NAME, "-"]
    nothing = mine.execution("list", "--pipeline", "nobodys")
    assert "no execution of pipeline nobodys" in nothing


def test_events_of_it_that_got_lost_are_mended(system, mine, recorded):
    """Lost events of any pipeline that is followed are mended by the next run, and one more finds nothing."""
    _, _, sent = recorded
    assert reconciled(system, "any-recorded") == []
    before = outcome(system, "any-recorded")
    Replay(system).forget("any-recorded")
    (dropped,) = (
        event
        for event in sent
        if event["detail"].get("currentStepStatus") == "Succeeded"
        and event["detail"]["stepName"] == "Train"
    )
    Replay(system).all([event for event in sent if event != dropped])
    report = keep_house(system)
    assert "any-recorded: step Train Succeeded" in report["executions"]["reconciled"]
    # Its package was approved since, which those events do not say.
    assert {**before, ("package", ""): None} == {
        **outcome(system, "any-recorded"),
        ("package", ""): None,
    }
    assert system.record("any-recorded")["approvalStatus"] == "Approved"
    items = system.items("any-recorded")
    keep_house(system)
    assert system.items("any-recorded") == items


def test_an_execution_of_it_that_no_event_told_of_gets_a_record(system, mine, recorded):
    (rule,) = (
        rule["Name"]
        for rule in system.client("events").list_rules(NamePrefix=f"{STACK}.follows-")["Rules"]
        if f"pipeline/{NAME}" in rule["EventPattern"]
    )
    system.client("events").disable_rule(Name=rule)
    try:
        with lost(system, "resources"):
            arn = mine.started_elsewhere()
            assert mine.ended(arn) == "Succeeded"
            # SageMaker has it, and no record: it is waited for.
            waiting = mine.execution("watch", arn, "--timeout", "1", status=3)
            assert f"execution {arn} has no record in table pipewright-executions yet" in waiting
            report = keep_house(system)
    finally:
        system.client("events").enable_rule(Name=rule)
    own = arn.rpartition("/")[2]
    assert own in report["executions"]["adopted"]
    told = outcome(system, own)
    assert {step for kind, step in told if kind == "step"} == set(STEPS)
    assert told["execution", ""] == ("Succeeded", None)
    assert told["package", ""] == ("Completed", "PendingManualApproval")
    assert len(reconciled(system, own)) == len(changes(system, own))


@pytest.fixture
def undelivered(system):
    """The queue of undelivered events, empty."""
    yield from emptied(FailureQueue(system, "UndeliveredEventsQueueUrl"))


def test_events_of_it_that_could_not_be_delivered_are_redriven(system, recorded, undelivered):
    _, _, sent = recorded
    Replay(system).forget("any-recorded")
    told = {
        "RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{STACK}.follows-0123456789ab",
        "TARGET_ARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-pipeline-events",
        "ERROR_CODE": "NO_PERMISSIONS",
    }
    attributes = {
        name: {"DataType": "String", "StringValue": value} for name, value in told.items()
    }
    for event in sent:
        undelivered.put(json.dumps(event), attributes)
    status, output = system.call("redrive", "--all")
    assert status == 0, output
    assert len(ids(output)) == len(sent)
    assert "step Train Succeeded, execution" in output
    assert len(changes(system, "any-recorded")) == len(sent)
    assert system.record("any-recorded")["pipelineStatus"] == "Succeeded"
    assert not reconciled(system, "any-recorded")


def test_a_pipeline_of_a_definition_alone_has_records_as_well(system):
    pipeline = PipelineFromDefinition(
        SAMPLES / "pipelines/scikit-learn", BINARIES / "pipewright", {}
    )
    own = own_pipeline(pipeline.name, STACK)
    name = pipelines.deploy(system.deployer, pipeline, own, system.outputs)["PipelineName"]
    start = ("execution", "start", "--pipeline", name, "--id", "any-notebook")
    status, output = system.call(*start)
    assert status == 0, output
    # Its programs may not run here, for want of what they import.
    system.call("execution", "watch", "any-notebook", "--timeout", "90")
    record = system.record("any-notebook")
    assert record["pipelineStatus"] in ("Succeeded", "Failed")
    assert record["pipelineName"] == name


@pytest.fixture
def named(system, mine):
    """A pipeline that no stack has made, and that the installation follows by its name alone."""
    sagemaker = system.client("sagemaker")
    described = sagemaker.describe_pipeline(PipelineName=NAME)
    name = "Any-Named"
    sagemaker.create_pipeline(
        PipelineName=name,
        ClientRequestToken="any-named-".ljust(32, "0"),
        PipelineDefinition=described["PipelineDefinition"],
        RoleArn=described["RoleArn"],
    )
    system.deploy(parameters={"PipelineNames": f"nobodys-{name},{name.lower()}"})
    yield name
    system.deploy()


def test_a_pipeline_is_followed_by_its_name_alone(system, mine, named):
    """A pipeline that PipelineNames names has records, in whatever case, and its lost executions are found."""

    def run():
        start = system.client("sagemaker").start_pipeline_execution
        arn = start(PipelineName=named)["PipelineExecutionArn"]
        assert mine.ended(arn) == "Succeeded"
        return arn.rpartition("/")[2]

    told = run()

    def recorded():
        record = system.record(told) or {}
        return record.get("modelPackageArn") and record.get("pipelineStatus") == "Succeeded"

    wait_for(recorded)
    assert not reconciled(system, told)
    with lost(system, *RULES):
        untold = run()
    response = system.client("lambda").invoke(
        FunctionName=f"{STACK}-housekeeping", Payload=json.dumps({"graceSeconds": 0}).encode()
    )
    answer = json.loads(response["Payload"].read())
    # The other name is unknown, which is told and stops nothing.
    assert f"the executions of pipeline nobodys-{named}" in answer["errorMessage"]
    assert system.record(untold)["pipelineStatus"] == "Succeeded"


def test_an_idle_endpoint_of_it_is_listed_and_deleted(system, mine, recorded):
    sagemaker = system.client("sagemaker")
    sagemaker.create_model(
        ModelName="any-model",
        ExecutionRoleArn=system.outputs["ModelRoleArn"],
        PrimaryContainer={"Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nobody:1"},
    )
    endpoints = Endpoints(system, "any-model", "any-recorded")
    endpoints.create("any-idle")
    wait_for(lambda: system.record("any-recorded").get("endpointStatus") == "InService")
    status, output = system.call("endpoint", "list")
    assert status == 0, output
    (line,) = [line for line in output.splitlines() if line.startswith("any-idle ")]
    assert line.split()[1:3] == ["InService", "any-recorded"]
    with configured(system, "housekeeping", IDLE_ENDPOINT_HOURS="0"):
        report = keep_house(system)
    assert "any-idle" in report["endpoints"]["deleted"]
    wait_for(lambda: endpoints.status("any-idle") is None)
    keep_house(system)
    status, output = system.call("endpoint", "list", "--all", "--format", "json")
    (row,) = [row for row in json.loads(output) if row["name"] == "any-idle"]
    assert row["status"] is None
    assert row["deletedAt"]
