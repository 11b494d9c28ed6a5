"""What launcher.py changes in ministack, apart from our own deployment."""

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
from system import ACCOUNT, REGION

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
    wait_for(lambda: pipelines(bare_system) == [])
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
