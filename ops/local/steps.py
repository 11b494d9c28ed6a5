"""What the steps of an execution print, measure and leave: while they run, and kept afterwards."""

import json
import re
import shutil
from pathlib import Path, PurePosixPath

from ops.below import Below, NameRefused, file_name
from ops.local import training

# How many of a failed step's last lines are shown again.
LAST_LINES = 30
_ML = PurePosixPath("/opt/ml")
# A terminal would do something of its own with them.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def job_of(step):
    """The kind and name of a step's job, ("TrainingJob", name); None for a step without one."""
    for kind in ("ProcessingJob", "TrainingJob", "TransformJob"):
        if arn := step["Metadata"].get(kind, {}).get("Arn"):
            return kind, arn.rpartition("/")[2]
    return None


def folders_of(folder, step, attempt=1):
    """The folders of a step's job below that of its execution: one, or one a host by its name."""
    job = training.log_of(folder, file_name(step), attempt).parent
    if (job / training.LOG).is_file() or not job.is_dir():
        return {"": job}
    hosts = {each.name: each for each in sorted(job.glob("algo-*")) if each.is_dir()}
    return hosts or {"": job}


def readable(line):
    """A line of a program as it may be shown: of what was written over, the last."""
    return _CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2])


class Output:
    """Shows what the programs of an execution's steps print, each line with its step's name."""

    def __init__(self, folder, say):
        self._folder = folder
        self._say = say
        self._tails = {}

    def show(self, steps):
        """Show what was printed since the last time."""
        for step in steps:
            if job_of(step) is None:
                continue
            name = step["StepName"]
            for host, folder in folders_of(self._folder, name, step.get("AttemptCount", 1)).items():
                tail = self._tails.setdefault(folder, training.Tail(folder / training.LOG))
                for line in tail.lines():
                    self._say(f"{f'{name} {host}'.strip():<24}  | {readable(line)}".rstrip())


def last_lines(folder, step):
    """The last lines of a step's output."""
    folders = folders_of(folder, step["StepName"], step.get("AttemptCount", 1))
    lines = []
    for each in folders.values():
        if (each / training.LOG).is_file():
            text = (each / training.LOG).read_text(errors="replace")
            lines += [readable(line) for line in text.splitlines()][-LAST_LINES:]
    return lines


def metrics_of(sagemaker, step):
    """What a step's job says of its metrics, by their names, and its exit message."""
    kind, name = job_of(step)
    if kind == "TrainingJob":
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return {each["MetricName"]: each["Value"] for each in job.get("FinalMetricDataList", [])}
    if kind == "ProcessingJob":
        job = sagemaker.describe_processing_job(ProcessingJobName=name)
        return {"exitMessage": job["ExitMessage"]} if job.get("ExitMessage") else {}
    return {}


def keep(sagemaker, step, metrics, folder, directory):
    """Copy what a step printed, measured and left to a folder of its own below a directory.

    Its log as `log.txt`, its metrics as `metrics.json`, each output of a processing under the
    output's name, a training's `model/` and `output/`, a transform's `output/`. Gives the paths, and
    as sentences what could not be kept.
    """
    kind, name = job_of(step)
    folders = folders_of(folder, step["StepName"], step.get("AttemptCount", 1))
    below, paths, faults = Below(directory / file_name(step["StepName"])), [], []

    def copy(file, name):
        if file.is_file():
            try:
                paths.append(_copied(file, below, name))
            except (NameRefused, OSError) as error:
                faults.append(f"{step['StepName']}: {name!r} is not kept: {error}")

    for host, job in folders.items():
        before = f"{host}/" if host else ""
        copy(job / training.LOG, f"{before}log.txt")
        for label, source in _left(sagemaker, kind, name, job).items():
            for file in sorted(source.rglob("*")):
                copy(file, f"{before}{label}/{file.relative_to(source).as_posix()}")
        copy(job / "opt" / "ml" / "output" / "failure", f"{before}failure.txt")
    if paths and metrics:
        paths.append(below.file("metrics.json"))
        paths[-1].write_text(json.dumps(metrics, indent=2) + "\n")
    return paths, faults


def _left(sagemaker, kind, name, job):
    """The folders of what a job leaves, by the name that they are kept under."""
    layout = job / "opt" / "ml"
    match kind:
        case "TrainingJob":
            return {"model": layout / "model", "output": layout / "output" / "data"}
        case "TransformJob":
            return {"output": job / "output"}
    described = sagemaker.describe_processing_job(ProcessingJobName=name)
    return {
        output["OutputName"]: layout
        / PurePosixPath(output["S3Output"]["LocalPath"]).relative_to(_ML)
        for output in described.get("ProcessingOutputConfig", {}).get("Outputs", [])
        if "S3Output" in output
    }


def _copied(file, below, name):
    target = below.file(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    return Path(target)
