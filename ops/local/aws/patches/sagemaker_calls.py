"""Answer for SageMaker: hold the caller to their rights, then ask the stand-in.

The stand-in knows no rights, and ministack no SageMaker. While the stand-in
works on a call it may call back, so nothing here waits for it on the event
loop.
"""

import http.client
import json
import re
import urllib.parse
import uuid

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from ministack import app as ministack_app
from ministack.core import iam_actions, router
from ministack.core.concurrency import run_reentrant
from ministack.core.responses import get_account_id, get_region

from ops.local.aws import stand_in

# What each operation is authorized on, after AWS's Service Authorization Reference: by the type of
# the resource and the member of the request that names it. Any other operation takes the right to
# every resource, "*": it lists those of the account, or does not name its own (a callback names a
# token, a new package has no version yet).
_AUTHORIZED_ON = {
    ("endpoint", "EndpointName"): "CreateEndpoint DeleteEndpoint DescribeEndpoint InvokeEndpoint",
    ("endpoint-config", "EndpointConfigName"): (
        "CreateEndpoint CreateEndpointConfig DeleteEndpointConfig DescribeEndpointConfig"
    ),
    ("model", "ModelName"): "CreateModel DeleteModel DescribeModel",
    ("model-package", "ModelPackageName"): "DeleteModelPackage DescribeModelPackage",
    ("model-package", "ModelPackageArn"): "UpdateModelPackage",
    ("model-package-group", "ModelPackageGroupName"): (
        "CreateModelPackageGroup DeleteModelPackageGroup DescribeModelPackageGroup"
    ),
    ("pipeline", "PipelineName"): (
        "CreatePipeline DeletePipeline DescribePipeline ListPipelineExecutions "
        "StartPipelineExecution UpdatePipeline"
    ),
    ("pipeline", "PipelineExecutionArn"): (
        "DescribePipelineDefinitionForExecution DescribePipelineExecution "
        "ListPipelineExecutionSteps ListPipelineParametersForExecution RetryPipelineExecution "
        "StopPipelineExecution UpdatePipelineExecution"
    ),
    (
        "processing-job",
        "ProcessingJobName",
    ): "CreateProcessingJob DescribeProcessingJob StopProcessingJob",
    ("training-job", "TrainingJobName"): "CreateTrainingJob DescribeTrainingJob StopTrainingJob",
    (
        "transform-job",
        "TransformJobName",
    ): "CreateTransformJob DescribeTransformJob StopTransformJob",
    ("any", "ResourceArn"): "AddTags DeleteTags ListTags",
}


# The headers that mean something to SageMaker or its runtime, or to whom they answer.
_HANDED_ON = re.compile("content-type|accept|x-amz-target|x-amzn-.*")
_INVOCATION = re.compile("/endpoints/([^/]+)/invocations")


def _sagemaker_arns(operation, request):
    """The ARNs of what a request is authorized on."""
    arns = []
    for (type_, member), operations in _AUTHORIZED_ON.items():
        name = request.get(member)
        if name and operation in operations.split():
            if not name.startswith("arn:"):
                name = f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:{type_}/{name}"
            # The stand-in finds names whatever their case, and policies here have them in lower case.
            arns.append(name.lower())
    return arns or ["*"]


def _sagemaker_tags(arn):
    """The tags of a resource, as keys of conditions; what does not exist has none."""
    pages = stand_in.client("sagemaker", get_region()).get_paginator("list_tags")
    try:
        tags = [tag for page in pages.paginate(ResourceArn=arn) for tag in page["Tags"]]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFound":
            raise
        return {}
    return {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in tags}


def _sagemaker_checks(operation, body, endpoint):
    """(ARN, keys of conditions) of everything that a request is authorized on."""
    action = f"sagemaker:{operation}"
    if endpoint:
        asked, request = {}, {"EndpointName": endpoint}
    else:
        asked = iam_actions.request_tag_context("sagemaker", action, body, {})
        request = json.loads(body or b"{}")
    return [
        (arn, asked if arn == "*" else {**asked, **_sagemaker_tags(arn)})
        for arn in _sagemaker_arns(operation, request)
    ]


def _ask_stand_in(method, path, headers, body):
    """What the stand-in answers to a request, as ministack's services do."""
    # The other headers are the signature's and the connection's.
    kept = {name: value for name, value in headers.items() if _HANDED_ON.fullmatch(name)}
    request = AWSRequest(method, f"{stand_in.endpoint}{path}", headers=kept, data=body)
    credentials = botocore.session.get_session().get_credentials()
    SigV4Auth(credentials, "sagemaker", get_region()).add_auth(request)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(stand_in.endpoint).netloc)
    try:
        connection.request(method, path, body, dict(request.headers.items()))
        answer = connection.getresponse()
        told = {n: v for n, v in answer.getheaders() if _HANDED_ON.fullmatch(n.lower())}
        return answer.status, told, answer.read()
    finally:
        connection.close()


def apply():
    """Apply it."""

    async def handle(method, path, headers, body, query_params):
        invocation = _INVOCATION.fullmatch(path)
        endpoint = invocation[1] if invocation else None
        target = headers.get("x-amz-target", "").removeprefix("SageMaker.")
        operation = "InvokeEndpoint" if endpoint else target
        checks = []
        if ministack_app.AUTH:
            checks = await run_reentrant(_sagemaker_checks, operation, body, endpoint)
        for arn, keys in checks:
            denied = ministack_app._enforce_data_plane(
                "sagemaker",
                f"sagemaker:{operation}",
                headers,
                query_params,
                request_id=str(uuid.uuid4()),
                resource_arn=arn,
                service_context=keys,
                named_resource=arn,
            )
            if denied:
                return denied
        return await run_reentrant(_ask_stand_in, method, path, headers, body)

    router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."]}
    ministack_app.SERVICE_HANDLERS["sagemaker"] = handle
