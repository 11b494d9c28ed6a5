"""Give CloudFormation the two SageMaker types, served by the stand-in."""

import uuid

from botocore.exceptions import ClientError
from ministack.core.responses import get_region
from ministack.services.cloudformation import provisioners, stacks

from ops.local.aws import stand_in
from ops.local.aws.patches.stack_tags import own_tags


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
        response = stand_in.client("s3", get_region()).get_object(**request)
    except ClientError as error:
        raise ValueError(
            f"cannot read the definition s3://{location['Bucket']}/{location['Key']}: {error}"
        ) from error
    return response["Body"].read().decode()


def _pipeline_request(properties):
    optional = ("PipelineDisplayName", "PipelineDescription", "ParallelismConfiguration")
    return {
        "PipelineName": properties["PipelineName"],
        "RoleArn": properties["RoleArn"],
        "PipelineDefinition": _definition(properties),
        **{name: properties[name] for name in optional if name in properties},
    }


def _create_pipeline(logical_id, properties, stack_name):
    stand_in.client("sagemaker", get_region()).create_pipeline(
        **_pipeline_request(properties),
        ClientRequestToken=uuid.uuid4().hex,
        Tags=own_tags(properties),
    )
    return properties["PipelineName"], {}


def _update_pipeline(name, old, new, stack_name):
    if new["PipelineName"] != name:
        return _create_pipeline(name, new, stack_name)
    stand_in.client("sagemaker", get_region()).update_pipeline(**_pipeline_request(new))
    return name, {}


def _delete_pipeline(name, properties):
    try:
        stand_in.client("sagemaker", get_region()).delete_pipeline(
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
    request["Tags"] = own_tags(properties)
    response = stand_in.client("sagemaker", get_region()).create_model_package_group(**request)
    arn = response["ModelPackageGroupArn"]
    return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}


def _update_group(arn, old, new, stack_name):
    if new["ModelPackageGroupName"] != old["ModelPackageGroupName"]:
        return _create_group("", new, stack_name)
    return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}


def _delete_group(arn, properties):
    try:
        stand_in.client("sagemaker", get_region()).delete_model_package_group(
            ModelPackageGroupName=properties["ModelPackageGroupName"]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFound":
            raise


def apply():
    """Apply it."""
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
