"""One reader of a folder of prices: what the command line looks at is what is imported."""

import json
import os
import random
import subprocess

import pytest

from harness import BINARIES

ROWS = "2020-01-02,1\n2020-01-03,2\n"


def look(folder):
    """What `pipewright features check` finds in a folder."""
    command = [BINARIES / "pipewright", "features", "check", "--assets", folder, "--format", "json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, timeout=60).stdout)


def taken(system, folder):
    """What an import of a folder stores, the objects and the items by ticker; takes it out again."""
    before = system.keys("AssetsBucketName")
    status, told = system.call("data", "import", "--assets", folder, "--format", "json")
    assert status == 0, told
    tickers = json.loads(told)["assets"]
    objects = {
        key.removeprefix("assets/").removesuffix(".csv"): system.read("AssetsBucketName", key)
        for key in system.keys("AssetsBucketName")
        if key not in before
    }
    items = {
        ticker: system.client("dynamodb").get_item(
            TableName=system.outputs["AssetsTableName"], Key={"Id": {"S": ticker}}
        )["Item"]
        for ticker in tickers
    }
    status, told = system.call("data", "remove", "--yes", *tickers)
    assert status == 0, told
    assert system.keys("AssetsBucketName") == before
    assert sorted(objects) == sorted(items) == sorted(tickers)
    return objects, items


def test_an_import_takes_what_the_check_looked_at(system, tmp_path):
    """An import takes exactly the price files that the check looked at, whatever else lies in the folder."""
    lot = random.Random(7)
    others = [
        b"._AAA.csv",
        b".csv",
        b"X.csv",
        b"EEE.CSV",
        b"Gr\xf6\xdfe.csv",
        b"F.csv.gz",
        b" G.csv",
    ]
    others += [b"\x1b[2J.csv", b"Assets.csv", b"notes.txt", b"A\nB.csv"]
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "AAA.csv").write_text(f"Date,Close\n{ROWS}")
        for name in lot.sample(others, lot.randrange(len(others) + 1)):
            path = os.path.join(os.fsencode(folder), name)
            if name == b"X.csv":
                os.mkdir(path)
            else:
                with open(path, "w") as file:
                    file.write(lot.choice(["", "Date,Close\nx,y\n", f"Date,Close\n{ROWS}"]))
        found = look(folder)
        assert found["faults"] == []
        assert [file["file"] for file in found["files"]] == ["AAA.csv"]
        objects, _ = taken(system, folder)
        assert objects == {"AAA": (folder / "AAA.csv").read_bytes()}


@pytest.mark.parametrize(
    "text",
    [
        ",Date,Close\n0,2020-01-02,1\n1,2020-01-03,2\n",
        "Close,Date\n1,2020-01-02\n2,2020-01-03\n",
        f"Date,Close\n2020-01-01,\n{ROWS}2020-01-04,\n",
        "\ufeffdate , CLOSE\r\n2020-01-03,2\r\n2020-01-02,1\r\n2020-01-02,1.0\r\n",
    ],
)
def test_the_catalogue_has_the_dates_and_prices_of_the_file(system, tmp_path, text):
    """The catalogue's dates and rows are those of the rows with a price, from the column Date."""
    (tmp_path / "AAA.csv").write_text(text)
    (tmp_path / "assets.csv").write_text('Description,assetclass,TICKER\n"a, b",Bank, AAA \n')
    _, items = taken(system, tmp_path)
    assert items["AAA"] == {
        "Id": {"S": "AAA"},
        "ticker": {"S": "AAA"},
        "assetClass": {"S": "Bank"},
        "description": {"S": "a, b"},
        "startDate": {"S": "2020-01-02"},
        "endDate": {"S": "2020-01-03"},
        "dataRows": {"N": "2"},
        "bucketKey": {"S": "assets/AAA.csv"},
    }


def test_a_folder_without_prices_is_refused_before_anything_is_asked_for(tmp_path):
    (tmp_path / "._AAA.csv").write_text("Date,Close\n")

    def refused(folder):
        """What is said, where there is no AWS that could be asked."""
        ran = subprocess.run(
            [BINARIES / "pipewright", "data", "import", "--assets", folder],
            env={},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 1
        return ran.stderr

    said = refused(tmp_path)
    assert "has no price file" in said
    assert said.count("warning: ") == 1 and "._AAA.csv: left out" in said
    assert "nowhere cannot be read" in refused(tmp_path / "nowhere")


def test_faults_leave_the_list_of_what_was_looked_at(tmp_path):
    (tmp_path / "AAA.csv").write_text("Date,Close\nx,y\n")
    found = look(tmp_path)
    assert len(found["faults"]) == 2
    (file,) = found["files"]
    assert (file["ticker"], file.get("firstDate"), file.get("prices", 0)) == ("AAA", None, 0)
    assert found["warnings"] == []
