"""One execution of the sample, from the start function to its record and outputs."""

import concurrent.futures
import csv
import io
import json

import pytest

from harness import SAMPLE_TEMPLATE, wait_for
from ops import OpsError

STEPS = [
    "Feature-Engineering-Step",
    "AssetPrediction-Training-Step",
    "AssetPredictionRegisterModel",
    "AssetPrediction-CreateModel-Step",
]
SIMULATED = [STEPS[2]]


def changes(system, execution_id):
    """The changes in an execution's record, in the order of their keys."""
    items = system.items(execution_id)
    return [item for item in items if item["entry"].startswith("change#")]


def test_it_succeeds_and_shows_every_step(execution):
    assert execution.exit_status == 0, execution.output
    assert "Succeeded" in execution.output
    for step in STEPS:
        assert step in execution.output


def test_simulated_steps_say_so_and_the_real_ones_do_not(system, execution):
    steps = [item for item in changes(system, execution.id) if item["kind"] == "step"]
    told = {item["stepName"] for item in steps if item.get("simulated")}
    assert told == set(SIMULATED)
    for line in execution.output.splitlines():
        if any(step in line for step in SIMULATED) and "Succeeded" in line:
            assert "simulated" in line


def test_every_change_that_was_sent_is_recorded_with_what_it_said(system, execution, events):
    sent = events.of(execution)
    assert len(sent) >= 2 + 2 * len(STEPS)
    recorded = wait_for(lambda: len(found := changes(system, execution.id)) >= len(sent) and found)
    details = [json.loads(item["detail"]) for item in recorded]
    for event in sent:
        assert details.count(event["detail"]) == 1, event
    assert len(recorded) == len(sent)


def test_changes_read_in_the_order_in_which_they_happened(system, execution, events):
    recorded = changes(system, execution.id)
    moments = [item["at"] for item in recorded]
    assert moments == sorted(moments)

    def statuses(of, name, status):
        return [
            detail[status]
            for detail in of
            if detail.get("stepName") == name and detail.get(status) is not None
        ]

    sent = [event["detail"] for event in events.of(execution)]
    details = [json.loads(item["detail"]) for item in recorded]
    for step in STEPS:
        expected = statuses(sent, step, "currentStepStatus")
        assert statuses(details, step, "currentStepStatus") == expected
        assert expected[-1] == "Succeeded"
    assert statuses(details, None, "currentPipelineExecutionStatus") == ["Executing", "Succeeded"]


def test_the_record_agrees_with_what_sagemaker_lists(system, execution):
    sagemaker = system.client("sagemaker")
    listed = sagemaker.list_pipeline_execution_steps(
        PipelineExecutionArn=execution.arn, SortOrder="Ascending"
    )["PipelineExecutionSteps"]
    assert {step["StepName"] for step in listed} == set(STEPS)
    for step in listed:
        last = [c for c in changes(system, execution.id) if c.get("stepName") == step["StepName"]]
        assert last[-1]["status"] == step["StepStatus"] == "Succeeded"
        # Events tell times to the second.
        assert abs(int(last[-1]["endedAt"]) - step["EndTime"].timestamp() * 1000) < 1000
    record = system.record(execution.id)
    described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution.arn)
    assert record["pipelineStatus"] == described["PipelineExecutionStatus"] == "Succeeded"
    assert record["pipelineExecutionArn"].lower() == described["PipelineExecutionArn"].lower()
    assert described["PipelineExecutionDisplayName"] == execution.id


def test_the_record_knows_model_package_and_report(system, execution):
    record = wait_for(
        lambda: (
            (found := system.record(execution.id)).get("modelPackageArn")
            and found.get("modelName")
            and found
        )
    )
    group = system.outputs["ModelPackageGroupName"]
    assert f":model-package/{group}/" in record["modelPackageArn"]
    package = system.client("sagemaker").describe_model_package(
        ModelPackageName=record["modelPackageArn"]
    )
    assert package["CustomerMetadataProperties"] == {"ExecutionId": execution.id}
    assert record["processingStepReport"]["status"] == "Succeeded"


def test_it_is_in_the_list_of_executions(system, execution):
    table = ("--table", system.outputs["ExecutionsTableName"])
    status, output = system.call("execution", "list", *table)
    assert status == 0, output
    heading, *lines = output.splitlines()
    assert heading.split() == [
        *("ID", "STATUS", "PIPELINE", "TEMPLATE", "STARTED", "DURATION", "ARN"),
    ]
    (line,) = [line for line in lines if line.split()[0] == execution.id]
    pipeline = system.outputs["PipelineName"]
    assert line.split()[1:4] == ["Succeeded", pipeline, SAMPLE_TEMPLATE["Id"]]
    assert line.lower().endswith(execution.arn.lower())

    status, output = system.call("execution", "list", *table, "--format", "json")
    assert status == 0, output
    listed = json.loads(output)
    starts = [row["startedAt"] or row["createdAt"] for row in listed]
    assert starts == sorted(starts, reverse=True)
    (row,) = [row for row in listed if row["id"] == execution.id]
    record = system.record(execution.id)
    assert row["executionArn"] == record["pipelineExecutionArn"]
    assert row["duration"] == int(record["endedAt"] - record["startedAt"])
    assert row["startFailure"] is None


