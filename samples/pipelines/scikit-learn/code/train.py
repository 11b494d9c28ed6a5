"""Trains a forest of regression trees, in script mode."""

import argparse
import json
import os
import pathlib
import shutil

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import mean_absolute_error

parser = argparse.ArgumentParser()
parser.add_argument("--trees", type=int, default=100)
parser.add_argument("--columns", default="['area']")
parser.add_argument("--model-dir", type=pathlib.Path, default=os.environ["SM_MODEL_DIR"])
parser.add_argument("--train", type=pathlib.Path, default=os.environ["SM_CHANNEL_TRAIN"])
arguments = parser.parse_args()

columns = json.loads(os.environ["SM_HPS"])["columns"]
houses = pd.read_csv(arguments.train / "houses.csv")
forest = RandomForestRegressor(n_estimators=arguments.trees, random_state=7)
forest.fit(houses[columns].to_numpy(), houses["price"])
error = mean_absolute_error(houses["price"], forest.predict(houses[columns].to_numpy()))
print(f"{arguments.trees} trees of {', '.join(columns)}; train:mae={error:.3f}")
joblib.dump({"forest": forest, "columns": columns}, arguments.model_dir / "model.joblib")
# What serves the model goes with it.
(arguments.model_dir / "code").mkdir(exist_ok=True)
shutil.copy(pathlib.Path(__file__).with_name("inference.py"), arguments.model_dir / "code")
