"""No function has a right that it could do without.

Each right of a function's role is denied in turn, and at least one of the things that the function
is there for must then fail. What the local AWS does not check stands apart: what Lambda itself does
with the role, and what is asked of SageMaker, whose stand-in knows no rights; of those the test
holds that the code calls them.
"""

import contextlib
import copy
import functools
import hashlib
import json
import re

import pytest

from system import ROOT, STACK

FIXTURES = ROOT / "tests" / "fixtures"
FUNCTIONS = ("pipeline-definition", "pipeline-events", "start-execution")
# Lambda's own use of the role: its log and its OnFailure queue.
BY_LAMBDA = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}

# What the local AWS does without where AWS would not.
NOT_MISSED_HERE = {
    ("pipeline-definition", "s3:ListBucket"): "AWS answers 403 for a missing object without it",
    ("pipeline-definition", "s3:DeleteObjectVersion"): "AWS asks for it where a version is named",
}


def fixture(path):
    return json.loads((FIXTURES / path).read_text())


class Functions:
    """The deployed functions and what they are there for."""

    def __init__(self, system):
        self._system = system
        self._s3 = system.client("s3")
        self._bucket = system.outputs["PipelineBucketName"]
        self._count = 0

    def invoke(self, function, payload):
        """Whether an invocation succeeds, and its answer."""
        response = self._system.client("lambda").invoke(
            FunctionName=f"{STACK}-{function}", Payload=json.dumps(payload).encode()
        )
        return "FunctionError" not in response, json.loads(response["Payload"].read())

    def custom_resource(self, request):
        """Whether a request to the custom resource is answered with SUCCESS, and its answer."""
        reply = {"Bucket": self._system.outputs["ModelsBucketName"], "Key": "replies/roles.json"}
        url = self._s3.generate_presigned_url("put_object", Params=reply)
        fine, _ = self.invoke("pipeline-definition", {**request, "ResponseURL": url})
        answer = json.loads(self._s3.get_object(**reply)["Body"].read())
        self._s3.delete_object(**reply)
        return fine and answer["Status"] == "SUCCESS", answer

    def pipeline_definition(self):
        """Creates definitions of templates given in each way, and deletes one."""
        request = fixture("pipeline-definition/create-inline.json")
        template = request["ResourceProperties"]["Template"].encode()
        key = {"Bucket": self._bucket, "Key": "templates/roles.json.tera"}
        self._s3.put_object(**key, Body=template)
        for version in ({}, {"VersionId": "null"}):
            properties = copy.deepcopy(request["ResourceProperties"])
            # The role may write below the prefix that the stack uses.
            properties |= {"KeyPrefix": "definitions/roles", "Template": {**key, **version}}
            if not version:
                properties["Template"]["Sha256"] = self.digest(template)
            yield from self.life({**request, "ResourceProperties": properties})
        properties = copy.deepcopy(request["ResourceProperties"])
        properties |= {
            "KeyPrefix": "definitions/roles",
            "Template": {**key, "Key": "templates/none"},
        }
        properties["Template"]["Sha256"] = self.digest(template)
        fine, answer = self.custom_resource({**request, "ResourceProperties": properties})
        # That an object is missing must be told from its being forbidden.
        yield not fine and "does not exist" in answer["Reason"]

    @staticmethod
    def digest(content):
        return hashlib.sha256(content).hexdigest()

    def life(self, request):
        fine, answer = self.custom_resource(request)
        yield fine
        if fine:
            gone = {"RequestType": "Delete", "PhysicalResourceId": answer["PhysicalResourceId"]}
            yield self.custom_resource({**request, **gone})[0]
            prefix = request["ResourceProperties"]["KeyPrefix"]
            left = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
            yield left["KeyCount"] == 0

    @functools.cached_property
    def execution(self):
        """The ARN of an execution that there was."""
        fine, answer = self.invoke("start-execution", {"templateId": "roles"})
        assert fine, answer
        return answer["pipelineExecutionArn"]

    def pipeline_events(self):
        """Records an event of an execution and looks up whose an endpoint is."""
        event = fixture("pipeline-events/execution-executing.json")
        event["detail"]["pipelineExecutionArn"] = self.execution
        fine, answer = self.invoke("pipeline-events", event)
        yield fine and answer["outcome"] == "recorded"
        fine, _ = self.invoke(
            "pipeline-events", fixture("pipeline-events/endpoint-in-service.json")
        )
        yield fine

    def start_execution(self):
        """Starts an execution, and answers a repeated call from its record."""
        self._count += 1
        request = {"templateId": "roles", "executionId": f"function-roles-{self._count}"}
        for _ in range(2):
            fine, _ = self.invoke("start-execution", request)
            yield fine

    def works(self, function):
        """Whether everything that the function is there for can be done."""
        return all(getattr(self, function.replace("-", "_"))())


@pytest.fixture(scope="module")
def functions(system):
    def no_prices(template):
        # Each execution ends at its first look at the prices.
        template["feMeta"]["baseAssets"] = ["NONE"]

    system.template_with("roles", no_prices)
    return Functions(system)


@pytest.fixture(scope="module")
def roles(system):
    """The name and the policy's statements of each function's role."""
    iam = system.client("iam")
    physical = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in system.deployer.resources(STACK)
    }
    found = {}
    for function in FUNCTIONS:
        words = "".join(word.title() for word in function.split("-"))
        name = physical[f"{words}Role"]
        policy = iam.get_role_policy(RoleName=name, PolicyName=function)["PolicyDocument"]
        found[function] = (name, policy["Statement"])
    return found


def rights(statements):
    """(action, resources) of a policy."""
    for statement in statements:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            yield action, statement["Resource"]


@contextlib.contextmanager
def denied(system, role, action, resource):
    """Take one right away for a while."""
    iam = system.client("iam")
    deny = {"Effect": "Deny", "Action": action, "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="taken-away", PolicyDocument=policy)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="taken-away")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_needs_each_right_that_it_has(system, functions, roles, function):
    role, statements = roles[function]
    assert functions.works(function)
    needless = []
    for action, resource in rights(statements):
        if action in BY_LAMBDA or action.startswith("sagemaker:"):
            continue
        with denied(system, role, action, resource):
            if functions.works(function):
                needless.append(action)
    assert needless == [action for name, action in NOT_MISSED_HERE if name == function]
    assert functions.works(function)


def test_what_a_function_may_ask_of_sagemaker_its_code_asks(roles):
    source = "".join(file.read_text() for file in (ROOT / "shared/aws/src").rglob("*.rs"))
    for function, (_, statements) in roles.items():
        for action, _ in rights(statements):
            service, _, operation = action.partition(":")
            if service == "sagemaker":
                method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
                assert re.search(rf"\.{method}\(\)", source), (function, action)
