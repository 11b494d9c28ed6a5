"""`make destroy`: removes an installation without residue.

Every step looks for what is there, so that an interrupted one is taken up by running it again.
"""

import contextlib
import dataclasses
import time

from botocore.exceptions import ClientError

from ops import OpsError
from ops.stack import artifacts, names
from ops.stack.bring_up import exists
from ops.stack.deployer import Deployer, held
from ops.stack.ownership import STACK_TAG, installation, tags_of

_EXECUTION_TAG = "sagemaker:pipeline-execution-arn"
_RUNNING = ("Executing", "Stopping")
# DeleteObjects takes as many.
_BATCH = 1000


def _versions(page):
    """The versions and delete markers of a page of a bucket's list, as DeleteObjects takes them."""
    return [
        {"Key": each["Key"], "VersionId": each["VersionId"]}
        for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    ]


@dataclasses.dataclass
class Inventory:
    """What would be deleted, as far as it is there."""

    stack: str | None = None
    resources: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Type and name of each resource of the stack and its nested stacks."""
    running: list[str] = dataclasses.field(default_factory=list)
    """ARNs of executions that have not ended."""
    executions: int = 0
    endpoints: list[str] = dataclasses.field(default_factory=list)
    endpoint_configs: list[str] = dataclasses.field(default_factory=list)
    models: list[str] = dataclasses.field(default_factory=list)
    packages: list[str] = dataclasses.field(default_factory=list)
    """ARNs of versions in the package group."""
    images: list[str] = dataclasses.field(default_factory=list)
    """REPOSITORY:TAG, or REPOSITORY@DIGEST of what has no tag."""
    kept: list[names.Named] = dataclasses.field(default_factory=list)
    foreign: list[names.Named] = dataclasses.field(default_factory=list)
    """What has a name of ours and is not ours: it is left alone."""

    def lines(self):
        """What it says to the person who has to agree: each thing by its name."""
        named = (
            (self.running, "running execution", ", stopped first"),
            (self.endpoints, "endpoint", ""),
            (self.endpoint_configs, "endpoint configuration", ""),
            (self.models, "model", ""),
            (self.packages, "model package", ""),
            (self.images, "image", ""),
        )
        for found, what, more in named:
            for each in found:
                yield f"{what} {each}{more}"
        if self.stack:
            yield f"stack {self.stack} with"
            by_type = {}
            for type_, name in self.resources:
                by_type.setdefault(type_.removeprefix("AWS::"), []).append(name)
            for type_, found in sorted(by_type.items()):
                yield f"  {type_} {', '.join(sorted(found))}"
        if self.executions:
            yield (
                f"with the pipeline, SageMaker's history of its {self.executions} execution(s); "
                "jobs and their logs in /aws/sagemaker stay, as SageMaker keeps those"
            )
        for kept in self.kept:
            what = kept.type.rpartition("::")[2].lower()
            held = "with every version of every object" if what == "bucket" else "with its items"
            yield f"{what} {kept.name}" + ("" if what == "modelpackagegroup" else f", {held}")

    def left_alone(self):
        """What stays, though its name is one of ours."""
        for kept in self.foreign:
            yield f"{kept.type.rpartition('::')[2].lower()} {kept.name}"


def _is_gone(error):
    """Whether a service says that what was asked for does not exist."""
    text = str(error)
    return any(each in text for each in ("does not exist", "ResourceNotFound", "ould not find"))


class Teardown:
    """Removes one installation."""

    def __init__(self, root, target, prefix, artifacts_bucket, say, progress=lambda event: None):
        self._target = target
        self._prefix = prefix
        self._own = installation(prefix)
        self._say = say
        self._progress = progress
        self._sagemaker = target.client("sagemaker")
        self._deployer = Deployer(target.client, target.interval, target.timeout)
        self._pipeline = f"{prefix}-asset-prediction"
        self._kept = [*names.kept(root, prefix, target.account, target.region)]
        self._kept.append(names.Named("AWS::S3::Bucket", artifacts_bucket))

    # ------------------------------------------------------------ looking

    def inventory(self):
        """What there is to delete. Raises OpsError where the stack of that name is somebody else's."""
        stack, resources = self._deployer.find_own(self._own), self._resources()
        there = [kept for kept in self._kept if exists(self._target, kept)]
        ours = [kept for kept in there if self._is_ours(kept, resources)]
        executions = self._executions(resources)
        return Inventory(
            stack=self._prefix if stack else None,
            resources=resources,
            running=[arn for arn, status in executions if status in _RUNNING],
            executions=len(executions),
            endpoints=self._ours("list_endpoints", "Endpoints", "Endpoint"),
            endpoint_configs=self._ours(
                "list_endpoint_configs", "EndpointConfigs", "EndpointConfig"
            ),
            models=self._models(),
            packages=self._packages(ours),
            images=[
                f"{repository}:{tag}" if tag else f"{repository}@{each['imageDigest']}"
                for repository, found in self._images(resources)
                for each in found
                for tag in [each.get("imageTag")]
            ],
            kept=ours,
            foreign=[kept for kept in there if kept not in ours],
        )

    def _resources(self):
        """Type and name of each resource of our stack; none where there is no stack."""
        if self._deployer.find_own(self._own) is None:
            return []
        return held(self._deployer.resources(self._prefix))

    def _is_ours(self, kept, resources):
        """Whether a resource is our stack's, or has its tag as what it left has."""
        # CloudFormation knows a group by its ARN.
        physical = {name.rpartition("/")[2] for type_, name in resources if type_ == kept.type}
        return kept.name in physical or self._tags_of_kept(kept).get(STACK_TAG) == self._prefix

    def _tags_of_kept(self, kept):
        if kept.type == "AWS::S3::Bucket":
            return artifacts.found_tags(self._target.client("s3"), kept.name)
        service, type_ = {
            "AWS::DynamoDB::Table": ("dynamodb", "table"),
            "AWS::SageMaker::ModelPackageGroup": ("sagemaker", "model-package-group"),
        }[kept.type]
        arn = self._arn(service, f"{type_}/{kept.name}")
        if service == "sagemaker":
            return self._tags(arn)
        return tags_of(
            self._pages(
                self._target.client("dynamodb"), "list_tags_of_resource", "Tags", ResourceArn=arn
            )
        )

    def _arn(self, service, resource):
        target = self._target
        return f"arn:{target.partition}:{service}:{target.region}:{target.account}:{resource}"

    def _pages(self, client, operation, key, **arguments):
        pages = client.get_paginator(operation).paginate(**arguments)
        return [found for page in pages for found in page.get(key, [])]

    def _executions(self, resources):
        if ("AWS::SageMaker::Pipeline", self._pipeline) not in resources:
            return []
        try:
            found = self._pages(
                self._sagemaker,
                "list_pipeline_executions",
                "PipelineExecutionSummaries",
                PipelineName=self._pipeline,
            )
        except self._sagemaker.exceptions.ResourceNotFound:
            return []
        return [(each["PipelineExecutionArn"], each["PipelineExecutionStatus"]) for each in found]

    def _tags(self, arn):
        return tags_of(self._pages(self._sagemaker, "list_tags", "Tags", ResourceArn=arn))

    def _ours(self, operation, key, kind):
        """The names of endpoints, or of their configurations, that carry our tag."""
        return [
            each[f"{kind}Name"]
            for each in self._pages(self._sagemaker, operation, key)
            if self._tags(each[f"{kind}Arn"]).get(STACK_TAG) == self._prefix
        ]

    def _models(self):
        """The names of the models that our pipeline made, or that carry our tag."""
        ours = self._arn("sagemaker", f"pipeline/{self._pipeline}/execution/")

        def is_ours(arn):
            tags = self._tags(arn)
            # SageMaker spells names in ARNs as it likes.
            made_by = tags.get(_EXECUTION_TAG, "").lower()
            return tags.get(STACK_TAG) == self._prefix or made_by.startswith(ours)

        found = self._pages(self._sagemaker, "list_models", "Models")
        return [each["ModelName"] for each in found if is_ours(each["ModelArn"])]

    def _packages(self, ours):
        if names.Named("AWS::SageMaker::ModelPackageGroup", self._pipeline) not in ours:
            return []
        try:
            found = self._pages(
                self._sagemaker,
                "list_model_packages",
                "ModelPackageSummaryList",
                ModelPackageGroupName=self._pipeline,
            )
        except ClientError as error:
            if _is_gone(error):
                return []
            raise
        return [each["ModelPackageArn"] for each in found]

    def _images(self, resources):
        """(repository, what ECR calls each of its images) of our stack's repositories."""
        ecr = self._target.client("ecr")
        for type_, name in resources:
            if type_ == "AWS::ECR::Repository":
                # An interrupted run may have deleted it since the stack was looked at.
                with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException):
                    yield name, self._pages(ecr, "list_images", "imageIds", repositoryName=name)

    def refuse_while_used(self):
        """Other stacks' pipelines are made by our custom resource: without it they can't go."""
        outputs = self._deployer.outputs(self._own)
        function = outputs.get("PipelineDefinitionFunctionName")
        bucket = outputs.get("PipelineBucketName")
        if function is None:
            return
        family = {name for _, name in self._resources()}
        users = [
            stack["StackName"]
            for stack in self._pages(
                self._target.client("cloudformation"), "describe_stacks", "Stacks"
            )
            if stack["StackId"] not in family
            and stack["StackName"] != self._prefix
            and stack["StackStatus"] != "DELETE_COMPLETE"
            and any(
                parameter.get("ParameterValue", "").endswith(f":function:{function}")
                or parameter.get("ParameterValue") in (function, bucket)
                for parameter in stack.get("Parameters", [])
            )
        ]
        if users:
            raise OpsError(
                "these stacks were made with this installation's custom resource and could not be "
                "deleted without it; delete them first:"
                + "".join(f"\n  aws cloudformation delete-stack --stack-name {u}" for u in users)
            )

    # ----------------------------------------------------------- deleting

    def delete(self, inventory):
        """Delete all of it, in the order in which nothing is missed by what still works."""
        self._stop(inventory)
        self._each("endpoint", inventory.endpoints, self._delete_endpoint)
        self._wait_for_endpoints(inventory.endpoints)
        self._each("endpoint configuration", inventory.endpoint_configs, self._delete_config)
        # Those of executions that ended since.
        self._each("model", self._models(), self._delete_model)
        self._each("model package", self._packages(inventory.kept), self._delete_package)
        self._delete_images(inventory)
        for kept in inventory.kept:
            if kept.type == "AWS::S3::Bucket":
                self._empty(kept.name)
        if self._deployer.find_own(self._own):
            self._say(f"Deleting stack {self._prefix}")
            self._deployer.delete(self._own, self._progress)
        for kept in inventory.kept:
            if exists(self._target, kept):
                self._delete_kept(kept)

    def _each(self, what, found, delete):
        for each in found:
            self._say(f"Deleting {what} {each}")
            try:
                delete(each)
            except ClientError as error:
                # What an interrupted run deleted may go while we look.
                if not _is_gone(error):
                    raise

    def _stop(self, inventory):
        for arn in inventory.running:
            self._say(f"Stopping {arn}")
            token = f"destroy-{arn.rpartition('/')[2]:0>32}"
            try:
                self._sagemaker.stop_pipeline_execution(
                    PipelineExecutionArn=arn, ClientRequestToken=token
                )
            except ClientError:
                # It may have ended since it was listed, or be stopping.
                found = self._sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
                if found["PipelineExecutionStatus"] == "Executing":
                    raise
        deadline = time.monotonic() + self._target.timeout
        while left := [
            arn for arn, status in self._executions(inventory.resources) if status in _RUNNING
        ]:
            if time.monotonic() > deadline:
                raise OpsError(
                    f"{len(left)} execution(s) have not stopped within "
                    f"{self._target.timeout:.0f} s; run `make destroy` again later"
                )
            time.sleep(self._target.interval)

    def _delete_endpoint(self, name):
        found = self._sagemaker.describe_endpoint(EndpointName=name)
        if found["EndpointStatus"] != "Deleting":
            self._sagemaker.delete_endpoint(EndpointName=name)

    def _wait_for_endpoints(self, names):
        """An endpoint takes minutes to go, and is listed until then."""
        deadline = time.monotonic() + self._target.timeout
        for name in names:
            while self._has_endpoint(name):
                if time.monotonic() > deadline:
                    raise OpsError(
                        f"endpoint {name} is not gone after {self._target.timeout:.0f} s; run "
                        "`make destroy` again later"
                    )
                time.sleep(self._target.interval)

    def _has_endpoint(self, name):
        try:
            self._sagemaker.describe_endpoint(EndpointName=name)
        except ClientError as error:
            if _is_gone(error):
                return False
            raise
        return True

    def _delete_config(self, name):
        self._sagemaker.delete_endpoint_config(EndpointConfigName=name)

    def _delete_model(self, name):
        self._sagemaker.delete_model(ModelName=name)

    def _delete_package(self, arn):
        self._sagemaker.delete_model_package(ModelPackageName=arn)

    def _delete_images(self, inventory):
        for repository, found in self._images(inventory.resources):
            if found:
                self._say(f"Deleting {len(found)} image(s) of {repository}")
            for start in range(0, len(found), 100):
                self._target.client("ecr").batch_delete_image(
                    repositoryName=repository, imageIds=found[start : start + 100]
                )

    def _empty(self, bucket):
        """Delete every version and every delete marker of a bucket."""
        s3 = self._target.client("s3")
        count, before = 0, None
        # From the beginning each time: a page's marker may be of what is gone by then.
        while found := _versions(s3.list_object_versions(Bucket=bucket, MaxKeys=_BATCH)):
            if found == before:
                raise OpsError(f"{found[0]['Key']} in {bucket} is still there after its deletion")
            before = found
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            if errors := answer.get("Errors"):
                raise OpsError(
                    f"{errors[0]['Key']} in {bucket} is not to be deleted: "
                    f"{errors[0].get('Message', errors[0]['Code'])}"
                )
            count += len(found)
        if count:
            self._say(f"Emptied bucket {bucket}: {count} version(s)")

    def _delete_kept(self, kept):
        self._say(f"Deleting {kept.type.rpartition('::')[2]} {kept.name}")
        if kept.type == "AWS::S3::Bucket":
            # The last executions may have written since.
            self._empty(kept.name)
            self._target.client("s3").delete_bucket(Bucket=kept.name)
        elif kept.type == "AWS::DynamoDB::Table":
            self._target.client("dynamodb").delete_table(TableName=kept.name)
        else:
            self._sagemaker.delete_model_package_group(ModelPackageGroupName=kept.name)
