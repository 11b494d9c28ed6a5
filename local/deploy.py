"""Deploying the SAM template to the local AWS, through CloudFormation alone.

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
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import yaml
from botocore.exceptions import ClientError

ARTIFACTS_BUCKET = "local-artifacts"
# cargo-lambda leaves what it builds for AWS under this path.
_BUILT_FUNCTIONS = "target/lambda/"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class DeploymentFailed(Exception):
    """CloudFormation gave up; the message has the reason of every failed resource."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, and dates left as text."""


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_template(text):
    """A CloudFormation template in YAML, short forms written out."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


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
        # Fixed time: the same binary gives the same zip, so nothing is redeployed.
        entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compresslevel=1) as archive:
            archive.writestr(entry, bootstrap.read_bytes())
        content = buffer.getvalue()
        unfinished = Path(directory, "zip")
        unfinished.write_bytes(content)
        for outdated in cache.glob(f"{binary.name}-*.zip"):
            outdated.unlink(missing_ok=True)
        os.replace(unfinished, path)
    return content


@dataclasses.dataclass
class Deployer:
    """Deploys through CloudFormation; `client` gives a boto3 client by its service's name."""

    client: Callable[[str], object]

    def __post_init__(self):
        self._cloudformation = self.client("cloudformation")

    def deploy_template(self, stack, template, parameters, progress=lambda event: None):
        """As deploy, with a small parsed template that goes along with the request."""
        # Fixed separators: CloudFormation counts the bytes, at most 51,200.
        body = {"TemplateBody": json.dumps(template, separators=(",", ":"))}
        return self._deploy(stack, body, parameters, progress, 120.0)

    def deploy(self, stack, template_url, parameters, progress=lambda event: None, timeout=120.0):
        """Create or update the stack and wait; give its outputs, those of nested stacks too.

        `progress` is called with every stack event, nested stacks' included.
        Raises DeploymentFailed when the stack did not reach its new state.
        """
        return self._deploy(stack, {"TemplateURL": template_url}, parameters, progress, timeout)

    def _deploy(self, stack, template, parameters, progress, timeout):
        request = {
            "StackName": stack,
            **template,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            "Capabilities": _CAPABILITIES,
        }
        exists = any(found["StackName"] == stack for found in self._stacks())
        seen = {event["EventId"] for event in self._events(stack)} if exists else set()
        try:
            if exists:
                self._cloudformation.update_stack(**request)
            else:
                self._cloudformation.create_stack(**request)
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return self.outputs(stack)
            raise DeploymentFailed(error.response["Error"]["Message"]) from error
        failures = []
        deadline = time.monotonic() + timeout
        while True:
            description = self._cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            for event in self._events(stack):
                if event["EventId"] in seen:
                    continue
                seen.add(event["EventId"])
                if event["ResourceStatus"].endswith("_FAILED"):
                    failures.append(event)
                progress(event)
            status = description["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                break
            if time.monotonic() > deadline:
                raise DeploymentFailed(f"stack {stack} is still {status} after {timeout:.0f} s")
            time.sleep(0.1)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            reasons = "".join(
                f"\n  {event['StackName']} {event['LogicalResourceId']} "
                f"({event['ResourceType']}): {event['ResourceStatusReason']}"
                for event in failures
                if event.get("ResourceStatusReason")
            )
            raise DeploymentFailed(f"stack {stack} ended as {status}:{reasons}")
        return self.outputs(stack)

    def outputs(self, stack):
        """The outputs of the stack and of its nested stacks by name."""
        return {
            output["OutputKey"]: output["OutputValue"]
            for found in self._family(stack)
            for output in found.get("Outputs", [])
        }

    def _stacks(self):
        pages = self._cloudformation.get_paginator("describe_stacks").paginate()
        return [found for page in pages for found in page["Stacks"]]

    def _family(self, stack):
        """The nested stacks of the stack, then itself."""
        # By name, `<stack>-<logical id>-<random>`: ministack tells no ParentId.
        stacks = self._stacks()
        nested = [found for found in stacks if found["StackName"].startswith(f"{stack}-")]
        return nested + [found for found in stacks if found["StackName"] == stack]

    def _events(self, stack):
        """All events of the stack and its nested stacks, oldest first."""
        events = []
        for found in self._family(stack):
            pages = self._cloudformation.get_paginator("describe_stack_events")
            for page in pages.paginate(StackName=found["StackId"]):
                events.extend(page["StackEvents"])
        # ministack gives newest first and times to the second: reverse, then sort stably.
        return sorted(reversed(events), key=lambda event: event["Timestamp"])


@dataclasses.dataclass
class Packager:
    """Puts what one checkout's template refers to where CloudFormation finds it."""

    client: Callable[[str], object]
    region: str
    endpoint: str
    root: Path
    binaries: Path
    cache: Path

    def __post_init__(self):
        self._s3 = self.client("s3")

    def _upload(self, prefix, suffix, content):
        key = f"{prefix}/{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        self._s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=content)
        return key

    def package(self, edit=None):
        """Upload what the template refers to and the template itself; give its URL.

        `edit` may change the parsed templates before they are uploaded: it is
        called with each one's path in the checkout and its content.
        """
        with contextlib.suppress(self._s3.exceptions.BucketAlreadyOwnedByYou):
            self._s3.create_bucket(
                Bucket=ARTIFACTS_BUCKET,
                CreateBucketConfiguration={"LocationConstraint": self.region},
            )
        return self._package_template(Path("template.yaml"), edit)

    def _package_template(self, path, edit):
        template = parse_template((self.root / path).read_text())
        if edit:
            edit(path.as_posix(), template)
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::Serverless::Function":
                properties["CodeUri"] = self._function_code(name, properties["CodeUri"])
            elif resource["Type"] == "AWS::CloudFormation::Stack":
                nested = path.parent / properties["TemplateURL"]
                properties["TemplateURL"] = self._package_template(nested, edit)
        content = json.dumps(template).encode()
        return f"{self.endpoint}/{ARTIFACTS_BUCKET}/{self._upload('templates', '.json', content)}"

    def _function_code(self, name, code_uri):
        if not code_uri.startswith(_BUILT_FUNCTIONS):
            raise DeploymentFailed(
                f"function {name} has CodeUri {code_uri}; expected {_BUILT_FUNCTIONS}<function>/"
            )
        function = code_uri.removeprefix(_BUILT_FUNCTIONS).rstrip("/")
        binary = self.binaries / function
        if not binary.is_file():
            raise DeploymentFailed(f"{binary} does not exist; build it with `cargo build`")
        key = self._upload(f"functions/{function}", ".zip", package_function(binary, self.cache))
        return {"Bucket": ARTIFACTS_BUCKET, "Key": key}
