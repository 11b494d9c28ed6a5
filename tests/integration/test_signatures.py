"""Signatures as botocore makes them, verified, and every change of a request noticed."""

import contextlib
import dataclasses
import datetime
import urllib.parse

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from ops.local.aws import signatures
from ops.local.aws.signatures import Request, SignatureRefused

KEY = Credentials("AKIAEXAMPLE", "secret")
SESSION = Credentials("ASIAEXAMPLE", "of a session", "token")
BODY = b'{"a": 1}'
HOST = "127.0.0.1:4566"


def now():
    return datetime.datetime.now(datetime.UTC)


def request_of(method, url, headers=()):
    """What a server sees of a request."""
    split = urllib.parse.urlsplit(url)
    pairs = [(name.lower(), value) for name, value in headers]
    return Request(method, split.path or "/", split.query, (("host", split.netloc), *pairs))


def signed(service="dynamodb", credentials=KEY, path="/", body=BODY, method="POST", headers=None):
    """A signed request as a server sees it."""
    request = AWSRequest(method, f"http://{HOST}{path}", headers=headers or {}, data=body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(credentials, service, "eu-west-1").add_auth(request)
    prepared = request.prepare()
    return request_of(method, prepared.url, prepared.headers.items())


def judge(request, body=BODY, credentials=KEY, at=None):
    """Verify it all; raises where it is refused."""
    claim = signatures.claim_of(request)
    claim.check_head(request, at or now())
    assert claim.access_key == credentials.access_key
    assert claim.token == (credentials.token or "")
    claim.check(request, credentials.secret_key, body)


def presigned(version, method="get_object", credentials=KEY, seconds=3600, **more):
    """A presigned URL of boto3."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}",
        region_name="eu-west-1",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(signature_version=version, s3={"addressing_style": "path"}),
    )
    place = {"Bucket": "bucket", "Key": "a b/c+d=é.txt", **more}
    return client.generate_presigned_url(method, Params=place, ExpiresIn=seconds)


@contextlib.contextmanager
def refused(*codes):
    """That a request is refused with one of these codes."""
    with pytest.raises(SignatureRefused) as found:
        yield
    assert found.value.code in codes, str(found.value)


PATHS = ["/", "/a/b", "/a%20b/c%2Bd%3D%C3%A9.txt", "/a//b/../c", "/?x=1&a=%2F%20&a=&b"]


@pytest.mark.parametrize("credentials", [KEY, SESSION])
@pytest.mark.parametrize("service", ["dynamodb", "s3", "lambda"])
@pytest.mark.parametrize("path", PATHS)
def test_what_botocore_signs_is_verified(service, path, credentials):
    judge(signed(service, credentials, path), credentials=credentials)
    judge(signed(service, credentials, path, b"", "GET"), b"", credentials)
    repeated = signed(service, credentials, path, headers={"X-Amz-Meta-Text": "  é  two   words "})
    judge(repeated, credentials=credentials)


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_a_request_that_was_changed_since_it_was_signed_is_refused(service):
    """A request that was changed since it was signed is refused."""
    request = signed(service, path="/a?x=1", headers={"X-Amz-Target": "T.DescribeTable"})
    judge(request)
    changes = [{"method": "PUT"}, {"path": "/b"}, {"query": "x=2"}, {"query": "x=1&y"}]
    later = f"{now() + datetime.timedelta(seconds=9):%Y%m%dT%H%M%SZ}"
    for other in (("host", "localhost:4566"), ("x-amz-target", "T.Delete"), ("x-amz-date", later)):
        changed = [other if other[0] == pair[0] else pair for pair in request.headers]
        changes.append({"headers": tuple(changed)})
    for change in changes:
        with refused("SignatureDoesNotMatch"):
            judge(dataclasses.replace(request, **change))
    with refused("SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"):
        judge(request, b"{}")
    added = dataclasses.replace(request, headers=(*request.headers, ("x-amz-acl", "public-read")))
    with refused("AccessDenied"):
        judge(added)
    with refused("SignatureDoesNotMatch"):
        judge(request, credentials=Credentials(KEY.access_key, "another"))


@pytest.mark.parametrize("digest", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_body_whose_digest_the_sender_left_out_is_taken(digest):
    class Signer(S3SigV4Auth):
        def payload(self, request):
            return digest

    request = AWSRequest("PUT", f"http://{HOST}/bucket/key", data=BODY)
    Signer(KEY, "s3", "eu-west-1").add_auth(request)
    made = request_of("PUT", request.url, request.headers.items())
    judge(made, b"any other")
    # The choice itself is signed.
    other = tuple(
        (name, "x" if name == "x-amz-content-sha256" else value) for name, value in made.headers
    )
    with refused("XAmzContentSHA256Mismatch"):
        judge(dataclasses.replace(made, headers=other))


def test_a_signature_is_good_for_15_minutes():
    request = signed()
    for minutes, good in ((14, True), (-14, True), (16, False), (-16, False)):
        at = now() + datetime.timedelta(minutes=minutes)
        if good:
            judge(request, at=at)
        else:
            with refused("RequestTimeTooSkewed"):
                judge(request, at=at)


@pytest.mark.parametrize("credentials", [KEY, SESSION])
@pytest.mark.parametrize("version", [None, "s3v4"])
def test_a_presigned_url_is_good_for_what_it_names_until_it_expires(version, credentials):
    """A presigned URL is good for what it names, until it expires."""
    url = presigned(version, credentials=credentials, seconds=60)
    request = request_of("GET", url)
    judge(request, b"", credentials)
    judge(request_of("PUT", presigned(version, "put_object")), b"whatever is sent")
    owned = presigned(version, ExpectedBucketOwner="123456789012")
    owner = [] if version is None else [("x-amz-expected-bucket-owner", "123456789012")]
    judge(request_of("GET", owned, owner), b"")
    with refused("AccessDenied"):
        judge(request, b"", credentials, now() + datetime.timedelta(seconds=62))
    with refused("SignatureDoesNotMatch"):
        judge(request_of("PUT", url), b"", credentials)
    with refused("SignatureDoesNotMatch"):
        judge(request_of("GET", url.replace("/bucket/", "/other/")), b"", credentials)
    with refused("SignatureDoesNotMatch", "IncompleteSignature"):
        judge(request_of("GET", f"{url}&Action=ListUsers"), b"", credentials)
    with refused("SignatureDoesNotMatch", "AccessDenied"):
        judge(
            request_of("GET", url, [("X-Amz-Target", "SageMaker.ListPipelines")]), b"", credentials
        )
    for parts in ([0], [1], [0, 1]):
        query = urllib.parse.urlsplit(url).query.split("&")
        cut = "&".join(part for number, part in enumerate(query) if number not in parts)
        with refused("MissingAuthenticationToken", "IncompleteSignature", "SignatureDoesNotMatch"):
            judge(dataclasses.replace(request, query=cut), b"", credentials)


def test_a_presigned_url_takes_no_form_which_names_another_operation():
    """A presigned URL for S3 takes no form, in whose body an operation of another service could stand."""
    request = request_of("POST", presigned("s3v4", "create_multipart_upload"))
    judge(request, b"")
    kind = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
    with refused("SignatureDoesNotMatch"):
        judge(
            dataclasses.replace(request, headers=(*request.headers, (kind[0].lower(), kind[1]))),
            b"Action=CreateUser&UserName=mallory",
        )


def test_a_presigned_url_is_good_for_7_days_at_most():
    request = request_of("GET", presigned("s3v4", seconds=604_800))
    judge(request, b"", at=now() + datetime.timedelta(days=6, hours=23))
    with refused("AccessDenied"):
        judge(request, b"", at=now() + datetime.timedelta(days=7, minutes=1))


def test_a_signature_that_cannot_be_read_is_refused():
    good = signed()
    header = good.header("authorization")
    for wrong in (
        *(
            "AWS AKIAEXAMPLE:c2ln",
            "Bearer x",
            "",
            "AWS4-HMAC-SHA256",
            header.replace("aws4", "aws5"),
        ),
        *(header.replace("SHA256", "SHA512"), header.split(",")[0], f"{header}, Signature="),
    ):
        others = [pair for pair in good.headers if pair[0] != "authorization"]
        with refused("IncompleteSignature"):
            judge(dataclasses.replace(good, headers=(*others, ("authorization", wrong))))
    for twice in ("authorization", "x-amz-date"):
        pair = (twice, good.header(twice))
        with refused("IncompleteSignature"):
            judge(dataclasses.replace(good, headers=(*good.headers, pair)))
    # Whose key would count?
    for query in ("X-Amz-Credential=test", "x-amz-signature=0", "AWSAccessKeyId=test"):
        with refused("IncompleteSignature"):
            judge(dataclasses.replace(good, query=query))
    with refused("MissingAuthenticationToken"):
        judge(request_of("GET", f"http://{HOST}/?Action=ListUsers"))
