"""What was changed by hand is found: policies against those of the template."""

import contextlib
import json

import pytest

from harness import wait_for
from ops import target as targets
from ops.local.system import STACK
from ops.stack import by_hand
from ops.stack.packages import zip_function
from ops.stack.verify import verify

CONDITIONS = {
    "HasKey": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Key"}, ""]}]},
    "Traces": {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]},
}
DOCUMENT = {
    "Statement": [
        {"Sid": "Read", "Action": ["s3:GetObject", "s3:ListBucket"]},
        {"Fn::If": ["HasKey", {"Sid": "Key", "Action": "kms:Decrypt"}, {"Ref": "AWS::NoValue"}]},
        {"Fn::If": ["Traces", {"Sid": "Traces", "Action": []}, {"Ref": "AWS::NoValue"}]},
    ]
}


@pytest.mark.parametrize(
    ("key", "tracing", "sids"),
    [("", "PassThrough", {"Read"}), ("arn", "Active", {"Read", "Key", "Traces"})],
)
def test_a_conditional_statement_is_expected_where_its_condition_holds(key, tracing, sids):
    parameters = {"Key": key, "Tracing": tracing}
    assert set(by_hand.actions_by_sid(DOCUMENT, CONDITIONS, parameters)) == sids


def test_a_condition_of_an_unknown_function_is_an_error():
    with pytest.raises(ValueError, match="Fn::Or"):
        by_hand.holds({"Fn::Or": []}, {})


def test_policies_differ_by_statements_and_by_actions():
    expected = {"A": {"s3:GetObject"}, "B": {"s3:PutObject"}}
    assert by_hand.difference(expected, dict(expected)) is None
    found = {"B": {"s3:PutObject", "s3:DeleteObject"}, "C": set()}
    told = by_hand.difference(expected, found)
    assert told == "lacks 'A' and has other actions in 'B' and has more than the template: 'C'"


def test_a_rule_is_let_in_by_a_statement_that_names_it():
    def policy(effect="Allow", arn="arn:rule"):
        condition = {"ArnLike": {"AWS:SourceArn": arn}}
        return {"Statement": [{"Effect": effect, "Condition": condition}]}

    assert by_hand.is_let_in(policy(), "arn:rule")
    assert by_hand.is_let_in(policy(arn=["arn:rule"]), "arn:rule")
    assert not by_hand.is_let_in(policy("Deny"), "arn:rule")
    assert not by_hand.is_let_in(policy(arn="arn:other"), "arn:rule")
    assert not by_hand.is_let_in(None, "arn:rule")


@contextlib.contextmanager
def without_a_roles_policy(system):
    """A function's role without its inline policy."""
    iam = system.client("iam")
    function = system.client("lambda").get_function_configuration(
        FunctionName=system.outputs["StartExecutionFunctionName"]
    )
    named = {"RoleName": function["Role"].rpartition("/")[2], "PolicyName": "start-execution"}
    document = iam.get_role_policy(**named)["PolicyDocument"]
    iam.delete_role_policy(**named)
    yield f"role {named['RoleName']}", "has no policy start-execution"
    iam.put_role_policy(**named, PolicyDocument=json.dumps(document))


@contextlib.contextmanager
def with_another_role(system):
    """A function that has the rights of the jobs."""
    client, name = system.client("lambda"), system.outputs["StartExecutionFunctionName"]
    role = client.get_function_configuration(FunctionName=name)["Role"]
    client.update_function_configuration(FunctionName=name, Role=system.outputs["JobRoleArn"])
    yield f"role of {name}", f"not {role.rpartition('/')[2]}"
    client.update_function_configuration(FunctionName=name, Role=role)


@contextlib.contextmanager
def with_another_jobs_policy(system):
    """The jobs' role with a statement less and an action more."""
    iam = system.client("iam")
    named = {"RoleName": system.outputs["JobRoleArn"].rpartition("/")[2], "PolicyName": "jobs"}
    document = iam.get_role_policy(**named)["PolicyDocument"]
    others = [each for each in document["Statement"] if each["Sid"] != "Metrics"]
    others[0] = {**others[0], "Action": "s3:*"}
    changed = json.dumps({**document, "Statement": others})
    iam.put_role_policy(**named, PolicyDocument=changed)
    yield f"role {named['RoleName']}", "lacks 'Metrics' and has other actions in 'ListInputs"
    iam.put_role_policy(**named, PolicyDocument=json.dumps(document))


