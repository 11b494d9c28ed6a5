"""Let Fn::GetAtt work on what an update of a nested stack leaves as it is.

ministack hands the attributes of unchanged resources on in a top-level
stack, and forgets them in a nested one.
"""

from ministack.services import cloudformation
from ministack.services.cloudformation import provisioners


def apply():
    """Apply it."""
    update_resource = provisioners._update_resource

    def update(type_, physical_id, old, new, stack_name, logical_id=None, old_attrs=None):
        if old_attrs is None:
            resources = cloudformation._stacks.get(stack_name, {}).get("_resources", {})
            old_attrs = resources.get(logical_id, {}).get("Attributes")
        return update_resource(type_, physical_id, old, new, stack_name, logical_id, old_attrs)

    provisioners._update_resource = update
