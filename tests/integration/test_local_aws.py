"""What is changed in ministack, apart from our own deployment."""

import io
import json
import zipfile

import boto3
import cbor2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from harness import wait_for
from ops.local.system import ACCOUNT, REGION

ROLE = "arn:aws:iam::123456789012:role/any"


def definition(message):
    """A pipeline of one step that fails with a message."""
    step = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": [step]})


def pipeline_template(name, body):
    """A stack of one pipeline and one model package group."""
    pipeline = {
        "PipelineName": name,
        "RoleArn": ROLE,
        "PipelineDefinition": {"PipelineDefinitionBody": body},
    }
    return json.dumps(
        {
            "Resources": {
                "Pipeline": {"Type": "AWS::SageMaker::Pipeline", "Properties": pipeline},
                "Group": {
                    "Type": "AWS::SageMaker::ModelPackageGroup",
                    "Properties": {"ModelPackageGroupName": "stack-group"},
                },
            },
            "Outputs": {"Group": {"Value": {"Ref": "Group"}}},
        }
    )


def pipelines(system):
    """The names of the stack's pipelines."""
    listed = system.client("sagemaker").list_pipelines(PipelineNamePrefix="stacked")
    return [found["PipelineName"] for found in listed["PipelineSummaries"]]


def definition_of(system, name):
    """A pipeline's definition, parsed."""
    pipeline = system.client("sagemaker").describe_pipeline(PipelineName=name)
    return json.loads(pipeline["PipelineDefinition"])


def test_a_pipeline_is_created_updated_replaced_and_deleted_with_its_stack(bare_system):
    stacks = bare_system.client("cloudformation")

    def settle():
        def settled():
            (stack,) = stacks.describe_stacks(StackName="stacked")["Stacks"]
            return not stack["StackStatus"].endswith("_IN_PROGRESS") and stack

        return wait_for(settled)

    one, two = definition("one"), definition("two")
    stacks.create_stack(StackName="stacked", TemplateBody=pipeline_template("stacked-a", one))
    created = settle()
    assert created["StackStatus"] == "CREATE_COMPLETE"
    assert created["Outputs"][0]["OutputValue"].endswith(":model-package-group/stack-group")
    assert pipelines(bare_system) == ["stacked-a"]
    assert definition_of(bare_system, "stacked-a") == json.loads(one)

    stacks.update_stack(StackName="stacked", TemplateBody=pipeline_template("stacked-a", two))
    assert settle()["StackStatus"] == "UPDATE_COMPLETE"
    assert definition_of(bare_system, "stacked-a") == json.loads(two)

    stacks.update_stack(StackName="stacked", TemplateBody=pipeline_template("stacked-a", "{"))
    assert settle()["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert definition_of(bare_system, "stacked-a") == json.loads(two)

    stacks.update_stack(StackName="stacked", TemplateBody=pipeline_template("stacked-b", two))
    assert settle()["StackStatus"] == "UPDATE_COMPLETE"
    assert pipelines(bare_system) == ["stacked-b"]

    stacks.delete_stack(StackName="stacked")
    deleted = stacks.get_waiter("stack_delete_complete")
    deleted.wait(StackName=created["StackId"], WaiterConfig={"Delay": 1})
    assert pipelines(bare_system) == []
    with pytest.raises(ClientError, match="stack-group"):
        bare_system.client("sagemaker").describe_model_package_group(
            ModelPackageGroupName="stack-group"
        )


def test_an_event_that_a_function_fails_on_is_retried_and_then_kept(bare_system):
    functions, events, sqs = (bare_system.client(name) for name in ("lambda", "events", "sqs"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("code.py", "def handler(event, context):\n    raise ValueError('always')\n")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    role = bare_system.client("iam").create_role(
        RoleName="always-fails",
        AssumeRolePolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
        ),
    )
    function = functions.create_function(
        FunctionName="always-fails",
        Runtime="python3.12",
        Handler="code.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": archive.getvalue()},
    )
    queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    functions.put_function_event_invoke_config(
        FunctionName="always-fails",
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue_arn["Attributes"]["QueueArn"]}},
    )
    # Only a service may send events of `aws.*`; here SageMaker's stand-in does.
    events.put_rule(Name="failing", EventPattern=json.dumps({"source": ["aws.test"]}))
    functions.add_permission(
        FunctionName="always-fails",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )
    target = {"Id": "function", "Arn": function["FunctionArn"]}
    events.put_targets(Rule="failing", Targets=[target])
    entry = {"Source": "aws.test", "DetailType": "Test", "Detail": '{"number": 1}'}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    (message,) = wait_for(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    failure = json.loads(message["Body"])
    assert failure["requestPayload"]["detail"] == {"number": 1}
    assert failure["responsePayload"]["errorMessage"] == "always"


def assumed(system, name, *statements):
    """A session with a role of these rights."""
    iam = system.client("iam")
    trust = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}

    def document(*statements):
        statements = [{"Effect": "Allow", **statement} for statement in statements]
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document(*statements))
    answer = system.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName=name)
    return boto3.Session(
        region_name=REGION,
        aws_access_key_id=answer["Credentials"]["AccessKeyId"],
        aws_secret_access_key=answer["Credentials"]["SecretAccessKey"],
        aws_session_token=answer["Credentials"]["SessionToken"],
    )


