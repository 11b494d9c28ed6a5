"""What the tests of the running system share: the system itself and a log of its events."""

import concurrent.futures
import contextlib
import copy
import decimal
import json
import os
import subprocess
import time
from pathlib import Path

import shapes
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from ops import ROOT
from ops.local.announcement import Announcement
from ops.local.system import STACK, LocalSystem

BINARIES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SAMPLES = ROOT / "samples"
OWN_PIPELINE = SAMPLES / "pipelines" / "train-evaluate-register"
SAMPLE_TEMPLATE = json.loads((SAMPLES / "training-template.json").read_text())
# What is tested is not how good the model is.
SAMPLE_TEMPLATE["deepARMeta"]["hyperParams"].update(epochs=2, num_eval_samples=10)


# What events write of a record, beside the change items; the rest is the start function's and
# the container's.
OF_EVENTS = {
    *("arnKey", "pipelineExecutionArn", "displayName", "startedAt", "endedAt", "failureReason"),
    *("pipelineStatus", "pipelineStatusAt", "pipelinePosition", "approvalStatus"),
}
FAMILIES = ("model", "endpoint")


def of_events(name):
    """Whether events write an attribute of the record."""
    return name in OF_EVENTS or name.startswith(FAMILIES)


def as_item(values):
    """A JSON object as an item of DynamoDB's."""
    numbers = json.loads(json.dumps(values), parse_float=decimal.Decimal)
    return {name: TypeSerializer().serialize(value) for name, value in numbers.items()}


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
    """A local system with the shortcuts that tests need, each answer of whose SageMaker is compared with its model."""

    def client(self, service):
        """A boto3 client of one of this system's services."""
        is_new = service not in self._clients
        client = super().client(service)
        if service == "sagemaker" and is_new:
            client.meta.events.register("after-call", shapes.check)
        return client

    @contextlib.contextmanager
    def announced(self, path):
        """Be the one system to use, by a file of shell lines."""
        with Announcement(path) as announcement:
            self.announce(announcement)
            yield

    def run(self, template_id, execution_id=None, timeout=120):
        """Start an execution and watch it to its end."""
        answer = self.start_execution(template_id, execution_id)
        process = subprocess.run(
            self.command(
                *("execution", "watch", answer["executionId"]),
                *("--table", self.outputs["ExecutionsTableName"]),
                *("--timeout", str(timeout)),
                # As `make run` does; the command's own is for people.
                *("--interval", "250"),
            ),
            env={**os.environ, **self.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout + 30,
        )
        return Watched(answer, process)

    def call(self, *arguments, timeout=120):
        """Run a command of the command line; gives its exit status and its output."""
        process = subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        return process.returncode, process.stdout

    def import_assets(self, directory):
        """Import a folder of prices."""
        self.import_data(directory)

    def import_template(self, template):
        """Store a training template (a dict), whatever is wrong with it; gives its id."""
        table = self.outputs["TrainingTemplatesTableName"]
        self.client("dynamodb").put_item(TableName=table, Item=as_item(template))
        return template["Id"]

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


class FailureQueue:
    """One of the failure queues, by the output of the stack that has its URL."""

    def __init__(self, system, output):
        self._sqs = system.client("sqs")
        self._url = system.outputs[output]

    def put(self, body, attributes=None):
        """Put a message into the queue; gives its id."""
        sent = self._sqs.send_message(
            QueueUrl=self._url, MessageBody=body, MessageAttributes=attributes or {}
        )
        return sent["MessageId"]

    def bodies(self):
        """What can be received now; it stays hidden for a second."""
        bodies = []
        while messages := self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, VisibilityTimeout=1
        ).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
        return bodies

    def counts(self):
        """How many messages can be received, and how many are hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        return tuple(int(answer["Attributes"][name]) for name in names)

    def empty(self):
        """Take everything out."""
        self._sqs.purge_queue(QueueUrl=self._url)


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


class Replay:
    """Gives events to the function once more, as if EventBridge had kept them."""

    def __init__(self, system):
        self._system = system

    def send(self, event):
        """Have the function invoked as EventBridge does it, which waits for nothing."""
        self._system.client("lambda").invoke(
            FunctionName=f"{STACK}-pipeline-events",
            InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )

    def deliver(self, event):
        """Give one event to the function; fails if it is not recorded."""
        response = self._system.client("lambda").invoke(
            FunctionName=f"{STACK}-pipeline-events", Payload=json.dumps(event).encode()
        )
        answer = json.loads(response["Payload"].read())
        assert answer.get("outcome") == "recorded", answer

    def all(self, events):
        """Give many, several at a time."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self.deliver, events))

    def forget(self, execution_id):
        """Leave of an execution's items what events don't write."""
        table = self._system.outputs["ExecutionsTableName"]
        dynamodb = self._system.client("dynamodb")
        for item in self._system.items(execution_id):
            key = {"Id": {"S": execution_id}, "entry": {"S": item["entry"]}}
            if item["entry"].startswith(("change#", "training#")):
                dynamodb.delete_item(TableName=table, Key=key)
            elif item["entry"] == "record":
                names = {f"#{n}": name for n, name in enumerate(item) if of_events(name)}
                if not names:
                    continue
                dynamodb.update_item(
                    TableName=table,
                    Key=key,
                    UpdateExpression=f"SET phase = :open REMOVE {', '.join(names)}",
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues={":open": {"S": "open"}},
                )


@contextlib.contextmanager
def configured(system, function, attempts=None, **variables):
    """Have a function run with more environment variables, and with so many attempts at an event."""
    functions = system.client("lambda")
    name = f"{STACK}-{function}"
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    target = {"FunctionName": name, "Qualifier": "$LATEST"}
    kept = functions.get_function_event_invoke_config(**target)

    def configure(retries, environment):
        functions.put_function_event_invoke_config(
            **target,
            MaximumRetryAttempts=retries,
            DestinationConfig=kept["DestinationConfig"],
        )
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": environment}
        )

    retries = kept["MaximumRetryAttempts"] if attempts is None else attempts - 1
    configure(retries, {**before["Variables"], **variables})
    try:
        yield
    finally:
        configure(kept["MaximumRetryAttempts"], before["Variables"])
