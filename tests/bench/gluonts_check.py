"""`make gluonts`: reads our DeepAR files with GluonTS, checks what it sees, trains
its DeepAR for a short while on both calendars, and prints the error on the same
trading days. A check that fails ends the program with an error.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from gluonts.dataset.common import FileDataset
from gluonts.evaluation import make_evaluation_predictions
from gluonts.torch import DeepAREstimator

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "samples" / "sp500-20"
# Three weeks without a holiday, forecast from Sunday evening each: seven
# calendar days and five trading days then name the same days.
END_TRAINING = pd.Timestamp("2018-03-05")
WINDOWS = 3
LENGTHS = {"daily": (28, 7), "trading": (20, 5)}
SAMPLES_DRAWN = 200


def make_files(binary, calendar, out):
    """Our files for this calendar, with all stages but the autoencoder."""
    template = json.loads((ROOT / "samples" / "training-template.json").read_text())
    template["feMeta"]["arimaSettings"]["enabled"] = True
    template["feMeta"]["autoEncoderSettings"]["enabled"] = False
    context, prediction = LENGTHS[calendar]
    template["deepARMeta"] |= {
        "calendar": calendar,
        "contextLength": context,
        "predictionLength": prediction,
        "endTraining": int(END_TRAINING.timestamp() * 1000),
        "testWindows": WINDOWS,
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / "template.json"
    path.write_text(json.dumps(template))
    command = [binary, "step", "--data", SAMPLES, "--template", path, "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def ensure(condition, text):
    if not condition:
        sys.exit(f"gluonts: {text}")


def day_of(entry, i, calendar, dates):
    """The day of point i of a series, or the days of several points."""
    start = entry["start"].to_timestamp()
    if calendar == "daily":
        return start + pd.to_timedelta(i, unit="D")
    return dates[dates.get_loc(start) + i]


def load(calendar, out):
    """Both files as GluonTS reads them, checked against our map and features."""
    series = json.loads((out / "features" / "series.json").read_text())
    features = pd.read_csv(out / "features" / "features.csv", index_col="Date", parse_dates=True)
    train = list(FileDataset(out / "train", freq="D"))
    test = list(FileDataset(out / "test", freq="D"))
    _, prediction = LENGTHS[calendar]
    ensure(len(train) == len(series), f"{len(train)} training series, not {len(series)}")
    ensure(len(test) == WINDOWS * len(series), f"{len(test)} test records")
    for i, (entry, ours) in enumerate(zip(train, series, strict=True)):
        name = f"{calendar}, {ours['column']}"
        target = entry["target"]
        ensure(target.dtype == np.float32 and target.ndim == 1, f"{name}: {target.dtype}")
        ensure(entry["start"].freqstr == "D", f"{name}: frequency {entry['start'].freqstr}")
        ensure(str(entry["start"]) == ours["start"], f"{name}: starts {entry['start']}")
        ensure(len(target) == ours["length"], f"{name}: {len(target)} points")
        ensure(int(np.isnan(target).sum()) == ours["nulls"], f"{name}: missing values")
        column = features[ours["column"]].astype(np.float32)
        records = [entry, *(test[window * len(series) + i] for window in range(WINDOWS))]
        for window, record in enumerate(records):
            points = ours["length"] + window * prediction
            ensure(len(record["target"]) == points, f"{name}: window {window} has {points} points")
            ensure(record["start"] == entry["start"], f"{name}: window {window}'s start")
            values = record["target"]
            observed = np.flatnonzero(~np.isnan(values))
            days = day_of(record, observed, calendar, features.index)
            ensure(
                np.array_equal(values[observed], column.loc[days].to_numpy()),
                f"{name}: values of window {window} are not those of their days",
            )
    points = sum(len(entry["target"]) for entry in train)
    missing = sum(int(np.isnan(entry["target"]).sum()) for entry in train)
    print(
        f"{calendar}: {len(train)} training series, {points:,} points, "
        f"{100 * missing / points:.1f} % missing; {len(test)} test records: every value on its day"
    )
    return train, test, series, features


def errors(calendar, out, epochs, seed):
    """Relative absolute error of the median forecast and of the last price, for
    each price series and held-out trading day."""
    train, test, series, features = load(calendar, out)
    context, prediction = LENGTHS[calendar]
    # Networks this small only wait for each other on several threads.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    estimator = DeepAREstimator(
        freq="D",
        prediction_length=prediction,
        context_length=context,
        num_layers=2,
        hidden_size=40,
        lr=1e-3,
        batch_size=64,
        num_batches_per_epoch=50,
        trainer_kwargs={
            "max_epochs": epochs,
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": out,
        },
    )
    predictor = estimator.train(train)
    prices = [i for i, ours in enumerate(series) if ours["column"] == ours["asset"]]
    chosen = [(w, i) for w in range(WINDOWS) for i in prices]
    records = [test[w * len(series) + i] for w, i in chosen]
    forecasts, _ = make_evaluation_predictions(
        dataset=records, predictor=predictor, num_samples=SAMPLES_DRAWN
    )
    rows = []
    for (window, i), record, forecast in zip(chosen, records, forecasts, strict=True):
        first = len(record["target"]) - prediction
        before = record["target"][:first]
        last = before[~np.isnan(before)][-1]
        for step, (median, price) in enumerate(
            zip(forecast.quantile(0.5), record["target"][first:], strict=True)
        ):
            if not np.isnan(price):
                day = day_of(record, first + step, calendar, features.index)
                model, naive = abs(median / price - 1), abs(last / price - 1)
                rows.append((series[i]["column"], window, day, model, naive))
    return pd.DataFrame(rows, columns=["asset", "window", "day", "model", "naive"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="pipewright-bench")
    parser.add_argument("--epochs", type=int, default=20, help="of 50 batches of 64")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each calendar")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "gluonts"):
        logging.getLogger(name).setLevel(logging.ERROR)
    found = {}
    with tempfile.TemporaryDirectory() as work:
        for calendar in LENGTHS:
            out = Path(work) / calendar
            make_files(args.binary, calendar, out)
            found[calendar] = [errors(calendar, out, args.epochs, s) for s in range(args.seeds)]
    days = {calendar: set(runs[0]["day"]) for calendar, runs in found.items()}
    ensure(days["daily"] == days["trading"], "the calendars forecast other trading days")
    print(
        f"\nMean absolute error of the median forecast in percent of the price, "
        f"{len(days['daily'])} trading days from {min(days['daily']):%Y-%m-%d} to "
        f"{max(days['daily']):%Y-%m-%d}, {found['daily'][0]['asset'].nunique()} assets, "
        f"{args.epochs} epochs:"
    )
    for calendar, runs in found.items():
        for seed, run in enumerate(runs):
            mean = 100 * run[["model", "naive"]].mean()
            target = 100 * run[run["asset"] == "JPM"]["model"].mean()
            print(
                f"  {calendar:8} seed {seed}: {mean['model']:.2f} (JPM alone {target:.2f}); "
                f"last price: {mean['naive']:.2f}"
            )


if __name__ == "__main__":
    main()
