"""What somebody changed by hand: policies of roles, queues and buckets, against the deployed templates.

Statements are compared by their Sids and actions; the resources in them hold resolved values.

CloudFormation's own drift detection would compare the resources as well. The local AWS's sees of all
this no more than a function's role, as a test in tests/integration/test_by_hand.py holds; and it
reads every property with the rights of its caller, which `make deploy-policy` does not print.
"""

import json

from ops.stack.deployer import Deployer

CURE = "changed by hand: see docs/OPERATIONS.md, 'Changed by hand'"


def holds(condition, parameters):
    """Whether a condition of a template holds for its parameters; of the functions that ours use."""
    ((function, arguments),) = condition.items()
    if function == "Fn::Not":
        return not holds(arguments[0], parameters)
    if function == "Fn::Equals":
        first, second = (
            parameters[each["Ref"]] if isinstance(each, dict) else each for each in arguments
        )
        return first == second
    raise ValueError(f"{function} is not a function that conditions of policies are made of")


def _decided(statement, conditions, parameters):
    """The statement that an Fn::If stands for; None where it stands for nothing."""
    if "Fn::If" in statement:
        name, then, otherwise = statement["Fn::If"]
        statement = then if holds(conditions[name], parameters) else otherwise
    return None if statement == {"Ref": "AWS::NoValue"} else statement


def actions_by_sid(document, conditions=None, parameters=None):
    """The actions of a policy's statements by Sid; of one in AWS, or of one in a template."""
    found = {}
    statements = document["Statement"]
    for each in [statements] if isinstance(statements, dict) else statements:
        if statement := _decided(each, conditions, parameters):
            actions = statement.get("Action", [])
            found[statement.get("Sid", "")] = {actions} if isinstance(actions, str) else {*actions}
    return found


def difference(expected, found):
    """How a policy's actions by Sid differ from the template's; None where they don't."""
    ways = {
        "lacks": expected.keys() - found.keys(),
        "has other actions in": {
            sid for sid in expected.keys() & found.keys() if expected[sid] != found[sid]
        },
        "has more than the template:": found.keys() - expected.keys(),
    }
    told = [f"{how} {', '.join(map(repr, sorted(sids)))}" for how, sids in ways.items() if sids]
    return " and ".join(told) or None


def _fault_of_role(iam, role, name, expected):
    try:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        return f"has no policy {name}; it was {CURE}"
    if differs := difference(expected, actions_by_sid(document)):
        return f"has a policy {name} that {differs}; it was {CURE}"
    return None


def _fault_of_queue(sqs, url, expected):
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    text = asked.get("Attributes", {}).get("Policy")
    if not text:
        return f"has no policy; it was {CURE}"
    if differs := difference(expected, actions_by_sid(json.loads(text))):
        return f"has a policy that {differs}; it was {CURE}"
    return None


def _fault_of_bucket(s3, bucket, expected):
    try:
        text = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        return f"has no policy; it was {CURE}"
    if differs := difference(expected, actions_by_sid(json.loads(text))):
        return f"has a policy that {differs}; it was {CURE}"
    return None


def _fault_of_function(client, name, expected):
    role = client.get_function_configuration(FunctionName=name)["Role"].rpartition("/")[2]
    return None if role == expected else f"has the role {role}, not {expected}; it was {CURE}"


def policies(target, stack):
    """(thing, fault or None) of every function's role, and of every role's, queue's, bucket's policy."""
    iam, sqs, functions, s3 = (target.client(name) for name in ("iam", "sqs", "lambda", "s3"))
    for deployed in Deployer(target.client).deployed(stack):
        conditions, parameters = deployed.template.get("Conditions", {}), deployed.parameters
        for logical_id, resource in deployed.template["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role":
                role = deployed.physical[logical_id]
                for each in properties["Policies"]:
                    expected = actions_by_sid(each["PolicyDocument"], conditions, parameters)
                    yield f"role {role}", _fault_of_role(iam, role, each["PolicyName"], expected)
            elif resource["Type"] == "AWS::Serverless::Function":
                name = deployed.physical[logical_id]
                role = deployed.physical[properties["Role"]["Fn::GetAtt"][0]]
                yield f"role of {name}", _fault_of_function(functions, name, role)
            elif resource["Type"] == "AWS::S3::BucketPolicy":
                bucket = deployed.physical[properties["Bucket"]["Ref"]]
                expected = actions_by_sid(properties["PolicyDocument"], conditions, parameters)
                yield f"policy of {bucket}", _fault_of_bucket(s3, bucket, expected)
            elif resource["Type"] == "AWS::SQS::QueuePolicy":
                expected = actions_by_sid(properties["PolicyDocument"], conditions, parameters)
                for queue in properties["Queues"]:
                    url = {**parameters, **deployed.physical}[queue["Ref"]]
                    yield f"queue {url.rpartition('/')[2]}", _fault_of_queue(sqs, url, expected)


def source_arns(statement):
    """The ARNs that a statement of a function's policy lets in."""
    for operator in statement.get("Condition", {}).values():
        for key, value in operator.items():
            if key.lower() == "aws:sourcearn":
                yield from [value] if isinstance(value, str) else value


def is_let_in(policy, rule):
    """Whether a function's policy (None where it has none) lets a rule, by its ARN, invoke it."""
    return any(
        statement["Effect"] == "Allow" and rule in source_arns(statement)
        for statement in (policy or {"Statement": []})["Statement"]
    )


def fault_of_target(client, rule, target):
    """What a rule's target lacks: its dead-letter queue, or the right to invoke; None for nothing."""
    if not target.get("DeadLetterConfig", {}).get("Arn"):
        return f"has a target without its dead-letter queue; it was {CURE}"
    function = target["Arn"]
    try:
        policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        policy = None
    if not is_let_in(policy, rule):
        name = function.rpartition(":")[2]
        return f"may not invoke {name}, whose resource policy was {CURE}"
    return None
