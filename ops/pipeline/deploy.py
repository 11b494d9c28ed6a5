"""Deploys a pipeline of one's own: `make deploy-pipeline`.

    python -m ops.pipeline.deploy [--yes] DIRECTORY [NAME=VALUE ...]

deploys the pipeline of a directory to wherever the AWS SDK is led by its environment: an account,
after a yes, or a running `make local`. NAME=VALUE sets parameters of the directory's stack. A directory
with no more than a definition and programs goes to a `make local` only.
"""

import argparse
import functools
import os
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops import ROOT, OpsError
from ops.account import is_loopback, region_of_environment, unknown_caller
from ops.pipeline.from_definition import PipelineFromDefinition, pipeline_in, put_objects
from ops.pipeline.pipelines import deploy, read_assignments
from ops.stack.deployer import Deployer
from ops.stack.ownership import installation, name_owner, own_pipeline

# What makes the template of a definition; `make local` has compiled it.
COMMAND_LINE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "pipewright"


def need_caller(session):
    """Refuse where the account does not know who calls; on this machine anybody may."""
    why = None
    if session.get_credentials() is None:
        why = "there are no credentials"
    elif not is_loopback(session.client("cloudformation").meta.endpoint_url):
        try:
            session.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            why = error
    if why:
        stay = "`. .local/environment.sh` to stay on this machine, with a running `make local`"
        raise OpsError(unknown_caller(why, stay))


def clients_of(session):
    """Clients by their service's name; S3's names the account that its buckets must belong to."""
    account = session.client("sts").get_caller_identity()["Account"]

    @functools.cache
    def client(service):
        made = session.client(service)
        return name_owner(made, account) if service == "s3" else made

    return client


def agree(session, stack, yes, interactive, ask=input, say=print):
    """Name the account, region and stack; raises OpsError unless somebody agrees.

    What is on this machine takes no agreeing.
    """
    endpoint = session.client("cloudformation").meta.endpoint_url
    if is_loopback(endpoint):
        say(f"Deploying to the local AWS at {endpoint} as stack {stack}")
        return
    caller = session.client("sts").get_caller_identity()
    say(
        f"This deploys into account {caller['Account']}, region {session.region_name}, as stack {stack},"
    )
    say(f"by {caller['Arn']}.")
    if yes:
        return
    if not interactive:
        raise OpsError(
            "there is no terminal to ask at: YES=1 if that account is meant; for a running `make "
            "local`, `. .local/environment.sh` first"
        )
    try:
        answer = ask("Go on? Type yes: ")
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        raise OpsError("nothing was deployed")


def put_what_it_reads(pipeline, client):
    """Put what the steps of a pipeline without a stack read into a local AWS; refuse an account."""
    if not is_loopback(client("cloudformation").meta.endpoint_url):
        raise OpsError(
            f"{pipeline.directory} has no stack.yaml, which an account needs: who may run the "
            "pipeline, and what it may do. samples/pipelines/README.md says how to write one"
        )
    for uri in put_objects(client("s3"), pipeline):
        print(uri)


def main():
    """Deploy as the command line says; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # The Makefile quotes it, so no shell has expanded a ~.
    parser.add_argument("directory", type=lambda text: Path(text).expanduser())
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--pipewright-stack", default="pipewright", metavar="NAME")
    parser.add_argument("--program", action="append", default=[], metavar="STEP=FILE")
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    options = parser.parse_args()

    def progress(event):
        reason = event.get("ResourceStatusReason", "")
        print(f"{event['LogicalResourceId']:<24}  {event['ResourceStatus']}  {reason}", flush=True)

    try:
        programs = read_assignments(options.program)
        pipeline = pipeline_in(options.directory, COMMAND_LINE, {}, programs)
        parameters = read_assignments(options.parameters)
        if isinstance(pipeline, PipelineFromDefinition) and parameters:
            raise OpsError(
                f"{options.directory} has no stack whose parameters could be set. The pipeline's are given "
                f"as it is started: `pipewright execution start --pipeline {pipeline.name} --parameter "
                f"{next(iter(parameters))}=VALUE`"
            )
        if pipeline.name == options.pipewright_stack:
            raise OpsError(
                f"the directory's name, {pipeline.name!r}, is that of Pipewright's own stack: rename it"
            )
        session = boto3.Session(region_name=region_of_environment())
        if session.region_name is None:
            raise OpsError(
                "name the region: AWS_REGION=eu-west-1; for a running `make local`, "
                "`. .local/environment.sh` first"
            )
        need_caller(session)
        client = clients_of(session)
        if isinstance(pipeline, PipelineFromDefinition):
            put_what_it_reads(pipeline, client)
        deployer = Deployer(client, 1.0, 1800.0, print)
        outputs = deployer.outputs(installation(options.pipewright_stack))
        if "PipelineBucketName" not in outputs:
            raise OpsError(
                f"there is no stack {options.pipewright_stack} of Pipewright's here: `make deploy` "
                "first (PREFIX=NAME for another one), or `. .local/environment.sh` beside a `make local`"
            )
        own = own_pipeline(pipeline.name, options.pipewright_stack)
        deployer.find_own(own)
        agree(session, pipeline.name, options.yes, sys.stdin.isatty())
        made = deploy(deployer, pipeline, own, outputs, parameters, progress)
    except (OpsError, BotoCoreError, ClientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, value in made.items():
        print(f"{name}: {value}")
    print(f"`pipewright execution start --pipeline {made.get('PipelineName', 'NAME')}` starts it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
