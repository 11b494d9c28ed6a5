"""AWS at its worst: throttled calls, and writes that were made but whose answers got lost."""

import contextlib
import json
import os
import random
import sys
import urllib.request
from pathlib import Path

import pytest

from harness import SAMPLE_TEMPLATE, FailureQueue, Replay, configured, wait_for
from ops import OpsError
from ops.local.supervise import listen

LOST_ANSWER = {"response": {"abort_bytes": 0}}
THROTTLED = {"error": {"code": "ThrottlingException"}}
BROKEN = {"error": {"code": "InternalServerError", "status": 500}}
RESET = {"reset": True}


class Proxy:
    """A proxy in front of one endpoint that injects faults."""

    def __init__(self, system, name, upstream):
        with listen() as free:
            port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        program = Path(sys.executable).with_name("microburst")
        # Signatures cover the host, which is another behind the proxy.
        command = [program, "--upstream", upstream, "--port", port, "--resign"]
        environment = {"PATH": os.defpath, **system.environment()}
        service = system.supervisor.start(f"faults-{name}", command, environment)

        def answers():
            with contextlib.suppress(OSError):
                return self._call("GET", "health")

        service.wait(answers)

    def _call(self, method, path, content=None):
        request = urllib.request.Request(
            f"{self.endpoint}/_microburst/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read() or "null")

    def inject(self, *rules):
        """Replace all rules and forget what was injected so far."""
        self._call("POST", "rules", list(rules))
        self._call("DELETE", "fired")

    def fired(self):
        """The faults injected since."""
        return self._call("GET", "fired")


@pytest.fixture(scope="module")
def aws(system):
    """Faults of DynamoDB."""
    return Proxy(system, "aws", system.endpoint)


@pytest.fixture(scope="module")
def sagemaker(system):
    """Faults of SageMaker."""
    return Proxy(system, "sagemaker", system.sagemaker_endpoint)


@contextlib.contextmanager
def function_behind(system, function, proxies, attempts=None):
    """Have a function reach DynamoDB and SageMaker through the proxies."""
    endpoints = {
        "AWS_ENDPOINT_URL_DYNAMODB": proxies[0].endpoint,
        "AWS_ENDPOINT_URL_SAGEMAKER": proxies[1].endpoint,
    }
    with configured(system, function, attempts, **endpoints):
        try:
            yield
        finally:
            for proxy in proxies:
                proxy.inject()


def executions_named(system, name):
    """The ARNs of all executions of this display name."""
    pages = system.client("sagemaker").get_paginator("list_pipeline_executions")
    return [
        summary["PipelineExecutionArn"]
        for page in pages.paginate(PipelineName=system.outputs["PipelineName"])
        for summary in page["PipelineExecutionSummaries"]
        if summary["PipelineExecutionDisplayName"] == name
    ]


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sagemaker", "StartPipelineExecution"),
        ("dynamodb", "PutItem"),
        ("dynamodb", "UpdateItem"),
    ],
)
@pytest.mark.parametrize("fault", [LOST_ANSWER, THROTTLED], ids=["lost-answer", "throttled"])
def test_a_start_that_meets_a_fault_starts_once(
    system, aws, sagemaker, service, operation, fault, request
):
    """One execution starts, too, when SageMaker or a table throttles or its answer is lost."""
    execution_id = f"fault-{operation}-{request.node.callspec.id.partition('-')[0]}"
    proxy = sagemaker if service == "sagemaker" else aws
    with function_behind(system, "start-execution", (aws, sagemaker)):
        proxy.inject({"service": service, "operation": operation, "times": 1, **fault})
        answer = system.start_execution(SAMPLE_TEMPLATE["Id"], execution_id)
        assert len(proxy.fired()) == 1
    executions = executions_named(system, execution_id)
    assert executions == [answer["pipelineExecutionArn"]]
    system.client("sagemaker").stop_pipeline_execution(
        PipelineExecutionArn=executions[0], ClientRequestToken=execution_id.ljust(32, "-")
    )
    wait_for(lambda: system.record(execution_id).get("pipelineStatus") == "Stopped", within=60)


