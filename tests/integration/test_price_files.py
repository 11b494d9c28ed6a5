"""One reader of a folder of prices: what the command line looks at is what is imported."""

import json
import os
import random
import types

import pytest

from harness import BINARIES
from ops import OpsError, checking, data, prices

ROWS = "2020-01-02,1\n2020-01-03,2\n"
OUTPUTS = {"AssetsBucketName": "b", "AssetsTableName": "t"}


def taken(folder, assets):
    """What an import of these assets uploads: the objects and the items, by ticker."""
    objects, items = {}, {}

    def put_object(Bucket, Key, Body):  # noqa: N803 - boto3's names
        objects[Key.removeprefix("assets/").removesuffix(".csv")] = Body

    def put_item(TableName, Item):  # noqa: N803
        items[Item["Id"]["S"]] = Item

    fake = types.SimpleNamespace(put_object=put_object, put_item=put_item)
    tickers = data.import_assets(lambda service: fake, OUTPUTS, folder, assets)
    assert sorted(objects) == sorted(items) == sorted(tickers)
    return objects, items


def test_an_import_takes_what_the_check_looked_at(tmp_path):
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
        found = checking.look(BINARIES, folder)
        assert found.faults == []
        objects, _ = taken(folder, found.assets)
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
def test_the_catalogue_has_the_dates_and_prices_of_the_file(tmp_path, text):
    """The catalogue's dates and rows are those of the rows with a price, from the column Date."""
    (tmp_path / "AAA.csv").write_text(text)
    (tmp_path / "assets.csv").write_text('Description,assetclass,TICKER\n"a, b",Bank, AAA \n')
    _, items = taken(tmp_path, checking.look(BINARIES, tmp_path).assets)
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
    said = []
    with pytest.raises(OpsError, match="has no price file"):
        prices.look(BINARIES, prices.Plan(tmp_path, None), said.append)
    assert len(said) == 1 and "._AAA.csv: left out" in said[0]
    with pytest.raises(OpsError, match="nowhere cannot be read"):
        prices.look(BINARIES, prices.Plan(tmp_path / "nowhere", None), said.append)


def test_faults_leave_the_list_of_what_was_looked_at(tmp_path):
    (tmp_path / "AAA.csv").write_text("Date,Close\nx,y\n")
    found = checking.look(BINARIES, tmp_path)
    assert len(found.faults) == 2
    assert [(each.ticker, each.first_date, each.prices) for each in found.assets] == [
        ("AAA", None, 0)
    ]
    assert json.dumps(found.warnings) == "[]"
