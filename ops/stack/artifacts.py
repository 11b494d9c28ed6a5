"""The bucket that CloudFormation reads code and templates from.

Nothing in it expires: a stack that rolls back needs the code that it had. Its keys have the digest
of what they hold, so nothing in it is ever written twice.
"""

import json

from botocore.exceptions import ClientError

from ops import OpsError
from ops.stack.ownership import STACK_TAG, as_tags, tags_of

# What is kept under the digest of its content.
PREFIXES = ("functions", "templates")

_PRIVATE = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}


_OWNED = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def policy(partition, bucket):
    """The bucket's policy: TLS only, and what is there is not written over.

    A write says that nothing may be under its key yet (If-None-Match). Parts of an upload cannot;
    its completion must.
    """
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Sid": "NothingIsWrittenOver",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": [f"{arn}/{prefix}/*" for prefix in PREFIXES],
                "Condition": {
                    "Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            },
        ],
    }


def _tags(prefix):
    return {STACK_TAG: prefix, "pipewright:part": "artifacts"}


def _absent_as(default, code, call, **arguments):
    """What a call gives, or the default where there is nothing to give."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return default


def found_tags(s3, bucket):
    """The tags of a bucket as a dict."""
    absent = {"TagSet": []}
    return tags_of(
        _absent_as(absent, "NoSuchTagSet", s3.get_bucket_tagging, Bucket=bucket)["TagSet"]
    )


def _found_policy(s3, bucket):
    absent = {"Policy": "null"}
    found = _absent_as(absent, "NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    return json.loads(found["Policy"])


def _found_block(s3, bucket):
    absent = {"PublicAccessBlockConfiguration": {}}
    found = _absent_as(
        absent,
        "NoSuchPublicAccessBlockConfiguration",
        s3.get_public_access_block,
        Bucket=bucket,
    )
    return found["PublicAccessBlockConfiguration"]


def _normal(statement):
    """A statement in the one form that S3 may have made of it."""
    lists = ("Action", "Resource")
    return {
        key: sorted([value] if isinstance(value, str) else value) if key in lists else value
        for key, value in statement.items()
    }


def _statements(document):
    return [_normal(each) for each in (document or {"Statement": []})["Statement"]]


def differences(target, bucket):
    """(what the bucket lacks, what somebody gave it) beside its settings, as sentences."""
    s3 = target.client("s3")
    lacks, given = [], []
    if _found_block(s3, bucket) != _PRIVATE:
        given.append("it may become public: its public access block is not whole")
    expected = _statements(policy(target.partition, bucket))
    found = _statements(_found_policy(s3, bucket))
    lacks += [
        f"its policy lacks the statement {each['Sid']}" for each in expected if each not in found
    ]
    given += [
        f"its policy has a statement that is not ours: {json.dumps(each)}"
        for each in found
        if each not in expected and each.get("Sid") not in {ours["Sid"] for ours in expected}
    ]
    return lacks, given


def _is_empty(s3, bucket):
    found = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return not found.get("Versions") and not found.get("DeleteMarkers")


def _create(target, bucket):
    # us-east-1 is the one region that may not be named.
    where = {"LocationConstraint": target.region}
    located = {} if target.region == "us-east-1" else {"CreateBucketConfiguration": where}
    target.client("s3").create_bucket(Bucket=bucket, **located)


def _furnish(target, bucket, prefix):
    """Give the bucket its settings; the tag last, which says that they are whole."""
    s3 = target.client("s3")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_PRIVATE)
    # A grant that it had before ends with this.
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=_OWNED)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy(target.partition, bucket)))
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": as_tags(_tags(prefix))})


def prepare(target, settings, say):
    """Make the bucket, or look whether the one that is there is ours; gives its name.

    One without tags and objects is one whose making was interrupted. Each call names the account
    that the bucket must belong to, so another account's is refused.
    """
    s3, bucket = target.client("s3"), settings.bucket(target.account)
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise OpsError(
                f"the bucket {bucket} is another account's, or this identity may not use it: {error}. "
                "Name another as s3_bucket in samconfig.toml"
            ) from error
        _create(target, bucket)
    tags = found_tags(s3, bucket)
    if not tags and _is_empty(s3, bucket):
        _furnish(target, bucket, settings.prefix)
        return bucket
    if tags.get(STACK_TAG) != settings.prefix:
        raise OpsError(
            f"the bucket {bucket} is not this installation's: it has no tag "
            f"{STACK_TAG}={settings.prefix}. Name another as s3_bucket in samconfig.toml, one that "
            "does not exist yet"
        )
    lacks, given = differences(target, bucket)
    if given:
        raise OpsError(
            f"the bucket {bucket}, which code and templates are read from, was changed by hand: "
            f"{'; '.join(given)}. Find out who changed it, put it back, and deploy again"
        )
    if lacks:
        say(f"Putting back the settings of bucket {bucket}: {'; '.join(lacks)}")
        _furnish(target, bucket, settings.prefix)
    return bucket
