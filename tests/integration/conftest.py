"""One running system for all tests of a session."""

import shutil

import pytest

from harness import BINARIES, OWN_PIPELINE, SAMPLE_TEMPLATE, SAMPLES, EventLog, System
from ops import ROOT


@pytest.fixture(scope="session")
def bare_system(tmp_path_factory):
    """Local AWS and SageMaker stand-in, nothing deployed yet."""
    directory = tmp_path_factory.mktemp("system")
    functions = ROOT / ".local" / "functions"
    runners = {"python": OWN_PIPELINE}
    # A seed, so that all trainings of the sample give one model.
    python = shutil.which("python3")
    with System(directory, BINARIES, functions, runners=runners, seed=1, python=python) as system:
        system.start()
        yield system


@pytest.fixture(scope="session")
def events(bare_system):
    """The log of all events, from before the deployment on."""
    return EventLog(bare_system)


@pytest.fixture(scope="session")
def system(bare_system, events):
    """The deployed system with the sample assets and the sample training template."""
    bare_system.deploy()
    bare_system.import_assets(SAMPLES / "sp500-20")
    bare_system.import_template(SAMPLE_TEMPLATE)
    return bare_system


@pytest.fixture(scope="session")
def execution(system):
    """One execution of the sample, watched to its end."""
    return system.run(SAMPLE_TEMPLATE["Id"])
