"""What surrounds a deployed function: Lambda's runtime interface, S3, and who waits for a reply.

Each can be told to misbehave, which is what these tests are about.
"""

import http.server
import json
import queue
import subprocess
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field

LOG_STREAM = "2026/01/01/[$LATEST]0123456789abcdef"
ACCOUNT = "123456789012"
REGION = "eu-west-1"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Clients go away in the middle of things here; that is no news."""

    def stop(self):
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go in two writes, between which Nagle's algorithm would wait for 40 ms.
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        """Nothing to the terminal."""

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self, how):
        """Do what `how` says: a status, `hang`, or `close`."""
        if how == "hang":
            self.server.closing.wait(60)
            self.close_connection = True
        elif how == "close":
            self.connection.close()
            self.close_connection = True
        else:
            self.answer(int(how))


@dataclass
class Reply:
    """A reply that was put, and how that was answered."""

    at: float
    path: str
    content_type: str
    raw: bytes
    answered: str

    @property
    def json(self):
        return json.loads(self.raw.decode("utf-8"))


class ReplyServer(_Server):
    """Plays the address that CloudFormation waits at; `plan` misbehaves, then 200."""

    SECRET = "X-Amz-Signature=0123456789abcdef-secret"

    def __init__(self):
        self.plan = []
        self.replies = []

        class Handler(_Handler):
            def do_PUT(self):
                raw = self.body()
                how = self.server.plan.pop(0) if self.server.plan else "200"
                content_type = self.headers.get("Content-Type")
                reply = Reply(time.time(), self.path, content_type, raw, how)
                self.server.replies.append(reply)
                self.misbehave(how)

        super().__init__(Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/arn%3Aaws%3Acloudformation%7C?{self.SECRET}"


class S3Server(_Server):
    """As much of S3 as the function uses; `trouble` maps a method to how it misbehaves.

    All buckets are those of `owner`: a call that expects another, or expects nothing, is refused.
    """

    def __init__(self):
        self.objects = {}
        self.trouble = {}
        self.owner = ACCOUNT

        class Handler(_Handler):
            def serve(self):
                body = self.body()
                how = self.server.trouble.get(self.command)
                expected = self.headers.get("x-amz-expected-bucket-owner")
                if how == "403" or expected != self.server.owner:
                    return self.answer(403, _error("AccessDenied"))
                if how == "500":
                    return self.answer(500, _error("InternalError"))
                if how:
                    return self.misbehave(how)
                path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
                if self.command == "PUT":
                    self.server.objects[path] = body
                    return self.answer(200)
                found = self.server.objects.get(path)
                if found is None:
                    return self.answer(404, _error("NoSuchKey"))
                return self.answer(200, found)

            do_PUT = do_GET = do_POST = serve

        super().__init__(Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


def _error(code):
    return f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()


@dataclass
class Invocation:
    """An event on its way through a function, and what came of it."""

    event: bytes
    deadline: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    done: threading.Event = field(default_factory=threading.Event)
    #: `response`, `error`, or None while the function has said nothing
    outcome: str | None = None
    body: bytes = b""


class Function:
    """A function's program under Lambda's runtime interface."""

    def __init__(self, program, environment, log_path, before="", arguments=()):
        self.queue = queue.Queue()
        self.invocations = {}
        function = self

        class Handler(_Handler):
            def do_GET(self):
                while not self.server.closing.is_set():
                    try:
                        invocation = function.queue.get(timeout=0.1)
                    except queue.Empty:
                        continue
                    function.invocations[invocation.id] = invocation
                    headers = [
                        ("Lambda-Runtime-Aws-Request-Id", invocation.id),
                        ("Lambda-Runtime-Deadline-Ms", str(int(invocation.deadline * 1000))),
                        ("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN),
                        ("Content-Type", "application/json"),
                    ]
                    return self.answer(200, invocation.event, headers)
                return self.answer(500)

            def do_POST(self):
                body = self.body()
                *_, invocation_id, outcome = self.path.split("/")
                self.answer(202, b"{}")
                invocation = function.invocations.get(invocation_id)
                if invocation:
                    invocation.outcome, invocation.body = outcome, body
                    invocation.done.set()

        self.server = _Server(Handler)
        self.log_path = log_path
        self._log = open(log_path, "wb")  # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f'{before} exec "$0" "$@"', str(program), *map(str, arguments)],
            env={
                "PATH": "/usr/bin:/bin",
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
                "AWS_LAMBDA_FUNCTION_NAME": "function",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
                "AWS_LAMBDA_LOG_STREAM_NAME": LOG_STREAM,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_EC2_METADATA_DISABLED": "true",
                "PIPEWRIGHT_ALLOW_LOOPBACK_RESPONSE_URL": "1",
                "RUST_LOG": "trace",
                "RUST_BACKTRACE": "0",
                **environment,
            },
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def invoke(self, event, seconds=10.0, deadline=None):
        """Send an event and wait for the function's end of it, or until it would be cut off."""
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        invocation = Invocation(raw, time.time() + seconds if deadline is None else deadline)
        self.queue.put(invocation)
        invocation.done.wait(seconds + 1)
        return invocation

    def log(self):
        self._log.flush()
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.server.stop()
        self._log.close()
