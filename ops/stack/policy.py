"""`make deploy-policy`: what the identity that deploys and removes an installation must be allowed.

CloudFormation works with the rights of its caller. RIGHTS has, by resource type, the actions
that it calls for what the templates use of that type; tests/lint/test_deploy_policy.py holds them
against the templates and against the permissions that CloudFormation's own resource schemas name.
"""

import difflib
import json
import re

from ops import OpsError
from ops.stack import names

# What each of these stands for, as patterns of ARNs in the region {r} of the account {a}; {n} is every
# name that the templates give to resources of a type. Nothing matches what another installation has, also
# where its prefix goes on: `pw` and `pw-2`.
_RESOURCES = {
    "alarms": ("AWS::CloudWatch::Alarm", ["arn:{p}:cloudwatch:{r}:{a}:alarm:{n}"]),
    "artifact objects": ("artifacts", ["arn:{p}:s3:::{n}/*"]),
    "assets": ("assets", ["arn:{p}:s3:::{n}/assets/*"]),
    "buckets": ("buckets", ["arn:{p}:s3:::{n}"]),
    "catalogue": ("catalogue", ["arn:{p}:dynamodb:{r}:{a}:table/{n}"]),
    "dashboards": ("AWS::CloudWatch::Dashboard", ["arn:{p}:cloudwatch::{a}:dashboard/{n}"]),
    "definitions": ("definitions", ["arn:{p}:s3:::{n}/*"]),
    "functions": (
        "AWS::Serverless::Function",
        ["arn:{p}:lambda:{r}:{a}:function:{n}", "arn:{p}:lambda:{r}:{a}:function:{n}:*"],
    ),
    "group": (
        "AWS::SageMaker::ModelPackageGroup",
        ["arn:{p}:sagemaker:{r}:{a}:model-package-group/{n}"],
    ),
    "log groups": (
        "AWS::Logs::LogGroup",
        ["arn:{p}:logs:{r}:{a}:log-group:{n}", "arn:{p}:logs:{r}:{a}:log-group:{n}:*"],
    ),
    "objects": ("buckets", ["arn:{p}:s3:::{n}/*"]),
    "packages": (
        "AWS::SageMaker::ModelPackageGroup",
        ["arn:{p}:sagemaker:{r}:{a}:model-package/{n}/*"],
    ),
    "pipelines": (
        "AWS::SageMaker::Pipeline",
        [
            "arn:{p}:sagemaker:{r}:{a}:pipeline/{n}",
            "arn:{p}:sagemaker:{r}:{a}:pipeline/{n}/execution/*",
        ],
    ),
    "queues": ("AWS::SQS::Queue", ["arn:{p}:sqs:{r}:{a}:{n}"]),
    "repositories": ("AWS::ECR::Repository", ["arn:{p}:ecr:{r}:{a}:repository/{n}"]),
    "roles": ("roles", ["arn:{p}:iam::{a}:role/{n}*"]),
    "rules": ("AWS::Events::Rule", ["arn:{p}:events:{r}:{a}:rule/{n}"]),
    "schedules": ("AWS::Scheduler::Schedule", ["arn:{p}:scheduler:{r}:{a}:schedule/*/{n}"]),
    "stacks": ("stacks", ["arn:{p}:cloudformation:{r}:{a}:stack/{n}/*"]),
    "tables": ("AWS::DynamoDB::Table", ["arn:{p}:dynamodb:{r}:{a}:table/{n}"]),
    "templates": ("templates", ["arn:{p}:dynamodb:{r}:{a}:table/{n}"]),
    "topics": ("AWS::SNS::Topic", ["arn:{p}:sns:{r}:{a}:{n}", "arn:{p}:sns:{r}:{a}:{n}:*"]),
    "transform": ("one", ["arn:{p}:cloudformation:{r}:aws:transform/Serverless-2016-10-31"]),
    "any": ("one", ["*"]),
}

