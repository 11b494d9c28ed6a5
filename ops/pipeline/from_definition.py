"""A pipeline of which there is only what a notebook prints: `definition.json` and programs.

The template and its values are those that `pipewright template extract` proposes, and the stack is
made up of them; objects.py makes what the steps read.
"""

import contextlib
import dataclasses
import functools
import json
import subprocess
import tempfile
from pathlib import Path

from ops import ROOT, OpsError
from ops.pipeline.objects import Objects
from ops.pipeline.pipelines import OwnPipeline
from ops.pipeline.references import References
from ops.stack.ownership import PIPELINE_TAG
from ops.stack.template import parse_template

DEFINITION = "definition.json"
# The stack that has what every pipeline's stack has for the records of its executions.
_SAMPLE = ROOT / "samples/pipelines/train-evaluate-register/stack.yaml"


def has_only_definition(directory):
    """Whether a directory has what a notebook prints, and no stack."""
    directory = Path(directory)
    return (directory / DEFINITION).is_file() and not (directory / "stack.yaml").exists()


def pipeline_in(directory, program, given, programs=None):
    """The pipeline of a directory, of either kind; `given` are values of its execution's parameters."""
    directory = Path(directory)
    if not directory.is_dir():
        raise OpsError(
            f"{directory} is a file: PIPELINE names the directory that holds it"
            if directory.exists()
            else f"there is no directory {directory}"
        )
    if has_only_definition(directory):
        return PipelineFromDefinition(directory, program, given, programs or {})
    if not any((directory / name).exists() for name in OwnPipeline.NEEDED):
        raise OpsError(
            f"{directory} has no {DEFINITION}, which is what `pipeline.definition()` prints; nor has it a "
            "template and a stack. samples/pipelines/README.md says what a pipeline's directory holds"
        )
    return OwnPipeline(directory)


@dataclasses.dataclass(frozen=True)
class PipelineFromDefinition(OwnPipeline):
    """The directory of such a pipeline; `program` is the command line."""

    program: Path
    given: dict
    """Values of the execution's parameters."""
    programs: dict = dataclasses.field(default_factory=dict)
    """The program of a step by the step's name, where the definition does not say which file it is."""

    NEEDED = (DEFINITION,)

    @functools.cached_property
    def definition(self):
        """The definition, refused with all its faults where it has any."""
        file = self.directory / DEFINITION
        checked = subprocess.run(
            [self.program, "definition", "check", file], capture_output=True, text=True
        )
        if checked.returncode:
            raise OpsError(f"{checked.stdout}{checked.stderr}".strip())
        return json.loads(self.text(DEFINITION))

    @functools.cached_property
    def _extracted(self):
        """The template's text and the values of its keys, as they are proposed."""
        with tempfile.TemporaryDirectory() as folder:
            template, values = Path(folder, "template"), Path(folder, "values.json")
            command = [self.program, "template", "extract", self.directory / DEFINITION]
            files = ["--output", template, "--values-out", values]
            done = subprocess.run([*command, *files], capture_output=True, text=True)
            if done.returncode:
                raise OpsError(done.stderr.strip())
            return template.read_text(), json.loads(values.read_text())

    @property
    def template(self):
        """The template's text."""
        return self._extracted[0]

    @property
    def stack(self):
        """A CloudFormation template for it."""
        ref = {name: {"Ref": name} for name in _PARAMETERS}
        rule = parse_template(_SAMPLE.read_text())["Resources"]["EventsRule"]
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": "A pipeline as a notebook prints it.",
            "Parameters": {name: {"Type": "String"} for name in _PARAMETERS},
            "Resources": {
                "Definition": {
                    "Type": "Custom::PipelineDefinition",
                    "Properties": {
                        "ServiceToken": {
                            "Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:"
                            "${AWS::AccountId}:function:${PipelineDefinitionFunctionName}"
                        },
                        "ServiceTimeout": 600,
                        "Bucket": ref["PipelineBucketName"],
                        "Template": {
                            "Bucket": ref["PipelineBucketName"],
                            "Key": ref["TemplateKey"],
                            "Sha256": ref["TemplateSha256"],
                        },
                        "Values": self._extracted[1],
                    },
                },
                "EventsRule": rule,
                "Pipeline": {
                    "Type": "AWS::SageMaker::Pipeline",
                    "Properties": {
                        "Tags": [{"Key": PIPELINE_TAG, "Value": ref["Prefix"]}],
                        "PipelineName": ref["PipelineName"],
                        "RoleArn": {"Fn::GetAtt": ["PipelineRole", "Arn"]},
                        "PipelineDefinition": {
                            "PipelineDefinitionS3Location": {
                                "Bucket": {"Fn::GetAtt": ["Definition", "Bucket"]},
                                "Key": {"Fn::GetAtt": ["Definition", "Key"]},
                            }
                        },
                    },
                },
                # The stand-in checks no rights; a real account takes a stack.yaml.
                "PipelineRole": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {
                        "AssumeRolePolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Principal": {"Service": "sagemaker.amazonaws.com"},
                                    "Action": "sts:AssumeRole",
                                }
                            ],
                        }
                    },
                },
            },
            "Outputs": {"PipelineName": {"Value": {"Ref": "Pipeline"}}},
        }

    def repository(self):
        """None is named: programs come with the jobs."""

    def parameter_names(self):
        """The names of the definition's parameters."""
        return [parameter["Name"] for parameter in self.definition.get("Parameters", [])]

    @functools.cached_property
    def references(self):
        """What the definition names in S3 and in registries."""
        return References(self.definition, self.given)

    @functools.cached_property
    def objects(self):
        """The objects that its steps read."""
        return Objects(self.directory, self.references, self.programs)

    def runners(self, named):
        """Runners or Pythons by repository, those of the definition's own account with its host."""
        images, found = self.references.own_images(), {}
        for repository, runner in named.items():
            hosts = [image for image in images if f"/{image}".endswith(f"/{repository}")]
            found |= dict.fromkeys(hosts or [repository], runner)
        return found


def put_objects(s3, pipeline):
    """Make the buckets that a definition names and put what its steps read there; gives the URIs,
    each with what it was made of, and whether it takes the place of something else.

    For the local AWS only: in an account the objects are there already.
    """
    place = {"LocationConstraint": s3.meta.region_name}
    objects = pipeline.objects.found()
    for bucket in sorted({*pipeline.objects.buckets(), *(bucket for bucket, _ in objects)}):
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    for (bucket, key), made in objects.items():
        replaced = ""
        with contextlib.suppress(s3.exceptions.NoSuchKey):
            if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != made.content:
                replaced = "; REPLACES other content, for every pipeline that reads this object"
        s3.put_object(Bucket=bucket, Key=key, Body=made.content)
        yield f"s3://{bucket}/{key}  ({made.origin}{replaced})"


_PARAMETERS = (
    "PipelineBucketName",
    "PipelineDefinitionFunctionName",
    "PipelineEventsFunctionArn",
    "PipelineName",
    "Prefix",
    "TemplateKey",
    "TemplateSha256",
    "UndeliveredEventsQueueArn",
)
