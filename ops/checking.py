"""What `pipewright features check` finds in prices and a training template, before anything is done."""

import dataclasses
import json
import subprocess

from ops import OpsError


@dataclasses.dataclass(frozen=True)
class Asset:
    """An asset whose price file was looked at; without dates where the file could not be read."""

    ticker: str
    file: str
    """The price file's name in the folder."""
    asset_class: str
    description: str
    first_date: str | None
    last_date: str | None
    prices: int
    """Rows that have a price."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What the command line found."""

    faults: list[str]
    warnings: list[str]
    assets: list[Asset]
    """Those whose price files were looked at: whoever takes prices takes these and no others."""


def _asset(found):
    return Asset(
        found["ticker"],
        found["file"],
        found["assetClass"],
        found["description"],
        found.get("firstDate"),
        found.get("lastDate"),
        found.get("prices", 0),
    )


def look(binaries, assets, template=None):
    """What the command line finds; without a template, in each file by itself."""
    program = binaries / "pipewright"
    if not program.is_file():
        raise OpsError(f"{program} is missing, which checks prices: `make build`")
    looked = subprocess.run(
        [
            *(program, "features", "check", "--format", "json"),
            *("--assets", assets, *(("--template", template) if template else ())),
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        found = json.loads(looked.stdout)
    except json.JSONDecodeError:
        said = looked.stderr.strip() or looked.stdout.strip()
        return Found([said.removeprefix("error: ").removeprefix("pipewright: ")], [], [])
    return Found(found["faults"], found["warnings"], [_asset(each) for each in found["files"]])


def refuse(faults, warnings, say, done):
    """Tell the warnings and raise OpsError with every fault; `done` is what was not done yet."""
    for warning in warnings:
        say(f"warning: {warning}")
    if faults:
        raise OpsError(
            f"{len(faults)} fault(s); nothing was {done}:" + "".join(f"\n  {f}" for f in faults)
        )
