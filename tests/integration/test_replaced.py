"""Definitions, scripts and code are not replaced in their place, and found out where they were."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ops import target as targets
from ops.local.system import REGION, STACK
from ops.stack.verify import verify


@pytest.fixture(scope="module")
def somebody(system):
    """S3 as an identity of the account sees it that may do anything there."""
    iam = system.client("iam")
    iam.create_user(UserName="somebody")
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="somebody", PolicyName="all", PolicyDocument=document)
    key = iam.create_access_key(UserName="somebody")["AccessKey"]
    return boto3.client(
        "s3",
        endpoint_url=system.endpoint,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def parts(uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


OUTPUTS = ["PipelineDefinitionS3Uri", "ExecutorS3Uri"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_definition_and_a_script_are_not_written_over(system, somebody, output):
    """What lies under the digest of its content in the pipeline bucket cannot be written over, whatever the rights."""
    there = parts(system.outputs[output])
    before = somebody.get_object(**there)["Body"].read()
    with pytest.raises(ClientError, match="AccessDenied"):
        somebody.put_object(**there, Body=b"#!/bin/sh")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        somebody.put_object(**there, Body=b"#!/bin/sh", IfNoneMatch="*")
    assert somebody.get_object(**there)["Body"].read() == before
    # Nor by a copy, nor in parts, nor in a pipeline of one's own.
    copied = {"Bucket": there["Bucket"], "Key": "elsewhere"}
    somebody.put_object(**copied, Body=b"#!/bin/sh")
    with pytest.raises(ClientError, match="AccessDenied"):
        somebody.copy_object(**there, CopySource=copied)
    upload = {**there, "UploadId": somebody.create_multipart_upload(**there)["UploadId"]}
    tag = somebody.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    whole = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    with pytest.raises(ClientError, match="AccessDenied"):
        somebody.complete_multipart_upload(**upload, MultipartUpload=whole)
    somebody.abort_multipart_upload(**upload)
    own = {"Bucket": there["Bucket"], "Key": f"pipelines/mine/code/{output}/train.py"}
    somebody.put_object(**own, Body=b"mine", IfNoneMatch="*")
    with pytest.raises(ClientError, match="AccessDenied"):
        somebody.put_object(**own, Body=b"another's")


@pytest.mark.parametrize("output", OUTPUTS)
def test_verify_names_what_was_deleted_and_written_anew(system, somebody, output):
    """`make verify` compares definition, script and functions' code with their digests and names what differs."""
    target, there = targets.of_system(system), parts(system.outputs[output])
    before = somebody.get_object(**there)["Body"].read()

    def faults():
        needed, _ = verify(target, STACK, system.outputs)
        # The image was not pushed here.
        return {each.what: each.fault for each in needed if each.fault and "image" not in each.what}

    assert faults() == {}
    somebody.delete_object(**there)
    # The other branch of what is compared: a definition must still be one.
    changed = before + b"\n"
    somebody.put_object(**there, Body=changed, IfNoneMatch="*")
    found = faults()
    (named,) = (what for what in found if system.outputs[output] in what)
    assert "has the digest" in found[named]
    somebody.delete_object(**there)
    somebody.put_object(**there, Body=before, IfNoneMatch="*")
    assert faults() == {}


def test_the_functions_code_is_held_against_the_stack(system):
    checks = [each for each in verify(targets.of_system(system), STACK, system.outputs)[0]]
    named = {each.what for each in checks if each.what.startswith("code of ")}
    assert named == {
        f"code of {STACK}-{function}"
        for function in (
            "housekeeping",
            "pipeline-definition",
            "pipeline-events",
            "start-execution",
        )
    }
