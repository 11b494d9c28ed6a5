"""Jobs that no pipeline has, called as SageMaker's SDK calls them."""

import json
import re
import sys
import uuid

import pytest
from botocore.exceptions import ClientError

from harness import wait_for
from ops.local.system import ACCOUNT, REGION

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/python:1"
STS = f"https://sts.{REGION}.amazonaws.com"
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
PREPARE = f"""
import boto3, pathlib
folder = pathlib.Path("/opt/ml/processing")
print("the account is", boto3.client("sts", endpoint_url="{STS}").get_caller_identity()["Account"])
(folder / "out" / "b.csv").write_text((folder / "in" / "a.csv").read_text() * 2)
"""
# One line, as the service's pattern wants it.
TRAIN = (
    "import pathlib; print('loss=0.5;'); lines = open('/opt/ml/input/data/train/b.csv').readlines(); "
    "pathlib.Path('/opt/ml/model/lines').write_text(str(len(lines)))"
)


@pytest.fixture
def place(bare_system):
    """The name of a bucket with data and programs, and of a role that may use it."""
    name = f"own-jobs-{uuid.uuid4().hex[:8]}"
    s3, iam = bare_system.client("s3"), bare_system.client("iam")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, body in {"in/a.csv": "1\n", "code/prepare.py": PREPARE}.items():
        s3.put_object(Bucket=name, Key=key, Body=body.encode())
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trust["Principal"] = {"Service": "sagemaker.amazonaws.com"}
    document = {"Version": "2012-10-17", "Statement": trust}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
    resources = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": resources}
    document = {"Version": "2012-10-17", "Statement": allowed}
    iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=json.dumps(document))
    return name


@pytest.fixture
def told(bare_system):
    """Gives the events of jobs that have arrived, from the test's beginning."""
    sqs, events, name = bare_system.client("sqs"), bare_system.client("events"), uuid.uuid4().hex
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    kinds = ["SageMaker Processing Job State Change", "SageMaker Training Job State Change"]
    pattern = json.dumps({"source": ["aws.sagemaker"], "detail-type": kinds})
    events.put_rule(Name=name, EventPattern=pattern)
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    found = []

    def arrived():
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield arrived
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)


def s3_input(uri, path):
    return {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}


def processing(place, **changes):
    """The request of a processor's run()."""
    ml = "/opt/ml/processing"
    output = {"S3Uri": f"s3://{place}/out", "LocalPath": f"{ml}/out", "S3UploadMode": "EndOfJob"}
    return {
        "ProcessingJobName": f"{place}-prepare",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{place}",
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": [sys.executable, f"{ml}/code/prepare.py"],
        },
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        "ProcessingInputs": [
            {"InputName": "in", "S3Input": s3_input(f"s3://{place}/in", f"{ml}/in")},
            {"InputName": "code", "S3Input": s3_input(f"s3://{place}/code", f"{ml}/code")},
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
        "Tags": [{"Key": "team", "Value": "a"}],
        **changes,
    }


def training(place, **changes):
    """The request of an estimator's fit()."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{place}/out"}
    return {
        "TrainingJobName": f"{place}-train",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{place}",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [sys.executable, "-c", TRAIN],
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
        },
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{place}/models"},
        "ResourceConfig": CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def ended(sagemaker, kind, name):
    """Wait for a job's end; gives its description."""
    describe = getattr(sagemaker, f"describe_{kind.lower()}_job")

    def finished():
        described = describe(**{f"{kind}JobName": name})
        return described[f"{kind}JobStatus"] not in ("InProgress", "Stopping") and described

    return wait_for(finished, within=60)


def printed(system, kind, name):
    """What a job printed, read as SageMaker's SDK reads it."""
    logs, group = system.client("logs"), f"/aws/sagemaker/{kind}Jobs"
    (stream,) = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=f"{name}/", orderBy="LogStreamName", limit=1
    )["logStreams"]
    assert re.fullmatch(rf"{name}/algo-1-\d{{10}}", stream["logStreamName"])
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )
    return [event["message"] for event in events["events"]]


def test_jobs_run_outside_of_a_pipeline_as_sagemakers_sdk_calls_them(bare_system, place, told):
    """Processing and training jobs that a call begins run with the rights of their role, log to CloudWatch Logs, and
    are described, listed, tagged, told of and found by their names."""
    sagemaker, s3 = bare_system.client("sagemaker"), bare_system.client("s3")
    arn = sagemaker.create_processing_job(**processing(place))["ProcessingJobArn"]
    prepare = ended(sagemaker, "Processing", f"{place}-prepare")
    assert prepare["ProcessingJobStatus"] == "Completed", prepare
    assert printed(bare_system, "Processing", f"{place}-prepare") == [f"the account is {ACCOUNT}"]
    tags = [{"Key": "team", "Value": "a"}]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    listed = sagemaker.list_processing_jobs(NameContains=place)["ProcessingJobSummaries"]
    assert [job["ProcessingJobArn"] for job in listed] == [arn]

    sagemaker.create_training_job(**training(place))
    train = ended(sagemaker, "Training", f"{place}-train")
    assert train["TrainingJobStatus"] == "Completed", train
    assert printed(bare_system, "Training", f"{place}-train") == ["loss=0.5;"]
    assert [(each["MetricName"], each["Value"]) for each in train["FinalMetricDataList"]] == [
        ("loss", 0.5)
    ]
    uri = f"s3://{place}/models/{place}-train/output/model.tar.gz"
    assert train["ModelArtifacts"]["S3ModelArtifacts"] == uri
    assert s3.head_object(Bucket=place, Key=uri.removeprefix(f"s3://{place}/"))

    def statuses():
        detail = (event["detail"] for event in told())
        found = [d.get("ProcessingJobStatus") or d["TrainingJobStatus"] for d in detail]
        return len(found) == 4 and found

    assert sorted(wait_for(statuses)) == ["Completed", "Completed", "InProgress", "InProgress"]
    for create, request in (
        (sagemaker.create_processing_job, processing(place)),
        (sagemaker.create_training_job, training(place)),
    ):
        with pytest.raises(sagemaker.exceptions.ResourceInUse, match="must be unique"):
            create(**request)


def test_a_job_that_a_call_began_is_stopped_by_one(bare_system, place):
    sagemaker = bare_system.client("sagemaker")
    sleep = "import time; print('up', flush=True); time.sleep(60)"
    application = {"ImageUri": IMAGE, "ContainerEntrypoint": [sys.executable, "-c", sleep]}
    sagemaker.create_processing_job(**processing(place, AppSpecification=application))
    name = f"{place}-prepare"

    def is_up():
        # It is seen there while it runs.
        try:
            return printed(bare_system, "Processing", name) == ["up"]
        except (ValueError, ClientError):
            return False

    wait_for(is_up)
    sagemaker.stop_processing_job(ProcessingJobName=name)
    assert ended(sagemaker, "Processing", name)["ProcessingJobStatus"] == "Stopped"


def test_a_job_that_a_call_began_has_the_rights_of_its_role_alone(bare_system, place):
    sagemaker = bare_system.client("sagemaker")
    bare_system.client("iam").delete_role_policy(RoleName=place, PolicyName="s3")
    sagemaker.create_processing_job(**processing(place))
    failed = ended(sagemaker, "Processing", f"{place}-prepare")
    assert failed["ProcessingJobStatus"] == "Failed"
    assert "AccessDenied" in failed["FailureReason"]
