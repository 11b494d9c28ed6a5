"""Pipelines of one's own: deploying them through the custom resource, and following one.

The directory of one has

    template.json.tera   the template of the definition
    stack.yaml           a CloudFormation template with a Custom::PipelineDefinition
    code/                programs of the steps, optional
    data/                what they read, optional

and stack.yaml gets for parameters that it declares without a default: the outputs of Pipewright's
own stack, TemplateKey and TemplateSha256, CodeS3Uri and DataS3Uri, and as PipelineName the
directory's name. Of one without these, from_definition.py makes them.
"""

import dataclasses
import difflib
import hashlib
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

import yaml
from botocore.exceptions import ClientError

from ops import OpsError, bounded
from ops.stack.packages import put_once
from ops.stack.template import parse_template

# What is uploaded of a pipeline's directory, by the parameter that says where to.
_FOLDERS = {"CodeS3Uri": "code", "DataS3Uri": "data"}
FINAL = ("Succeeded", "CompletedWithFailures", "Failed", "Stopped")

# A pipeline's programs and small data; the files are held in memory together.
LARGEST_FILE = 256 << 20


def name_fault(name):
    """Why no stack can have the name of a pipeline's directory; None where one can."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,127}", name):
        return None
    return (
        f"the directory's name, {name!r}, would be the stack's: rename it to begin with a letter and "
        "hold letters, digits and hyphens only, at most 128"
    )


def pipeline_name_fault(declared, name):
    """Why the directory's name is none for a PipelineName so declared; None where it is one."""
    pattern = declared.get("AllowedPattern", ".*")
    if re.fullmatch(pattern, name):
        return None
    return (
        f"the directory's name, {name!r}, would be the parameter PipelineName, which stack.yaml "
        f"allows as {pattern}: rename the directory, or PARAMETERS=PipelineName=NAME"
    )


def wanting(declared, given):
    """The parameters of stack.yaml that neither a default nor somebody gives a value to."""
    return [
        name
        for name, parameter in declared.items()
        if name not in given and "Default" not in parameter
    ]


def lacking(declared, given, directory):
    """The parameters of stack.yaml that nothing gives a value to, as sentences."""
    for name in wanting(declared, given):
        if folder := _FOLDERS.get(name):
            yield f"{name}: {directory} has no folder {folder}/ that it would be made of"
        else:
            yield f"{name}: no output of Pipewright's stack has that name; PARAMETERS={name}=VALUE"


@dataclasses.dataclass(frozen=True)
class OwnPipeline:
    """The directory of a pipeline of one's own."""

    directory: Path

    # What the directory must have.
    NEEDED = ("template.json.tera", "stack.yaml")

    def __post_init__(self):
        for name in self.NEEDED:
            if not (self.directory / name).is_file():
                raise OpsError(
                    f"{self.directory} has no {name}; samples/pipelines/README.md says what a "
                    "pipeline's directory holds"
                )
        if fault := name_fault(self.name):
            raise OpsError(fault)

    def text(self, name):
        """The text of a file of the directory."""
        path = self.directory / name
        try:
            return bounded.read(path, bounded.LARGEST_TEXT).decode()
        except (bounded.Unfit, UnicodeDecodeError) as error:
            raise OpsError(f"{path} cannot be read as text: {error}") from error

    @property
    def template(self):
        """The text of the definition's template."""
        return self.text("template.json.tera")

    @property
    def stack(self):
        """The parsed CloudFormation template."""
        try:
            return parse_template(self.text("stack.yaml"))
        except (yaml.YAMLError, RecursionError) as error:
            raise OpsError(f"{self.directory / 'stack.yaml'}: {error}") from error

    @property
    def name(self):
        """The name of the stack, and of a folder in the pipeline bucket."""
        return self.directory.resolve().name

    def repository(self):
        """The repository of the steps' image, if the stack says it: its ImageRepository."""
        return self.stack["Parameters"].get("ImageRepository", {}).get("Default")


