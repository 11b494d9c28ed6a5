"""What the command lines of `make run` and `make deploy` share."""

from pathlib import Path

from ops import ROOT

SAMPLE_ASSETS = ROOT / "samples" / "sp500-20"
SAMPLE_TEMPLATE = ROOT / "samples" / "training-template.json"


def of_import(assets, template):
    """Options of `pipewright data import`: what is named, or the samples where nothing is.

    Prices of one's own don't bring the sample's template along, nor it them.
    """
    if assets is None and template is None:
        assets, template = SAMPLE_ASSETS, SAMPLE_TEMPLATE
    given = {"--assets": assets, "--template": template}
    return [word for name, path in given.items() if path for word in (name, path)]


def path_of(text):
    """A path from the command line; the Makefile quotes it, so no shell has expanded a ~."""
    return Path(text).expanduser()
