"""`make deploy` and `make destroy` against a local AWS of their own: what comes, and what is left."""

import json
import subprocess
import sys

import pytest

from harness import BINARIES, SAMPLE_TEMPLATE, System
from ops import ROOT, image
from ops import target as targets
from ops.stack import names
from ops.stack.ownership import STACK_TAG, as_tags, installation
from ops.stack.take_down import Teardown

PREFIX = "assets"
MAIN = (sys.executable, "-m", "ops.stack")


def everything(system):
    """What there is in every service that the system uses, as (kind, name)."""

    def names(kind, service, operation, key, *members):
        client = system.client(service)
        found = []
        if client.can_paginate(operation):
            pages = client.get_paginator(operation).paginate()
        else:
            pages = [getattr(client, operation)()]
        for page in pages:
            for each in page.get(key, []):
                found.append(each if isinstance(each, str) else each[members[0]])
        return {(kind, name) for name in found}

    kinds = [
        ("alarm", "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        ("bucket", "s3", "list_buckets", "Buckets", "Name"),
        ("dashboard", "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        ("endpoint", "sagemaker", "list_endpoints", "Endpoints", "EndpointName"),
        (
            *("endpoint config", "sagemaker", "list_endpoint_configs"),
            *("EndpointConfigs", "EndpointConfigName"),
        ),
        ("function", "lambda", "list_functions", "Functions", "FunctionName"),
        ("log group", "logs", "describe_log_groups", "logGroups", "logGroupName"),
        ("model", "sagemaker", "list_models", "Models", "ModelName"),
        (
            *("package group", "sagemaker", "list_model_package_groups"),
            *("ModelPackageGroupSummaryList", "ModelPackageGroupName"),
        ),
        ("pipeline", "sagemaker", "list_pipelines", "PipelineSummaries", "PipelineName"),
        ("policy", "iam", "list_policies", "Policies", "PolicyName"),
        ("queue", "sqs", "list_queues", "QueueUrls"),
        ("repository", "ecr", "describe_repositories", "repositories", "repositoryName"),
        ("role", "iam", "list_roles", "Roles", "RoleName"),
        ("rule", "events", "list_rules", "Rules", "Name"),
        ("schedule", "scheduler", "list_schedules", "Schedules", "Name"),
        ("stack", "cloudformation", "describe_stacks", "Stacks", "StackName"),
        ("table", "dynamodb", "list_tables", "TableNames"),
        ("topic", "sns", "list_topics", "Topics", "TopicArn"),
    ]
    return set().union(*(names(*kind) for kind in kinds))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A local AWS with nothing of ours in it."""
    directory = tmp_path_factory.mktemp("make-deploy")
    functions = ROOT / ".local" / "functions"
    # Open to all: the stand-in sends the message of a Callback step without credentials.
    with System(directory, BINARIES, functions, open_to_all=True) as system:
        system.start()
        system.environment_file = directory / "environment.sh"
        system.config = directory / "samconfig.toml"
        system.config.write_text(
            "version = 0.1\n[default.deploy.parameters]\n"
            f'region = "eu-west-1"\nparameter_overrides = "Prefix={PREFIX} LogRetentionInDays=7 '
            'TrainingAlgorithm=Pipewright"\n'
        )
        with system.announced(system.environment_file):
            yield system


def run(system, *arguments, answer=""):
    """What `make` runs, on the local AWS; gives the ended process."""
    return subprocess.run(
        [
            *(*MAIN, *arguments, "--local"),
            *("--environment-file", system.environment_file),
            *("--config", system.config, "--binaries", BINARIES),
        ],
        input=answer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )


def create_endpoint(system, name, tags):
    """An endpoint with a configuration and model of its own."""
    sagemaker = system.client("sagemaker")
    role = f"arn:aws:iam::123456789012:role/{name}"
    image_uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/any:1"
    tags = [{"Key": key, "Value": value} for key, value in tags.items()]
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": image_uri}, Tags=tags
    )
    variant = {
        "VariantName": "all",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant], Tags=tags
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


def start_waiting(system, queue):
    """An execution of the deployed pipeline that goes on until it is stopped; gives its ARN."""
    step = {"Name": "Wait", "Type": "Callback", "SqsQueueUrl": queue, "Arguments": {}}
    definition = {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [step]}
    name = system.outputs["PipelineName"]
    sagemaker = system.client("sagemaker")
    sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition))
    return sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]


def teardown(system, say):
    """What `make destroy` does, in this process."""
    target = targets.of_system(system)
    artifacts = f"{PREFIX}-artifacts-{target.account}-{target.region}"
    return Teardown(ROOT, target, PREFIX, artifacts, say)


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def test_a_deployment_comes_whole_and_goes_without_residue(empty):
    create_endpoint(empty, "somebody-elses", {"pipewright:stack": "another"})
    queue = empty.client("sqs").create_queue(QueueName="somebody-elses")["QueueUrl"]
    before = everything(empty)

    deployed = run(empty, "deploy")
    assert deployed.returncode == 0, deployed.stdout
    assert "make import LOCAL=1" in deployed.stdout
    empty.outputs = empty.deployer.outputs(installation(PREFIX))
    again = run(empty, "deploy", "--skip-image")
    assert again.returncode == 0, again.stdout
    imported = run(empty, "import")
    assert imported.returncode == 0, imported.stdout

    start = {"templateId": SAMPLE_TEMPLATE["Id"]}

    def start_execution():
        response = empty.client("lambda").invoke(
            FunctionName=empty.outputs["StartExecutionFunctionName"], Payload=json.dumps(start)
        )
        return json.loads(response["Payload"].read())

    # Training, model and package are made with our own image, as asked.
    pipeline = empty.client("sagemaker").describe_pipeline(
        PipelineName=empty.outputs["PipelineName"]
    )
    assert pipeline["PipelineDefinition"].count(empty.outputs["TrainingImageUri"]) == 3

    # Without an image nothing starts, and the installation is not whole.
    ecr = empty.client("ecr")
    for program, output in (
        (image.PROCESSING, "RepositoryName"),
        (image.TRAINING, "TrainingRepositoryName"),
    ):
        repository, tag = empty.outputs[output], image.tag_of_sources(ROOT, program)
        ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
        refused = start_execution()
        assert refused["errorType"] == "ImageMissing"
        assert f"{repository}:{tag}" in refused["errorMessage"]
        lacking = run(empty, "verify")
        assert lacking.returncode == 1
        assert f"image {repository}:{tag} is missing" in lacking.stdout
        image.put_stand_in(ecr, repository, tag)
    assert run(empty, "verify").returncode == 0

    # Nor is it without what a function may do.
    iam = empty.client("iam")
    function = empty.client("lambda").get_function_configuration(
        FunctionName=empty.outputs["HousekeepingFunctionName"]
    )
    named = {"RoleName": function["Role"].rpartition("/")[2], "PolicyName": "housekeeping"}
    document = iam.get_role_policy(**named)["PolicyDocument"]
    iam.delete_role_policy(**named)
    lacking = run(empty, "verify")
    assert lacking.returncode == 1
    assert f"role {named['RoleName']} has no policy housekeeping" in lacking.stdout
    assert "'Changed by hand'" in lacking.stdout
    iam.put_role_policy(**named, PolicyDocument=json.dumps(document))
    assert run(empty, "verify").returncode == 0

    # A running execution, an endpoint of ours, a model package, objects in versions.
    arn = start_waiting(empty, queue)
    create_endpoint(empty, "ours", {"pipewright:stack": PREFIX})
    empty.client("sagemaker").create_model(
        ModelName="made-by-the-pipeline",
        ExecutionRoleArn=empty.outputs["JobRoleArn"],
        PrimaryContainer={"Image": empty.outputs["ProcessingImageUri"]},
        Tags=[{"Key": "sagemaker:pipeline-execution-arn", "Value": arn.upper()}],
    )
    empty.client("sagemaker").create_model_package(
        ModelPackageGroupName=empty.outputs["ModelPackageGroupName"]
    )
    for body in (b"first", b"second"):
        empty.client("s3").put_object(
            Bucket=empty.outputs["ModelsBucketName"], Key="execution/a", Body=body
        )
    empty.client("s3").delete_object(Bucket=empty.outputs["ModelsBucketName"], Key="execution/a")
    ours = everything(empty) - before

    declined = run(empty, "destroy", answer="yes\n")
    assert declined.returncode == 1
    assert f"Type {PREFIX} to delete all that" in declined.stdout
    for phrase in (
        f"running execution {arn}, stopped first",
        *("endpoint ours", "model ours", "model made-by-the-pipeline", "history"),
    ):
        assert phrase in declined.stdout
    for _, name in sorted(each for each in ours if each[0] in ("bucket", "table")):
        assert name in declined.stdout
    assert everything(empty) - before == ours

    # Interrupted again and again at its third word, it comes further every time.
    rounds = 0
    while (inventory := teardown(empty, print).inventory()) and list(inventory.lines()):
        rounds += 1
        assert rounds < 60
        said = []

        def say(text, said=said):
            said.append(text)
            if len(said) == 3:
                raise Interrupted

        try:
            teardown(empty, say).delete(inventory)
        except Interrupted:
            continue
    assert rounds > 4
    assert everything(empty) == before
    finished = run(empty, "destroy", "--yes")
    assert finished.returncode == 0
    assert f"Nothing of {PREFIX} is left" in finished.stdout


def leave_behind(system, kept):
    """What AWS keeps of a deleted stack. The local AWS forgets it with the nested stack."""
    tags = as_tags({STACK_TAG: PREFIX})
    if kept.type == "AWS::S3::Bucket":
        s3 = system.client("s3")
        s3.create_bucket(
            Bucket=kept.name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        s3.put_bucket_tagging(Bucket=kept.name, Tagging={"TagSet": tags})
        s3.put_bucket_versioning(Bucket=kept.name, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"first", b"second"):
            s3.put_object(Bucket=kept.name, Key="kept", Body=body)
        s3.delete_object(Bucket=kept.name, Key="kept")
    elif kept.type == "AWS::DynamoDB::Table":
        system.client("dynamodb").create_table(
            TableName=kept.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
            Tags=tags,
        )
    else:
        sagemaker = system.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName=kept.name, Tags=tags)
        sagemaker.create_model_package(ModelPackageGroupName=kept.name)


def test_remains_of_an_earlier_installation_are_named_before_any_change(empty):
    before = everything(empty)
    target = targets.of_system(empty)
    left = list(names.kept(ROOT, PREFIX, target.account, target.region))
    for kept in left:
        leave_behind(empty, kept)
    refused = run(empty, "deploy")
    assert refused.returncode == 1
    for kept in left:
        assert kept.name in refused.stdout
    assert "make destroy" in refused.stdout
    removed = run(empty, "destroy", "--yes")
    assert removed.returncode == 0, removed.stdout
    assert everything(empty) == before
