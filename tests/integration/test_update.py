"""Deploying again: what changes, what is cleaned up, and what a failure leaves."""

import json

import pytest

from harness import wait_for
from ops import OpsError
from ops.local.system import STACK


def volume_size(definition):
    """The processing job's volume in GB."""
    step = definition["Steps"][0]["Arguments"]
    return step["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"]


def own_keys(system):
    """The keys of the stack's custom resource: other stacks keep theirs in the same bucket."""
    _, _, _, key = system.outputs["PipelineDefinitionS3Uri"].split("/", 3)
    return system.keys("PipelineBucketName", key.rpartition("/")[0] + "/")


def definition_keys(system):
    """The keys of the stack's definitions in the pipeline bucket."""
    return [key for key in own_keys(system) if key.endswith(".json")]


def executor_keys(system):
    """The keys of the stack's executors in the pipeline bucket."""
    return [key for key in own_keys(system) if key.endswith("run-fe-step.sh")]


@pytest.fixture
def restored(system):
    """Brings the stack back to what the other tests expect."""
    before = definition_keys(system)
    yield before
    system.deploy()
    wait_for(lambda: definition_keys(system) == before)


def test_deploying_the_same_again_changes_nothing(system):
    pipeline = system.client("sagemaker").describe_pipeline(
        PipelineName=system.outputs["PipelineName"]
    )
    before = definition_keys(system)
    system.deploy()
    assert definition_keys(system) == before
    again = system.client("sagemaker").describe_pipeline(
        PipelineName=system.outputs["PipelineName"]
    )
    assert again["LastModifiedTime"] == pipeline["LastModifiedTime"]


def test_a_changed_value_changes_key_and_pipeline_and_the_old_object_goes(system, restored):
    (old,) = restored
    system.deploy(parameters={"ProcessingVolumeSizeInGB": "31"})
    assert volume_size(system.definition()) == 31
    wait_for(lambda: old not in definition_keys(system))
    (new,) = definition_keys(system)
    assert system.outputs["PipelineDefinitionS3Uri"].endswith(new)
    assert json.loads(system.read("PipelineBucketName", new)) == system.definition()
    # An execution that already runs may still fetch its executor.
    assert executor_keys(system)


def test_a_failing_update_leaves_the_old_definition_in_place(system, restored):
    def break_pipeline(path, template):
        if path == "cfn/pipeline.yaml":
            pipeline = template["Resources"]["Pipeline"]["Properties"]
            location = pipeline["PipelineDefinition"]["PipelineDefinitionS3Location"]
            location["Key"] = "there/is/no/such/definition.json"

    before = system.definition()
    with pytest.raises(OpsError) as failure:
        system.deploy(parameters={"ProcessingVolumeSizeInGB": "32"}, edit=break_pipeline)
    assert "UPDATE_ROLLBACK_COMPLETE" in str(failure.value)
    assert "there/is/no/such/definition.json" in str(failure.value)
    assert system.definition() == before
    wait_for(lambda: definition_keys(system) == restored)


def test_a_definition_with_a_hole_left_is_refused_by_name(system, restored):
    def leave_hole(path, template):
        if path == "cfn/pipeline.yaml":
            properties = template["Resources"]["PipelineDefinition"]["Properties"]
            properties["Values"].pop("ModelsBucket")

    before = system.definition()
    with pytest.raises(OpsError, match="ModelsBucket"):
        system.deploy(edit=leave_hole)
    assert system.definition() == before
    assert definition_keys(system) == restored
    stack = system.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_a_right_that_a_role_lacks_is_missed(system, restored):
    def take_right(path, template):
        if path == "template.yaml":
            (policy,) = template["Resources"]["PipelineDefinitionRole"]["Properties"]["Policies"]
            policy["PolicyDocument"]["Statement"] = [
                statement
                for statement in policy["PolicyDocument"]["Statement"]
                if statement.get("Sid") != "KeepDefinitions"
            ]

    with pytest.raises(OpsError, match=r"s3:PutObject.*AccessDenied"):
        system.deploy(parameters={"ProcessingVolumeSizeInGB": "33"}, edit=take_right)
    assert definition_keys(system) == restored
