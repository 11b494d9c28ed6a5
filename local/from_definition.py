"""A pipeline of which there is only what a notebook prints: `definition.json` and programs.

The definition names S3 objects that the SDK has uploaded in an account. Here each gets, under the very
URI that the definition has, the file of the directory that it was made of: a program or data by its
name, an archive of sources made of the folder that holds the program, and whatever lies in

    s3/BUCKET/KEY

as the object KEY of BUCKET. The template and its values are those that `pipewright template extract`
proposes; the stack is made up of them.
"""

import contextlib
import dataclasses
import functools
import io
import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

import bounded
from deploy import parse_template
from ownership import PIPELINE_TAG
from pipelines import LARGEST_FILE, OwnPipeline, PipelineRefused

DEFINITION = "definition.json"
# The stack that has what every pipeline's stack has for the records of its executions.
_SAMPLE = Path(__file__).parent.parent / "samples/pipelines/train-evaluate-register/stack.yaml"
# Where the objects lie whose place in S3 the directory itself says.
_OBJECTS = "s3"
_ARCHIVE = "sourcedir.tar.gz"
# Members that say where something is written, or what is only told of it.
_NOT_READ = {
    "CheckpointConfig",
    "DebugHookConfig",
    "DriftCheckBaselines",
    "ModelMetrics",
    "OutputDataConfig",
    "ProcessingOutputConfig",
    "ProfilerConfig",
    "TensorBoardOutputConfig",
    "TransformOutput",
}
_WRITES = {"OutputDataConfig", "ProcessingOutputConfig", "TransformOutput"}
# The program of the step that the SDK adds to put an inference program into a model's archive, and
# what it runs.
_REPACK_LAUNCHER = "_repack_script_launcher.sh"
_REPACK = "_repack_model.py"
# No programs of the pipeline.
_LEFT_OUT = {"__pycache__", _OBJECTS, "node_modules", "venv"}


@dataclasses.dataclass(frozen=True)
class Read:
    """An S3 object or prefix that a step reads."""

    step: str
    uri: str
    program: str | None
    """The program of a training whose sources it is."""
    repacks: bool = False
    """Whether the SDK has added the step, to put the program into a model's archive."""


def has_only_definition(directory):
    """Whether a directory has what a notebook prints, and no stack."""
    directory = Path(directory)
    return (directory / DEFINITION).is_file() and not (directory / "stack.yaml").exists()


def pipeline_in(directory, program, given):
    """The pipeline of a directory, of either kind; `given` are values of its execution's parameters."""
    if has_only_definition(directory):
        return PipelineFromDefinition(Path(directory), program, given)
    return OwnPipeline(directory)


