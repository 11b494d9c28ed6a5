"""What the tests of the running system share: the system itself and a log of its events."""

import contextlib
import copy
import json
import os
import subprocess
import time
from pathlib import Path

from boto3.dynamodb.types import TypeDeserializer

from system import ROOT, LocalSystem

BINARIES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SAMPLES = ROOT / "samples"
OWN_PIPELINE = SAMPLES / "pipelines" / "train-evaluate-register"
SAMPLE_TEMPLATE = json.loads((SAMPLES / "training-template.json").read_text())


def wait_for(condition, within=20.0):
    """The first true answer of `condition()`; fails when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within} s: {condition.__doc__}"
        time.sleep(0.1)


class Watched:
    """An execution that was followed to its end by the command line."""

    def __init__(self, answer, process):
        self.id = answer["executionId"]
        self.arn = answer["pipelineExecutionArn"]
        self.exit_status = process.returncode
        self.output = process.stdout


class System(LocalSystem):
    """A local system with the shortcuts that tests need."""

    def run(self, template_id, execution_id=None, timeout=120):
        """Start an execution and watch it to its end."""
        answer = self.start_execution(template_id, execution_id)
        process = subprocess.run(
            self.command(
                *("execution", "watch", answer["executionId"]),
                *("--table", self.outputs["ExecutionsTableName"]),
                *("--timeout", str(timeout)),
            ),
            env={**os.environ, **self.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout + 30,
        )
        return Watched(answer, process)

    def items(self, execution_id):
        """The items of an execution as plain values, in the order of their keys."""
        pages = (
            self.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=self.outputs["ExecutionsTableName"],
                KeyConditionExpression="Id = :id",
                ExpressionAttributeValues={":id": {"S": execution_id}},
            )
        )
        read = TypeDeserializer().deserialize
        return [
            {name: read(value) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]

    def record(self, execution_id):
        """The item `record` of an execution; None if there is none."""
        found = [item for item in self.items(execution_id) if item["entry"] == "record"]
        return found[0] if found else None

    def keys(self, bucket, prefix=""):
        """The keys in the bucket that is this output of the stack."""
        pages = (
            self.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.outputs[bucket], Prefix=prefix)
        )
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, bucket, key):
        """An object's bytes."""
        response = self.client("s3").get_object(Bucket=self.outputs[bucket], Key=key)
        return response["Body"].read()

    def definition(self):
        """The deployed pipeline's definition, parsed."""
        pipeline = self.client("sagemaker").describe_pipeline(
            PipelineName=self.outputs["PipelineName"]
        )
        return json.loads(pipeline["PipelineDefinition"])

    def template_with(self, template_id, change=lambda template: None):
        """Import a copy of the sample template under another id, changed; gives the id."""
        template = copy.deepcopy(SAMPLE_TEMPLATE)
        template["Id"] = template_id
        change(template)
        return self.import_template(template)

    @contextlib.contextmanager
    def price_file(self, ticker, content):
        """Put another price file in an asset's place, for a while; None takes it away."""
        bucket, key = self.outputs["AssetsBucketName"], f"assets/{ticker}.csv"
        original = self.read("AssetsBucketName", key)
        if content is None:
            self.client("s3").delete_object(Bucket=bucket, Key=key)
        else:
            self.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        try:
            yield
        finally:
            self.client("s3").put_object(Bucket=bucket, Key=key, Body=original)


class EventLog:
    """Every event of SageMaker that went over the default bus, in the order of arrival."""

    def __init__(self, system):
        self._sqs = system.client("sqs")
        self._queue = self._sqs.create_queue(QueueName="all-sagemaker-events")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        events = system.client("events")
        events.put_rule(
            Name="all-sagemaker-events", EventPattern=json.dumps({"source": ["aws.sagemaker"]})
        )
        events.put_targets(
            Rule="all-sagemaker-events",
            Targets=[{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}],
        )
        self._events = []

    def of(self, watched):
        """The events that belong to an execution."""
        while messages := self._sqs.receive_message(
            QueueUrl=self._queue, MaxNumberOfMessages=10
        ).get("Messages"):
            for message in messages:
                self._events.append(json.loads(message["Body"]))
                self._sqs.delete_message(
                    QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"]
                )
        arn = watched.arn.lower()
        return [event for event in self._events if arn in json.dumps(event).lower()]
