"""Runs ministack as the local AWS, with what our system needs and it lacks.

The port is chosen by whoever starts this process: the listening socket comes
as an inherited file descriptor, so that a port can neither be taken in between
nor be unknown to the functions that are told about it. Usage:

    python -m ops.local.aws LISTENING_FD [ENDPOINT]

ENDPOINT is where the stand-in for SageMaker answers, if there is one. The account's access key and
secret come in the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

Every change to ministack is one function below and is covered by
tests/integration/test_local_aws.py; the version is pinned with hashes in
ops/requirements.txt.
"""

import asyncio
import contextvars
import functools
import hmac
import http.client
import json
import os
import secrets
import socket
import socketserver
import sys
import threading
import urllib.parse
import uuid

_LISTENING_FD = int(sys.argv[1])
_STAND_IN = sys.argv[2] if len(sys.argv) > 2 else None
_socket = socket.socket(fileno=_LISTENING_FD)
_PORT = _socket.getsockname()[1]
# Read by ministack's modules while they are imported.
os.environ["GATEWAY_PORT"] = str(_PORT)
_socket.detach()

import botocore.session  # noqa: E402
import cbor2  # noqa: E402
from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack import app as ministack_app  # noqa: E402
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, router  # noqa: E402
from ministack.core.concurrency import run_reentrant  # noqa: E402
from ministack.core.responses import (  # noqa: E402
    _account_from_sts_session,
    get_account_id,
    get_region,
)
from ministack.services import cloudformation, eventbridge, lambda_svc, s3, sts  # noqa: E402
from ministack.services.cloudformation import (  # noqa: E402
    custom_resource,
    provisioners,
    stacks,
    wait_conditions,
)

from ops.local.aws import conditions, guard  # noqa: E402


@functools.cache
def _client(service, region):
    """A client for SageMaker's stand-in, or for the service that the environment names."""
    endpoint = _STAND_IN if service == "sagemaker" else None
    session = botocore.session.get_session()
    return session.create_client(service, region_name=region, endpoint_url=endpoint)


def _secret_of(access_key, token):
    """The secret of a key of the account, of a role's session or of a user; None of any other."""
    try:
        account = iam_evaluator.find_iam_access_key_account(access_key)
    except iam_evaluator.AmbiguousAccessKeyError:
        return None
    # ministack takes these for keys of the account, or of any other; nobody was given one. Where
    # nobody's rights are checked, a function's access key is its account.
    if access_key == "test" or (access_key.isdecimal() and access_key != get_account_id()):
        return None
    numeric = access_key if access_key.isdecimal() else None
    account = account or _account_from_sts_session(access_key) or numeric
    found = iam_evaluator.resolve_credential(access_key, account, token)
    return getattr(found, "secret_access_key", None)


# Of CloudFormation's ResponseURL, and of a wait condition's: the path's end is the secret there, as
# the signature is in AWS's.
_ANSWERED = {
    "/_ministack/cfn-response/": lambda token: token in custom_resource._pending,
    "/_ministack/cfn-signal/": wait_conditions.has_handle,
}


def _is_open(method, path):
    """Whether a request takes no signature: whether this server lives, and answers that are waited for."""
    if method == "PUT":
        return any(
            path.startswith(prefix) and is_awaited(path.removeprefix(prefix))
            for prefix, is_awaited in _ANSWERED.items()
        )
    return method == "GET" and path == "/_ministack/health"


def give_functions_keys_that_nobody_can_guess():
    """Make the keys of a function's role from this start's secret; ministack makes them from its ARN."""

    def derived(what, function):
        secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        return hmac.new(secret.encode(), f"{what}:{function}".encode(), "sha256").hexdigest()

    of_account = lambda_runtime.execution_credentials

    def credentials_of(config):
        if not ministack_app.AUTH:
            return of_account(config)
        account, _ = lambda_runtime._account_region_from_function_config(config)
        role = config["Role"]
        function = f"{config['FunctionArn']}:{role}"
        key = f"ASIA{derived('key', function)[:16].upper()}"
        secret, token = derived("secret", function), derived("token", function)
        session_name = config["FunctionName"][:64]
        role_name = role.rpartition("/")[2]
        sts.register_session(
            key,
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
                "UserId": f"{role_name}:{session_name}",
                "SecretAccessKey": secret,
                "SessionToken": token,
            },
        )
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
        }

    lambda_runtime.execution_credentials = lambda_svc.execution_credentials = credentials_of


