"""Refuse a request that expects a bucket to belong to another account than it does."""

from ministack import app as ministack_app
from ministack.services import s3


def apply():
    """Apply it."""
    handle = ministack_app.SERVICE_HANDLERS["s3"]

    async def handle_expected(method, path, headers, body, query_params, *rest, **more):
        expected = headers.get("x-amz-expected-bucket-owner")
        bucket = path.lstrip("/").partition("/")[0]
        owner = s3._bucket_owner_account(bucket) if expected and bucket else None
        if owner and owner != expected:
            return s3._error("AccessDenied", "Access Denied", 403)
        return await handle(method, path, headers, body, query_params, *rest, **more)

    ministack_app.SERVICE_HANDLERS["s3"] = handle_expected
