"""Let plain HTTP pass policies that demand TLS: it never leaves this machine."""

from ministack.core import iam_evaluator


def apply():
    """Apply it."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_secure(key, context):
        return "true" if key.lower() == "aws:securetransport" else resolve(key, context)

    iam_evaluator._resolve_condition_key = resolve_secure
