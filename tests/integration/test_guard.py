"""Who may call the servers of the running system: no page, no other user, and no caller by another name."""

import hashlib
import http.client
import json
import os
import re
import stat
import urllib.parse
from pathlib import Path

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness import BINARIES, System
from ops import ROOT
from ops.local import watchdog
from ops.local.system import ACCOUNT, REGION, STACK
from processing_job import AwsAlone

PROC = Path("/proc/net/tcp")
needs_proc = pytest.mark.skipif(not PROC.exists(), reason="only Linux lists the open ports here")


def open_ports(system):
    """The ports that the system's processes listen on."""
    leaders = {service.process.pid for service in system.supervisor.services}
    sockets = set()
    for pid in watchdog.members(leaders):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(file)
            except FileNotFoundError:
                continue
            sockets.update(re.findall(r"^socket:\[(\d+)\]$", target))
    ports = set()
    for table in (PROC, PROC.with_name("tcp6")):
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and rest[5] in sockets:
                address, port = local.split(":")
                # 127.0.0.1, in the order of this machine's bytes: no other machine gets so far.
                assert address == "0100007F", line
                ports.add(int(port, 16))
    return ports


def ask(port, method, path, headers, body=b"", host=None):
    """Send a request as it stands; gives the status, the headers and the body of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or f"127.0.0.1:{port}")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, named, answer.read()
    finally:
        connection.close()


PATHS = [
    "/",
    f"/2015-03-31/functions/{STACK}-start-execution/invocations",
    "/2018-06-01/runtime/invocation/next",
    "/_ministack/reset",
    "/latest/meta-data/iam/security-credentials/",
    "/some-bucket/some-key",
]


def of_a_page(origin="https://evil.example"):
    """What a browser sends for a page, with each of these headers alone as well."""
    yield {"Origin": origin, "Content-Type": "text/plain"}
    yield {"Origin": "null"}
    yield {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    yield {"Sec-Fetch-Site": "same-site"}


def refused(answer):
    """Whether an answer refuses, and tells a page nothing."""
    status, headers, body = answer
    assert status == 403, (status, body[:300])
    assert not [name for name in headers if name.startswith("access-control-")]
    return body


def attack(port):
    """Everything that somebody without the key may send."""
    for path in PATHS:
        for method in ("GET", "POST", "PUT", "DELETE"):
            for headers in of_a_page():
                assert b"page" in refused(ask(port, method, path, headers))
            for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"0.0.0.0:{port}"):
                assert b"Host" in refused(ask(port, method, path, {}, host=host))
        preflight = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "x-amz-target",
        }
        refused(ask(port, "OPTIONS", path, preflight))
        # Another user sends no such header.
        scope = f"test/20261130/{REGION}/s3/aws4_request"
        forged = "AWS4-HMAC-SHA256 Credential={}, SignedHeaders=host, Signature=0"
        query = (
            f"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={urllib.parse.quote(scope, '')}"
        )
        query += "&X-Amz-Date=20261130T000000Z&X-Amz-Expires=99999&X-Amz-SignedHeaders=host"
        for method in ("GET", "POST", "PUT", "OPTIONS"):
            refused(ask(port, method, path, {}))
            refused(ask(port, method, f"{path}{query}&X-Amz-Signature=0", {}))
            refused(
                ask(port, method, f"{path}?AWSAccessKeyId=test&Signature=0&Expires=9999999999", {})
            )
            for key in ("test", ACCOUNT):
                headers = {"Authorization": forged.format(scope.replace("test", key))}
                refused(ask(port, method, path, {**headers, "X-Amz-Date": "20261130T000000Z"}))
        refused(ask(port, "POST", path, {"X-Amz-Target": "SageMaker.ListPipelines"}, b"{}"))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        refused(ask(port, "POST", path, form, b"Action=ListUsers&Version=2010-05-08"))


@needs_proc
def test_no_page_no_other_user_and_no_other_name_gets_into_any_open_port(tmp_path):
    """What a page, a rebound name or another user sends is refused at every open port."""
    # Of its own, since ports come and go in one that other tests use.
    with System(tmp_path, BINARIES, ROOT / ".local" / "functions") as system:
        system.start()
        system.deploy()
        # Its runtime interface listens as long as it is warm.
        system.client("lambda").invoke(
            FunctionName=f"{STACK}-housekeeping", Payload=json.dumps({"dryRun": True}).encode()
        )
        ports = open_ports(system)
        known = {
            urllib.parse.urlsplit(url).port for url in (system.endpoint, system.sagemaker_endpoint)
        }
        assert known < ports, "there is a runtime interface as well"
        for port in ports:
            attack(port)


def test_without_rights_being_checked_the_key_is_needed_all_the_same(tmp_path):
    """Where `make local` does not check rights, requests without the key's signature are refused as well."""
    with AwsAlone(tmp_path, tmp_path, tmp_path / "cache", open_to_all=True) as aws:
        aws.start()
        attack(urllib.parse.urlsplit(aws.endpoint).port)
        assert aws.client("sts").get_caller_identity()["Account"] == ACCOUNT


