"""What `make` hands over to the programs, without running them."""

import os
import subprocess

import pytest

from system import ROOT


def handed_over(target, *variables):
    """The command that `make` would end with."""
    # Where `make` runs the tests, nothing of that one's may reach this one.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target, *variables],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\\n", " ").splitlines()[-1]


@pytest.mark.parametrize("target", ["run", "local", "import"])
def test_paths_may_have_blanks_and_quotes(target):
    command = handed_over(target, "ASSETS=/tmp/my prices", "TEMPLATE=it's.json")
    assert "--assets '/tmp/my prices' --template 'it'\\''s.json'" in command


@pytest.mark.parametrize("target", ["run-pipeline", "deploy-pipeline"])
def test_a_pipelines_directory_may_have_blanks_and_parameters_stay_a_list(target):
    command = handed_over(target, "PIPELINE=/tmp/My Pipe", "PARAMETERS=A=1 B=2")
    assert "'/tmp/My Pipe'" in command
    assert "A=1" in command.split()
    assert "B=2" in command.split()


def test_assets_to_remove_are_a_list():
    assert handed_over("remove-assets", "ASSETS=AAA ^BB").endswith("--ticker 'AAA' --ticker '^BB'")
