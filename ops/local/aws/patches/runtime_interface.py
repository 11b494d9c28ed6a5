"""Let a function's program alone speak to Lambda's runtime interface, which has no signatures.

A program is told where it is in its environment, which other users cannot read.
"""

import secrets

from ministack.services import lambda_svc

from ops.local.aws import guard


def apply():
    """Apply it."""
    token = secrets.token_hex(16)
    environment_of = lambda_svc._provided_worker_env

    def environment(config, code_dir, port):
        found = environment_of(config, code_dir, port)
        # Lambda names host and port alone; the runtime for Rust takes a path if there is a scheme as well.
        found["AWS_LAMBDA_RUNTIME_API"] = f"http://127.0.0.1:{port}/{token}"
        return found

    lambda_svc._provided_worker_env = environment
    guard.guard_handlers(token)