def guard_runtime_interface():
    """Let a function's program alone speak to Lambda's runtime interface, which has no signatures.

    A program is told where it is in its environment, which other users cannot read.
    """
    token = secrets.token_hex(16)
    environment_of = lambda_svc._provided_worker_env

    def environment(config, code_dir, port):
        found = environment_of(config, code_dir, port)
        # Lambda names host and port alone; the runtime for Rust takes a path if there is a scheme as well.
        found["AWS_LAMBDA_RUNTIME_API"] = f"http://127.0.0.1:{port}/{token}"
        return found

    lambda_svc._provided_worker_env = environment
    guard.guard_handlers(token)


def send_small_packets_at_once():
    """Nagle's algorithm adds 40 ms to every function call over loopback."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def accept_aws_sources():
    """Let PutEvents take `aws.*` sources.

    AWS refuses them to its customers. Here the stand-in for SageMaker is the
    service that sends them.
    """
    put_events = eventbridge._put_events
    eventbridge._put_events = lambda data, allow_aws_source=True: put_events(data, True)


def retry_failed_events():
    """Deliver events to functions by Lambda's asynchronous path.

    ministack calls a rule's function once and forgets the outcome; AWS retries
    and then hands the event to the function's OnFailure destination.
    """

    def dispatch(arn, payload):
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            raise ValueError(f"the rule's target function {name} does not exist")
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))

    eventbridge._dispatch_to_lambda = dispatch


def count_loopback_as_secure():
    """Let plain HTTP pass policies that demand TLS: it never leaves this machine."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_secure(key, context):
        return "true" if key.lower() == "aws:securetransport" else resolve(key, context)

    iam_evaluator._resolve_condition_key = resolve_secure


def authorize_rpc_calls():
    """Hold callers to their rights also in the protocol of the Rust SDK's calls to CloudWatch.

    There the path names the operation and the body is CBOR. ministack serves
    that, and authorizes nothing that it finds no name of.
    """
    action_of, arn_of = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def is_rpc(headers):
        return headers.get("smithy-protocol") == "rpc-v2-cbor"

    def extract_action(service, method, path, headers, body, parameters):
        if is_rpc(headers):
            return f"{iam_actions.SERVICE_TO_IAM_NAMESPACE[service]}:{path.rpartition('/')[2]}"
        return action_of(service, method, path, headers, body, parameters)

    def extract_arn(service, method, path, headers, body, *rest):
        if is_rpc(headers):
            body = json.dumps(cbor2.loads(body), default=str).encode()
        return arn_of(service, method, path, headers, body, *rest)

    iam_actions.extract_iam_action = extract_action
    iam_actions.extract_resource_arn = extract_arn


# What each operation is authorized on, after AWS's Service Authorization Reference: by the type of
# the resource and the member of the request that names it. Any other operation takes the right to
# every resource, "*": it lists those of the account, or does not name its own (a callback names a
# token, a new package has no version yet).
_AUTHORIZED_ON = {
    ("endpoint", "EndpointName"): "CreateEndpoint DeleteEndpoint DescribeEndpoint",
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
    ("processing-job", "ProcessingJobName"): "DescribeProcessingJob",
    ("training-job", "TrainingJobName"): "DescribeTrainingJob",
    ("transform-job", "TransformJobName"): "DescribeTransformJob",
    ("any", "ResourceArn"): "AddTags DeleteTags ListTags",
}


def _sagemaker_arns(operation, request):
    """The ARNs of what a request is authorized on."""
    arns = []
    for (type_, member), operations in _AUTHORIZED_ON.items():
        name = request.get(member)
        if name and operation in operations.split():
            if not name.startswith("arn:"):
                name = f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:{type_}/{name}"
            # The stand-in writes names in lower case, as SageMaker may.
            arns.append(name.lower())
    return arns or ["*"]


def _sagemaker_tags(arn):
    """The tags of a resource, as keys of conditions; what does not exist has none."""
    pages = _client("sagemaker", get_region()).get_paginator("list_tags")
    try:
        tags = [tag for page in pages.paginate(ResourceArn=arn) for tag in page["Tags"]]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFound":
            raise
        return {}
    return {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in tags}


def _sagemaker_checks(operation, body):
    """(ARN, keys of conditions) of everything that a request is authorized on."""
    action = f"sagemaker:{operation}"
    asked = iam_actions.request_tag_context("sagemaker", action, body, {})
    return [
        (arn, asked if arn == "*" else {**asked, **_sagemaker_tags(arn)})
        for arn in _sagemaker_arns(operation, json.loads(body or b"{}"))
    ]


