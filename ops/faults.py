"""What keeps a deployment from being begun or ended."""


class NotReady(Exception):
    """Something is missing on this machine or in the account; the message says what to do."""
