"""`pipewright`, the command line, as the programs of `make` run it."""

from ops import OpsError


def program(binaries):
    """Where it is; raises OpsError where it was not built."""
    found = binaries / "pipewright"
    if not found.is_file():
        raise OpsError(f"{found} is missing, which checks and imports data: `make build`")
    return found
