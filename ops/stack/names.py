"""The names that an installation gives to its resources, read from the templates."""

import dataclasses
import functools
import re

from ops.stack.template import parse_template


@dataclasses.dataclass(frozen=True)
class Named:
    """A resource by its type and name."""

    type: str
    name: str


_NAMED_BY = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::Events::Rule": "Name",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName",
    "AWS::SageMaker::Pipeline": "PipelineName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Serverless::Function": "FunctionName",
}


@functools.cache  # asked for again with every name, and slow to read
def templates(root):
    """The templates by the logical id of their stack in template.yaml; "" is template.yaml."""
    top = parse_template((root / "template.yaml").read_text(encoding="utf-8"))
    found = {"": top}
    for logical_id, resource in top["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            path = root / resource["Properties"]["TemplateURL"]
            found[logical_id] = parse_template(path.read_text(encoding="utf-8"))
    return found


def _text(value, values, passed):
    """A name with its parameters filled in."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        name = value["Ref"]
        return values[name] if name in values else _text(passed[name], values, {})
    return re.sub(r"\$\{([^}]+)\}", lambda hole: values[hole[1]], value["Fn::Sub"])


def _resources(root):
    """(logical id of the stack, what the stack is passed, logical id, resource) of every template."""
    every = templates(root)
    for stack, template in every.items():
        passed = {}
        if stack:
            passed = every[""]["Resources"][stack]["Properties"].get("Parameters", {})
        for logical_id, resource in template["Resources"].items():
            yield stack, passed, logical_id, resource


def _named(resource, values, passed):
    property_ = resource["Properties"][_NAMED_BY[resource["Type"]]]
    return Named(resource["Type"], _text(property_, values, passed))


def named(root, prefix, account, region):
    """Every resource of an installation whose name the templates say."""
    values = {"Prefix": prefix, "AWS::AccountId": account, "AWS::Region": region}
    for _, passed, _, resource in _resources(root):
        if resource["Type"] in _NAMED_BY:
            yield _named(resource, values, passed)


def kept(root, prefix, account, region):
    """What stays when the installation's stack goes: buckets, tables, the package group."""
    values = {"Prefix": prefix, "AWS::AccountId": account, "AWS::Region": region}
    for _, passed, _, resource in _resources(root):
        if resource.get("DeletionPolicy") == "Retain":
            yield _named(resource, values, passed)


def stacks(root, prefix):
    """The name of the root stack, and how those of its nested stacks begin."""
    nested = [f"{prefix}-{stack}-" for stack in templates(root) if stack]
    return prefix, nested


# CloudFormation cuts the stack's part of a role's name when the whole would be too long for IAM,
# to 24 characters; with the longest prefix these are the first ones behind it.
_SURE_OF_ROLE = 3


def roles(root, prefix):
    """How the names of the roles begin, which CloudFormation makes of stack and logical id.

    An upper-case letter follows the prefix, which has none: these are no role's of an installation
    whose prefix goes on.
    """
    begins = {
        f"{prefix}-{(stack or logical_id)[:_SURE_OF_ROLE]}"
        for stack, _, logical_id, resource in _resources(root)
        if resource["Type"] == "AWS::IAM::Role"
    }
    return sorted(begins)
