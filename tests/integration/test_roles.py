"""What the deployed rules and roles let through, and what they keep out."""

import copy
import datetime
import json
import os
import subprocess

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import BINARIES
from ops.local.system import ACCOUNT, REGION
from processing_job import ARN, FIRST, JOB_CONFIG, SCRIPT, put, template

ROOT_USER = f"arn:aws:iam::{ACCOUNT}:root"
PIPELINE = "SageMaker Model Building Pipeline Execution"


def events():
    """(the rule that must take it or None, detail type, detail) of events of ours and of others."""
    ours = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/pipewright-asset-prediction"
    # SageMaker spells names in ARNs as it likes.
    for arn in (ours, ours.replace("pipewright-asset", "Pipewright-Asset")):
        yield "pipewright-executions", f"{PIPELINE} Status Change", {"pipelineArn": arn}
        yield "pipewright-executions", f"{PIPELINE} Step Status Change", {"pipelineArn": arn}
    # Whose a model, a package or an endpoint is, only the function can find out.
    detail = {"ModelPackageGroupName": "any"}
    yield "pipewright-resources", "SageMaker Model Package State Change", detail
    yield "pipewright-resources", "SageMaker Model State Change", {"ModelName": "any"}
    yield "pipewright-resources", "SageMaker Endpoint State Change", {"EndpointName": "any"}

    another = {"pipelineArn": f"{ours}-2"}
    yield None, f"{PIPELINE} Status Change", another
    yield None, f"{PIPELINE} Step Status Change", another
    yield None, "SageMaker Training Job State Change", {"TrainingJobName": "any"}


def test_each_event_reaches_one_rule_and_those_of_others_none(system):
    client = system.client("events")
    # The tests listen to all events by a rule of their own, and a schedule takes none.
    rules = {
        rule["Name"]: rule["EventPattern"]
        for rule in client.list_rules()["Rules"]
        if rule["Name"].startswith("pipewright-") and "EventPattern" in rule
    }
    for expected, kind, detail in events():
        event = {
            "id": "1",
            "source": "aws.sagemaker",
            "account": ACCOUNT,
            "time": "2024-01-01T00:00:00Z",
            "region": REGION,
            "resources": [],
            "detail-type": kind,
            "detail": detail,
        }
        taken = [
            name
            for name, pattern in rules.items()
            if client.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
        ]
        assert taken == ([expected] if expected else []), (kind, detail)


class JobRole:
    """A role of the deployed stack that SageMaker takes, which this account may assume for a while."""

    def __init__(self, system, output="JobRoleArn", policy="jobs"):
        self._iam = system.client("iam")
        self._sts = system.client("sts")
        self.arn = system.outputs[output]
        self._name, self._policy_name = self.arn.rsplit("/", 1)[1], policy
        self._trust = self._iam.get_role(RoleName=self._name)["Role"]["AssumeRolePolicyDocument"]
        self._policy = self._iam.get_role_policy(RoleName=self._name, PolicyName=policy)[
            "PolicyDocument"
        ]

    def __enter__(self):
        trust = copy.deepcopy(self._trust)
        trust["Statement"].append(
            {"Effect": "Allow", "Principal": {"AWS": ROOT_USER}, "Action": "sts:AssumeRole"}
        )
        self._set_trust(trust)
        return self

    def __exit__(self, *_):
        self._set_trust(self._trust)
        self._set_policy(self._policy)

    def _set_trust(self, document):
        self._iam.update_assume_role_policy(
            RoleName=self._name, PolicyDocument=json.dumps(document)
        )

    def _set_policy(self, document):
        self._iam.put_role_policy(
            RoleName=self._name, PolicyName=self._policy_name, PolicyDocument=json.dumps(document)
        )

    def without(self, sid, action):
        """Take one right away."""
        policy = copy.deepcopy(self._policy)
        (statement,) = (each for each in policy["Statement"] if each["Sid"] == sid)
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        assert action in actions
        statement["Action"] = [each for each in actions if each != action]
        if not statement["Action"]:
            policy["Statement"].remove(statement)
        self._set_policy(policy)

    def environment(self):
        """The credentials that a job gets."""
        session = self._sts.assume_role(RoleArn=self.arn, RoleSessionName="job")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }


