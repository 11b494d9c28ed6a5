"""`pipewright features schema`: what it says of a training template is what the check says."""

import copy
import json
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
    """The path of every setting of a schema's properties."""
    for name, below in properties.items():
        yield (*path, name)
        yield from paths(below.get("properties", {}), (*path, name))


def changed(path, change):
    """The sample's template with `change` made to the parent of a setting."""
    template = copy.deepcopy(SAMPLE_TEMPLATE)
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
    return [fault for fault in told if fault.startswith(str(file))]


def test_the_sample_and_a_proposal_fit_the_schema(schema, tmp_path):
    """The sample's template and one that init proposes fit the schema."""
    schema.validate(SAMPLE_TEMPLATE)
    file = tmp_path / "template.json"
    command = [PIPEWRIGHT, "features", "init", "--assets", SAMPLES / "sp500-20", "--predict", "JPM"]
    subprocess.run([*command, "--output", file], check=True, capture_output=True)
    schema.validate(json.loads(file.read_text()))


def test_the_schema_and_the_check_agree_on_every_setting(schema, tmp_path):
    """What the schema says of each setting, absent, misspelt and of every kind of value, the check says too."""
    disagreed = []
    for path in paths(schema.schema["properties"]):
        name = path[-1]
        changes = [
            ("absent", lambda parent, name=name: parent.pop(name, None)),
            ("misspelt", lambda parent, name=name: parent.update({f"{name}x": 1})),
        ]
        for value in VALUES:
            # The reader takes null for absent, which no schema of a setting can say.
            if value is not None and ".".join(path) not in APART:
                changes.append(
                    (
                        repr(value),
                        lambda parent, value=value, name=name: parent.update({name: value}),
                    )
                )
        for what, change in changes:
            template = changed(path, change)
            accepted = schema.is_valid(template)
            if accepted == bool(found := faults(template, tmp_path)):
                disagreed.append((".".join(path), what, accepted, found))
    assert not disagreed, "\n".join(map(str, disagreed))
