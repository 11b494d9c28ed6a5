"""What ministack lacks and ops/local/aws/patches adds: a test here fails when a patch can go, and is to go with it."""

import contextlib
import hashlib
import io
import json
import sys
import zipfile

import boto3
import cbor2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from harness import BINARIES, wait_for
from ops.local.aws import patches
from ops.local.system import ACCOUNT, REGION
from processing_job import AwsAlone

NEEDS = {}


def need(probe):
    """A probe, by the name of the patch: whether a local AWS does what our system needs."""
    NEEDS[probe.__name__] = probe
    return probe


class Unpatched(AwsAlone):
    """ministack as it is, behind our guard."""

    AWS = (
        "-c",
        "from ops.local.aws import __main__, patches; patches.NAMES = (); __main__.main()",
    )


@pytest.fixture(scope="module")
def unpatched(tmp_path_factory):
    """A local AWS without any patch."""
    directory = tmp_path_factory.mktemp("unpatched")
    with Unpatched(directory, BINARIES, directory / "cache") as aws:
        aws.start()
        yield aws


def client_of(aws, service, key):
    """A client with another key than the account's: access key, secret and token."""
    access_key, secret, token = key
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def allowed(*actions, **more):
    """A statement of a policy."""
    return {"Effect": "Allow", "Action": actions, "Resource": "*", **more}


def assumed(aws, name, *statements):
    """The key of a session with a role of these rights."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    role = make_role(aws, name, trust)
    document = {"Version": "2012-10-17", "Statement": statements}
    aws.client("iam").put_role_policy(
        RoleName=name, PolicyName="rights", PolicyDocument=json.dumps(document)
    )
    found = aws.client("sts").assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]


def make_role(aws, name, trust):
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
    return made["Role"]["Arn"]


def make_bucket(aws, name):
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return name


def make_function(aws, name, code, runtime="python3.12"):
    """A function of one file of Python; gives its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    file, handler = ("code.py", "code.handler")
    if runtime != "python3.12":
        file, handler, code = "bootstrap", "bootstrap", f"#!{sys.executable}\n{code}"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        entry = zipfile.ZipInfo(file)
        entry.external_attr = 0o755 << 16
        packed.writestr(entry, code)
    made = aws.client("lambda").create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=handler,
        Role=make_role(aws, name, {**trust, "Action": "sts:AssumeRole"}),
        Code={"ZipFile": archive.getvalue()},
        Timeout=20,
    )
    return made["FunctionArn"]


def invoke(aws, name):
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    return json.loads(answer["Payload"].read())


def is_refused(call, **request):
    """Whether a call is answered with an error."""
    try:
        call(**request)
    except ClientError:
        return True
    return False


@need
def function_keys(aws):
    arn = make_function(aws, "keys", "def handler(event, context):\n    return 1\n")
    invoke(aws, "keys")
    role = aws.client("lambda").get_function_configuration(FunctionName="keys")["Role"]
    digest = hashlib.sha256(f"{arn}:{role}".encode()).hexdigest()
    secret, token = (
        hashlib.sha256(f"{what}:{digest}".encode()).hexdigest() for what in ("secret", "token")
    )
    guessed = f"ASIA{digest[:16].upper()}", secret, token
    return is_refused(client_of(aws, "sts", guessed).get_caller_identity)


def _may_assume(aws, name, service, **condition):
    """Whether the account's key may assume a role that a service is trusted with, as SageMaker does."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    role = make_role(aws, name, {**trust, **condition})
    return not is_refused(aws.client("sts").assume_role, RoleArn=role, RoleSessionName="SageMaker")


@need
def job_sessions(aws):
    account = {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}
    return _may_assume(aws, "of-jobs", "sagemaker.amazonaws.com", **account) and not _may_assume(
        aws, "of-functions", "lambda.amazonaws.com"
    )


# Answers with the status of a request to the runtime interface that lacks its path, and with the times
# that the bodies of events came after their heads.
RUNTIME = """
import http.client, json, os, time, urllib.parse
place = os.environ["AWS_LAMBDA_RUNTIME_API"]
url = urllib.parse.urlsplit(place if "://" in place else f"http://{place}")
runtime, spans = http.client.HTTPConnection(url.netloc), []
def ask(method, path, body=None, of=runtime):
    of.request(method, path, body)
    answer, begun = of.getresponse(), time.monotonic()
    answer.read()
    return answer, time.monotonic() - begun
stranger = http.client.HTTPConnection(url.netloc)
refused, _ = ask("GET", "/2018-06-01/runtime/other", of=stranger)
while True:
    event, span = ask("GET", f"{url.path}/2018-06-01/runtime/invocation/next")
    spans.append(span)
    name = event.getheader("Lambda-Runtime-Aws-Request-Id")
    answer = json.dumps({"status": refused.status, "spans": spans})
    ask("POST", f"{url.path}/2018-06-01/runtime/invocation/{name}/response", answer)
