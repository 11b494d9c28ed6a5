"""`make run-pipeline`: one execution of a pipeline of one's own."""

import datetime

from ops.below import Below
from ops.console import say, shorten
from ops.local import steps
from ops.local.faults import refuse_unmatched
from ops.local.outputs import ask, outputs_folder, tell_failure, write_report
from ops.local.run import deployment_progress, start_and_deploy
from ops.local.system import STACK
from ops.pipeline import from_definition, pipelines
from ops.pipeline.from_definition import PipelineFromDefinition
from ops.stack.ownership import own_pipeline

# How many seconds the record of an execution that has ended may take to say so.
RECORDED_WITHIN = 60

# The exit status of a pipeline that succeeded without anything having run.
NOTHING_RAN = 3


def pipeline_of(options):
    """The pipeline of one's own that is run; it is read and checked once."""
    if "own" not in vars(options):
        given = pipelines.read_assignments(options.parameter)
        programs = pipelines.read_assignments(options.program)
        options.own = from_definition.pipeline_in(
            options.pipeline, options.binaries / "pipewright", given, programs
        )
    return options.own


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
    refuse_unmatched(sagemaker, options.fault)
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
    succeeded = status == "Succeeded"
    exit_status = tell_simulated(ended, options.simulate) if succeeded else 1
    # Events come one by one; the record is whole once it has been watched to its end.
    ask(system, "execution", "watch", arn, "--timeout", str(RECORDED_WITHIN))
    page = write_report(system, arn, directory)
    timer.headline(f"All of it on one page, for a browser: {shorten(page)}")
    return exit_status


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
