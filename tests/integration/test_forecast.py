"""`pipewright forecast` and `pipewright score`: what a model is asked for, and what the record keeps of it."""

import csv
import io
import json
import math
import re
import tarfile

import pytest

from harness import SAMPLE_TEMPLATE, wait_for


@pytest.fixture(scope="module")
def trained(system):
    """An execution of its own, which keeps what its model is asked for."""
    execution = system.run(SAMPLE_TEMPLATE["Id"])
    wait_for(lambda: "modelDataUrl" in system.record(execution.id))
    return execution.id


@pytest.fixture(scope="module")
def ask(system, trained):
    """A command about the execution's model; gives its output."""

    def run(command, *arguments):
        status, output = system.call(*command.split(), "--execution", trained, *arguments)
        assert status == 0, output
        return output

    return run


def rows(text):
    """The rows of a forecast's table."""
    return list(csv.DictReader(io.StringIO(text)))


def object_of(system, url):
    """The bytes of an object of the models bucket."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert bucket == system.outputs["ModelsBucketName"]
    return system.read("ModelsBucketName", key)


def test_a_forecast_that_is_kept_is_listed_with_its_execution(system, trained, ask, tmp_path):
    """A forecast that is kept has its table in S3 and an entry in the record, which is shown."""
    file = tmp_path / "forecast.csv"
    output = ask("forecast", "--record", "--output", file)
    (item,) = [i for i in system.items(trained) if i["entry"].startswith("forecast#")]
    assert item["table"] in output
    assert object_of(system, item["table"]) == file.read_bytes()
    dates = [row["date"] for row in rows(file.read_text())]
    assert (item["firstDate"], item["lastDate"]) == (dates[0], dates[-1])
    ask("forecast", "--record", "--from", "2022-11-30", "--output", tmp_path / "back.csv")
    table = ("--table", system.outputs["ExecutionsTableName"])
    _, shown = system.call("execution", "show", trained, *table)
    lines = shown.partition("Forecasts:")[2].splitlines()[1:3]
    assert [item["table"] in line for line in lines] == [True, False], shown
    assert "unknown" not in shown


def test_an_endpoint_and_the_artifact_forecast_the_same(system, trained, ask, tmp_path):
    """An endpoint in service is asked, and answers what the model gives when it is loaded."""
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    arguments = ("--samples", "50", "--quantiles", "0.1,0.9")
    assert "by the model s3://" in ask("forecast", *arguments, "--output", here)
    ask("endpoint create", "--wait", "--timeout", "60")
    try:
        wait_for(lambda: system.record(trained).get("endpointStatus") == "InService")
        output = ask("forecast", *arguments, "--output", there)
        assert f"by endpoint pipewright-{trained}" in output
    finally:
        ask("endpoint delete", "--yes", "--wait")
    for ours, theirs in zip(rows(here.read_text()), rows(there.read_text()), strict=True):
        assert ours["date"] == theirs["date"]
        for name in ("mean", "0.1", "0.9"):
            assert math.isclose(float(ours[name]), float(theirs[name]), rel_tol=1e-5), name


def test_the_models_scores_are_those_of_its_files(system, trained, ask):
    """The scores beside naive forecasts are recomputed from the files, for all series and the predicted asset."""
    score = json.loads(ask("score", "--format", "json"))
    archive = object_of(system, system.record(trained)["modelDataUrl"])
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        scores = json.load(members.extractfile("test-scores.json"))
    file = f"execution/{trained}/features"
    series = json.loads(system.read("ModelsBucketName", f"{file}/series.json"))
    baselines = json.loads(system.read("ModelsBucketName", f"{file}/baselines.json"))
    windows = len(baselines["allSeries"]["windows"])
    asset = baselines["predicted"]["asset"]
    (place,) = [i for i, one in enumerate(series) if one["column"] == asset]

    def rmse(records):
        squares = sum(record["squaredErrors"] for record in records)
        return math.sqrt(squares / sum(record["observations"] for record in records))

    def loss(records):
        sizes = sum(record["absoluteValues"] for record in records)
        losses = [sum(record["quantileLosses"]) / len(scores["quantiles"]) for record in records]
        return sum(losses) / sizes

    records = scores["records"]
    of_window = [
        records[window * len(series) : (window + 1) * len(series)] for window in range(windows)
    ]
    alone = [[of_one[place]] for of_one in of_window]
    for told, theirs, ours in (
        (score["allSeries"], baselines["allSeries"], of_window),
        (score["predicted"], baselines["predicted"], alone),
    ):
        assert [one["measure"] for one in told["measures"]] == ["mean_wQuantileLoss", "RMSE"]
        for one, formula in zip(told["measures"], (loss, rmse), strict=True):
            name = one["measure"]
            assert math.isclose(
                one["model"],
                formula([record for window in ours for record in window]),
                rel_tol=1e-9,
            )
            best = min(theirs["scores"], key=lambda scored: scored[name])
            assert (one["method"], one["baseline"]) == (best["method"], best[name])
            ahead = 0
            for records, window in zip(ours, theirs["windows"], strict=True):
                (baseline,) = [s for s in window["scores"] if s["method"] == best["method"]]
                ahead += formula(records) < baseline[name]
            assert (one["better"], one["worse"]) == (ahead, windows - ahead)
    # Over all series they are the training's own figures.
    (training,) = [i for i in system.items(trained) if i["entry"].startswith("training#")]
    metrics = {metric["name"]: float(metric["value"]) for metric in training["metrics"]}
    for one in score["allSeries"]["measures"]:
        assert math.isclose(one["model"], metrics[f"test:{one['measure']}"], rel_tol=1e-6)


def test_scores_that_are_kept_are_shown_with_the_execution(system, trained, ask):
    """Scores that are kept are told by the summary of the execution from then on."""
    table = ("--table", system.outputs["ExecutionsTableName"])
    _, before = system.call("execution", "show", trained, *table)
    assert "pipewright score" in before
    sentences = [line for line in ask("score", "--record").splitlines() if " over " in line]
    assert any(re.search(r"of \w+ alone in \d+ test windows", line) for line in sentences)
    _, after = system.call("execution", "show", trained, *table)
    assert all(line in after for line in sentences), after
    assert "pipewright score" not in after
