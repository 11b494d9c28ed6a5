"""What `make` hands to the benchmarks exists, and each is run somewhere. No benchmark is started here."""

import os
import re
import shlex
import subprocess
from functools import cache

import pytest
from cfn_templates import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PAGE = (ROOT / "docs" / "BENCHMARKS.md").read_text()
BENCHMARKS = re.findall(r"^((?:bench|ablation|gluonts)[a-z-]*):.*## ", MAKEFILE, re.MULTILINE)
# They need an environment of 7 GB, which `make test-thorough` does not install.
OF_GLUONTS = {"bench-deepar", "gluonts"}


@cache
def commands(target: str) -> list[list[str]]:
    """The commands that `make` would run for a target with all its variables, as words."""
    inherited = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "CARGO_TARGET_DIR"}
    printed = subprocess.run(
        ["make", "--dry-run", "--always-make", target, "QUICK=1", "WRITE=1"],
        cwd=ROOT,
        env=inherited,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return [shlex.split(line) for line in printed.replace("\\\n", " ").splitlines()]


def built(command: list[str]) -> set[str]:
    """The programs that a `cargo build` leaves, of packages whose program has their name."""
    profile = command[command.index("--profile") + 1] if "--profile" in command else "debug"
    folder = "release" if "--release" in command else profile
    return {f"target/{folder}/{package}" for flag, package in zip(command, command[1:], strict=False) if flag == "-p"}


def test_there_are_benchmarks():
    assert {"bench", "bench-events", "bench-custom-resource", "ablation", *OF_GLUONTS} == set(BENCHMARKS)


@pytest.mark.parametrize("target", BENCHMARKS)
def test_a_benchmark_gets_programs_that_were_built_for_it(target):
    """Each compiled program that a benchmark is given is where the builds before it put it."""
    *before, last = commands(target)
    given = {path for word in last for path in re.findall(r"target/\w+/[\w-]+", word)}
    needed = {path for path in given if not path.startswith("target/bench/")}
    assert needed
    assert needed <= {path for command in before if command[:2] == ["cargo", "build"] for path in built(command)}


@pytest.mark.parametrize("target", BENCHMARKS)
def test_a_benchmark_knows_the_options_it_gets(target):
    last = commands(target)[-1]
    script = next(ROOT / word for word in last if word.endswith(".py"))
    known = re.findall(r'add_argument\(\s*"(--[a-z-]+)"', script.read_text())
    assert [word for word in last if word.startswith("--") and word not in known] == []
    page = next((ROOT / after for word, after in zip(last, last[1:], strict=False) if word == "--write"), script)
    assert page.is_file()


def test_what_make_lists_is_run_where_everything_is():
    """`make test-thorough` runs each benchmark that it can, at its quickest size; the page has the day of each."""
    recipe = MAKEFILE.split("\ntest-thorough:")[1].split("\n\n")[0]
    assert set(re.findall(r"\$\(MAKE\).* ([a-z-]+) QUICK=1$", recipe, re.MULTILINE)) == set(BENCHMARKS) - OF_GLUONTS
    last_runs = re.findall(r"^\| `make ([a-z-]+)[^|]*` +\| \d{4}-\d\d-\d\d ", PAGE, re.MULTILINE)
    assert sorted(last_runs) == sorted(BENCHMARKS)
