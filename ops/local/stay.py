"""`make local`: the system stays for a person to work with."""

import json

from ops import ROOT
from ops.console import say, shorten
from ops.local.faults import unmatched
from ops.local.run import bring_up
from ops.local.system import LOOPBACK_ALLOWED, export


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
    # Apart, since a PREFIX in a person's environment would be told of by make.
    lines = "".join(f"    {line}\n" for line in export(functions).splitlines())
    heading = "# What the functions find in their environment, for `make lambda-watch`:\n"
    system.announce(announcement, f"{heading}pipewright_functions() {{\n{lines}}}\n")
    event = write_answerable_event(system, options.environment_file.parent)
    # Pipelines that are still to come may have the steps.
    for sentence in unmatched(system.client("sagemaker"), options.fault):
        say(f"warning: {sentence}")
    say(f"\nReady. In another terminal `. {shorten(options.environment_file)}`, which has\n")
    shown = {
        name: value
        for name, value in system.environment().items()
        if name.startswith("AWS_") and not name.startswith("AWS_SECRET_")
    }
    say("".join(f"  {line}\n" for line in export(shown).splitlines()))
    say(
        "the secret of this start's key, without which nothing is answered, and a proxy that lets nothing "
        "out of this machine (docs/LOCAL.md). That key may do anything: "
        "rights are not checked here, those of your pipeline's roles neither."
    )
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
