"""Splits the houses into training and test."""

import argparse
import pathlib

import pandas as pd
from sklearn.model_selection import train_test_split

BASE = pathlib.Path("/opt/ml/processing")

parser = argparse.ArgumentParser()
parser.add_argument("--test-share", type=float, default=0.2)
arguments = parser.parse_args()

houses = pd.concat(pd.read_csv(file) for file in sorted((BASE / "input").glob("*.csv")))
complete = houses.dropna()
print(f"{len(houses)} houses, {len(houses) - len(complete)} of them incomplete and left out")
train, test = train_test_split(complete, test_size=arguments.test_share, random_state=7)
for name, part in (("train", train), ("test", test)):
    (BASE / name).mkdir(parents=True, exist_ok=True)
    part.to_csv(BASE / name / "houses.csv", index=False)
    print(f"{name}: {len(part)} houses")
