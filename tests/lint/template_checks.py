"""Rules for the templates that cfn-lint does not know.

Every check takes a `Project` and yields findings as sentences that begin with
the place. An empty result is what the project must show.
"""

import fnmatch
import json
import re
from collections.abc import Iterator

from cfn_templates import (
    ROOT,
    Project,
    admits_upper_case,
    dependencies,
    find_cycle,
    references,
    walk,
)

Findings = Iterator[str]

# The stacks in the order in which they may need one another. The functions are
# resources of the root template itself.
ORDER = ["StorageStack", "functions", "PipelineStack", "EventsStack", "OperationsStack"]

# Data outlives the stack. Everything else is made again by deploying again.
RETAINED = {
    "AWS::DynamoDB::Table",
    "AWS::S3::Bucket",
    "AWS::SageMaker::ModelPackageGroup",
}
REPRODUCIBLE = {
    "AWS::CloudFormation::Stack",
    "AWS::ECR::Repository",
    "AWS::Logs::LogGroup",
    "AWS::SageMaker::Pipeline",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
}

# Properties that name a resource, by type: each lands in an ARN.
NAMES = {
    "AWS::CloudWatch::Alarm": ["AlarmName"],
    "AWS::CloudWatch::Dashboard": ["DashboardName"],
    "AWS::DynamoDB::Table": ["TableName"],
    "AWS::ECR::Repository": ["RepositoryName"],
    "AWS::Events::Rule": ["Name"],
    "AWS::Lambda::Function": ["FunctionName"],
    "AWS::Logs::LogGroup": ["LogGroupName"],
    "AWS::S3::Bucket": ["BucketName"],
    "AWS::SageMaker::ModelPackageGroup": ["ModelPackageGroupName"],
    "AWS::SageMaker::Pipeline": ["PipelineName", "PipelineDisplayName"],
    "AWS::Scheduler::Schedule": ["Name"],
    "AWS::SNS::Topic": ["TopicName"],
    "AWS::SQS::Queue": ["QueueName"],
}

# How long those names may be; 64 where nothing else is said.
NAME_LIMITS = {
    "AWS::CloudWatch::Alarm": 255,
    "AWS::CloudWatch::Dashboard": 255,
    "AWS::DynamoDB::Table": 255,
    "AWS::ECR::Repository": 256,
    "AWS::Logs::LogGroup": 512,
    "AWS::S3::Bucket": 63,
    "AWS::SageMaker::ModelPackageGroup": 63,
    "AWS::SageMaker::Pipeline": 256,
    "AWS::SNS::Topic": 256,
    "AWS::SQS::Queue": 80,
}

# Actions that IAM does not tie to a resource.
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "sagemaker:ListEndpoints",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
RESERVED_VARIABLES = re.compile(
    r"_HANDLER|_X_AMZN_TRACE_ID|LAMBDA_(TASK_ROOT|RUNTIME_DIR)|TZ"
    r"|AWS_(DEFAULT_REGION|REGION|EXECUTION_ENV|ACCESS_KEY(_ID)?|SECRET_ACCESS_KEY|SESSION_TOKEN"
    r"|LAMBDA_.*)"
)

# What the custom resource's function adds to the values itself.
FOUND_BY_THE_FUNCTION = {
    "DebuggerRulesImageUri",
    "DeepARImageUri",
    "ExecutorS3Uri",
    "HasExperiments",
}


def as_list(value) -> list:
    """IAM and CloudFormation take one value where they take a list of one."""
    return value if isinstance(value, list) else [value]


def alternatives(node) -> Iterator:
    """The values that an element may take: both sides of `Fn::If`, nothing for NoValue."""
    if isinstance(node, dict) and set(node) == {"Fn::If"}:
        for branch in node["Fn::If"][1:]:
            yield from alternatives(branch)
    elif node != {"Ref": "AWS::NoValue"}:
        yield node


def statements(policy: dict) -> Iterator[dict]:
    """The statements of a policy document, conditional ones included."""
    for statement in as_list(policy["Statement"]):
        yield from alternatives(statement)


def role_statements(role: dict) -> Iterator[dict]:
    """The statements of a role's own policies."""
    for policy in role["Properties"].get("Policies", []):
        yield from statements(policy["PolicyDocument"])


