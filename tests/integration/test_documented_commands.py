"""What the pages have people type is what the command line takes."""

import functools
import re
import subprocess

import pytest

from harness import BINARIES
from ops import ROOT

PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.md", "*/README.md", "*/*/README.md", "docs/*.md")
    for page in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Of a line: what follows the program's name, without a remark or what it is piped into.
COMMAND = re.compile(r"(?:^|\$ )pipewright ([^#|>\n]*)", re.MULTILINE)
# In running text.
INLINE = re.compile(r"`pipewright\s([^`]*)`")


def commands():
    """(page, arguments) of every command that a page names."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        blocks = (match for block in BLOCK.findall(text) for match in COMMAND.findall(block))
        for arguments in (*blocks, *INLINE.findall(text)):
            yield page, arguments.replace("\\", " ").split()


@functools.cache
def help_of(*words):
    return subprocess.run(
        [BINARIES / "pipewright", *words, "--help"], capture_output=True, text=True
    )


@pytest.mark.parametrize("page", sorted({page for page, _ in commands()}))
def test_every_command_that_a_page_names_is_one(page):
    wrong = []
    for _, arguments in (found for found in commands() if found[0] == page):
        # `redrive` is a command by itself; `endpoint create|delete` names two.
        depth = 1 if arguments[0] == "redrive" else 2
        names = [name for name in arguments[:depth] if re.fullmatch(r"[a-z]+(\|[a-z]+)*", name)]
        # `--version` is the program's own.
        for last in names[-1].split("|") if names else [""]:
            found = help_of(*filter(None, (*names[:-1], last)))
            options = re.findall(r"--[a-z][a-z-]*", " ".join(arguments))
            if found.returncode or any(option not in found.stdout for option in options):
                wrong.append(" ".join(arguments))
    assert wrong == []
