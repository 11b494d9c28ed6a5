"""What `make deploy`, `destroy`, `verify`, `import` and `deploy-policy` run.

    python -m ops.stack deploy    guided the first time, then as samconfig.toml says
    python -m ops.stack destroy   removes the installation and everything that it holds
    python -m ops.stack verify    looks whether a deployed installation is whole
    python -m ops.stack import    uploads prices and a training template, once the command line finds no fault
    python -m ops.stack remove    takes assets out of the catalogue
    python -m ops.stack policy    prints what the identity that deploys must be allowed

With --local they work on the local AWS: the one that `make local` or `make deploy LOCAL=1` keeps
running in another terminal; `deploy` starts one where there is none, and stays until Ctrl-C.
"""

import argparse
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ops import LOCAL, ROOT, OpsError, command_line
from ops import target as targets
from ops.account import region_of_environment
from ops.console import say
from ops.inputs import of_import, path_of
from ops.local.announcement import Announcement
from ops.local.system import PREFERRED_PORTS, LocalSystem, private_folder
from ops.stack import policy, settings
from ops.stack.bring_up import bring_up, build_functions, built_function, need_programs
from ops.stack.deployer import Deployer, StackProgress
from ops.stack.ownership import STACK_TAG, installation
from ops.stack.packages import debug_function
from ops.stack.take_down import Teardown
from ops.stack.verify import verify


def progress():
    """Prints each stack as it completes and each resource that fails."""
    return StackProgress(
        lambda stack, name, status, reason: say(f"  {stack} {name}: {status}: {reason}"),
        lambda stack, resources, status: say(f"  {stack}: {resources} resources {status}"),
    )


def confirm(question, expected):
    """Whether the person at the terminal types what is expected."""
    try:
        return input(f"{question}: ").strip() == expected
    except EOFError:
        say()
        return False


def settings_of(options, region):
    """The settings of samconfig.toml; None when there are none yet."""
    found = settings.read(options.config, options.environment, ROOT)
    asked_for = options.action == "deploy" and not options.local
    if found is None and options.environment != "default" and not asked_for:
        raise OpsError(
            f"{options.config.name} has no [{options.environment}.deploy.parameters], which ENV names"
        )
    if found is None and options.local:
        parameters = {"Prefix": options.prefix or "pipewright"}
        return settings.Settings(region, parameters)
    return found


def guided(options):
    """Ask for the settings of a first deployment; gives them with the account's target."""
    lacking = f"{options.config.name} has no [{options.environment}.deploy.parameters]"
    if options.yes:
        raise OpsError(
            f"{lacking}, and YES=1 forbids to ask: write it as deploy/settings.py shows, or "
            "run `make deploy` without YES=1 in a terminal"
        )
    # Before any question: without credentials the answers would be for nothing.
    targets.need_credentials()
    say(f"{lacking} yet.\n")
    found = []
    try:
        chosen = settings.ask(
            ROOT,
            region_of_environment(),
            say=say,
            with_region=lambda region: found.append(targets.of_account(region)),
        )
    except EOFError:
        raise OpsError(
            f"there are no settings, and no terminal to ask at: write {options.config.name} as "
            "deploy/settings.py shows, or run `make deploy` in a terminal"
        ) from None
    (target,) = found
    say(f"\nThis deploys into account {target.account}, region {chosen.region}, as")
    say(f"{target.identity}.")
    if not confirm("Go on? Type yes", "yes"):
        raise OpsError("nothing was deployed and nothing was written")
    settings.write(options.config, options.environment, chosen, target.account)
    say(f"Written to {options.config.name}; deploying from it from now on.\n")
    return chosen, target


def report(target, stack, outputs):
    """Verify and tell; gives the exit status."""
    needed, hints = verify(target, stack, outputs)
    faults = [check for check in needed if check.fault]
    say(f"\nLooked at {len(needed)} things; {len(needed) - len(faults)} are as they must be.")
    for check in [*faults, *(hint for hint in hints if hint.fault)]:
        say(f"  {check.what} {check.fault}")
    return 1 if faults else 0


def deploy(options):
    """`make deploy`."""
    if options.local:
        return deploy_locally(options)
    chosen = settings_of(options, None)
    with_image = not options.skip_image
    need_programs(with_image)
    if chosen is None:
        chosen, target = guided(options)
    else:
        target = targets.of_account(chosen.region)
        say(f"Deploying into account {target.account}, region {chosen.region}")
    architecture = chosen.parameters.get("Architecture", "x86_64")
    say(f"Building the functions for {architecture}")
    build_functions(ROOT, architecture)
    code = functools.partial(built_function, ROOT, architecture)
    outputs = bring_up(ROOT, target, chosen, code, with_image, say, progress())
    return tell(target, chosen.stack, outputs)


