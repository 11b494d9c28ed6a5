"""From the first version's stack to this one and back: data stays, the pipeline follows.

The templates are the first version's; its functions' programs are today's, since old ones are not kept.
"""

import functools
import json

import pytest

from harness import BINARIES, System
from ops import ROOT, OpsError
from ops import target as targets
from ops.local.system import ARTIFACTS_BUCKET, IMAGE_TAG, REGION, STACK
from ops.stack.ownership import installation
from ops.stack.packages import Packager, debug_function
from ops.stack.verify import verify

FIRST = ROOT / "tests" / "fixtures" / "first-version"
CACHE = ROOT / ".local" / "functions"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The first version's stack, with an execution's record and a price file."""
    with System(tmp_path_factory.mktemp("upgrade"), BINARIES, CACHE) as system:
        system.start()
        system.client("s3").create_bucket(
            Bucket=ARTIFACTS_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        deploy(system, FIRST, for_todays_programs)
        system.client("dynamodb").put_item(
            TableName=system.outputs["ExecutionsTableName"],
            Item={"Id": {"S": "of-the-first-version"}, "entry": {"S": "record"}},
        )
        system.client("s3").put_object(
            Bucket=system.outputs["AssetsBucketName"], Key="assets/OLD.csv", Body=b"Date,Close\n"
        )
        yield system


def deploy(system, root, edit=None):
    """Deploy a version's templates over what is there."""
    code = functools.partial(debug_function, BINARIES, CACHE)
    url = Packager(system.client, root, ARTIFACTS_BUCKET, code).package(edit)
    system.outputs = system.deployer.deploy(installation(STACK), url, {"ImageTag": IMAGE_TAG})


def for_todays_programs(path, template):
    """Give the first version's definition the value that today's program asks for besides."""
    if path == "cfn/pipeline.yaml":
        values = template["Resources"]["PipelineDefinition"]["Properties"]["Values"]
        values["ModelRoleArn"] = values["JobRoleArn"]


def break_the_pipeline(path, template):
    """Let the pipeline name a definition that is not there."""
    if path == "cfn/pipeline.yaml":
        pipeline = template["Resources"]["Pipeline"]["Properties"]
        location = pipeline["PipelineDefinition"]["PipelineDefinitionS3Location"]
        location["Key"] = "there/is/no/such/definition.json"


def state(system):
    """What must survive: the definition, a record, a price file."""
    return (
        system.definition(),
        system.record("of-the-first-version"),
        system.read("AssetsBucketName", "assets/OLD.csv"),
    )


def test_the_first_version_becomes_this_one_and_again_the_first(installed):
    first, outputs = state(installed), dict(installed.outputs)

    with pytest.raises(OpsError, match="UPDATE_ROLLBACK_COMPLETE"):
        deploy(installed, ROOT, break_the_pipeline)
    assert state(installed) == first
    assert installed.deployer.outputs(installation(STACK)) == outputs

    deploy(installed, ROOT)
    definition, *data = state(installed)
    assert data == list(first[1:])
    assert [step["Name"] for step in definition["Steps"]] == [
        step["Name"] for step in first[0]["Steps"]
    ]
    needed, _ = verify(targets.of_system(installed), STACK, installed.outputs)
    # The image was not pushed here.
    assert [check.what for check in needed if check.fault] == [
        f"image {installed.outputs['RepositoryName']}:{IMAGE_TAG}"
    ]
    refused = installed.client("lambda").invoke(
        FunctionName=installed.outputs["StartExecutionFunctionName"],
        Payload=json.dumps({"templateId": "none"}).encode(),
    )
    assert json.loads(refused["Payload"].read())["errorType"] == "UnknownTemplate"

    deploy(installed, FIRST, for_todays_programs)
    assert state(installed) == first
    assert installed.outputs["PipelineDefinitionS3Uri"] == outputs["PipelineDefinitionS3Uri"]
