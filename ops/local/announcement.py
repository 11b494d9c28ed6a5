"""Which local AWS is the one to use: a file of shell lines that one running system owns at a time."""

import contextlib
import fcntl
import os
import re
import time

from ops import OpsError


def endpoint_in(text):
    """The endpoint that an announcement's shell lines name; None where they name none."""
    found = re.search(r"^export AWS_ENDPOINT_URL=(\S+)$", text, re.MULTILINE)
    return found[1] if found else None


def refusal(pid, endpoint, path):
    """What to say to who would start a second one."""
    where = f" at {endpoint}" if endpoint else ", which is still starting"
    return (
        f"a local AWS runs here already: process {pid}{where}. Use that one (`. {path}`, or LOCAL=1), "
        f"or end it first: Ctrl-C in its terminal, or `kill {pid}`. `make run` works beside it"
    )


def _taken(lock, how):
    """Whether the lock could be taken at once."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_live(path):
    """Whether who announced itself in the file still lives."""
    try:
        with open(path.with_suffix(".lock"), encoding="utf-8") as lock:
            return not _taken(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


class Announcement:
    """The right to say that one's own system is the one to use; a context manager.

    A lock says whether its owner lives, as the kernel takes it back from a process that was
    killed, whereas the file of such a one stays, and its process id may be another's by now.
    """

    def __init__(self, path):
        self._path = path
        self._published = None

    def __enter__(self):
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = open(self._path.with_suffix(".lock"), "a+", encoding="utf-8")  # noqa: SIM115
        # Who only looks holds it for a moment.
        for last in (False, False, False, True):
            if _taken(self._lock, fcntl.LOCK_EX):
                break
            if not last:
                time.sleep(0.05)
        else:
            self._lock.seek(0)
            pid = self._lock.read().strip()
            self._lock.close()
            raise OpsError(refusal(pid, endpoint_in(self._text()), self._path))
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        # What a killed one left would lead to nothing, or to the process that has its port now.
        self._path.unlink(missing_ok=True)
        return self

    def publish(self, text):
        """Have the file say so."""
        self._published = text
        # It has the key of the local AWS, which runs programs as its owner for every holder of it.
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w", encoding="utf-8") as opened:
            opened.write(text)

    def __exit__(self, *_):
        # `make clean` takes the lock's file away: what is there may be somebody else's since.
        if self._published is not None and self._text() == self._published:
            self._path.unlink(missing_ok=True)
        self._lock.close()

    def _text(self):
        with contextlib.suppress(FileNotFoundError):
            return self._path.read_text(encoding="utf-8")
        return ""
