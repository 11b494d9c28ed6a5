"""Nothing of a local run reaches outside: AWS's own hosts are answered here, and all others are refused."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from ops import OpsError
from ops.local import proxy
from ops.local.system import ACCOUNT, REGION

FIXED = f"https://sts.{REGION}.amazonaws.com"
# What a program says of a fixed address of AWS, of S3's by a bucket's name, and of another host.
PROGRAM = f"""
import boto3, json, os, sys, urllib.request
for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
    del os.environ[name]
said = [boto3.client("sts", endpoint_url="{FIXED}").get_caller_identity()["Account"]]
s3, bucket = boto3.client("s3"), sys.argv[1]
s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"content")
said.append(s3.get_object(Bucket=bucket, Key="a b/ü")["Body"].read().decode())
said.append(s3.meta.endpoint_url)
for host in (sys.argv[2], "http://example.com/"):
    try:
        said.append(str(urllib.request.urlopen(host).status))
    except OSError as error:
        said.append(str(error))
print(json.dumps(said))
"""


@contextlib.contextmanager
def outside():
    """A server that stands for the internet, at an address that needs a proxy; gives its place and who came."""
    came = []
    with socket.create_server(("127.0.0.2", 0)) as server:

        def listen():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    came.append(connection.recv(1000))
                    connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield f"127.0.0.2:{server.getsockname()[1]}", came
        # Wakes the thread, whose socket is closed next.
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def bucket(bare_system):
    name = "asked-by-its-own-host"
    configuration = {"LocationConstraint": REGION}
    s3 = bare_system.client("s3")
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=configuration)
    return name


def test_awss_hosts_are_answered_here_and_others_refused(bare_system, bucket):
    """A program that asks one of AWS's own hosts is answered by the local AWS, and one that asks any
    other host is refused before anything is connected."""
    with outside() as (place, came):
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM, bucket, f"https://{place}/"],
            env={"PATH": os.defpath, **bare_system.environment()},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert process.returncode == 0, process.stderr
        account, content, endpoint, refused, plain = json.loads(process.stdout)
        assert came == []
    assert (account, content) == (ACCOUNT, "content")
    assert endpoint == f"https://s3.{REGION}.amazonaws.com"
    words = "is refused: a local run reaches nothing outside (docs/LOCAL.md)"
    assert f"403 {place} {words}" in refused
    assert f"403: example.com {words}" in plain


def test_a_request_that_is_not_signed_is_refused_there_too(bare_system):
    """What comes for a host of AWS needs the same signature as what comes for the local AWS itself."""
    code = f"import urllib.request; urllib.request.urlopen('{FIXED}/?Action=GetCallerIdentity')"
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.defpath, **bare_system.environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "HTTP Error 403: Forbidden" in process.stderr


def test_the_refusal_says_what_to_do(bare_system):
    environment = bare_system.environment()
    handler = urllib.request.ProxyHandler({"http": environment["HTTP_PROXY"]})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(handler).open("http://example.com/")
    text = refused.value.read().decode()
    for words in ("example.com", "AWS's hosts are answered", "requirements.txt", "environment.sh"):
        assert words in text


@pytest.mark.parametrize(
    "host", ["http://packages.example.com/x", "*", "localhost", "a b.example.com", ""]
)
def test_an_invalid_host_is_refused_before_anything_is_started(host):
    with pytest.raises(OpsError, match="REACH=.*: it must be the name of a host"):
        proxy.refuse_malformed(["packages.example.com", host])


@pytest.mark.parametrize(
    "place",
    [
        *("example.com:443", "amazonaws.com.example.com:443", "notamazonaws.com:443"),
        *("127.0.0.1:443", "[::1]:443", "s3.amazonaws.com:80", "s3.amazonaws.com", "a b:443", ""),
    ],
)
def test_only_awss_hosts_at_https_are_passed_on(place):
    with pytest.raises(proxy.Refused):
        proxy.host_of_connect(place)


def test_a_host_that_was_named_is_reached_by_the_callers_proxy():
    """A host that REACH names is reached, by the proxy of the caller's shell where there is one."""
    asked = []

    async def beyond(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async def ask():
        async with await asyncio.start_server(beyond, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"http://me:s%40@127.0.0.1:{port}"
            reader, writer = await proxy.connect_outside("packages.example.com", url)
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(ask()) == b"hello"
    assert asked[0].startswith("CONNECT packages.example.com:443 HTTP/1.1\r\n")
    word = base64.b64encode(b"me:s@").decode()
    assert f"Proxy-Authorization: Basic {word}\r\n" in asked[0]
    assert (
        proxy.host_of_connect("Packages.Example.com:443", {"packages.example.com"})
        == "packages.example.com"
    )
    for place in ("packages.example.com:80", "other.packages.example.com:443"):
        with pytest.raises(proxy.Refused):
            proxy.host_of_connect(place, {"packages.example.com"})


def test_hosts_of_every_partition_are_awss():
    for host in (
        *("sts.amazonaws.com", "STS.eu-west-1.AMAZONAWS.com", "b.s3.cn-north-1.amazonaws.com.cn"),
        "sts.eu-west-1.api.aws",
    ):
        assert proxy.host_of_connect(f"{host}:443") == host.lower()


def test_the_proxy_of_a_local_system_that_has_ended_is_forgotten():
    """What .local/environment.sh of an earlier system set is taken back, and a proxy of one's own is not."""
    ours = {**proxy.variables(1, "a.pem"), "PIPEWRIGHT_PROXY": "http://127.0.0.1:1", "HOME": "/"}
    proxy.forget(ours)
    assert ours == {"HOME": "/"}
    own = {"HTTPS_PROXY": "http://proxy:1", "SSL_CERT_FILE": "b.pem"}
    kept = {**own, "PIPEWRIGHT_PROXY": "http://127.0.0.1:1"}
    proxy.forget(kept)
    assert kept == own