def _ask_stand_in(method, path, headers, body):
    """What the stand-in answers to a request, as ministack's services do."""
    # The other headers are the signature's and the connection's.
    kept = {name: headers[name] for name in ("content-type", "x-amz-target") if name in headers}
    request = AWSRequest(method, f"{_STAND_IN}{path}", headers=kept, data=body)
    credentials = botocore.session.get_session().get_credentials()
    SigV4Auth(credentials, "sagemaker", get_region()).add_auth(request)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(_STAND_IN).netloc)
    try:
        connection.request(method, path, body, dict(request.headers.items()))
        answer = connection.getresponse()
        told = {name: answer.getheader(name) for name in ("Content-Type", "x-amzn-errortype")}
        return answer.status, {name: text for name, text in told.items() if text}, answer.read()
    finally:
        connection.close()


def serve_sagemaker():
    """Answer for SageMaker: hold the caller to their rights, then ask the stand-in.

    The stand-in knows no rights, and ministack no SageMaker. While the stand-in
    works on a call it may call back, so nothing here waits for it on the event
    loop.
    """

    async def handle(method, path, headers, body, query_params):
        operation = headers.get("x-amz-target", "").removeprefix("SageMaker.")
        checks = []
        if ministack_app.AUTH:
            checks = await run_reentrant(_sagemaker_checks, operation, body)
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


_SAGEMAKER_TYPES = ("AWS::SageMaker::Pipeline", "AWS::SageMaker::ModelPackageGroup")


def _definition(properties):
    """The pipeline's definition as text.

    CloudFormation itself reads the object, with the deployer's rights, and
    passes on the text: so a missing object fails the stack, not a later run.
    """
    definition = properties["PipelineDefinition"]
    if "PipelineDefinitionBody" in definition:
        return definition["PipelineDefinitionBody"]
    location = definition["PipelineDefinitionS3Location"]
    request = {"Bucket": location["Bucket"], "Key": location["Key"]}
    if location.get("Version"):
        request["VersionId"] = location["Version"]
    if location.get("ETag"):
        request["IfMatch"] = location["ETag"]
    try:
        response = _client("s3", get_region()).get_object(**request)
    except ClientError as error:
        raise ValueError(
            f"cannot read the definition s3://{location['Bucket']}/{location['Key']}: {error}"
        ) from error
    return response["Body"].read().decode()


def _own_tags(properties):
    """The tags but CloudFormation's own, which no service lets a caller set."""
    return [tag for tag in properties.get("Tags", []) if not tag["Key"].startswith("aws:")]


def _pipeline_request(properties):
    optional = ("PipelineDisplayName", "PipelineDescription", "ParallelismConfiguration")
    return {
        "PipelineName": properties["PipelineName"],
        "RoleArn": properties["RoleArn"],
        "PipelineDefinition": _definition(properties),
        **{name: properties[name] for name in optional if name in properties},
    }


def _create_pipeline(logical_id, properties, stack_name):
    _client("sagemaker", get_region()).create_pipeline(
        **_pipeline_request(properties),
        ClientRequestToken=uuid.uuid4().hex,
        Tags=_own_tags(properties),
    )
    return properties["PipelineName"], {}


def _update_pipeline(name, old, new, stack_name):
    if new["PipelineName"] != name:
        return _create_pipeline(name, new, stack_name)
    _client("sagemaker", get_region()).update_pipeline(**_pipeline_request(new))
    return name, {}


def _delete_pipeline(name, properties):
    try:
        _client("sagemaker", get_region()).delete_pipeline(
            PipelineName=name, ClientRequestToken=uuid.uuid4().hex
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFound":
            raise


def _create_group(logical_id, properties, stack_name):
    request = {
        name: properties[name]
        for name in ("ModelPackageGroupName", "ModelPackageGroupDescription")
        if name in properties
    }
    request["Tags"] = _own_tags(properties)
    response = _client("sagemaker", get_region()).create_model_package_group(**request)
    arn = response["ModelPackageGroupArn"]
    return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}


def _update_group(arn, old, new, stack_name):
    if new["ModelPackageGroupName"] != old["ModelPackageGroupName"]:
        return _create_group("", new, stack_name)
    return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}


