"""AWS at its worst: throttled calls, and writes that were made but whose answers got lost."""

import contextlib
import json
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from harness import SAMPLE_TEMPLATE, wait_for
from supervise import listen
from system import STACK

LOST_ANSWER = {"response": {"abort_bytes": 0}}
THROTTLED = {"error": {"code": "ThrottlingException"}}


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
def function_behind(system, function, proxies):
    """Have a function reach DynamoDB and SageMaker through the proxies."""
    functions = system.client("lambda")
    name = f"{STACK}-{function}"
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    endpoints = {
        "AWS_ENDPOINT_URL_DYNAMODB": proxies[0].endpoint,
        "AWS_ENDPOINT_URL_SAGEMAKER": proxies[1].endpoint,
    }
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**before["Variables"], **endpoints}}
    )
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.inject()
        functions.update_function_configuration(FunctionName=name, Environment=before)


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
    execution_id = f"fault-{operation}-{request.node.callspec.id.partition('-')[0]}"
    proxy = sagemaker if service == "sagemaker" else aws
    with function_behind(system, "start-execution", (aws, sagemaker)):
        proxy.inject({"service": service, "operation": operation, "times": 1, **fault})
        answer = system.start_execution(SAMPLE_TEMPLATE["Id"], execution_id)
        assert len(proxy.fired()) == 1
    executions = [
        summary["PipelineExecutionArn"]
        for page in system.client("sagemaker")
        .get_paginator("list_pipeline_executions")
        .paginate(PipelineName=system.outputs["PipelineName"])
        for summary in page["PipelineExecutionSummaries"]
        if summary["PipelineExecutionDisplayName"] == execution_id
    ]
    assert executions == [answer["pipelineExecutionArn"]]
    system.client("sagemaker").stop_pipeline_execution(
        PipelineExecutionArn=executions[0], ClientRequestToken=execution_id.ljust(32, "-")
    )
    wait_for(lambda: system.record(execution_id).get("pipelineStatus") == "Stopped", within=60)


def test_no_change_is_lost_or_doubled_when_every_other_write_meets_a_fault(
    system, aws, sagemaker, events
):
    rule = {"service": "dynamodb", "probability": 0.3}
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