def test_an_execution_that_was_not_started_is_said_to_be_missing_at_once(system):
    table = system.outputs["ExecutionsTableName"]
    status, output = system.call("execution", "watch", "typo", "--table", table, "--timeout", "9")
    assert status == 1, output
    assert f"there is no execution typo in table {table}; " in output
    assert f"`pipewright execution list --table {table}` has the ids" in output


def test_parameters_are_frozen_and_sent_whole(system, execution):
    record = system.record(execution.id)
    assert record["parameters"]["Id"] == SAMPLE_TEMPLATE["Id"]
    pages = system.client("sagemaker").get_paginator("list_pipeline_parameters_for_execution")
    told = {
        parameter["Name"]: parameter["Value"]
        for page in pages.paginate(PipelineExecutionArn=execution.arn)
        for parameter in page["PipelineParameters"]
    }
    assert told["ExecutionId"] == execution.id
    assert record["pipelineParameters"].items() <= told.items()


def test_outputs_are_in_the_models_bucket(system, execution):
    below = f"execution/{execution.id}/"
    keys = system.keys("ModelsBucketName", below)
    for name in ("features/features.csv", "train/train.json", "test/test.json"):
        assert below + name in keys
    features = system.read("ModelsBucketName", f"{below}features/features.csv").decode()
    rows = list(csv.reader(io.StringIO(features)))
    summary = system.record(execution.id)["processingStepReport"]["summary"]
    assert len(rows) - 1 == summary["rows"]
    assert rows[0][0] == "Date"
    train = system.read("ModelsBucketName", f"{below}train/train.json").splitlines()
    assert len(train) == summary["trainSeries"]
    assert {"start", "target"} <= json.loads(train[0]).keys()
    # What SageMaker itself uploads for the training step is the same.
    run = execution.arn.rsplit("/", 1)[1]
    uploaded = f"pipeline/{run}/train/train.json"
    assert system.read("ModelsBucketName", uploaded).splitlines() == train


def test_a_repeated_start_starts_nothing_twice(system, execution):
    def count():
        pages = system.client("sagemaker").get_paginator("list_pipeline_executions")
        name = system.outputs["PipelineName"]
        return sum(
            len(page["PipelineExecutionSummaries"]) for page in pages.paginate(PipelineName=name)
        )

    before = count()
    again = system.start_execution(SAMPLE_TEMPLATE["Id"], execution.id)
    assert again["executionId"] == execution.id
    assert again["pipelineExecutionArn"] == execution.arn
    assert again["alreadyStarted"] is True
    assert count() == before


def test_starts_at_the_same_time_start_once(system):
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        starts = [
            pool.submit(system.start_execution, SAMPLE_TEMPLATE["Id"], "all-at-once")
            for _ in range(10)
        ]
        answers = [start.result() for start in starts]
    assert len({answer["pipelineExecutionArn"] for answer in answers}) == 1
    named = [
        summary
        for summary in system.client("sagemaker").list_pipeline_executions(
            PipelineName=system.outputs["PipelineName"]
        )["PipelineExecutionSummaries"]
        if summary["PipelineExecutionDisplayName"] == "all-at-once"
    ]
    assert len(named) == 1
    wait_for(lambda: system.record("all-at-once").get("pipelineStatus") == "Succeeded", within=60)


def test_the_same_id_with_another_template_is_a_conflict(system, execution):
    other = system.template_with("another-template")
    with pytest.raises(OpsError, match=SAMPLE_TEMPLATE["Id"]):
        system.start_execution(other, execution.id)


def test_boto3_lists_and_describes_the_pipeline(system, execution):
    sagemaker = system.client("sagemaker")
    name = system.outputs["PipelineName"]
    assert name in [p["PipelineName"] for p in sagemaker.list_pipelines()["PipelineSummaries"]]
    pipeline = sagemaker.describe_pipeline(PipelineName=name)
    assert pipeline["PipelineStatus"] == "Active"
    assert [step["Name"] for step in json.loads(pipeline["PipelineDefinition"])["Steps"]]
    used = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution.arn)
    assert json.loads(used["PipelineDefinition"]) == json.loads(pipeline["PipelineDefinition"])
