"""What has a name of ours and is somebody else's is refused, and never changed or deleted."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from harness import BINARIES, OWN_PIPELINE, System
from ops import ROOT, OpsError
from ops import target as targets
from ops.local.system import ACCOUNT, REGION
from ops.stack import artifacts, settings
from ops.stack.ownership import entangled, installation, own_pipeline
from ops.stack.packages import put_once

MAIN = (sys.executable, "-m", "ops.stack")
PIPELINES = (sys.executable, "-m", "ops.pipeline.deploy")


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """A local AWS with nothing of ours in it, announced like one that a person keeps running."""
    directory = tmp_path_factory.mktemp("ownership")
    with System(directory, BINARIES, ROOT / ".local" / "functions", open_to_all=True) as system:
        system.start()
        system.environment_file = directory / "environment.sh"
        system.config = directory / "samconfig.toml"
        with system.announced(system.environment_file):
            yield system


def run(aws, *arguments):
    """What `make deploy` and its kin run, on the local AWS; gives the ended process."""
    return subprocess.run(
        [
            *(*MAIN, *arguments, "--local"),
            *("--environment-file", aws.environment_file),
            *("--config", aws.config, "--binaries", BINARIES),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )


class Stranger:
    """A stack of somebody else's: a queue, and outputs that look a little like ours."""

    def __init__(self, aws, name):
        self._aws, self.name = aws, name
        self._cloudformation = aws.client("cloudformation")
        queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-orders"}}
        outputs = {"PipelineName": {"Value": "theirs"}}
        template = {"Resources": {"Orders": queue}, "Outputs": outputs}
        self._cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
        self._cloudformation.get_waiter("stack_create_complete").wait(
            StackName=name, WaiterConfig={"Delay": 1}
        )

    def is_untouched(self):
        """Whether the stack has its one queue still, and no update behind it."""
        (found,) = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        queues = self._aws.client("sqs").list_queues(QueueNamePrefix=f"{self.name}-")
        return found["StackStatus"] == "CREATE_COMPLETE" and len(queues["QueueUrls"]) == 1


def buckets(aws):
    return {each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]}


def test_a_strangers_stack_is_neither_updated_nor_deleted_nor_filled(aws):
    """A stack of the prefix's name that lacks the installation's tag is neither updated, nor filled, nor deleted."""
    stranger, before = Stranger(aws, "network"), buckets(aws)
    for action in ("deploy", "destroy", "import", "remove", "verify"):
        more = ("--ticker", "AAA") if action == "remove" else ()
        refused = run(aws, action, "--prefix", "network", "--yes", "--skip-image", *more)
        assert refused.returncode == 1, (action, refused.stdout)
        assert "it has no tag pipewright:stack=network" in refused.stdout, action
        assert stranger.is_untouched(), action
    assert buckets(aws) == before


