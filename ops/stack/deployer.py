"""Deploying a template through CloudFormation alone, to the local AWS or to an account."""

import dataclasses
import json
import time
from collections.abc import Callable

from botocore.exceptions import ClientError

from ops import OpsError
from ops.stack.ownership import as_tags
from ops.stack.template import parse_template

_STACK = "AWS::CloudFormation::Stack"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


# A stack in these states has never worked, and nothing but deleting it is allowed.
_NEVER_CREATED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


def held(resources):
    """Type and name of each resource that a stack still has, or has left behind."""
    return [
        (each["ResourceType"], each["PhysicalResourceId"])
        for each in resources
        if each["ResourceStatus"] != "DELETE_COMPLETE" and each.get("PhysicalResourceId")
    ]


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A stack as CloudFormation has it."""

    template: dict
    parameters: dict[str, str]
    physical: dict[str, str]
    """The resources' names in AWS by their logical ids."""


class StackProgress:
    """Follows a deployment's events: tells each stack as it completes, and each resource that fails.

    `failed` is called with stack, resource, status and reason, `completed` with stack, number of
    its resources and status.
    """

    def __init__(self, failed, completed):
        self._failed, self._completed = failed, completed
        self._resources = {}

    def __call__(self, event):
        stack, name = event["StackName"], event["LogicalResourceId"]
        status = event["ResourceStatus"]
        if status.endswith("_FAILED"):
            self._failed(stack, name, status, event.get("ResourceStatusReason", "no reason given"))
        elif not status.endswith("_COMPLETE"):
            return
        elif stack != name:
            self._resources[stack] = self._resources.get(stack, 0) + 1
        else:
            self._completed(stack, self._resources.get(stack, 0), status)


