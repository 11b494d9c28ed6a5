"""Makes data/calendar.json: what GluonTS and pandas say of frequencies and periods.

Each frequency has its lags, its season and, for several starts, the ordinal
(counted from the period of 1970-01-01) and the calendar features of points
after it.
"""

import json
import warnings
from pathlib import Path

import pandas as pd
from gluonts.time_feature import (
    get_lags_for_frequency,
    get_seasonality,
    time_features_from_frequency_str,
)
from gluonts.time_feature.seasonality import DEFAULT_SEASONALITIES

HERE = Path(__file__).resolve().parent
# DeepAR's names and those of this version of pandas for periods.
UNITS = {"M": "M", "W": "W", "D": "D", "H": "h", "min": "min"}
# Features of these too; of the rest, lags and season alone.
FULL = ["M", "W", "D", "7D", "H", "2H", "min", "5min", "15min"]
MULTIPLES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 20, 24, 28, 30, 45, 48, 60, 90, 120]
MULTIPLES += [168, 360, 720, 1440, 2880, 10080, 100_000]
STARTS = [
    "1970-01-01 00:00:00",
    "0001-01-03 00:30:00",
    "1679-12-31 23:59:59",
    "1900-02-28 12:34:56",
    "2012-01-30 01:30:00",
    "2016-02-29 23:45:10",
    "2020-12-27 22:00:00",
    "2024-12-30 01:33:20",
    "2261-12-31 23:59:59",
    "9990-06-15 06:00:00",
]
STEPS = [0, 1, 2, 3, 5, 8, 13, 30, 52, 53, 59, 365]
# Ours differ from GluonTS's in this: days have the season of a week.
SEASONS = DEFAULT_SEASONALITIES | {"D": 7}


def split(frequency: str) -> tuple[int, str]:
    unit = frequency.lstrip("0123456789")
    return int(frequency.removesuffix(unit) or 1), unit


def points(frequency: str) -> list[dict]:
    multiple, unit = split(frequency)
    epoch = pd.Period("1970-01-01", freq=UNITS[unit]).ordinal
    features = time_features_from_frequency_str(frequency)
    found = []
    for start in STARTS:
        first = pd.Period(start, freq=UNITS[unit])
        periods = [first + step * multiple for step in STEPS]
        index = pd.PeriodIndex(periods)
        columns = [feature(index) for feature in features]
        found.append(
            {
                "start": start,
                "ordinals": [period.ordinal - epoch for period in periods],
                "features": [[round(float(x), 7) for x in column] for column in columns],
            }
        )
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    every = sorted(
        {f"{'' if n == 1 else n}{unit}" for unit in UNITS for n in MULTIPLES} | set(FULL)
    )
    golden = {
        "steps": STEPS,
        "frequencies": [
            {
                "name": name,
                "lags": get_lags_for_frequency(name),
                "season": get_seasonality(name, SEASONS),
                "points": points(name) if name in FULL else [],
            }
            for name in every
        ],
    }
    (HERE / "data" / "calendar.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
