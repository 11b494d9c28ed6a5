"""What an installation works on: price files, the list of assets, training templates."""

import concurrent.futures
import csv
import io
import json
from pathlib import Path

import bounded
from bounded import LARGEST_PRICES, LARGEST_TEXT


class TemplateUnreadable(Exception):
    """A training template's file cannot be used; the message says why."""


class PricesUnreadable(Exception):
    """A price file or assets.csv cannot be used; the message says why."""


def read_file(path, limit):
    """The bytes of a file that may be no regular one, or too large."""
    try:
        return bounded.read(path, limit)
    except bounded.Unfit as error:
        raise PricesUnreadable(str(error)) from error


def _decoded(content, name):
    """The text of a file in UTF-8, with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PricesUnreadable(
            f"{name} is not in UTF-8 (byte {error.start + 1}); save it as UTF-8"
        ) from error


def read_prices(directory):
    """The CSV files of a directory by ticker."""
    directory = Path(directory)
    if not directory.is_dir():
        what = "is no directory" if directory.exists() else "does not exist"
        raise FileNotFoundError(f"{directory} {what}; expected one <ticker>.csv per asset in it")
    files = {path.stem: path for path in sorted(directory.glob("*.csv"))}
    files.pop("assets", None)  # not prices: class and description of each ticker
    if not files:
        raise FileNotFoundError(f"no CSV files in {directory}: expected one <ticker>.csv per asset")
    return files


def read_asset_list(directory):
    """Class and description by ticker, from `assets.csv`; empty where there is none."""
    path = Path(directory) / "assets.csv"
    if not path.exists():
        return {}
    rows = csv.DictReader(io.StringIO(_decoded(read_file(path, LARGEST_TEXT), path), newline=""))
    if "ticker" not in (rows.fieldnames or []):
        raise PricesUnreadable(f"{path} has no column ticker; its first line names the columns")
    try:
        return {row["ticker"]: row for row in rows}
    except csv.Error as error:
        raise PricesUnreadable(f"{path} line {rows.line_num}: {error}") from error


def asset_class(description):
    """The asset class of an asset's row in assets.csv, {} where it has none."""
    return description.get("assetClass", "unclassified")


def asset_item(ticker, content, description):
    """The item of the assets table for a price file."""
    lines = _decoded(content, f"{ticker}.csv").splitlines()
    dates = [row[0] for row in csv.reader(lines[1:]) if row]
    return {
        "Id": {"S": ticker},
        "ticker": {"S": ticker},
        "assetClass": {"S": asset_class(description)},
        "description": {"S": description.get("description", "")},
        "startDate": {"S": min(dates, default="")},
        "endDate": {"S": max(dates, default="")},
        "dataRows": {"N": str(len(dates))},
        "bucketKey": {"S": f"assets/{ticker}.csv"},
    }


def to_attribute(value):
    """A JSON value as a DynamoDB attribute."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": json.dumps(value)}
        case str():
            return {"S": value}
        case list():
            return {"L": [to_attribute(item) for item in value]}
        case dict():
            return {"M": {key: to_attribute(item) for key, item in value.items()}}
    raise TypeError(f"{value!r} is no JSON value")


def read_template(path):
    """A training template file; Id is what start-execution takes."""
    try:
        template = json.loads(bounded.read(path, LARGEST_TEXT).decode())
    except bounded.Unfit as error:
        raise TemplateUnreadable(f"cannot read the training template: {error}") from error
    except OSError as error:
        raise TemplateUnreadable(
            f"cannot read the training template {path}: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise TemplateUnreadable(f"{path} is not in UTF-8; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise TemplateUnreadable(f"{path} is no JSON: {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Id"), str):
        raise TemplateUnreadable(
            f"{path} is no training template: it needs a member `Id`, a string"
        )
    return template


def import_assets(client, outputs, directory):
    """Upload price files and list them in the assets table; gives the tickers.

    `client` gives a boto3 client by its service's name, `outputs` are the stack's.
    """
    described = read_asset_list(directory)
    files = read_prices(directory)
    s3, dynamodb = client("s3"), client("dynamodb")

    def upload(ticker):
        content = read_file(files[ticker], LARGEST_PRICES)
        s3.put_object(Bucket=outputs["AssetsBucketName"], Key=f"assets/{ticker}.csv", Body=content)
        dynamodb.put_item(
            TableName=outputs["AssetsTableName"],
            Item=asset_item(ticker, content, described.get(ticker, {})),
        )
        return ticker

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(upload, files))


def import_template(client, outputs, template):
    """Store a training template (a dict); gives its id."""
    client("dynamodb").put_item(
        TableName=outputs["TrainingTemplatesTableName"],
        Item={key: to_attribute(value) for key, value in template.items()},
    )
    return template["Id"]
