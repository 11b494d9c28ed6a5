"""Delete what an update of a nested stack replaced, as CloudFormation does.

ministack sends no Delete for a custom resource whose physical id changed
inside a nested stack, neither after the update nor after its rollback.
CloudFormation deletes the old one only when the whole update held; when it
rolls back, the update with the old properties brings the old id back and
the new one is deleted.
"""

import contextvars
import sys
import threading

from ministack.services.cloudformation import provisioners

_superseded = contextvars.ContextVar("superseded resources of the nested stack being updated")


def apply():
    """Apply it."""
    update_resource = provisioners._update_resource
    handler = provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
    update_stack = handler["update"]

    def recording_update(type_, physical_id, old, new, stack_name, logical_id=None, old_attrs=None):
        result = update_resource(type_, physical_id, old, new, stack_name, logical_id, old_attrs)
        superseded = _superseded.get(None)
        ours = type_.startswith(("Custom::", "AWS::SageMaker::"))
        if ours and superseded is not None and result[0] != physical_id:
            superseded.append((type_, physical_id, old, stack_name, logical_id))
        return result

    def delete_all(superseded):
        for arguments in reversed(superseded):
            try:
                provisioners._delete_resource(*arguments)
            except Exception as error:  # a failed cleanup does not fail the update
                print(f"cleanup of {arguments[1]} failed: {error}", file=sys.stderr)

    def update_and_clean_up(*arguments):
        superseded = []
        token = _superseded.set(superseded)
        try:
            result = update_stack(*arguments)
        finally:
            _superseded.reset(token)
        pending = provisioners._DEFERRED_PREDECESSOR_DELETES.get()
        if not superseded:
            pass
        elif pending is None:  # a rollback, or a nested stack's nested stack
            delete_all(superseded)
        else:
            # The parent runs these on its event loop once the update held; a
            # custom resource's answer arrives through that loop, so delete on
            # a thread of its own.
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(delete_all, superseded))
            pending.append((thread.start, (), {}))
        return result

    provisioners._update_resource = recording_update
    handler["update"] = update_and_clean_up
