"""A job does what its role allows, and no more."""

import json
import sys
import uuid

import pytest

from harness import wait_for
from ops.local.system import ACCOUNT, REGION

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/python:1"
# Says what became of two calls of the program's own, as its output.
PROGRAM = """
import boto3, os
s3, said = boto3.client("s3"), []
for key in ("in/a.csv", "secret/a.csv"):
    try:
        said.append(s3.get_object(Bucket=os.environ["BUCKET"], Key=key)["Body"].read().decode())
    except Exception as error:
        said.append(str(error))
open("/opt/ml/processing/out/said", "w").write("\\n".join(said))
"""


class Place:
    """A bucket, a pipeline of one job, and the job's role."""

    def __init__(self, system):
        self._system = system
        self.name = f"job-roles-{uuid.uuid4().hex[:8]}"
        self.role = f"arn:aws:iam::{ACCOUNT}:role/{self.name}"
        s3 = system.client("s3")
        configuration = {"LocationConstraint": REGION}
        s3.create_bucket(Bucket=self.name, CreateBucketConfiguration=configuration)
        for folder in ("in", "secret"):
            s3.put_object(Bucket=self.name, Key=f"{folder}/a.csv", Body=b"content")
        s3.put_object(Bucket=self.name, Key="in/job.py", Body=PROGRAM.encode())

    def make_role(self, service="sagemaker.amazonaws.com"):
        """Make the role, which a service may assume for this account."""
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        }
        document = {"Version": "2012-10-17", "Statement": [trust]}
        self._system.client("iam").create_role(
            RoleName=self.name, AssumeRolePolicyDocument=json.dumps(document)
        )

    def allow(self, *rights):
        """Let the role do this, each as ACTION PLACE, and nothing else."""
        split = (right.split(" ") for right in rights)
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{self.name}{place}"}
            for action, place in split
        ]
        document = {"Version": "2012-10-17", "Statement": statements}
        self._system.client("iam").put_role_policy(
            RoleName=self.name, PolicyName="rights", PolicyDocument=json.dumps(document)
        )

    def run(self, role=None, pipelines_role=None):
        """Run the job; gives the row of its step."""
        role = role or self.role
        arguments = {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": "ml.m5.large",
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 1,
                }
            },
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": [sys.executable, "/opt/ml/processing/in/job.py"],
            },
            "Environment": {"BUCKET": self.name},
            "RoleArn": role,
            "ProcessingInputs": [
                {
                    "InputName": "in",
                    "S3Input": {
                        "S3Uri": f"s3://{self.name}/in/",
                        "LocalPath": "/opt/ml/processing/in",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "out",
                        "S3Output": {
                            "S3Uri": f"s3://{self.name}/out",
                            "LocalPath": "/opt/ml/processing/out",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
        }
        step = {"Name": "Job", "Type": "Processing", "Arguments": arguments}
        definition = {"Version": "2020-12-01", "Parameters": [], "Steps": [step]}
        sagemaker, name = self._system.client("sagemaker"), f"{self.name}-{uuid.uuid4().hex[:6]}"
        sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinition=json.dumps(definition),
            RoleArn=pipelines_role or role,
        )
        started = sagemaker.start_pipeline_execution(PipelineName=name)

        def ended():
            (row,) = sagemaker.list_pipeline_execution_steps(**_named(started))[
                "PipelineExecutionSteps"
            ] or [{"StepStatus": "Starting"}]
            return row["StepStatus"] in ("Succeeded", "Failed") and row

        return wait_for(ended, within=60)

    def said(self):
        """What the program said, as a right to PutObject lets it."""
        body = self._system.client("s3").get_object(Bucket=self.name, Key="out/said")["Body"]
        return body.read().decode()


def _named(started):
    return {"PipelineExecutionArn": started["PipelineExecutionArn"]}


@pytest.fixture
def place(bare_system):
    return Place(bare_system)


RIGHTS = {
    "s3:ListBucket": "s3:ListBucket ",
    "s3:GetObject": "s3:GetObject /in/*",
    "s3:PutObject": "s3:PutObject /out/*",
}


def test_a_job_may_do_what_its_role_allows_and_no_more(place):
    """A job's S3 reads and writes and its program's calls have the rights of its role, and a denied right fails it."""
    place.make_role()
    place.allow(*RIGHTS.values())
    row = place.run()
    assert row["StepStatus"] == "Succeeded", row.get("FailureReason")
    read, refused = place.said().split("\n", 1)
    assert read == "content"
    assert "AccessDenied" in refused
    for right in RIGHTS:
        place.allow(*(each for name, each in RIGHTS.items() if name != right))
        row = place.run()
        assert row["StepStatus"] == "Failed", right
        denied = "Failed to upload output 'out'" if right == "s3:PutObject" else "Data download"
        assert row["FailureReason"].startswith(f"ClientError: {denied}"), row
        assert "AccessDenied" in row["FailureReason"]


def test_a_role_that_sagemaker_may_not_assume_fails_the_job(place):
    """A job whose role is missing, or trusts another service only, fails in SageMaker's words."""
    says = (
        f"ClientError: Could not assume role {place.role}. Please ensure that the role exists and "
        "allows principal 'sagemaker.amazonaws.com' to assume the role."
    )
    assert place.run()["FailureReason"] == says
    place.make_role("lambda.amazonaws.com")
    place.allow(*RIGHTS.values())
    assert place.run()["FailureReason"] == says


def test_what_sagemaker_does_with_the_pipelines_role_is_not_checked(place):
    """A pipeline whose role is missing runs all the same, as does a job with a role of another account."""
    foreign = "arn:aws:iam::111122223333:role/any"
    row = place.run(foreign, pipelines_role=place.role)
    assert row["StepStatus"] == "Succeeded", row.get("FailureReason")
    assert place.said() == "content\ncontent"
