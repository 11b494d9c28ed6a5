"""The policy of who deploys is neither less nor more than the templates need."""

import fnmatch
import json
from pathlib import Path

import cfnlint
import pytest
from cfn_templates import ROOT

from ops.stack import names, policy, take_down

RESOURCES = Path(cfnlint.__file__).parent / "data/schemas/resources"

# What CloudFormation's schemas name for features that the templates don't use, by prefix.
UNUSED = {
    "AWS::CloudFormation::Stack": [
        "iam:PassRole",  # no service role
        "cloudformation:ListStacks",
        "cloudformation:SetStackPolicy",
        "cloudformation:UpdateTerminationProtection",
    ],
    "AWS::DynamoDB::Table": [
        "dynamodb:AssociateTableReplica", "dynamodb:CreateTableReplica", "dynamodb:DescribeImport",
        "dynamodb:ImportTable", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem",
        "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
        "dynamodb:DisableKinesis", "dynamodb:EnableKinesis", "dynamodb:UpdateKinesis",
        "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy",
        "dynamodb:UpdateContributorInsights", "iam:CreateServiceLinkedRole", "kinesis:", "logs:",
        "s3:",
        "kms:",  # with KmsKeyArn only, which `make deploy-policy` adds
    ],
    "AWS::ECR::Repository": ["kms:", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"],
    "AWS::Events::Rule": ["iam:PassRole"],  # targets are functions, which have policies
    "AWS::IAM::Role": [
        "iam:AttachRolePolicy", "iam:DetachRolePolicy",
        "iam:DeleteRolePermissionsBoundary",  # what a boundary is for
    ],
    "AWS::Lambda::Alias": [
        "codedeploy:", "lambda:PutProvisionedConcurrencyConfig",
        "lambda:DeleteProvisionedConcurrencyConfig",
    ],
    "AWS::Lambda::Function": [
        "ec2:", "elasticfilesystem:", "s3files:", "kms:", "lambda:AssociateRuntimeAlias",
        "lambda:GetCodeSigningConfig", "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:PutFunctionCodeSigningConfig", "lambda:GetLayerVersion",
        "lambda:PassCapacityProvider", "lambda:PutFunctionScalingConfig",
        "lambda:PutRuntimeManagementConfig",
        "s3:GetObjectVersion",  # the code's objects are named by digest, without a version
    ],
    "AWS::Lambda::Version": [
        "lambda:PutFunctionScalingConfig", "lambda:PutProvisionedConcurrencyConfig",
        "lambda:PutRuntimeManagementConfig",
    ],
    "AWS::Logs::LogGroup": [
        "firehose:", "s3:", "logs:CreateLogDelivery", "logs:PutBearerToken",
        "logs:PutDataProtectionPolicy", "logs:DeleteDataProtectionPolicy", "logs:PutIndexPolicy",
        "logs:DeleteIndexPolicy", "logs:PutResourcePolicy", "logs:DeleteResourcePolicy",
        "logs:AssociateKmsKey", "logs:DisassociateKmsKey", "logs:PutLogGroupDeletionProtection",
    ],
    "AWS::S3::Bucket": [
        "iam:PassRole", "s3tables:", "s3:CreateBucketMetadata", "s3:DeleteBucketMetadata",
        "s3:UpdateBucketMetadata", "s3:PutAccelerate", "s3:PutAnalytics", "s3:PutBucketAbac",
        "s3:PutBucketAcl", "s3:PutBucketCORS", "s3:PutBucketNotification",
        "s3:PutBucketObjectLock", "s3:PutBucketReplication", "s3:PutBucketWebsite",
        "s3:PutIntelligentTiering", "s3:PutInventory", "s3:PutMetrics", "s3:PutObjectAcl",
        "s3:PutObjectLock", "s3:PutReplication", "s3:DeleteBucketAnalytics",
        "s3:DeleteBucketCors", "s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle",
        "s3:DeleteBucketMetrics", "s3:DeleteBucketReplication", "s3:DeleteBucketWebsite",
    ],
    "AWS::SNS::Subscription": ["iam:"],
    "AWS::SNS::Topic": ["iam:", "sns:PutDataProtectionPolicy"],
    "AWS::SageMaker::ModelPackageGroup": [
        "sagemaker:PutModelPackageGroupPolicy", "sagemaker:DeleteModelPackageGroupPolicy",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def document():
    return policy.document(ROOT, "assets", "aws", "eu-west-1", "123456789012")


@pytest.fixture(scope="module")
def schemas():
    """CloudFormation's schemas by resource type."""
    found = {}
    for path in RESOURCES.glob("*.json"):
        schema = json.loads(path.read_text())
        found[schema["typeName"]] = schema
    return found


def granted(document):
    allowed = set()
    for statement in document["Statement"]:
        actions = statement["Action"]
        allowed |= set([actions] if isinstance(actions, str) else actions)
    return allowed


def test_every_type_of_the_templates_has_its_rights():
    assert set(policy.types(ROOT)) <= set(policy.RIGHTS)


def test_what_cloudformation_needs_for_each_type_is_granted(document, schemas):
    allowed = granted(document)
    lacking = [
        f"{type_} {operation}: {needed}"
        for type_ in policy.types(ROOT)
        if not type_.startswith("Custom::")
        for operation, handler in schemas[type_]["handlers"].items()
        # CloudFormation lists nothing when it deploys.
        if operation != "list"
        for needed in handler["permissions"]
        if needed not in allowed and not needed.startswith(tuple(UNUSED.get(type_, ())))
    ]
    assert lacking == []


def test_nothing_that_is_left_out_is_unknown_to_the_schemas(schemas):
    """An exception for what CloudFormation no longer asks for would hide something else one day."""
    stale = [
        f"{type_}: {prefix}"
        for type_, prefixes in UNUSED.items()
        for prefix in prefixes
        if not any(
            needed.startswith(prefix)
            for handler in schemas[type_]["handlers"].values()
            for needed in handler["permissions"]
        )
    ]
    assert stale == []


def test_any_resource_is_allowed_only_where_iam_knows_none_or_for_looking(document):
    everywhere = {
        action
        for statement in document["Statement"]
        if statement["Resource"] == "*"
        for action in statement["Action"]
    }
    looking = ("Describe", "Get", "List")
    assert all(action.split(":")[1].startswith(looking) for action in everywhere), everywhere


def test_no_action_is_a_pattern_and_roles_go_to_known_services_only(document):
    assert not [action for action in granted(document) if "*" in action]
    (passing,) = (each for each in document["Statement"] if each["Action"] == "iam:PassRole")
    roles = "arn:aws:iam::123456789012:role/assets"
    assert passing["Resource"] == [f"{roles}-Hou*", f"{roles}-Pip*", f"{roles}-Sta*"]
    assert "sagemaker.amazonaws.com" in passing["Condition"]["StringEquals"]["iam:PassedToService"]


def resources(document):
    """(action, pattern of an ARN) of a policy."""
    for statement in document["Statement"]:
        actions, patterns = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                yield action, pattern


def arns(prefix):
    """ARNs of what an installation has, as AWS makes them."""
    for each in names.named(ROOT, prefix, "123456789012", "eu-west-1"):
        yield from (
            f"arn:aws:{service}:{place}:{path}{each.name}"
            for type_, service, place, path in (
                ("AWS::CloudWatch::Alarm", "cloudwatch", HERE, "alarm:"),
                ("AWS::CloudWatch::Dashboard", "cloudwatch", ":123456789012", "dashboard/"),
                ("AWS::DynamoDB::Table", "dynamodb", HERE, "table/"),
                ("AWS::ECR::Repository", "ecr", HERE, "repository/"),
                ("AWS::Events::Rule", "events", HERE, "rule/"),
                ("AWS::Logs::LogGroup", "logs", HERE, "log-group:"),
                ("AWS::S3::Bucket", "s3", ":", ""),
                ("AWS::SNS::Topic", "sns", HERE, ""),
                ("AWS::SQS::Queue", "sqs", HERE, ""),
                ("AWS::SageMaker::ModelPackageGroup", "sagemaker", HERE, "model-package-group/"),
                ("AWS::SageMaker::Pipeline", "sagemaker", HERE, "pipeline/"),
                ("AWS::Serverless::Function", "lambda", HERE, "function:"),
            )
            if type_ == each.type
        )
    yield f"arn:aws:cloudformation:{HERE}:stack/{prefix}/11111111"
    yield f"arn:aws:cloudformation:{HERE}:stack/{prefix}-StorageStack-1ABCDEFGHIJKL/22222222"
    yield f"arn:aws:s3:::{prefix}-artifacts-123456789012-eu-west-1"
    # CloudFormation cuts the stack's part of a long name, and the logical id's.
    yield f"arn:aws:iam::123456789012:role/{prefix}-HousekeepingRole-1ABCDEFGHIJKL"
    nested = f"{prefix}-PipelineStack-1ABCDEFGHIJKL"
    yield f"arn:aws:iam::123456789012:role/{nested[:24]}-PipelineRole-1ABCDEFGHIJKL"


HERE = "eu-west-1:123456789012"


def matching(document, arn):
    return {
        pattern
        for _, pattern in resources(document)
        # Of any endpoint or model; those rights are bound by a tag, or to what Pipelines makes.
        if pattern != "*" and fnmatch.fnmatchcase(arn, pattern)
    }


@pytest.mark.parametrize("prefix", ["pw", "pw-2", "a-prefix-of-20-lette"])
def test_rights_end_at_the_installations_names(prefix):
    """The rights of who deploys one installation reach nothing of one whose prefix goes on, as pw and pw-2 do."""
    document = policy.document(ROOT, prefix, "aws", "eu-west-1", "123456789012")
    assert [arn for arn in arns(prefix) if not matching(document, arn)] == []
    for other in ("pw", "pw-2", "pw2", "pw-pipeline", f"{prefix}-2", f"{prefix}x"):
        if other != prefix:
            assert [arn for arn in arns(other) if matching(document, arn)] == []


def test_with_a_boundary_only_roles_that_have_it_can_be_made_or_changed(document):
    """Where a permissions boundary is given, who deploys can make and change no role without it, nor take it away."""
    boundary = "arn:aws:iam::123456789012:policy/bounds"
    bounded = policy.document(
        ROOT, "assets", "aws", "eu-west-1", "123456789012", boundary=boundary
    )
    free = {"iam:TagRole", "iam:UntagRole", "iam:UpdateRole", "iam:UpdateRoleDescription"}
    for statement in bounded["Statement"]:
        actions = set(statement["Action"]) if isinstance(statement["Action"], list) else set()
        changing = {each for each in actions if each.startswith("iam:")} - free
        if {each for each in changing if not each.startswith(("iam:Get", "iam:List"))}:
            equals = statement["Condition"]["StringEquals"]
            assert equals == {"iam:PermissionsBoundary": boundary}
    assert granted(bounded) == granted(document)
    assert "iam:DeleteRolePermissionsBoundary" not in granted(bounded)


def test_grants_of_the_key_are_for_services_of_aws():
    document = policy.document(ROOT, "assets", "aws", "eu-west-1", "123456789012", "arn:key")
    (grant,) = (each for each in document["Statement"] if "kms:CreateGrant" in each["Action"])
    assert grant["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_each_part_fits_into_a_managed_policy_and_nothing_gets_lost(document):
    parts = policy.parts(document)
    assert all(policy.size(part) <= 6144 for part in parts)
    assert [each for part in parts for each in part["Statement"]] == document["Statement"]


def test_every_retained_resource_can_be_deleted(document):
    deletes = {
        "AWS::S3::Bucket": "s3:DeleteBucket",
        "AWS::DynamoDB::Table": "dynamodb:DeleteTable",
        "AWS::SageMaker::ModelPackageGroup": "sagemaker:DeleteModelPackageGroup",
    }
    kept = list(names.kept(ROOT, "assets", "123456789012", "eu-west-1"))
    assert len(kept) == 9
    assert {deletes[each.type] for each in kept} <= granted(document)
    assert take_down.STACK_TAG == "pipewright:stack"
