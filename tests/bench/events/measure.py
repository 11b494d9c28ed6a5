"""`make bench-events`: one warm function process that records events, ours beside the original's way.

Both run under the same loopback runtime interface against the same local DynamoDB, one event at a
time, the sides in turns. The local DynamoDB tells no capacity units, so those are computed by
DynamoDB's published rules from the items that lie in it after the first and the last event.
"""

import argparse
import http.server
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from pathlib import Path

import page
from program import peak_megabytes, zipped_megabytes
from run import processor, table

from emulator import Function
from harness import as_item
from ops.local.system import REGION
from processing_job import AwsAlone

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PIPELINE = f"arn:aws:sagemaker:{REGION}:123456789012:pipeline/assets"
EVENTS = 200  # of one execution
KIB = 1024


def arn_of(execution):
    return f"{PIPELINE}/execution/{execution}"


def step_event(execution, number):
    """The event number `number` of an execution: its steps begin and succeed in turn."""
    step, ended = divmod(number, 2)
    begun, now = 1_767_250_800 + 60 * step, 1_767_250_800 + 30 * number
    iso = lambda seconds: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))  # noqa: E731
    job = f"arn:aws:sagemaker:{REGION}:123456789012:processing-job/pipelines-{execution}-{step}"
    return {
        "version": "0",
        "id": f"00000000-0000-4000-8000-{number:012}",
        "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
        "source": "aws.sagemaker",
        "account": "123456789012",
        "time": iso(now),
        "region": REGION,
        "resources": [PIPELINE, arn_of(execution)],
        "detail": {
            "metadata": {"processingJob": {"arn": job}},
            "stepStartTime": iso(begun),
            "stepEndTime": iso(now) if ended else None,
            "stepName": f"Step-{step:03}",
            "stepType": "Processing",
            "previousStepStatus": "Executing" if ended else "Starting",
            "currentStepStatus": "Succeeded" if ended else "Executing",
            "pipelineArn": PIPELINE,
            "pipelineExecutionArn": arn_of(execution),
        },
    }


