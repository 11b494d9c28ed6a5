"""A processing job as SageMaker starts it, with tables and a bucket in the local AWS alone."""

import contextlib
import datetime
import json
import os
import subprocess

from harness import BINARIES, as_item
from ops import ROOT
from ops.local.supervise import listen
from ops.local.system import REGION, LocalSystem

SCRIPT = ROOT / "docker/executor/run-fe-step.sh"
ARN = f"arn:aws:sagemaker:{REGION}:123456789012:pipeline/prediction/execution/abc123"
JOB_CONFIG = {
    "ProcessingJobArn": f"arn:aws:sagemaker:{REGION}:123456789012:processing-job/pipelines-abc123-x"
}
DAY_MS = 86_400_000
FIRST = datetime.date(2020, 1, 1)
# What a job with all of the catalogue's prices leaves, by path.
OUTPUTS = [
    "features/baselines.json",
    "features/features.csv",
    "features/importance.json",
    "features/series.json",
    "features/summary.json",
    "plots/assets-energy.png",
    "plots/assets-technology.png",
    "plots/autocorrelation-aaa.png",
    "plots/importance-classes.png",
    "plots/importance-columns.png",
    "plots/low-pass-b-b.png",
    "test/test.json",
    "train/train.json",
]


class AwsAlone(LocalSystem):
    """The local AWS without the stand-in for SageMaker."""

    def start(self):
        listener = listen()
        self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.sagemaker_endpoint = None
        self._start_aws(listener)


@contextlib.contextmanager
def job_aws(directory):
    """A running local AWS with what a job uses: bucket, tables, a catalogue of two assets."""
    with AwsAlone(directory, BINARIES, directory / "cache") as system:
        system.start()
        system.client("s3").create_bucket(
            Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        tables = {"executions": ["Id", "entry"], "assets": ["Id"], "feature-importance": ["Id"]}
        for table, keys in tables.items():
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
    system.client("dynamodb").put_item(TableName=table, Item=as_item(item))


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
        (root / "config").mkdir()
        (root / "config/processingjobconfig.json").write_text(json.dumps(JOB_CONFIG))
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

    def environment(self, **changes):
        """What the pipeline's step sets, and how to reach the local AWS; None takes one out."""
        environment = {
            "EXECUTIONS_TABLE": "executions",
            "ASSETS_TABLE": "assets",
            "FEATURE_IMPORTANCE_TABLE": "feature-importance",
            "MODELS_BUCKET": "models",
            "PIPELINE_EXECUTION_ID": "abc123",
            **self.aws.environment(),
            **changes,
        }
        return {key: value for key, value in environment.items() if value is not None}

    def start(self, **changes):
        places = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PIPEWRIGHT_APP_DIR": str(BINARIES),
            "PIPEWRIGHT_ML_ROOT": str(self.root),
        }
        return subprocess.Popen(
            ["/bin/sh", SCRIPT, "--executionid", self.id],
            env=self.environment(**places, **changes),
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

    def importance(self):
        """The item of feature importances, or None."""
        answer = self.aws.client("dynamodb").get_item(
            TableName="feature-importance", Key={"Id": {"S": self.id}}, ConsistentRead=True
        )
        return plain({"M": answer["Item"]}) if "Item" in answer else None

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
            for folder in ("features", "plots", "train", "test")
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
