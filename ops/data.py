"""What an installation works on: price files, the list of assets, training templates."""

import concurrent.futures
import json
from pathlib import Path

from ops import OpsError, bounded
from ops.bounded import LARGEST_PRICES, LARGEST_TEXT


class PricesUnreadable(OpsError):
    """A price file cannot be used; the message says why."""


def read_file(path, limit):
    """The bytes of a file that may be no regular one, or too large."""
    try:
        return bounded.read(path, limit)
    except bounded.Unfit as error:
        raise PricesUnreadable(str(error)) from error


def asset_item(asset):
    """The item of the assets table for an asset that was looked at (a `checking.Asset`)."""
    return {
        "Id": {"S": asset.ticker},
        "ticker": {"S": asset.ticker},
        "assetClass": {"S": asset.asset_class},
        "description": {"S": asset.description},
        "startDate": {"S": asset.first_date},
        "endDate": {"S": asset.last_date},
        "dataRows": {"N": str(asset.prices)},
        "bucketKey": {"S": f"assets/{asset.ticker}.csv"},
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
        raise OpsError(f"cannot read the training template: {error}") from error
    except OSError as error:
        raise OpsError(f"cannot read the training template {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OpsError(f"{path} is not in UTF-8; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise OpsError(f"{path} is no JSON: {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Id"), str):
        raise OpsError(f"{path} is no training template: it needs a member `Id`, a string")
    return template


def import_assets(client, outputs, directory, assets):
    """Upload price files and list them in the assets table; gives the tickers.

    `client` gives a boto3 client by its service's name, `outputs` are the stack's, `assets` what
    `checking.look` found in the directory: these are taken, and no other file.
    """
    s3, dynamodb = client("s3"), client("dynamodb")

    def upload(asset):
        content = read_file(Path(directory) / asset.file, LARGEST_PRICES)
        key = f"assets/{asset.ticker}.csv"
        s3.put_object(Bucket=outputs["AssetsBucketName"], Key=key, Body=content)
        dynamodb.put_item(TableName=outputs["AssetsTableName"], Item=asset_item(asset))
        return asset.ticker

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(upload, assets))


def import_template(client, outputs, template):
    """Store a training template (a dict); gives its id."""
    client("dynamodb").put_item(
        TableName=outputs["TrainingTemplatesTableName"],
        Item={key: to_attribute(value) for key, value in template.items()},
    )
    return template["Id"]