def signed(url, service, key, headers, body=b"{}"):
    """The headers of a request that is signed with a system's key."""
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(key, service, REGION).add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"])
def test_a_good_signature_opens_nothing_to_a_page(bare_system, endpoint):
    """A page is refused though its request be signed."""
    environment = bare_system.environment()
    url = environment[endpoint] + "/"
    port = urllib.parse.urlsplit(url).port
    key = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    headers = {"X-Amz-Target": "SageMaker.ListPipelines"}
    headers = signed(url, "sagemaker", key, headers)
    status, answer, body = ask(port, "POST", "/", headers, b"{}")
    assert status == 200, body
    assert not [name for name in answer if name.startswith("access-control-")]
    for added in of_a_page():
        refused(ask(port, "POST", "/", {**headers, **added}, b"{}"))
    refused(ask(port, "POST", "/", headers, b"{}", host=f"evil.example:{port}"))
    # Changed, or with the secret of another start.
    refused(ask(port, "POST", "/", headers, b'{"MaxResults": 1}'))
    other = Credentials(key.access_key, "0" * 40)
    target = {"X-Amz-Target": "SageMaker.ListPipelines"}
    refused(ask(port, "POST", "/", signed(url, "sagemaker", other, target), b"{}"))


def test_a_refusal_is_an_error_of_the_service_that_was_called(bare_system):
    for service, call in {
        "s3": "list_buckets",
        "sts": "get_caller_identity",
        "dynamodb": "list_tables",
        "lambda": "list_functions",
        "sagemaker": "list_pipelines",
    }.items():
        client = boto3.client(
            service,
            endpoint_url=bare_system.environment()[
                "AWS_ENDPOINT_URL_SAGEMAKER" if service == "sagemaker" else "AWS_ENDPOINT_URL"
            ],
            region_name=REGION,
            aws_access_key_id="AKIAOFANOTHERSTART00",
            aws_secret_access_key="0" * 40,
            config=Config(proxies={}),
        )
        with pytest.raises(ClientError, match=r"another key with every start") as error:
            getattr(client, call)()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_key_that_the_emulator_makes_up_is_unknown(bare_system):
    for made_up in ("test", "999999999999"):
        client = boto3.client(
            "sts",
            endpoint_url=bare_system.environment()["AWS_ENDPOINT_URL"],
            region_name=REGION,
            aws_access_key_id=made_up,
            aws_secret_access_key=made_up,
            config=Config(proxies={}),
        )
        with pytest.raises(ClientError, match="is not known here"):
            client.get_caller_identity()


def test_a_functions_keys_do_not_follow_from_its_name(system):
    """The keys of a function's role cannot be computed from its name and its role's."""
    for function in system.client("lambda").list_functions()["Functions"]:
        digest = hashlib.sha256(
            f"{function['FunctionArn']}:{function['Role']}".encode()
        ).hexdigest()
        client = boto3.client(
            "sts",
            endpoint_url=system.endpoint,
            region_name=REGION,
            aws_access_key_id=f"ASIA{digest[:16].upper()}",
            aws_secret_access_key=hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
            aws_session_token=hashlib.sha256(f"token:{digest}".encode()).hexdigest(),
            config=Config(proxies={}),
        )
        with pytest.raises(ClientError, match="not known here"):
            client.get_caller_identity()


def test_only_an_answer_that_is_waited_for_needs_no_signature(bare_system):
    port = urllib.parse.urlsplit(bare_system.endpoint).port
    status, _, _ = ask(port, "GET", "/_ministack/health", {})
    assert status == 200
    for path in ("/_ministack/cfn-response/", "/_ministack/cfn-signal/"):
        refused(ask(port, "PUT", f"{path}00000000-0000-4000-8000-000000000000", {}, b"{}"))
        refused(ask(port, "PUT", path, {}, b"{}"))
    refused(ask(port, "POST", "/_ministack/health", {}))
    port = urllib.parse.urlsplit(bare_system.sagemaker_endpoint).port
    assert ask(port, "GET", "/_pipewright/health", {})[0] == 200
    refused(ask(port, "POST", "/_pipewright/health", {}))


def test_a_bucket_may_stand_before_the_host(bare_system):
    port = urllib.parse.urlsplit(bare_system.endpoint).port
    environment = bare_system.environment()
    key = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    for host in (f"a.bucket.localhost:{port}", f"LOCALHOST:{port}"):
        request = AWSRequest("GET", f"http://{host}/", headers={"Host": host})
        SigV4Auth(key, "s3", REGION).add_auth(request)
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        # Not refused by the guard, whatever S3 has to say.
        assert b"The request is refused" not in ask(port, "GET", "/", headers, host=host)[2]


def test_what_a_run_writes_is_its_owners_alone(bare_system):
    """Only its owner may enter the folder of a run, or read the file with its key."""
    assert stat.S_IMODE(bare_system.directory.stat().st_mode) == 0o700
    file = bare_system.directory / "environment.sh"
    with bare_system.announced(file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert bare_system.environment()["AWS_SECRET_ACCESS_KEY"] in file.read_text()


def test_every_start_has_another_key(bare_system, tmp_path):
    """The access key and its secret are made up anew with every start."""
    other = AwsAlone(tmp_path, tmp_path, tmp_path / "cache")
    with other:
        for one in ("_access_key", "_secret_key"):
            assert getattr(other, one) != getattr(bare_system, one)
    assert re.fullmatch("AKIA[A-Z2-7]{16}", other._access_key)
    assert re.fullmatch("[0-9a-f]{40}", other._secret_key)