def test_a_strangers_stack_of_a_pipelines_name_is_refused(aws, tmp_path):
    """A stack of a pipeline's name that lacks that pipeline's tag is not updated, and nothing is uploaded for it."""
    stranger = Stranger(aws, "vpc")
    directory = tmp_path / "vpc"
    shutil.copytree(OWN_PIPELINE, directory)
    deployed = run(aws, "deploy", "--prefix", "pw", "--skip-image")
    # Without its image the installation is not whole, but it is there.
    assert "image pw/feature-engineering" in deployed.stdout, deployed.stdout
    refused = subprocess.run(
        [*PIPELINES, directory, "--pipewright-stack", "pw"],
        env={**os.environ, **aws.environment()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert refused.returncode == 1
    assert "there is a stack vpc" in refused.stderr
    assert "it has no tag pipewright:pipeline=pw" in refused.stderr
    assert stranger.is_untouched()
    listed = aws.client("s3").list_objects_v2(Bucket=f"pw-pipeline-{ACCOUNT}-{REGION}")
    assert [each for each in listed.get("Contents", []) if "vpc" in each["Key"]] == []


def test_a_prefix_that_begins_anothers_is_refused(aws):
    """No first installation gets a prefix that begins another one's name, or that another one begins."""
    assert entangled("pw", {"pw", "pw-2", "pwx", "other"}) == ["pw-2"]
    assert entangled("pw-2", {"pw", "pw-22"}) == ["pw"]
    first = run(aws, "deploy", "--prefix", "first", "--skip-image")
    assert "image first/feature-engineering" in first.stdout, first.stdout
    refused = run(aws, "deploy", "--prefix", "first-2", "--skip-image")
    assert refused.returncode == 1
    assert "there is an installation first here" in refused.stdout
    assert not {each for each in buckets(aws) if each.startswith("first-2")}
    # The one that is there goes on.
    again = run(aws, "deploy", "--prefix", "first", "--skip-image")
    assert "error:" not in again.stdout
    removed = run(aws, "destroy", "--prefix", "first", "--yes")
    assert removed.returncode == 0, removed.stdout


def test_a_table_of_ours_by_name_alone_is_left_alone(aws):
    """Destroying leaves alone what has a name of the installation and lacks its tag, and says so."""
    aws.client("dynamodb").create_table(
        TableName="billing-assets",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
    )
    theirs = f"billing-artifacts-{ACCOUNT}-{REGION}"
    where = {"LocationConstraint": REGION}
    aws.client("s3").create_bucket(Bucket=theirs, CreateBucketConfiguration=where)
    aws.client("s3").put_object(Bucket=theirs, Key="invoice", Body=b"1")
    done = run(aws, "destroy", "--prefix", "billing", "--yes")
    assert done.returncode == 0, done.stdout
    assert "left alone" in done.stdout
    assert "table billing-assets" in done.stdout
    assert aws.client("dynamodb").describe_table(TableName="billing-assets")
    assert aws.client("s3").head_object(Bucket=theirs, Key="invoice")


def test_what_is_deleted_is_listed_by_name(aws):
    """Before anything is deleted, each stack, resource, endpoint, model, package and image is listed by its name."""
    run(aws, "deploy", "--prefix", "named")
    aws.client("sagemaker").create_model_package(ModelPackageGroupName="named-asset-prediction")
    declined = run(aws, "destroy", "--prefix", "named")
    assert declined.returncode == 1
    assert "Nothing was deleted" in declined.stdout
    found = aws.deployer.resources("named")
    for resource in found:
        assert resource["PhysicalResourceId"] in declined.stdout, resource
    (image,) = aws.client("ecr").list_images(repositoryName="named/feature-engineering")["imageIds"]
    assert f"image named/feature-engineering:{image['imageTag']}" in declined.stdout
    assert "model package arn:" in declined.stdout
    assert run(aws, "destroy", "--prefix", "named", "--yes").returncode == 0


def described(name, tags=(), outputs=None, parameters=None):
    """A stack as DescribeStacks has it."""
    return {
        "StackName": name,
        "StackStatus": "UPDATE_COMPLETE",
        "Tags": [{"Key": key, "Value": value} for key, value in dict(tags).items()],
        "Outputs": [
            {"OutputKey": key, "OutputValue": value} for key, value in (outputs or {}).items()
        ],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in (parameters or {}).items()
        ],
    }


def test_a_stack_is_known_by_its_tag_and_an_old_one_by_what_it_has():
    ours = installation("pw")
    assert ours.is_ours(described("pw", {"pipewright:stack": "pw"}))
    assert not ours.is_ours(described("pw", {"pipewright:stack": "pw-2"}))
    assert not ours.is_ours(described("pw", {"pipewright:pipeline": "pw"}))
    old = {"PipelineDefinitionFunctionName": "pw-pipeline-definition"}
    assert ours.is_ours(described("pw", outputs=old))
    assert not ours.is_ours(described("pw", {"pipewright:stack": "x"}, outputs=old))
    assert not ours.is_ours(described("pw"))
    pipeline = own_pipeline("mine", "pw")
    assert pipeline.is_ours(described("mine", {"pipewright:pipeline": "pw"}))
    assert not pipeline.is_ours(described("mine", {"pipewright:pipeline": "other"}))
    assert not pipeline.is_ours(described("mine", {"pipewright:stack": "mine"}))
    key = "pipelines/mine/template/0.json.tera"
    assert pipeline.is_ours(described("mine", parameters={"TemplateKey": key}))
    assert not pipeline.is_ours(described("mine", parameters={"TemplateKey": "templates/0"}))


# ------------------------------------------------------------- the artifacts bucket


@pytest.fixture
def chosen(request):
    """Settings of an installation that no other test has."""
    words = request.node.name.partition("[")[0].split("_")
    return settings.Settings(REGION, {"Prefix": f"b{abs(hash(tuple(words))) % 10**8}"})


def prepare(aws, chosen, said=None, account=ACCOUNT):
    target = targets.of_environment_file(aws.environment_file)
    target.account = account
    return artifacts.prepare(target, chosen, (said if said is not None else []).append)


def test_a_bucket_of_another_account_gets_nothing(aws, chosen):
    """Every call to S3 names the account that the bucket must belong to, so nothing goes to a bucket of another one."""
    bucket = chosen.bucket("999999999999")
    where = {"LocationConstraint": REGION}
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    with pytest.raises(OpsError, match="is another account's"):
        prepare(aws, chosen, account="999999999999")
    another = targets.of_environment_file(aws.environment_file)
    another.account = "999999999999"
    for call in (
        lambda s3: s3.put_object(Bucket=bucket, Key="functions/a.zip", Body=b"code"),
        lambda s3: s3.get_object(Bucket=bucket, Key="functions/a.zip"),
        lambda s3: s3.list_object_versions(Bucket=bucket),
        lambda s3: s3.delete_bucket(Bucket=bucket),
    ):
        with pytest.raises(ClientError, match="AccessDenied|403"):
            call(another.client("s3"))


def test_every_operation_that_can_name_the_owner_does(aws):
    sent, s3 = [], targets.of_environment_file(aws.environment_file).client("s3")
    s3.meta.events.register(
        "before-parameter-build.s3", lambda params, model, **_: sent.append((model.name, params))
    )
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket="owner-named", CreateBucketConfiguration=where)
    s3.put_object(Bucket="owner-named", Key="k", Body=b"v")
    s3.get_object(Bucket="owner-named", Key="k")
    s3.delete_object(Bucket="owner-named", Key="k")
    assert {name: params.get("ExpectedBucketOwner") for name, params in sent} == {
        "CreateBucket": None,
        "PutObject": ACCOUNT,
        "GetObject": ACCOUNT,
        "DeleteObject": ACCOUNT,
    }


