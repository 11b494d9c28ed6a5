"""The processing step's program as SageMaker starts it, against the local AWS."""

import datetime
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from supervise import listen
from system import REGION, LocalSystem, to_attribute

ROOT = Path(__file__).resolve().parent.parent.parent
BINARIES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SCRIPT = ROOT / "docker/executor/run-fe-step.sh"
ARN = f"arn:aws:sagemaker:{REGION}:123456789012:pipeline/prediction/execution/abc123"
DAY_MS = 86_400_000
FIRST = datetime.date(2020, 1, 1)


class AwsAlone(LocalSystem):
    """The local AWS without the stand-in for SageMaker."""

    def start(self):
        listener = listen()
        self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.sagemaker_endpoint = None
        self._start_aws(listener)


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    directory = tmp_path_factory.mktemp("container")
    with AwsAlone(directory, BINARIES, directory / "cache") as system:
        system.start()
        system.client("s3").create_bucket(
            Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        for table, keys in {"executions": ["Id", "entry"], "assets": ["Id"]}.items():
            system.client("dynamodb").create_table(
                TableName=table,
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                KeySchema=[
                    {"AttributeName": key, "KeyType": kind}
                    for key, kind in zip(keys, ["HASH", "RANGE"], strict=False)
                ],
                BillingMode="PAY_PER_REQUEST",
            )
        for ticker, asset_class in {"AAA": "Technology", "B.B": "Energy"}.items():
            item = {"Id": ticker, "ticker": ticker, "assetClass": asset_class}
            put(system, "assets", item)
        yield system


def put(system, table, item):
    system.client("dynamodb").put_item(
        TableName=table, Item={key: to_attribute(value) for key, value in item.items()}
    )


def epoch_ms(date):
    return (date - datetime.date(1970, 1, 1)).days * DAY_MS


def template():
    return {
        "Id": "t-1",
        "name": "two assets",
        "predictedAsset": "AAA",
        "feMeta": {
            "baseAssets": "all",
            "taSettings": {
                "enabled": True,
                "assets": ["AAA"],
                "bollingerBand": {"window": 20, "window_dev": 2},
                "rsi": {"window": 14},
                "sma": {"window": 10},
            },
            "fftSettings": {"enabled": True, "assetClasses": ["Energy"], "num_steps": [3]},
        },
        "deepARMeta": {
            "freq": "1D",
            "predictionLength": 7,
            "contextLength": 28,
            "startDataset": epoch_ms(FIRST),
            "endTraining": epoch_ms(datetime.date(2020, 11, 1)),
            "testWindows": 2,
            "hyperParams": {"epochs": 20},
        },
    }


class Job:
    """One job's record and SageMaker directories; `run` starts the container's command."""

    def __init__(self, aws, root, execution_id, record=None):
        self.aws = aws
        self.root = root
        self.id = execution_id
        assets = root / "processing/input/assets"
        assets.mkdir(parents=True)
        for ticker, factor in {"AAA": 1.0, "B.B": 0.5}.items():
            rows = (
                f"{FIRST + datetime.timedelta(day)},{factor * (100 + day % 17 + day / 10)}\n"
                for day in range(366)
            )
            (assets / f"{ticker}.csv").write_text("Date,Close\n" + "".join(rows))
        put(
            aws,
            "executions",
            {
                "Id": execution_id,
                "entry": "record",
                "pipelineExecutionArn": ARN,
                "parameters": template(),
                **(record or {}),
            },
        )

    def start(self, **changes):
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PIPEWRIGHT_APP_DIR": str(BINARIES),
            "PIPEWRIGHT_ML_ROOT": str(self.root),
            "EXECUTIONS_TABLE": "executions",
            "ASSETS_TABLE": "assets",
            "FEATURE_IMPORTANCE_TABLE": "feature-importance",
            "MODELS_BUCKET": "models",
            "PIPELINE_EXECUTION_ID": "abc123",
            **self.aws.environment(),
            **changes,
        }
        return subprocess.Popen(
            ["/bin/sh", SCRIPT, "--executionid", self.id],
            env={key: value for key, value in environment.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **changes):
        process = self.start(**changes)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def items(self):
        """The execution's items by sort key, plain values."""
        answer = self.aws.client("dynamodb").query(
            TableName="executions",
            KeyConditionExpression="Id = :id",
            ExpressionAttributeValues={":id": {"S": self.id}},
            ConsistentRead=True,
        )
        return {item["entry"]["S"]: plain({"M": item}) for item in answer["Items"]}

    def report(self):
        return self.items()["record"].get("processingStepReport")

    def log_lines(self):
        batches = [item for entry, item in self.items().items() if entry.startswith("log#")]
        return [line["msg"] for batch in batches for line in batch["lines"]]

    def objects(self):
        answer = self.aws.client("s3").list_objects_v2(
            Bucket="models", Prefix=f"execution/{self.id}/"
        )
        return {entry["Key"].split("/", 2)[2] for entry in answer.get("Contents", [])}

    def read_object(self, name):
        key = f"execution/{self.id}/{name}"
        return self.aws.client("s3").get_object(Bucket="models", Key=key)["Body"].read()

    def outputs(self):
        return sorted(
            str(path.relative_to(self.root / "processing"))
            for folder in ("features", "train", "test")
            for path in (self.root / "processing" / folder).rglob("*")
            if path.is_file()
        )

    def message(self):
        return (self.root / "output/message").read_text()


def plain(attribute):
    ((kind, value),) = attribute.items()
    if kind == "M":
        return {key: plain(entry) for key, entry in value.items()}
    if kind == "L":
        return [plain(entry) for entry in value]
    return json.loads(value) if kind == "N" else value


def test_a_job_leaves_outputs_objects_log_and_report(aws, tmp_path):
    job = Job(aws, tmp_path, "run-good")
    status, output, errors = job.run()
    assert (status, errors) == (0, ""), output
    names = [
        "features/features.csv",
        "features/series.json",
        "features/summary.json",
        "test/test.json",
        "train/train.json",
    ]
    assert job.outputs() == names
    assert job.objects() == {*names, "logs/feature-engineering.log"}
    for name in names:
        assert job.read_object(name) == (tmp_path / "processing" / name).read_bytes()
    report = job.report()
    assert report["status"] == "Succeeded"
    assert report["summary"]["rows"] == 366
    assert report["summary"]["outputs"] == "s3://models/execution/run-good/"
    train = (tmp_path / "processing/train/train.json").read_text().splitlines()
    assert len(train) == report["summary"]["trainSeries"]
    assert json.loads(train[0])["start"] == "2020-01-01 00:00:00"
    # What was printed, what is in the record and the uploaded log are one.
    assert job.read_object("logs/feature-engineering.log").decode() == output
    assert [line.split(" ", 3)[3].strip() for line in output.splitlines()] == job.log_lines()
    assert not (tmp_path / "output/message").exists()


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
    (tmp_path / "config").mkdir()
    config = {"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]}
    (tmp_path / "config/resourceconfig.json").write_text(json.dumps(config))
    status, output, _ = job.run()
    assert status == 0
    assert "the step runs on host algo-1 alone" in output
    assert job.report() is None
    assert job.outputs() == []


def test_a_job_that_is_stopped_reports_it(aws, tmp_path):
    # A price file that never ends keeps the step busy until SageMaker stops it.
    job = Job(aws, tmp_path, "run-stopped")
    held = tmp_path / "processing/input/assets/AAA.csv"
    held.unlink()
    os.mkfifo(held)
    process = job.start()
    deadline = time.monotonic() + 30
    while (job.report() or {}).get("status") != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
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
