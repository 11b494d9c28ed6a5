"""Encrypt with the account's key for S3 where `aws:kms` is asked for without a key, as SageMaker's SDK does."""

import uuid

from ministack.core.responses import get_account_id, get_region
from ministack.services import s3

_KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"


def _managed_key():
    """The ARN of the key `alias/aws/s3`, which an account has without making it: one a region."""
    place = f"arn:aws:kms:{get_region()}:{get_account_id()}"
    return f"{place}:key/{uuid.uuid5(uuid.NAMESPACE_URL, f'{place}:alias/aws/s3')}"


def apply():
    """Apply it."""
    resolve = s3._resolve_sse_write_headers

    def resolve_with_managed_key(headers, bucket):
        if headers.get("x-amz-server-side-encryption") == "aws:kms" and not headers.get(_KEY_ID):
            headers = {**headers, _KEY_ID: _managed_key()}
        return resolve(headers, bucket)

    s3._resolve_sse_write_headers = resolve_with_managed_key
