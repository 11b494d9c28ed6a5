"""The stand-in for SageMaker answers in the shapes of the service's own model."""

import json
import re
import types
import uuid

import botocore.session
import pytest
import shapes
from botocore.exceptions import ClientError

from harness import wait_for
from ops import ROOT
from ops.local.system import ACCOUNT, REGION

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nothing:1"
MODEL = botocore.session.get_session().get_service_model("sagemaker")
ENDED = ("Succeeded", "Failed", "Stopped")


def operations():
    """The operations that the stand-in has, from its table of them."""
    table = (ROOT / "local/src/state/mod.rs").read_text()
    return set(re.findall(r'\(\s*"([A-Z]\w+)",\s*State::', table))


@pytest.fixture
def called(bare_system):
    """The operations that were answered well while a test ran; their answers fit, or the call fails."""
    names = set()

    def note(parsed, model, **_):
        if "Error" not in parsed:
            names.add(model.name)

    events = bare_system.client("sagemaker").meta.events
    events.register("after-call", note)
    yield names
    events.unregister("after-call", note)


@pytest.fixture
def place(bare_system):
    """A bucket with a little data, a role for jobs, and a queue."""
    name = f"shapes-{uuid.uuid4().hex[:8]}"
    s3, iam = bare_system.client("s3"), bare_system.client("iam")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=name, Key="in/a.csv", Body=b"1,2\n")
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": allowed}
    iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=json.dumps(policy))
    queue = bare_system.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return types.SimpleNamespace(name=name, uri=f"s3://{name}", role=role["Arn"], queue=queue)


def s3_input(place, path):
    return {
        "S3Uri": f"{place.uri}/in",
        "LocalPath": f"/opt/ml/processing/{path}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }


def processing(place, image):
    output = {
        "S3Uri": f"{place.uri}/out",
        "LocalPath": "/opt/ml/processing/out",
        "S3UploadMode": "EndOfJob",
    }
    return {
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
            }
        },
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": ["python3", "-c", "print('done')"],
        },
        "RoleArn": place.role,
        "ProcessingInputs": [{"InputName": "in", "S3Input": s3_input(place, "in")}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
        "Environment": {"A": "b"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def training(place):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{place.uri}/in"}
    return {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"{place.uri}/train"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 30,
        },
        "RoleArn": place.role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "HyperParameters": {"a": "1"},
        "DebugHookConfig": {"S3OutputPath": place.uri, "CollectionConfigurations": []},
        "ProfilerConfig": {"S3OutputPath": place.uri, "DisableProfiler": False},
    }


def tuning(place):
    ranges = {"Name": "a", "MinValue": "0", "MaxValue": "1", "ScalingType": "Auto"}
    of_job = training(place)
    for name in ("HyperParameters", "DebugHookConfig", "ProfilerConfig"):
        del of_job[name]
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ParameterRanges": {"ContinuousParameterRanges": [ranges]},
        },
        "TrainingJobDefinition": {"StaticHyperParameters": {"b": "1"}, **of_job},
    }


def transform(place, model):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{place.uri}/in"}
    return {
        "ModelName": model,
        "TransformInput": {"DataSource": {"S3DataSource": source}},
        "TransformOutput": {"S3OutputPath": f"{place.uri}/transform"},
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
    }


def package(group):
    return {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": "d",
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
            "SupportedTransformInstanceTypes": ["ml.m5.large"],
        },
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": {"a": "b"},
    }


def variants(model):
    return [
        {
            "VariantName": "only",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
        }
    ]


