"""What DynamoDB holds is a function of the events that happened, however they arrive."""

import concurrent.futures
import json
import random

import pytest

from harness import SAMPLE_TEMPLATE, Replay, wait_for
from ops import ROOT

EVENTS = ROOT / "tests" / "fixtures" / "pipeline-events"


def start_elsewhere(system, **arguments):
    """Start the pipeline without the start function; gives the execution's ARN."""
    return system.client("sagemaker").start_pipeline_execution(
        PipelineName=system.outputs["PipelineName"], **arguments
    )["PipelineExecutionArn"]


def shown(system, execution_id, *words):
    """Whether a line of `pipewright execution show` has all these words."""
    table = ("--table", system.outputs["ExecutionsTableName"])
    status, output = system.call("execution", "show", execution_id, *table)
    assert status == 0, output
    return any(all(word in line for word in words) for line in output.splitlines())


def ended(system, execution_id):
    """The record, once its execution has ended."""
    final = ("Succeeded", "Failed", "Stopped")
    record = system.record(execution_id)
    return record if record and record.get("pipelineStatus") in final else None


@pytest.fixture(scope="module")
def recorded(system, events):
    """An execution with all its events and the items that they left."""
    execution = system.run(SAMPLE_TEMPLATE["Id"], "replayed")
    sent = events.of(execution)

    def complete():
        items = system.items(execution.id)
        return sum(item["entry"].startswith("change#") for item in items) >= len(sent) and items

    return execution, sent, wait_for(complete)


def test_repeated_events_change_nothing(system, recorded):
    execution, sent, items = recorded
    again = random.Random(1).sample(2 * sent, 2 * len(sent))
    Replay(system).all(again)
    assert system.items(execution.id) == items


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_arrival_leaves_the_same_items(system, recorded, seed):
    """Shuffled and repeated, a real execution's events leave the same items in the running system."""
    execution, sent, items = recorded
    replay = Replay(system)
    replay.forget(execution.id)
    assert len(system.items(execution.id)) < len(items)
    shuffled = random.Random(seed)
    order = shuffled.sample(sent, len(sent)) + shuffled.choices(sent, k=len(sent) // 2)
    replay.all(order)
    assert system.items(execution.id) == items


def test_a_training_job_is_described_when_its_step_has_ended(system, recorded):
    execution, sent, items = recorded
    (arn,) = {
        event["detail"]["metadata"]["trainingJob"]["arn"]
        for event in sent
        if "trainingJob" in event["detail"].get("metadata", {})
    }
    name = arn.rpartition("/")[2]
    job = system.client("sagemaker").describe_training_job(TrainingJobName=name)
    (item,) = [item for item in items if item["entry"].startswith("training#")]
    assert item["entry"] == f"training#{name.lower()}"
    assert (item["resourceArn"], item["status"]) == (job["TrainingJobArn"], "Completed")
    # Seconds with a fraction come as a float.
    ended = job["TrainingEndTime"].timestamp() * 1000
    assert float(item["endedAt"]) == pytest.approx(ended, abs=1)
    told = [(metric["name"], float(metric["value"])) for metric in item.get("metrics", [])]
    described = job.get("FinalMetricDataList", [])
    assert [name for name, _ in told] == [metric["MetricName"] for metric in described]
    assert [value for _, value in told] == pytest.approx([m["Value"] for m in described], rel=1e-6)


def test_an_execution_from_elsewhere_is_tracked_and_its_failure_told(system):
    """An execution that was started elsewhere is tracked like any other, the failed step's name
    and reason included.
    """
    arn = start_elsewhere(
        system,
        PipelineExecutionDisplayName="by-hand",
        PipelineParameters=[
            {"Name": "ExecutionId", "Value": "started-by-hand"},
            {"Name": "HyperParamContextLength", "Value": "28"},
            {"Name": "HyperParamPredictionLength", "Value": "7"},
        ],
    )
    own_id = arn.rpartition("/")[2]
    record = wait_for(lambda: ended(system, own_id), within=60)
    assert record["pipelineStatus"] == "Failed"
    assert record["pipelineExecutionArn"].lower() == arn.lower()
    assert system.items("by-hand") == system.items("started-by-hand") == []

    def failed_step():
        items = system.items(own_id)
        return [item for item in items if item.get("status") == "Failed" and "stepName" in item]

    step = wait_for(failed_step)[0]
    assert step["stepName"] == "Feature-Engineering-Step"
    assert "start-execution" in step["reason"]
    assert shown(system, own_id, step["stepName"], "Failed", step["reason"])


def test_a_stopped_execution_ends_as_stopped(system):
    """A stopped execution ends as Stopped."""
    answer = system.start_execution(SAMPLE_TEMPLATE["Id"], "to-be-stopped")
    system.client("sagemaker").stop_pipeline_execution(
        PipelineExecutionArn=answer["pipelineExecutionArn"],
        ClientRequestToken="to-be-stopped".ljust(32, "-"),
    )
    record = wait_for(lambda: ended(system, "to-be-stopped"), within=60)
    assert record["pipelineStatus"] == "Stopped"
    assert record["phase"].startswith("ended#")
    assert shown(system, "to-be-stopped", "execution", "Stopped")


def test_a_cache_hit_is_shown_as_one(system):
    """SageMaker's own event of one, for an execution that the stand-in knows."""
    answer = system.start_execution(SAMPLE_TEMPLATE["Id"], "from-the-cache")
    arn = answer["pipelineExecutionArn"]
    system.client("sagemaker").stop_pipeline_execution(
        PipelineExecutionArn=arn, ClientRequestToken="from-the-cache".ljust(32, "-")
    )
    wait_for(lambda: ended(system, "from-the-cache"), within=60)
    event = json.loads((EVENTS / "step-cache-hit.json").read_text())
    event["detail"]["pipelineExecutionArn"] = arn
    Replay(system).deliver(event)
    hits = [item for item in system.items("from-the-cache") if "cacheHitArn" in item]
    assert [item["stepName"] for item in hits] == ["Feature-Engineering-Step"]
    assert shown(system, "from-the-cache", "Feature-Engineering-Step", "from the cache")


def test_two_executions_at_once_do_not_mix(system):
    """Two executions at once do not mix."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(system.run, SAMPLE_TEMPLATE["Id"], execution_id)
            for execution_id in ("side-by-side-1", "side-by-side-2")
        ]
        executions = [run.result() for run in runs]
    for execution in executions:
        assert execution.exit_status == 0, execution.output
        items = system.items(execution.id)
        arns = {item["executionArn"].lower() for item in items if "executionArn" in item}
        assert arns == {execution.arn.lower()}
