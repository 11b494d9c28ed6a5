"""Names are short, and words are those that a newcomer searches for."""

import re
import subprocess

import pytest
from cfn_templates import ROOT

LONGEST_NAME = 70
FUNCTION = re.compile(r"^\s*(?:pub(?:\([\w\s:]+\))? )?(?:async )?(?:fn|def) (\w+)", re.MULTILINE)
# What stands for it says who or what is meant.
UNCLEAR = re.compile(r"\b(nobody|whoever|whosoever)\b(?=[ ,.;:'\n])", re.IGNORECASE)
# A quoted name, such as that of a pipeline that does not exist, may be anything.
QUOTED = re.compile(r"\"[^\"\n]*\"|`[^`\n]*`")


def sources(*endings):
    found = subprocess.run(
        ["git", "ls-files", *(f"*.{ending}" for ending in endings)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in found.stdout.splitlines() if not name.endswith("test_wording.py")]


def long_names(text):
    return [name for name in FUNCTION.findall(text) if len(name) > LONGEST_NAME]


def unclear_words(text):
    return UNCLEAR.findall(QUOTED.sub("", text))


@pytest.mark.parametrize("ending", ["rs", "py"])
def test_names_of_functions_are_short(ending):
    found = {name: long_names((ROOT / name).read_text()) for name in sources(ending)}
    assert {name: names for name, names in found.items() if names} == {}


def test_words_say_who_is_meant():
    found = {name: unclear_words((ROOT / name).read_text()) for name in sources("rs", "py", "md", "yaml")}
    assert {name: words for name, words in found.items() if words} == {}


def test_a_long_name_and_an_unclear_word_are_found():
    long = "a" * (LONGEST_NAME + 1)
    assert long_names(f"    pub async fn {long}() {{}}\ndef {long[1:]}():\n") == [long]
    assert unclear_words('For whoever asks; "nobody" is a name. Nobody.') == ["whoever", "Nobody"]