def test_a_call_whose_path_names_the_operation_takes_the_right_as_well(bare_system):
    session = assumed(
        bare_system,
        "asks-cloudwatch",
        {"Action": "cloudwatch:ListMetrics", "Resource": "*"},
        {
            "Action": "cloudwatch:PutMetricAlarm",
            "Resource": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:granted",
        },
    )

    def call(operation, **members):
        """As the SDK for Rust calls CloudWatch."""
        request = AWSRequest(
            "POST",
            f"{bare_system.endpoint}/service/GraniteServiceVersion20100801/operation/{operation}",
            headers={"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
            data=cbor2.dumps(members),
        )
        SigV4Auth(session.get_credentials(), "monitoring", REGION).add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return cbor2.loads(answer.content).get("__type") if answer.status_code != 200 else "OK"

    alarm = {
        "MetricName": "any",
        "Namespace": "any",
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    assert call("ListMetrics") == "OK"
    assert call("PutMetricAlarm", AlarmName="granted", **alarm) == "OK"
    assert call("PutMetricAlarm", AlarmName="other", **alarm) == "AccessDeniedException"
    assert call("DescribeAlarms") == "AccessDeniedException"
    bare_system.client("cloudwatch").delete_alarms(AlarmNames=["granted"])


def of_account(*resources):
    """ARNs of SageMaker's resources."""
    return [f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}" for resource in resources]


def refused(resource):
    """The refusal of a call that a role has no right to."""
    return pytest.raises(ClientError, match=rf"AccessDeniedException.* on resource: {resource} ")


def test_sagemaker_answers_every_holder_of_the_right(bare_system):
    unchecked = bare_system.client("sagemaker")
    s3 = bare_system.client("s3")
    place = {"Bucket": "asked-for", "Key": "definition.json"}
    s3.create_bucket(
        Bucket=place["Bucket"], CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    s3.put_object(**place, Body=definition("of the bucket").encode())
    for name in ("Granted", "other"):
        unchecked.create_pipeline(
            PipelineName=name,
            RoleArn=ROLE,
            ClientRequestToken=name.ljust(32, "-"),
            PipelineDefinition=definition(name),
        )
    session = assumed(
        bare_system,
        "asks-sagemaker",
        {
            "Action": "sagemaker:*Pipeline*",
            "Resource": of_account("pipeline/granted", "pipeline/granted/*"),
        },
        {"Action": "sagemaker:ListModels", "Resource": "*"},
    )
    sagemaker = session.client("sagemaker", endpoint_url=bare_system.endpoint)
    described = sagemaker.describe_pipeline(PipelineName="Granted")
    expected = unchecked.describe_pipeline(PipelineName="Granted")
    assert {**described, "ResponseMetadata": None} == {**expected, "ResponseMetadata": None}
    assert sagemaker.list_models()["Models"] == unchecked.list_models()["Models"]
    # The stand-in reads from this server's S3 while this server waits for it.
    sagemaker.update_pipeline(
        PipelineName="Granted",
        PipelineDefinitionS3Location={"Bucket": place["Bucket"], "ObjectKey": place["Key"]},
    )
    assert "of the bucket" in json.dumps(definition_of(bare_system, "Granted"))
    # What the stand-in refuses stays its refusal.
    arn = of_account("pipeline/granted/execution/none000000")[0]
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)

    with refused("arn:.*:pipeline/other"):
        sagemaker.describe_pipeline(PipelineName="other")
    with refused("arn:.*:pipeline/other/execution/1"):
        sagemaker.describe_pipeline_execution(
            PipelineExecutionArn=of_account("pipeline/Other/execution/1")[0]
        )
    with refused("arn:.*:model/granted"):
        sagemaker.describe_model(ModelName="granted")
    with refused("arn:.*:pipeline/granted"):
        sagemaker.list_tags(ResourceArn=described["PipelineArn"])
    # These name no resource, so a right to some is none to them.
    with refused(r"\*"):
        sagemaker.list_pipelines()
    with refused(r"\*"):
        sagemaker.send_pipeline_execution_step_failure(CallbackToken="0123456789")
    for name in ("Granted", "other"):
        unchecked.delete_pipeline(PipelineName=name, ClientRequestToken=name.ljust(32, "-"))


def test_a_right_to_what_is_tagged_is_one_to_nothing_else(bare_system):
    unchecked = bare_system.client("sagemaker")
    everything = of_account("endpoint/*", "endpoint-config/*")

    def tagged(key):
        return {"StringEquals": {f"aws:{key}/pipewright:stack": "tagged"}}

    session = assumed(
        bare_system,
        "asks-for-tags",
        {
            "Action": ["sagemaker:DeleteEndpoint", "sagemaker:DeleteEndpointConfig"],
            "Resource": everything,
            "Condition": tagged("ResourceTag"),
        },
        {
            "Action": "sagemaker:CreateEndpointConfig",
            "Resource": everything,
            "Condition": tagged("RequestTag"),
        },
        {"Action": "sagemaker:CreateEndpoint", "Resource": of_account("endpoint/*")},
    )
    sagemaker = session.client("sagemaker", endpoint_url=bare_system.endpoint)

    def config(name, tag):
        return {
            "EndpointConfigName": name,
            "ProductionVariants": [{"VariantName": "one", "InstanceType": "ml.m5.large"}],
            "Tags": [{"Key": "pipewright:stack", "Value": tag}],
        }

    sagemaker.create_endpoint_config(**config("Ours", "tagged"))
    with refused("arn:.*:endpoint-config/theirs"):
        sagemaker.create_endpoint_config(**config("theirs", "another"))
    unchecked.create_endpoint_config(**config("theirs", "another"))
    # It takes the right to the endpoint and that to its configuration.
    with refused("arn:.*:endpoint-config/ours"):
        sagemaker.create_endpoint(EndpointName="Ours", EndpointConfigName="Ours")
    for name in ("Ours", "theirs"):
        tags = unchecked.list_tags(ResourceArn=of_account(f"endpoint-config/{name.lower()}")[0])
        unchecked.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags["Tags"])

    def found(**status):
        endpoints = unchecked.list_endpoints(**status)["Endpoints"]
        return {"Ours", "theirs"} & {endpoint["EndpointName"] for endpoint in endpoints}

    wait_for(lambda: len(found(StatusEquals="InService")) == 2)
    with refused("arn:.*:endpoint/theirs"):
        sagemaker.delete_endpoint(EndpointName="theirs")
    with refused("arn:.*:endpoint-config/theirs"):
        sagemaker.delete_endpoint_config(EndpointConfigName="theirs")
    with refused("arn:.*:endpoint/none"):
        sagemaker.delete_endpoint(EndpointName="none")
    sagemaker.delete_endpoint(EndpointName="Ours")
    sagemaker.delete_endpoint_config(EndpointConfigName="Ours")
    unchecked.delete_endpoint(EndpointName="theirs")
    unchecked.delete_endpoint_config(EndpointConfigName="theirs")
    wait_for(lambda: not found())