def definition(place):
    """A definition with a step of each type that the service describes, and some that fail."""
    quality = processing(place, IMAGE)
    checks = {"ModelPackageGroupName": place.name, "SkipCheck": False, "RegisterNewBaseline": True}
    checks["FailOnViolation"] = True
    callback = {"Type": "Callback", "SqsQueueUrl": place.queue, "Arguments": {"a": "b"}}
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"}}
    steps = [
        {
            "Name": "Run",
            "Type": "Processing",
            "Arguments": processing(place, f"{IMAGE[:-9]}python:1"),
        },
        {
            "Name": "Process",
            "Type": "Processing",
            "Arguments": quality,
            "DisplayName": "d",
            **cached,
        },
        {
            "Name": "Train",
            "Type": "Training",
            "Arguments": training(place),
            "DependsOn": ["Process"],
        },
        {
            "Name": "Model",
            "Type": "Model",
            "Arguments": {
                "ExecutionRoleArn": place.role,
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
                },
            },
        },
        {
            "Name": "Transform",
            "Type": "Transform",
            "Arguments": transform(place, {"Get": "Steps.Model.ModelName"}),
        },
        {"Name": "Register", "Type": "RegisterModel", "Arguments": package(place.name)},
        {"Name": "Tune", "Type": "Tuning", "Arguments": tuning(place)},
        {
            "Name": "Ask",
            **callback,
            "OutputParameters": [{"OutputName": "o", "OutputType": "String"}],
        },
        {"Name": "Refuse", **callback, "OutputParameters": [], "DependsOn": ["Ask", "Transform"]},
        {
            "Name": "Quality",
            "Type": "QualityCheck",
            "CheckType": "DATA_QUALITY",
            "Arguments": quality,
            **checks,
        },
        {
            "Name": "Bias",
            "Type": "ClarifyCheck",
            "CheckType": "DATA_BIAS",
            "Arguments": quality,
            **checks,
        },
        {
            "Name": "Cluster",
            "Type": "EMR",
            "Arguments": {
                "ClusterId": "j-1",
                "StepConfig": {"HadoopJarStep": {"Jar": "s3://b/j.jar"}},
            },
        },
        {
            "Name": "Automatic",
            "Type": "AutoML",
            "Arguments": {
                "AutoMLJobConfig": {"Mode": "ENSEMBLING"},
                "InputDataConfig": [
                    {
                        "DataSource": {
                            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{place.uri}/in"}
                        },
                        "TargetAttributeName": "y",
                    }
                ],
                "OutputDataConfig": {"S3OutputPath": place.uri},
                "RoleArn": place.role,
            },
        },
        {
            "Name": "Decide",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
                "IfSteps": [],
                "ElseSteps": [{"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
            },
        },
    ]
    return {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [{"Name": "I", "Type": "Integer", "DefaultValue": 1}],
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": steps,
    }


def token():
    return uuid.uuid4().hex


def answered(system, place):
    """Wait for the next message of a Callback step; gives its token."""
    sqs = system.client("sqs")

    def message():
        found = sqs.receive_message(QueueUrl=place.queue).get("Messages")
        return found and json.loads(found[0]["Body"])["token"]

    return wait_for(message, within=60)


def follow(sagemaker, arn, within=60):
    def ended():
        described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return described["PipelineExecutionStatus"] in ENDED and described

    return wait_for(ended, within=within)