# Denied to the caller that deploys where a permissions boundary is given, but for roles that have it.
_BOUND = {
    f"iam:{action}"
    for action in (
        *("CreateRole", "DeleteRole", "DeleteRolePolicy", "PutRolePermissionsBoundary"),
        *("PutRolePolicy", "UpdateAssumeRolePolicy"),
    )
}

# By resource type: (resources, actions). PassRole is apart, for its conditions.
RIGHTS = {
    "AWS::CloudFormation::Stack": [
        (
            "stacks",
            "cloudformation: CreateStack DeleteStack DescribeStackEvents DescribeStacks "
            "GetStackPolicy GetTemplate ListStackResources UpdateStack",
        ),
        ("transform", "cloudformation: CreateChangeSet"),
    ],
    "AWS::CloudWatch::Alarm": [
        (
            "alarms",
            "cloudwatch: DeleteAlarms ListTagsForResource PutMetricAlarm TagResource UntagResource",
        ),
        ("any", "cloudwatch: DescribeAlarms"),
    ],
    "AWS::CloudWatch::Dashboard": [
        (
            "dashboards",
            "cloudwatch: DeleteDashboards GetDashboard ListTagsForResource PutDashboard "
            "TagResource UntagResource",
        )
    ],
    "AWS::DynamoDB::Table": [
        (
            "tables",
            "dynamodb: CreateTable DeleteTable DescribeContinuousBackups "
            "DescribeContributorInsights DescribeKinesisStreamingDestination DescribeTable "
            "DescribeTimeToLive GetResourcePolicy ListTagsOfResource PutItem TagResource "
            "UntagResource UpdateContinuousBackups UpdateTable UpdateTimeToLive",
        )
    ],
    "AWS::ECR::Repository": [
        (
            "repositories",
            "ecr: BatchCheckLayerAvailability BatchDeleteImage CompleteLayerUpload "
            "CreateRepository DeleteLifecyclePolicy DeleteRepository DescribeImages "
            "DescribeRepositories GetLifecyclePolicy GetRepositoryPolicy InitiateLayerUpload "
            "ListImages ListTagsForResource PutImage PutImageScanningConfiguration "
            "PutImageTagMutability PutLifecyclePolicy TagResource UntagResource UploadLayerPart",
        ),
        ("any", "ecr: GetAuthorizationToken"),
    ],
    "AWS::Events::Rule": [
        (
            "rules",
            "events: DeleteRule DescribeRule ListTagsForResource ListTargetsByRule PutRule "
            "PutTargets RemoveTargets TagResource UntagResource",
        )
    ],
    "AWS::IAM::Role": [
        (
            "roles",
            "iam: CreateRole DeleteRole DeleteRolePolicy GetRole "
            "GetRolePolicy ListAttachedRolePolicies ListRolePolicies PutRolePermissionsBoundary "
            "PutRolePolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole "
            "UpdateRoleDescription",
        )
    ],
    "AWS::Lambda::Alias": [("functions", "lambda: CreateAlias DeleteAlias GetAlias UpdateAlias")],
    "AWS::Lambda::EventInvokeConfig": [
        (
            "functions",
            "lambda: DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig "
            "PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig",
        )
    ],
    "AWS::Lambda::Function": [
        (
            "functions",
            "lambda: CreateFunction DeleteFunction DeleteFunctionConcurrency GetFunction "
            "GetFunctionCodeSigningConfig GetFunctionRecursionConfig GetFunctionScalingConfig "
            "GetRuntimeManagementConfig InvokeFunction ListTags PublishVersion "
            "PutFunctionConcurrency PutFunctionRecursionConfig TagResource UntagResource "
            "UpdateFunctionCode UpdateFunctionConfiguration",
        ),
        ("artifact objects", "s3: GetObject PutObject"),
    ],
    "AWS::Lambda::Permission": [("functions", "lambda: AddPermission GetPolicy RemovePermission")],
    "AWS::Lambda::Version": [
        (
            "functions",
            "lambda: GetFunctionConfiguration GetProvisionedConcurrencyConfig "
            "ListVersionsByFunction",
        )
    ],
    "AWS::Logs::LogGroup": [
        (
            "log groups",
            "logs: CreateLogGroup DeleteLogGroup DeleteRetentionPolicy ListTagsForResource "
            "PutRetentionPolicy TagResource UntagResource",
        ),
        (
            "any",
            "logs: DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies "
            "GetDataProtectionPolicy",
        ),
    ],
    "AWS::S3::Bucket": [
        (
            "buckets",
            "s3: CreateBucket DeleteBucket GetAccelerateConfiguration GetAnalyticsConfiguration "
            "GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLogging "
            "GetBucketMetadataTableConfiguration GetBucketNotification "
            "GetBucketObjectLockConfiguration GetBucketOwnershipControls "
            "GetBucketPublicAccessBlock GetBucketTagging GetBucketVersioning GetBucketWebsite "
            "GetEncryptionConfiguration GetIntelligentTieringConfiguration "
            "GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration "
            "GetReplicationConfiguration ListBucket ListBucketVersions ListTagsForResource "
            "PutBucketLogging PutBucketOwnershipControls PutBucketPublicAccessBlock "
            "PutBucketTagging PutBucketVersioning PutEncryptionConfiguration "
            "PutLifecycleConfiguration TagResource UntagResource",
        ),
        ("objects", "s3: DeleteObject DeleteObjectVersion PutObject"),
    ],
    "AWS::S3::BucketPolicy": [
        ("buckets", "s3: DeleteBucketPolicy GetBucketPolicy PutBucketPolicy")
    ],
    "AWS::SNS::Subscription": [
        (
            "topics",
            "sns: GetSubscriptionAttributes ListSubscriptionsByTopic SetSubscriptionAttributes "
            "Subscribe Unsubscribe",
        )
    ],
    "AWS::SNS::Topic": [
        (
            "topics",
            "sns: CreateTopic DeleteTopic GetDataProtectionPolicy GetTopicAttributes "
            "ListTagsForResource TagResource UntagResource",
        )
    ],
    "AWS::SNS::TopicPolicy": [("topics", "sns: SetTopicAttributes")],
    "AWS::SQS::Queue": [
        (
            "queues",
            "sqs: CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl ListQueueTags TagQueue "
            "UntagQueue",
        )
    ],
    "AWS::SQS::QueuePolicy": [("queues", "sqs: SetQueueAttributes")],
    "AWS::SageMaker::ModelPackageGroup": [
        (
            "group",
            "sagemaker: AddTags CreateModelPackageGroup DeleteModelPackageGroup DeleteTags "
            "DescribeModelPackageGroup GetModelPackageGroupPolicy ListTags",
        ),
    ],
    "AWS::SageMaker::Pipeline": [
        (
            "pipelines",
            "sagemaker: AddTags CreatePipeline DeletePipeline DeleteTags DescribePipeline "
            "DescribePipelineExecution ListPipelineExecutions ListTags StopPipelineExecution "
            "UpdatePipeline",
        ),
        ("definitions", "s3: GetObject"),
    ],
    "AWS::Scheduler::Schedule": [
        ("schedules", "scheduler: CreateSchedule DeleteSchedule GetSchedule UpdateSchedule")
    ],
    # The function of the custom resource works with a role of its own.
    "Custom::PipelineDefinition": [],
}

