"""The main job: `make run` and `make local`.

python -m ops.local run       deploy, import, start one execution, follow it, fetch its outputs;
                exit status 0 only when its record says Succeeded
python -m ops.local local     deploy and import, then stay until Ctrl-C for you to work with
python -m ops.local pipeline  deploy, and beside it a pipeline of your own; start, follow and fetch as `run`
"""

import argparse
import contextlib
import datetime
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ops import ROOT, OpsError, checking
from ops.below import Below, file_name
from ops.data import read_template
from ops.inputs import SAMPLE_ASSETS, SAMPLE_TEMPLATE, path_of
from ops.local import steps, training
from ops.local.announcement import Announcement
from ops.local.supervise import ServiceFailed
from ops.local.system import (
    LOOPBACK_ALLOWED,
    PREFERRED_PORTS,
    STACK,
    LocalSystem,
    export,
    private_folder,
)
from ops.pipeline import from_definition, pipelines
from ops.pipeline.from_definition import PipelineFromDefinition
from ops.stack.deployer import StackProgress
from ops.stack.ownership import own_pipeline

LOCAL = ROOT / ".local"
# How many runs that did not end well keep their logs.
KEPT_INSTANCES = 5
# How many runs keep their outputs in .local/runs; one of the sample is 27 MB.
# The exit status of a pipeline that succeeded without anything having run.
NOTHING_RAN = 3
KEPT_RUNS = 20
# The most epochs of the sample's 400 that leave `make run` within a minute on two processors;
# README.md says how they were chosen.
SAMPLE_EPOCHS = 100


def say(text=""):
    """Print at once, also into a pipe."""
    print(text, flush=True)


class Timer:
    """Headlines with the seconds since the start."""

    def __init__(self):
        self._start = time.monotonic()

    def headline(self, text):
        say(f"[{time.monotonic() - self._start:5.1f} s] {text}")


def deployment_progress():
    """Prints each stack as it completes and each resource that fails."""

    def failed(_, name, status, reason):
        say(f"          {name}: {status}: {reason}")

    def completed(stack, resources, status):
        # pipewright-StorageStack-1a2b3c4d5e6f is known by its logical id.
        nested = stack.startswith(f"{STACK}-")
        short = stack.split("-")[1] if nested else stack
        say(f"          {short:<16} {resources:3} resources  {status}")

    return StackProgress(failed, completed)


def start_and_deploy(system, timer):
    """Start the services and deploy the system; gives the stack's outputs."""
    timer.headline("Starting the local AWS and the stand-in for SageMaker")
    system.start()
    say(f"          AWS        {system.endpoint}")
    say(f"          SageMaker  {system.sagemaker_endpoint}")
    timer.headline(f"Deploying template.yaml as stack {STACK}")
    return system.deploy(deployment_progress())


def proposed_template(options):
    """A training template that `pipewright features init` proposes for prices of one's own; gives its file.

    It predicts the asset with the most prices.
    """
    found = checking.look(options.binaries, options.assets)
    checking.refuse(found.faults, found.warnings, say, "started")
    predicted = max(found.assets, key=lambda asset: asset.prices).ticker
    file = LOCAL / "proposed-template.json"
    command = [
        *(options.binaries / "pipewright", "features", "init", "--force"),
        *("--assets", options.assets, "--predict", predicted, "--output", file),
    ]
    proposed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if said := proposed.stderr.strip():
        say(said)
    if proposed.returncode != 0:
        raise OpsError(
            "no training template can be proposed for these prices; nothing was started. "
            "TEMPLATE=FILE takes your own."
        )
    say(
        f"No TEMPLATE= is given: {predicted}, which has the most prices, is predicted by the training "
        f"template that `pipewright features init` proposes, {shorten(file)}"
    )
    return file


def check_data(options):
    """Refuse prices and a training template of one's own that no execution could work with.

    Without a template, it is the sample's, or for other prices one that is proposed.
    """
    options.has_own_epochs = options.template not in (None, SAMPLE_TEMPLATE)
    if options.template is None:
        of_sample = options.assets == SAMPLE_ASSETS
        options.template = SAMPLE_TEMPLATE if of_sample else proposed_template(options)
    read_template(options.template)
    # Of the samples it is known.
    if (options.assets, options.template) != (SAMPLE_ASSETS, SAMPLE_TEMPLATE):
        found = checking.look(options.binaries, options.assets, options.template)
        checking.refuse(found.faults, found.warnings, say, "started")


