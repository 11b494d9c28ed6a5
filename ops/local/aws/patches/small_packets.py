"""Nagle's algorithm adds 40 ms to every function call over loopback."""

import socketserver


def apply():
    """Apply it."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
