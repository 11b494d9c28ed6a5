"""`make bench-custom-resource`: the custom resource beside one written for Node.js 20.

Both run under Lambda's Runtime Interface Emulator, which starts a function's
process when the first event comes. Cold is the time from sending that event to
its answer; warm is the same for the events after it. S3 and the address of the
reply are one server on loopback, so no figure holds a network.
"""

import argparse
import http.client
import http.server
import json
import os
import platform
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path.append(str(HERE.parent))

import page  # noqa: E402
from program import peak_megabytes, zipped_megabytes  # noqa: E402

CREATE = ROOT / "tests" / "fixtures" / "pipeline-definition" / "create-inline.json"
INVOKE = "/2015-03-31/functions/function/invocations"
MEMORY_IN_MB = 256
BUDGET_IN_MB = 4.0
# Where the wheel of the SAM command line puts it.
EMULATOR = (
    Path(sysconfig.get_path("purelib"))
    / f"samcli/local/rapid/aws-lambda-rie-{platform.machine().replace('aarch64', 'arm64')}"
)


class Server(http.server.ThreadingHTTPServer):
    """Takes every object and every reply, and knows the objects that it has taken."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls, self.replies, self.objects = 0, [], {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A function that is stopped leaves its connections in the middle."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *arguments):
        """Nothing to the terminal."""

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/reply?"):
            self.server.replies.append(json.loads(body))
        else:
            self.server.calls += 1
            self.server.objects[self.place()[0]] = body
        self.answer(200, b"")

    def do_GET(self):
        self.server.calls += 1
        place, query = self.place()
        if {"list-type", "versions"} & query.keys():
            (prefix,) = query.get("prefix", [""])
            below = (each for each in self.server.objects if each.startswith(f"{place}/{prefix}"))
            keys = (escape(each.removeprefix(f"{place}/")) for each in below)
            root, row = ("ListBucketResult", "Contents")
            if "versions" in query:
                root, row = ("ListVersionsResult", "Version")
            rows = "".join(
                f"<{row}><Key>{key}</Key><VersionId>null</VersionId></{row}>" for key in keys
            )
            self.answer(200, f"<{root}>{rows}</{root}>".encode())
        elif (body := self.server.objects.get(place)) is not None:
            self.answer(200, body)
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def do_DELETE(self):
        self.server.calls += 1
        self.server.objects.pop(self.place()[0], None)
        self.answer(204, b"")

    def place(self):
        """The object's address, and the query."""
        parts = urlsplit(self.path)
        return unquote(parts.path).rstrip("/"), parse_qs(parts.query, keep_blank_values=True)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()


@dataclass
class Side:
    """A function, and how Lambda would start it; whether it answers CloudFormation."""

    name: str
    command: list
    replies: bool = True


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def peak_in_mb(parent):
    """The function's own peak memory: the emulator's one child."""
    task = Path(f"/proc/{parent}/task")
    for children in task.glob("*/children"):
        for child in children.read_text().split():
            return peak_megabytes(child)
    sys.exit("The function's process is not to be found under the emulator.")


class Emulator:
    """The Runtime Interface Emulator with one function behind it, not yet started."""

    def __init__(self, program, side, server):
        self.port = free_port()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            [
                program,
                "--runtime-interface-emulator-address",
                f"127.0.0.1:{self.port}",
                "--runtime-api-address",
                f"127.0.0.1:{free_port()}",
                *side.command,
            ],
            env={
                "PATH": os.environ["PATH"],
                "AWS_LAMBDA_FUNCTION_NAME": "function",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_IN_MB),
                "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
                "PIPEWRIGHT_ALLOW_LOOPBACK_RESPONSE_URL": "1",
                "RUST_LOG": "warn",
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        self.connection = self._connected()

    def _connected(self):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.connect()
            except OSError:
                time.sleep(0.01)
                continue
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        sys.exit(f"The emulator did not start:\n{self.said()}")

    def invoke(self, event):
        """Milliseconds from sending the event to having the whole answer."""
        body = json.dumps(event).encode()
        began = time.perf_counter()
        self.connection.request("POST", INVOKE, body)
        answer = self.connection.getresponse()
        told = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200 or b"errorMessage" in told:
            sys.exit(f"The function failed: {told.decode()}\n{self.said()}")
        return took

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        self.connection.close()
        self.process.terminate()
        self.process.wait()
        self.log.close()