def bring_up(system, options, timer):
    """Start, deploy and import; gives the training template's id."""
    template = read_template(options.template)
    epochs = options.epochs or (None if options.has_own_epochs else SAMPLE_EPOCHS)
    if epochs:
        template["deepARMeta"].setdefault("hyperParams", {})["epochs"] = epochs
    outputs = start_and_deploy(system, timer)
    say(f"          pipeline {outputs['PipelineName']}, defined by")
    say(f"          {outputs['PipelineDefinitionS3Uri']}")
    tickers = system.import_assets(options.assets)
    template_id = system.import_template(template)
    timer.headline(f"Imported {len(tickers)} assets and the training template {template_id}")
    if epochs:
        say(f"          with at most {epochs} epochs of training; EPOCHS=N takes another number")
    return template_id


def follow(system, execution_id, arn, options):
    """Show the execution's record and its trainings' logs as they grow.

    Gives the exit status of the watching.
    """
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    command = system.command(
        *("execution", "watch", execution_id),
        *("--table", system.outputs["ExecutionsTableName"]),
        *("--timeout", str(options.timeout)),
        *("--interval", "250", "--color", "always" if colored else "never"),
    )
    # In a session of its own like every process here, so that the watchdog ends it too.
    service = system.supervisor.start("watch", command, {**os.environ, **system.environment()})
    screen = training.Screen(sys.stdout)
    watched = [training.Tail(service.stdout), training.Tail(service.log)]
    trainings = training.Trainings(system.client("sagemaker"), arn, system.jobs_of(arn), screen)
    looked = 0.0
    while True:
        status = service.process.poll()
        if time.monotonic() - looked > 0.5 or status is not None:
            trainings.begin()
            looked = time.monotonic()
        trainings.show()
        for line in (line for each in watched for line in each.lines()):
            screen.line(line)
        if status is not None:
            return status
        time.sleep(0.1)


def outputs_folder(options, name):
    """Where the outputs go; nobody else may enter what is made here."""
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
    record = subprocess.run(
        system.command(
            *("execution", "show", execution_id),
            *("--table", system.outputs["ExecutionsTableName"]),
            *("--format", "json"),
        ),
        env={**os.environ, **system.environment()},
        stdout=subprocess.PIPE,
        check=True,
    )
    record_file.write_bytes(record.stdout)
    return sorted(paths)


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


def run(system, options, timer):
    """One execution from nothing to its outputs; gives the exit status."""
    template_id = bring_up(system, options, timer)
    answer = system.start_execution(template_id, options.execution_id)
    execution_id = answer["executionId"]
    timer.headline(f"Started execution {execution_id}")
    arn = answer["pipelineExecutionArn"]
    status = follow(system, execution_id, arn, options)
    directory = outputs_folder(options, execution_id)
    timer.headline("Fetching outputs")
    for path in fetch(system, execution_id, arn, directory):
        say(f"          {shorten(path)}  ({path.stat().st_size:,} bytes)")
    for step in pipelines.steps_of(system.client("sagemaker"), arn):
        if step["StepStatus"] == "Failed":
            log = directory / "logs" / f"{step['StepName']}.log"
            tell_failure(system.jobs_of(arn), step, log)
    if status == 0 and (directory / "model").is_dir():
        status = forecast(system, execution_id, directory, timer)
    return status


def forecast(system, execution_id, directory, timer):
    """Score the execution's model, and forecast by it; gives the exit status."""
    timer.headline("Scoring")
    status = ask_model(system, "score", execution_id)
    if status != 0:
        return status
    timer.headline("Forecasting")
    table, chart = directory / "forecast.csv", directory / "forecast.png"
    files = ("--force", "--output", table, "--plot", chart)
    status = ask_model(system, "forecast", execution_id, *files)
    if status == 0:
        for path in (table, chart):
            say(f"          {shorten(path)}  ({path.stat().st_size:,} bytes)")
    return status