@dataclasses.dataclass
class Deployer:
    """Deploys through CloudFormation; `client` gives a boto3 client by its service's name.

    A stack is named by an OwnStack: what has its name and is not ours is refused, and
    never touched. `interval` is the pause between two looks at a stack and `timeout` how long it may
    take, both in seconds. `say` is told what is done besides what was asked for.
    """

    client: Callable[[str], object]
    interval: float = 0.1
    timeout: float = 120.0
    say: Callable[[str], None] = lambda text: None

    def __post_init__(self):
        self._cloudformation = self.client("cloudformation")

    def deploy_template(self, own, template, parameters, progress=lambda event: None):
        """As deploy, with a small parsed template that goes along with the request."""
        # Fixed separators: CloudFormation counts the bytes, at most 51,200.
        body = {"TemplateBody": json.dumps(template, separators=(",", ":"))}
        return self._deploy(own, body, parameters, progress)

    def deploy(self, own, template_url, parameters, progress=lambda event: None):
        """Create or update the stack and wait; give its outputs, those of nested stacks too.

        `progress` is called with every stack event, nested stacks' included. A stack that cannot
        be created takes back what it made, the retained resources as well. Raises
        OpsError when the stack did not reach its new state.
        """
        return self._deploy(own, {"TemplateURL": template_url}, parameters, progress)

    def delete(self, own, progress=lambda event: None):
        """Delete the stack and wait; nothing to do where there is none."""
        found = self.find_own(own)
        if found is None:
            return
        if not found["StackStatus"].startswith("DELETE_"):
            self._refuse_while_busy(found)
        self._delete(found, progress)

    def _delete(self, found, progress):
        watch = _Watch(self._cloudformation, self._family_ids(found["StackId"]))
        watch.fresh()
        if found["StackStatus"] != "DELETE_IN_PROGRESS":
            self._cloudformation.delete_stack(StackName=found["StackName"])
        self._wait(found["StackId"], watch, progress, ("DELETE_COMPLETE",))

    def find(self, stack):
        """The stack's description; None where there is none."""
        try:
            return self._cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def find_own(self, own):
        """The description of a stack that is ours; None where there is none. Raises OpsError."""
        found = self.find(own.name)
        if found:
            own.refuse_foreign(found)
        return found

    def _deploy(self, own, template, parameters, progress):
        request = {
            "StackName": own.name,
            **template,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            "Capabilities": _CAPABILITIES,
            "Tags": as_tags(own.tags),
        }
        self.clear_failed_creation(own, progress)
        found = self.find_own(own)
        if found:
            self._refuse_while_busy(found)
        watch = _Watch(
            self._cloudformation, self._family_ids(found["StackId"]) if found else [own.name]
        )
        try:
            if found:
                watch.fresh()
                stack_id = self._cloudformation.update_stack(**request)["StackId"]
            else:
                stack_id = self._cloudformation.create_stack(**request, RetainExceptOnCreate=True)[
                    "StackId"
                ]
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return self.outputs(own)
            raise OpsError(error.response["Error"]["Message"]) from error
        self._wait(stack_id, watch, progress, ("CREATE_COMPLETE", "UPDATE_COMPLETE"))
        return self.outputs(own)

    def _wait(self, stack_id, watch, progress, good):
        failures = []
        deadline = time.monotonic() + self.timeout
        while True:
            found = self.find(stack_id)
            status = found["StackStatus"] if found else "DELETE_COMPLETE"
            for event in watch.fresh():
                if event["ResourceStatus"].endswith("_FAILED"):
                    failures.append(event)
                progress(event)
            if not status.endswith("_IN_PROGRESS"):
                break
            if time.monotonic() > deadline:
                raise OpsError(
                    f"stack {stack_id} is still {status} after {self.timeout:.0f} s; "
                    "CloudFormation goes on with it"
                )
            time.sleep(self.interval)
        if status not in good:
            reasons = "".join(
                f"\n  {event['StackName']} {event['LogicalResourceId']} "
                f"({event['ResourceType']}): {event['ResourceStatusReason']}"
                for event in failures
                if event.get("ResourceStatusReason")
            )
            name = stack_id.split("/")[1] if "/" in stack_id else stack_id
            raise OpsError(f"stack {name} ended as {status}:{reasons}")

    def clear_failed_creation(self, own, progress=lambda event: None):
        """Delete a stack that could never be created, and holds nothing; nothing to do elsewhere.

        It can only be deleted. One that still holds something is left to a person.
        """
        found, stack = self.find_own(own), own.name
        if found is None or found["StackStatus"] not in _NEVER_CREATED:
            return
        if left := held(self._resources_of(found["StackId"])):
            raise OpsError(
                f"stack {stack} could never be created ({found['StackStatus']}) and can only be "
                "deleted, but it still holds"
                + "".join(f"\n  {type_} {name}" for type_, name in left)
                + "\nDelete what is not needed of it, then "
                f"`aws cloudformation delete-stack --stack-name {stack}`, and deploy again"
            )
        self.say(f"Deleting stack {stack}, whose first creation failed: it holds nothing")
        self._delete(found, progress)

    def _refuse_while_busy(self, found):
        """Raise OpsError where CloudFormation would only say that it can't."""
        name, status = found["StackName"], found["StackStatus"]
        if status.endswith("_IN_PROGRESS"):
            raise OpsError(
                f"stack {name} is {status}: somebody else's operation, or an interrupted one of "
                "ours, is under way. Wait for its end "
                f"(`aws cloudformation describe-stack-events --stack-name {name}` shows what it "
                "waits for), then try again"
            )
        if status == "UPDATE_ROLLBACK_FAILED":
            raise OpsError(
                f"stack {name} could not return to its last state ({status}). Mend what its events "
                "name, then `aws cloudformation continue-update-rollback --stack-name "
                f"{name}`; docs/OPERATIONS.md has more"
            )

    def outputs(self, own):
        """The outputs of the stack and of its nested stacks by name; none where there is none."""
        if self.find_own(own) is None:
            return {}
        outputs = {}
        for stack_id in reversed(self._family_ids(own.name)):
            for output in (self.find(stack_id) or {}).get("Outputs", []):
                outputs[output["OutputKey"]] = output["OutputValue"]
        return outputs

    def resources(self, stack):
        """Every resource of the stack and of its nested stacks, as ListStackResources has it."""
        return [
            resource
            for stack_id in self._family_ids(stack)
            for resource in self._resources_of(stack_id)
        ]

    def deployed(self, stack):
        """The stack and its nested stacks as they were deployed, whatever the checkout has by now."""
        for stack_id in self._family_ids(stack):
            body = self._cloudformation.get_template(StackName=stack_id, TemplateStage="Original")[
                "TemplateBody"
            ]
            # boto3 parses one in JSON by itself.
            template = parse_template(body) if isinstance(body, str) else body
            given = self.find(stack_id).get("Parameters", [])
            yield Deployed(
                template,
                {each["ParameterKey"]: each["ParameterValue"] for each in given},
                {
                    each["LogicalResourceId"]: each["PhysicalResourceId"]
                    for each in self._resources_of(stack_id)
                    if each.get("PhysicalResourceId")
                },
            )

    def _resources_of(self, stack_id):
        pages = self._cloudformation.get_paginator("list_stack_resources")
        return [
            resource
            for page in pages.paginate(StackName=stack_id)
            for resource in page["StackResourceSummaries"]
        ]

    def _family_ids(self, stack):
        """The stack and its nested stacks, parents first."""
        family = [stack]
        for stack_id in family:
            family += [
                resource["PhysicalResourceId"]
                for resource in self._resources_of(stack_id)
                if resource["ResourceType"] == _STACK
                and resource.get("PhysicalResourceId")
                and resource["ResourceStatus"] != "DELETE_COMPLETE"
            ]
        return family


class _Watch:
    """Reads the events of a stack and its nested stacks, each once."""

    def __init__(self, cloudformation, stacks):
        self._pages = cloudformation.get_paginator("describe_stack_events")
        self._stacks = list(stacks)
        self._seen = set()

    def fresh(self):
        """The events since the last call, oldest first."""
        fresh = []
        # Grows meanwhile: an event of a nested stack's resource names the nested stack.
        for stack in self._stacks:
            for event in self._unseen(stack):
                self._seen.add(event["EventId"])
                fresh.append(event)
                nested = event.get("PhysicalResourceId")
                if event["ResourceType"] == _STACK and nested not in (None, "", event["StackId"]):
                    self._follow(nested)
        # Newest first, and in the local AWS to the second: reverse, then sort stably.
        return sorted(reversed(fresh), key=lambda event: event["Timestamp"])

    def _unseen(self, stack):
        """The events of one stack, newest first, as far as they are new."""
        try:
            for page in self._pages.paginate(StackName=stack):
                for event in page["StackEvents"]:
                    if event["EventId"] in self._seen:
                        return
                    yield event
        except ClientError as error:
            # Not yet, or a nested stack that is gone from the local AWS.
            if "does not exist" not in str(error):
                raise

    def _follow(self, stack):
        if stack not in self._stacks:
            self._stacks.append(stack)
