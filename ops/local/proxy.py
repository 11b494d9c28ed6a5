"""The way out of a local run: AWS's hosts are answered by the local AWS, and no other host is reached.

SDKs ask some hosts whatever endpoints the environment names: SageMaker's asks STS at a host of its own, and
tells another one that it was used. Programs that heed HTTPS_PROXY, as boto3, the AWS command line, requests and urllib
do, come here with such requests. A connection to a host of AWS is given to the local AWS, behind a
certificate of an authority that is made for this start; any other is refused, but for those that the person
who starts the system has named. Usage:

    python -m ops.local.proxy LISTENING_FD AWS_PORT CERTIFICATES [HOST ...]

CERTIFICATES is the file that gets the authority's certificate, and those of this machine's authorities, before the
first connection is answered. Each HOST is reached, by the proxy that HTTPS_PROXY names, if it names one.
"""

import asyncio
import base64
import contextlib
import functools
import os
import re
import socket
import ssl
import sys
import urllib.parse
from pathlib import Path

import trustme

from ops import OpsError
from ops.local.aws.guard import refusal
from ops.local.aws.hosts import is_aws

_REQUEST = re.compile(r"([A-Z]{1,16}) ([!-~]{1,2000}) HTTP/1\.[01]")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9][A-Za-z0-9-]*)*")
_PLACE = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
# How long a request's head may take, and how much of a body is read before it is refused.
_HEAD_SECONDS = 30
_LARGEST_REFUSED = 1 << 20

CURE = (
    "A local run of Pipewright reaches nothing outside of this machine: AWS's hosts are answered by the "
    "local AWS, and all others are refused. Packages of a job's program belong into its requirements.txt, which is "
    "installed before the job begins; REACH=HOST of `make local`, `run` and `run-pipeline` lets a host be reached. In "
    "your own shell, use another one than that which has read .local/environment.sh. See docs/LOCAL.md."
)


class Refused(Exception):
    """A request that is not passed on; the text is the reason."""


def variables(port, certificate):
    """The environment variables that lead programs to the proxy, and let them trust its certificates."""
    proxy = f"http://127.0.0.1:{port}"
    around = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost,::1"}
    # Some programs read the one, some the other, and where both are there, most read the lower case.
    around |= {name.lower(): value for name, value in around.items()}
    # botocore and the AWS command line; requests and pip; OpenSSL and Python; curl.
    readers = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
    return {**around, **dict.fromkeys(readers, str(certificate))}


def forget(environment):
    """Take out of an environment what led its programs to the proxy of another local system.

    `environment` is a mapping such as os.environ; PIPEWRIGHT_PROXY in it names that proxy.
    """
    proxy = environment.pop("PIPEWRIGHT_PROXY", None)
    if proxy is None or environment.get("HTTPS_PROXY") != proxy:
        return
    for name in variables(0, ""):
        environment.pop(name, None)


def refuse_malformed(hosts):
    """Refuse what of REACH= is not a host's name, before anything is started."""
    for host in hosts:
        if not _HOST.fullmatch(host) or "." not in host:
            raise OpsError(
                f"REACH={host}: it must be the name of a host, such as packages.example.com"
            )


def host_of_connect(place, reached=()):
    """The host of AWS, or of those that may be reached, that a CONNECT asks for; raises Refused for any other."""
    found = _PLACE.fullmatch(place)
    if not found:
        raise Refused("CONNECT takes HOST:PORT")
    host, port = found[1].lower(), int(found[2])
    if not is_aws(host) and host not in reached:
        raise Refused(f"{place} is refused: a local run reaches nothing outside (docs/LOCAL.md)")
    if port != 443:
        raise Refused(f"{place} is refused: hosts are answered at port 443 only")
    return host


