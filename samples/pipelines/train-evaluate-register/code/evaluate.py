"""Measures the model's error on the test set, for the pipeline's condition to read."""

import argparse
import csv
import json
import math
import tarfile
from pathlib import Path


def main():
    """Read model.tar.gz of --model and measurements.csv of --test; write evaluation.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    with tarfile.open(options.model / "model.tar.gz") as archive:
        names = [name for name in archive.getnames() if Path(name).name == "model.json"]
        model = json.load(archive.extractfile(names[0]))
    with (options.test / "measurements.csv").open(newline="", encoding="utf-8") as file:
        errors = [
            model["intercept"]
            + model["slope"] * float(row["temperature"])
            - float(row["consumption"])
            for row in csv.DictReader(file)
        ]
    rmse = math.sqrt(sum(error * error for error in errors) / len(errors))
    # The property file: {"metrics": {"rmse": kWh}}
    evaluation = {"metrics": {"rmse": round(rmse, 6)}, "rows": len(errors)}
    (options.output / "evaluation.json").write_text(json.dumps(evaluation) + "\n", encoding="utf-8")
    print(f"root mean square error {rmse:.6f} kWh over {len(errors)} rows")


if __name__ == "__main__":
    main()
