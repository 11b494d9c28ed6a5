"""FAULTS= of `make run`, `local` and `run-pipeline`: the failures that steps are asked to have."""

import difflib
import json
import re

from ops import OpsError
from ops.pipeline.references import steps_of

_FORM = re.compile(r"(?P<step>[^=]+)=(?P<exception>[^=*]+)(\*0*[1-9][0-9]*)?")
EXCEPTIONS = (
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
    "Step.THROTTLING",
    "Step.SERVICE_FAULT",
)
"""What the local SageMaker can fail a step by; a test compares."""


def refuse_malformed(faults):
    """Refuse what asks for no failure, before anything is started."""
    for fault in faults:
        form = _FORM.fullmatch(fault)
        if not form:
            raise OpsError(
                f"FAULTS={fault}: it must be STEP=EXCEPTION or STEP=EXCEPTION*TIMES with TIMES of at least 1, "
                "such as Train=SageMaker.CAPACITY_ERROR*2"
            )
        if form["exception"] not in EXCEPTIONS:
            (near,) = difflib.get_close_matches(form["exception"], EXCEPTIONS, 1, 0)
            raise OpsError(
                f"FAULTS={fault}: no step fails by {form['exception']}; the nearest is {near}, and there are "
                f"{', '.join(EXCEPTIONS)}"
            )


def unmatched(sagemaker, faults):
    """The faults whose step no pipeline here has, each as a sentence with the nearest names."""
    if not faults:
        return []
    names = [
        step["Name"]
        for page in sagemaker.get_paginator("list_pipelines").paginate()
        for pipeline in page["PipelineSummaries"]
        for step in _steps(sagemaker, pipeline["PipelineName"])
    ]
    sentences = []
    for fault in faults:
        step = _FORM.fullmatch(fault)["step"]
        if step not in names:
            near = difflib.get_close_matches(step, names, 1)
            hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(names)}"
            sentences.append(f"FAULTS={fault}: no pipeline here has a step {step}; {hint}")
    return sentences


def refuse_unmatched(sagemaker, faults):
    """Refuse faults whose step no pipeline here has: the run would seem to have stood them."""
    if sentences := unmatched(sagemaker, faults):
        raise OpsError("; ".join(sentences))


def _steps(sagemaker, pipeline):
    definition = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineDefinition"]
    return steps_of(json.loads(definition)["Steps"])
