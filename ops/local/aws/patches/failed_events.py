"""Deliver events to functions by Lambda's asynchronous path.

ministack calls a rule's function once and forgets the outcome; AWS retries
and then hands the event to the function's OnFailure destination.
"""

import json

from ministack.services import eventbridge, lambda_svc


def apply():
    """Apply it."""

    def dispatch(arn, payload):
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            raise ValueError(f"the rule's target function {name} does not exist")
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))

    eventbridge._dispatch_to_lambda = dispatch
