"""`make ablation`: which families of features help to forecast the next day's
log return of an asset, out of sample?

Features are those of our own features.csv, made with everything that is fitted
(ARIMA, autoencoder) fitted to rows before the first forecast. A forecast of day
t + 1 uses columns up to day t. Models are refitted now and then to all days
before (an expanding window, 1,000 days at least). Losses are relative to the
forecast "no change", whose error is the return itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import page
import pandas as pd
import xgboost

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "samples" / "sp500-20"

# Rows until fitted stages stop learning; forecasts begin 1,000 complete rows in.
TRAINING_END = 1200
LEAST_TRAINING, LAGS = 1000, 10
# Days between fits; trees cost more.
REFIT = {"ridge": 63, "boosted": 252}
# Of the sum of squares of a standardised column.
PENALTY = 0.01
# Newey and West's window, in days.
BANDWIDTH = 10


def features_csv(binary, work, target, epochs):
    """Our features for this target, every family on, and what each column is."""
    template = json.loads((ROOT / "samples" / "training-template.json").read_text())
    dates = pd.read_csv(SAMPLES / f"{target}.csv", parse_dates=["Date"])["Date"]
    template["predictedAsset"] = target
    tickers = sorted({*template["feMeta"]["taSettings"]["assets"], target})
    template["feMeta"]["taSettings"]["assets"] = tickers
    template["feMeta"]["arimaSettings"] |= {"enabled": True, "assets": tickers}
    # All classes: the target's own low-pass belongs to the features.
    classes = pd.read_csv(SAMPLES / "assets.csv")["assetClass"].unique()
    template["feMeta"]["fftSettings"]["assetClasses"] = sorted(classes)
    template["feMeta"]["autoEncoderSettings"] |= {"enabled": True, "fitEpoch": epochs}
    template["deepARMeta"] |= {
        "endTraining": int(dates[TRAINING_END].timestamp() * 1000),
        "testWindows": 1,
    }
    out = work / f"ablation-{target}"
    out.mkdir(parents=True, exist_ok=True)
    path = out / "template.json"
    path.write_text(json.dumps(template))
    for workload in ("step", "columns"):
        command = [binary, workload, "--data", SAMPLES, "--template", path, "--out", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table = pd.read_csv(out / "features" / "features.csv", index_col="Date")
    return table, json.loads((out / "columns.json").read_text())


def families(table, described, target):
    """Columns of each family, which are those of a stage, known at the end of each row's
    day, in a form that does not grow with the price level."""
    close = table[[one["name"] for one in described if one["stage"] == "merge"]]
    change = np.log(close).diff()
    found = {
        "changes": change,
        "lags": pd.DataFrame({f"lag {i}": change[target].shift(i) for i in range(LAGS)}),
    }
    for one in described:
        name, asset, stage = one["name"], one["asset"], one["stage"]
        column = table[name]
        if stage == "merge":
            continue
        if asset is not None:
            # A low-pass may pass through 0, so a difference and not a logarithm.
            column = column / close[asset] - 1 if one["isPriceLike"] else column / 100
        family = "AE" if stage == "autoencoder" else stage.upper()
        found.setdefault(family, {})[name] = column
    return {name: pd.DataFrame(columns) for name, columns in found.items()}


def ridge(x, y, new):
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1
    scaled, centre = (x - mean) / deviation, y.mean()
    gram = scaled.T @ scaled + PENALTY * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, scaled.T @ (y - centre))
    return centre + (new - mean) / deviation @ weights


def boosted(x, y, new):
    # Returns are near 0.01: scaled to 1, or every split's gain is below the penalty.
    scale = y.std()
    model = xgboost.train(
        {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "max_depth": 3,
            "eta": 0.05,
            "subsample": 0.5,
            "colsample_bytree": 0.5,
            "min_child_weight": 20,
            "base_score": 0.0,
            "seed": 0,
            "nthread": 1,
        },
        xgboost.DMatrix(x, label=y / scale),
        num_boost_round=60,
    )
    return model.predict(xgboost.DMatrix(new)) * scale


def walk_forward(model, x, y, begin, refit):
    """Forecasts of the rows from `begin` on, each from rows before it: the row
    before has its target, which is known on its own day."""
    forecasts = np.empty(len(y) - begin)
    for start in range(begin, len(y), refit):
        stop = min(start + refit, len(y))
        # The target of row start - 1 is the return that ends on row start's day,
        # the last one known when row start's forecast is made.
        forecasts[start - begin : stop - begin] = model(x[:start], y[:start], x[start:stop])
    return forecasts


def mean_and_error(differences):
    """The mean of a series and its standard error (Newey and West 1987)."""
    n, centred = len(differences), differences - differences.mean()
    variance = centred @ centred / n
    for lag in range(1, BANDWIDTH + 1):
        weight = 1 - lag / (BANDWIDTH + 1)
        variance += 2 * weight * (centred[lag:] @ centred[:-lag]) / n
    return differences.mean(), np.sqrt(max(variance, 0.0) / n)


def losses(binary, work, target, epochs):
    """Squared errors of each set of families and model, relative to the mean
    squared return, day by day."""
    table, described = features_csv(binary, work, target, epochs)
    parts = families(table, described, target)
    prices = np.log(table[target])
    everything = pd.concat(parts.values(), axis=1)
    complete = everything.notna().all(axis=1) & prices.shift(-1).notna()
    y = (prices.shift(-1) - prices)[complete].to_numpy()
    rows = np.flatnonzero(complete)
    begin = max(LEAST_TRAINING, int(np.searchsorted(rows, TRAINING_END)))
    parts = {name: part[complete].to_numpy() for name, part in parts.items()}
    # ARIMA's value of day t + 1 is made from prices up to t: also fair.
    ahead = {one["name"]: one["asset"] for one in described if one["stage"] == "arima"}
    next_day = table[[*ahead]].shift(-1).to_numpy() / table[[*ahead.values()]].to_numpy() - 1
    sets = {name: [part] for name, part in parts.items()}
    sets["ARIMA of the day itself"] = [next_day[complete]]
    sets["all"] = list(parts.values())
    for name in parts:
        sets[f"all but {name}"] = [part for other, part in parts.items() if other != name]
    baseline = y[begin:] ** 2
    index = table.index[complete][begin:]
    found = {}
    for name, chosen in sets.items():
        x = np.column_stack(chosen)
        for label, model in (("ridge", ridge), ("boosted", boosted)):
            errors = (y[begin:] - walk_forward(model, x, y, begin, REFIT[label])) ** 2
            found[name, label] = pd.Series((errors - baseline) / baseline.mean(), index)
    print(f"{target}: {len(index)} forecasts, {index[0]} to {index[-1]}", file=sys.stderr)
    sizes = {name: sum(part.shape[1] for part in chosen) for name, chosen in sets.items()}
    return found, sizes, (len(index), index[0], index[-1])


def relative(differences):
    """RMSE relative to the baseline, and its standard error (delta method)."""
    mean, error = mean_and_error(differences.to_numpy())
    ratio = np.sqrt(1 + mean)
    return ratio, error / (2 * ratio)


def cell(ratio, error):
    mark = "" if abs(ratio - 1) < 2 * error else " −" if ratio > 1 else " +"
    return f"{ratio:.4f} ± {error:.4f}{mark}"


def table_of(head, rows):
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines)


def report(by_target, epochs):
    targets = list(by_target)
    names = [name for name, label in by_target[targets[0]][0] if label == "ridge"]
    count, first, last = by_target[targets[0]][2]
    parts = [
        f"{count} forecasts an asset, {first} to {last}; autoencoder {epochs} epochs. RMSE "
        "relative to the forecast of no change, ± its standard error (Newey and West, "
        f"{BANDWIDTH} days); below 1 is skill. `+` and `−`: two standard errors better or worse. "
        f"Of {2 * len(names)} figures in a column, one or two get a mark by chance alone."
    ]
    for label in ("ridge", "boosted"):
        rows = []
        for name in names:
            single = [by_target[target][0][name, label] for target in targets]
            pooled = pd.concat(single, axis=1).mean(axis=1)
            size = by_target[targets[0]][1][name]
            rows.append(
                [name, f"{size}", cell(*relative(pooled))]
                + [cell(*relative(one)) for one in single]
            )
        parts += [
            f"### {label.capitalize()}\n",
            table_of(["features", "columns", "all assets", *targets], rows),
        ]
    rows = []
    for name in (name.removeprefix("all but ") for name in names if name.startswith("all but ")):
        row = [name]
        for label in ("ridge", "boosted"):
            gains = [
                by_target[t][0][f"all but {name}", label] - by_target[t][0]["all", label]
                for t in targets
            ]
            mean, error = mean_and_error(pd.concat(gains, axis=1).mean(axis=1).to_numpy())
            mark = "" if abs(mean) < 2 * error else " +" if mean > 0 else " −"
            row.append(f"{100 * mean:+.2f} ± {100 * error:.2f}{mark}")
        rows.append(row)
    parts += [
        "### What a family adds to all others\n",
        "Mean squared error without it less that with it, in percent of the mean squared "
        "return, all assets (Diebold and Mariano's difference); above 0 it earns its place.",
        table_of(["family", "ridge", "boosted"], rows),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="pipewright-bench")
    parser.add_argument("--work", type=Path, help="a folder for features, default a temporary one")
    parser.add_argument("--targets", nargs="+", default=["JPM", "AAPL", "XOM", "WMT"])
    parser.add_argument("--epochs", type=int, default=460, help="of the autoencoder")
    parser.add_argument("--write", type=Path, help="put the figures between this file's markers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        by_target = {
            target: losses(args.binary, work, target, args.epochs) for target in args.targets
        }
    text = report(by_target, args.epochs)
    print(text)
    if args.write:
        page.put(args.write, text)


if __name__ == "__main__":
    main()
