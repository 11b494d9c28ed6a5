"""The names that an installation gives to what outlives its stack, read from the templates."""

import dataclasses
import re

from deploy import parse_template


@dataclasses.dataclass(frozen=True)
class Kept:
    """A resource that stays when its stack goes."""

    type: str
    name: str


_NAMED_BY = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName",
}


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


def kept(root, prefix, account, region):
    """What stays when the installation's stack goes: buckets, tables, the package group."""
    values = {"Prefix": prefix, "AWS::AccountId": account, "AWS::Region": region}
    every = templates(root)
    for stack, template in every.items():
        passed = {}
        if stack:
            passed = every[""]["Resources"][stack]["Properties"].get("Parameters", {})
        for resource in template["Resources"].values():
            if resource.get("DeletionPolicy") == "Retain":
                name = resource["Properties"][_NAMED_BY[resource["Type"]]]
                yield Kept(resource["Type"], _text(name, values, passed))
