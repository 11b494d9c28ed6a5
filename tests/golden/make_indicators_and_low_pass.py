"""Makes data/{prices,indicators,low_pass}.csv: prices, and what the Python
library `ta` and numpy make of them.

Run from anywhere, with the packages of requirements.txt:

    python tests/golden/make_indicators_and_low_pass.py
"""

from pathlib import Path

import numpy as np
import pandas as pd
from ta.momentum import ROCIndicator, RSIIndicator, StochasticOscillator
from ta.trend import MACD, SMAIndicator
from ta.volatility import BollingerBands

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent.parent / "samples" / "sp500-20"
ROWS = 260
STEPS = (3, 9, 100)


def prices() -> pd.DataFrame:
    """Two real assets and one that no market would make."""
    table = pd.DataFrame()
    for ticker in ("AAPL", "XOM"):
        closes = pd.read_csv(SAMPLES / f"{ticker}.csv", index_col="Date")["Close"]
        table[ticker] = closes.iloc[-ROWS:]
    rng = np.random.default_rng(20100104)
    odd = np.cumsum(rng.normal(0.0, 3.0, ROWS)).round(3)  # passes zero
    odd[40:75] = odd[40]  # unchanged for longer than any window
    odd[120] = 60.0  # one wild day
    table["ODD"] = odd
    return table


def indicators(table: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for ticker, close in table.items():
        bands = BollingerBands(close=close, window=20, window_dev=2)
        columns[f"{ticker}_BB_Up"] = bands.bollinger_hband()
        columns[f"{ticker}_BB_Low"] = bands.bollinger_lband()
        columns[f"{ticker}_BB_MA"] = bands.bollinger_mavg()
        columns[f"{ticker}_RSI"] = RSIIndicator(close=close, window=14).rsi()
        columns[f"{ticker}_SMA"] = SMAIndicator(close=close, window=7).sma_indicator()
        macd = MACD(close=close, window_slow=26, window_fast=12, window_sign=9)
        columns[f"{ticker}_MACD"] = macd.macd()
        columns[f"{ticker}_MACD_Signal"] = macd.macd_signal()
        columns[f"{ticker}_MACD_Diff"] = macd.macd_diff()
        columns[f"{ticker}_ROC"] = ROCIndicator(close=close, window=12).roc()
        # Of closing prices alone: each is its day's high and low as well.
        stochastic = StochasticOscillator(
            high=close, low=close, close=close, window=14, smooth_window=3
        )
        columns[f"{ticker}_Stoch_K"] = stochastic.stoch()
        columns[f"{ticker}_Stoch_D"] = stochastic.stoch_signal()
    return pd.DataFrame(columns)


def keep_lowest(x: np.ndarray, bins: int) -> np.ndarray:
    spectrum = np.fft.rfft(x)
    spectrum[bins + 1 :] = 0
    return np.fft.irfft(spectrum, len(x))


def low_pass(table: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for ticker in ("AAPL", "ODD"):
        x = table[ticker].to_numpy()
        for bins in STEPS:
            columns[f"global {ticker}_FT_{bins}"] = keep_lowest(x, bins)
            mirror = np.full(ROWS, np.nan)
            periodic = np.full(ROWS, np.nan)
            for t in range(2 * bins + 1, ROWS):
                prefix = x[: t + 1]
                both = np.concatenate([prefix, prefix[::-1]])
                mirror[t] = keep_lowest(both, 2 * bins)[t]
                periodic[t] = keep_lowest(prefix, bins)[t]
            columns[f"mirror {ticker}_FT_{bins}"] = mirror
            columns[f"periodic {ticker}_FT_{bins}"] = periodic
    return pd.DataFrame(columns, index=table.index)


def main() -> None:
    table = prices()
    # pandas writes floats with repr, so that they come back bit for bit.
    table.to_csv(HERE / "data" / "prices.csv", index_label="Date")
    indicators(table).to_csv(HERE / "data" / "indicators.csv", index_label="Date")
    low_pass(table).to_csv(HERE / "data" / "low_pass.csv", index_label="Date")


if __name__ == "__main__":
    main()
