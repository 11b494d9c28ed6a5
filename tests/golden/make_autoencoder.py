"""Makes data/autoencoder.json: losses of the same network in Keras, from the
same initial weights and data. Needs the packages of requirements-keras.txt.

The weights are drawn as the Rust side draws them (SplitMix64, layer by layer,
row by row), so that the fixture holds no weights.
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent.parent / "samples" / "sp500-20"
ROWS, SEED, BATCH, EPOCHS = 600, 11, 256, 5
TICKERS = ("AAPL", "BAC", "CVX", "GE", "KO", "PFE", "WMT", "XOM")


def split_mix(seed: int, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) of SplitMix64."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = steps + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def weights(inputs: int) -> list[np.ndarray]:
    outputs = (600, 330, inputs, 330, 600, inputs)
    shapes = list(zip((inputs, *outputs[:-1]), outputs, strict=True))
    numbers = split_mix(SEED, sum(a * b for a, b in shapes))
    parts, at = [], 0
    for a, b in shapes:
        limit = np.sqrt(6.0 / (a + b))
        kernel = (2.0 * numbers[at : at + a * b] - 1.0) * limit
        parts += [kernel.reshape(a, b).astype(np.float32), np.zeros(b, np.float32)]
        at += a * b
    return parts


def data() -> np.ndarray:
    """Log changes of prices, scaled by their range."""
    closes = pd.DataFrame(
        {t: pd.read_csv(SAMPLES / f"{t}.csv")["Close"].iloc[-ROWS - 1 :] for t in TICKERS}
    )
    changes = np.diff(np.log(closes.to_numpy()), axis=0)
    least, most = changes.min(axis=0), changes.max(axis=0)
    return ((changes - least) / (most - least)).astype(np.float32)


def main() -> None:
    x = data()
    width = x.shape[1]
    network = keras.Sequential(
        [
            keras.Input((width,)),
            keras.layers.Dense(600, activation="sigmoid"),
            keras.layers.Dense(330, activation="relu"),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dense(330, activation="relu"),
            keras.layers.Dense(600, activation="relu"),
            keras.layers.Dense(width, activation="sigmoid"),
        ]
    )
    network.compile(optimizer="adam", loss="mean_squared_error")
    network.set_weights(weights(width))
    untrained = network.predict(x[:3], verbose=0)
    history = network.fit(x, x, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    golden = {
        "inputs": width,
        "seed": SEED,
        "batch_size": BATCH,
        "rows": [float(v) for v in x.ravel()],
        "untrained": [float(v) for v in untrained.ravel()],
        "losses": [float(v) for v in history.history["loss"]],
    }
    (HERE / "data" / "autoencoder.json").write_text(
        json.dumps(golden, separators=(",", ":")) + "\n"
    )


if __name__ == "__main__":
    main()