def test_a_bucket_is_made_whole_and_found_again(aws, chosen):
    bucket = prepare(aws, chosen)
    s3 = aws.client("s3")
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags == {"pipewright:stack": chosen.prefix, "pipewright:part": "artifacts"}
    assert prepare(aws, chosen) == bucket
    # Interrupted before its last setting, it is finished.
    s3.delete_bucket_tagging(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert prepare(aws, chosen) == bucket
    assert s3.get_bucket_policy(Bucket=bucket)


def test_a_bucket_without_our_tag_gets_nothing(aws, chosen):
    s3, bucket = aws.client("s3"), chosen.bucket(ACCOUNT)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"1")
    with pytest.raises(OpsError, match="is not this installation's"):
        prepare(aws, chosen)


def test_a_bucket_whose_settings_somebody_changed_is_refused(aws, chosen):
    """An artifacts bucket that was opened to others is refused before code or templates go there."""
    s3, bucket = aws.client("s3"), prepare(aws, chosen)
    document = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    kept = document["Statement"]
    opened = {
        "Sid": "Open",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    for statements in ([*kept, opened], [opened]):
        changed = json.dumps({**document, "Statement": statements})
        s3.put_bucket_policy(Bucket=bucket, Policy=changed)
        with pytest.raises(OpsError, match="a statement that is not ours.*Open"):
            prepare(aws, chosen)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    s3.delete_public_access_block(Bucket=bucket)
    with pytest.raises(OpsError, match="it may become public"):
        prepare(aws, chosen)


def test_a_setting_that_the_bucket_lacks_is_put_back(aws, chosen):
    s3, bucket = aws.client("s3"), prepare(aws, chosen)
    # As an earlier version left it.
    document = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    before = {**document, "Statement": document["Statement"][:1]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(before))
    said = []
    prepare(aws, chosen, said)
    assert "lacks the statement NothingIsWrittenOver" in said[0]
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == document


def test_code_that_somebody_replaced_is_found_when_it_is_written_again(aws, chosen):
    """What lies under the digest of something else is an error when that is deployed again."""
    s3, bucket = aws.client("s3"), prepare(aws, chosen)
    put_once(s3, bucket, "functions/digest.zip", b"code")
    put_once(s3, bucket, "functions/digest.zip", b"code")
    s3.put_object(Bucket=bucket, Key="functions/digest.zip", Body=b"other")
    with pytest.raises(OpsError, match="functions/digest.zip"):
        put_once(s3, bucket, "functions/digest.zip", b"code")
