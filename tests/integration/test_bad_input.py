"""Bad input fails with a message that names it, everywhere one would look, and leaves nothing."""

import json

import pytest

from harness import SAMPLE_TEMPLATE
from ops import OpsError
from ops.local.system import STACK

TICKER = SAMPLE_TEMPLATE["predictedAsset"]


def message_file(system, watched):
    """What the container wrote to /opt/ml/output/message."""
    run = watched.arn.rsplit("/", 1)[1]
    (path,) = (system.directory / "sagemaker" / run).glob("**/output/message")
    return path.read_text()


def assert_fails_naming(system, execution_id, *names):
    """Run the sample; it must fail, name each of `names`, and leave no output."""
    watched = system.run(SAMPLE_TEMPLATE["Id"], execution_id)
    assert watched.exit_status not in (0, 101), watched.output
    record = system.record(execution_id)
    assert record["pipelineStatus"] == "Failed"
    report = record["processingStepReport"]
    assert report["status"] == "Failed"
    message = message_file(system, watched)
    assert len(message.encode()) <= 1024
    for name in names:
        assert name in message
        assert name in report["reason"]
        assert name in watched.output
    steps = [line for line in watched.output.splitlines() if "Feature-Engineering-Step" in line]
    assert any("Failed" in line and names[0] in line for line in steps), watched.output
    # The log is there to be read; anything else would be half of something.
    left = system.keys("ModelsBucketName", f"execution/{execution_id}/")
    assert [key for key in left if "/logs/" not in key] == []
    run = watched.arn.rsplit("/", 1)[1]
    assert system.keys("ModelsBucketName", f"pipeline/{run}/") == []


def test_a_missing_price_file(system):
    with system.price_file(TICKER, None):
        assert_fails_naming(system, "missing-file", f"{TICKER}.csv")


def test_a_bad_cell(system):
    content = system.read("AssetsBucketName", f"assets/{TICKER}.csv").decode().splitlines()
    date = content[41].split(",")[0]
    content[41] = f"{date},12.5x"
    content[43] = "someday,1"
    with system.price_file(TICKER, "\n".join(content).encode()):
        assert_fails_naming(
            system, "bad-cell", f"{TICKER}.csv line 42", "12.5x", f"{TICKER}.csv line 44", "someday"
        )
    reason = system.record("bad-cell")["processingStepReport"]["reason"]
    assert "/" not in reason


def test_no_common_dates(system):
    rows = "\n".join(f"1999-01-{day:02},1.0" for day in range(1, 32))
    with system.price_file(TICKER, f"Date,Close\n{rows}\n".encode()):
        assert_fails_naming(system, "no-overlap", TICKER, "1999-01-31")


def test_a_request_that_is_no_object(system):
    response = system.client("lambda").invoke(
        FunctionName=f"{STACK}-start-execution", Payload=b"[]"
    )
    message = json.loads(response["Payload"].read())["errorMessage"]
    assert message.startswith("the request is an array; it must be a JSON object with templateId")


def test_an_unknown_template(system):
    with pytest.raises(OpsError, match="no-such-template"):
        system.start_execution("no-such-template", "unknown-template")
    assert system.record("unknown-template") is None


def test_a_value_that_deepar_refuses_is_named_before_anything_starts(system):
    def change(template):
        template["deepARMeta"].setdefault("hyperParams", {})["likelihood"] = "cauchy"

    template_id = system.template_with("bad-likelihood", change)
    with pytest.raises(OpsError, match="likelihood"):
        system.start_execution(template_id, "bad-likelihood")
    assert system.record("bad-likelihood") is None