def no_cycles(project: Project) -> Findings:
    """Nothing waits for itself, not even through a nested stack."""
    if cycle := find_cycle(dependencies(project)):
        yield "cycle: " + " needs ".join(f"{stack}.{name}" for stack, name in cycle)


def no_reference_to_a_later_stack(project: Project) -> Findings:
    """Storage, functions, pipeline, events, operations: each needs earlier ones only."""

    def stage(node) -> str | None:
        stack, name = node
        if stack != "root":
            return stack
        name = name.removesuffix(" (begins)")
        return name if name in project.nested else "functions"

    for unknown in project.nested.keys() - set(ORDER):
        yield f"root.{unknown}: has no place in the order {ORDER}"
    for node, needs in dependencies(project).items():
        for other in needs:
            here, there = stage(node), stage(other)
            if here in ORDER and there in ORDER and ORDER.index(there) > ORDER.index(here):
                yield f"{'.'.join(node)}: needs {'.'.join(other)} of a later stack"


def nested_templates_are_plain(project: Project) -> Findings:
    """The SAM transform is in the root only, and nothing is exported."""
    for stack, template in project.nested.items():
        if "Transform" in template:
            yield f"{stack}: has a transform"
    for stack, template in project.stacks.items():
        for name, output in template.get("Outputs", {}).items():
            if "Export" in output:
                yield f"{stack}.Outputs.{name}: is exported, which locks the stack"


def nested_parameters_agree(project: Project) -> Findings:
    """What the root passes is what a nested stack takes, under the same constraints."""
    constraints = (
        "Type",
        "AllowedPattern",
        "AllowedValues",
        "MinValue",
        "MaxValue",
        "MinLength",
        "MaxLength",
    )
    for stack, template in project.nested.items():
        passed = project.root["Resources"][stack]["Properties"].get("Parameters", {})
        taken = template.get("Parameters", {})
        for name in passed.keys() ^ taken.keys():
            yield f"{stack}: parameter {name} is {'not taken' if name in passed else 'not passed'}"
        for name in passed.keys() & taken.keys():
            if passed[name] != {"Ref": name}:
                continue
            for constraint in constraints:
                outer = project.root["Parameters"][name].get(constraint)
                if taken[name].get(constraint) != outer:
                    yield f"{stack}.{name}: {constraint} differs from the root's"


def outputs_exist(project: Project) -> Findings:
    """Every output of a nested stack that the root uses is there."""
    for name, attribute in references(project.expanded):
        if name in project.nested and attribute:
            output = attribute.removeprefix("Outputs.")
            if output not in project.nested[name].get("Outputs", {}):
                yield f"root: {name} has no output {output}"


def parameters_are_documented(project: Project) -> Findings:
    """Described, constrained, and in a group of the console's form."""
    bounds = {"AllowedPattern", "AllowedValues", "MinValue", "MinLength"}
    for stack, template in {"root": project.root, **project.nested}.items():
        interface = template["Metadata"]["AWS::CloudFormation::Interface"]
        grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
        parameters = template.get("Parameters", {})
        if sorted(grouped) != sorted(parameters):
            odd = sorted(set(grouped) ^ set(parameters))
            yield f"{stack}: the groups and the parameters differ: {odd}"
        if stack == "root" and set(interface["ParameterLabels"]) != set(parameters):
            yield "root: the labels and the parameters differ"
        for name, parameter in parameters.items():
            if not parameter.get("Description", "").endswith("."):
                yield f"{stack}.{name}: has no sentence as its description"
            if not bounds & parameter.keys():
                yield f"{stack}.{name}: takes anything"


def no_literal_partition(project: Project) -> Findings:
    """No ARN and no host name of one partition: China and GovCloud have their own.

    Service principals are the exception: they are `<service>.amazonaws.com` in
    every partition.
    """
    principal = re.compile(r"[a-z]+\.amazonaws\.com")
    for stack, template in {"root": project.root, **project.nested}.items():
        for path, value in walk({key: template[key] for key in template if key != "Parameters"}):
            if not isinstance(value, str):
                continue
            place = f"{stack}.{'.'.join(map(str, path))}"
            if re.search(r"\barn:aws", value):
                yield f"{place}: literal partition in {value!r}"
            if "amazonaws" in value:
                in_principal = (
                    path[-1] == "Principal"
                    or "iam:PassedToService" in path
                    or "ec2:AuthorizedService" in path
                    or path[-2:] == ("Principal", "Service")
                )
                if not (in_principal and principal.fullmatch(value)):
                    yield f"{place}: literal domain in {value!r}"