def deploy_locally(options):
    """`make deploy LOCAL=1`, to the local AWS that runs or to one of its own."""
    target = targets.of_environment_file(options.environment_file)
    if target:
        return deploy_to_local(options, target)
    directory = (
        private_folder(LOCAL) / "instances" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    )
    with (
        Announcement(options.environment_file) as announcement,
        LocalSystem(directory, options.binaries, LOCAL / "functions", PREFERRED_PORTS) as system,
    ):
        say("Starting the local AWS and the stand-in for SageMaker")
        system.start()
        system.announce(announcement)
        status = deploy_to_local(options, targets.of_system(system))
        if status == 0:
            say("\nThe local AWS stays until Ctrl-C; `make destroy LOCAL=1` in another terminal")
            system.supervisor.watch()
    return status


def deploy_to_local(options, target):
    """Deploy what `cargo build` compiled to a local AWS."""
    chosen = settings_of(options, target.region)
    say(f"Deploying to the local AWS, account {target.account}, region {target.region}")
    code = functools.partial(debug_function, options.binaries, LOCAL / "functions")
    outputs = bring_up(ROOT, target, chosen, code, not options.skip_image, say, progress())
    return tell(target, chosen.stack, outputs)


def tell(target, stack, outputs):
    """Verify, print the outputs and what to type next; gives the exit status."""
    status = report(target, stack, outputs)
    say("\nOutputs:")
    for name, value in sorted(outputs.items()):
        say(f"  {name} = {value}")
    if status:
        return status
    suffix = " LOCAL=1" if target.is_local else ""
    if target.is_local:
        say("\nBefore commands of `aws` and `pipewright`: . .local/environment.sh")
    say("\nNext:")
    say(
        f"  make import{suffix}   # the sample prices and training template; ASSETS=, TEMPLATE= yours"
    )
    prefix = f" --prefix {outputs['Prefix']}"
    say(f"  target/debug/pipewright execution start --template asset-prediction-sample{prefix}")
    say(f"  target/debug/pipewright execution watch EXECUTION_ID{prefix}")
    return 0


def existing(options):
    """The settings and target of an installation that was deployed before."""
    if options.local:
        target = targets.of_environment_file(options.environment_file)
        if target is None:
            raise OpsError("no local AWS is running: `make local` or `make deploy LOCAL=1`")
        return settings_of(options, target.region), target
    chosen = settings_of(options, None)
    if chosen is None and options.prefix:
        region = region_of_environment()
        if region is None:
            raise OpsError("name the region: AWS_REGION=eu-west-1")
        chosen = settings.Settings(region, {"Prefix": options.prefix})
    if chosen is None:
        raise OpsError(
            f"{options.config.name} has no [{options.environment}.deploy.parameters]; without "
            "it, name the installation: PREFIX=pipewright AWS_REGION=eu-west-1"
        )
    return chosen, targets.of_account(chosen.region)


def destroy(options):
    """`make destroy`."""
    chosen, target = existing(options)
    teardown = Teardown(ROOT, target, chosen.prefix, chosen.bucket(target.account), say, progress())
    teardown.refuse_while_used()
    inventory = teardown.inventory()
    lines = list(inventory.lines())
    if foreign := list(inventory.left_alone()):
        say(f"Without the tag {STACK_TAG}={chosen.prefix}, and left alone:\n")
        for line in foreign:
            say(f"  {line}")
        say()
    if not lines:
        say(f"Nothing of {chosen.prefix} is left in account {target.account}, {target.region}.")
        return 0
    say(f"In account {target.account}, region {target.region}, this deletes for good:\n")
    for line in lines:
        say(f"  {line}")
    say()
    if not options.yes and not confirm(f"Type {chosen.prefix} to delete all that", chosen.prefix):
        say("Nothing was deleted.")
        return 1
    teardown.delete(inventory)
    left = list(teardown.inventory().lines())
    for line in left:
        say(f"still there: {line}")
    say(f"Nothing of {chosen.prefix} is left." if not left else "Run `make destroy` again.")
    return 1 if left else 0


def outputs_of(chosen, target):
    """The outputs of a deployed installation."""
    outputs = Deployer(target.client).outputs(installation(chosen.stack))
    if "PipelineName" not in outputs:
        raise OpsError(f"there is no whole stack {chosen.stack}: `make deploy` first")
    return outputs