def _upload_folder(s3, bucket, folder, prefix):
    """Upload a folder under a prefix that carries its digest; gives the URI of the prefix."""
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    if not paths:
        raise OpsError(f"{folder} is empty")
    # A link could give a stranger's program whatever its deployer can read.
    for path in paths:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise OpsError(f"{path} is a link out of {folder}: put the file itself there")
    try:
        files = {
            path.relative_to(folder).as_posix(): bounded.read(path, LARGEST_FILE) for path in paths
        }
    except bounded.Unfit as unfit:
        raise OpsError(f"{unfit}; larger files belong into S3 by themselves") from unfit
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    prefix = f"{prefix}/{digest.hexdigest()[:32]}/"
    for name, content in files.items():
        put_once(s3, bucket, prefix + name, content)
    return f"s3://{bucket}/{prefix}"


def upload(client, pipeline, outputs):
    """Upload template, code and data to the pipeline bucket; gives the parameters that say where.

    Keys carry the digest of what they hold, so nothing that a running execution or a rollback
    needs is ever overwritten.
    """
    s3, bucket = client("s3"), outputs["PipelineBucketName"]
    template = pipeline.template.encode()
    digest = hashlib.sha256(template).hexdigest()
    key = f"pipelines/{pipeline.name}/template/{digest}.json.tera"
    put_once(s3, bucket, key, template)
    given = {"TemplateKey": key, "TemplateSha256": digest}
    for name, folder in _FOLDERS.items():
        if (pipeline.directory / folder).is_dir():
            prefix = f"pipelines/{pipeline.name}/{folder}"
            given[name] = _upload_folder(s3, bucket, pipeline.directory / folder, prefix)
    return given


def deploy(
    deployer, pipeline, own, outputs, parameters=None, progress=lambda event: None, edit=None
):
    """Deploy a pipeline as its stack `own`, beside Pipewright's, whose outputs are given.

    `edit` may change the parsed stack.yaml first. Gives the stack's outputs. Raises
    OpsError with CloudFormation's reasons, the faults of the definition among them, or
    where somebody else's stack has the name.
    """
    # Before anything is uploaded.
    deployer.find_own(own)
    stack = pipeline.stack
    if edit:
        edit(stack)
    declared = stack.get("Parameters", {})
    unknown = sorted(set(parameters or {}) - set(declared))
    if unknown:
        raise OpsError(
            f"stack.yaml declares no parameter {', '.join(unknown)}; it declares "
            f"{', '.join(declared)}"
        )
    parameters = parameters or {}
    # Not the output of that name: that is Pipewright's own pipeline.
    available = {**outputs, "PipelineName": pipeline.name}
    named_so = "PipelineName" in wanting(declared, parameters)
    if named_so and (fault := pipeline_name_fault(declared["PipelineName"], pipeline.name)):
        raise OpsError(fault)
    uploaded = {name for name, folder in _FOLDERS.items() if (pipeline.directory / folder).is_dir()}
    given = {*available, "TemplateKey", "TemplateSha256", *uploaded, *parameters}
    if missing := list(lacking(declared, given, pipeline.directory)):
        raise OpsError(
            "stack.yaml has parameters without a value:" + "".join(f"\n  {m}" for m in missing)
        )
    available |= upload(deployer.client, pipeline, outputs)
    # A parameter with a default means something of its own, such as the pipeline's name.
    given = {
        name: available[name]
        for name, parameter in declared.items()
        if name in available and "Default" not in parameter
    }
    return deployer.deploy_template(own, stack, {**given, **parameters}, progress)