# What `make deploy`, `import`, `remove-assets` and `destroy` call themselves, beyond the above.
OWN = [
    ("assets", "s3: GetObject"),
    ("catalogue", "dynamodb: DeleteItem Scan"),
    ("templates", "dynamodb: Scan"),
    ("packages", "sagemaker: DeleteModelPackage"),
    ("any", "cloudformation: DescribeStacks"),
    (
        "any",
        "sagemaker: ListEndpointConfigs ListEndpoints ListModelPackages ListModels ListTags",
    ),
]


def actions(line):
    """`s3: GetObject PutObject` as actions."""
    service, _, every = line.partition(": ")
    return [f"{service}:{action}" for action in every.split()]


def expand(type_):
    """What a type of the templates becomes in CloudFormation."""
    if type_ == "AWS::Serverless::Function":
        return ["AWS::Lambda::Alias", "AWS::Lambda::Function", "AWS::Lambda::Version"]
    return [type_]


def types(root):
    """The resource types of the templates, after the SAM transform."""
    return sorted(
        {
            became
            for template in names.templates(root).values()
            for resource in template["Resources"].values()
            for became in expand(resource["Type"])
        }
    )


def _names(root, prefix, region, account):
    """The names that the templates give, by what _RESOURCES says of them."""
    found = {"one": [""], "roles": names.roles(root, prefix)}
    for each in names.named(root, prefix, account, region):
        found.setdefault(each.type, []).append(each.name)
    own, nested = names.stacks(root, prefix)
    found["stacks"] = [own, *(f"{begin}*" for begin in nested)]
    found["artifacts"] = [f"{prefix}-artifacts-{account}-{region}"]
    found["assets"] = [f"{prefix}-assets-{account}-{region}"]
    found["definitions"] = [f"{prefix}-pipeline-{account}-{region}"]
    found["buckets"] = [*found["AWS::S3::Bucket"], *found["artifacts"]]
    found["catalogue"] = [f"{prefix}-assets"]
    found["templates"] = [f"{prefix}-training-templates"]
    return found


