"""ministack behind the guard, with the patches, on a socket that was opened before it."""

import asyncio
import os

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config
from ministack import app as ministack_app
from ministack.core import iam_evaluator
from ministack.core.responses import _account_from_sts_session, get_account_id
from ministack.services.cloudformation import custom_resource, wait_conditions

from ops.local.aws import guard, patches


def _secret_of(access_key, token):
    """The secret of a key of the account, of a role's session or of a user; None of any other."""
    try:
        account = iam_evaluator.find_iam_access_key_account(access_key)
    except iam_evaluator.AmbiguousAccessKeyError:
        return None
    # ministack takes these for keys of the account, or of any other; none was given out. Where
    # rights are not checked, a function's access key is its account.
    if access_key == "test" or (access_key.isdecimal() and access_key != get_account_id()):
        return None
    numeric = access_key if access_key.isdecimal() else None
    account = account or _account_from_sts_session(access_key) or numeric
    found = iam_evaluator.resolve_credential(access_key, account, token)
    return getattr(found, "secret_access_key", None)


# Of CloudFormation's ResponseURL, and of a wait condition's: the path's end is the secret there, as
# the signature is in AWS's.
_ANSWERED = {
    "/_ministack/cfn-response/": lambda token: token in custom_resource._pending,
    "/_ministack/cfn-signal/": wait_conditions.has_handle,
}


def _is_open(method, path):
    """Whether a request takes no signature: whether this server lives, and answers that are waited for."""
    if method == "PUT":
        return any(
            path.startswith(prefix) and is_awaited(path.removeprefix(prefix))
            for prefix, is_awaited in _ANSWERED.items()
        )
    return method == "GET" and path == "/_ministack/health"


def serve(listener, port):
    """Serve on a listening socket's file descriptor until SIGTERM."""
    patches.apply()
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = os.environ.get("LOG_LEVEL", "INFO")
    asyncio.run(serve_asgi(guard.Guard(ministack_app.app, port, _secret_of, _is_open), config))
