"""The Python side of `make bench`: does one workload and prints, as one line of
JSON, what it cost inside the process after imports and reading, and sums of its
results, which our side must agree with. `run.py` drives it.

Written as a data scientist would write it with these libraries, without tricks
that hide what a library costs and without waste.
"""

import argparse
import importlib
import json
import math
import resource
import time
import warnings
from pathlib import Path

STEPS = (3, 6, 9, 100)
LAGS, TREES, DEPTH, BATCH, SEED = 10, 10, 5, 256, 0

# What each workload imports; imported first and timed apart.
IMPORTS = {
    "nothing": (),
    "indicators": ("numpy", "pandas", "ta"),
    "arima": ("numpy", "statsmodels.tsa.arima.model"),
    "fft-global": ("numpy",),
    "fft-expanding": ("numpy",),
    "boosting": ("numpy", "xgboost"),
    "prepare-autoencoder": ("numpy", "pandas"),
    "autoencoder": ("numpy", "tensorflow", "keras"),
    "autoencoder-fit": ("numpy", "tensorflow", "keras"),
    "sgemm": ("numpy", "threadpoolctl"),
    "deepar": ("numpy", "pandas"),
    "step": ("numpy", "pandas", "ta", "statsmodels.tsa.arima.model", "xgboost"),
}


def cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


class Meter:
    def __enter__(self):
        self.cpu, self.wall = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu, self.wall = cpu_seconds() - self.cpu, time.perf_counter() - self.wall


def prices(args):
    """The wanted series, one a row."""
    import numpy as np

    return np.fromfile(args.data / "prices.f64").reshape(-1, args.days)[: args.assets].copy()


def total(values) -> float:
    import numpy as np

    return float(np.nansum(values))


def indicators(args):
    import pandas as pd

    series = [pd.Series(row) for row in prices(args)]
    with Meter() as meter:
        rows = [[total(column) for column in indicator_columns(one)] for one in series]
        checks = [math.fsum(column) for column in zip(*rows, strict=True)]
    return meter, {"checks": checks}


def indicator_columns(close, window=20, deviations=2, rsi=14, sma=7):
    import ta

    bands = ta.volatility.BollingerBands(close, window=window, window_dev=deviations)
    return (
        bands.bollinger_hband(),
        bands.bollinger_lband(),
        bands.bollinger_mavg(),
        ta.momentum.RSIIndicator(close, window=rsi).rsi(),
        ta.trend.SMAIndicator(close, window=sma).sma_indicator(),
    )


def arima(args):
    from statsmodels.tsa.arima.model import ARIMA

    series = prices(args)
    training = args.days // 5 * 4
    fitting = likelihood = predicted = 0.0
    with Meter() as meter:
        for one in series:
            with Meter() as fit_meter:
                fit = ARIMA(one[:training], order=(5, 1, 0)).fit()
            fitting += fit_meter.cpu
            likelihood += float(fit.llf)
            # The first rows hang on how the filter starts; leave them out.
            predicted += total(fit.append(one[training:]).fittedvalues[10:])
    return meter, {"checks": [likelihood, predicted], "fit": fitting}


def fft_global(args):
    import numpy as np

    series = prices(args)
    rows = np.arange(1, args.days + 1)
    with Meter() as meter:
        checks = [0.0] * len(STEPS)
        for one in series:
            spectrum = np.fft.rfft(one)
            for i, k in enumerate(STEPS):
                kept = np.zeros_like(spectrum)
                kept[: k + 1] = spectrum[: k + 1]
                checks[i] += total(rows * np.fft.irfft(kept, len(one)))
    return meter, {"checks": checks}


def fft_expanding(args):
    import numpy as np

    table = np.ascontiguousarray(prices(args).T)
    with Meter() as meter:
        values = mirrored(table, STEPS)
        checks = [total(column) for column in values]
    return meter, {"checks": checks}


def mirrored(table, steps):
    """Row by row: the prefix and its reverse, transformed, cut and transformed
    back, all assets (columns) at once; for each step a table of results."""
    import numpy as np

    values = np.full((len(steps), *table.shape), np.nan)
    for t in range(len(table)):
        n = t + 1
        if n <= 2 * min(steps) + 1:
            continue
        prefix = table[:n]
        spectrum = np.fft.rfft(np.concatenate([prefix, prefix[::-1]]), axis=0)
        for i, k in enumerate(steps):
            if n > 2 * k + 1:
                kept = np.zeros_like(spectrum)
                kept[: 2 * k + 1] = spectrum[: 2 * k + 1]
                values[i, t] = np.fft.irfft(kept, 2 * n, axis=0)[t]
    return values