# What the check of definitions takes where a value of such a name usually stands.
_STAND_INS = (
    ("S3Uri", "s3://bucket/key"),
    ("ImageUri", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/image:1"),
    ("RoleArn", "arn:aws:iam::111122223333:role/name"),
    ("InstanceType", "ml.m5.large"),
)


def _stand_in(name, value, declared):
    """A value that a parameter of stack.yaml could have."""
    usual = (stand_in for ending, stand_in in _STAND_INS if name.endswith(ending))
    text = next(usual, "text")
    parameter = declared.get(value["Ref"], {}) if isinstance(value, dict) and "Ref" in value else {}
    return str(parameter.get("Default", "1" if parameter.get("Type") == "Number" else text))


def parameter_names(program, pipeline):
    """The parameters of the pipeline's definition, its template filled with stand-ins for values.

    None where it takes the real ones: what is wrong then, the deployment tells.
    """
    stack = pipeline.stack
    definitions = [
        resource["Properties"]
        for resource in stack["Resources"].values()
        if resource["Type"] == "Custom::PipelineDefinition"
    ]
    if len(definitions) != 1:
        return None
    (properties,) = definitions
    template = properties.get("Template")
    if not isinstance(template, str):
        template = pipeline.template
    declared = stack.get("Parameters", {})
    values = properties.get("Values", {}).items()
    with tempfile.TemporaryDirectory() as directory:
        stand_ins = Path(directory, "values.json")
        stand_ins.write_text(
            json.dumps({name: _stand_in(name, each, declared) for name, each in values})
        )
        filled = subprocess.run(
            [program, "template", "fill", "--values", stand_ins, "-"],
            input=template,
            capture_output=True,
            text=True,
        )
    if filled.returncode:
        return None
    return [parameter["Name"] for parameter in json.loads(filled.stdout).get("Parameters", [])]


def unknown_names(known, given):
    """What is wrong with names that the pipeline's parameters don't have, as sentences."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            has = f"it has {', '.join(known)}" if known else "it has none"
            hint = f"the nearest is {near[0]}" if near else has
            yield f"the pipeline has no parameter {name}; {hint}"


def refuse_unknown_names(program, pipeline, given):
    """Refuse values of parameters that the pipeline does not have."""
    known = parameter_names(program, pipeline) if given else None
    if known is not None:
        refuse_unknown(known, given)


def refuse_unknown(known, given):
    """Refuse values of parameters that are not known."""
    if wrong := list(unknown_names(known, given)):
        raise OpsError("; ".join(wrong))


def start(sagemaker, pipeline_name, parameters):
    """Start an execution; gives its ARN."""
    try:
        return sagemaker.start_pipeline_execution(
            PipelineName=pipeline_name,
            PipelineParameters=[
                {"Name": name, "Value": value} for name, value in parameters.items()
            ],
        )["PipelineExecutionArn"]
    except ClientError as error:
        raise OpsError(error.response["Error"]["Message"]) from error


def _note(step):
    """What there is to say of a step besides its status."""
    outcome = step["Metadata"].get("Condition", {}).get("Outcome")
    notes = [
        " ".join(step.get("FailureReason", "").split()),
        outcome and f"the condition is {outcome}",
        step.get("StepDescription"),
    ]
    return "  ".join(note for note in notes if note)


_SIMULATED = "[simulated: "
# What a step's metadata has where something runs for it.
_WORK = {"ProcessingJob", "TrainingJob", "TransformJob", "Lambda", "Callback"}


def steps_of(sagemaker, arn):
    """The steps of an execution, in the order in which they began."""
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    return [step for page in pages for step in page["PipelineExecutionSteps"]]


def simulated(step):
    """Why a step was simulated; None if it was not."""
    description = step.get("StepDescription", "")
    is_so = description.startswith(_SIMULATED)
    return description.removeprefix(_SIMULATED).rstrip("]") if is_so else None


def only_simulated(steps):
    """The steps that were simulated, by name with the reason, where nothing really ran."""
    reasons = {step["StepName"]: reason for step in steps if (reason := simulated(step))}
    ran = any(_WORK & step["Metadata"].keys() and not simulated(step) for step in steps)
    return {} if ran else reasons


def follow(sagemaker, arn, say, timeout, looked=lambda steps: None):
    """Tell each change of an execution's steps; gives its description at the end.

    `looked` gets the steps whenever they were asked for.
    """
    told = {}
    deadline = time.monotonic() + timeout
    while True:
        # Asked before the steps, so that what is final is complete.
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        steps = steps_of(sagemaker, arn)
        # What a step printed comes before its end.
        looked(steps)
        for step in steps:
            name, status = step["StepName"], step["StepStatus"]
            if told.get(name) != status:
                told[name] = status
                at = step.get("EndTime", step["StartTime"]).astimezone()
                say(f"{at:%H:%M:%S}  {name:<24}  {status:<10}  {_note(step)}".rstrip())
        if execution["PipelineExecutionStatus"] in FINAL:
            return execution
        if time.monotonic() > deadline:
            raise OpsError(f"the execution has not ended within {timeout} s; it goes on")
        time.sleep(0.3)


def read_assignments(texts):
    """NAME=VALUE texts as a dict."""
    wrong = [text for text in texts if not text.partition("=")[1]]
    if wrong:
        raise OpsError(f"{wrong[0]!r} is no NAME=VALUE")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
