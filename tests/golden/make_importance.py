"""Makes data/importance.json: gains of XGBoost's exact trees on sample prices.

The inputs are written as single-precision numbers, since XGBoost rounds to
those: prices of sample assets, moving averages of them, and ties. The target
is scaled to a mean of the base score and a deviation of 1, its lag with it.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent.parent / "samples" / "sp500-20"
ROWS = 400
TREES, DEPTH = 10, 5
BASE_SCORE = 0.5


def columns() -> tuple[dict[str, np.ndarray], np.ndarray]:
    closes = {
        ticker: pd.read_csv(SAMPLES / f"{ticker}.csv")["Close"].iloc[-ROWS:].reset_index(drop=True)
        for ticker in ("JPM", "AAPL", "BAC", "XOM")
    }
    target = closes.pop("JPM")
    target = (target - target.mean()) / target.std(ddof=0) + BASE_SCORE
    features = dict(closes)
    features["BAC_SMA"] = closes["BAC"].rolling(7, min_periods=1).mean()
    features["coarse"] = (closes["XOM"] / 5).round()
    features["constant"] = closes["XOM"] * 0 + 1
    features["lag"] = target.shift(1).bfill()
    features = {name: column.to_numpy(np.float32) for name, column in features.items()}
    return features, target.to_numpy(np.float32)


def main() -> None:
    features, target = columns()
    names = list(features)
    data = xgboost.DMatrix(
        np.column_stack(list(features.values())), label=target, feature_names=names
    )
    booster = xgboost.train(
        {
            "tree_method": "exact",
            "max_depth": DEPTH,
            "base_score": BASE_SCORE,
            "objective": "reg:squarederror",
            "nthread": 1,
        },
        data,
        num_boost_round=TREES,
    )
    gains = booster.get_score(importance_type="gain")
    totals = booster.get_score(importance_type="total_gain")
    splits = booster.get_score(importance_type="weight")
    golden = {
        "target": [float(x) for x in target],
        "features": [
            {
                "name": name,
                "values": [float(x) for x in features[name]],
                "gain": gains.get(name, 0.0),
                "total_gain": totals.get(name, 0.0),
                "splits": int(splits.get(name, 0)),
            }
            for name in names
        ],
    }
    (HERE / "data" / "importance.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