def boosting(args):
    import numpy as np

    series = prices(args)
    rows = np.arange(LAGS, args.days // 5 * 4)
    features = [one[rows] for one in series[1:]]
    features += [series[0][rows - lag] for lag in range(1, LAGS + 1)]
    features = np.column_stack(features).astype(np.float32)
    target = series[0][rows].astype(np.float32)
    with Meter() as meter:
        gains, splits = boost(features, target)
    return meter, {"checks": [sum(splits.values()), math.fsum(gains.values())]}


def boost(features, target):
    """One thread: OpenMP's others would spin and count as CPU time."""
    import xgboost

    booster = xgboost.train(
        {
            "tree_method": "exact",
            "max_depth": DEPTH,
            "base_score": 0.5,
            "objective": "reg:squarederror",
            "nthread": 1,
        },
        xgboost.DMatrix(features, label=target, nthread=1),
        num_boost_round=TREES,
    )
    return (
        booster.get_score(importance_type="gain"),
        booster.get_score(importance_type="weight"),
    )


def prepare_autoencoder(args):
    """The autoencoder's inputs from features.csv: log changes (RSI as it is) of
    the columns not made from the target, scaled by their range."""
    import numpy as np
    import pandas as pd

    template = json.loads(args.template.read_text())
    target = template["predictedAsset"]
    table = pd.read_csv(args.data / "features.csv", index_col="Date")
    end = training_rows(template, pd.to_datetime(table.index), 1.0)
    table = table[[c for c in table if c != target and not c.startswith(f"{target}_")]]
    changes = pd.DataFrame(
        {
            name: column
            if name.endswith("_RSI")
            else np.log(column).diff()
            if (column.iloc[:end].dropna() > 0).all()
            else column.diff()
            for name, column in table.items()
        }
    )
    rows = changes.iloc[: min(math.floor(0.7 * len(table) + 1e-9) + 1, end)].dropna()
    width = rows.max() - rows.min()
    cells = (rows - rows.min()) / width.where(width > 0, 1.0)
    cells.to_numpy(np.float32).tofile(args.out / "autoencoder.f32")
    return None, {"columns": cells.shape[1], "rows": cells.shape[0]}


def split_mix(seed, count):
    """`count` numbers in [0, 1) of SplitMix64, as our side draws its weights."""
    import numpy as np

    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = steps + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def network(columns):
    """The network, with the weights that our side draws."""
    import keras
    import numpy as np

    layers = (
        (600, "sigmoid"),
        (330, "relu"),
        (columns, "relu"),
        (330, "relu"),
        (600, "relu"),
        (columns, "sigmoid"),
    )
    model = keras.Sequential([keras.Input((columns,))])
    shapes, inputs = [], columns
    for outputs, activation in layers:
        model.add(keras.layers.Dense(outputs, activation=activation))
        shapes.append((inputs, outputs))
        inputs = outputs
    numbers = split_mix(SEED, sum(a * b for a, b in shapes))
    weights, at = [], 0
    for a, b in shapes:
        kernel = (2.0 * numbers[at : at + a * b] - 1.0) * np.sqrt(6.0 / (a + b))
        weights += [kernel.reshape(a, b).astype(np.float32), np.zeros(b, np.float32)]
        at += a * b
    model.set_weights(weights)
    return model


def cells(args):
    import numpy as np

    return np.fromfile(args.data / "autoencoder.f32", np.float32).reshape(-1, args.columns)


def autoencoder_fit(args):
    """Keras as a user writes it."""
    x = cells(args)
    model = network(args.columns)
    with Meter() as meter:
        model.compile(optimizer="adam", loss="mean_squared_error")
        fit = model.fit(x, x, epochs=args.epochs, batch_size=BATCH, shuffle=False, verbose=0)
    return meter, {"losses": [float(loss) for loss in fit.history["loss"]]}


def autoencoder(args):
    """TensorFlow without Keras's loop: an epoch is one call of a compiled graph."""
    import keras
    import tensorflow as tf

    x = cells(args)
    model = network(args.columns)
    optimizer = keras.optimizers.Adam()
    with Meter() as meter:
        optimizer.build(model.trainable_variables)
        data = tf.constant(x)
        starts = tf.range(0, len(x), BATCH)

        @tf.function
        def epoch():
            loss_sum = 0.0
            for start in starts:
                batch = data[start : start + BATCH]
                with tf.GradientTape() as tape:
                    error = tf.square(model(batch, training=True) - batch)
                    loss = tf.reduce_mean(error)
                weights = model.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
                loss_sum += loss * tf.cast(tf.shape(batch)[0], tf.float32)
            return loss_sum / len(x)

        losses = [float(epoch()) for _ in range(args.epochs)]
    return meter, {"losses": losses}


def sgemm(args):
    import numpy as np
    import threadpoolctl

    lhs = np.ones((args.size, args.size), np.float32)
    rhs = np.full((args.size, args.size), 0.5, np.float32)
    out = np.empty_like(lhs)
    gflop, runs = 2e-9 * args.size**3, []
    with Meter() as meter:
        for _ in range(args.repeat):
            with Meter() as one:
                np.matmul(lhs, rhs, out=out)
            runs.append({"perWallSecond": gflop / one.wall, "perCpuSecond": gflop / one.cpu})
    blas = threadpoolctl.threadpool_info()[0]
    return meter, {
        "runs": runs,
        "checks": [float(out[0, 0]), float(out[-1, -1])],
        "kernel": f"{blas['internal_api']} {blas['version']} {blas['architecture']}",
        "threads": blas["num_threads"],
    }


def training_rows(template, dates, share):
    """Rows that a stage may learn from: none from endTraining on."""
    import pandas as pd

    end = pd.Timestamp(template["deepARMeta"]["endTraining"], unit="ms")
    return min(math.floor(share * len(dates) + 1e-9), int((dates < end).sum()))


def write_deepar(template, table, out):
    """Training and test files, daily calendar."""
    import pandas as pd

    settings = template["deepARMeta"]
    length = settings["predictionLength"]
    begin = pd.Timestamp(settings["startDataset"], unit="ms")
    end = pd.Timestamp(settings["endTraining"], unit="ms")
    windows = settings["testWindows"]
    last = end + pd.Timedelta(days=windows * length - 1)
    daily = table.reindex(pd.date_range(begin, last, freq="D"))
    training = (end - begin).days
    kept = []
    for name, column in daily.items():
        observed = column.iloc[:training].dropna()
        if observed.nunique() < 2:
            continue
        first = daily.index.get_loc(column.first_valid_index())
        if training - first >= length:
            kept.append((name, first))
    values = {
        name: [None if math.isnan(x) else x for x in daily[name].tolist()] for name, _ in kept
    }

    def line(name, first, stop):
        start = daily.index[first].strftime("%Y-%m-%d 00:00:00")
        return json.dumps({"start": start, "target": values[name][first:stop]}) + "\n"

    (out / "train").mkdir(parents=True, exist_ok=True)
    (out / "test").mkdir(parents=True, exist_ok=True)
    with open(out / "train" / "train.json", "w") as file:
        for name, first in kept:
            file.write(line(name, first, training))
    with open(out / "test" / "test.json", "w") as file:
        for window in range(1, windows + 1):
            for name, first in kept:
                file.write(line(name, first, training + window * length))
    observed = sum(
        training - first - values[name][first:training].count(None) for name, first in kept
    )
    return [len(kept), observed, windows * len(kept)]


def deepar(args):
    import pandas as pd

    template = json.loads(args.template.read_text())
    table = pd.read_csv(args.features, index_col="Date", parse_dates=True)
    with Meter() as meter:
        checks = write_deepar(template, table, args.out)
    return meter, {"checks": checks}


def merge(folder):
    """Closing prices on the dates common to all assets, and their classes."""
    import pandas as pd

    assets = pd.read_csv(folder / "assets.csv").sort_values("ticker")
    columns = {
        ticker: pd.read_csv(folder / f"{ticker}.csv", index_col="Date", parse_dates=True)["Close"]
        for ticker in assets["ticker"]
    }
    table = pd.concat(columns, axis=1, join="inner").sort_index()
    return table, dict(zip(assets["ticker"], assets["assetClass"], strict=True))


def step(args):
    """Merge, indicators, ARIMA, low-pass, importance, and all files."""
    import numpy as np
    import pandas as pd
    from statsmodels.tsa.arima.model import ARIMA

    with Meter() as meter:
        template = json.loads(args.template.read_text())
        settings, target = template["feMeta"], template["predictedAsset"]
        closes, classes = merge(args.data)
        made, owner = {}, {ticker: ticker for ticker in closes}
        ta_settings = settings["taSettings"]
        if ta_settings["enabled"]:
            band = ta_settings["bollingerBand"]
            for ticker in sorted(ta_settings["assets"]):
                columns = indicator_columns(
                    closes[ticker],
                    band["window"],
                    band["window_dev"],
                    ta_settings["rsi"]["window"],
                    ta_settings["sma"]["window"],
                )
                for kind, column in zip(
                    ("BB_Up", "BB_Low", "BB_MA", "RSI", "SMA"), columns, strict=True
                ):
                    made[f"{ticker}_{kind}"], owner[f"{ticker}_{kind}"] = column, ticker
        arima_settings = settings["arimaSettings"]
        if arima_settings["enabled"]:
            training = training_rows(template, closes.index, arima_settings["trainSetSize"])
            for ticker in sorted(arima_settings["assets"]):
                series = closes[ticker].to_numpy()
                fit = ARIMA(series[:training], order=(5, 1, 0)).fit()
                predicted = fit.append(series[training:]).fittedvalues
                predicted[0] = np.nan
                made[f"{ticker}_ARIMA"] = pd.Series(predicted, closes.index)
                owner[f"{ticker}_ARIMA"] = ticker
        fft = settings["fftSettings"]
        if fft["enabled"]:
            tickers = [t for t in closes if classes[t] in fft["assetClasses"]]
            table = closes[tickers].to_numpy()
            if fft.get("mode") == "global":
                spectrum, values = np.fft.rfft(table, axis=0), []
                for k in fft["num_steps"]:
                    kept = np.zeros_like(spectrum)
                    kept[: k + 1] = spectrum[: k + 1]
                    values.append(np.fft.irfft(kept, len(table), axis=0))
            else:
                values = mirrored(table, fft["num_steps"])
            for i, ticker in enumerate(tickers):
                for k, step_values in zip(fft["num_steps"], values, strict=True):
                    made[f"{ticker}_FT_{k}"] = pd.Series(step_values[:, i], closes.index)
                    owner[f"{ticker}_FT_{k}"] = ticker
        features = pd.concat([closes, pd.DataFrame(made)], axis=1)

        inputs = features[[name for name in features if owner[name] != target]].copy()
        for lag in range(1, LAGS + 1):
            inputs[f"{target}_LAG_{lag}"] = closes[target].shift(lag)
        inputs = inputs.dropna()
        inputs = inputs.iloc[: math.floor(0.8 * len(inputs) + 1e-9)]
        inputs = inputs.iloc[: training_rows(template, inputs.index, 1.0)]
        gains, _ = boost(inputs, closes[target][inputs.index])
        gain_sum = math.fsum(gains.values())
        importance = {name: gains.get(name, 0.0) / gain_sum for name in inputs}

        (args.out / "features").mkdir(parents=True, exist_ok=True)
        features.to_csv(args.out / "features" / "features.csv", index_label="Date")
        (args.out / "features" / "importance.json").write_text(json.dumps(importance))
        checks = write_deepar(template, features, args.out)
    return meter, {"rows": len(features), "columns": features.shape[1], "checks": checks}


def compare(args):
    """The largest difference of two features.csv, relative to each column's
    largest value, and whether missing cells are the same."""
    import numpy as np
    import pandas as pd

    ours = pd.read_csv(args.data, index_col="Date")
    theirs = pd.read_csv(args.out, index_col="Date")
    if list(ours.columns) != list(theirs.columns) or list(ours.index) != list(theirs.index):
        return None, {"same": False, "why": "columns or dates differ"}
    kinds = {}
    for name in ours:
        a, b = ours[name].to_numpy(), theirs[name].to_numpy()
        if not (np.isnan(a) == np.isnan(b)).all():
            return None, {"same": False, "why": f"{name}: other cells are missing"}
        # ARIMA's first rows hang on how the filter starts.
        skip = 10 if name.endswith("_ARIMA") else 0
        kind = name.split("_", 1)[1].split("_")[0] if "_" in name else "price"
        worst = np.nanmax(np.abs(a[skip:] - b[skip:])) / np.nanmax(np.abs(b))
        kinds[kind] = max(kinds.get(kind, 0.0), float(worst))
    return None, {"same": True, "worst": kinds}


IMPORTS["compare"] = ("numpy", "pandas")
WORKLOADS = {
    "nothing": lambda _: (None, {}),
    "indicators": indicators,
    "arima": arima,
    "fft-global": fft_global,
    "fft-expanding": fft_expanding,
    "boosting": boosting,
    "prepare-autoencoder": prepare_autoencoder,
    "autoencoder": autoencoder,
    "autoencoder-fit": autoencoder_fit,
    "sgemm": sgemm,
    "deepar": deepar,
    "step": step,
    "compare": compare,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--imports-only", action="store_true", help="import and stop")
    for name in ("data", "template", "out", "features"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("days", "assets", "columns", "epochs"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    for name in IMPORTS[args.workload]:
        importlib.import_module(name)
    # statsmodels' advice about a first guess; our side's fits are compared anyway.
    warnings.simplefilter("ignore")
    if args.imports_only:
        return
    meter, result = WORKLOADS[args.workload](args)
    cost = {"cpu": meter.cpu, "wall": meter.wall} if meter else {}
    print(json.dumps({**cost, "result": result}))


if __name__ == "__main__":
    main()
