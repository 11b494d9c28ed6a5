"""docs/SEMANTICS.md promises nothing that no test proves, in the test's own words."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROMISE = re.compile(r"^- (?P<sentence>.+) \(`(?P<test>\w+)`\)$", re.MULTILINE)
# A Rust test: its doc comment, its attributes, its name.
RUST_TEST = re.compile(
    r"(?P<doc>(?:^[ \t]*///[^\n]*\n)+)(?:^[ \t]*#\[[^\n]*\n)*^[ \t]*(?:async )?fn (?P<test>\w+)\b",
    re.MULTILINE,
)


def documented_tests():
    """The doc comment of every test of the checkout, in one line, by the test's name."""
    found = {}
    for folder in ("shared", "functions", "docker", "local", "cli"):
        for path in (ROOT / folder).rglob("*.rs"):
            for test in RUST_TEST.finditer(path.read_text()):
                found[test["test"]] = " ".join(re.findall(r"///(.*)", test["doc"]))
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = ast.get_docstring(node) or ""
    return {name: " ".join(doc.split()) for name, doc in found.items()}


def test_every_promise_is_the_doc_comment_of_its_test():
    tests = documented_tests()
    promises = list(PROMISE.finditer((ROOT / "docs" / "SEMANTICS.md").read_text()))
    assert len(promises) >= 30
    wrong = [
        promise["test"]
        for promise in promises
        if tests.get(promise["test"]) != promise["sentence"]
    ]
    assert wrong == [], "their doc comments and docs/SEMANTICS.md differ"
