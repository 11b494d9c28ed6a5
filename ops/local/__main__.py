"""What `make run`, `local` and `run-pipeline` run: the system on this machine.

python -m ops.local run       deploy, import, start one execution, follow it, fetch its outputs;
                exit status 0 only when its record says Succeeded
python -m ops.local local     deploy and import, then stay until Ctrl-C for you to work with
python -m ops.local pipeline  deploy, and beside it a pipeline of your own; start, follow and fetch as `run`
"""

import argparse
import contextlib
import datetime
import functools
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from ops import LOCAL, ROOT, OpsError
from ops.console import say, shorten
from ops.inputs import SAMPLE_ASSETS, path_of
from ops.local import proxy
from ops.local.announcement import Announcement
from ops.local.faults import refuse_malformed
from ops.local.outputs import KEPT_RUNS, forget_runs
from ops.local.run import SAMPLE_EPOCHS, Timer, check_data, run
from ops.local.run_pipeline import (
    NOTHING_RAN,
    check_pipeline,
    own_runners,
    read_runners,
    run_pipeline,
)
from ops.local.stay import stay
from ops.local.system import PREFERRED_PORTS, LocalSystem, container_engine, private_folder

# How many runs that did not end well keep their logs.
KEPT_INSTANCES = 5


def forget_instances():
    """Remove the directories of all but the last few runs that have ended."""
    for directory in sorted((LOCAL / "instances").glob("*-*"))[:-KEPT_INSTANCES]:
        try:
            os.kill(int(directory.name.rsplit("-", 1)[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(directory, ignore_errors=True)
        except PermissionError:
            continue  # it lives, and is somebody else's


class Parser(argparse.ArgumentParser):
    """A parser whose errors name what a person types: the variables of make."""

    def error(self, message):
        variable = re.sub(r"argument --(\w+): ", lambda match: f"{match[1].upper()}=: ", message)
        self.exit(2, f"error: {variable}\n")


def whole_number(text):
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def positive(text):
    """A whole number from 1."""
    number = whole_number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def arguments():
    """The command line."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = Parser(description=__doc__.partition("\n")[0])
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
        "--fault",
        action="append",
        default=[],
        metavar="STEP=EXCEPTION[*TIMES]",
        help="let the first attempts at a step fail as the service can, such as "
        "Train=SageMaker.CAPACITY_ERROR*2, so that its RetryPolicies are seen at work",
    )
    parser.add_argument(
        "--reach",
        action="append",
        default=[],
        metavar="HOST",
        help="let programs of the run reach this host outside of the machine, by HTTPS",
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
        type=whole_number,
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


def main():
    """Run the chosen action and clean up, whatever happens; gives the exit status."""
    options = arguments()
    # Nothing of the caller's AWS account takes part in what happens here.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    proxy.forget(os.environ)

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
        refuse_malformed(options.fault)
        proxy.refuse_malformed(options.reach)
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
                    faults=options.fault,
                    reach=options.reach,
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


if __name__ == "__main__":
    sys.exit(main())