@contextlib.contextmanager
def without_a_queues_policy(system):
    """The queue of undelivered events, which no rule may send to."""
    sqs, url = system.client("sqs"), system.outputs["UndeliveredEventsQueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    yield "queue pipewright-undelivered-events", "has no policy"
    sqs.set_queue_attributes(QueueUrl=url, Attributes=asked["Attributes"])


@contextlib.contextmanager
def without_a_dead_letter_queue(system):
    """A rule that loses what it cannot deliver."""
    events, rule = system.client("events"), system.outputs["ExecutionsRuleName"]
    rows = events.list_targets_by_rule(Rule=rule)["Targets"]
    bare = [{k: v for k, v in each.items() if k != "DeadLetterConfig"} for each in rows]
    events.put_targets(Rule=rule, Targets=bare)
    yield f"rule {rule}", "without its dead-letter queue"
    events.put_targets(Rule=rule, Targets=rows)


@contextlib.contextmanager
def without_the_right_to_invoke(system):
    """A rule that the function does not let in."""
    client, rule = system.client("lambda"), system.outputs["ResourcesRuleName"]
    function = system.outputs["PipelineEventsFunctionName"]
    policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
    (statement,) = (each for each in policy["Statement"] if json.dumps(each).count(f'rule/{rule}"'))
    client.remove_permission(FunctionName=function, StatementId=statement["Sid"])
    yield f"rule {rule}", f"may not invoke {function}"
    client.add_permission(
        FunctionName=function,
        StatementId=statement["Sid"],
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=next(by_hand.source_arns(statement)),
        SourceAccount=targets.of_system(system).account,
    )


@contextlib.contextmanager
def without_a_buckets_policy(system):
    """The bucket of definitions and scripts, where anything can be written over."""
    s3, bucket = system.client("s3"), system.outputs["PipelineBucketName"]
    document = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    yield f"policy of {bucket}", "has no policy"
    s3.put_bucket_policy(Bucket=bucket, Policy=document)


@contextlib.contextmanager
def with_a_buckets_policy_that_lets_overwrite(system):
    s3, bucket = system.client("s3"), system.outputs["PipelineBucketName"]
    document = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    changed = json.loads(document)
    changed["Statement"] = [each for each in changed["Statement"] if each["Sid"] == "TlsOnly"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(changed))
    yield f"policy of {bucket}", "lacks 'NothingIsWrittenOver'"
    s3.put_bucket_policy(Bucket=bucket, Policy=document)


@contextlib.contextmanager
def with_other_code(system):
    """A function that runs what the stack has not deployed."""
    client, name = system.client("lambda"), system.outputs["StartExecutionFunctionName"]
    (function,) = (
        resource["Properties"]["CodeUri"]
        for deployed in system.deployer.deployed(STACK)
        for logical_id, resource in deployed.template["Resources"].items()
        if deployed.physical.get(logical_id) == name and "CodeUri" in resource["Properties"]
    )
    client.update_function_code(FunctionName=name, ZipFile=zip_function(b"#!/bin/sh"))
    yield f"code of {name}", "runs other code than s3://"
    client.update_function_code(
        FunctionName=name, S3Bucket=function["Bucket"], S3Key=function["Key"]
    )


@pytest.mark.parametrize(
    "changed",
    [
        without_a_roles_policy,
        with_another_role,
        with_another_jobs_policy,
        without_a_queues_policy,
        without_a_dead_letter_queue,
        without_the_right_to_invoke,
        without_a_buckets_policy,
        with_a_buckets_policy_that_lets_overwrite,
        with_other_code,
    ],
)
def test_what_was_taken_away_is_named_until_it_is_back(system, changed):
    target = targets.of_system(system)

    def faults():
        needed, _ = verify(target, STACK, system.outputs)
        # The image was not pushed here.
        return {each.what: each.fault for each in needed if each.fault and "image" not in each.what}

    assert faults() == {}
    with changed(system) as (thing, says):
        found = faults()
        assert list(found) == [thing]
        assert says in found[thing]
        assert by_hand.CURE in found[thing]
    assert faults() == {}


def drifted(system):
    """What CloudFormation's own detection finds changed in the installation's stacks, by logical id."""
    client, found = system.client("cloudformation"), set()
    resources = system.deployer.resources(STACK)
    nested = [each for each in resources if each["ResourceType"] == "AWS::CloudFormation::Stack"]
    for stack in (STACK, *(each["PhysicalResourceId"] for each in nested)):
        asked = client.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
        wait_for(
            lambda asked=asked: (
                client.describe_stack_drift_detection_status(StackDriftDetectionId=asked)[
                    "DetectionStatus"
                ]
                != "DETECTION_IN_PROGRESS"
            )
        )
        drifts = client.describe_stack_resource_drifts(
            StackName=stack, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )
        found |= {each["LogicalResourceId"] for each in drifts["StackResourceDrifts"]}
    return found


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        (without_a_roles_policy, set()),
        (with_another_jobs_policy, set()),
        (without_a_queues_policy, set()),
        (without_a_dead_letter_queue, set()),
        (without_the_right_to_invoke, set()),
        (without_a_buckets_policy, set()),
        (with_other_code, set()),
        (with_another_role, {"StartExecutionFunction"}),
    ],
)
def test_the_local_drift_detection_sees_none_of_it_but_a_functions_role(system, changed, seen):
    """Where this fails, `make verify` may ask CloudFormation instead of ops/stack/by_hand.py."""
    before = drifted(system)
    with changed(system):
        assert drifted(system) - before == seen
