"""ARCHITECTURE.md, CONTRIBUTING.md and the crates' READMEs name what is there."""

import re
import tomllib

import pytest
from cfn_templates import ROOT

MEMBERS = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
PAGES = ["ARCHITECTURE.md", "CONTRIBUTING.md", *(f"{member}/README.md" for member in MEMBERS)]
# `dir/file`, `dir/*.yaml`, `file.rs`, with `::name` or without; not s3:// and not an ARN.
PATH = re.compile(r"(?:\.?[\w*-]+/)+[\w.*-]*|[\w*-]+\.(?:rs|py|toml|yaml|md|json|sh|yml|tera)|Makefile")
NAMED = re.compile(r"`([\w:]+)`\s+in\s+`([\w./-]+)`|`([\w./-]+\.\w+)::(\w+)`")
# Made by `make`, so not in a clean checkout; and the shape of a name, not a name.
MADE = re.compile(r"(target|\.venv|\.local|node_modules)\b|.*\bNAME\b")


def paths_of(text):
    """The paths in backticks."""
    for token in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        path = token.partition("::")[0]
        if PATH.fullmatch(path) and not MADE.match(path):
            yield path


def is_there(path, beside):
    return any(any(folder.glob(path.rstrip("/"))) for folder in (ROOT, beside))


def defines(text, name):
    """Whether a source or a template has something of this name, not just the word."""
    word = re.escape(name.split("::")[-1])
    keyword = r"\b(?:fn|struct|enum|trait|const|static|type|mod|def|class|macro_rules!)\s+"
    return re.search(rf"{keyword}{word}\b|^\s*{word}\s*(?::|=)", text, re.MULTILINE)


def wrong_in(text, beside):
    """What a page in the folder `beside` names that is not there."""
    wrong = [path for path in paths_of(text) if not is_there(path, beside)]
    for name, file, file_of, of_file in NAMED.findall(text):
        name, file = name or of_file, file or file_of
        found = [folder / file for folder in (beside, ROOT) if (folder / file).is_file()]
        if not found or not defines(found[0].read_text(), name):
            wrong.append(f"{name} in {file}")
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_name_of_a_page_is_there(page):
    path = ROOT / page
    assert wrong_in(path.read_text(), path.parent) == []


def test_what_is_not_there_is_named():
    text = (
        "`shared/src/lib.rs`, `cfn/*.yaml`, `no/such.rs`, `nowhere.py`, `writes` in\n`shared/src/record/fold.rs`, "
        "`wrotes` in `shared/src/record/fold.rs`, `shared/src/lib.rs::nothing`"
    )
    wrong = ["no/such.rs", "nowhere.py", "wrotes in shared/src/record/fold.rs", "nothing in shared/src/lib.rs"]
    assert wrong_in(text, ROOT / "cli") == wrong


def test_the_readme_leads_to_both_pages():
    links = set(re.findall(r"\]\(([^)#]*)", (ROOT / "README.md").read_text()))
    assert {"ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= links


def test_crates_depend_on_lower_floors_only():
    """The floors of ARCHITECTURE.md are those of each Cargo.toml."""
    page = (ROOT / "ARCHITECTURE.md").read_text()
    floors = {
        crate: int(floor)
        for floor, crates in re.findall(r"^floor (\d):((?:\s+[\w./-]+)+?)$(?=\n(?:floor|```))", page, re.M)
        for crate in crates.split()
    }
    assert sorted(floors) == sorted(MEMBERS)
    manifests = {each: tomllib.loads((ROOT / each / "Cargo.toml").read_text()) for each in MEMBERS}
    floor_of = {manifests[each]["package"]["name"]: floors[each] for each in MEMBERS}
    outside = re.compile(r"aws-.*|lambda_runtime|tokio|axum")
    wrong = [
        (crate, dependency)
        for crate, manifest in manifests.items()
        for dependency in manifest.get("dependencies", {})
        if floor_of.get(dependency, 0) >= floors[crate]
        or (floors[crate] < 4 and outside.fullmatch(dependency))
    ]
    assert wrong == []
