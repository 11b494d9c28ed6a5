"""Fits consumption (kWh) = intercept + slope * temperature (degrees Celsius) by least squares."""

import argparse
import csv
import json
import statistics
from pathlib import Path


def main():
    """Read measurements.csv of --train; write model.json to --model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()

    with (options.train / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    fit = statistics.linear_regression(
        [float(row["temperature"]) for row in rows], [float(row["consumption"]) for row in rows]
    )
    model = {"slope": fit.slope, "intercept": fit.intercept}
    (options.model / "model.json").write_text(json.dumps(model) + "\n", encoding="utf-8")
    print(f"{len(rows)} rows: consumption = {fit.intercept:.3f} + {fit.slope:.3f} * temperature")


if __name__ == "__main__":
    main()
