"""Makes data/arima.json: ARIMA(p,d,0) by statsmodels on sample prices and on
made ones: an autoregression of changes under noise, one near the unit circle,
one that alternates, one of levels and one of changes of changes.

`exact` is SARIMAX on the differenced series, optimised to its limit, and its
one-step-ahead predictions; `default` are the predictions of ARIMA as its
documentation shows it, whose optimiser stops earlier.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.statespace.sarimax import SARIMAX

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent.parent / "samples" / "sp500-20"
ROWS, TRAINING = 400, 320
TICKERS = ("JPM", "AAPL", "XOM", "KO")


def sample(ticker: str) -> np.ndarray:
    return pd.read_csv(SAMPLES / f"{ticker}.csv")["Close"].to_numpy()[-ROWS:]


def made(seed: int, coefficients: list[float], noise: float) -> np.ndarray:
    """Prices whose changes are an autoregression, to the cent."""
    random = np.random.default_rng(seed)
    changes = [0.0] * len(coefficients)
    for shock in random.normal(size=ROWS + 100):
        changes.append(shock + float(np.dot(coefficients, changes[: -len(coefficients) - 1 : -1])))
    steps = np.array(changes[-ROWS:]) + noise * random.normal(size=ROWS)
    return np.round(5000.0 + np.cumsum(steps), 2)


def case(name: str, closes: np.ndarray, p: int, d: int = 1) -> dict:
    options = dict(order=(p, d, 0), trend="n", simple_differencing=True)
    fit = SARIMAX(closes[:TRAINING], **options).fit(
        disp=0, method="lbfgs", pgtol=1e-12, factr=10, maxiter=1000
    )
    # The model is of the differences; the prediction of a price adds what they leave out.
    changes = SARIMAX(closes, **options).filter(fit.params).predict()
    before = [0.0, closes[:-1], 2.0 * closes[1:-1] - closes[:-2]][d]
    predictions = (before + changes).tolist()
    missing = max(d, 1)
    found = {
        "ticker": name,
        "p": p,
        "d": d,
        "training_rows": TRAINING,
        "prices": closes.tolist(),
        "coefficients": fit.params[:p].tolist(),
        "sigma2": float(fit.params[p]),
        "log_likelihood": float(fit.llf),
        "predictions": [None] * missing + predictions[missing - d :],
    }
    # Elsewhere its diffuse start takes rows to fade.
    if name in TICKERS:
        default = ARIMA(closes[:TRAINING], order=(p, 1, 0)).fit()
        fitted = default.append(closes[TRAINING:]).fittedvalues
        found["default_predictions"] = [None, *fitted[1:].tolist()]
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    cases = [
        case("JPM", sample("JPM"), 5),
        case("AAPL", sample("AAPL"), 5),
        case("XOM", sample("XOM"), 2),
        case("KO", sample("KO"), 1),
        case("noisy", made(1, [0.6, -0.3], 1.0), 2),
        case("near the unit circle", made(2, [0.985], 0.0), 1),
        case("near the unit circle", made(3, [1.6, -0.62], 0.0), 2),
        case("alternating", made(4, [-0.9], 0.3), 3),
        case("levels", np.diff(made(5, [1.1, -0.4], 0.0)), 2, 0),
        case("changes of changes", np.cumsum(made(6, [0.5, 0.2], 0.0) - 5000.0).round(2), 3, 2),
    ]
    (HERE / "data" / "arima.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
