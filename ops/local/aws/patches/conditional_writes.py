"""Fill in whether a write to S3 is one to a key that must be free, and whether it ends one.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
"""

from ministack.core import iam_actions


def apply():
    """Apply it."""
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
