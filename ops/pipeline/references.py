"""What a pipeline's definition reads and writes in S3, as far as it stands before an execution."""

import dataclasses
import json
import re

ARCHIVE = "sourcedir.tar.gz"
"""The name under which the SDK uploads the sources of a program."""
# Types of steps whose jobs read S3 here; the others are simulated.
_READING = {"Model", "Processing", "RegisterModel", "Training", "Transform"}
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
# Where the program of an archive stands beside it: of a training, and of a model.
_PROGRAM_OF = {
    "sagemaker_submit_directory": "sagemaker_program",
    "SAGEMAKER_SUBMIT_DIRECTORY": "SAGEMAKER_PROGRAM",
}
REPACK_LAUNCHER = "_repack_script_launcher.sh"
"""The program of the step that the SDK adds to put an inference program into a model's archive."""
REPACK = "_repack_model.py"
"""What that one runs."""


@dataclasses.dataclass(frozen=True)
class Read:
    """An S3 object or prefix that a step reads."""

    step: str
    uri: str
    program: str | None = None
    """The program of an archive of sources, where the definition names it."""
    repacks: bool = False
    """Whether the SDK has added the step, to put the program into a model's archive."""

    @property
    def bucket(self):
        """The bucket's name."""
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def key(self):
        """The object's key, or the prefix."""
        return self.uri.removeprefix("s3://").partition("/")[2]

    @property
    def name(self):
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]


class References:
    """The S3 locations and images of a definition; `given` are values of its parameters."""

    def __init__(self, definition, given):
        self._definition = definition
        defaults = {
            parameter["Name"]: parameter.get("DefaultValue")
            for parameter in definition.get("Parameters", [])
        }
        self._values = {**defaults, **given}

    def reads(self):
        """What the steps read that can run here."""
        for step in steps_of(self._definition.get("Steps", [])):
            if step["Type"] not in _READING:
                continue
            for text, *where, beside in self._texts(step.get("Arguments", {}), ()):
                if not text.startswith("s3://") or not _NOT_READ.isdisjoint(where):
                    continue
                program = _unquoted(beside.get(_PROGRAM_OF.get(where[-1] if where else "")))
                if repacks := program in (REPACK_LAUNCHER, REPACK):
                    program = _unquoted(beside.get("inference_script", "inference.py"))
                yield Read(step["Name"], text, program, repacks)

    def written(self):
        """Where the steps write to."""
        for step in steps_of(self._definition.get("Steps", [])):
            for text, *where, _ in self._texts(step.get("Arguments", {}), ()):
                # The root of a bucket says nothing of what is written there.
                if not _WRITES.isdisjoint(where) and re.match("s3://[^/]+/.", text):
                    yield text.rstrip("/")

    def buckets(self):
        """The names of all buckets."""
        texts = [text for text, *_ in self._texts(self._definition, ())]
        texts += self._values.values()
        named = {match[1] for text in texts if (match := re.match("s3://([^/]+)", str(text)))}
        return sorted(named | set(_joined_buckets(self._definition)))

    def own_images(self):
        """The images of the registry of the account whose roles the steps have: `HOST/REPOSITORY`."""
        texts = {text for text, *_ in self._texts(self._definition, ())}
        accounts = {
            match[1]
            for text in texts
            if (match := re.match(r"arn:[\w-]+:iam::(\d{12}):role/", text))
        }
        images = (re.match(r"((\d{12})\.dkr\.ecr\.[^/]+/[^:@]+)", text) for text in texts)
        return sorted({image[1] for image in images if image and image[2] in accounts})

    def named_files(self):
        """The names of files that the definition speaks of, entry points among them."""
        texts = (text for text, *_ in self._texts(self._definition, ()))
        return {text.rstrip("/").rpartition("/")[2] for text in texts}

    def _texts(self, value, where, beside=None):
        """The texts in a value, each with the members that lead to it and what stands beside it."""
        if isinstance(value, str):
            yield (_unquoted(value), *where, beside or {})
        elif isinstance(value, list):
            for each in value:
                yield from self._texts(each, where)
        elif isinstance(value, dict):
            if (text := self._known(value)) is not None:
                yield (text, *where, beside or {})
            elif not {"Get", "Std:Join", "Std:JsonGet"} & value.keys():
                for name, each in value.items():
                    yield from self._texts(each, (*where, name), value)

    def _known(self, expression):
        """An expression's value where the parameters alone decide it; None otherwise."""
        match expression:
            case {"Get": str(name)} if name.startswith("Parameters."):
                value = self._values.get(name.removeprefix("Parameters."))
                return None if value is None else str(value)
            case {"Std:Join": {"On": str(on), "Values": list(values)}}:
                parts = [part if isinstance(part, str) else self._known(part) for part in values]
                return None if None in parts else on.join(parts)
        return None


def steps_of(steps):
    """All steps of a definition's `Steps`, those in the branches of conditions too."""
    for step in steps:
        yield step
        arguments = step.get("Arguments", {})
        if step["Type"] == "Condition":
            yield from steps_of(arguments.get("IfSteps", []))
            yield from steps_of(arguments.get("ElseSteps", []))


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