def check(options):
    """`make verify`."""
    chosen, target = existing(options)
    return report(target, chosen.stack, outputs_of(chosen, target))


def run_data(options, command, *arguments):
    """Run a command of `pipewright data` on an installation; gives its exit status."""
    program = command_line.program(options.binaries)
    chosen, target = existing(options)
    outputs_of(chosen, target)
    ran = subprocess.run(
        [program, "data", command, "--prefix", chosen.prefix, *arguments],
        env={**os.environ, **target.variables},
    )
    return ran.returncode


def fill(options):
    """`make import`."""
    return run_data(options, "import", *of_import(options.assets, options.template))


def remove(options):
    """`make remove-assets`."""
    if not options.ticker:
        raise OpsError('name the assets to take out: ASSETS="AAA BBB"')
    return run_data(options, "remove", *["--yes"] * options.yes, "--", *options.ticker)


# The part that is none of the deploying identity's.
READER = "reader"


def print_policy(options):
    """`make deploy-policy`: needs no account, only its number."""
    chosen = settings_of(options, None)
    region = chosen.region if chosen else region_of_environment()
    session = boto3.Session(region_name=region)
    known = session.get_available_partitions()
    offered = policy.regions(ROOT)
    if wrong := list(policy.faults(options.account, options.partition, region, known, offered)):
        raise OpsError("\n  ".join(["no policy can be made of that:", *wrong]))
    partition = options.partition or session.get_partition_for_region(region)
    prefix = options.prefix or (chosen.prefix if chosen else "pipewright")
    given = chosen.parameters if chosen else {}
    boundary = options.boundary or given.get("PermissionsBoundaryArn")
    of_whom = (prefix, partition, region, options.account, given.get("KmsKeyArn"))
    if options.part == READER:
        say(json.dumps(policy.reading(*of_whom), indent=2))
        return 0
    parts = policy.parts(policy.document(ROOT, *of_whom, boundary))
    # Only the JSON goes to standard output: `make -s deploy-policy PART=1 > policy.json`.
    printed = json.dumps(policy.printed(parts, options.part, prefix), indent=2)
    try:
        say(printed)
    except BrokenPipeError:
        # The reader has enough, as `| head` does; nor may Python complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sizes = ", ".join(str(policy.size(part)) for part in parts)
    print(
        f"{len(parts)} policies of {sizes} characters, as IAM counts them; each may have 6,144. "
        "PART=1 prints the first alone, for `aws iam create-policy --policy-document`.",
        file=sys.stderr,
    )
    return 0


ACTIONS = {
    "deploy": deploy,
    "destroy": destroy,
    "verify": check,
    "import": fill,
    "remove": remove,
    "policy": print_policy,
}


def arguments():
    """The command line."""
    build = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=list(ACTIONS))
    parser.add_argument("--local", action="store_true", help="work on the local AWS")
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    parser.add_argument("--environment", default="default", help="the table in samconfig.toml")
    parser.add_argument("--config", type=Path, default=ROOT / "samconfig.toml")
    parser.add_argument("--prefix", help="of an installation that samconfig.toml does not have")
    parser.add_argument("--account", help="of the policy, 12 digits")
    parser.add_argument("--boundary", help="ARN of the permissions boundary of every role")
    parser.add_argument("--partition", help="of the policy (default: the region's)")
    parser.add_argument(
        "--part",
        type=lambda text: text if text == READER else int(text),
        help=f"of the policy's parts; {READER}: what an identity needs that only looks",
    )
    parser.add_argument("--skip-image", action="store_true", help="push it later")
    parser.add_argument("--assets", type=path_of, metavar="DIR", help="prices to import")
    parser.add_argument("--template", type=path_of, metavar="FILE", help="to import")
    parser.add_argument(
        "--ticker", action="append", default=[], help="of an asset to remove; several times"
    )
    parser.add_argument(
        "--environment-file",
        type=Path,
        default=LOCAL / "environment.sh",
        help="of the local AWS to work on (default: .local/environment.sh)",
    )
    parser.add_argument("--binaries", type=Path, default=build / "debug", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    """Do what is asked; gives the exit status."""
    options = arguments()
    if options.local:
        # Nothing of the caller's AWS account takes part in what happens here.
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]

    def interrupted(number, _):
        say("\nStopping.")
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        return ACTIONS[options.action](options)
    except (OpsError, BotoCoreError, ClientError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