@dataclasses.dataclass(frozen=True)
class PipelineFromDefinition(OwnPipeline):
    """The directory of such a pipeline; `program` is the command line."""

    program: Path
    given: dict
    """Values of the execution's parameters."""

    NEEDED = (DEFINITION,)

    @functools.cached_property
    def definition(self):
        """The definition, refused with all its faults where it has any."""
        file = self.directory / DEFINITION
        checked = subprocess.run(
            [self.program, "definition", "check", file], capture_output=True, text=True
        )
        if checked.returncode:
            raise PipelineRefused(f"{checked.stdout}{checked.stderr}".strip())
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
                raise PipelineRefused(done.stderr.strip())
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
                # The stand-in asks nobody for rights; a real account takes a stack.yaml.
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

    def objects(self):
        """What the steps read and the directory has: files or bytes by bucket and key.

        Raises PipelineRefused with everything that is read and that neither the directory has nor
        a step writes.
        """
        found, missing = {}, []
        placed = self.directory / _OBJECTS
        for file in sorted(placed.rglob("*")):
            if file.is_file():
                bucket, _, key = file.relative_to(placed).as_posix().partition("/")
                found[bucket, key] = self._content(file)
        written = [uri.rstrip("/") for uri in self._written()]
        for read in self._reads():
            bucket, _, key = read.uri.removeprefix("s3://").partition("/")
            if any(there == bucket and name.startswith(key) for there, name in found):
                continue
            if any(read.uri.startswith(uri) for uri in written):
                continue
            if of_it := self._made_of(read, key):
                found |= {(bucket, name): content for name, content in of_it.items()}
            else:
                missing.append(self._wanted(read, key))
        if missing:
            raise PipelineRefused(
                f"{self.directory} lacks what its steps read:"
                + "".join(f"\n  {sentence}" for sentence in dict.fromkeys(missing))
            )
        return found

    def buckets(self):
        """The buckets that the definition names, the values of parameters among them."""
        texts = [text for text, *_ in _texts(self.definition, ())]
        texts += self._values_of_parameters().values()
        named = {match[1] for text in texts if (match := re.match(r'"?s3://([^/"]+)', str(text)))}
        return sorted(named | set(_joined_buckets(self.definition)))

    def _values_of_parameters(self):
        defaults = {
            parameter["Name"]: parameter.get("DefaultValue")
            for parameter in self.definition.get("Parameters", [])
        }
        return {**defaults, **self.given}

    def _reads(self):
        """What the steps read in S3, as far as it stands before they run."""
        for step in _steps(self.definition.get("Steps", [])):
            if step["Type"] == "Condition":
                continue
            arguments = step.get("Arguments", {})
            parameters = arguments.get("HyperParameters", {})
            program = _unquoted(parameters.get("sagemaker_program"))
            if repacks := program in (_REPACK_LAUNCHER, _REPACK):
                program = _unquoted(parameters.get("inference_script", "inference.py"))
            for text, *where in _texts(arguments, (), self._known):
                if _NOT_READ.isdisjoint(where) and text.startswith("s3://"):
                    is_source = "sagemaker_submit_directory" in where
                    of_program = (program, repacks) if is_source else (None,)
                    yield Read(step["Name"], text, *of_program)

    def _written(self):
        """Where the steps write to, as far as it stands before they run."""
        for step in _steps(self.definition.get("Steps", [])):
            for text, *where in _texts(step.get("Arguments", {}), (), self._known):
                # The root of a bucket says nothing of what is written there.
                if not _WRITES.isdisjoint(where) and re.match("s3://[^/]+/.", text):
                    yield text

    def _known(self, expression):
        """An expression's value where the parameters alone decide it; None otherwise."""
        match expression:
            case {"Get": str(name)} if name.startswith("Parameters."):
                value = self._values_of_parameters().get(name.removeprefix("Parameters."))
                return None if value is None else str(value)
            case {"Std:Join": {"On": str(on), "Values": list(values)}}:
                parts = [part if isinstance(part, str) else self._known(part) for part in values]
                return None if None in parts else on.join(parts)
        return None

    def _made_of(self, read, key):
        """The objects that an S3 location gets of the directory's files: contents by key."""
        name = key.rstrip("/").rpartition("/")[2]
        if name == _ARCHIVE and not self._named(name, Path.is_file):
            folder = self._sources(read.program)
            return (
                {key: self._packed(folder, _repacking() if read.repacks else {})} if folder else {}
            )
        if file := self._named(name, Path.is_file):
            return {key: self._content(file)}
        if folder := self._named(name, Path.is_dir):
            prefix = key.rstrip("/")
            return {
                f"{prefix}/{file.relative_to(folder).as_posix()}": self._content(file)
                for file in self._files(folder)
            }
        return {}

    def _files(self, folder):
        """The files below a folder but for what is no part of the pipeline."""
        for file in sorted(folder.rglob("*")):
            if file.is_file() and _is_part(file.relative_to(folder)):
                yield file

    def _named(self, name, is_kind):
        """The file or folder of a name, the nearest to the top; None where there is none."""
        paths = [
            path
            for path in sorted(self.directory.rglob("*"))
            if path.name == name and is_kind(path) and _is_part(path.relative_to(self.directory))
        ]
        nearest = min((len(path.parts) for path in paths), default=0)
        paths = [path for path in paths if len(path.parts) == nearest]
        if len(paths) > 1:
            listed = ", ".join(str(path.relative_to(self.directory)) for path in paths)
            raise PipelineRefused(
                f"{self.directory} has several {name} ({listed}), and it is not known which one a "
                f"step reads: put the right one into {_OBJECTS}/BUCKET/KEY"
            )
        return paths[0] if paths else None

    def _sources(self, program):
        """The folder that an archive of sources is made of."""
        if program is None:
            code = self.directory / "code"
            return code if code.is_dir() else self.directory
        file = self.directory / program
        if not file.is_file():
            file = self._named(program, Path.is_file)
        return file and Path(str(file).removesuffix(program))

    def _packed(self, folder, more):
        """A compressed archive of the files below a folder and of `more`, contents by name.

        The same files make the same bytes.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            contents = {
                file.relative_to(folder).as_posix(): self._content(file)
                for file in self._files(folder)
            }
            for name, content in (contents | more).items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
        return packed.getvalue()

    def _content(self, file):
        # A link could give a job whatever its deployer can read.
        if not file.resolve().is_relative_to(self.directory.resolve()):
            raise PipelineRefused(
                f"{file} is a link out of {self.directory}: put the file itself there"
            )
        try:
            return bounded.read(file, LARGEST_FILE)
        except bounded.Unfit as unfit:
            raise PipelineRefused(str(unfit)) from unfit

    def _wanted(self, read, key):
        """What would be needed for a location that nothing is found for, as a sentence."""
        name = key.rstrip("/").rpartition("/")[2]
        if read.program:
            return f"{read.program}, the program of step {read.step}"
        what = f"a file or folder {name}" if name else "something"
        return (
            f"{what} for {read.uri}, which step {read.step} reads; it may also be "
            f"{_OBJECTS}/{read.uri.removeprefix('s3://')}"
        )


def put_objects(s3, pipeline):
    """Make the buckets that a definition names and put what its steps read there; gives the URIs.

    For the local AWS only: in an account the objects are there already.
    """
    place = {"LocationConstraint": s3.meta.region_name}
    objects = pipeline.objects()
    for bucket in sorted({*pipeline.buckets(), *(bucket for bucket, _ in objects)}):
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    for (bucket, key), content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
        yield f"s3://{bucket}/{key}"


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


def _is_part(path):
    """Whether a path in the directory, or in a folder of it, belongs to the pipeline."""
    return _LEFT_OUT.isdisjoint(path.parts) and not any(p.startswith(".") for p in path.parts)


def _repacking():
    """The programs of the step that puts an inference program into a model's archive."""
    return {
        _REPACK_LAUNCHER: f'#!/bin/sh\nexec python3 {_REPACK} "$@"\n'.encode(),
        _REPACK: Path(__file__).with_name("repack_model.py").read_bytes(),
    }


