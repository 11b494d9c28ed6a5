"""Make the keys of a function's role from this start's secret; ministack makes them from its ARN."""

import hmac
import os

from ministack import app as ministack_app
from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sts


def apply():
    """Apply it."""

    def derived(what, function):
        secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        return hmac.new(secret.encode(), f"{what}:{function}".encode(), "sha256").hexdigest()

    of_account = lambda_runtime.execution_credentials

    def credentials_of(config):
        if not ministack_app.AUTH:
            return of_account(config)
        account, _ = lambda_runtime._account_region_from_function_config(config)
        role = config["Role"]
        function = f"{config['FunctionArn']}:{role}"
        key = f"ASIA{derived('key', function)[:16].upper()}"
        secret, token = derived("secret", function), derived("token", function)
        session_name = config["FunctionName"][:64]
        role_name = role.rpartition("/")[2]
        sts.register_session(
            key,
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
                "UserId": f"{role_name}:{session_name}",
                "SecretAccessKey": secret,
                "SessionToken": token,
            },
        )
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
        }

    lambda_runtime.execution_credentials = lambda_svc.execution_credentials = credentials_of
