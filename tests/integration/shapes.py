"""Compares answers of the stand-in for SageMaker, as they come over the wire, with botocore's model of the service."""

import json
import re

# What any call may be refused with: https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
_COMMON_ERRORS = {"ValidationException", "ThrottlingException", "AccessDeniedException"}
_COMMON_ERRORS |= {"InternalFailure", "UnrecognizedClientException", "MissingAuthenticationToken"}
_NUMBERS = {"integer": int, "long": int, "float": (int, float), "double": (int, float)}


def check(http_response, parsed, model, **_):
    """For the event `after-call` of a client: raises AssertionError where an answer does not fit its call."""
    raw = json.loads(http_response.content or b"{}")
    if "Error" in parsed:
        faults = list(_of_error(parsed, model))
    elif model.output_shape is None:
        faults = [f"{model.name}: {name}: the call answers nothing" for name in raw]
    else:
        faults = list(_faults(model.output_shape, raw, model.name))
    if faults:
        raise AssertionError("; ".join(faults))


def _of_error(parsed, model):
    code = parsed["Error"]["Code"]
    if code not in _COMMON_ERRORS.union(shape.name for shape in model.error_shapes):
        yield f"{model.name}: {code} is not among its errors"
    if not parsed["ResponseMetadata"].get("RequestId"):
        yield f"{model.name}: {code} comes without a request's id"


def _faults(shape, value, path):
    """What of a value does not fit a shape."""
    kind = shape.type_name
    reader = {"structure": _of_structure, "list": _of_list, "map": _of_map, "string": _of_string}
    if kind in reader:
        yield from reader[kind](shape, value, path)
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{path}: {value!r} is not a boolean"
    elif kind == "timestamp":
        if not _is_number(value, (int, float)) or not 1.5e9 < value < 4.2e9:
            yield f"{path}: {value!r} is not a time of these decades in seconds"
    elif kind in _NUMBERS:
        if not _is_number(value, _NUMBERS[kind]):
            yield f"{path}: {value!r} is not of type {kind}"
        else:
            yield from _of_bounds(shape, value, path)


def _is_number(value, kinds):
    return isinstance(value, kinds) and not isinstance(value, bool)


def _of_structure(shape, value, path):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a structure"
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, member in value.items():
        if name in shape.members:
            yield from _faults(shape.members[name], member, f"{path}.{name}")
        else:
            yield f"{path}.{name} is unknown"


def _of_list(shape, value, path):
    if not isinstance(value, list):
        yield f"{path}: {value!r} is not a list"
        return
    yield from _of_bounds(shape, len(value), path)
    for index, item in enumerate(value):
        yield from _faults(shape.member, item, f"{path}[{index}]")


def _of_map(shape, value, path):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a map"
        return
    for name, item in value.items():
        yield from _faults(shape.key, name, f"{path}: the key")
        yield from _faults(shape.value, item, f"{path}[{name!r}]")


def _of_string(shape, value, path):
    if not isinstance(value, str):
        yield f"{path}: {value!r} is not a string"
        return
    yield from _of_bounds(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is not one of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    # Those of tags name classes of Unicode, which `re` does not know.
    if pattern and r"\p{" not in pattern and not re.fullmatch(pattern, value):
        yield f"{path}: {value!r} does not match {pattern}"


def _of_bounds(shape, number, path):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and number < least:
        yield f"{path}: {number} is below {least}"
    if most is not None and number > most:
        yield f"{path}: {number} is above {most}"
