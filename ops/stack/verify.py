"""What must be true of an installation before anybody is told that it is ready."""

import base64
import contextlib
import dataclasses
import hashlib
import json

from botocore.exceptions import WaiterError

from ops import image
from ops.stack import artifacts, by_hand
from ops.stack.deployer import Deployer
from ops.stack.ownership import STACK_TAG


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


def _digest_at(s3, uri):
    """The SHA-256 of an object, in hexadecimal digits; None where it is missing."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except s3.exceptions.NoSuchKey:
        return None
    digest = hashlib.sha256()
    for chunk in body.iter_chunks(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def fault_of_digest(found, expected):
    """What is wrong with an object that should begin with the digest `expected`, None for nothing."""
    if found is None:
        return "is missing"
    if not found.startswith(expected):
        return f"has the digest {found}, not the one in its key: somebody replaced it"
    return None


def _executor(target, outputs):
    uri = outputs["ExecutorS3Uri"]
    # definitions/<stack>/executor/<digest>/run-fe-step.sh
    expected = uri.split("/")[-2]
    yield Check(f"executor {uri}", fault_of_digest(_digest_at(target.client("s3"), uri), expected))


def _uri(code):
    """Where a function's code is: by its parts as `make deploy` writes it, or as `sam deploy` does."""
    return code if isinstance(code, str) else f"s3://{code['Bucket']}/{code['Key']}"


def code(target, stack):
    """The functions' code: what Lambda runs is what lies in the artifacts bucket, under its digest."""
    functions = target.client("lambda")
    for deployed in Deployer(target.client).deployed(stack):
        for logical_id, resource in deployed.template["Resources"].items():
            if resource["Type"] != "AWS::Serverless::Function":
                continue
            name, uri = deployed.physical[logical_id], _uri(resource["Properties"]["CodeUri"])
            found = _digest_at(target.client("s3"), uri)
            # `sam deploy` names the code by another digest: then only what Lambda runs is compared.
            in_key = uri.rpartition("/")[2].removesuffix(".zip") if uri.endswith(".zip") else ""
            fault = fault_of_digest(found, in_key)
            running = functions.get_function_configuration(FunctionName=name)["CodeSha256"]
            if fault is None and base64.b64decode(running).hex() != found:
                fault = (
                    f"runs other code than {uri}, which the stack has deployed; "
                    f"it was {by_hand.CURE}"
                )
            yield Check(f"code of {name}", fault)


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


def _images(target, outputs):
    images = [(outputs["RepositoryName"], outputs["ProcessingImageUri"])]
    if "TrainingImageUri" in outputs:
        images.append((outputs["TrainingRepositoryName"], outputs["TrainingImageUri"]))
    for repository, uri in images:
        tag = uri.rpartition(":")[2]
        manifest = image.find(target.client("ecr"), repository, tag)
        fault = None
        if manifest is None:
            fault = "is missing; until it is pushed (`make deploy` does), no execution starts"
        elif manifest != image.MANIFEST:
            fault = f"has a manifest of type {manifest}, which SageMaker refuses"
        yield Check(f"image {repository}:{tag}", fault)


def _artifacts(target, stack):
    """The settings of the bucket that the code was read from, where `make deploy` has made it."""
    buckets = {
        _uri(resource["Properties"]["CodeUri"]).removeprefix("s3://").partition("/")[0]
        for deployed in Deployer(target.client).deployed(stack)
        for resource in deployed.template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    for bucket in sorted(buckets):
        if artifacts.found_tags(target.client("s3"), bucket).get(STACK_TAG) == stack:
            lacks, given = artifacts.differences(target, bucket)
            yield Check(f"bucket {bucket}", "; ".join(lacks + given) or None)


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
_NEEDED = (_buckets, _tables, _functions, _pipeline, _executor, _rules, _images)
_HINTS = (_queues, _mail)


def verify(target, stack, outputs):
    """(what must be so, what should be so) of an installation: two lists of checks."""
    needed = [check for look in _NEEDED for check in look(target, outputs)]
    needed += [*code(target, stack), *_artifacts(target, stack)]
    needed += [Check(thing, fault) for thing, fault in by_hand.policies(target, stack)]
    hints = [check for look in _HINTS for check in look(target, outputs)]
    return needed, hints
