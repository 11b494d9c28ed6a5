"""Trainings of DeepAR's image: our program trains them, beside each other, and tells why it cannot."""

import io
import json
import re
import tarfile

import pytest

from harness import wait_for
from ops.local import training

STEP = "AssetPrediction-Training-Step"
FINAL = ("Completed", "Failed", "Stopped")


def job_of(system, arn):
    """The description of the training job of an execution of the sample."""
    sagemaker = system.client("sagemaker")
    return training.describe(sagemaker, training.training_steps(sagemaker, arn)[STEP])


def artifact(system, job):
    """The bytes of a job's model.tar.gz."""
    key = job["ModelArtifacts"]["S3ModelArtifacts"].partition("//")[2].partition("/")[2]
    return system.read("ModelsBucketName", key)


def test_a_training_leaves_a_model_and_the_metrics_of_its_log(system, execution):
    """The metrics of a training job are the last values of its log, and the loss is that of the model."""
    job = job_of(system, execution.arn)
    assert job["TrainingJobStatus"] == "Completed"
    with tarfile.open(fileobj=io.BytesIO(artifact(system, job))) as members:
        assert sorted(members.getnames()) == ["model.pipewright-deepar", "test-scores.json"]
        content = members.extractfile("model.pipewright-deepar").read()
    assert content.startswith(b"PWDEEPAR")

    log = training.log_of(system.jobs_of(execution.arn), STEP).read_text()
    expressions = {
        metric["Name"]: metric["Regex"]
        for metric in job["AlgorithmSpecification"]["MetricDefinitions"]
    }
    found = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert found.keys() == expressions.keys()
    for name, value in found.items():
        assert value == float(re.findall(expressions[name], log)[-1]), name
    # What the log says and what the model is made with are one number.
    loss = re.search(rb'"loss":([0-9.e+-]+)', content[:4096])
    assert float(loss[1]) == found["train:final_loss"]


def test_two_executions_at_once_train_side_by_side_to_the_same_bytes(system):
    """Two executions at once train side by side, and of one seed to the same bytes."""

    def longer(template):
        # Long enough for a training that begins seconds after the other.
        template["deepARMeta"]["hyperParams"]["epochs"] = 25

    template_id = system.template_with("side-by-side", longer)
    starts = [system.start_execution(template_id, f"trains-beside-{number}") for number in (1, 2)]
    for start in starts:

        def succeeded(name=start["executionId"]):
            return system.record(name).get("pipelineStatus") == "Succeeded"

        wait_for(succeeded, within=120)
    jobs = [job_of(system, start["pipelineExecutionArn"]) for start in starts]
    begin = max(job["TrainingStartTime"] for job in jobs)
    assert begin < min(job["TrainingEndTime"] for job in jobs)
    assert len({artifact(system, job) for job in jobs}) == 1


def test_why_a_training_failed_reaches_terminal_record_and_job(system):
    """Why a training failed reaches the terminal, the record and the job's description, in the same words."""

    def categories(template):
        template["deepARMeta"]["hyperParams"]["cardinality"] = "[2]"

    failed = system.run(system.template_with("records-have-no-categories", categories))
    assert failed.exit_status == 1, failed.output
    job = job_of(system, failed.arn)
    assert job["TrainingJobStatus"] == "Failed"
    reason = job["FailureReason"]
    assert reason.startswith("AlgorithmError: the train channel: ")
    assert "cat" in reason
    assert re.search(r"\(caused by \w+\), exit code: 2$", reason), reason
    ended = [
        json.loads(item["detail"])
        for item in system.items(failed.id)
        if item["entry"].startswith("change#")
        and item.get("stepName") == STEP
        and item.get("status") == "Failed"
    ]
    assert [detail["failureReason"] for detail in ended] == [reason]
    assert reason.splitlines()[0] in failed.output


def test_a_stopped_training_keeps_its_best_model(system):
    def endless(template):
        template["deepARMeta"]["hyperParams"].update(epochs=100000, early_stopping_patience=100000)

    start = system.start_execution(system.template_with("endless", endless), "endless")
    arn = start["pipelineExecutionArn"]
    sagemaker = system.client("sagemaker")
    log = training.log_of(system.jobs_of(arn), STEP)
    wait_for(lambda: log.is_file() and "best epoch loss" in log.read_text(), within=60)
    name = job_of(system, arn)["TrainingJobName"]
    sagemaker.stop_training_job(TrainingJobName=name)
    wait_for(lambda: job_of(system, arn)["TrainingJobStatus"] in FINAL, within=60)
    job = job_of(system, arn)
    assert job["TrainingJobStatus"] == "Stopped"
    with tarfile.open(fileobj=io.BytesIO(artifact(system, job))) as members:
        assert members.getnames() == ["model.pipewright-deepar"]
    with pytest.raises(sagemaker.exceptions.ClientError, match="in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)
