"""Deploying Pipewright and running it on this machine: supervises processes, and drives CloudFormation."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


class OpsError(Exception):
    """An operation that cannot be begun or ended; the message says why and what to do."""
