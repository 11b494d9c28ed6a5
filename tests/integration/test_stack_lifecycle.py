"""The custom resource under CloudFormation: a stack's life from its creation to its deletion.

Each stack is a definition and the pipeline that takes it, so that what CloudFormation keeps, cleans
up and deletes is what it would for anybody.
"""

import json

import pytest

from harness import wait_for
from ops import OpsError
from ops.local.system import STACK
from ops.stack.ownership import own_pipeline

TEMPLATE = json.dumps(
    {
        "Version": "2020-12-01",
        "Steps": [
            {
                "Name": "Refuse",
                "Type": "Fail",
                "Arguments": {"ErrorMessage": "{{ Message }}"},
            }
        ],
    }
)


class Life:
    """One stack of a definition and its pipeline."""

    def __init__(self, system, name):
        self._system, self.name = system, name
        self._cloudformation = system.client("cloudformation")

    def deploy(self, message="one", prefix="definitions/lives", key=None, template=TEMPLATE):
        """Create or update the stack; `key` puts the pipeline onto another object."""
        definition = {"Fn::GetAtt": ["Definition", "Key"]}
        stack = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Parameters": {"Message": {"Type": "String"}},
            "Resources": {
                "Definition": {
                    "Type": "Custom::PipelineDefinition",
                    "Properties": {
                        "ServiceToken": self._system.client("lambda").get_function(
                            FunctionName="pipewright-pipeline-definition"
                        )["Configuration"]["FunctionArn"],
                        "Bucket": self.bucket,
                        "KeyPrefix": prefix,
                        "Template": template,
                        "Values": {"Message": {"Ref": "Message"}},
                    },
                },
                "Pipeline": {
                    "Type": "AWS::SageMaker::Pipeline",
                    "Properties": {
                        "PipelineName": self.name,
                        "RoleArn": "arn:aws:iam::123456789012:role/not-asked-here",
                        "PipelineDefinition": {
                            "PipelineDefinitionS3Location": {
                                "Bucket": {"Fn::GetAtt": ["Definition", "Bucket"]},
                                "Key": key or definition,
                            }
                        },
                    },
                },
            },
            "Outputs": {"Key": {"Value": definition}},
        }
        own = own_pipeline(self.name, STACK)
        made = self._system.deployer.deploy_template(own, stack, {"Message": message})
        return made["Key"]

    @property
    def bucket(self):
        return self._system.outputs["PipelineBucketName"]

    def delete(self):
        self._cloudformation.delete_stack(StackName=self.name)
        wait_for(lambda: self.status() == "DELETE_COMPLETE")

    def status(self):
        stacks = self._cloudformation.list_stacks()["StackSummaries"]
        states = [stack["StackStatus"] for stack in stacks if stack["StackName"] == self.name]
        return next((state for state in states if state != "DELETE_COMPLETE"), "DELETE_COMPLETE")

    def message(self):
        """What the pipeline of the stack really says."""
        pipeline = self._system.client("sagemaker").describe_pipeline(PipelineName=self.name)
        (step,) = json.loads(pipeline["PipelineDefinition"])["Steps"]
        return step["Arguments"]["ErrorMessage"]

    def objects(self, key):
        """All that lies beside a key: the stack's definitions, scripts and notes."""
        return self._system.keys("PipelineBucketName", key.rpartition("/")[0] + "/")

    def definitions(self, key):
        return [found for found in self.objects(key) if found.endswith(".json")]


@pytest.fixture
def live(system):
    """Stacks by name, all deleted in the end."""
    lives = []

    def make(name):
        lives.append(Life(system, name))
        return lives[-1]

    yield make
    for life in lives:
        if life.status() != "DELETE_COMPLETE":
            life.delete()


def test_a_stack_leaves_nothing_of_its_definitions(live):
    stack = live("leaves-nothing")
    first = stack.deploy("one")
    second = stack.deploy("two")
    assert second != first
    assert stack.message() == "two"
    wait_for(lambda: stack.definitions(second) == [second])
    stack.delete()
    assert stack.objects(second) == []


def test_a_broken_value_is_told_and_the_old_definition_stays(live):
    stack = live("broken-value")
    key = stack.deploy("one")
    with pytest.raises(OpsError, match="Mesage"):
        stack.deploy("two", template=TEMPLATE.replace("{{ Message }}", "{{ Mesage }}"))
    assert stack.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.message() == "one"
    assert stack.definitions(key) == [key]
    # The next update is as if nothing had been.
    assert stack.message() == "one"
    stack.deploy("three")
    assert stack.message() == "three"


def test_a_failure_after_the_definition_was_made_brings_the_old_one_back(live):
    stack = live("late-failure")
    key = stack.deploy("one")
    with pytest.raises(OpsError, match="no/such/definition"):
        stack.deploy("two", key="no/such/definition.json")
    assert stack.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.message() == "one"
    wait_for(lambda: stack.definitions(key) == [key])


def test_another_prefix_moves_the_definition_and_empties_the_old_place(live):
    stack = live("moves")
    old = stack.deploy("one", prefix="definitions/lives")
    new = stack.deploy("one", prefix="definitions/elsewhere")
    assert new.startswith("definitions/elsewhere/")
    assert stack.message() == "one"
    wait_for(lambda: stack.objects(old) == [])
    stack.delete()
    assert stack.objects(new) == []


def test_two_stacks_of_the_same_content_do_not_share_fate(live):
    stays, goes = live("stays"), live("goes")
    kept, gone = stays.deploy("same"), goes.deploy("same")
    assert kept != gone
    assert kept.rpartition("/")[2] == gone.rpartition("/")[2]
    goes.delete()
    assert goes.objects(gone) == []
    assert stays.definitions(kept) == [kept]
    assert stays.message() == "same"
