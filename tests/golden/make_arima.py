"""Makes data/arima.json: ARIMA(p,1,0) by statsmodels on sample prices.

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


def case(ticker: str, p: int) -> dict:
    closes = pd.read_csv(SAMPLES / f"{ticker}.csv")["Close"].to_numpy()[-ROWS:]
    options = dict(order=(p, 1, 0), trend="n", simple_differencing=True)
    fit = SARIMAX(closes[:TRAINING], **options).fit(
        disp=0, method="lbfgs", pgtol=1e-12, factr=10, maxiter=1000
    )
    # The model is of the changes; the prediction of a price adds the last one.
    changes = SARIMAX(closes, **options).filter(fit.params).predict()
    default = ARIMA(closes[:TRAINING], order=(p, 1, 0)).fit()
    return {
        "ticker": ticker,
        "p": p,
        "training_rows": TRAINING,
        "prices": closes.tolist(),
        "coefficients": fit.params[:p].tolist(),
        "sigma2": float(fit.params[p]),
        "log_likelihood": float(fit.llf),
        "predictions": [None, *(closes[:-1] + changes).tolist()],
        "default_predictions": [None, *default.append(closes[TRAINING:]).fittedvalues[1:].tolist()],
    }


def main() -> None:
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    cases = [case("JPM", 5), case("AAPL", 5), case("XOM", 2)]
    (HERE / "data" / "arima.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
