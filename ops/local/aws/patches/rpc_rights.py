"""Hold callers to their rights also in the protocol of the Rust SDK's calls to CloudWatch.

There the path names the operation and the body is CBOR. ministack serves
that, and authorizes nothing that it finds no name of.
"""

import json

import cbor2
from ministack.core import iam_actions


def apply():
    """Apply it."""
    action_of, arn_of = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def is_rpc(headers):
        return headers.get("smithy-protocol") == "rpc-v2-cbor"

    def extract_action(service, method, path, headers, body, parameters):
        if is_rpc(headers):
            return f"{iam_actions.SERVICE_TO_IAM_NAMESPACE[service]}:{path.rpartition('/')[2]}"
        return action_of(service, method, path, headers, body, parameters)

    def extract_arn(service, method, path, headers, body, *rest):
        if is_rpc(headers):
            body = json.dumps(cbor2.loads(body), default=str).encode()
        return arn_of(service, method, path, headers, body, *rest)

    iam_actions.extract_iam_action = extract_action
    iam_actions.extract_resource_arn = extract_arn
