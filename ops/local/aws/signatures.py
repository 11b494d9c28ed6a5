"""Verifies AWS's signatures: of version 4, in the header or in a presigned URL, and boto3's older URLs.

What a signature must be is computed by botocore's own signers, from the parts of the request that it
says it covers: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

import dataclasses
import datetime
import hashlib
import hmac
import re
import urllib.parse

from botocore.auth import HmacV1Auth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
# S3's limits; other services allow less.
LARGEST_SKEW = datetime.timedelta(minutes=15)
LONGEST_PRESIGNED = datetime.timedelta(days=7)

_TIME = "%Y%m%dT%H%M%SZ"
# What a presigned URL has in its query, and a signed request must not have there.
_QUERY_NAMES = {
    *("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires"),
    *("x-amz-security-token", "x-amz-signature", "x-amz-signedheaders", "awsaccesskeyid"),
}
_UNSIGNED = "UNSIGNED-PAYLOAD"
# What stands for a body's digest where none was made: the sender's choice, which the signature covers.
_NO_DIGESTS = {_UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
# What stands for it where each chunk of the body has a signature of its own, as those of the SDK for Rust.
_IN_CHUNKS = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
}
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8});chunk-signature=([0-9a-f]{64})\r\n")
_TRAILER = re.compile(
    rb"((?:[a-z0-9-]+:[^\r\n]*\r\n)*)x-amz-trailer-signature:([0-9a-f]{64})\r\n(?:\r\n)?"
)
# boto3 signs it as a header and puts it into the query.
_BUCKET_OWNER = "x-amz-expected-bucket-owner"
# What the query of an older presigned URL may hold, besides what its signature covers.
_OF_VERSION_2 = frozenset(
    (
        "AWSAccessKeyId",
        "Expires",
        "Signature",
        "x-amz-security-token",
        _BUCKET_OWNER,
        "content-md5",
        "content-type",
    )
)
# The SDKs sign none of these, as a proxy may change them.
_NEVER_SIGNED = {"x-amz-user-agent"}


class SignatureRefused(Exception):
    """A request is not signed, or not by a key that is known here; `code` is AWS's for it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Request:
    """A request's head as it was sent."""

    method: str
    path: str
    """Percent-encoded, without the query."""
    query: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""

    def header(self, name):
        """The value of a header; None where there is none or several."""
        found = [value for each, value in self.headers if each == name]
        return found[0] if len(found) == 1 else None

    @property
    def parameters(self):
        """Names and values of the query, decoded, as often as they are there."""
        pairs = [part.partition("=") for part in self.query.split("&") if part]
        return [
            (urllib.parse.unquote(name), urllib.parse.unquote(value)) for name, _, value in pairs
        ]


def _incomplete(what):
    return SignatureRefused("IncompleteSignature", f"The request's signature is incomplete: {what}")


def _compare(expected, given):
    """Refuse a signature that is another."""
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise SignatureRefused(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided",
        )


def _scope(credential):
    """Access key, date, region and service of a credential scope."""
    *scope, last = credential.split("/")
    if len(scope) != 4 or last != "aws4_request" or not all(scope):
        raise _incomplete(f"'{credential}' is no KEY/DATE/REGION/SERVICE/aws4_request")
    return scope