def document(root, prefix, partition, region, account, kms_key=None, boundary=None):
    """The policy, as a dict; `boundary` is the permissions boundary that every role has to have."""
    of_kind = _names(root, prefix, region, account)
    values = {"p": partition, "r": region, "a": account}

    def arns(resources):
        kind, patterns = _RESOURCES[resources]
        found = [
            pattern.format(**values, n=name)
            for name in of_kind.get(kind, [])
            for pattern in patterns
        ]
        return found[0] if len(found) == 1 else found

    by_resource = {}
    rights = [right for type_ in types(root) for right in RIGHTS[type_]] + OWN
    for resources, line in rights:
        by_resource.setdefault(resources, set()).update(actions(line))
    bound = by_resource["roles"] & _BOUND if boundary else set()
    by_resource["roles"] -= bound
    statements = [
        {
            "Effect": "Allow",
            "Action": sorted(by_resource[resources]),
            "Resource": arns(resources),
        }
        for resources in _RESOURCES
        if resources in by_resource
    ]
    if bound:
        statements.append(
            {
                "Effect": "Allow",
                "Action": sorted(bound),
                "Resource": arns("roles"),
                "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}},
            }
        )
    services = ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]
    if "AWS::Scheduler::Schedule" in types(root):
        services.append("scheduler.amazonaws.com")
    statements.append(
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": arns("roles"),
            "Condition": {"StringEquals": {"iam:PassedToService": services}},
        }
    )
    # SageMaker has no names of ours for these; only what carries our tag may go.
    of_account = f"arn:{partition}:sagemaker:{region}:{account}"
    statements.append(
        {
            "Effect": "Allow",
            "Action": ["sagemaker:DeleteEndpoint", "sagemaker:DeleteEndpointConfig"],
            "Resource": [f"{of_account}:endpoint/*", f"{of_account}:endpoint-config/*"],
            "Condition": {"StringEquals": {"aws:ResourceTag/pipewright:stack": prefix}},
        }
    )
    statements.append(
        {
            "Effect": "Allow",
            "Action": ["sagemaker:DescribeEndpoint", "sagemaker:DeleteModel"],
            "Resource": [f"{of_account}:endpoint/*", f"{of_account}:model/pipelines-*"],
        }
    )
    if kms_key:
        statements.append(
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                "Resource": kms_key,
            }
        )
        statements.append(
            {
                "Effect": "Allow",
                "Action": "kms:CreateGrant",
                "Resource": kms_key,
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


# What `pipewright web` asks for, and nothing that writes; docs/CLI.md has the same table.
READING = [
    (
        ["dynamodb:GetItem", "dynamodb:Query"],
        [
            "arn:{p}:dynamodb:{r}:{a}:table/{n}-executions",
            "arn:{p}:dynamodb:{r}:{a}:table/{n}-executions/index/by-phase",
        ],
    ),
    (["dynamodb:Scan"], ["arn:{p}:dynamodb:{r}:{a}:table/{n}-endpoints"]),
    (
        [
            "sagemaker:DescribePipelineDefinitionForExecution",
            "sagemaker:DescribePipelineExecution",
            "sagemaker:ListPipelineParametersForExecution",
        ],
        ["arn:{p}:sagemaker:{r}:{a}:pipeline/*/execution/*"],
    ),
    (["sagemaker:DescribeEndpoint"], ["arn:{p}:sagemaker:{r}:{a}:endpoint/*"]),
    (["cloudwatch:GetMetricData"], ["*"]),
    (
        ["sqs:GetQueueUrl", "sqs:ReceiveMessage"],
        [
            "arn:{p}:sqs:{r}:{a}:{n}-undelivered-events",
            "arn:{p}:sqs:{r}:{a}:{n}-failed-invocations",
        ],
    ),
    (["s3:GetObject"], ["arn:{p}:s3:::{n}-models-{a}-{r}/execution/*"]),
]


def reading(prefix, partition, region, account, kms_key=None):
    """The policy of an identity that only looks, by `pipewright web`, as a dict."""
    values = {"p": partition, "r": region, "a": account, "n": prefix}
    statements = [
        {
            "Effect": "Allow",
            "Action": allowed,
            "Resource": [pattern.format(**values) for pattern in patterns],
        }
        for allowed, patterns in READING
    ]
    if kms_key:
        statements.append({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": kms_key})
    return {"Version": "2012-10-17", "Statement": statements}


def parts(policy, limit=6144):
    """The policy in documents that IAM takes as customer-managed ones: it counts no blanks."""
    made = []
    for statement in policy["Statement"]:
        last = made[-1] + [statement] if made else [statement]
        if made and size({"Version": policy["Version"], "Statement": last}) <= limit:
            made[-1] = last
        else:
            made.append([statement])
    return [{"Version": policy["Version"], "Statement": part} for part in made]


def size(policy):
    """A document's size as IAM counts it."""
    return len(json.dumps(policy, separators=(",", ":")))


def printed(policies, part, prefix):
    """The one JSON document to print: the policy itself where it is alone or named by its number.

    Several are an object of policies by name, since IAM takes no document of two.
    """
    if part is None and len(policies) > 1:
        return {f"{prefix}-deploy-{number}": each for number, each in enumerate(policies, 1)}
    if part is not None and not 1 <= part <= len(policies):
        raise OpsError(f"PART is {part}; there are parts 1 to {len(policies)}")
    return policies[(part or 1) - 1]


def regions(root):
    """The regions that an installation can be in: those with a DeepAR image."""
    text = (root / "shared" / "data" / "regions.json").read_text(encoding="utf-8")
    return sorted(json.loads(text)["regions"])


def faults(account, partition, region, known, offered):
    """What is wrong with the account, partition and region of a policy's ARNs, as sentences.

    `known` has the partitions, `offered` the regions.
    """
    if not re.fullmatch(r"\d{12}", account or ""):
        given = f"ACCOUNT is {account!r}" if account else "ACCOUNT is missing"
        yield f"{given}; expected the 12 digits of the account: ACCOUNT=123456789012"
    if region is None:
        yield "name the region: AWS_REGION=eu-west-1"
    elif region not in offered:
        (near,) = difflib.get_close_matches(region, offered, 1, 0)
        yield f"the region {region!r} has no DeepAR image, or is none; the nearest is {near}"
    if partition is not None and partition not in known:
        yield f"PARTITION is {partition!r}; expected one of {', '.join(sorted(known))}"
