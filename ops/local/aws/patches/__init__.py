"""What our system needs and ministack lacks, a change a module: `apply` has ministack do as AWS does.

tests/integration/test_patches.py tells when one can go: when ministack does the same without it.
"""

import importlib

from ops.local.aws import stand_in

# In the order in which they are applied: the last two wrap the same function.
NAMES = (
    "function_keys",
    "job_sessions",
    "runtime_interface",
    "small_packets",
    "aws_sources",
    "failed_events",
    "secure_loopback",
    "rpc_rights",
    "conditional_writes",
    "written_attributes",
    "bucket_owner",
    "managed_key",
    "sagemaker_calls",
    "sagemaker_resources",
    "stack_tags",
    "nested_attributes",
    "nested_replacements",
)


def apply():
    """Apply all of them, those of SageMaker where there is a stand-in for it."""
    for name in NAMES:
        if stand_in.endpoint or not name.startswith("sagemaker_"):
            importlib.import_module(f"{__name__}.{name}").apply()
