"""Fill in the attributes that a write to DynamoDB names, and what it asks to be given back.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

import json
import re

from ministack.core import iam_actions

# Names in an expression that are functions and operators, not attributes.
_WORDS = {
    *("SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"),
    *("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"),
    *("if_not_exists", "list_append", "size"),
}


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


def apply():
    """Apply it."""
    of_request = iam_actions.dynamodb_service_context

    def context(body):
        found = of_request(body)
        request = json.loads(body or b"{}")
        if attributes := attributes_of(request):
            found["dynamodb:Attributes"] = attributes
        found["dynamodb:ReturnValues"] = request.get("ReturnValues", "NONE")
        return found

    iam_actions.dynamodb_service_context = context
