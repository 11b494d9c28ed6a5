"""What the programs of `make` say."""

from pathlib import Path


def say(text=""):
    """Print at once, also into a pipe."""
    print(text, flush=True)


def shorten(path):
    """A path relative to the working directory where it lies below it."""
    path = Path(path).resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
