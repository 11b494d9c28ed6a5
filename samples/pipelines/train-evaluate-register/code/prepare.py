"""Splits the measurements into a training and a test set; rows with a gap are left out."""

import argparse
import csv
from pathlib import Path

# Every fifth row tests what the others taught.
TEST_EVERY = 5


def main():
    """Read every CSV file of --input; write measurements.csv to --train and --test."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    options = parser.parse_args()

    rows = []
    for path in sorted(options.input.glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows += [row for row in csv.DictReader(file) if all(row.values())]
    if not rows:
        raise SystemExit(f"no complete row in {options.input}")
    for folder, chosen in (
        (options.test, rows[::TEST_EVERY]),
        (options.train, [row for at, row in enumerate(rows) if at % TEST_EVERY]),
    ):
        with (folder / "measurements.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(chosen)
        print(f"{folder.name}: {len(chosen)} rows")


if __name__ == "__main__":
    main()