def ask_model(system, what, execution_id, *arguments):
    """Run `pipewright score` or `forecast`, keep its answer with the execution, and show it."""
    command = system.command(
        *(what, "--execution", execution_id, "--record"),
        *("--table", system.outputs["ExecutionsTableName"]),
        *arguments,
    )
    done = subprocess.run(
        command,
        env={**os.environ, **system.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in done.stdout.splitlines():
        say(f"          {line}")
    return done.returncode


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


def pipeline_of(options):
    """The pipeline of one's own that is run; it is read and checked once."""
    if "own" not in vars(options):
        given = pipelines.read_assignments(options.parameter)
        programs = pipelines.read_assignments(options.program)
        options.own = from_definition.pipeline_in(
            options.pipeline, options.binaries / "pipewright", given, programs
        )
    return options.own


def check_pipeline(options):
    """Refuse a pipeline that lacks what it reads, or values of parameters that it does not have."""
    pipeline, given = pipeline_of(options), pipelines.read_assignments(options.parameter)
    if isinstance(pipeline, PipelineFromDefinition):
        pipelines.refuse_unknown(pipeline.parameter_names(), given)
        pipeline.objects.buckets()
        pipeline.objects.found()
    else:
        pipelines.refuse_unknown_names(options.binaries / "pipewright", pipeline, given)


def run_pipeline(system, options, timer):
    """One execution of a pipeline of one's own; gives the exit status."""
    pipeline = pipeline_of(options)
    parameters = pipelines.read_assignments(options.parameter)
    outputs = start_and_deploy(system, timer)
    if isinstance(pipeline, PipelineFromDefinition):
        timer.headline("Putting what the steps read where the definition names it")
        for uri in from_definition.put_objects(system.client("s3"), pipeline):
            say(f"          {uri}")
    timer.headline(f"Deploying {shorten(pipeline.directory)} as stack {pipeline.name}")
    own = own_pipeline(pipeline.name, STACK)
    made = pipelines.deploy(system.deployer, pipeline, own, outputs, progress=deployment_progress())
    sagemaker = system.client("sagemaker")
    arn = pipelines.start(sagemaker, made["PipelineName"], parameters)
    execution_id = arn.rsplit("/", 1)[1]
    timer.headline(f"Started execution {execution_id} of {made['PipelineName']}")
    output = steps.Output(system.jobs_of(arn), said_now)
    execution = pipelines.follow(sagemaker, arn, say, options.timeout, output.show)
    status = execution["PipelineExecutionStatus"]
    ended = pipelines.steps_of(sagemaker, arn)
    timer.headline("Keeping what the steps left")
    directory = outputs_folder(options, f"{pipeline.name}-{execution_id}")
    keep_steps(system, arn, ended, directory)
    for step in ended:
        if step["StepStatus"] == "Failed":
            tell_failure(system.jobs_of(arn), step, directory / step["StepName"] / "log.txt")
    reason = execution.get("FailureReason")
    say(f"Execution {execution_id}: {status}{f': {reason}' if reason else ''}")
    if status != "Succeeded":
        return 1
    return tell_simulated(ended, options.simulate)


def tell_simulated(ended, accepted):
    """Say which jobs were simulated and how they would run; gives the exit status."""
    reasons = {
        step["StepName"]: reason
        for step in ended
        if steps.job_of(step) and (reason := pipelines.simulated(step))
    }
    nothing_ran = pipelines.only_simulated(ended)
    if accepted or not (reasons or nothing_ran):
        return 0
    say("\nNothing of it ran. Simulated steps:" if nothing_ran else "\nSimulated jobs:")
    for name, reason in (nothing_ran or reasons).items():
        say(f"          {name}: {reason}")
    say(
        'RUNNERS="REPOSITORY=DIR ..." names programs of this machine for the images of a repository, '
        'PYTHONS="REPOSITORY=PROGRAM ..." a Python for jobs that bring a program; REPOSITORY begins with '
        "the registry's host where that is not your account's. CONTAINERS=1 runs the images themselves; "
        "SIMULATE=1 accepts a simulation."
    )
    return NOTHING_RAN if nothing_ran else 0


def said_now(text):
    """Print a line with the time."""
    say(f"{datetime.datetime.now():%H:%M:%S}  {text}")


def keep_steps(system, arn, ended, directory):
    """Keep what the steps of an execution left in a directory, and name it."""
    sagemaker, folder = system.client("sagemaker"), system.jobs_of(arn)
    definition = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    paths = [Below(directory).file("definition.json")]
    paths[0].write_text(definition["PipelineDefinition"])
    faults, measured = [], {}
    for step in ended:
        if steps.job_of(step) and not pipelines.simulated(step):
            metrics = steps.metrics_of(sagemaker, step)
            measured[step["StepName"]] = metrics
            kept, not_kept = steps.keep(sagemaker, step, metrics, folder, directory)
            paths += kept
            faults += not_kept
    for path in sorted(paths):
        say(f"          {shorten(path)}  ({path.stat().st_size:,} bytes)")
    for fault in faults:
        say(f"warning: {fault}")
    for name, metrics in measured.items():
        if metrics:
            found = ", ".join(f"{metric} {value}" for metric, value in metrics.items())
            say(f"          {name}: {found}")


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


def write_answerable_event(system, directory):
    """Write an event of CloudFormation's whose answer this system takes; gives the file's path."""
    event = json.loads(
        (ROOT / "tests" / "fixtures" / "pipeline-definition" / "create.json").read_text()
    )
    event["ResponseURL"] = system.client("s3").generate_presigned_url(
        "put_object",
        Params={"Bucket": system.outputs["PipelineBucketName"], "Key": "replies/create.json"},
        ExpiresIn=7 * 24 * 60 * 60,
    )
    path = directory / "pipeline-definition.json"
    path.touch(0o600)
    path.write_text(json.dumps(event, indent=2) + "\n")
    return path


def stay(system, options, timer, announcement):
    """Leave the system running for the user until Ctrl-C."""
    template_id = bring_up(system, options, timer)
    functions = {}
    for function in system.client("lambda").list_functions()["Functions"]:
        functions.update(function["Environment"]["Variables"])
    functions.update(LOOPBACK_ALLOWED)
    heading = "# What the functions find in their environment, for `make lambda-watch`:\n"
    system.announce(announcement, heading + export(functions))
    event = write_answerable_event(system, options.environment_file.parent)
    say(f"\nReady. In another terminal `. {shorten(options.environment_file)}`, which has\n")
    shown = {n: v for n, v in system.environment().items() if not n.startswith("AWS_SECRET_")}
    say("".join(f"  {line}\n" for line in export(shown).splitlines()))
    say("and the secret of this start's key, without which nothing is answered.")
    say(
        "Then, for example:\n\n"
        f"  pipewright execution start --template {template_id}\n"
        "  pipewright execution watch ID\n"
        "  make deploy-pipeline PIPELINE=samples/pipelines/scikit-learn\n"
        "  pipewright execution start --pipeline scikit-learn\n"
        f"  aws sagemaker list-pipeline-executions --pipeline-name {system.outputs['PipelineName']}\n\n"
        f"For `cargo lambda invoke ... pipeline-definition`: --data-file {shorten(event)}\n"
        f"Logs: {shorten(system.supervisor.log_directory)}. Ctrl-C ends everything."
    )
    system.supervisor.watch()


def shorten(path):
    """A path relative to the working directory where it lies below it."""
    path = Path(path).resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def forget_instances():
    """Remove the directories of all but the last few runs that have ended."""
    for directory in sorted((LOCAL / "instances").glob("*-*"))[:-KEPT_INSTANCES]:
        try:
            os.kill(int(directory.name.rsplit("-", 1)[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(directory, ignore_errors=True)
        except PermissionError:
            continue  # it lives, and is somebody else's


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


def positive(text):
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def arguments():
    """The command line."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["run", "local", "pipeline"])
    parser.add_argument(
        "--assets",
        type=path_of,
        default=SAMPLE_ASSETS,
        help="directory of price files, one <ticker>.csv each (default: samples/sp500-20)",
    )
    parser.add_argument(
        "--template",
        type=path_of,
        help="training template (default: samples/training-template.json, or for other prices one "
        "that is proposed)",
    )
    parser.add_argument(
        "--pipeline",
        type=path_of,
        default=ROOT / "samples" / "pipelines" / "train-evaluate-register",
        help="directory of a pipeline of your own (default: the one in samples/pipelines)",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of that pipeline's execution; may be given several times",
    )
    parser.add_argument(
        "--runner",
        action="append",
        default=[],
        metavar="REPOSITORY=DIR",
        help="run jobs of images from this repository with the programs in a directory",
    )
    parser.add_argument(
        "--python",
        metavar="PROGRAM",
        help="run the programs that jobs of frameworks' images bring (scikit-learn, XGBoost, PyTorch, "
        "...) with virtual environments of this Python",
    )
    parser.add_argument(
        "--python-for",
        action="append",
        default=[],
        metavar="REPOSITORY=PROGRAM",
        help="run those of images from this repository with this Python, as it is",
    )
    parser.add_argument(
        "--program",
        action="append",
        default=[],
        metavar="STEP=FILE",
        help="the program of a step, a file of the pipeline's directory, where its definition does not "
        "say which one it is",
    )
    parser.add_argument(
        "--containers",
        action="store_true",
        help="run the images of jobs themselves, by docker or podman, but for those with a runner or "
        "a Python of their own",
    )
    parser.add_argument(
        "--simulate",
        action="store_true",
        help=f"end well (not with status {NOTHING_RAN}) where every step of the pipeline was simulated",
    )
    parser.add_argument(
        "--environment-file",
        type=path_of,
        default=LOCAL / "environment.sh",
        help="what `local` writes for other terminals (default: .local/environment.sh)",
    )
    parser.add_argument(
        "--epochs",
        type=positive,
        help="the epochs of the training (default: the template's; of the sample's and of a proposed "
        f"one, {SAMPLE_EPOCHS})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="what the random numbers of trainings are made from (default: drawn by each)",
    )
    parser.add_argument("--execution-id", help="id of the execution (default: made up)")
    parser.add_argument(
        "--out",
        type=path_of,
        help="directory for the outputs (default: .local/runs/<execution id>, "
        f"which keeps the newest {KEPT_RUNS})",
    )
    parser.add_argument("--timeout", type=int, default=1800, help="seconds to wait for its end")
    parser.add_argument("--binaries", type=Path, default=target / "debug", help=argparse.SUPPRESS)
    return parser.parse_args()


def read_runners(options, assignments):
    """Programs, or Pythons, of this machine by the repository of the image that they stand for."""
    named = pipelines.read_assignments(assignments)
    if options.action != "pipeline":
        return named
    pipeline = pipeline_of(options)
    if isinstance(pipeline, PipelineFromDefinition):
        return pipeline.runners(named)
    return named


def own_runners(options):
    """The directory of programs that a pipeline of one's own is itself, by its repository."""
    repository = pipeline_of(options).repository() if options.action == "pipeline" else None
    return {repository: options.pipeline} if repository else {}


def container_engine():
    """The program that runs containers here; raises ServiceFailed where none does."""
    reasons = []
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if program is None:
            reasons.append(f"there is no {name} on the PATH")
            continue
        answer = subprocess.run([program, "info"], capture_output=True, text=True)
        if answer.returncode == 0:
            return program
        said = answer.stderr.strip().splitlines() or [f"status {answer.returncode}"]
        reasons.append(f"`{name} info` says: {said[-1]}")
    raise ServiceFailed(f"CONTAINERS=1 needs docker or podman: {'; '.join(reasons)}")


def main():
    """Run the chosen action and clean up, whatever happens; gives the exit status."""
    options = arguments()
    # Nothing of the caller's AWS account takes part in what happens here.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]

    def interrupted(number, _):
        # From here on only cleaning up; a second Ctrl-C must not cut it short.
        for later in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(later, signal.SIG_IGN)
        say("\nStopping.")
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)

    private_folder(LOCAL)
    forget_instances()
    # Before a run adds its own.
    if gone := forget_runs(LOCAL / "runs", KEPT_RUNS - 1):
        say(f"Removed the outputs of {gone} old run(s); .local/runs keeps the newest {KEPT_RUNS}")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    directory = LOCAL / "instances" / f"{stamp}-{os.getpid()}"
    succeeded = False
    action, ports, open_to_all = {
        "run": (run, (0, 0), False),
        "local": (stay, PREFERRED_PORTS, True),
        "pipeline": (run_pipeline, (0, 0), False),
    }[options.action]
    functions = LOCAL / "functions"
    try:
        # Before anything is started: what is wrong is told at once.
        if options.action == "pipeline":
            check_pipeline(options)
        else:
            check_data(options)
        runners = {**own_runners(options), **read_runners(options, options.runner)}
        with contextlib.ExitStack() as stack:
            if action is stay:
                # First of all: where another one stays, nothing is begun.
                announcement = stack.enter_context(Announcement(options.environment_file))
                action = functools.partial(stay, announcement=announcement)
            system = stack.enter_context(
                LocalSystem(
                    *(directory, options.binaries, functions, ports, open_to_all, runners),
                    seed=options.seed,
                    python=options.python,
                    pythons=read_runners(options, options.python_for),
                    containers=container_engine() if options.containers else None,
                )
            )
            status = action(system, options, Timer())
            succeeded = status == 0
    except (OpsError, OSError) as error:
        say(f"\nerror: {error}")
        status = 1
    finally:
        if succeeded:
            shutil.rmtree(directory)
        elif directory.exists():
            say(f"Logs and the jobs' directories are in {shorten(directory)}")
    return status