@dataclasses.dataclass(frozen=True)
class Version4:
    """What a request says of its signature of version 4."""

    access_key: str
    timestamp: str
    date: str
    region: str
    service: str
    signed_headers: frozenset[str]
    signature: str
    token: str
    expires: int | None
    """Seconds that a presigned URL is good for; None for a signature in the header."""

    @classmethod
    def of_query(cls, request):
        """Read from a presigned URL."""
        values = dict(request.parameters)
        if len(values) != len(request.parameters):
            raise _incomplete("a name stands twice in the query")
        names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
        try:
            algorithm, credential, timestamp, expires, headers, signature = (
                values[f"X-Amz-{name}"] for name in names
            )
        except KeyError as error:
            raise _incomplete(f"the query lacks {error.args[0]}") from error
        if algorithm != ALGORITHM:
            raise _incomplete(f"its algorithm is '{algorithm}' instead of {ALGORITHM}")
        if not re.fullmatch("[0-9]{1,6}", expires):
            raise _incomplete(f"X-Amz-Expires is '{expires}' instead of a number of seconds")
        key, *scope = _scope(credential)
        token = values.get("X-Amz-Security-Token", "")
        return cls(
            key, timestamp, *scope, frozenset(headers.split(";")), signature, token, int(expires)
        )

    @classmethod
    def of_header(cls, request, authorization):
        """Read from the header Authorization."""
        if any(name.lower() in _QUERY_NAMES for name, _ in request.parameters):
            raise _incomplete("there is one in the header and one in the query")
        algorithm, _, rest = authorization.partition(" ")
        if algorithm != ALGORITHM:
            raise _incomplete(f"its algorithm is '{algorithm}' instead of {ALGORITHM}")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        for name in ("Credential", "SignedHeaders", "Signature"):
            if not fields.get(name):
                raise _incomplete(f"the header Authorization lacks {name}")
        timestamp = request.header("x-amz-date")
        if timestamp is None:
            raise _incomplete("there is no header X-Amz-Date, or several")
        key, *scope = _scope(fields["Credential"])
        headers = frozenset(fields["SignedHeaders"].split(";"))
        token = request.header("x-amz-security-token") or ""
        return cls(key, timestamp, *scope, headers, fields["Signature"], token, None)

    def check_head(self, request, now):
        """Refuse what is refused whatever the body is."""
        try:
            signed = datetime.datetime.strptime(self.timestamp, _TIME).replace(tzinfo=datetime.UTC)
        except ValueError as error:
            raise _incomplete(f"X-Amz-Date is '{self.timestamp}' instead of {_TIME}") from error
        if self.date != self.timestamp[:8]:
            raise _incomplete(f"it is of {self.date}, and X-Amz-Date is {self.timestamp}")
        latest = signed + LARGEST_SKEW
        if self.expires is not None:
            latest = signed + min(datetime.timedelta(seconds=self.expires), LONGEST_PRESIGNED)
        if now > latest:
            code = "RequestTimeTooSkewed" if self.expires is None else "AccessDenied"
            raise SignatureRefused(code, f"Request has expired: it was good until {latest:{_TIME}}")
        if now < signed - LARGEST_SKEW:
            raise SignatureRefused(
                "RequestTimeTooSkewed", f"Signature not yet current: it is of {self.timestamp}"
            )
        # Headers that mean something to AWS, and that somebody may have added on the way.
        for name, _ in request.headers:
            must = name == "host" or (name.startswith("x-amz-") and name not in _NEVER_SIGNED)
            if must and name not in self.signed_headers:
                raise SignatureRefused(
                    "AccessDenied", f"The header {name} is there and is not signed"
                )

    def check(self, request, secret, body):
        """Refuse a request that was not signed with the secret, or was changed since."""
        made = AWSRequest(
            request.method,
            f"http://host{request.path}",
            params=[pair for pair in request.parameters if pair[0] != "X-Amz-Signature"],
        )
        for name, value in request.headers:
            made.headers[name] = value
        if "x-amz-content-sha256" not in made.headers:
            # The signer takes the body's digest from this header; it signs it only if it is named.
            made.headers["x-amz-content-sha256"] = self._digest(request, body)
        else:
            self._digest(request, body)
        made.context["timestamp"] = self.timestamp
        signer = self._signer()(Credentials(self.access_key, secret), self.service, self.region)
        text = signer.string_to_sign(made, signer.canonical_request(made))
        _compare(signer.signature(text, made), self.signature)
        if request.header("x-amz-content-sha256") in _IN_CHUNKS:
            self._check_chunks(signer, made, body)

    def _check_chunks(self, signer, made, body):
        """Refuse a body of which a chunk, or what follows the last one, was changed.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
        """
        previous = self.signature

        def follow(kind, signature, *parts):
            """Compare the signature that follows on the previous one."""
            head = (f"{ALGORITHM}-{kind}", self.timestamp, signer.credential_scope(made), previous)
            digests = (hashlib.sha256(part).hexdigest() for part in parts)
            _compare(signer.signature("\n".join((*head, *digests)), made), signature)
            return signature

        at, size = 0, None
        while size != 0:
            found = _CHUNK.match(body, at)
            size = int(found[1], 16) if found else 0
            if not found or found.end() + size > len(body):
                raise _incomplete("its body has a chunk without a signature")
            chunk = body[found.end() : found.end() + size]
            previous = follow("PAYLOAD", found[2].decode(), b"", chunk)
            at = found.end() + size
            if size and body[at : at + 2] != b"\r\n":
                raise _incomplete("its body has a chunk without an end")
            at += 2 if size else 0
        if body[at:] == b"\r\n":
            return
        found = _TRAILER.fullmatch(body, at)
        if not found:
            raise _incomplete("what follows its body is not signed")
        follow("TRAILER", found[2].decode(), found[1].replace(b"\r\n", b"\n"))

    def _refuse_unsigned_form(self, request):
        """The local AWS takes the operation, of any service, from a form's body: none that isn't signed counts."""
        form = any(
            name == "content-type" and "x-www-form-urlencoded" in value.lower()
            for name, value in request.headers
        )
        if form and "content-type" not in self.signed_headers:
            raise SignatureRefused(
                "SignatureDoesNotMatch",
                "The request's body is a form, and neither it nor its Content-Type is signed",
            )

    def _digest(self, request, body):
        """What stands for the body in what is signed."""
        declared = request.header("x-amz-content-sha256")
        if declared is None and self.expires is not None and self.service == "s3":
            declared = _UNSIGNED
        if declared in _NO_DIGESTS:
            self._refuse_unsigned_form(request)
        if declared in _NO_DIGESTS | _IN_CHUNKS:
            return declared
        actual = hashlib.sha256(body).hexdigest()
        if declared not in (None, actual):
            raise SignatureRefused(
                "XAmzContentSHA256Mismatch",
                f"X-Amz-Content-SHA256 is '{declared}', and the body's SHA-256 is {actual}",
            )
        return actual

    def _signer(self):
        names = self.signed_headers

        class Signer(S3SigV4Auth if self.service == "s3" else SigV4Auth):
            def headers_to_sign(self, request):
                chosen = HTTPHeaders()
                for name, value in request.headers.items():
                    if name in names:
                        chosen[name] = value
                return chosen

            def canonical_query_string(self, request):
                return self._canonical_query_string_params(request.params)

        return Signer


