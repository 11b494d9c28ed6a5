"""The functions under `cargo lambda watch`, called with the fixtures, against the local AWS."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness import SAMPLE_TEMPLATE, wait_for
from ops import ROOT
from ops.local.supervise import Supervisor, listen
from ops.local.system import LOOPBACK_ALLOWED, STACK

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture(scope="module")
def environment(system):
    """What the functions and cargo find in their environment."""
    variables = {**os.environ, **system.environment(), **LOOPBACK_ALLOWED}
    for function in system.client("lambda").list_functions()["Functions"]:
        # Other tests' functions are not part of the stack.
        if function["FunctionName"].startswith(f"{STACK}-"):
            variables.update(function["Environment"]["Variables"])
    # cargo finds `cargo-lambda` as the venv has it.
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    return variables


@pytest.fixture(scope="module")
def invoke(environment, tmp_path_factory):
    """Calls a function with a fixture by `cargo lambda invoke`; gives its answer."""
    assert shutil.which("cargo-lambda", path=environment["PATH"]), "run `make test-python`"
    with listen() as free:
        port = str(free.getsockname()[1])
    address = ["--invoke-address", "127.0.0.1", "--invoke-port", port]
    command = ["cargo", "lambda", "watch", "--ignore-changes", *address]

    def listening():
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return True  # it answers, if only that there is nothing here
        except OSError:
            return False
        return True

    def call(function, fixture):
        return subprocess.run(
            ["cargo", "lambda", "invoke", *address, function, "--data-file", str(fixture)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    # It ends with this module: it is another project's server, and answers every caller.
    with Supervisor(tmp_path_factory.mktemp("cargo-lambda")) as supervisor:
        # The first start of the day reads a large program from the disk.
        supervisor.start("cargo-lambda", command, environment).wait(listening, timeout=120)
        yield call


def test_start_execution(system, invoke):
    fixture = FIXTURES / "start-execution" / "sample.json"
    assert json.loads(fixture.read_text()) == {"templateId": SAMPLE_TEMPLATE["Id"]}
    answer = invoke("start-execution", fixture)
    assert answer.returncode == 0, answer.stderr
    started = json.loads(answer.stdout)
    assert started["alreadyStarted"] is False
    assert system.record(started["executionId"])
    wait_for(
        lambda: system.record(started["executionId"]).get("pipelineStatus") == "Succeeded",
        within=60,
    )


def test_start_execution_names_a_template_that_is_not_there(invoke):
    answer = invoke("start-execution", FIXTURES / "start-execution" / "unknown-template.json")
    assert answer.returncode != 0
    assert "no-such-template" in answer.stderr.replace("\n", "")


def test_pipeline_definition(system, invoke, tmp_path):
    request = json.loads((FIXTURES / "pipeline-definition" / "create.json").read_text())
    reply = {"Bucket": system.outputs["PipelineBucketName"], "Key": "replies/create.json"}
    # The fixture's own address is that of `make local`, and takes answers of anybody.
    request["ResponseURL"] = system.client("s3").generate_presigned_url("put_object", Params=reply)
    fixture = tmp_path / "create.json"
    fixture.write_text(json.dumps(request))
    answer = invoke("pipeline-definition", fixture)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(system.client("s3").get_object(**reply)["Body"].read())
    assert told["Status"] == "SUCCESS"
    assert told["Data"]["Key"] in system.keys("PipelineBucketName", "fixtures/")


def test_pipeline_events(system, invoke):
    fixture = FIXTURES / "pipeline-events" / "endpoint-in-service.json"
    endpoint = json.loads(fixture.read_text())["detail"]["EndpointName"]
    assert json.loads(invoke("pipeline-events", fixture).stdout)["outcome"] == "notOurs"
    system.client("dynamodb").put_item(
        TableName=system.outputs["EndpointsTableName"],
        Item={"EndpointName": {"S": endpoint}, "executionId": {"S": "serves-an-endpoint"}},
    )
    answer = invoke("pipeline-events", fixture)
    assert answer.returncode == 0, answer.stderr
    assert system.record("serves-an-endpoint")["endpointStatus"] == "InService"
