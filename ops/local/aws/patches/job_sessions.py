"""Let the account's own key assume a role as SageMaker does for a job: by the role's trust in SageMaker.

ministack lets the account's key through for a role that trusts any service, and has nothing for the
conditions of that trust, such as the account that SageMaker works for.
"""

import dataclasses
import json

from ministack.core import iam_evaluator

# Of the sessions that SageMaker makes. Only the stand-in for it has the account's key and asks so.
SESSION_NAME = "SageMaker"
_PRINCIPAL = "sagemaker.amazonaws.com"


def _trusts_sagemaker(statement):
    """Whether a statement of a trust policy is about SageMaker."""
    principal = statement.get("Principal")
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    return principal == "*" or _PRINCIPAL in ([services] if isinstance(services, str) else services)


def apply():
    """Apply it."""
    evaluate = iam_evaluator.evaluate_trust_policy

    def evaluate_for_jobs(document, caller, context=None):
        keys = context.service_context if context else {}
        if not keys or keys.get("sts:rolesessionname") != SESSION_NAME:
            return evaluate(document, caller, context)
        if context.principal_type != "Root":
            return evaluate(document, caller, context)
        policy = json.loads(document) if isinstance(document, str) else document
        statements = policy.get("Statement", [])
        statements = [statements] if isinstance(statements, dict) else statements
        about = {**policy, "Statement": [each for each in statements if _trusts_sagemaker(each)]}
        known = {**keys, "aws:sourceaccount": context.principal_account}
        return evaluate(about, caller, dataclasses.replace(context, service_context=known))

    iam_evaluator.evaluate_trust_policy = evaluate_for_jobs