@dataclasses.dataclass(frozen=True)
class PresignedByVersion2:
    """What a presigned URL of S3 says that boto3 made without being told a version."""

    access_key: str
    expires: str
    signature: str
    token: str

    @classmethod
    def of_query(cls, request):
        """Read from the URL."""
        values = dict(request.parameters)
        if len(values) != len(request.parameters):
            raise _incomplete("a name stands twice in the query")
        if not re.fullmatch("[0-9]{1,12}", values.get("Expires", "")):
            raise _incomplete("Expires is not a number of seconds since 1970")
        if not values.get("Signature"):
            raise _incomplete("the query lacks Signature")
        token = values.get("x-amz-security-token", "")
        return cls(values["AWSAccessKeyId"], values["Expires"], values["Signature"], token)

    def check_head(self, request, now):
        """Refuse a URL that is not good any more."""
        if now.timestamp() > int(self.expires):
            raise SignatureRefused("AccessDenied", "Request has expired")
        # This version leaves the rest of the query out, where another service's action may stand.
        known = _OF_VERSION_2.union(HmacV1Auth.QSAOfInterest)
        if unknown := [name for name, _ in request.parameters if name not in known]:
            raise _incomplete(f"{unknown[0]} stands in the query, which version 2 does not sign")

    def check(self, request, secret, body):
        """Refuse a URL that was not signed with the secret, or was changed since."""
        expires = self.expires

        class Signer(HmacV1Auth):
            def _get_date(self):
                return expires

        headers = HTTPHeaders()
        owner = [pair for pair in request.parameters if pair[0] == _BUCKET_OWNER]
        for name, value in (*request.headers, *owner):
            headers[name] = value
        # A bucket may stand before the host instead of in the path.
        name = (request.header("host") or "").rpartition(":")[0]
        bucket = name.removesuffix(".localhost") if name.endswith(".localhost") else None
        path = f"/{bucket}{request.path}" if bucket else request.path
        signer = Signer(Credentials(self.access_key, secret, self.token or None))
        url = urllib.parse.urlsplit(f"http://host{request.path}?{request.query}")
        made = signer.get_signature(request.method, url, headers, auth_path=path)
        _compare(made, self.signature)


def claim_of(request):
    """What the request says of its signature; raises SignatureRefused where it has none."""
    authorization = request.header("authorization")
    if authorization is not None:
        return Version4.of_header(request, authorization)
    if any(name == "authorization" for name, _ in request.headers):
        raise _incomplete("there are several headers Authorization")
    names = dict(request.parameters)
    if "X-Amz-Signature" in names:
        return Version4.of_query(request)
    if "AWSAccessKeyId" in names:
        return PresignedByVersion2.of_query(request)
    raise SignatureRefused("MissingAuthenticationToken", "The request is not signed")
