"""What AWS looks at in a request before it allows it, and ministack does not.

Conditions of policies compare keys of the request. Those that our policies use and ministack does
not fill in are filled in here, and a bucket's owner is compared with the one that the caller
expects. `python -m ops.local.aws` applies it; tests/integration/test_local_aws.py covers it.
"""

import json
import re

from ministack import app as ministack_app
from ministack.core import iam_actions
from ministack.services import s3

# Names in an expression that are functions and operators, not attributes.
_WORDS = {
    *("SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"),
    *("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"),
    *("if_not_exists", "list_append", "size"),
}


def know_conditional_writes():
    """Fill in whether a write to S3 is one to a key that must be free, and whether it ends one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    of_request = iam_actions.s3_service_context

    def context(iam_action, query_params, path="", headers=None):
        found = of_request(iam_action, query_params, path, headers)
        if iam_action == "s3:PutObject":
            query, headers = query_params or {}, headers or {}
            # Parts and the beginning of an upload create nothing; its completion names no part.
            part = "partNumber" in query or "uploads" in query
            found["s3:ObjectCreationOperation"] = "false" if part else "true"
            if headers.get("if-none-match"):
                found["s3:if-none-match"] = headers["if-none-match"]
        return found

    iam_actions.s3_service_context = context


def attributes_of(request):
    """The top-level attributes that a write to DynamoDB names: keys, values and expressions.

    As AWS counts them for `dynamodb:Attributes`.
    """
    names = request.get("ExpressionAttributeNames") or {}
    found = {*(request.get("Item") or {}), *(request.get("Key") or {})}
    for member in ("UpdateExpression", "ConditionExpression", "ProjectionExpression"):
        # The first segment of each path; what follows a dot lies within the attribute.
        for path in re.findall(r"(?<![\w.#:])[#A-Za-z_][\w.#]*", request.get(member) or ""):
            head = path.partition(".")[0]
            if head.upper() not in _WORDS and head not in _WORDS:
                found.add(names.get(head, head))
    return sorted(found)


def know_written_attributes():
    """Fill in the attributes that a write to DynamoDB names, and what it asks to be given back.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """
    of_request = iam_actions.dynamodb_service_context

    def context(body):
        found = of_request(body)
        request = json.loads(body or b"{}")
        if attributes := attributes_of(request):
            found["dynamodb:Attributes"] = attributes
        found["dynamodb:ReturnValues"] = request.get("ReturnValues", "NONE")
        return found

    iam_actions.dynamodb_service_context = context


def refuse_another_owner():
    """Refuse a request that expects a bucket to belong to another account than it does."""
    handle = ministack_app.SERVICE_HANDLERS["s3"]

    async def handle_expected(method, path, headers, body, query_params, *rest, **more):
        expected = headers.get("x-amz-expected-bucket-owner")
        bucket = path.lstrip("/").partition("/")[0]
        owner = s3._bucket_owner_account(bucket) if expected and bucket else None
        if owner and owner != expected:
            return s3._error("AccessDenied", "Access Denied", 403)
        return await handle(method, path, headers, body, query_params, *rest, **more)

    ministack_app.SERVICE_HANDLERS["s3"] = handle_expected


def apply():
    """Apply all of it."""
    know_conditional_writes()
    know_written_attributes()
    refuse_another_owner()
