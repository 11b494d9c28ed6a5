"""No function has a right that it could do without.

Each right of a function's role is denied in turn, and at least one of the things that the function
is there for must then fail. What Lambda itself does with the role stands apart, since the local AWS
does not check it.
"""

import contextlib
import copy
import functools
import hashlib
import json
import shutil
import time

import pytest
from test_housekeeping import MINUTE, RULES, Endpoints, changes, lost, parameters, put, status
from test_own_pipeline import Execution, deploy
from test_record import start_elsewhere

from harness import OWN_PIPELINE, Replay, configured, wait_for
from ops import ROOT
from ops.local.system import STACK

FIXTURES = ROOT / "tests" / "fixtures"
FUNCTIONS = ("housekeeping", "pipeline-definition", "pipeline-events", "start-execution")
# Lambda's own use of the role: its log and its OnFailure queue.
BY_LAMBDA = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}

# What the local AWS does without where AWS would not.
NOT_MISSED_HERE = {
    ("pipeline-definition", "s3:ListBucket"): "AWS answers 403 for a missing object without it",
}


def fixture(path):
    return json.loads((FIXTURES / path).read_text())


class Functions:
    """The deployed functions and what they are there for."""

    def __init__(self, system, events, directory):
        self._system = system
        self._events = events
        # Of a pipeline of one's own.
        self._directory = directory / "function-roles"
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

    def ended(self, template_id):
        """An execution that ended, and the events of it, all of which are recorded."""
        execution = self._system.run(template_id)
        sent = self._events.of(execution)
        wait_for(lambda: len(changes(self._system, execution.id)) >= len(sent))
        return execution, sent

    @functools.cached_property
    def trained(self):
        """An execution that made a model and a package."""
        return self.ended("roles-trained")

    @functools.cached_property
    def failed(self):
        """One that failed."""
        return self.ended("roles-failed")

    @functools.cached_property
    def elsewhere(self):
        """The id of one that was started elsewhere and ended, and that no event told of."""
        with lost(self._system, *RULES):
            arn = start_elsewhere(self._system, PipelineParameters=parameters("roles-elsewhere"))
            wait_for(lambda: status(self._system, arn) != "Executing", within=60)
        return arn.rpartition("/")[2]

    @functools.cached_property
    def own(self):
        """The ids of two executions of a pipeline of one's own, and the event of the second's package."""
        shutil.copytree(OWN_PIPELINE, self._directory)
        name = deploy(self._system, self._directory)["PipelineName"]
        executions = [Execution(self._system, name) for _ in range(2)]
        sent = [self.recorded(execution) for execution in executions]
        (package,) = (
            event
            for event in sent[1]
            if event["detail-type"] == "SageMaker Model Package State Change"
        )
        return [execution.arn.rpartition("/")[2] for execution in executions], package

    def recorded(self, execution):
        """The events of an execution that SageMaker itself was told to start, once all are recorded."""
        assert execution.status == "Succeeded"
        execution_id, sent = execution.arn.rpartition("/")[2], self._events.of(execution)
        wait_for(lambda: len(changes(self._system, execution_id)) >= len(sent))
        return sent

    def unrecorded(self, execution_id):
        """Leave nothing of a record."""
        for item in self._system.items(execution_id):
            self._system.client("dynamodb").delete_item(
                TableName=self._system.outputs["ExecutionsTableName"],
                Key={name: {"S": item[name]} for name in ("Id", "entry")},
            )

    def untold(self, execution):
        """Leave of a record what the start writes at once, as if that was a while ago."""
        Replay(self._system).forget(execution.id)
        self._system.client("dynamodb").update_item(
            TableName=self._system.outputs["ExecutionsTableName"],
            Key={"Id": {"S": execution.id}, "entry": {"S": "record"}},
            UpdateExpression="SET createdAt = :then",
            ExpressionAttributeValues={":then": {"N": str(int(time.time() * 1000) - 20 * MINUTE)}},
        )

    def housekeeping(self):
        """Finds an execution and mends its record; makes those that are not there; follows an idle
        endpoint and deletes it.
        """
        execution, _ = self.trained
        (_, own), _ = self.own
        self.untold(execution)
        self.unrecorded(self.elsewhere)
        self.unrecorded(own)
        fine, report = self.invoke("housekeeping", {"graceSeconds": 0})
        yield fine and execution.id in report["executions"]["found"]
        yield self.elsewhere in report["executions"]["adopted"]
        yield own in report["executions"]["adopted"]
        mended = " ".join(report["executions"]["reconciled"])
        for kind in ("execution", "step", "model", "package", "training"):
            yield f"{execution.id}: {kind}" in mended

        self._count += 1
        name = f"roles-{self._count}"
        endpoints = Endpoints(self._system, self.model, execution.id)
        # Its events find no execution: it is registered after them.
        endpoints.create(name, registered=False)
        entry = {"EndpointName": name, "executionId": execution.id}
        put(self._system, "EndpointsTableName", entry)
        with configured(self._system, "housekeeping", IDLE_ENDPOINT_HOURS="0"):
            fine, report = self.invoke("housekeeping", {"graceSeconds": 0})
        yield fine and f"{execution.id}: endpoint InService" in report["executions"]["reconciled"]
        yield name in report["endpoints"]["deleted"] and name not in endpoints.configs()
        wait_for(lambda: endpoints.status(name) is None)
        yield self.invoke("housekeeping", {"graceSeconds": 0})[0]
        found = self._system.client("dynamodb").get_item(
            TableName=self._system.outputs["EndpointsTableName"], Key={"EndpointName": {"S": name}}
        )
        yield "deletedAt" in found["Item"]

    @functools.cached_property
    def model(self):
        """The name of the model that was made."""
        execution, _ = self.trained
        return self._system.record(execution.id)["modelName"]

    def events(self):
        """Events of each kind, none of which says more of its execution than it has to."""
        _, sent = self.trained
        by_kind = {event["detail-type"]: copy.deepcopy(event) for event in sent}
        yield by_kind["SageMaker Model Building Pipeline Execution Step Status Change"]
        yield next(event for event in sent if self.ends_a_training(event["detail"]))
        model = by_kind["SageMaker Model State Change"]
        del model["detail"]["Tags"]
        yield model
        package = by_kind["SageMaker Model Package State Change"]
        for properties in ("CustomerMetadataProperties", "MetadataProperties"):
            del package["detail"][properties]
        yield package
        _, sent = self.failed
        # SageMaker's event of an execution that failed does not say why.
        status = "currentPipelineExecutionStatus"
        yield from (event for event in sent if event["detail"].get(status) == "Failed")

    @staticmethod
    def ends_a_training(detail):
        ended = detail.get("currentStepStatus") == "Succeeded"
        return ended and "trainingJob" in detail.get("metadata", {})

    def pipeline_events(self):
        """Records events, one of them of an execution without record, and looks up whose an
        endpoint is.
        """
        self._count += 1
        (_, own), package = self.own
        self.unrecorded(own)
        # A process remembers the executions that it has asked for; a new one asks.
        with configured(self._system, "pipeline-events", ROUND=str(self._count)):
            events = [package, *self.events()]
            told = [self.invoke("pipeline-events", event) for event in events]
            endpoint = fixture("pipeline-events/endpoint-in-service.json")
            looked_up, _ = self.invoke("pipeline-events", endpoint)
        for fine, answer in told:
            yield fine and answer["outcome"] == "recorded"
        yield looked_up

    def start_execution(self):
        """Starts an execution, and answers a repeated call from its record, or from SageMaker."""
        self._count += 1
        request = {"templateId": "roles-failed", "executionId": f"function-roles-{self._count}"}
        for _ in range(2):
            fine, _ = self.invoke("start-execution", request)
            yield fine
        execution, _ = self.failed
        self.untold(execution)
        fine, answer = self.invoke("start-execution", {**request, "executionId": execution.id})
        yield fine and answer["alreadyStarted"]

    def works(self, function):
        """Whether everything that the function is there for can be done."""
        return all(getattr(self, function.replace("-", "_"))())


@pytest.fixture(scope="module")
def functions(system, events, tmp_path_factory):
    def one_asset(template):
        template["feMeta"] = {"baseAssets": ["JPM"]}

    def no_prices(template):
        # Each execution ends at its first look at the prices.
        template["feMeta"]["baseAssets"] = ["NONE"]

    system.template_with("roles-trained", one_asset)
    system.template_with("roles-failed", no_prices)
    return Functions(system, events, tmp_path_factory.mktemp("roles"))


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
        if action in BY_LAMBDA:
            continue
        with denied(system, role, action, resource):
            if functions.works(function):
                needless.append(action)
    assert needless == [action for name, action in NOT_MISSED_HERE if name == function]
    assert functions.works(function)