def names_are_lower_case(project: Project) -> Findings:
    """SageMaker lower-cases names in some ARNs, while rules and IAM compare case."""
    for stack, logical_id, resource in project.resources(*NAMES):
        for name in NAMES[resource["Type"]]:
            value = resource["Properties"].get(name)
            if value is None:
                continue  # CloudFormation makes a name of its own
            place = f"{stack}.{logical_id}.{name}"
            literal = value if isinstance(value, str) else value.get("Fn::Sub", "")
            if isinstance(literal, list):
                literal = literal[0]
            if re.search("[A-Z]", re.sub(r"\$\{[^}]*\}", "", literal)):
                yield f"{place}: upper case in {literal!r}"
            for target, _ in references(value):
                if target.startswith("AWS::"):
                    continue
                parameter = project.stacks[stack].get("Parameters", {}).get(target)
                if parameter is None:
                    yield f"{place}: {target} is not a parameter whose pattern bounds it"
                elif "AllowedPattern" not in parameter or admits_upper_case(
                    parameter["AllowedPattern"]
                ):
                    yield f"{place}: the pattern of {target} admits upper case"


def names_fit_in_every_region(project: Project) -> Findings:
    """The longest prefix in the region with the longest name is still a legal name."""
    regions = json.loads((ROOT / "shared/data/regions.json").read_text())["regions"]
    prefix = "p" * project.root["Parameters"]["Prefix"]["MaxLength"]
    values = {
        "Prefix": prefix,
        "AWS::AccountId": "123456789012",
        "AWS::Region": max(regions, key=len),
    }

    def text(stack: str, value) -> str:
        if isinstance(value, str):
            return value
        if name := value.get("Ref"):
            if name in values:
                return values[name]
            passed = project.root["Resources"][stack]["Properties"]["Parameters"][name]
            return text("root", passed)
        return re.sub(r"\$\{([^}]+)\}", lambda hole: values[hole[1]], value["Fn::Sub"])

    for stack, logical_id, resource in project.resources(*NAMES):
        limit = NAME_LIMITS.get(resource["Type"], 64)
        for name in NAMES[resource["Type"]]:
            value = resource["Properties"].get(name)
            if value is not None and len(full := text(stack, value)) > limit:
                yield f"{stack}.{logical_id}.{name}: {full!r} is longer than {limit}"