def test_no_change_is_lost_or_doubled_when_every_third_write_meets_a_fault(
    system, aws, sagemaker, events
):
    """With writes throttled and their answers lost, every event has its one change item in the
    end.
    """
    # Of 18 events, each tried nine times, one would end in the failure queue in 1 of 20 runs at 0.3,
    # and in 1 of 500 at 0.2.
    rule = {"service": "dynamodb", "probability": 0.2}
    with function_behind(system, "pipeline-events", (aws, sagemaker)):
        aws.inject({**rule, **LOST_ANSWER}, {**rule, **THROTTLED})
        execution = system.run(SAMPLE_TEMPLATE["Id"], "faulty-events")
        sent = events.of(execution)

        def recorded():
            items = system.items(execution.id)
            changes = [item for item in items if item["entry"].startswith("change#")]
            return len(changes) >= len(sent) and changes

        changes = wait_for(recorded, within=150)
        assert aws.fired()
    assert execution.exit_status == 0, execution.output
    details = [json.loads(item["detail"]) for item in changes]
    for event in sent:
        assert details.count(event["detail"]) == 1
    assert len(changes) == len(sent)


def test_a_start_that_died_before_its_arn_is_mended_by_the_first_event(system, aws, sagemaker):
    name = "died-after-the-start"
    with function_behind(system, "start-execution", (aws, sagemaker)):
        aws.inject({"service": "dynamodb", "operation": "UpdateItem", **BROKEN})
        with pytest.raises(OpsError, match="call again with this id"):
            system.start_execution(SAMPLE_TEMPLATE["Id"], name)
    (arn,) = executions_named(system, name)
    record = wait_for(lambda: (found := system.record(name)).get("arnKey") and found)
    assert record["pipelineExecutionArn"].lower() == arn.lower()
    assert record["templateId"] == SAMPLE_TEMPLATE["Id"]
    again = system.start_execution(SAMPLE_TEMPLATE["Id"], name)
    assert again["alreadyStarted"] is True
    assert again["pipelineExecutionArn"].lower() == arn.lower()
    assert executions_named(system, name) == [arn]
    wait_for(lambda: system.record(name).get("pipelineStatus") == "Succeeded", within=90)


def test_an_unwritten_event_is_in_the_failure_queue_and_can_be_replayed(
    system, aws, sagemaker, events
):
    """An event that could not be written is in the failure queue, and replaying it gives the items
    that it would have given.
    """
    execution = system.run(SAMPLE_TEMPLATE["Id"], "at-its-worst")
    assert execution.exit_status == 0, execution.output
    sent = events.of(execution)

    def changes():
        items = system.items(execution.id)
        return [json.loads(i["detail"]) for i in items if i["entry"].startswith("change#")]

    wait_for(lambda: len(changes()) >= len(sent))
    items = system.items(execution.id)
    queue = FailureQueue(system, "FailedInvocationsQueueUrl")
    queue.empty()
    replay = Replay(system)
    replay.forget(execution.id)
    kept = []
    with function_behind(system, "pipeline-events", (aws, sagemaker), attempts=1):
        aws.inject(
            {"service": "dynamodb", "probability": 0.3, **THROTTLED},
            *(
                {"service": "dynamodb", "probability": 0.2, **f}
                for f in (BROKEN, RESET, LOST_ANSWER)
            ),
        )
        for event in random.Random(1).sample(2 * sent, 2 * len(sent)):
            replay.send(event)

        def accounted_for():
            kept.extend(body["requestPayload"]["detail"] for body in queue.bodies())
            # Its step's change may be written, and the event in the queue for the job's sake.
            keys = [item["entry"] for item in system.items(execution.id)]
            described = any(key.startswith("training#") for key in keys)
            queued = any("trainingJob" in detail.get("metadata", {}) for detail in kept)
            if not described and not queued:
                return False
            return all(event["detail"] in changes() + kept for event in sent)

        wait_for(accounted_for, within=150)
        injected = {fault["action"].partition(":")[0] for fault in aws.fired()}
        assert len(injected) >= 3, injected
    assert kept

    def mended():
        status, output = system.call("redrive", "--all")
        assert status == 0, output
        return queue.counts() == (0, 0) and system.items(execution.id) == items

    wait_for(mended, within=90)
