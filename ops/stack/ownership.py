"""What makes a stack, a bucket or a table ours: more than its name.

Anybody in an account may have a stack of the name that a prefix or a pipeline's directory gives.
So CloudFormation gets a tag with each stack that is deployed here, which it hands on to every
resource of the stack, and nothing is updated, filled or deleted that lacks it.
"""

import dataclasses
from collections.abc import Callable

from ops import OpsError

STACK_TAG = "pipewright:stack"
"""On everything of an installation; its value is the prefix."""
PIPELINE_TAG = "pipewright:pipeline"
"""On everything of a pipeline of one's own; its value is the prefix of the installation, which follows it."""


def tags_of(found):
    """The tags in the form of most services, [{"Key": ..., "Value": ...}], as a dict."""
    return {tag["Key"]: tag["Value"] for tag in found}


def as_tags(tags):
    """A dict of tags in the form of most services."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@dataclasses.dataclass(frozen=True)
class OwnStack:
    """A stack by its name, and how it is known to be ours."""

    name: str
    tag: str
    value: str
    """Of the tag."""
    deployed_before_tags: Callable[[dict], bool]
    """Whether a stack without the tag, as DescribeStacks has it, is from before it was given."""

    @property
    def tags(self):
        """What CloudFormation gets with the stack."""
        return {self.tag: self.value}

    def is_ours(self, found):
        """Whether a stack of this name, as DescribeStacks has it, is the one that is meant."""
        tags = tags_of(found.get("Tags", []))
        if self.tag in tags or not {STACK_TAG, PIPELINE_TAG}.isdisjoint(tags):
            return tags.get(self.tag) == self.value
        return self.deployed_before_tags(found)

    def refuse_foreign(self, found):
        """Raise OpsError unless the stack is ours."""
        if self.is_ours(found):
            return
        raise OpsError(
            f"there is a stack {self.name} ({found['StackStatus']}), and it is not Pipewright's: it "
            f"has no tag {self.tag}={self.value}. Nothing was changed. Take another name, or, if it "
            "is Pipewright's all the same, see docs/OPERATIONS.md, 'A stack without its tag'"
        )


def _members(found, key, name, value):
    return {each[name]: each.get(value) for each in found.get(key, [])}


def installation(prefix):
    """The root stack of an installation."""

    def deployed_before_tags(found):
        outputs = _members(found, "Outputs", "OutputKey", "OutputValue")
        return outputs.get("PipelineDefinitionFunctionName") == f"{prefix}-pipeline-definition"

    return OwnStack(prefix, STACK_TAG, prefix, deployed_before_tags)


def own_pipeline(name, prefix):
    """The stack of a pipeline of one's own, beside the installation `prefix`."""

    def deployed_before_tags(found):
        given = _members(found, "Parameters", "ParameterKey", "ParameterValue")
        return (given.get("TemplateKey") or "").startswith(f"pipelines/{name}/template/")

    return OwnStack(name, PIPELINE_TAG, prefix, deployed_before_tags)


def installations(cloudformation):
    """The prefixes of all installations in the account and region."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    return {
        found["StackName"]
        for page in pages
        for found in page["Stacks"]
        if installation(found["StackName"]).is_ours(found)
    }


def entangled(prefix, others):
    """Those of other prefixes whose names `prefix` begins, or that begin its own, in order.

    A pattern of the one, such as `pw-*`, would take what is the other's.
    """
    return sorted(
        other
        for other in others
        if other.startswith(f"{prefix}-") or prefix.startswith(f"{other}-")
    )


def name_owner(s3, account):
    """Have each call of an S3 client name the account that the bucket has to belong to.

    S3 refuses it with 403 where the bucket is another account's.
    """

    def add(params, model, **_):
        if "ExpectedBucketOwner" in model.input_shape.members:
            params.setdefault("ExpectedBucketOwner", account)

    s3.meta.events.register("before-parameter-build.s3", add, unique_id="expected-bucket-owner")
    return s3