def events(server):
    reply = f"http://127.0.0.1:{server.server_port}/reply?X-Amz-Signature=none"
    create = json.loads(CREATE.read_text()) | {"ResponseURL": reply}
    nothing = create | {"RequestType": "Delete", "PhysicalResourceId": "somebody-elses"}
    return {"nothing to do": nothing, "create": create}


@dataclass
class Row:
    side: str
    event: str
    cold: list
    warm: list
    calls: float
    peak: float


def measured(program, side, name, event, server, colds, warms):
    """One row; every reply that it counts was a success."""
    cold, warm, peaks = [], [], []
    calls, replies = server.calls, len(server.replies)
    for start in range(colds):
        emulator = Emulator(program, side, server)
        try:
            cold.append(emulator.invoke(event))
            if start == colds - 1:
                warm = [emulator.invoke(event) for _ in range(warms)]
            peaks.append(peak_in_mb(emulator.process.pid))
        finally:
            emulator.stop()
    told = server.replies[replies:]
    expected = colds + warms if side.replies else 0
    if len(told) != expected or any(reply["Status"] != "SUCCESS" for reply in told):
        sys.exit(f"{side.name}, {name}: {len(told)} replies, {told[-1:]}")
    calls = (server.calls - calls) / (colds + warms)
    return Row(side.name, name, cold, warm, calls, max(peaks))


def spread(times):
    return f"{median(times):.1f} ({min(times):.1f} to {max(times):.1f})"


def report(rows, sizes, load):
    lines = [
        f"Load average {load}; memory setting {MEMORY_IN_MB} MB, which nothing enforces here."
        f" Milliseconds: median (least to most) of {len(rows[0].cold)} starts and"
        f" {len(rows[0].warm)} warm answers; a function's zip: "
        + ", ".join(f"{name} {size:.2f} MB" for name, size in sizes.items())
        + ".",
        "",
        "| event | side | calls to S3 | cold ms | warm ms | peak MB | cold, of ours | warm, of ours |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        ours = next(r for r in rows if r.event == row.event)
        lines.append(
            f"| {row.event} | {row.side} | {row.calls:.0f} | {spread(row.cold)} | {spread(row.warm)} |"
            f" {row.peak:.0f} | {median(row.cold) / median(ours.cold):.1f} |"
            f" {median(row.warm) / median(ours.warm):.1f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", type=Path, default=EMULATOR)
    parser.add_argument(
        "--program",
        action="append",
        required=True,
        help="NAME=FILE of ours; the first is the measure",
    )
    parser.add_argument("--bare", help="the program bare-function: what is not ours")
    parser.add_argument("--node", default="node")
    parser.add_argument(
        "--bundle", help="the handler in one file; without it only the files as they are"
    )
    parser.add_argument("--colds", type=int, default=15)
    parser.add_argument("--warms", type=int, default=300)
    parser.add_argument("--write", type=Path, help="the page that gets the figures")
    options = parser.parse_args()

    programs = dict(named.split("=", 1) for named in options.program)
    sides = [Side(name, [program]) for name, program in programs.items()]
    version = subprocess.check_output([options.node, "--version"], text=True).strip()
    sides.append(Side(f"Node.js {version}", [options.node, str(HERE / "runtime.mjs")]))
    if options.bundle:
        sides.append(Side("the same, bundled", [options.node, options.bundle]))

    floor = []
    if options.bare:
        floor = [
            Side("a function that does nothing", [options.bare], replies=False),
            Side("the same, and puts a reply", [options.bare, "reply"]),
        ]

    server = Server()
    load = " ".join(f"{part:.2f}" for part in os.getloadavg())
    rows = []
    for name, event in events(server).items():
        for side in sides + (floor if name == "nothing to do" else []):
            print(f"{name}: {side.name}", file=sys.stderr, flush=True)
            rows.append(
                measured(
                    str(options.emulator), side, name, event, server, options.colds, options.warms
                )
            )
    sizes = {name: zipped_megabytes(program) for name, program in programs.items()}
    text = report(rows, sizes, load)
    print(text)
    if options.write:
        page.put(options.write, text)
    _, size = next(iter(sizes.items()))
    if size > BUDGET_IN_MB:
        sys.exit(
            f"The function's zip has {size:.2f} MB; {BUDGET_IN_MB} MB is the most it may have."
        )


if __name__ == "__main__":
    main()
