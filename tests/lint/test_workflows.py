"""The workflows for forks run what is there, and no action that somebody could exchange."""

import re

import yaml
from cfn_templates import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            yield from job["steps"]


def test_every_action_is_pinned_by_commit():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []


def test_every_target_of_make_exists():
    makefile = (ROOT / "Makefile").read_text()
    called = {
        target
        for step in steps()
        for target in re.findall(r"^\s*make ([a-z-]+)", step.get("run", ""), re.MULTILINE)
    }
    assert {"lint", "test-rust", "test-python", "deploy"} <= called
    assert [target for target in called if not re.search(rf"^{target}:", makefile, re.M)] == []