def run_pipelines(system, place):
    """Everything about pipelines and their executions; gives the rows of the first one's steps."""
    sagemaker, name = system.client("sagemaker"), place.name
    tags = [{"Key": "a", "Value": "b"}]
    sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=tags)
    created = sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition=json.dumps(definition(place)),
        ClientRequestToken=token(),
        RoleArn=place.role,
        PipelineDescription="d",
        Tags=tags,
        ParallelismConfiguration={"MaxParallelExecutionSteps": 20},
    )
    sagemaker.update_pipeline(PipelineName=name, PipelineDescription="e")
    sagemaker.describe_pipeline(PipelineName=name)
    sagemaker.list_pipelines(PipelineNamePrefix=name)
    sagemaker.list_pipeline_versions(PipelineName=name)
    sagemaker.add_tags(ResourceArn=created["PipelineArn"], Tags=tags)
    sagemaker.delete_tags(ResourceArn=created["PipelineArn"], TagKeys=["a"])
    sagemaker.list_tags(ResourceArn=created["PipelineArn"])

    def start(**more):
        answer = sagemaker.start_pipeline_execution(
            PipelineName=name, ClientRequestToken=token(), **more
        )
        return {"PipelineExecutionArn": answer["PipelineExecutionArn"]}

    first = start(
        PipelineExecutionDisplayName="d",
        PipelineExecutionDescription="d",
        PipelineParameters=[{"Name": "I", "Value": "7"}],
    )
    sagemaker.send_pipeline_execution_step_success(
        CallbackToken=answered(system, place), OutputParameters=[{"Name": "o", "Value": "v"}]
    )
    sagemaker.send_pipeline_execution_step_failure(
        CallbackToken=answered(system, place), FailureReason="no"
    )
    follow(sagemaker, first["PipelineExecutionArn"])
    rows = sagemaker.list_pipeline_execution_steps(**first, MaxResults=100)
    sagemaker.list_pipeline_parameters_for_execution(**first)
    sagemaker.describe_pipeline_definition_for_execution(**first)
    sagemaker.update_pipeline_execution(**first, PipelineExecutionDescription="e")
    sagemaker.list_pipeline_executions(PipelineName=name)
    sagemaker.retry_pipeline_execution(**first, ClientRequestToken=token())
    sagemaker.stop_pipeline_execution(**first, ClientRequestToken=token())
    follow(sagemaker, first["PipelineExecutionArn"])
    # Process is a hit of the cache, and in a selective execution its result is another's.
    second = start()
    sagemaker.list_pipeline_execution_steps(**second)
    sagemaker.stop_pipeline_execution(**second, ClientRequestToken=token())
    follow(sagemaker, second["PipelineExecutionArn"])
    third = start(
        SelectiveExecutionConfig={
            "SelectedSteps": [{"StepName": "Train"}],
            "SourcePipelineExecutionArn": first["PipelineExecutionArn"],
        }
    )
    selective = follow(sagemaker, third["PipelineExecutionArn"])
    assert selective["PipelineExecutionStatus"] == "Succeeded", selective
    reused = sagemaker.list_pipeline_execution_steps(**third)["PipelineExecutionSteps"]
    assert [step["StepName"] for step in reused if "SelectiveExecutionResult" in step] == [
        "Process"
    ]
    return {step["StepName"]: step for step in rows["PipelineExecutionSteps"]}


def describe_jobs(sagemaker, steps):
    """What the Describe, List and Stop calls say of the jobs of steps."""
    for kind, step in (
        ("Processing", "Process"),
        ("Training", "Train"),
        ("Transform", "Transform"),
    ):
        name = steps[step]["Metadata"][f"{kind}Job"]["Arn"].rpartition("/")[2]
        call = kind.lower()
        getattr(sagemaker, f"describe_{call}_job")(**{f"{kind}JobName": name})
        getattr(sagemaker, f"list_{call}_jobs")(StatusEquals="Completed")
        with pytest.raises(ClientError, match="Completed"):
            getattr(sagemaker, f"stop_{call}_job")(**{f"{kind}JobName": name})


def run_jobs(sagemaker, place):
    """Jobs that no step has: one whose program runs, and one that is simulated."""
    for kind, request in (
        ("Processing", processing(place, f"{IMAGE[:-9]}python:1")),
        ("Training", training(place)),
    ):
        call, name = kind.lower(), {f"{kind}JobName": place.name}
        tags = [{"Key": "a", "Value": "b"}]
        made = getattr(sagemaker, f"create_{call}_job")(**name, **request, Tags=tags)
        assert sagemaker.list_tags(ResourceArn=made[f"{kind}JobArn"])["Tags"] == tags
        describe = getattr(sagemaker, f"describe_{call}_job")

        def completed(describe=describe, name=name, kind=kind):
            return describe(**name)[f"{kind}JobStatus"] == "Completed"

        wait_for(completed, within=60)
        with pytest.raises(ClientError, match="ResourceInUse"):
            getattr(sagemaker, f"create_{call}_job")(**name, **request)


