"""What `make import` and `make remove-assets` look at before they change an installation's assets."""

import csv
import dataclasses
import difflib
import tempfile
from pathlib import Path

from boto3.dynamodb.types import TypeDeserializer

from ops import OpsError, checking
from ops.below import Below, NameRefused, file_name
from ops.bounded import LARGEST_PRICES
from ops.data import PricesUnreadable, read_file

# How many names a sentence lists before it counts the rest.
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an import takes: what is named, or the samples where nothing is."""

    assets: Path | None
    template: Path | None


def plan(assets, template, sample_assets, sample_template):
    """What to import. Prices of one's own don't bring the sample's template along, nor it them."""
    if assets is None and template is None:
        return Plan(sample_assets, sample_template)
    return Plan(assets, template)


def some(names):
    """The first few of many names, for a sentence."""
    names = sorted(names)
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def catalogue(client, outputs):
    """The asset classes of the catalogue by ticker."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=outputs["AssetsTableName"])
    return {
        item["Id"]["S"]: item.get("assetClass", {}).get("S", "")
        for page in pages
        for item in page["Items"]
    }


def _file_of(below, ticker):
    """Where the price file of a catalogue's asset goes."""
    try:
        return below.file(file_name(f"{ticker}.csv"))
    except NameRefused as error:
        raise OpsError(
            f"the catalogue has an asset whose id is no file's name: {error}. Nothing was written for "
            "it; take its item out of the table of assets, and see who put it there"
        ) from error


def _download(client, bucket, tickers, below):
    """Write the price files of the catalogue's assets to a directory."""
    s3 = client("s3")
    # All before any: a faulty one is told without a byte on the disk.
    files = {ticker: _file_of(below, ticker) for ticker in tickers}
    for ticker, path in files.items():
        try:
            found = s3.get_object(Bucket=bucket, Key=f"assets/{ticker}.csv")
        except s3.exceptions.NoSuchKey:
            raise OpsError(
                f"the catalogue lists {ticker}, but the bucket has no assets/{ticker}.csv: "
                f'import it, or take it out with `make remove-assets ASSETS="{ticker}"`'
            ) from None
        path.write_bytes(found["Body"].read())


def _write_asset_list(classes, path):
    """Write assets.csv from asset classes by ticker."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ticker", "assetClass", "description"])
        writer.writerows([ticker, name, ""] for ticker, name in classes.items())


def _as_after_import(binaries, client, outputs, listed, wanted, assets):
    """(faults, warnings) of a training template with what the catalogue has after the import."""
    own = {asset.ticker: wanted.assets / asset.file for asset in assets}
    others = {ticker: name for ticker, name in listed.items() if ticker not in own}
    classes = others | {asset.ticker: asset.asset_class for asset in assets}
    with tempfile.TemporaryDirectory() as directory:
        below = Below(directory)
        asset_list = below.file("assets.csv")
        copies = {_file_of(below, ticker): path for ticker, path in own.items()}
        _download(client, outputs["AssetsBucketName"], others, below)
        for copy, path in copies.items():
            copy.write_bytes(read_file(path, LARGEST_PRICES))
        _write_asset_list(classes, asset_list)
        # What is told names each file where it really is.
        places = {str(copy): str(path) for copy, path in copies.items()}
        places[directory] = f"s3://{outputs['AssetsBucketName']}/assets"

        def placed(text):
            for here, there in places.items():
                text = text.replace(here, there)
            return text

        found = checking.look(binaries, directory, wanted.template)
        return tuple([placed(each) for each in texts] for texts in (found.faults, found.warnings))


def look(binaries, wanted, say):
    """What is found in the prices by themselves, before there is anything to import them into.

    Raises OpsError where no price file is there to be imported.
    """
    if not wanted.assets:
        return checking.Found([], [], [])
    found = checking.look(binaries, wanted.assets)
    if not found.assets:
        checking.refuse(found.faults, found.warnings, say, "uploaded")
    return found


def check(binaries, client, outputs, listed, wanted, found, say):
    """Check what is to be imported, a training template with what the catalogue has by then.

    `found` is what `look` found in the prices by themselves: nothing that the catalogue has may
    hide what is wrong with them. Raises OpsError with every fault; tells the warnings.
    """
    faults, warnings = list(found.faults), list(found.warnings)
    if wanted.template:
        own = found.assets
        others = len(set(listed) - {asset.ticker for asset in own})
        if not wanted.assets and not listed:
            raise OpsError(
                "the catalogue has no asset that the training template could be checked with; "
                "import its prices along with it: ASSETS=DIR"
            )
        if not others:
            looked = checking.look(binaries, wanted.assets, wanted.template)
            more = looked.faults, looked.warnings
        else:
            beside = f"the {len(own)} assets of ASSETS and " if own else ""
            rest = f"{others} others" if own else f"{others} assets"
            say(f"Checking the training template with {beside}the catalogue's {rest}")
            try:
                more = _as_after_import(binaries, client, outputs, listed, wanted, own)
            except PricesUnreadable as error:
                more = ([] if faults else [str(error)]), []
        faults += [each for each in more[0] if each not in faults]
        warnings += [each for each in more[1] if each not in warnings]
    checking.refuse(faults, warnings, say, "uploaded")


def after_import(before, imported):
    """What an import leaves in the catalogue, as sentences: it adds, and takes nothing away."""
    others = set(before) - set(imported)
    yield f"The catalogue has {len(others | set(imported))} assets now."
    # An import of a training template alone was not to bring any.
    if others and imported:
        yield (
            f"{len(others)} of them were there before and are not in this import: {some(others)}. "
            'A template with baseAssets "all" takes them all; `make remove-assets ASSETS="..."` '
            "takes assets out."
        )


def unknown(tickers, listed):
    """What is wrong with tickers that the catalogue does not have, as sentences."""
    for ticker in tickers:
        if ticker not in listed:
            near = difflib.get_close_matches(ticker.upper(), sorted(listed), 1, 0)
            hint = f"the nearest is {near[0]}" if near else "which is empty"
            yield f"{ticker} is not in the catalogue; {hint}"


def settings_naming(template, ticker):
    """The settings of a training template (plain values) that name an asset."""
    features = template.get("feMeta")
    features = features if isinstance(features, dict) else {}
    lists = {"feMeta.baseAssets": features.get("baseAssets")}
    for name, section in features.items():
        if isinstance(section, dict):
            lists[f"feMeta.{name}.assets"] = section.get("assets")
    if template.get("predictedAsset") == ticker:
        yield "predictedAsset"
    for name, listed in lists.items():
        # "all" names none: it takes what is there.
        if isinstance(listed, list) and ticker in listed:
            yield name


def templates(client, outputs):
    """The stored training templates as plain values."""
    table = outputs["TrainingTemplatesTableName"]
    read = TypeDeserializer().deserialize
    for page in client("dynamodb").get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            yield {name: read(value) for name, value in item.items()}


def still_named(stored, tickers):
    """Which training templates name assets that are to go, as sentences."""
    for template in sorted(stored, key=lambda each: each["Id"]):
        for ticker in tickers:
            if settings := list(settings_naming(template, ticker)):
                yield (
                    f"The training template {template['Id']} names {ticker} in "
                    f"{', '.join(settings)}: without it, none of its executions succeeds."
                )


def remove(client, outputs, ticker):
    """Take an asset out: its item first, since an item without a price file fails executions."""
    client("dynamodb").delete_item(TableName=outputs["AssetsTableName"], Key={"Id": {"S": ticker}})
    client("s3").delete_object(Bucket=outputs["AssetsBucketName"], Key=f"assets/{ticker}.csv")
