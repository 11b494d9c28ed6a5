"""Keeps the caller's AWS settings out."""

import os

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
