"""`make run`: one execution of the shipped pipeline, from prices to a forecast."""

import json
import os
import subprocess
import sys
import time

from ops import LOCAL, OpsError, bounded, command_line
from ops.console import say, shorten
from ops.inputs import SAMPLE_ASSETS, SAMPLE_TEMPLATE
from ops.local import training
from ops.local.faults import refuse_unmatched
from ops.local.outputs import fetch, outputs_folder, tell_failure, write_report
from ops.local.system import STACK
from ops.pipeline import pipelines
from ops.stack.deployer import StackProgress

# The most epochs of the sample's 400 that leave `make run` within a minute on two processors;
# README.md says how they were chosen.
SAMPLE_EPOCHS = 100


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


def features(options, command, *arguments):
    """Run a command of `pipewright features` on the prices; raises OpsError where it finds faults."""
    program = command_line.program(options.binaries)
    command = [program, "features", command, "--assets", options.assets, *arguments]
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
        raise OpsError(
            "what is said above was found in the prices and the template; nothing was started"
        )


def proposed_template(options):
    """A training template that `pipewright features init` proposes for prices of one's own; gives its file."""
    file = LOCAL / "proposed-template.json"
    features(options, "init", "--force", "--output", file)
    predicted = read_template(file)["predictedAsset"]
    say(
        f"No TEMPLATE= is given: {predicted}, which has the most prices, is predicted by the training "
        f"template that `pipewright features init` proposes, {shorten(file)}"
    )
    return file


def read_template(path):
    """A training template's file, parsed."""
    try:
        return json.loads(bounded.read(path, bounded.LARGEST_TEXT).decode())
    except bounded.Unfit as error:
        raise OpsError(f"cannot read the training template: {error}") from error
    except OSError as error:
        raise OpsError(f"cannot read the training template {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OpsError(f"{path} is not in UTF-8; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise OpsError(f"{path} is not JSON: {error}") from error


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
        features(options, "check", "--template", options.template)


def bring_up(system, options, timer):
    """Start, deploy and import; gives the training template's id."""
    template = read_template(options.template)
    epochs = options.epochs or (None if options.has_own_epochs else SAMPLE_EPOCHS)
    if epochs:
        template["deepARMeta"].setdefault("hyperParams", {})["epochs"] = epochs
    outputs = start_and_deploy(system, timer)
    say(f"          pipeline {outputs['PipelineName']}, defined by")
    say(f"          {outputs['PipelineDefinitionS3Uri']}")
    timer.headline("Importing prices and the training template")
    file = system.directory / "training-template.json"
    file.write_text(json.dumps(template))
    for line in system.import_data(options.assets, file).splitlines():
        say(f"          {line}")
    if epochs:
        say(f"          with at most {epochs} epochs of training; EPOCHS=N takes another number")
    return template["Id"]


def run(system, options, timer):
    """One execution from nothing to its outputs; gives the exit status."""
    template_id = bring_up(system, options, timer)
    refuse_unmatched(system.client("sagemaker"), options.fault)
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
    page = write_report(system, execution_id, directory)
    timer.headline(f"All of it on one page, for a browser: {shorten(page)}")
    return status


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
