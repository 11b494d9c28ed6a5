"""`make import` and `make remove-assets`: what is wrong stays out, and what came in can go again."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import BINARIES, SAMPLE_TEMPLATE, SAMPLES
from ops.inputs import of_import

MAIN = (sys.executable, "-m", "ops.stack")


@pytest.fixture
def make(system, tmp_path):
    """Run what `make` runs, on the local system; gives the ended process."""
    announced = tmp_path / "environment.sh"

    def run(*arguments, answer="", binaries=BINARIES):
        return subprocess.run(
            [
                *(*MAIN, *arguments, "--local", "--environment-file", announced),
                *("--config", tmp_path / "samconfig.toml", "--binaries", binaries),
            ],
            input=answer,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    with system.announced(announced):
        yield run


@pytest.fixture
def own(tmp_path):
    """A directory, with a blank in its name, of two assets that the catalogue does not have."""
    directory = tmp_path / "my prices"
    directory.mkdir()
    for ticker in ("AAA", "BBB"):
        content = (SAMPLES / "sp500-20" / "JPM.csv").read_bytes()
        (directory / f"{ticker}.csv").write_bytes(content)
    return directory


def state(system):
    """The catalogue, the price files and the ids of the templates."""
    tables = [system.outputs[f"{name}TableName"] for name in ("Assets", "TrainingTemplates")]
    assets, templates = (
        {item["Id"]["S"]: item for item in system.client("dynamodb").scan(TableName=table)["Items"]}
        for table in tables
    )
    classes = {ticker: item["assetClass"]["S"] for ticker, item in assets.items()}
    return classes, system.keys("AssetsBucketName"), sorted(templates)


def template_file(directory, **changes):
    path = directory / "template.json"
    path.write_text(json.dumps({**SAMPLE_TEMPLATE, "Id": "own", **changes}))
    return path


def test_the_samples_are_what_is_imported_where_nothing_is_named():
    mine = Path("mine")
    both = ["--assets", SAMPLES / "sp500-20", "--template", SAMPLES / "training-template.json"]
    assert of_import(None, None) == both
    assert of_import(mine, None) == ["--assets", mine]
    assert of_import(None, mine) == ["--template", mine]


def test_a_fault_anywhere_uploads_nothing_and_every_fault_is_shown(system, make, own, tmp_path):
    before = state(system)
    for ticker, price in (("AAA", "NaN"), ("BBB", "abc")):
        lines = (own / f"{ticker}.csv").read_text().splitlines()
        lines[4] = f"{lines[4].partition(',')[0]},{price}"
        (own / f"{ticker}.csv").write_text("\n".join(lines) + "\n")
    wrong = template_file(tmp_path, predictedAsset="CCC")
    of_both = make("import", "--assets", own, "--template", wrong)
    of_prices = make("import", "--assets", own)
    of_template = make("import", "--template", wrong)
    for refused, words in (
        (of_both, ("NaN", "abc", "AAA.csv line 5", "BBB.csv line 5", "CCC")),
        (of_prices, ("NaN", "abc", "2 fault(s)")),
        (of_template, ("CCC", "1 fault(s)")),
    ):
        assert refused.returncode == 1, refused.stdout
        assert [word for word in words if word not in refused.stdout] == []
        assert "nothing was uploaded" in refused.stdout
    unreadable = tmp_path / "unreadable.json"
    unreadable.write_text("{")
    refused = make("import", "--assets", own, "--template", unreadable)
    assert refused.returncode == 1
    assert "nothing was uploaded" in refused.stdout
    nowhere = make("import", "--assets", tmp_path / "nowhere")
    assert nowhere.returncode == 1
    assert "nowhere cannot be read" in nowhere.stdout
    unchecked = make("import", binaries=tmp_path)
    assert unchecked.returncode == 1
    assert "`make build`" in unchecked.stdout
    assert state(system) == before


def test_a_file_in_another_encoding_is_named_and_nothing_is_uploaded(system, make, own, tmp_path):
    before = state(system)
    (own / "AAA.csv").write_text((own / "BBB.csv").read_text(), encoding="utf-16")
    for more in ((), ("--template", template_file(tmp_path))):
        refused = make("import", "--assets", own, *more)
        assert refused.returncode == 1
        assert f"{own / 'AAA.csv'}, asset `AAA`: the file is in UTF-16" in refused.stdout
        assert "1 fault(s); nothing was uploaded" in refused.stdout
    (own / "AAA.csv").unlink()
    (own / "assets.csv").write_text("ticker,assetClass\nBBB,Caf\xe9\n", encoding="latin-1")
    for more in ((), ("--template", template_file(tmp_path))):
        refused = make("import", "--assets", own, *more)
        assert refused.returncode == 1
        assert str(own / "assets.csv") in refused.stdout
        assert "1 fault(s); nothing was uploaded" in refused.stdout
    assert state(system) == before


def test_assets_come_beside_those_that_are_there_and_go_again(system, make, own, tmp_path):
    before = state(system)
    imported = make("import", "--assets", own)
    assert imported.returncode == 0, imported.stdout
    assert "The catalogue has 22 assets now." in imported.stdout
    assert "20 of them were there before" in imported.stdout
    # Of what the catalogue has by then, the folder's files come first.
    both = ("import", "--assets", own, "--template")
    together = make(*both, template_file(tmp_path, predictedAsset="JPM"))
    assert together.returncode == 0, together.stdout
    assert "with the 2 assets of ASSETS and the catalogue's 20 others" in together.stdout
    nobodys = make(*both, template_file(tmp_path, predictedAsset="CCC"))
    assert nobodys.returncode == 1
    assert "CCC" in nobodys.stdout
    template = make("import", "--template", template_file(tmp_path, predictedAsset="AAA"))
    assert template.returncode == 0, template.stdout
    assert "are not in this import" not in template.stdout
    catalogue, keys, templates = state(system)
    assert "AAA" in catalogue
    assert "assets/BBB.csv" in keys
    assert templates == sorted([*before[2], "own"])

    unknown = make("remove", "--ticker", "AAA", "--ticker", "BBBB", "--yes")
    assert unknown.returncode == 1
    assert "BBBB is not in the catalogue; the nearest is BBB" in unknown.stdout
    both = ("remove", "--ticker", "AAA", "--ticker", "BBB")
    declined = make(*both, answer="no\n")
    assert declined.returncode == 1
    assert "Nothing was removed" in declined.stdout
    assert "The training template own names AAA in predictedAsset: without it" in declined.stdout
    assert "names BBB" not in declined.stdout
    assert state(system) == (catalogue, keys, templates)
    removed = make(*both, answer="yes\n")
    assert removed.returncode == 0, removed.stdout
    assert "the catalogue has 20 now" in removed.stdout
    system.client("dynamodb").delete_item(
        TableName=system.outputs["TrainingTemplatesTableName"], Key={"Id": {"S": "own"}}
    )
    assert state(system) == before


def test_what_there_is_is_listed_and_a_template_goes_as_well(system, tmp_path):
    template = template_file(tmp_path, predictedAsset="JPM")
    status, told = system.call("data", "import", "--template", template, "--format", "json")
    assert status == 0, told
    assert json.loads(told)["trainingTemplate"] == "own"
    status, told = system.call("data", "list")
    assert status == 0, told
    (row,) = (line for line in told.splitlines() if line.startswith("JPM "))
    assert row.split()[2:] == ["2010-01-04", "2022-12-28", "3270"]
    assert re.search(r"^own +JPM ", told, re.M)
    status, told = system.call("data", "list", "--format", "json")
    listed = json.loads(told)
    assert len(listed["assets"]) == 20
    # Other tests import templates into the same system.
    templates = [each["id"] for each in listed["trainingTemplates"]]
    assert templates == sorted(templates)
    assert {SAMPLE_TEMPLATE["Id"], "own"} <= set(templates)
    status, told = system.call("data", "remove", "--template", "owm", "--yes")
    assert status == 1
    assert "owm is not among the training templates; the nearest is own" in told
    # No answer is a no.
    status, told = system.call("data", "remove", "--template", "own")
    assert status == 1
    assert "Nothing was removed" in told
    status, told = system.call("data", "remove", "--template", "own", "--yes")
    assert status == 0, told
    assert "own" not in state(system)[2]


@pytest.mark.parametrize("ticker", ["../outside", "/tmp/outside", "a/b", "x\0"])
def test_a_catalogues_id_that_is_a_path_is_refused(system, tmp_path, ticker):
    """An import writes nothing for an asset of the catalogue whose id is not a file's name, and says so."""
    dynamodb, table = system.client("dynamodb"), system.outputs["AssetsTableName"]
    before = state(system)
    dynamodb.put_item(TableName=table, Item={"Id": {"S": ticker}})
    try:
        status, told = system.call("data", "import", "--template", template_file(tmp_path))
    finally:
        dynamodb.delete_item(TableName=table, Key={"Id": {"S": ticker}})
    assert status == 1
    assert "not a file's name" in told
    assert state(system) == before
    assert [path.name for path in tmp_path.iterdir()] == ["template.json"]


def test_an_asset_without_its_price_file_is_told_with_the_cure(system, tmp_path):
    with system.price_file("XOM", None):
        status, told = system.call("data", "import", "--template", template_file(tmp_path))
    assert status == 1
    assert "the catalogue lists XOM, but the bucket has no assets/XOM.csv: import it" in told
