"""Starting, watching and stopping the processes of a run."""

import dataclasses
import socket
import subprocess
import sys
import time
from pathlib import Path

from ops import ROOT, OpsError


class ServiceFailed(OpsError):
    """A local service ended or did not become ready; the message has its log's tail."""


@dataclasses.dataclass
class Service:
    """A running process and the files its output goes to."""

    name: str
    process: subprocess.Popen
    log: Path
    stdout: Path

    def tail(self, lines=20):
        """The last lines of the log, indented."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in text) or "    (nothing logged)"

    def wait(self, ready, timeout=30.0):
        """Wait until `ready()` gives something true, and give that.

        Raises ServiceFailed when the process ends first or the time is up.
        """
        deadline = time.monotonic() + timeout
        while True:
            answer = ready()
            if answer:
                return answer
            code = self.process.poll()
            if code is not None:
                what = f"ended with exit status {code} before it was ready"
            elif time.monotonic() > deadline:
                what = f"was not ready after {timeout:.0f} s"
            else:
                time.sleep(0.02)
                continue
            raise ServiceFailed(f"{self.name} {what}; its log ({self.log}) ends:\n{self.tail()}")


def listen(preferred=0):
    """A listening socket on loopback, on the preferred port or, if taken, any free one."""
    for port in (preferred, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
        except OSError:
            listener.close()
            if port == 0:
                raise
            continue
        return listener
    raise AssertionError("the loop returns or raises")


class Supervisor:
    """Owns the processes of a run; none outlives it.

    A watchdog process holds the other end of a pipe: when this process closes
    it, or ends in any way, the watchdog ends every process started here along
    with their descendants.
    """

    def __init__(self, log_directory):
        self.log_directory = Path(log_directory)
        self.log_directory.mkdir(parents=True, exist_ok=True)
        self.services = []
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "ops.local.watchdog"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, name, command, environment, pass_fds=(), show=False):
        """Start a command in a session of its own, output to `<log directory>/<name>.*`.

        With `show` the output goes where this process's own goes.
        """
        # The process itself tells the watchdog about it, through what is its
        # standard input at first, before it becomes the command: there is no
        # moment in which it could be forgotten.
        report = 'echo $$ >&0; exec "$@" </dev/null'
        log = self.log_directory / f"{name}.log"
        stdout = self.log_directory / f"{name}.out"
        with open(log, "wb") as log_file, open(stdout, "wb") as stdout_file:
            process = subprocess.Popen(
                ["/bin/sh", "-c", report, name, *map(str, command)],
                env={key: str(value) for key, value in environment.items()},
                stdin=self._watchdog.stdin,
                stdout=None if show else stdout_file,
                stderr=None if show else log_file,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        service = Service(name, process, log, stdout)
        self.services.append(service)
        return service

    def watch(self):
        """Stay until a service ends, which raises ServiceFailed, or something else is raised."""
        while True:
            ended = [each for each in self.services if each.process.poll() is not None]
            if ended:
                raise ServiceFailed(f"{ended[0].name} ended; its log ends:\n{ended[0].tail()}")
            time.sleep(0.5)

    def stop(self):
        """End every process; returns when all are gone. Harmless when repeated."""
        self._watchdog.stdin.close()
        self._watchdog.wait()
        for service in self.services:
            service.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
