"""The processing step's program as SageMaker starts it, against the local AWS."""

import datetime
import json
import shutil
import signal
import subprocess

import pytest

from harness import BINARIES, wait_for
from processing_job import FIRST, OUTPUTS, SCRIPT, Job, epoch_ms, job_aws, template


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with job_aws(tmp_path_factory.mktemp("container")) as system:
        yield system


def test_a_job_leaves_outputs_objects_log_and_report(aws, tmp_path):
    job = Job(aws, tmp_path, "run-good")
    status, output, errors = job.run()
    assert (status, errors) == (0, ""), output
    assert job.outputs() == OUTPUTS
    assert job.objects() == {*OUTPUTS, "logs/feature-engineering.log"}
    for name in OUTPUTS:
        assert job.read_object(name) == (tmp_path / "processing" / name).read_bytes()
    report = job.report()
    assert report["status"] == "Succeeded"
    assert report["summary"]["rows"] == 366
    assert report["summary"]["outputs"] == "s3://models/execution/run-good/"
    train = (tmp_path / "processing/train/train.json").read_text().splitlines()
    assert len(train) == report["summary"]["trainSeries"]
    assert json.loads(train[0])["start"] == "2020-01-01 00:00:00"
    written = json.loads((tmp_path / "processing/features/importance.json").read_text())
    item = job.importance()
    assert item["target"] == "AAA"
    assert item["features"] == written["features"]
    assert item["classes"] == written["classes"]
    first = written["features"][0]["column"]
    assert report["summary"]["topFeatures"][0].startswith(f"{first} (")
    # What was printed, what is in the record and the uploaded log are one.
    assert job.read_object("logs/feature-engineering.log").decode() == output
    assert [line.split(" ", 3)[3].strip() for line in output.splitlines()] == job.log_lines()
    assert not (tmp_path / "output/message").exists()


def test_the_command_line_makes_the_same_files_from_the_same_input(aws, tmp_path):
    job = Job(aws, tmp_path / "job", "run-same")
    status, output, _ = job.run()
    assert status == 0, output
    assets = tmp_path / "assets"
    shutil.copytree(tmp_path / "job/processing/input/assets", assets)
    (assets / "assets.csv").write_text("ticker,assetClass\nAAA,Technology\nB.B,Energy\n")
    (tmp_path / "template.json").write_text(json.dumps(template()))
    for threads in ("1", "2", "5"):
        out = tmp_path / f"out-{threads}"
        command = [BINARIES / "pipewright", "features", "run", "--threads", threads]
        command += ["--assets", assets, "--template", tmp_path / "template.json", "--out", out]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
        assert files == job.outputs()
        for name in files:
            made = (tmp_path / "job/processing" / name).read_bytes()
            assert (out / name).read_bytes() == made, name


def test_a_bad_cell_is_told_everywhere_and_nothing_is_left(aws, tmp_path):
    job = Job(aws, tmp_path, "run-cell")
    prices = tmp_path / "processing/input/assets/B.B.csv"
    prices.write_text(prices.read_text().replace("2020-01-03,", "2020-01-03,x"))
    status, output, _ = job.run()
    assert status == 1
    assert "B.B.csv line 4, asset `B.B`: `x" in job.message()
    assert job.message() in output
    assert job.report()["status"] == "Failed"
    assert job.report()["reason"] == job.message()
    assert job.outputs() == []
    assert job.objects() == {"logs/feature-engineering.log"}


def test_the_record_of_another_execution_is_left_alone(aws, tmp_path):
    job = Job(aws, tmp_path, "run-other")
    before = job.items()
    status, _, _ = job.run(PIPELINE_EXECUTION_ID="zzz999")
    assert status == 1
    assert "start this pipeline with start-execution" in job.message()
    assert job.items() == before
    assert job.objects() == set()


def test_a_later_report_is_never_overwritten(aws, tmp_path):
    later = {"status": "Running", "at": epoch_ms(datetime.date(2999, 1, 1))}
    job = Job(aws, tmp_path, "run-superseded", {"processingStepReport": later})
    status, _, _ = job.run()
    assert status == 1
    assert "has a later report" in job.message()
    assert job.report() == later


def test_an_incomplete_environment_names_all_that_is_missing(aws, tmp_path):
    job = Job(aws, tmp_path, "run-environment")
    status, _, _ = job.run(MODELS_BUCKET=None, ASSETS_TABLE="")
    assert status == 1
    assert "lacks ASSETS_TABLE, MODELS_BUCKET" in job.message()


def test_a_table_that_does_not_exist_is_named(aws, tmp_path):
    job = Job(aws, tmp_path, "run-table")
    status, _, _ = job.run(ASSETS_TABLE="no-assets")
    assert status == 1
    assert "DynamoDB table no-assets: Scan failed: ResourceNotFoundException" in job.message()


def test_a_bucket_that_does_not_exist_is_named(aws, tmp_path):
    job = Job(aws, tmp_path, "run-bucket")
    status, _, _ = job.run(MODELS_BUCKET="no-models")
    assert status == 1
    assert "s3://no-models/execution/run-bucket/features/features.csv" in job.message()
    assert "NoSuchBucket" in job.message()
    assert job.outputs() == []
    assert "the whole log was not kept" in job.report()["notes"][0]


def test_a_host_that_is_not_the_primary_does_nothing(aws, tmp_path):
    job = Job(aws, tmp_path, "run-hosts")
    config = {"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]}
    (tmp_path / "config/resourceconfig.json").write_text(json.dumps(config))
    status, output, _ = job.run()
    assert status == 0
    assert "the step runs on host algo-1 alone" in output
    assert job.report() is None
    assert job.outputs() == []


def test_a_job_that_is_stopped_reports_it(aws, tmp_path):
    # The prices of every day until the year 8800 keep the step busy until SageMaker stops it.
    job = Job(aws, tmp_path, "run-stopped")
    days = (FIRST + datetime.timedelta(day) for day in range(2_480_000))
    rows = "".join(f"{day},{100 + number % 17}\n" for number, day in enumerate(days))
    (tmp_path / "processing/input/assets/AAA.csv").write_text("Date,Close\n" + rows)
    process = job.start()
    wait_for(lambda: (job.report() or {}).get("status") == "Running", within=30)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143, output
    assert job.report()["status"] == "Stopped"
    assert job.report()["reason"] == "stopped by SIGTERM"
    assert "stopped by SIGTERM after" in job.log_lines()[-1]
    assert job.outputs() == []


def test_the_script_says_what_an_image_lacks(tmp_path):
    result = subprocess.run(
        ["/bin/sh", SCRIPT, "--executionid", "run"],
        env={"PIPEWRIGHT_APP_DIR": str(tmp_path / "app"), "PIPEWRIGHT_ML_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    message = (tmp_path / "output/message").read_text()
    assert "the image has no" in message
    assert message in result.stderr


def test_the_version_is_told():
    result = subprocess.run(
        [BINARIES / "feature-engineering", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("feature-engineering ")