def make_and_delete(system, place):
    """Models, packages, configurations and endpoints, from their creation to their end."""
    sagemaker, name = system.client("sagemaker"), place.name
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=place.role,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"},
    )
    sagemaker.describe_model(ModelName=name)
    sagemaker.list_models()
    with pytest.raises(ClientError, match="cannot run this transform"):
        sagemaker.create_transform_job(TransformJobName=name, **transform(place, name))
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants(name))
    sagemaker.describe_endpoint_config(EndpointConfigName=name)
    sagemaker.list_endpoint_configs()
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def in_service():
        described = sagemaker.describe_endpoint(EndpointName=name)
        return described["EndpointStatus"] == "InService"

    wait_for(in_service, within=60)
    sagemaker.list_endpoints()
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    version = {
        "ModelPackageName": sagemaker.create_model_package(**package(name))["ModelPackageArn"]
    }
    sagemaker.describe_model_package(**version)
    sagemaker.update_model_package(
        ModelPackageArn=version["ModelPackageName"], ModelApprovalStatus="Approved"
    )
    sagemaker.list_model_packages(ModelPackageGroupName=name)
    sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    sagemaker.list_model_package_groups()
    for listed in sagemaker.list_model_packages(ModelPackageGroupName=name)[
        "ModelPackageSummaryList"
    ]:
        sagemaker.delete_model_package(ModelPackageName=listed["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken=token())


# Calls that answer nothing of their own, or that only a job which really runs takes.
ONLY_REFUSED_HERE = {
    "CreateTransformJob",
    "StopProcessingJob",
    "StopTrainingJob",
    "StopTransformJob",
}


def test_every_answer_has_the_shape_of_the_services_model(bare_system, place, called):
    """Every operation of the stand-in answers, and refuses, in the shapes of the service's model as botocore has it."""
    steps = run_pipelines(bare_system, place)
    sagemaker = bare_system.client("sagemaker")
    run_jobs(sagemaker, place)
    describe_jobs(sagemaker, steps)
    make_and_delete(bare_system, place)
    for call, member, text in (
        (sagemaker.describe_pipeline, "PipelineName", "none"),
        (sagemaker.describe_endpoint, "EndpointName", "none"),
        (sagemaker.describe_model_package_group, "ModelPackageGroupName", "none"),
    ):
        with pytest.raises(ClientError):
            call(**{member: text})
    assert operations() - called == ONLY_REFUSED_HERE


def answer(operation, body, parsed=None):
    """Compare an answer of a made-up service."""
    response = types.SimpleNamespace(content=json.dumps(body).encode())
    shapes.check(response, parsed or {}, MODEL.operation_model(operation))


@pytest.mark.parametrize(
    ("operation", "body", "fault"),
    [
        ("DescribePipeline", {"New": 1}, r"DescribePipeline\.New is unknown"),
        ("DescribePipeline", {"CreationTime": "2024-05-06"}, "is not a time"),
        ("DescribePipeline", {"PipelineStatus": "Fine"}, "'Fine' is not one of Active"),
        ("DescribePipeline", {"PipelineArn": "arn"}, "does not match"),
        ("DescribePipeline", {"CreatedBy": []}, r"CreatedBy: \[\] is not a structure"),
        ("DescribeTrainingJob", {"HyperParameters": {"a": 1}}, r"\['a'\]: 1 is not a string"),
        ("DescribeTrainingJob", {}, r"TrainingJobName is missing"),
        ("ListTags", {"Tags": {}}, "is not a list"),
        ("DeleteModel", {"ModelName": "m"}, "the call answers nothing"),
    ],
)
def test_an_answer_of_another_shape_is_found(operation, body, fault):
    with pytest.raises(AssertionError, match=fault):
        answer(operation, body)


def test_an_error_that_the_call_does_not_have_is_found():
    error = {"Error": {"Code": "Oops"}, "ResponseMetadata": {"RequestId": "1"}}
    with pytest.raises(AssertionError, match="Oops is not among its errors"):
        answer("DescribePipeline", {}, error)