class Proxy:
    """Answers connections of programs of this machine."""

    def __init__(self, port, aws_port, authority, reached=(), beyond=None):
        self._port = port
        self._aws_port = aws_port
        self._authority = authority
        self._reached = frozenset(host.lower() for host in reached)
        self._beyond = beyond
        self._context = functools.lru_cache(maxsize=256)(self._make_context)

    def _make_context(self, host):
        """What TLS is spoken with for a host."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        self._authority.issue_cert(host).configure_cert(context)
        return context

    async def answer(self, reader, writer):
        """Answer one connection to its end."""
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            _log(f"a connection was lost: {error}")
        except TimeoutError:
            _log("a connection said nothing")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader, writer):
        async with asyncio.timeout(_HEAD_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        found = _REQUEST.fullmatch(first)
        method, place = found.groups() if found else ("", "")
        headers = [(n.strip().lower(), v.strip()) for n, _, v in (x.partition(":") for x in lines)]
        try:
            if method == "CONNECT":
                host = host_of_connect(place, self._reached)
            else:
                raise Refused(self._why_not(place, headers))
        except Refused as error:
            _log(str(error))
            return await self._refuse(reader, writer, headers, str(error))
        by_us = is_aws(host)
        _log(f"{host} is {'answered by the local AWS' if by_us else 'reached, as REACH has it'}")
        if by_us:
            there = await asyncio.open_connection("127.0.0.1", self._aws_port)
        else:
            there = await connect_outside(host, self._beyond)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            if by_us:
                await writer.start_tls(self._context(host))
            await _relay((reader, writer), there)
        finally:
            there[1].close()

    def _why_not(self, place, headers):
        """Why a request that does not ask for a connection is not passed on."""
        if place.startswith("/"):
            why = refusal(headers, self._port) or "it was sent to a proxy, which has no pages"
            return f"The request is refused: {why}"
        found = re.match(r"http://([A-Za-z0-9._:\[\]-]{1,260})", place)
        if not found:
            return "The request is refused: its first line is not HTTP's"
        if is_aws(found[1].partition(":")[0]):
            return f"{found[1]} is refused without TLS: ask by https"
        if found[1].lower() in self._reached:
            return f"{found[1]} is refused without TLS: REACH lets it be reached by https"
        return f"{found[1]} is refused: a local run reaches nothing outside (docs/LOCAL.md)"

    async def _refuse(self, reader, writer, headers, reason):
        """Say why, in the status line as well, since it is all that most clients show."""
        length = dict(headers).get("content-length", "")
        if length.isdecimal() and int(length) <= _LARGEST_REFUSED:
            # A connection that is closed with something unread takes the answer with it.
            async with asyncio.timeout(_HEAD_SECONDS):
                await reader.readexactly(int(length))
        body = f"{reason}.\n\n{CURE}\n".encode()
        writer.write(
            f"HTTP/1.1 403 {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        writer.write(body)
        await writer.drain()


async def connect_outside(host, beyond):
    """A connection to a host's port for HTTPS, by the proxy of this URL, if there is one."""
    if not beyond:
        return await asyncio.open_connection(host, 443)
    proxy = urllib.parse.urlsplit(beyond if "//" in beyond else f"http://{beyond}")
    reader, writer = await asyncio.open_connection(
        proxy.hostname, proxy.port or 80, ssl=proxy.scheme == "https" or None
    )
    head = f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n"
    if proxy.username:
        user, password = map(urllib.parse.unquote, (proxy.username, proxy.password or ""))
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        head += f"Proxy-Authorization: Basic {word}\r\n"
    writer.write(f"{head}\r\n".encode())
    await writer.drain()
    first = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode("latin-1")
    if first.split(" ")[1:2] != ["200"]:
        writer.close()
        raise OSError(f"the proxy {proxy.hostname} does not reach {host}: {first}")
    return reader, writer


async def _relay(one, other):
    """Give each side what the other says, until one hangs up."""

    async def copy(reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    ways = [
        asyncio.create_task(copy(one[0], other[1])),
        asyncio.create_task(copy(other[0], one[1])),
    ]
    done, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in left:
        way.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for way in done:
        way.result()


def _log(text):
    print(text, file=sys.stderr, flush=True)


def _machines_authorities():
    """The certificates that this machine's programs trust, as PEM."""
    named = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(named).read_bytes() if named and Path(named).is_file() else b""


async def serve(listener, aws_port, certificates, reached):
    """Answer on a listening socket until the process is ended."""
    authority = trustme.CA(organization_name="Pipewright, for one start of a local system")
    beyond = os.environ.get("HTTPS_PROXY")
    proxy = Proxy(listener.getsockname()[1], aws_port, authority, reached, beyond)
    server = await asyncio.start_server(proxy.answer, sock=listener)
    # Whole at once: that it is there says that this is ready.
    whole = certificates.with_suffix(".new")
    whole.write_bytes(authority.cert_pem.bytes() + _machines_authorities())
    whole.replace(certificates)
    await server.serve_forever()


def main():
    """Serve until SIGTERM."""
    listener, aws_port, certificates, *reached = sys.argv[1:]
    opened = socket.socket(fileno=int(listener))
    asyncio.run(serve(opened, int(aws_port), Path(certificates), reached))


if __name__ == "__main__":
    main()