def _delete_group(arn, properties):
    try:
        _client("sagemaker", get_region()).delete_model_package_group(
            ModelPackageGroupName=properties["ModelPackageGroupName"]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFound":
            raise


def provision_sagemaker():
    """Give CloudFormation the two SageMaker types, served by the stand-in."""
    provisioners._RESOURCE_HANDLERS["AWS::SageMaker::Pipeline"] = {
        "create": _create_pipeline,
        "update": _update_pipeline,
        "delete": _delete_pipeline,
    }
    provisioners._RESOURCE_HANDLERS["AWS::SageMaker::ModelPackageGroup"] = {
        "create": _create_group,
        "update": _update_group,
        "delete": _delete_group,
    }
    # They call a server, which may call this one back: not on the event loop.
    on_worker = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda type_: (
        type_.startswith("AWS::SageMaker::") or on_worker(type_)
    )


def keep_stack_tags():
    """Hand a stack's tags on to its buckets, pipelines and package groups, as AWS does.

    ministack does so for other types, and stores no tags of a bucket that a stack makes.
    """
    for type_ in ("AWS::S3::Bucket", *_SAGEMAKER_TYPES):
        provisioners._STACK_TAG_PROPERTY[type_] = ("Tags", "list")
    handler = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    create, update = handler["create"], handler["update"]

    def tag(result, properties):
        s3._bucket_tags[result[0]] = {tag["Key"]: tag["Value"] for tag in _own_tags(properties)}
        return result

    handler["create"] = lambda name, properties, stack: tag(
        create(name, properties, stack), properties
    )
    handler["update"] = lambda name, old, new, stack: tag(update(name, old, new, stack), new)


def keep_attributes_in_nested_stacks():
    """Let Fn::GetAtt work on what an update of a nested stack leaves as it is.

    ministack hands the attributes of unchanged resources on in a top-level
    stack, and forgets them in a nested one.
    """
    update_resource = provisioners._update_resource

    def update(type_, physical_id, old, new, stack_name, logical_id=None, old_attrs=None):
        if old_attrs is None:
            resources = cloudformation._stacks.get(stack_name, {}).get("_resources", {})
            old_attrs = resources.get(logical_id, {}).get("Attributes")
        return update_resource(type_, physical_id, old, new, stack_name, logical_id, old_attrs)

    provisioners._update_resource = update


_superseded = contextvars.ContextVar("superseded resources of the nested stack being updated")


def clean_up_nested_stacks():
    """Delete what an update of a nested stack replaced, as CloudFormation does.

    ministack sends no Delete for a custom resource whose physical id changed
    inside a nested stack, neither after the update nor after its rollback.
    CloudFormation deletes the old one only when the whole update held; when it
    rolls back, the update with the old properties brings the old id back and
    the new one is deleted.
    """
    update_resource = provisioners._update_resource
    handler = provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
    update_stack = handler["update"]

    def recording_update(type_, physical_id, old, new, stack_name, logical_id=None, old_attrs=None):
        result = update_resource(type_, physical_id, old, new, stack_name, logical_id, old_attrs)
        superseded = _superseded.get(None)
        ours = type_.startswith(("Custom::", "AWS::SageMaker::"))
        if ours and superseded is not None and result[0] != physical_id:
            superseded.append((type_, physical_id, old, stack_name, logical_id))
        return result

    def delete_all(superseded):
        for arguments in reversed(superseded):
            try:
                provisioners._delete_resource(*arguments)
            except Exception as error:  # a failed cleanup does not fail the update
                print(f"cleanup of {arguments[1]} failed: {error}", file=sys.stderr)

    def update_and_clean_up(*arguments):
        superseded = []
        token = _superseded.set(superseded)
        try:
            result = update_stack(*arguments)
        finally:
            _superseded.reset(token)
        pending = provisioners._DEFERRED_PREDECESSOR_DELETES.get()
        if not superseded:
            pass
        elif pending is None:  # a rollback, or a nested stack's nested stack
            delete_all(superseded)
        else:
            # The parent runs these on its event loop once the update held; a
            # custom resource's answer arrives through that loop, so delete on
            # a thread of its own.
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(delete_all, superseded))
            pending.append((thread.start, (), {}))
        return result

    provisioners._update_resource = recording_update
    handler["update"] = update_and_clean_up


def main():
    """Apply the changes and serve until SIGTERM."""
    give_functions_keys_that_nobody_can_guess()
    guard_runtime_interface()
    send_small_packets_at_once()
    accept_aws_sources()
    retry_failed_events()
    count_loopback_as_secure()
    authorize_rpc_calls()
    conditions.apply()
    if _STAND_IN:
        serve_sagemaker()
        provision_sagemaker()
    keep_stack_tags()
    keep_attributes_in_nested_stacks()
    clean_up_nested_stacks()

    config = Config()
    config.bind = [f"fd://{_LISTENING_FD}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = os.environ.get("LOG_LEVEL", "INFO")
    asyncio.run(serve(guard.Guard(ministack_app.app, _PORT, _secret_of, _is_open), config))


if __name__ == "__main__":
    main()
