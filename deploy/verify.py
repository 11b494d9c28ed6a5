"""What must be true of an installation before anybody is told that it is ready."""

import contextlib
import dataclasses
import hashlib
import json

from botocore.exceptions import WaiterError

import by_hand
import image


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at, and the fault if there is one."""

    what: str
    fault: str | None = None


def _ending(outputs, *endings):
    return {name: value for name, value in outputs.items() if name.endswith(endings)}


def _tables(target, outputs):
    for name in _ending(outputs, "TableName").values():
        status = target.client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"]
        yield Check(f"table {name}", None if status == "ACTIVE" else f"is {status}")


def _buckets(target, outputs):
    s3 = target.client("s3")
    for name in _ending(outputs, "BucketName").values():
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        yield Check(f"bucket {name}", None if all(block.values()) else "may become public")


def _functions(target, outputs):
    client = target.client("lambda")
    for name in _ending(outputs, "FunctionName").values():
        found = client.get_function_configuration(FunctionName=name)
        if found.get("LastUpdateStatus") == "InProgress":
            # Just deployed: what it is now says nothing, and it does not take long.
            with contextlib.suppress(WaiterError):
                client.get_waiter("function_updated").wait(
                    FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
                )
            found = client.get_function_configuration(FunctionName=name)
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        fine = (state, update) == ("Active", "Successful")
        yield Check(f"function {name}", None if fine else f"is {state}, its update {update}")


def _rules(target, outputs):
    events, functions = target.client("events"), target.client("lambda")
    for name in _ending(outputs, "RuleName").values():
        rule = events.describe_rule(Name=name)
        targets = events.list_targets_by_rule(Rule=name)["Targets"]
        faults = [by_hand.fault_of_target(functions, rule["Arn"], each) for each in targets]
        fault = next((each for each in faults if each), None)
        if rule["State"] != "ENABLED":
            fault = f"is {rule['State']}"
        elif not targets:
            fault = "has no target"
        yield Check(f"rule {name}", fault)
    for name in _ending(outputs, "ScheduleName").values():
        schedule = target.client("scheduler").get_schedule(Name=name)
        fault = None
        if schedule["State"] != "ENABLED":
            fault = f"is {schedule['State']}"
        elif not schedule["Target"].get("DeadLetterConfig"):
            fault = f"has no dead-letter queue; it was {by_hand.CURE}"
        yield Check(f"schedule {name}", fault)


def _pipeline(target, outputs):
    name, uri = outputs["PipelineName"], outputs["PipelineDefinitionS3Uri"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    stored = target.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    digest = hashlib.sha256(stored).hexdigest()
    fine = key.endswith(f"/{digest}.json")
    yield Check(f"definition {uri}", None if fine else f"has the digest {digest}")
    found = target.client("sagemaker").describe_pipeline(PipelineName=name)
    fault = None
    if found["PipelineStatus"] != "Active":
        fault = f"is {found['PipelineStatus']}"
    elif json.loads(found["PipelineDefinition"]) != json.loads(stored):
        fault = "has another definition: deploy again, or update it from the one in S3"
    elif found["RoleArn"] != outputs["PipelineRoleArn"]:
        fault = f"has the role {found['RoleArn']}"
    yield Check(f"pipeline {name}", fault)


def _image(target, outputs):
    repository, tag = outputs["RepositoryName"], outputs["ProcessingImageUri"].rpartition(":")[2]
    manifest = image.find(target.client("ecr"), repository, tag)
    fault = None
    if manifest is None:
        fault = "is missing; until it is pushed (`make deploy` does), no execution starts"
    elif manifest != image.MANIFEST:
        fault = f"has a manifest of type {manifest}, which SageMaker refuses"
    yield Check(f"image {repository}:{tag}", fault)


def _queues(target, outputs):
    for name, url in _ending(outputs, "QueueUrl").items():
        waiting = target.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]["ApproximateNumberOfMessages"]
        fault = f"holds {waiting} messages: `pipewright redrive`" if int(waiting) else None
        yield Check(f"queue {name.removesuffix('Url')}", fault)


def _mail(target, outputs):
    topic = outputs["AlarmTopicArn"]
    subscriptions = target.client("sns").list_subscriptions_by_topic(TopicArn=topic)
    for found in subscriptions["Subscriptions"]:
        pending = not found["SubscriptionArn"].startswith("arn:")
        fault = "waits for a click in the mail that AWS has sent" if pending else None
        yield Check(f"alarms to {found['Endpoint']}", fault)


# What a working installation lacks none of, and what only a person can finish.
_NEEDED = (_buckets, _tables, _functions, _pipeline, _rules, _image)
_HINTS = (_queues, _mail)


def verify(target, stack, outputs):
    """(what must be so, what should be so) of an installation: two lists of checks."""
    needed = [check for look in _NEEDED for check in look(target, outputs)]
    needed += [Check(thing, fault) for thing, fault in by_hand.policies(target, stack)]
    hints = [check for look in _HINTS for check in look(target, outputs)]
    return needed, hints
