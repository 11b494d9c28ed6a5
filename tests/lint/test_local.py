"""docs/LOCAL.md says of nothing how it is in a local run without a test that shows it."""

import ast
import re

from cfn_templates import ROOT

PAGE = ROOT / "docs" / "LOCAL.md"
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<here>[^|]+) \| (?P<proven>[^|]+) \| (?P<tests>[^|]+) \|$")
PROVEN = {"as AWS", "in part", "not here"}
# A Rust test: its attributes, its name.
RUST_TEST = re.compile(
    r"#\[(?:tokio::)?test(?:\([^\]]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)"
)


def rows():
    """The rows of the table below its head."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [ROW.fullmatch(line) or line for line in lines[2:]]


def names_of_tests():
    """The names of all tests of the checkout."""
    names = set()
    for folder in ("shared", "functions", "docker", "local", "cli"):
        for path in (ROOT / folder).rglob("*.rs"):
            names.update(RUST_TEST.findall(path.read_text()))
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        names.update(node.name for node in functions if node.name.startswith("test_"))
    return names


def test_every_row_has_a_test_that_exists():
    known = names_of_tests()
    wrong = []
    for row in rows():
        tests = re.findall(r"`(\w+)`", row["tests"]) if isinstance(row, re.Match) else []
        if not tests or row["proven"] not in PROVEN:
            wrong.append(row if isinstance(row, str) else row["what"])
        wrong += [test for test in tests if test not in known]
    assert wrong == [], "rows of docs/LOCAL.md without a verdict or a test, and tests that are none"


def test_every_subject_has_one_row():
    subjects = [row["what"] for row in rows()]
    assert len(subjects) == len(set(subjects))
    named = " ".join(subjects)
    asked = ("events", "roles", "images", "time limits", "caching", "retries", "quotas")
    assert [each for each in (*asked, "KMS", "VPC", "spot", "GPU") if each not in named] == []


def test_the_readme_leads_to_the_page():
    assert "(docs/LOCAL.md)" in (ROOT / "README.md").read_text()
