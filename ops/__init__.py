"""Deploying Pipewright and running it on this machine: supervises processes, and drives CloudFormation."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
LOCAL = ROOT / ".local"
"""What is made here while the system runs on this machine."""


class OpsError(Exception):
    """An operation that cannot be begun or ended; the message says why and what to do."""
