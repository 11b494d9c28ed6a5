"""An identity with the rights that `make deploy-policy` prints deploys, looks and removes.

The local AWS holds its callers to their rights, but not what CloudFormation then does in their
name. tests/lint/test_deploy_policy.py is for that.
"""

import functools
import json
import subprocess

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import BINARIES, SAMPLES, System
from ops import ROOT
from ops import target as targets
from ops.local.system import ACCOUNT, REGION
from ops.stack import policy, settings
from ops.stack.bring_up import bring_up
from ops.stack.packages import debug_function
from ops.stack.take_down import Teardown
from ops.stack.verify import verify

PREFIX = "narrow"
# For these the local AWS asks for a right to any resource, where AWS asks for one to the rule.
NEEDS_ANY_HERE = ["events:DescribeRule", "events:ListTargetsByRule"]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A local AWS as a target for an identity with the printed rights and no others."""
    directory = tmp_path_factory.mktemp("rights")
    with System(directory, BINARIES, ROOT / ".local" / "functions") as system:
        system.start()
        iam = system.client("iam")
        iam.create_user(UserName="deployer")
        document = policy.document(ROOT, PREFIX, "aws", REGION, ACCOUNT)
        here = {"Effect": "Allow", "Action": NEEDS_ANY_HERE, "Resource": "*"}
        parts = [*policy.parts(document), {"Version": "2012-10-17", "Statement": [here]}]
        for number, part in enumerate(parts):
            iam.put_user_policy(
                UserName="deployer", PolicyName=f"part-{number}", PolicyDocument=json.dumps(part)
            )
        key = iam.create_access_key(UserName="deployer")["AccessKey"]

        @functools.cache
        def client(service):
            return boto3.client(
                service,
                endpoint_url=system.endpoint,
                region_name=REGION,
                aws_access_key_id=key["AccessKeyId"],
                aws_secret_access_key=key["SecretAccessKey"],
                config=Config(s3={"addressing_style": "path"}, proxies={}),
            )

        variables = {
            **system.environment(),
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        identity = client("sts").get_caller_identity()["Arn"]
        assert identity.endswith(":user/deployer")
        yield targets.Target(client, REGION, ACCOUNT, identity, True, variables, 0.1, 300.0)


def test_the_printed_rights_are_enough_to_deploy_use_and_remove(narrow):
    chosen = settings.Settings(REGION, {"Prefix": PREFIX})
    code = functools.partial(debug_function, BINARIES, ROOT / ".local" / "functions")

    def quiet(_):
        pass

    outputs = bring_up(ROOT, narrow, chosen, code, True, quiet, quiet)
    needed, hints = verify(narrow, PREFIX, outputs)
    assert [check for check in needed + hints if check.fault] == []

    def data(*arguments):
        command = [BINARIES / "pipewright", "data", *arguments, "--prefix", PREFIX]
        ran = subprocess.run(
            command, env=narrow.variables, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    folder, template = SAMPLES / "sp500-20", SAMPLES / "training-template.json"
    assert "Imported 20 assets" in data("import", "--assets", folder, "--template", template)
    # What the catalogue has already is read from the bucket.
    assert "the catalogue's 20 assets" in data("import", "--template", template)
    assert "XOM" in data("list")
    assert "names XOM in" in data("remove", "XOM", "--yes")
    response = narrow.client("lambda").invoke(
        FunctionName=outputs["StartExecutionFunctionName"],
        Payload=json.dumps({"templateId": "none"}).encode(),
    )
    assert json.loads(response["Payload"].read())["errorType"] == "UnknownTemplate"
    teardown = Teardown(ROOT, narrow, PREFIX, chosen.bucket(ACCOUNT), quiet)
    teardown.refuse_while_used()
    teardown.delete(teardown.inventory())
    assert list(teardown.inventory().lines()) == []


def test_they_are_no_more_than_that(narrow):
    for service, call in (
        ("s3", "list_buckets"),
        ("iam", "list_users"),
        ("dynamodb", "list_tables"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(narrow.client(service), call)()
    with pytest.raises(ClientError, match="AccessDenied"):
        narrow.client("s3").create_bucket(
            Bucket="others-bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
