"""`pipewright execution report`: the page of an execution, as the record and a browser have it."""

import json
import re

import pytest
from browser import page_of

from harness import wait_for


@pytest.fixture(scope="module")
def log(system, execution):
    """The log of the training, as the stand-in keeps it."""
    return system.jobs_of(execution.arn) / "AssetPrediction-Training-Step" / "container.log"


@pytest.fixture(scope="module")
def report(system, execution, log, tmp_path_factory):
    """The page of the sample's execution."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    status, output = system.call(
        *("execution", "report", execution.id, "--output", file),
        *("--training-log", f"AssetPrediction-Training-Step={log}"),
    )
    assert status == 0, output
    assert output == f"{file}\n"
    return file


def test_the_page_of_the_sample_is_complete_and_small(report):
    page = report.read_text()
    assert len(page) < 3_000_000
    for part in ("Steps", "Graph", "Model", "Features", "Parameters", "Where things are"):
        assert f">{part}</h2>" in page
    assert "is missing" not in page
    assert "<dt>Predicted asset</dt><dd>JPM</dd>" in page


def test_figures_of_the_page_are_those_of_the_record(system, execution, report):
    """Steps, metrics and parameters on the page of an execution are those of its record and of SageMaker."""
    status, output = system.call("execution", "show", execution.id, "--format", "json")
    assert status == 0, output
    history = json.loads(output)
    page = report.read_text()
    rows = re.findall(r'<th scope="row">([^<]+)</th><td class="number">([^<]+)</td></tr>', page)
    metrics = {name: float(value) for name, value in rows if ":" in name}
    (training,) = history["trainings"]
    assert metrics == {one["name"]: one["value"] for one in training["metrics"]}
    begin = history["startedAt"]
    length = max(history["endedAt"], *(step["endedAt"] for step in history["steps"])) - begin
    bars = re.findall(r'<th scope="row">([^<]+)<small>.*?left:([\d.]+)%;width:([\d.]+)%', page)
    for step, (name, left, width) in zip(history["steps"], bars, strict=True):
        assert name == step["name"]
        assert float(left) == pytest.approx(100 * (step["startedAt"] - begin) / length, abs=0.1)
        duration = step["endedAt"] - step["startedAt"]
        assert float(width) == pytest.approx(100 * duration / length, abs=0.1)
    arn = history["executionArn"]
    pages = system.client("sagemaker").get_paginator("list_pipeline_parameters_for_execution")
    for answer in pages.paginate(PipelineExecutionArn=arn):
        for parameter in answer["PipelineParameters"]:
            assert f'<th scope="row">{parameter["Name"]}</th>' in page


def test_executions_are_compared_by_what_is_recorded(system, execution):
    """Of an execution beside itself, nothing differs, and all is told that its page tells."""
    status, output = system.call("execution", "compare", execution.id, execution.id)
    assert (status, output.splitlines()[-1]) == (0, "no difference"), output
    status, output = system.call(
        *("execution", "compare", execution.id, execution.id, "--all", "--format", "json")
    )
    assert status == 0, output
    compared = json.loads(output)
    assert compared["notes"] == []
    assert compared["definitions"] == [[], []]
    parts = {
        part["name"]: {row["name"]: row["values"] for row in part["rows"]}
        for part in compared["parts"]
    }
    assert parts["execution"]["status"] == ["Succeeded"] * 2
    assert parts["parameters"]["ExecutionId"] == [execution.id] * 2
    assert parts["training template"]["predictedAsset"] == ["JPM"] * 2
    assert parts["data"]["rows"] == ["3270"] * 2
    assert "AssetPrediction-Training-Step test:RMSE" in parts["metrics"]
    assert "Feature-Engineering-Step" in parts["steps"]


def test_a_page_is_put_into_s3_beside_the_outputs(system, execution, tmp_path):
    file = tmp_path / "page.html"
    command = ("execution", "report", execution.id, "--output", file, "--upload")
    status, output = system.call(*command)
    assert status == 0, output
    key = f"execution/{execution.id}/report.html"
    assert output.splitlines()[-1] == f"uploaded to s3://{system.outputs['ModelsBucketName']}/{key}"
    assert system.read("ModelsBucketName", key) == file.read_bytes()
    assert "What its jobs cost</h2>" in file.read_text()
    status, output = system.call(*command, "s3://bucket-of-another-account/x.html", "--force")
    assert status == 1
    assert "s3://bucket-of-another-account/x.html cannot be written" in output


def test_a_file_is_replaced_only_when_that_is_asked_for(system, execution, tmp_path):
    file = tmp_path / "report.html"
    file.write_text("somebody's")
    arguments = ("execution", "report", execution.id, "--output", file)
    status, output = system.call(*arguments)
    assert (status, file.read_text()) == (1, "somebody's"), output
    assert "exists; --force replaces it" in output
    status, output = system.call(*arguments, "--force")
    assert status == 0, output
    assert file.read_text().startswith("<!doctype html>")


def test_a_log_of_no_training_is_an_error(system, execution, log):
    status, output = system.call(
        "execution", "report", execution.id, "--training-log", f"Nope={log}"
    )
    assert status == 1
    assert "no training step Nope that has ended; it has AssetPrediction-Training-Step" in output


def test_a_log_without_losses_is_an_error(system, execution, tmp_path):
    (tmp_path / "log").write_text("nothing\n")
    option = f"AssetPrediction-Training-Step={tmp_path / 'log'}"
    status, output = system.call("execution", "report", execution.id, "--training-log", option)
    assert status == 1
    assert "log has no line such as `#quality_metric:" in output


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1600])
def test_the_page_in_a_browser(report, width, scheme):
    """Shown by Chromium, a page asks for nothing but itself, cuts no text at 360, 800 and 1600 pixels, and
    axe-core finds nothing serious.
    """
    with page_of(report) as page:
        assert page.requests == [report.resolve().as_uri()]
        assert page.console == []
        page.resize(width)
        page.media(scheme=scheme)
        assert page.cut_off() == []
        assert page.findings() == []


def test_the_log_is_searched(report):
    with page_of(report) as page:
        shown = "[...document.querySelectorAll('#log p')].filter((line) => !line.hidden).length"
        everything = page.run(shown)
        page.run("words.value = 'EXECUTION'; words.dispatchEvent(new Event('input'))")
        found = page.run(shown)
        assert 0 < found < everything
        text = page.run("document.getElementById('found').textContent")
        assert text == ("1 line" if found == 1 else f"{found} lines")


def test_a_long_execution_opens_at_once(report, tmp_path):
    """A page of 200 steps and 50,000 lines of log opens in under 2 seconds."""
    page = report.read_text()
    row = re.search(r'<tr><th scope="row">[^<]+<small>.*?</tr>', page).group()
    line = re.search(r"<p data-level=.*?</p>", page).group()
    block = f'<div class="block">{line * 400}</div>'
    page = page.replace(row, row * 200, 1)
    page = page.replace('<div class="block">', block * 125 + '<div class="block">', 1)
    (file := tmp_path / "long.html").write_text(page)

    def seconds():
        with page_of(file) as shown:
            return shown.seconds

    # The machine may be busy with something else for once.
    wait_for(lambda: seconds() < 2, within=60)
