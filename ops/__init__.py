"""Deploying Pipewright and running it on this machine: supervises processes, and drives CloudFormation."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
