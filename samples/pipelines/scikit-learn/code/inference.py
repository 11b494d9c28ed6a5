"""Serves the model: lines of CSV with the columns that it was trained with."""

import pathlib

import joblib


def model_fn(model_dir):
    """Load the model."""
    return joblib.load(pathlib.Path(model_dir) / "model.joblib")


def predict_fn(data, model):
    """Forecast prices."""
    return model["forest"].predict(data)
