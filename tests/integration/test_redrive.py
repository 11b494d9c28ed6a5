"""`pipewright redrive`: events that failed for good are replayed, and nothing is lost on the way."""

import json
import re

import pytest

from harness import SAMPLE_TEMPLATE, FailureQueue, configured, wait_for
from ops import ROOT
from ops.local.system import STACK

FIXTURES = ROOT / "tests" / "fixtures" / "failure-queues"
FUNCTION = f"{STACK}-pipeline-events"
# A port that nothing listens on: connections are refused at once.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def redrive(system):
    """The command; gives exit status and output."""
    return lambda *arguments: system.call("redrive", *arguments)


def recorded(name):
    """A recorded message: its body and its attributes."""
    message = json.loads((FIXTURES / f"{name}.json").read_text())
    return message["Body"], message.get("MessageAttributes")


def emptied(queue):
    """A queue, empty before and after."""
    queue.empty()
    yield queue
    queue.empty()


@pytest.fixture
def undelivered(system):
    """The queue of undelivered events, empty."""
    yield from emptied(FailureQueue(system, "UndeliveredEventsQueueUrl"))


@pytest.fixture
def failed(system):
    """The queue of failed invocations, empty."""
    yield from emptied(FailureQueue(system, "FailedInvocationsQueueUrl"))


def ids(output):
    """The ids of the messages that an output lists."""
    return re.findall(r"^([0-9a-f-]{36})  ", output, re.MULTILINE)


def test_what_failed_while_the_function_was_broken_is_recorded_afterwards(
    system, events, redrive, undelivered, failed
):
    with configured(system, "pipeline-events", attempts=1, AWS_ENDPOINT_URL_DYNAMODB=NOWHERE):
        answer = system.start_execution(SAMPLE_TEMPLATE["Id"], "redriven")
        sagemaker = system.client("sagemaker")
        arn = answer["pipelineExecutionArn"]

        def ended():
            described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            return described["PipelineExecutionStatus"] == "Succeeded"

        wait_for(ended, within=90)

        class Execution:
            id = answer["executionId"]
            arn = answer["pipelineExecutionArn"]

        sent = wait_for(lambda: len(events.of(Execution)) >= 12 and events.of(Execution))
        wait_for(lambda: failed.counts()[0] >= len(sent), within=90)
        assert not [i for i in system.items("redriven") if i["entry"].startswith("change#")]

        # While the cause lasts, they fail again and stay.
        status, output = redrive()
        assert status == 0, output
        assert len(ids(output)) == len(sent)
        assert "WriteFailed: could not write" in output
        assert "step Feature-Engineering-Step Succeeded, execution" in output
        first = ids(output)[0]
        status, output = redrive("--message", first)
        assert status == 1
        assert "left: " in output
        assert failed.counts() == (len(sent), 0)

    status, output = redrive("--all", "--dry-run")
    assert status == 0, output
    assert output.count("would go to function") == len(sent)
    assert failed.counts() == (len(sent), 0)
    status, output = redrive("--message", first[:8])
    assert status == 0, output
    assert output.count("replayed: recorded in execution redriven") == 1
    assert ids(output) == [first]
    rest = len(sent) - 1
    assert output.splitlines()[-1] == f"1 replayed, {rest} in the queues ({rest} not chosen)"
    assert failed.counts() == (len(sent) - 1, 0)
    status, output = redrive("--all")
    assert status == 0, output
    assert output.splitlines()[-1] == f"{len(sent) - 1} replayed, 0 in the queues"
    assert failed.counts() == (0, 0)

    changes = [i for i in system.items("redriven") if i["entry"].startswith("change#")]
    details = [json.loads(item["detail"]) for item in changes]
    assert len(details) == len(sent)
    for event in sent:
        assert details.count(event["detail"]) == 1
    record = system.record("redriven")
    assert record["pipelineStatus"] == "Succeeded"
    assert record["modelName"]


def test_only_events_are_replayed_unasked_and_no_address_is_shown(
    system, redrive, undelivered, failed
):
    event = undelivered.put(
        json.dumps(
            {
                "source": "aws.sagemaker",
                "detail-type": "SageMaker Endpoint State Change",
                "time": "2026-01-01T07:00:00Z",
                "detail": {"EndpointName": "nobodys", "EndpointStatus": "CREATING"},
            }
        ),
        {
            "TARGET_ARN": {
                "DataType": "String",
                "StringValue": f"arn:aws:lambda:eu-west-1:123456789012:function:{FUNCTION}",
            },
            "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        },
    )
    others = {
        failed.put(*recorded("failed-custom-resource")): "CloudFormation no longer waits",
        failed.put(*recorded("failed-start")): "a request, no event",
        failed.put("secret of an unknown kind"): "not what AWS puts into this queue",
    }
    status, output = redrive("--all")
    assert status == 1
    assert "endpoint nobodys Creating, event of 2026-01-01T07:00:00Z" in output
    assert "cause: NO_PERMISSIONS" in output
    assert "replayed: nothing to record: endpoint nobodys is not registered" in output
    assert sorted(ids(output)) == sorted([event, *others])
    for words in others.values():
        assert words in output
    assert "secret" not in output
    assert undelivered.counts() == (0, 0)
    assert failed.counts() == (len(others), 0)


def test_requests_that_all_leaves_alone_are_no_failure(redrive, undelivered, failed):
    request = failed.put(*recorded("failed-start"))
    status, output = redrive("--all")
    assert status == 0, output
    assert ids(output) == [request]
    assert "left: a request, no event: --all leaves it alone; name it with --message" in output
    assert output.splitlines()[-1] == (
        "0 replayed, 1 in the queues (1 is a request, which only --message chooses)"
    )
    assert failed.counts() == (1, 0)


def test_a_message_that_can_never_succeed_is_taken_out_where_it_is_named(
    redrive, undelivered, failed
):
    poison = failed.put("secret of an unknown kind")
    failed.put(*recorded("failed-execution"))
    status, output = redrive("--message", poison, "--discard")
    assert status == 1
    assert "only with --yes" in output
    status, output = redrive("--all", "--discard", "--yes")
    assert status == 2
    status, output = redrive("--message", poison, "--discard", "--dry-run")
    assert status == 0, output
    assert "would be discarded" in output
    assert failed.counts() == (2, 0)
    status, output = redrive("--message", poison[:8], "--discard", "--yes")
    assert status == 0, output
    assert ids(output) == [poison]
    assert output.splitlines()[1:] == [
        "    not what AWS puts into this queue: its body is not Lambda's invocation record",
        "    discarded",
        "1 discarded, 1 in the queues (1 not chosen)",
    ]
    assert failed.counts() == (1, 0)


def test_an_id_that_means_no_message_replays_nothing(redrive, undelivered, failed):
    failed.put(*recorded("failed-execution"))
    status, output = redrive("--message", "00000000-0000")
    assert status == 1
    assert "there is no message" in output
    assert failed.counts() == (1, 0)
