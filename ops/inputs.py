"""What the command lines of `make run` and `make deploy` share."""

from pathlib import Path

from ops import ROOT

SAMPLE_ASSETS = ROOT / "samples" / "sp500-20"
SAMPLE_TEMPLATE = ROOT / "samples" / "training-template.json"


def path_of(text):
    """A path from the command line; the Makefile quotes it, so no shell has expanded a ~."""
    return Path(text).expanduser()
