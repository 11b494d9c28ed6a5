"""What `make` hands over to the programs, without running them."""

import os
import re
import shlex
import subprocess

import pytest

from ops import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# Of the shell, for make alone, and by the caller: cargo's directory and the Python to use.
OF_THE_ENVIRONMENT = {"CARGO_TARGET_DIR", "PYTHON"}


def made(target, *variables, **environment):
    """The ended process of `make --dry-run`, with variables given to it and in its environment."""
    # Where `make` runs the tests, nothing of that one's may reach this one.
    inherited = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", "--dry-run", "--always-make", target, *variables],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
    )


def handed_over(target, *variables, **environment):
    """The words of the command that `make` would end with."""
    done = made(target, *variables, **environment)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout.replace("\\\n", " ").splitlines()[-1])


# What takes each variable, and whether it is a list of words.
TAKES = {
    "ACCOUNT": ("deploy-policy", False),
    "ASSETS": ("import", False),
    "BOUNDARY": ("deploy-policy", False),
    "ECR_REPOSITORY": ("push-image", False),
    "ENV": ("destroy", False),
    "EPOCHS": ("run", False),
    "FAULTS": ("run-pipeline", True),
    "IMAGE": ("image", False),
    "IMAGE_OPTIONS": ("image", True),
    "ONLY": ("bench", True),
    "PACKAGE": ("image", False),
    "PARAMETERS": ("deploy-pipeline", True),
    "PART": ("deploy-policy", False),
    "PARTITION": ("deploy-policy", False),
    "PIPELINE": ("deploy-pipeline", False),
    "PREFIX": ("destroy", False),
    "PROGRAMS": ("run-pipeline", True),
    "PYTHONS": ("local", True),
    "REACH": ("local", True),
    "RUNNERS": ("local", True),
    "SEED": ("run", False),
    "TEMPLATE": ("import", False),
}
SWITCHES = {
    "CONTAINERS": ("local", "--containers"),
    "LOCAL": ("destroy", "--local"),
    "QUICK": ("bench", "--quick"),
    "SIMULATE": ("run-pipeline", "--simulate"),
    "SKIP_IMAGE": ("deploy", "--skip-image"),
    "WRITE": ("ablation", "--write"),
    "YES": ("destroy", "--yes"),
}


def test_every_variable_of_the_makefile_is_among_these():
    """A variable that no line of the Makefile sets comes from the person who types the command."""
    set_here = set(re.findall(r"^([\w.]+)\s*[?:]?=", MAKEFILE, re.MULTILINE))
    asked = set(
        re.findall(r"\$\(call (?:given|flag|option|each),(?:[^,)]*,)?([A-Z_]+)\)", MAKEFILE)
    )
    bare = set(re.findall(r"\$\(([A-Z][A-Z_]*)\)", MAKEFILE)) - set_here
    assert asked == {*TAKES, *SWITCHES}
    assert bare == {"CARGO_TARGET_DIR", "MAKE", "MAKECMDGOALS", "MAKEFILE_LIST"}
    optional = set(re.findall(r"^(\w+)\s*\?=", MAKEFILE, re.MULTILINE))
    assert optional | {"CARGO_TARGET_DIR"} == OF_THE_ENVIRONMENT
    listed = re.search(r"^VARIABLES := (.*\n.*)", MAKEFILE, re.MULTILINE)[1]
    assert set(listed.replace("\\", "").split()) == asked | OF_THE_ENVIRONMENT


@pytest.mark.parametrize("variable", TAKES)
def test_a_value_is_one_word_whatever_is_in_it(variable):
    """Every make variable reaches its program as it was given: no quote, blank or dollar in it is run or split."""
    target, is_list = TAKES[variable]
    value = "a'b$(touch /tmp/x)`id`;$HOME\"|&"
    value = value.replace(" ", "") if is_list else f"{value} c d"
    words = handed_over(target, f"{variable}={value}")
    assert any(value in word for word in words), words


@pytest.mark.parametrize("variable", [*TAKES, *SWITCHES])
def test_a_variable_of_the_environment_does_not_count(variable):
    """A variable of the shell's environment, such as YES, PREFIX or ENV, never counts, and make says so."""
    target, shown = SWITCHES.get(variable) or (TAKES[variable][0], "stray")
    assert shown in " ".join(handed_over(target, f"{variable}=stray"))
    done = made(target, **{variable: "stray"})
    assert shown not in done.stdout.splitlines()[-1]
    assert f"{variable} is in the environment, where it does not count" in done.stderr


def test_nothing_is_made_with_a_misspelt_variable():
    """With a variable that the Makefile does not have, nothing is made, whatever its value."""
    done = made("run", "EPOCH=3 4", "SEED=7")
    assert done.returncode == 2
    assert "EPOCH= is not a variable of this Makefile" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("target", ["run", "local", "import"])
def test_paths_may_have_blanks_and_quotes(target):
    words = handed_over(target, "ASSETS=/tmp/my prices", "TEMPLATE=it's.json")
    start = words.index("--assets")
    assert words[start : start + 4] == ["--assets", "/tmp/my prices", "--template", "it's.json"]


@pytest.mark.parametrize("target", ["run-pipeline", "deploy-pipeline"])
def test_a_pipelines_directory_may_have_blanks_and_parameters_stay_a_list(target):
    words = handed_over(target, "PIPELINE=/tmp/My Pipe", "PARAMETERS=A=1 B=2")
    assert {"/tmp/My Pipe", "A=1", "B=2"} <= set(words)


def test_assets_to_remove_are_a_list():
    words = handed_over("remove-assets", "ASSETS=AAA ^BB")
    assert words[-4:] == ["--ticker", "AAA", "--ticker", "^BB"]
