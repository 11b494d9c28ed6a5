"""Stands before the servers of this machine, which run programs for every permitted caller.

A page in a browser can send requests to any port of this machine, also under a name of its own that
it has pointed here; another user can connect to any port. So a request is refused that a browser
sent for a page of another origin, that was sent to another name than this machine's or AWS's (which
`ops.local.proxy` brings here, and no page can point anywhere), or that is not signed with a key of
this start. `local/src/guard.rs` is the same for the stand-in for SageMaker.
"""

import datetime
import http.server
import json
import re
from xml.sax.saxutils import escape

from ops.local.aws import signatures
from ops.local.aws.hosts import is_aws
from ops.local.aws.signatures import SignatureRefused

_NEW_KEY = "The local AWS has another key with every start: `. .local/environment.sh` gives it to this shell"


def refusal(headers, port):
    """Why no program of this machine sent a request; None where one may have.

    `headers` are pairs of names, in lower case, and values; `port` is the server's.
    """
    values = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    if "origin" in values:
        return f"it was sent for a page of {values['origin'][0]}, and no page may call this server"
    if any(site not in ("none", "same-origin") for site in values.get("sec-fetch-site", [])):
        return "it was sent for a page of another site, and no page may call this server"
    hosts = values.get("host", [])
    if len(hosts) != 1 or not (_is_ours(hosts[0], port) or is_aws(hosts[0])):
        named = hosts[0] if len(hosts) == 1 else "none, or several"
        return f"its Host is {named}, and this server is 127.0.0.1:{port} or localhost:{port}"
    return None


def _is_ours(host, port):
    """Whether a Host is this machine with the server's port; buckets may stand before `localhost`."""
    name, colon, number = host.lower().rpartition(":")
    if not colon or number != str(port):
        return False
    return name in ("127.0.0.1", "[::1]") or bool(re.fullmatch(r"([a-z0-9_-]+\.)*localhost", name))


class Guard:
    """An ASGI application that lets only guarded requests through to another one.

    `secret_of` gives the secret of an access key and session token, None where there is none;
    `is_open` says of a method and path whether they take no signature.
    """

    def __init__(self, app, port, secret_of, is_open=lambda method, path: False):
        self._app = app
        self._port = port
        self._secret_of = secret_of
        self._is_open = is_open

    async def __call__(self, scope, receive, send):
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = tuple(
            (name.decode("latin-1").lower(), _text(value)) for name, value in scope["headers"]
        )
        if scope["type"] != "http":
            # Nothing here speaks WebSocket, which a page may open without being asked for its origin.
            return await send({"type": "websocket.close", "code": 1008})
        if why := refusal(headers, self._port):
            return await _answer(send, 403, "text/plain", f"The request is refused: {why}.\n")
        send = _without_cors(send)
        if self._is_open(scope["method"], scope["path"]):
            return await self._app(scope, receive, send)
        request = signatures.Request(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            headers,
        )
        try:
            claim = signatures.claim_of(request)
            claim.check_head(request, datetime.datetime.now(datetime.UTC))
            secret = self._secret_of(claim.access_key, claim.token)
            if secret is None:
                raise SignatureRefused(
                    "InvalidClientTokenId",
                    f"The access key {claim.access_key}, or its session token, is not known here, or "
                    f"not any more. {_NEW_KEY}",
                )
            # Not before the key is known: what it takes of memory is its owner's affair.
            body = await _read(receive)
            if body is None:
                return None
            claim.check(request, secret, body)
        except SignatureRefused as error:
            return await _refuse(send, request, error)
        return await self._app(scope, _again(body, receive), send)


def _text(value):
    """A header's value, whose signature is of UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _read(receive):
    """The whole body; None where the sender hung up in the middle of it."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body, receive):
    """Gives the body that was read, and then what comes after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again():
        return messages.pop() if messages else await receive()

    return receive_again


def _without_cors(send):
    """Takes away what would let a page read an answer."""

    async def send_without(message):
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": kept}
        await send(message)

    return send_without


async def _answer(send, status, content_type, body, headers=()):
    body = body.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _refuse(send, request, error):
    """Answer as the service that was called would, so that SDKs show the code and the message."""
    code, message = error.code, str(error)
    xml = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    content_type = request.header("content-type") or ""
    presigned = {"X-Amz-Signature", "AWSAccessKeyId"}.intersection(dict(request.parameters))
    if presigned or request.header("x-amz-content-sha256"):
        return await _answer(send, 403, "application/xml", f"<Error>{xml}</Error>")
    if content_type.startswith("application/x-www-form-urlencoded"):
        body = f"<ErrorResponse><Error><Type>Sender</Type>{xml}</Error></ErrorResponse>"
        return await _answer(send, 403, "text/xml", body)
    body = json.dumps({"__type": code, "message": message})
    headers = [(b"x-amzn-errortype", code.encode())]
    return await _answer(send, 403, "application/x-amz-json-1.1", body, headers)


def guard_handlers(token):
    """Have every server of `http.server` in this process refuse what is not for it.

    Nothing signs there: what proves a caller is the token, which begins the path.
    """
    parse = http.server.BaseHTTPRequestHandler.parse_request

    def parse_guarded(self):
        if not parse(self):
            return False
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        why = refusal(headers, self.server.server_address[1])
        if not why and not self.path.startswith(f"/{token}/"):
            why = "its path lacks the server's token"
        if why:
            self.close_connection = True
            self.send_error(403, explain=f"The request is refused: {why}")
        return not why

    http.server.BaseHTTPRequestHandler.parse_request = parse_guarded