@pytest.fixture
def run_job(system, tmp_path):
    """Runs the processing step for a small record of its own, with given credentials."""
    assets = tmp_path / "processing/input/assets"
    assets.mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/processingjobconfig.json").write_text(json.dumps(JOB_CONFIG))
    days = (FIRST + datetime.timedelta(day) for day in range(366))
    rows = (f"{day},{100 + number % 17}\n" for number, day in enumerate(days))
    (assets / "AAA.csv").write_text("Date,Close\n" + "".join(rows))
    parameters = template()
    parameters["feMeta"]["baseAssets"] = ["AAA"]
    del parameters["feMeta"]["fftSettings"]
    put(system, "pipewright-assets", {"Id": "AAA", "ticker": "AAA", "assetClass": "Technology"})
    execution_id = f"roles-{tmp_path.name.replace('_', '-')}"[:60].rstrip("-")
    record = {
        "Id": execution_id,
        "entry": "record",
        "pipelineExecutionArn": ARN,
        "parameters": parameters,
    }
    put(system, system.outputs["ExecutionsTableName"], record)

    def run(credentials):
        return subprocess.run(
            ["/bin/sh", SCRIPT, "--executionid", execution_id],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "PIPEWRIGHT_APP_DIR": str(BINARIES),
                "PIPEWRIGHT_ML_ROOT": str(tmp_path),
                "PIPELINE_EXECUTION_ID": ARN.rsplit("/", 1)[1],
                "EXECUTIONS_TABLE": system.outputs["ExecutionsTableName"],
                "ASSETS_TABLE": system.outputs["AssetsTableName"],
                "FEATURE_IMPORTANCE_TABLE": system.outputs["FeatureImportanceTableName"],
                "MODELS_BUCKET": system.outputs["ModelsBucketName"],
                **system.environment(),
                **credentials,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    yield run
    system.client("dynamodb").delete_item(
        TableName=system.outputs["AssetsTableName"], Key={"Id": {"S": "AAA"}}
    )


def test_the_processing_step_can_do_its_work_with_the_job_role(system, run_job):
    with JobRole(system) as role:
        job = run_job(role.environment())
    assert job.returncode == 0, job.stdout


@pytest.mark.parametrize(
    ("sid", "action"),
    [
        ("ReadExecution", "dynamodb:GetItem"),
        ("ReportToExecution", "dynamodb:UpdateItem"),
        ("ReadAssetClasses", "dynamodb:Scan"),
        ("WriteFeatureImportance", "dynamodb:PutItem"),
        ("ReadAndWriteOutputs", "s3:PutObject"),
    ],
)
def test_the_processing_step_misses_each_right_of_the_job_role(system, run_job, sid, action):
    with JobRole(system) as role:
        role.without(sid, action)
        job = run_job(role.environment())
    assert "AccessDenied" in job.stdout or "not authorized" in job.stdout, job.stdout
    assert action.partition(":")[2] in job.stdout


def client_of(system, role, service):
    """A client with the rights of a role."""
    given = role.environment()
    return boto3.client(
        service,
        endpoint_url=system.endpoint,
        region_name=REGION,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=given["AWS_SESSION_TOKEN"],
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def test_a_job_writes_its_own_attributes_of_a_record_and_no_others(system):
    """With the rights of a job, a record's status, template and history cannot be changed, replaced or deleted."""
    table = system.outputs["ExecutionsTableName"]
    key = {"Id": {"S": "of-a-job"}, "entry": {"S": "record"}}
    put(system, table, {"Id": "of-a-job", "entry": "record", "pipelineStatus": "Executing"})
    report = {":report": {"M": {"status": {"S": "Succeeded"}}}}
    forged = {":status": {"S": "Succeeded"}}

    with JobRole(system) as role:
        dynamodb = client_of(system, role, "dynamodb")

        def update(expression, values, **more):
            dynamodb.update_item(
                TableName=table,
                Key=key,
                UpdateExpression=expression,
                **({"ExpressionAttributeValues": values} if values else {}),
                **more,
            )

        update("SET processingStepReport = :report", report)
        for refused in (
            lambda: update("SET pipelineStatus = :status", forged),
            lambda: update(
                "SET #other = :status", forged, ExpressionAttributeNames={"#other": "x"}
            ),
            lambda: update("SET processingStepReport = :report REMOVE pipelineStatus", report),
            lambda: update("SET processingStepReport = :report", report, ReturnValues="ALL_OLD"),
            lambda: dynamodb.put_item(TableName=table, Item=key),
            lambda: dynamodb.delete_item(TableName=table, Key=key),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                refused()
    (item,) = system.items("of-a-job")
    assert item["pipelineStatus"] == "Executing"
    assert item["processingStepReport"] == {"status": "Succeeded"}
    system.client("dynamodb").delete_item(TableName=table, Key=key)


def test_a_models_container_reads_models_and_nothing_else(system):
    """With the rights of a model, prices and records cannot be read, and no model can be written."""
    models, assets = system.outputs["ModelsBucketName"], system.outputs["AssetsBucketName"]
    artifact = {"Bucket": models, "Key": "pipeline/of-a-model/models/model.tar.gz"}
    system.client("s3").put_object(**artifact, Body=b"weights")
    with JobRole(system, "ModelRoleArn", "models") as role:
        s3, dynamodb = (client_of(system, role, name) for name in ("s3", "dynamodb"))
        assert s3.get_object(**artifact)["Body"].read() == b"weights"
        for refused in (
            lambda: s3.put_object(**artifact, Body=b"others"),
            lambda: s3.get_object(Bucket=assets, Key="assets/AAPL.csv"),
            lambda: s3.get_object(Bucket=models, Key="execution/any/log"),
            lambda: dynamodb.scan(TableName=system.outputs["AssetsTableName"]),
            lambda: dynamodb.scan(TableName=system.outputs["ExecutionsTableName"]),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                refused()
    system.client("s3").delete_object(**artifact)


@pytest.mark.parametrize("output", ["JobRoleArn", "ModelRoleArn"])
def test_only_sagemaker_may_assume_the_roles_of_jobs_and_models(system, output):
    with pytest.raises(system.client("sts").exceptions.ClientError, match="AccessDenied"):
        system.client("sts").assume_role(RoleArn=system.outputs[output], RoleSessionName="anybody")
