"""Pipelines of one's own."""
