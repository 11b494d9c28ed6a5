"""`pipewright features schema`: what it says of a training template is what the check says."""

import copy
import json
import re
import subprocess

import jsonschema
import pytest

from harness import BINARIES, SAMPLE_TEMPLATE, SAMPLES

PIPEWRIGHT = BINARIES / "pipewright"
# Values of every kind, and at the edges of what settings take.
VALUES = [
    *(None, True, "", "x", "JPM", "all", "adam", "daily", "1D", "2018-01-01", "ml.m5.xlarge"),
    *(-1, 0, 1, 20, 1000.5, 1_000_000, 1_000_001, 0.5, 1.5),
    *([], ["JPM"], ["JPM", "JPM"], [3, 6], [3, 3], [0], [5, 1, 0], [5, 3, 0], [0.1, 0.9]),
    *({}, {"window": 5}, {"enabled": False}),
]
# What a schema can't say: it depends on two settings, or on the data.
APART = {
    "deepARMeta.startDataset",
    "deepARMeta.endTraining",
    "feMeta.fftSettings.edge",
    "feMeta.maxAge",
    "deepARMeta.contextLength",
}


@pytest.fixture(scope="module")
def schema():
    done = subprocess.run(
        [PIPEWRIGHT, "features", "schema"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def paths(properties, path=()):
    """The path of every setting of a schema's properties, and whether others stand below it."""
    for name, setting in properties.items():
        below = setting.get("properties", {})
        yield (*path, name), bool(below)
        yield from paths(below, (*path, name))


def changes(path):
    """What is done to a setting, in words and as a function of its parent."""
    name = path[-1]
    yield "absent", lambda parent: parent.pop(name, None)
    yield "misspelt", lambda parent: parent.update({f"{name}x": 1})
    for value in VALUES:
        # The reader takes null for absent, which no schema of a setting can say.
        if value is not None and ".".join(path) not in APART:
            yield repr(value), lambda parent, value=value: parent.update({name: value})


def changed(*cases):
    """The sample's template with changes made to settings' parents."""
    template = copy.deepcopy(SAMPLE_TEMPLATE)
    for path, change in cases:
        parent = template
        for name in path[:-1]:
            parent = parent.setdefault(name, {})
        change(parent)
    return template


def faults(template, folder):
    """What the check has against the template itself, of its settings."""
    file = folder / "template.json"
    file.write_text(json.dumps(template))
    # Few prices, which are read quickly.
    (folder / "JPM.csv").write_text("Date,Close\n2020-01-02,1\n")
    command = [PIPEWRIGHT, "features", "check", "--assets", folder]
    done = subprocess.run(
        [*command, "--template", file, "--format", "json"], capture_output=True, text=True
    )
    told = json.loads(done.stdout)["faults"]
    return [each.removeprefix(f"{file}: ") for each in told if each.startswith(str(file))]


def of_setting(setting, found):
    """Those of the faults that a setting has, or what it holds."""
    return [fault for fault in found if re.match(rf"{re.escape(setting)}[.:\[]", fault)]


def test_the_sample_and_a_proposal_fit_the_schema(schema, tmp_path):
    """The sample's template and one that init proposes fit the schema."""
    schema.validate(SAMPLE_TEMPLATE)
    file = tmp_path / "template.json"
    command = [PIPEWRIGHT, "features", "init", "--assets", SAMPLES / "sp500-20", "--predict", "JPM"]
    subprocess.run([*command, "--output", file], check=True, capture_output=True)
    schema.validate(json.loads(file.read_text()))


def test_the_schema_and_the_check_agree_on_every_setting(schema, tmp_path):
    """What the schema says of each setting, absent, misspelt and of every kind of value, the check says too."""
    alone, together = [], {}
    for path, has_below in paths(schema.schema["properties"]):
        # These change what is looked at of others.
        is_apart = has_below or path[-1] == "enabled"
        for what, change in changes(path):
            cases = alone if is_apart else together.setdefault(what, [])
            cases.append((path, what, change))
    # The check tells every fault of a template, by its setting: one template has the same change in
    # all settings. What that leaves in doubt is looked at by itself.
    for what, cases in together.items():
        found = faults(changed(*((path, change) for path, _, change in cases)), tmp_path)
        for path, _, change in cases:
            setting = ".".join(path) + ("x" if what == "misspelt" else "")
            if schema.is_valid(changed((path, change))) == bool(of_setting(setting, found)):
                alone.append((path, what, change))
    disagreed = []
    for path, what, change in alone:
        template = changed((path, change))
        accepted = schema.is_valid(template)
        if accepted == bool(found := faults(template, tmp_path)):
            disagreed.append((".".join(path), what, accepted, found))
    assert not disagreed, "\n".join(map(str, disagreed))
