"""What an execution left, kept in a folder of this machine."""

import contextlib
import os
import shutil
import subprocess

from ops import LOCAL
from ops.below import Below, file_name
from ops.console import say, shorten
from ops.local import steps, training
from ops.local.system import private_folder
from ops.pipeline import pipelines

# How many runs keep their outputs in .local/runs; one of the sample is 27 MB.
KEPT_RUNS = 20


def outputs_folder(options, name):
    """Where the outputs go; only you may enter what is made here."""
    # The name is what the service answered.
    directory = options.out or LOCAL / "runs" / file_name(name)
    return directory if directory.is_dir() else private_folder(directory)


def objects_below(s3, bucket, prefix):
    """The keys of a bucket that begin with a prefix, without the markers of folders."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                yield entry["Key"]


def fetch(system, execution_id, pipeline_execution_arn, directory):
    """Write the execution's outputs, definition and record to a directory; gives their paths."""
    paths = fetch_below(system, f"execution/{execution_id}/", directory)
    paths += fetch_models(system, pipeline_execution_arn, directory)
    paths += fetch_logs(system, pipeline_execution_arn, directory)
    definition = system.client("sagemaker").describe_pipeline_definition_for_execution(
        PipelineExecutionArn=pipeline_execution_arn
    )
    # Not through a link that lies in a folder which was given.
    below = Below(directory)
    definition_file, record_file = below.file("definition.json"), below.file("record.json")
    paths += [definition_file, record_file]
    definition_file.write_text(definition["PipelineDefinition"])
    record = ask(system, "execution", "show", execution_id, "--format", "json")
    record.check_returncode()
    record_file.write_bytes(record.stdout)
    return sorted(paths)


def write_report(system, execution, directory):
    """Write the page of an execution, by its id or ARN, beside its outputs; gives its path."""
    page = Below(directory).file("report.html")
    options = ["--force", "--output", page]
    for log in sorted((directory / "logs").glob("*.log")):
        # What a training of SageMaker's algorithms writes; other logs have no losses.
        if "#quality_metric: " in log.read_text(errors="replace"):
            options += ["--training-log", f"{log.stem}={log}"]
    ask(system, "execution", "report", execution, *options).check_returncode()
    return page


def ask(system, *arguments):
    """Run a command of the command line about this system's executions, with what it prints kept."""
    table = ("--table", system.outputs["ExecutionsTableName"])
    environment = {**os.environ, **system.environment()}
    return subprocess.run(
        system.command(*arguments, *table), env=environment, stdout=subprocess.PIPE
    )


def fetch_models(system, arn, directory):
    """Write the models of an execution's trainings to a directory; gives their paths."""
    sagemaker, s3 = system.client("sagemaker"), system.client("s3")
    paths = []
    for name, step in training.training_steps(sagemaker, arn).items():
        if not training.log_of(system.jobs_of(arn), name, step["AttemptCount"]).is_file():
            continue  # simulated
        job = training.describe(sagemaker, step)
        if job["TrainingJobStatus"] == "Completed":
            uri = job["ModelArtifacts"]["S3ModelArtifacts"]
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            archive = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            training.unpack(archive, directory / "model")
            paths += [path for path in (directory / "model").rglob("*") if path.is_file()]
    return paths


def fetch_logs(system, arn, directory):
    """Write what the programs of an execution's steps printed to a directory; gives the paths."""
    below, paths = Below(directory), []
    for step in pipelines.steps_of(system.client("sagemaker"), arn):
        if steps.job_of(step) is None or pipelines.simulated(step):
            continue
        log = training.log_of(system.jobs_of(arn), step["StepName"], step["AttemptCount"])
        if log.is_file():
            paths.append(below.file(f"logs/{step['StepName']}.log"))
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, paths[-1])
    return paths


def fetch_below(system, prefix, directory):
    """Write what lies below a prefix of the models bucket to a directory; gives the paths."""
    bucket, s3 = system.outputs["ModelsBucketName"], system.client("s3")
    below, paths = Below(directory), []
    for key in objects_below(s3, bucket, prefix):
        target = below.file(key.removeprefix(prefix))
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
        paths.append(target)
    return paths


def tell_failure(folder, step, kept):
    """Show the end of what a failed step printed, all of which is kept."""
    lines = steps.last_lines(folder, step)
    say(f"\nStep {step['StepName']} failed: {step.get('FailureReason', 'no reason is given')}")
    if not lines:
        return
    say(f"Its output ends with (all of it: {shorten(kept)})")
    for line in lines:
        say(f"          | {line}")
    say()


def forget_runs(directory, kept=KEPT_RUNS):
    """Remove the outputs of all but the newest runs; gives how many went."""
    runs = []
    for each in directory.glob("*"):
        # Another run may be at it, too.
        with contextlib.suppress(FileNotFoundError):
            runs += [(each.stat().st_mtime, each)] * each.is_dir()
    outdated = sorted(runs, reverse=True)[kept:]
    for _, each in outdated:
        shutil.rmtree(each, ignore_errors=True)
    return len(outdated)