class SageMaker:
    """Answers which parameter ExecutionId an execution has, as our function asks once for each."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *arguments):
                """Nothing to the terminal."""

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                execution = request["PipelineExecutionArn"].rsplit("/", 1)[1]
                answer = {"PipelineParameters": [{"Name": "ExecutionId", "Value": execution}]}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def size(value):
    """DynamoDB's size of an attribute's value in bytes, by its published rules."""
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            digits = held.lstrip("-").replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + held.startswith("-")
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + size(element) for element in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + size(v) for name, v in held.items())
    raise TypeError(f"no size known of {kind}")


def item_size(item):
    return sum(len(name.encode()) + size(value) for name, value in item.items())


def units(bytes_, of):
    return max(1, -(-bytes_ // of))


class Side:
    """One way of recording: its table, its program, and what it has cost."""

    def __init__(self, name, system, directory):
        self.name, self.system, self.directory = name, system, directory
        self.rates, self.cpu, self.peaks = [], [], []
        self.dynamodb = system.client("dynamodb")
        self.create_table()

    def record(self, execution):
        """What start-execution has written: the frozen training template and the parameters."""
        template = json.loads((ROOT / "samples" / "training-template.json").read_text())
        return {
            "Id": {"S": execution},
            "templateId": {"S": template["Id"]},
            **as_item({"parameters": template}),
            "createdAt": {"N": "1767250799000"},
            "pipelineExecutionArn": {"S": arn_of(execution)},
        }

    def round(self, number, executions):
        names = [f"{self.name}{number}x{count:06}" for count in range(executions)]
        for execution in names:
            self.dynamodb.put_item(TableName=self.table, Item=self.record(execution))
        log = self.directory / f"{self.name}-{number}.log"
        function = Function(self.program, self.environment(), log, arguments=self.arguments)
        try:
            warm = f"warm{number:08}"
            self.dynamodb.put_item(TableName=self.table, Item=self.record(warm))
            for event in range(10):
                self.deliver(function, step_event(warm, event))
            before, began = cpu_seconds(function.process.pid), time.perf_counter()
            for execution in names:
                for event in range(EVENTS):
                    self.deliver(function, step_event(execution, event))
                    if event == 0:
                        self.first = self.cost(execution, event)
            wall = time.perf_counter() - began
            count = executions * EVENTS
            self.rates.append(count / wall)
            self.cpu.append((cpu_seconds(function.process.pid) - before) / count)
            self.peaks.append(peak_megabytes(function.process.pid))
        finally:
            function.stop()
        self.last = self.cost(names[-1], EVENTS - 1)
        self.check(names)

    def deliver(self, function, event):
        invocation = function.invoke(event)
        if invocation.outcome != "response":
            raise SystemExit(f"{self.name}: {invocation.outcome}: {invocation.body.decode()}")
        answer = json.loads(invocation.body)
        if answer["outcome"] != "recorded":
            raise SystemExit(f"{self.name}: {answer}")


class Ours(Side):
    table, arguments = "ours", ()

    def __init__(self, program, sagemaker, *arguments):
        self.program, self.sagemaker = program, sagemaker
        super().__init__("ours", *arguments)

    def create_table(self):
        self.dynamodb.create_table(
            TableName=self.table,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("Id", "entry")
            ],
            KeySchema=[
                {"AttributeName": "Id", "KeyType": "HASH"},
                {"AttributeName": "entry", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    def record(self, execution):
        return {
            **super().record(execution),
            "entry": {"S": "record"},
            "arnKey": {"S": arn_of(execution)},
        }

    def environment(self):
        return {
            "RUST_LOG": "info",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_ENDPOINT_URL_DYNAMODB": self.system.endpoint,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker.endpoint,
            "EXECUTIONS_TABLE": self.table,
            "ENDPOINTS_TABLE": "endpoints",
            "PREFIX": "bench",
            "PIPELINE_NAME": "assets",
            "MODEL_PACKAGE_GROUP_NAME": "assets",
        }

    def items(self, execution):
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="Id = :id",
            ExpressionAttributeValues={":id": {"S": execution}},
        )
        return [item for page in pages for item in page["Items"]]

    def cost(self, execution, event):
        """(read units, write units, bytes written) of an event that was recorded just now.

        The update of the record costs by its size, the change item by its own. An event of a step
        leaves the record's phase as it is, so its index is not written.
        """
        items = self.items(execution)
        record = next(item for item in items if item["entry"]["S"] == "record")
        change = [item for item in items if item["entry"]["S"].startswith("change#")][event]
        sizes = [item_size(record), item_size(change)]
        return 0.0, sum(units(size, KIB) for size in sizes), sum(sizes)

    def check(self, executions):
        for execution in executions:
            changes = [i for i in self.items(execution) if i["entry"]["S"].startswith("change#")]
            if len(changes) != EVENTS:
                raise SystemExit(f"ours: {len(changes)} changes of {EVENTS} in {execution}")


class Original(Side):
    table, program, arguments = "original", "node", (HERE / "baseline.mjs",)

    def __init__(self, *arguments):
        super().__init__("node", *arguments)

    def create_table(self):
        keys = ("Id", "pipelineExecutionArn")
        self.dynamodb.create_table(
            TableName=self.table,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-arn",
                    "KeySchema": [{"AttributeName": keys[1], "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    def record(self, execution):
        return {**super().record(execution), "steps": {"L": []}}

    def environment(self):
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL_DYNAMODB": self.system.endpoint,
            "EXECUTIONS_TABLE": self.table,
        }

    def item(self, execution):
        return self.dynamodb.get_item(
            TableName=self.table, Key={"Id": {"S": execution}}, ConsistentRead=True
        )["Item"]

    def cost(self, execution, event):
        """(read units, write units, bytes written) of an event that was recorded just now.

        The query reads one key of the index, the read the item as it was before, both eventually
        consistent: half units. Key attributes don't change, so the index is not written.
        """
        item = self.item(execution)
        after = item_size(item)
        item["steps"]["L"].pop()
        return 0.5 + 0.5 * units(item_size(item), 4 * KIB), units(after, KIB), after

    def check(self, executions):
        for execution in executions:
            if len(self.item(execution)["steps"]["L"]) != EVENTS:
                raise SystemExit(f"original: events are missing in {execution}")

    def room(self):
        """How many such events fit into one item of 400 KB."""
        growth = (self.last[2] - self.first[2]) / (EVENTS - 1)
        return int((400 * KIB - self.first[2]) / growth) + 1


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(ours, original, args, began):
    middle = statistics.median
    rate = [middle(side.rates) for side in (ours, original)]
    cpu = [1000 * middle(side.cpu) for side in (ours, original)]
    peak = [max(side.peaks) for side in (ours, original)]
    rows = [
        ["events a second, wall", *(f"{x:,.0f}" for x in rate), f"{rate[0] / rate[1]:.2f}"],
        ["the process's CPU-ms an event", *(f"{x:.2f}" for x in cpu), f"{cpu[1] / cpu[0]:.1f}"],
        ["peak memory, MB", *(f"{x:,.0f}" for x in peak), f"{peak[1] / peak[0]:.1f}"],
    ]
    for name, first, last in zip(
        ("read units", "write units", "bytes written"),
        zip(ours.first, original.first, strict=True),
        zip(ours.last, original.last, strict=True),
        strict=True,
    ):
        for which, (one, other) in (("1st", first), (f"{EVENTS}th", last)):
            ratio = f"{other / one:.2f}" if one else ""
            rows.append([f"{name}, {which} event", f"{one:,g}", f"{other:,g}", ratio])
    head = ["one warm process, one event at a time", "ours", "original's way", "ratio"]
    count = args.rounds * args.executions * EVENTS
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    zipped = zipped_megabytes(args.binary)
    return f"""Machine: {processor()}, {os.cpu_count()} cores, {platform.system()} \
{platform.release().split("-")[0]}. Load average at the beginning {began}, at the end {load}.

{table(head, rows)}

{count:,} events a side in {args.rounds} rounds, {EVENTS} an execution; rates are medians of the \
rounds. A ratio above 1 is in our favour. An item of 400 KB, DynamoDB's limit, is full with the \
original's way after some {original.room():,} such events. The zip of `pipeline-events`: \
{zipped:.2f} MB (budget 4 MB: {"met" if zipped <= 4 else "**missed**"})."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="pipeline-events, release build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--executions", type=int, default=3, help="a round")
    parser.add_argument("--write", type=Path, help="put the figures between this file's markers")
    args = parser.parse_args()
    began = " ".join(f"{x:.2f}" for x in os.getloadavg())
    sagemaker = SageMaker()
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        with AwsAlone(directory, args.binary.parent, directory / "cache") as system:
            system.start()
            ours = Ours(args.binary, sagemaker, system, directory)
            original = Original(system, directory)
            for number in range(args.rounds):
                for side in (ours, original):
                    side.round(number, args.executions)
                    print(f"round {number + 1}: {side.name}: {side.rates[-1]:.0f} events/s")
    sagemaker.stop()
    text = report(ours, original, args, began)
    print(text)
    if args.write:
        page.put(args.write, text, "events")


if __name__ == "__main__":
    main()
