"""What `make import` and `make remove-assets` look at before they change an installation's assets."""

import csv
import dataclasses
import difflib
import json
import subprocess
import tempfile
from pathlib import Path

from bring_up import NotReady

# How many names a sentence lists before it counts the rest.
_LISTED = 5


class FaultsFound(Exception):
    """Prices or a training template that no execution could work with; the message lists why."""


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


def _check(binaries, assets, template):
    """(faults, warnings) that the command line finds; without a template, in each file by itself."""
    program = binaries / "pipewright"
    if not program.is_file():
        raise NotReady(f"{program} is missing, which checks what is imported: `make build`")
    looked = subprocess.run(
        [
            *(program, "features", "check", "--format", "json"),
            *("--assets", assets, *(("--template", template) if template else ())),
        ],
        capture_output=True,
        text=True,
    )
    try:
        found = json.loads(looked.stdout)
    except json.JSONDecodeError:
        said = looked.stderr.strip() or looked.stdout.strip()
        raise FaultsFound(f"{said}\nNothing was uploaded") from None
    return found["faults"], found["warnings"]


def check(binaries, assets, template, say, shown=None):
    """Have the command line look at prices, with a training template or by themselves.

    Raises FaultsFound with every fault; tells the warnings. Both call the directory as `shown`.
    """
    faults, warnings = _check(binaries, assets, template)
    if shown:
        faults, warnings = (
            [each.replace(str(assets), shown) for each in found] for found in (faults, warnings)
        )
    for warning in warnings:
        say(f"warning: {warning}")
    if faults:
        raise FaultsFound(
            f"{len(faults)} fault(s); nothing was uploaded:" + "".join(f"\n  {f}" for f in faults)
        )


def catalogue(client, outputs):
    """The asset classes of the catalogue by ticker."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=outputs["AssetsTableName"])
    return {
        item["Id"]["S"]: item.get("assetClass", {}).get("S", "")
        for page in pages
        for item in page["Items"]
    }


def check_beside_catalogue(binaries, client, outputs, template, say):
    """Check a training template that comes without prices against those that are there."""
    listed = catalogue(client, outputs)
    if not listed:
        raise NotReady(
            "the catalogue has no asset that the training template could be checked with; import "
            "its prices along with it: ASSETS=DIR"
        )
    s3 = client("s3")
    with tempfile.TemporaryDirectory() as directory:
        for ticker in listed:
            try:
                found = s3.get_object(
                    Bucket=outputs["AssetsBucketName"], Key=f"assets/{ticker}.csv"
                )
            except s3.exceptions.NoSuchKey:
                raise NotReady(
                    f"the catalogue lists {ticker}, but the bucket has no assets/{ticker}.csv: "
                    f'import it, or take it out with `make remove-assets ASSETS="{ticker}"`'
                ) from None
            Path(directory, f"{ticker}.csv").write_bytes(found["Body"].read())
        with open(Path(directory, "assets.csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["ticker", "assetClass", "description"])
            writer.writerows([ticker, name, ""] for ticker, name in listed.items())
        say(f"Checking the training template with the catalogue's {len(listed)} assets")
        check(binaries, directory, template, say, f"s3://{outputs['AssetsBucketName']}/assets")


def after_import(before, imported):
    """What an import leaves in the catalogue, as sentences: it adds, and takes nothing away."""
    others = set(before) - set(imported)
    yield f"The catalogue has {len(others | set(imported))} assets now."
    if others:
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


def remove(client, outputs, ticker):
    """Take an asset out: its item first, since an item without a price file fails executions."""
    client("dynamodb").delete_item(TableName=outputs["AssetsTableName"], Key={"Id": {"S": ticker}})
    client("s3").delete_object(Bucket=outputs["AssetsBucketName"], Key=f"assets/{ticker}.csv")
