"""Makes data/scores.json: forecasts, what came, and GluonTS's measures of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from gluonts.evaluation import Evaluator
from gluonts.model.forecast import SampleForecast

HERE = Path(__file__).resolve().parent
LENGTH = 6
PAST = 10


def panel(seed: int, windows: int, samples: int, quantiles: list[float], missing: bool) -> dict:
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.integers(-1, 3, size=windows)
    draws = random.normal(size=(windows, samples, LENGTH)) * scale[:, None, None]
    draws = draws.astype(np.float32)
    actuals = (random.normal(size=(windows, LENGTH)) * scale[:, None] * 0.9).astype(np.float32)
    if missing:
        actuals[random.random(size=actuals.shape) < 0.3] = np.nan
    start = pd.Period("2020-01-01", freq="D")
    index = pd.period_range(start, periods=PAST + LENGTH)
    series, forecasts = [], []
    for window in range(windows):
        series.append(pd.DataFrame(np.concatenate([np.ones(PAST), actuals[window]]), index=index))
        forecasts.append(SampleForecast(draws[window], start + PAST))
    evaluator = Evaluator(quantiles=quantiles, num_workers=0, allow_nan_forecast=False)
    measures, _ = evaluator(iter(series), iter(forecasts))
    means = draws.astype(np.float64).mean(axis=1)
    # GluonTS means the windows' errors; ours weighs every point alike, which differs only
    # where values are missing.
    squares = (means - actuals) ** 2
    rmse = float(np.sqrt(np.nanmean(squares)))
    assert missing or abs(rmse - measures["RMSE"]) < 1e-6 * rmse
    return {
        "quantiles": [str(quantile) for quantile in quantiles],
        "samples": [[[float(x) for x in path] for path in paths] for paths in draws],
        "actuals": [[None if np.isnan(x) else float(x) for x in row] for row in actuals],
        "rmse": rmse,
        "mean_absolute_QuantileLoss": float(measures["mean_absolute_QuantileLoss"]),
        "mean_wQuantileLoss": float(measures["mean_wQuantileLoss"]),
        "wQuantileLoss": [float(measures[f"wQuantileLoss[{q}]"]) for q in quantiles],
    }


def main() -> None:
    deciles = [round(0.1 * step, 1) for step in range(1, 10)]
    halves = [0.05, 0.15, 0.25, 0.35, 0.5, 0.65, 0.75, 0.85, 0.95]
    golden = [
        panel(1, windows=4, samples=20, quantiles=deciles, missing=False),
        panel(2, windows=5, samples=11, quantiles=halves, missing=False),
        panel(3, windows=6, samples=15, quantiles=[0.5, 0.9], missing=True),
    ]
    (HERE / "data" / "scores.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