def _steps(steps):
    """All steps, those in the branches of conditions too."""
    for step in steps:
        yield step
        arguments = step.get("Arguments", {})
        if step["Type"] == "Condition":
            yield from _steps(arguments.get("IfSteps", []))
            yield from _steps(arguments.get("ElseSteps", []))


def _texts(value, where, known=lambda expression: None):
    """The texts in a value, each with the members that lead to it; JSON's quotes are taken off."""
    if isinstance(value, str):
        yield (_unquoted(value), *where)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, where, known)
    elif isinstance(value, dict):
        if (text := known(value)) is not None:
            yield (text, *where)
        elif not {"Get", "Std:Join", "Std:JsonGet"} & value.keys():
            for name, each in value.items():
                yield from _texts(each, (*where, name), known)


def _joined_buckets(value):
    """The buckets of URIs that a definition joins of `s3:/`, a bucket and more."""
    if isinstance(value, list):
        for each in value:
            yield from _joined_buckets(each)
    elif isinstance(value, dict):
        match value.get("Std:Join"):
            case {"On": "/", "Values": ["s3:/", str(bucket), *_]}:
                yield bucket
            case {"Values": [str(first), *_]} if match := re.match("s3://([^/]+)/", first):
                yield match[1]
        for each in value.values():
            yield from _joined_buckets(each)


def _unquoted(text):
    """The text that a hyperparameter has in JSON, as the SDK writes it; others as they are."""
    if isinstance(text, str) and text.startswith('"') and text.endswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
