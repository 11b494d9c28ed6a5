"""What `pipewright features check` finds in prices and a training template, before anything is done."""

import json
import subprocess


class CheckMissing(Exception):
    """The program that checks is not there; the message says how to get it."""


class FaultsFound(Exception):
    """Prices or a training template that no execution could work with; the message lists why."""


def look(binaries, assets, template=None):
    """(faults, warnings) that the command line finds; without a template, in each file by itself."""
    program = binaries / "pipewright"
    if not program.is_file():
        raise CheckMissing(f"{program} is missing, which checks prices: `make build`")
    looked = subprocess.run(
        [
            *(program, "features", "check", "--format", "json"),
            *("--assets", assets, *(("--template", template) if template else ())),
        ],
        capture_output=True,
        text=True,
    )
    try:
        found = json.loads(looked.stdout)
    except json.JSONDecodeError:
        said = looked.stderr.strip() or looked.stdout.strip()
        return [said.removeprefix("error: ")], []
    return found["faults"], found["warnings"]


def refuse(faults, warnings, say, done):
    """Tell the warnings and raise FaultsFound with every fault; `done` is what was not done yet."""
    for warning in warnings:
        say(f"warning: {warning}")
    if faults:
        raise FaultsFound(
            f"{len(faults)} fault(s); nothing was {done}:" + "".join(f"\n  {f}" for f in faults)
        )