"""


@need
def runtime_interface(aws):
    make_function(aws, "runtime", RUNTIME, "provided.al2023")
    return invoke(aws, "runtime")["status"] == 403


@need
def small_packets(aws):
    make_function(aws, "packets", RUNTIME, "provided.al2023")
    for _ in range(8):
        answer = invoke(aws, "packets")
    # What waits for an acknowledgement waits 40 ms.
    return sorted(answer["spans"])[3] < 0.03


@need
def aws_sources(aws):
    entry = {"Source": "aws.test", "DetailType": "Test", "Detail": "{}"}
    return aws.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


@need
def failed_events(aws):
    functions, events, sqs = (aws.client(name) for name in ("lambda", "events", "sqs"))
    arn = make_function(aws, "fails", "def handler(event, context):\n    raise ValueError\n")
    queue = sqs.create_queue(QueueName="failed-events")["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    functions.put_function_event_invoke_config(
        FunctionName="fails",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": asked["Attributes"]["QueueArn"]}},
    )
    functions.add_permission(
        FunctionName="fails",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )
    events.put_rule(Name="fails", EventPattern=json.dumps({"source": ["own.fails"]}))
    events.put_targets(Rule="fails", Targets=[{"Id": "function", "Arn": arn}])
    events.put_events(Entries=[{"Source": "own.fails", "DetailType": "Test", "Detail": "{}"}])
    return "Messages" in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)


@need
def secure_loopback(aws):
    s3, bucket = aws.client("s3"), make_bucket(aws, "tls-alone")
    s3.put_object(Bucket=bucket, Key="key", Body=b"")
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    everything = f"arn:aws:s3:::{bucket}/*"
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything}
    document = {"Version": "2012-10-17", "Statement": [{**denied, "Condition": plain}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    reader = client_of(aws, "s3", assumed(aws, "reads", allowed("s3:GetObject")))
    return not is_refused(reader.get_object, Bucket=bucket, Key="key")


@need
def rpc_rights(aws):
    access_key, secret, token = assumed(aws, "lists-nothing", allowed("s3:GetObject"))
    session = boto3.Session(access_key, secret, token)
    request = AWSRequest(
        "POST",
        f"{aws.endpoint}/service/GraniteServiceVersion20100801/operation/ListMetrics",
        headers={"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
        data=cbor2.dumps({}),
    )
    SigV4Auth(session.get_credentials(), "monitoring", REGION).add_auth(request)
    return URLLib3Session().send(request.prepare()).status_code != 200


@need
def conditional_writes(aws):
    bucket = make_bucket(aws, "written-once")
    once = {"StringEquals": {"s3:if-none-match": "*"}}
    writer = client_of(
        aws, "s3", assumed(aws, "writes-once", allowed("s3:PutObject", Condition=once))
    )
    return not is_refused(writer.put_object, Bucket=bucket, Key="key", Body=b"", IfNoneMatch="*")


@need
def written_attributes(aws):
    aws.client("dynamodb").create_table(
        TableName="attributes",
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    some = {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["Id", "ours"]}}
    writer = client_of(
        aws, "dynamodb", assumed(aws, "writes-ours", allowed("dynamodb:PutItem", Condition=some))
    )
    ours = {"Id": {"S": "1"}, "ours": {"S": "1"}}
    assert not is_refused(writer.put_item, TableName="attributes", Item=ours)
    theirs = {**ours, "theirs": {"S": "1"}}
    return is_refused(writer.put_item, TableName="attributes", Item=theirs)


@need
def bucket_owner(aws):
    bucket, other = make_bucket(aws, "owned"), "999999999999"
    return is_refused(aws.client("s3").list_objects_v2, Bucket=bucket, ExpectedBucketOwner=other)


@need
def managed_key(aws):
    """An object is encrypted with `aws:kms` without naming a key; it then says which one it was."""
    s3, bucket = aws.client("s3"), make_bucket(aws, "managed-key")
    try:
        s3.put_object(Bucket=bucket, Key="a", Body=b"", ServerSideEncryption="aws:kms")
    except ClientError:
        return False
    head = s3.head_object(Bucket=bucket, Key="a")
    return head["SSEKMSKeyId"].startswith(f"arn:aws:kms:{REGION}:")


@need
def sagemaker_calls(aws):
    key = aws.environment()
    ours = key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"], None
    with contextlib.suppress(ClientError):
        return "PipelineSummaries" in client_of(aws, "sagemaker", ours).list_pipelines()
    return False


def settled(aws, stack):
    """A stack that CloudFormation is done with; None where it has none, or no more."""
    stacks = aws.client("cloudformation")

    def look():
        try:
            (found,) = stacks.describe_stacks(StackName=stack)["Stacks"]
        except ClientError:
            return {"StackStatus": "GONE"}
        return not found["StackStatus"].endswith("_IN_PROGRESS") and found

    return wait_for(look)


def create(aws, stack, resources, **more):
    """Create a stack; gives it when CloudFormation is done with it."""
    aws.client("cloudformation").create_stack(
        StackName=stack, TemplateBody=json.dumps({"Resources": resources}), **more
    )
    return settled(aws, stack)


@need
def sagemaker_resources(aws):
    properties = {"ModelPackageGroupName": "patched"}
    group = {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": properties}
    with contextlib.suppress(ClientError):
        create(aws, "of-sagemaker", {"Group": group})
        return bool(aws.client("sagemaker").describe_model_package_group(**properties))
    return False


@need
def stack_tags(aws):
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "of-a-tagged-stack"}}
    tags = [{"Key": "of", "Value": "stack"}]
    assert create(aws, "tagged", {"Bucket": bucket}, Tags=tags)["StackStatus"] == "CREATE_COMPLETE"
    return not is_refused(aws.client("s3").get_bucket_tagging, Bucket="of-a-tagged-stack")


class Nested:
    """A stack in another one, whose parameter Value an update changes."""

    def __init__(self, aws, name, resources, outputs=None):
        self._aws, self.name = aws, name
        bucket = make_bucket(aws, f"templates-of-{name}")
        template = {
            "Parameters": {"Value": {"Type": "String"}},
            "Resources": resources,
            "Outputs": outputs or {},
        }
        aws.client("s3").put_object(Bucket=bucket, Key="nested.json", Body=json.dumps(template))
        self._url = f"{aws.endpoint}/{bucket}/nested.json"

    def deploy(self, value):
        """Create or update it; gives the outer stack."""
        nested = {"TemplateURL": self._url, "Parameters": {"Value": value}}
        resources = {"Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": nested}}
        outputs = {"Arn": {"Value": {"Fn::GetAtt": "Inner.Outputs.Arn"}}}
        body = json.dumps({"Resources": resources, "Outputs": outputs})
        stacks = self._aws.client("cloudformation")
        is_new = settled(self._aws, self.name)["StackStatus"] == "GONE"
        call = stacks.create_stack if is_new else stacks.update_stack
        call(StackName=self.name, TemplateBody=body)
        return settled(self._aws, self.name)


@need
def nested_attributes(aws):
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Value"}}}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stays"}}
    arn = {"Arn": {"Value": {"Fn::GetAtt": "Queue.Arn"}}}
    nested = Nested(aws, "nested-attributes", {"Topic": topic, "Queue": queue}, arn)
    assert nested.deploy("one")["StackStatus"] == "CREATE_COMPLETE"
    updated = nested.deploy("two")
    (output,) = updated.get("Outputs", [{"OutputValue": ""}])
    return updated["StackStatus"] == "UPDATE_COMPLETE" and output["OutputValue"].endswith(":stays")


# Its physical id is its property; what it is asked for is noted in a file.
CUSTOM = """
import json, urllib.request
def handler(event, context):
    value = event["ResourceProperties"]["Value"]
    with open({file!r}, "a") as file:
        print(event["RequestType"], event.get("PhysicalResourceId", value), file=file)
    names = ("StackId", "RequestId", "LogicalResourceId")
    answer = dict({{name: event[name] for name in names}}, Status="SUCCESS", PhysicalResourceId=value)
    body = json.dumps(answer).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    urllib.request.urlopen(request).close()
"""


@need
def nested_replacements(aws):
    file = aws.directory / "asked"
    function = make_function(aws, "custom", CUSTOM.format(file=str(file)))
    properties = {"ServiceToken": function, "Value": {"Ref": "Value"}}
    custom = {"Type": "Custom::Thing", "Properties": properties}
    arn = {"Arn": {"Value": {"Ref": "Custom"}}}
    nested = Nested(aws, "nested-replacements", {"Custom": custom}, arn)
    assert nested.deploy("one")["StackStatus"] == "CREATE_COMPLETE"
    assert nested.deploy("two")["StackStatus"] == "UPDATE_COMPLETE"
    with contextlib.suppress(AssertionError):
        return wait_for(lambda: "Delete one" in file.read_text(), within=5)
    return False


def test_each_patch_has_a_probe():
    assert list(NEEDS) == list(patches.NAMES)


@pytest.mark.parametrize("name", patches.NAMES)
def test_a_patch_is_needed(unpatched, name):
    gone = f"ministack does without ops/local/aws/patches/{name}.py what it is for: delete it"
    assert not NEEDS[name](unpatched), gone


@pytest.mark.parametrize("name", patches.NAMES)
def test_a_patch_is_enough(bare_system, name):
    assert NEEDS[name](bare_system)
