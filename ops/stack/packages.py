"""What a template refers to, put where CloudFormation finds it: functions' code and nested templates.

The template is taken as it is; only what `sam package` would resolve as well is
resolved: a function's local CodeUri becomes a zip in S3 and a nested stack's
local TemplateURL the URL of its upload.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import ClientError

from ops import OpsError
from ops.stack.template import parse_template

# cargo-lambda leaves what it builds for AWS under this path.
_BUILT_FUNCTIONS = "target/lambda/"
_STACK = "AWS::CloudFormation::Stack"

# How often a write is tried again while another one to the same key is under way.
_WRITES_AT_ONCE = 5


def zip_function(bootstrap):
    """The zip that deploys a function, of its program's bytes.

    The time in it is fixed: the same program gives the same zip, so nothing is deployed again.
    """
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compresslevel=1) as archive:
        archive.writestr(entry, bootstrap)
    return buffer.getvalue()


def package_function(binary, cache):
    """The zip that deploys a compiled function, as bytes.

    The binary goes in stripped and by the name `bootstrap`. The result is kept
    in the directory `cache` until the binary changes.
    """
    state = binary.stat()
    path = cache / f"{binary.name}-{state.st_mtime_ns}-{state.st_size}.zip"
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        bootstrap = Path(directory, "bootstrap")
        if shutil.which("strip"):
            subprocess.run(["strip", "-o", bootstrap, binary], check=True)
        else:
            shutil.copyfile(binary, bootstrap)
        content = zip_function(bootstrap.read_bytes())
        unfinished = Path(directory, "zip")
        unfinished.write_bytes(content)
        for outdated in cache.glob(f"{binary.name}-*.zip"):
            outdated.unlink(missing_ok=True)
        os.replace(unfinished, path)
    return content


@dataclasses.dataclass
class Packager:
    """Puts what one checkout's template refers to where CloudFormation finds it.

    `code` gives a function's zip, as bytes, by the function's name.
    """

    client: Callable[[str], object]
    root: Path
    bucket: str
    code: Callable[[str], bytes]

    def __post_init__(self):
        self._s3 = self.client("s3")

    def _upload(self, prefix, suffix, content):
        key = f"{prefix}/{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        put_once(self._s3, self.bucket, key, content)
        return key

    def package(self, edit=None):
        """Upload what the template refers to and the template itself; give its URL.

        `edit` may change the parsed templates before they are uploaded: it is
        called with each one's path in the checkout and its content.
        """
        return self._package_template(Path("template.yaml"), edit)

    def _package_template(self, path, edit):
        template = parse_template((self.root / path).read_text())
        if edit:
            edit(path.as_posix(), template)
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::Serverless::Function":
                function = function_of(name, properties["CodeUri"])
                key = self._upload(f"functions/{function}", ".zip", self.code(function))
                properties["CodeUri"] = {"Bucket": self.bucket, "Key": key}
            elif resource["Type"] == _STACK:
                nested = path.parent / properties["TemplateURL"]
                properties["TemplateURL"] = self._package_template(nested, edit)
        content = json.dumps(template).encode()
        key = self._upload("templates", ".json", content)
        # In the form that CloudFormation takes in every partition, and `sam package` uses.
        return f"{self._s3.meta.endpoint_url}/{self.bucket}/{key}"


def put_once(s3, bucket, key, content):
    """Write an object whose key has the digest of its content; nothing to do where it is there.

    Raises OpsError where something else is there under that key.
    """
    for _ in range(_WRITES_AT_ONCE):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
            return
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "PreconditionFailed":
                break
            if code != "ConditionalRequestConflict":
                raise
    if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != content:
        raise OpsError(
            f"s3://{bucket}/{key} holds something else than the digest in its name says: somebody "
            "replaced it. Find out who did, delete it, and deploy again"
        )


def function_of(name, code_uri):
    """The name of the function whose code is at a CodeUri; `name` is the resource's."""
    if not code_uri.startswith(_BUILT_FUNCTIONS):
        raise OpsError(
            f"function {name} has CodeUri {code_uri}; expected {_BUILT_FUNCTIONS}<function>/"
        )
    return code_uri.removeprefix(_BUILT_FUNCTIONS).rstrip("/")


def debug_function(binaries, cache, function):
    """The zip of a function that `cargo build` compiled for this machine."""
    binary = binaries / function
    if not binary.is_file():
        raise OpsError(f"{binary} does not exist; build it with `cargo build`")
    return package_function(binary, cache)
