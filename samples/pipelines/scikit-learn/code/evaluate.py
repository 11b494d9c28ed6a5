"""Writes the model's error over the test houses, for the condition to read."""

import json
import pathlib
import tarfile

import joblib
import pandas as pd
from sklearn.metrics import mean_absolute_error

BASE = pathlib.Path("/opt/ml/processing")

with tarfile.open(BASE / "model" / "model.tar.gz") as archive:
    archive.extractall(BASE / "model")
model = joblib.load(BASE / "model" / "model.joblib")
houses = pd.read_csv(BASE / "test" / "houses.csv")
predicted = model["forest"].predict(houses[model["columns"]].to_numpy())
error = mean_absolute_error(houses["price"], predicted)
print(f"mean absolute error over {len(houses)} houses: {error:.2f}")
(BASE / "evaluation").mkdir(parents=True, exist_ok=True)
report = {"metrics": {"mae": {"value": error}}}
(BASE / "evaluation" / "evaluation.json").write_text(json.dumps(report))