def targets_lose_nothing(project: Project) -> Findings:
    """Every target of a rule or schedule retries and has a queue for what fails."""

    def check(place: str, target: dict) -> Findings:
        if "Arn" not in target.get("DeadLetterConfig", {}):
            yield f"{place}: has no dead-letter queue"
        policy = target.get("RetryPolicy", {})
        if not {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"} <= policy.keys():
            yield f"{place}: has no retry policy"

    for stack, logical_id, rule in project.resources("AWS::Events::Rule"):
        targets = rule["Properties"].get("Targets", [])
        if not targets:
            yield f"{stack}.{logical_id}: has no target"
        for target in targets:
            yield from check(f"{stack}.{logical_id}.{target['Id']}", target)
            allowed = any(
                permission["Properties"].get("SourceArn") == {"Fn::GetAtt": [logical_id, "Arn"]}
                and permission["Properties"]["FunctionName"] == target["Arn"]
                for permission in (
                    resource
                    for resource in project.stacks[stack]["Resources"].values()
                    if resource["Type"] == "AWS::Lambda::Permission"
                )
            )
            if not allowed:
                yield f"{stack}.{logical_id}: may not invoke its target"
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            if queue and not _takes_from_rule(project.stacks[stack], queue, logical_id):
                yield f"{stack}.{logical_id}: may not send to its dead-letter queue"
    for stack, logical_id, schedule in project.resources("AWS::Scheduler::Schedule"):
        yield from check(f"{stack}.{logical_id}", schedule["Properties"]["Target"])


def _takes_from_rule(template: dict, queue, rule: str) -> bool:
    """Whether a queue policy of the rule's stack lets EventBridge send in the rule's name."""
    return any(
        statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "events.amazonaws.com"}
        and "sqs:SendMessage" in as_list(statement["Action"])
        and statement["Resource"] == queue
        and {"Fn::GetAtt": [rule, "Arn"]}
        in as_list(statement.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn", []))
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SQS::QueuePolicy"
        for statement in statements(resource["Properties"]["PolicyDocument"])
    )


def pipeline_rules_ignore_case(project: Project) -> Findings:
    """Rules compare case, and SageMaker lower-cases names in some ARNs."""

    def ignores(value) -> bool:
        if not isinstance(value, dict):
            return False
        return set(value) == {"equals-ignore-case"} or ignores(value.get("suffix"))

    for stack, logical_id, rule in project.resources("AWS::Events::Rule"):
        pattern = rule["Properties"].get("EventPattern", {})
        if "Fn::Sub" in pattern:
            # A text, which is JSON whatever stands in it for a name.
            pattern = json.loads(as_list(pattern["Fn::Sub"])[0])
        for value in pattern.get("detail", {}).get("pipelineArn", []):
            if not ignores(value):
                yield f"{stack}.{logical_id}: compares the case of pipelineArn"


def functions_keep_logs_and_failures(project: Project) -> Findings:
    """A log group with retention, a queue for what failed, and the right to both."""
    resources = project.expanded["Resources"]
    for stack, logical_id, function in project.resources("AWS::Lambda::Function"):
        place = f"{stack}.{logical_id}"
        properties = function["Properties"]
        group_id = properties.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
        group = resources.get(group_id, {}).get("Properties", {})
        if "RetentionInDays" not in group:
            yield f"{place}: has no log group with a retention"
        role_id = next((name for name, _ in references(properties["Role"])), None)
        role = resources.get(role_id)
        if role is None or role["Type"] != "AWS::IAM::Role":
            yield f"{place}: has no role that is written out"
            continue
        allowed = list(role_statements(role))
        if not any(
            {"logs:CreateLogStream", "logs:PutLogEvents"} <= set(as_list(statement["Action"]))
            and statement["Resource"] == {"Fn::GetAtt": [group_id, "Arn"]}
            for statement in allowed
        ):
            yield f"{place}: may not write its log group"
        retries = [
            resource["Properties"]
            for resource in resources.values()
            if resource["Type"] == "AWS::Lambda::EventInvokeConfig"
            and resource["Properties"]["FunctionName"] == {"Ref": logical_id}
            and resource["Properties"]["Qualifier"] == "$LATEST"
        ]
        queue = (
            retries[0].get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            if retries
            else None
        )
        if queue is None:
            yield f"{place}: keeps no failed invocation (OnFailure)"
        elif not any(
            "sqs:SendMessage" in as_list(statement["Action"]) and statement["Resource"] == queue
            for statement in allowed
        ):
            yield f"{place}: may not send to its failure queue"
        for name in properties.get("Environment", {}).get("Variables", {}):
            if RESERVED_VARIABLES.fullmatch(name):
                yield f"{place}: sets the reserved variable {name}"


def retention_is_literal(project: Project) -> Findings:
    """`Retain` on data, a decision on everything that could hold some."""
    for stack, logical_id, resource in project.resources(*RETAINED, *REPRODUCIBLE):
        expected = "Retain" if resource["Type"] in RETAINED else "Delete"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if (chosen := resource.get(policy)) != expected:
                yield f"{stack}.{logical_id}: {policy} is {chosen!r}, not {expected!r}"


def data_is_protected(project: Project) -> Findings:
    """Encrypted, not public, over TLS only, and restorable."""
    for stack, template in project.stacks.items():
        guarded = set()
        for resource in template["Resources"].values():
            if resource["Type"] not in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
                continue
            for statement in statements(resource["Properties"]["PolicyDocument"]):
                if (
                    statement["Effect"] == "Deny"
                    and statement["Principal"] == "*"
                    and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                ):
                    owners = resource["Properties"].get("Queues") or [
                        resource["Properties"]["Bucket"]
                    ]
                    guarded |= {name for owner in owners for name, _ in references(owner)}
        for logical_id, resource in template["Resources"].items():
            place, properties = f"{stack}.{logical_id}", resource.get("Properties", {})
            if resource["Type"] == "AWS::S3::Bucket":
                if "BucketEncryption" not in properties:
                    yield f"{place}: is not encrypted"
                block = properties.get("PublicAccessBlockConfiguration", {})
                if len(block) != 4 or not all(value is True for value in block.values()):
                    yield f"{place}: may become public"
                if logical_id not in guarded:
                    yield f"{place}: takes requests without TLS"
                if "LifecycleConfiguration" not in properties:
                    yield f"{place}: keeps abandoned uploads"
            elif resource["Type"] == "AWS::DynamoDB::Table":
                if properties.get("SSESpecification", {}).get("SSEEnabled") is not True:
                    yield f"{place}: is not encrypted"
                recovery = properties.get("PointInTimeRecoverySpecification", {})
                if recovery.get("PointInTimeRecoveryEnabled") is not True:
                    yield f"{place}: cannot be restored to a point in time"
                if properties.get("BillingMode") != "PAY_PER_REQUEST":
                    yield f"{place}: is not billed by request"
            elif resource["Type"] == "AWS::SQS::Queue":
                if (
                    properties.get("SqsManagedSseEnabled") is not True
                    and "KmsMasterKeyId" not in properties
                ):
                    yield f"{place}: is not encrypted"
                if properties.get("MessageRetentionPeriod") != 1209600:
                    yield f"{place}: does not keep messages for 14 days"
                # A queue's policy may stand in a later stack, which knows the senders.
                output = next(
                    (
                        name
                        for name, value in template.get("Outputs", {}).items()
                        if value["Value"] == {"Ref": logical_id}
                    ),
                    None,
                )
                if logical_id not in guarded and not _guarded_elsewhere(project, output):
                    yield f"{place}: takes requests without TLS"


def _guarded_elsewhere(project: Project, parameter: str | None) -> bool:
    for _, _, policy in project.resources("AWS::SQS::QueuePolicy"):
        properties = policy["Properties"]
        if {"Ref": parameter} in properties["Queues"]:
            return any(
                statement["Effect"] == "Deny"
                and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                for statement in statements(properties["PolicyDocument"])
            )
    return False


def rights_are_least(project: Project) -> Findings:
    """No managed policy, no wildcard action, no resource `*` where IAM knows a resource."""
    for stack, logical_id, role in project.resources("AWS::IAM::Role"):
        place = f"{stack}.{logical_id}"
        properties = role["Properties"]
        if "ManagedPolicyArns" in properties:
            yield f"{place}: takes managed policies"
        if "RoleName" in properties:
            yield f"{place}: is named, which asks more of the deployer than CAPABILITY_IAM"
        for trust in statements(properties["AssumeRolePolicyDocument"]):
            if (
                trust["Principal"].get("Service") == "sagemaker.amazonaws.com"
                and "Condition" not in trust
            ):
                yield f"{place}: SageMaker may assume it on behalf of any account"
        for statement in role_statements(role):
            where = f"{place}.{statement.get('Sid', '?')}"
            actions = as_list(statement["Action"])
            if "Sid" not in statement:
                yield f"{where}: a statement without a name"
            if any("*" in action for action in actions):
                yield f"{where}: wildcard among {actions}"
            if "*" in as_list(statement["Resource"]) and (extra := set(actions) - WITHOUT_RESOURCE):
                yield f"{where}: any resource for {sorted(extra)}"
            if "iam:PassRole" in actions and "iam:PassedToService" not in str(
                statement.get("Condition")
            ):
                yield f"{where}: passes a role to any service"


# What a right is bound by, beside its resource: the keys that its statement's condition must have.
BOUND_BY = {
    "ec2:CreateNetworkInterfacePermission": {"ec2:AuthorizedService", "ec2:Subnet"},
    "ec2:DeleteNetworkInterface": {"ec2:Subnet"},
    "ec2:DeleteNetworkInterfacePermission": {"ec2:Subnet"},
    "kms:CreateGrant": {"kms:GrantIsForAWSResource"},
}
# EC2 asks for the right to make an interface on each of what it is made of.
INTERFACES_BOUND_BY = {"subnet/*": "ec2:SubnetID", "security-group/*": "ec2:SecurityGroupID"}


def condition_keys(statement: dict) -> set[str]:
    """The keys that a statement's condition compares."""
    return {key for block in statement.get("Condition", {}).values() for key in block}


def rights_are_bound_by_conditions(project: Project) -> Findings:
    """Grants of keys are for AWS's services, interfaces for SageMaker in the chosen subnets."""
    for stack, logical_id, role in project.resources("AWS::IAM::Role"):
        for statement in role_statements(role):
            where = f"{stack}.{logical_id}.{statement.get('Sid', '?')}"
            keys = condition_keys(statement)
            for action in as_list(statement["Action"]):
                if lacking := BOUND_BY.get(action, set()) - keys:
                    yield f"{where}: {action} is not bound by {sorted(lacking)}"
                if action != "ec2:CreateNetworkInterface":
                    continue
                for resource in as_list(statement["Resource"]):
                    for kind, key in INTERFACES_BOUND_BY.items():
                        if resource["Fn::Sub"].endswith(f":{kind}") and key not in keys:
                            yield f"{where}: any {kind.rpartition('/')[0]} of the account"


WRITES_AN_ITEM = {"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem"}


def jobs_write_their_own_attributes_only(project: Project) -> Findings:
    """What runs in SageMaker can change its own attributes of a record, and nothing else of it."""
    for stack, logical_id, role in project.resources("AWS::IAM::Role"):
        trusts = list(statements(role["Properties"]["AssumeRolePolicyDocument"]))
        if all(each["Principal"].get("Service") != "sagemaker.amazonaws.com" for each in trusts):
            continue
        for statement in role_statements(role):
            if "ExecutionsTableName" not in json.dumps(statement["Resource"]):
                continue
            where = f"{stack}.{logical_id}.{statement.get('Sid', '?')}"
            for action in as_list(statement["Action"]):
                if action in WRITES_AN_ITEM:
                    yield f"{where}: {action} replaces or deletes a record whole"
                if action == "dynamodb:UpdateItem" and (
                    "dynamodb:Attributes" not in statement.get("Condition", {}).get(
                        "ForAllValues:StringEquals", {}
                    )
                ):
                    yield f"{where}: any attribute of a record"


def models_have_a_role_of_their_own(project: Project) -> Findings:
    """An endpoint may neither write nor read what the jobs do, but for the models."""
    resources = project.nested["PipelineStack"]["Resources"]
    values = resources["PipelineDefinition"]["Properties"]["Values"]
    role = values["ModelRoleArn"]["Fn::GetAtt"][0]
    if values["ModelRoleArn"] == values["JobRoleArn"]:
        yield "PipelineStack.PipelineDefinition.Values: models run with the jobs' role"
    text = (ROOT / "shared/templates/asset-prediction.json.tera").read_text()
    for found in re.findall(r'"ExecutionRoleArn": "(.*?)"', text):
        if found != "{{ ModelRoleArn }}":
            yield f"asset-prediction.json.tera: a model's role is {found}"
    for statement in role_statements(resources[role]):
        for action in as_list(statement["Action"]):
            if action.startswith("dynamodb:") or action == "s3:PutObject":
                yield f"PipelineStack.{role}.{statement['Sid']}: {action}, which serving does not need"


def policies_name_this_installation_only(project: Project) -> Findings:
    """No pattern of a policy takes what an installation has whose prefix goes on: pw, pw-2."""
    for stack, template in {"root": project.root, **project.nested}.items():
        for path, value in walk(template["Resources"]):
            in_policy = {"Statement", "PolicyDocument", "EventPattern"} & {
                key for key in path if isinstance(key, str)
            }
            if not in_policy or not isinstance(value, str):
                continue
            if re.search(r"\$\{Prefix\}-?\*|\$\{Prefix\}-[^/:]*\*", value):
                yield f"{stack}.{'.'.join(map(str, path))}: {value!r}"


def the_custom_resource_has_no_other_caller(project: Project) -> Findings:
    """CloudFormation invokes with its caller's rights: no policy of ours lets anybody else in."""
    function = "PipelineDefinitionFunction"
    for stack, logical_id, permission in project.resources("AWS::Lambda::Permission"):
        if function in json.dumps(permission["Properties"]["FunctionName"]):
            yield f"{stack}.{logical_id}: lets somebody invoke the custom resource's function"
    for stack, logical_id, role in project.resources("AWS::IAM::Role"):
        for statement in role_statements(role):
            if "lambda:InvokeFunction" in as_list(statement["Action"]):
                yield f"{stack}.{logical_id}.{statement['Sid']}: may invoke a function"


def dashboards_are_json(project: Project) -> Findings:
    """A dashboard's body is JSON, shows every alarm and overlaps nothing."""
    for stack, logical_id, dashboard in project.resources("AWS::CloudWatch::Dashboard"):
        place = f"{stack}.{logical_id}"
        text = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
        try:
            widgets = json.loads(text)["widgets"]
        except (ValueError, KeyError) as error:
            yield f"{place}: {error}"
            continue
        alarms = {name for _, name, _ in project.resources("AWS::CloudWatch::Alarm")}
        shown = {
            alarm.removeprefix("${").removesuffix(".Arn}")
            for widget in widgets
            for alarm in widget["properties"].get("alarms", [])
        }
        for name in alarms ^ shown:
            yield f"{place}: {name} is {'not shown' if name in alarms else 'no alarm'}"
        taken: set[tuple[int, int]] = set()
        for widget in widgets:
            cells = {
                (x, y)
                for x in range(widget["x"], widget["x"] + widget["width"])
                for y in range(widget["y"], widget["y"] + widget["height"])
            }
            if cells & taken or max(x for x, _ in cells) > 23:
                yield f"{place}: {widget['properties']['title']} lies over another or outside"
            taken |= cells


def rules_are_watched(project: Project) -> Findings:
    """What a rule loses raises an alarm, and the dashboard has what each rule of events matches."""
    alarms = [
        dimension["Value"]
        for _, _, alarm in project.resources("AWS::CloudWatch::Alarm")
        for dimension in alarm["Properties"].get("Dimensions", [])
        if alarm["Properties"].get("MetricName") == "InvocationsFailedToBeSentToDlq"
    ]
    dashboards = [
        dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
        for _, _, dashboard in project.resources("AWS::CloudWatch::Dashboard")
    ]
    for stack, logical_id, rule in project.resources("AWS::Events::Rule"):
        place, name = f"{stack}.{logical_id}", rule["Properties"]["Name"]
        if name not in alarms:
            yield f"{place}: no alarm says that {name} lost an event"
        shown = f'"MatchedEvents", "RuleName", "{name["Fn::Sub"]}"'
        if "EventPattern" in rule["Properties"] and not any(shown in body for body in dashboards):
            yield f"{place}: the dashboard does not show {name}"


def alarms_reach_the_topic(project: Project) -> Findings:
    """Each alarm says what to do, may tell the topic and does, and takes silence for health."""
    may_tell = {
        tuple(source["Fn::GetAtt"])
        for _, _, policy in project.resources("AWS::SNS::TopicPolicy")
        for statement in statements(policy["Properties"]["PolicyDocument"])
        for source in as_list(
            statement.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn", [])
        )
    }
    for stack, logical_id, alarm in project.resources("AWS::CloudWatch::Alarm"):
        place, properties = f"{stack}.{logical_id}", alarm["Properties"]
        if properties.get("AlarmActions") != [{"Ref": "AlarmTopic"}]:
            yield f"{place}: reaches no topic"
        if (logical_id, "Arn") not in may_tell:
            yield f"{place}: the topic's policy does not let it in"
        if not properties.get("AlarmDescription", "").endswith("."):
            yield f"{place}: does not say what it means"
        if properties.get("TreatMissingData") != "notBreaching":
            yield f"{place}: is unknown while nothing happens"


def root_resources_carry_tags(project: Project) -> Findings:
    """Cost allocation: nested stacks hand their tags on, the root's own resources have them."""
    tagged = (
        "AWS::CloudFormation::Stack",
        "AWS::IAM::Role",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
    )
    for stack, logical_id, resource in project.resources(*tagged):
        if stack != "root":
            continue
        keys = {tag["Key"] for tag in resource["Properties"].get("Tags", [])}
        if not {"pipewright:stack", "pipewright:part"} <= keys:
            yield f"root.{logical_id}: lacks the tags for cost allocation"


def code_is_where_cargo_lambda_puts_it(project: Project) -> Findings:
    """Each function's code is `target/lambda/<package>/`, of a package that exists."""
    for logical_id, resource in project.root["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        code = resource["Properties"]["CodeUri"]
        match = re.fullmatch(r"target/lambda/([a-z-]+)/", code)
        if not match or not (ROOT / "functions" / match[1] / "Cargo.toml").exists():
            yield f"root.{logical_id}: CodeUri {code!r} is of no package in functions/"


def definition_gets_the_values_of_its_template(project: Project) -> Findings:
    """What the stack gives for the shipped definition is what its template has keys for."""
    text = (ROOT / "shared/templates/asset-prediction.json.tera").read_text()
    tags = re.findall(r"\{\{-?(.*?)-?\}\}|\{%-?\s*(?:if|elif|for \w+ in)(.*?)-?%\}", text, re.DOTALL)
    wanted = {
        name
        for tag in tags
        for name in re.findall(r"\b[A-Z]\w*", re.sub(r'"[^"]*"', "", "".join(tag)))
    }
    for stack, logical_id, resource in project.resources("Custom::PipelineDefinition"):
        given = set(resource["Properties"]["Values"]) | FOUND_BY_THE_FUNCTION
        for name in wanted ^ given:
            fault = "is not given" if name in wanted else "is given for nothing"
            yield f"{stack}.{logical_id}.Values.{name}: {fault}"


def functions_get_the_variables_they_read(project: Project) -> Findings:
    """The environment in the template is the one that the function's `main` reads."""
    for logical_id, resource in project.root["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        package = resource["Properties"]["CodeUri"].removeprefix("target/lambda/").rstrip("/")
        source = (ROOT / "functions" / package / "src/main.rs").read_text()
        read = set(re.findall(r'variable\("(\w+)"\)', source))
        given = set(resource["Properties"]["Environment"]["Variables"]) - {"RUST_LOG"}
        for name in read ^ given:
            fault = "is not given" if name in read else "is not read"
            yield f"root.{logical_id}: {name} {fault}"


def custom_resources_are_bounded(project: Project) -> Findings:
    """A custom resource names its function without version and cannot hang for an hour."""
    for stack, logical_id, resource in project.resources():
        if not fnmatch.fnmatch(resource["Type"], "Custom::*"):
            continue
        properties = resource["Properties"]
        if "ServiceTimeout" not in properties:
            yield f"{stack}.{logical_id}: has no ServiceTimeout"
        if properties["ServiceToken"] != {"Ref": "PipelineDefinitionFunctionArn"}:
            yield f"{stack}.{logical_id}: its function is not the one that the root passes"
        passed = project.root["Resources"][stack]["Properties"]["Parameters"]
        if passed["PipelineDefinitionFunctionArn"] != {
            "Fn::GetAtt": ["PipelineDefinitionFunction", "Arn"]
        }:
            yield f"{stack}.{logical_id}: its function is not unqualified"


ALL = [
    no_cycles,
    no_reference_to_a_later_stack,
    nested_templates_are_plain,
    nested_parameters_agree,
    outputs_exist,
    parameters_are_documented,
    no_literal_partition,
    names_are_lower_case,
    names_fit_in_every_region,
    targets_lose_nothing,
    pipeline_rules_ignore_case,
    functions_keep_logs_and_failures,
    retention_is_literal,
    data_is_protected,
    rights_are_least,
    rights_are_bound_by_conditions,
    jobs_write_their_own_attributes_only,
    models_have_a_role_of_their_own,
    policies_name_this_installation_only,
    the_custom_resource_has_no_other_caller,
    dashboards_are_json,
    rules_are_watched,
    alarms_reach_the_topic,
    root_resources_carry_tags,
    code_is_where_cargo_lambda_puts_it,
    custom_resources_are_bounded,
    definition_gets_the_values_of_its_template,
    functions_get_the_variables_they_read,
]
