"""No process outlives the run that started it, however the run ends."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from ops.local import watchdog
from ops.local.supervise import ServiceFailed, Supervisor, listen

# A service with a child in the same session, one in a process group of its own,
# and one that ignores the request to end.
FAMILY = """
import os, signal, subprocess, sys, time
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "600"], process_group=0)
subprocess.Popen([sys.executable, "-c", "import signal, time\\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\ntime.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""

OWNER = f"""
import signal, sys, time
# A shell's background job ignores it, and so would we.
signal.signal(signal.SIGINT, signal.default_int_handler)
from ops.local.supervise import Supervisor
supervisor = Supervisor(sys.argv[1])
command = [sys.executable, "-c", {FAMILY!r}]
service = supervisor.start("family", command, {{"PATH": {os.defpath!r}}})
service.wait(service.stdout.read_text)
print(service.process.pid, flush=True)
time.sleep(600)
"""


def gone(leader, within):
    """Wait until no process of the session is left; gives whether that came true."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not watchdog.members({leader}):
            return True
        time.sleep(0.05)
    return False


def test_stop_ends_children_in_other_groups_and_those_that_refuse(tmp_path):
    with Supervisor(tmp_path) as supervisor:
        command = [sys.executable, "-c", FAMILY]
        service = supervisor.start("family", command, {"PATH": os.defpath})
        service.wait(service.stdout.read_text)
        leader = service.process.pid
        assert len(watchdog.members({leader})) == 4
    assert not watchdog.members({leader})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_killed(tmp_path, number):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        leader = int(owner.stdout.readline())
        assert len(watchdog.members({leader})) == 4
        owner.send_signal(number)
        owner.wait(10)
    finally:
        owner.kill()
        owner.stdout.close()
    assert gone(leader, within=watchdog.GRACE + 5)


def test_a_service_that_ends_early_is_reported_with_its_last_words(tmp_path):
    with Supervisor(tmp_path) as supervisor:
        command = ["sh", "-c", "echo no disk left >&2; exit 3"]
        service = supervisor.start("doomed", command, {"PATH": os.defpath})
        with pytest.raises(ServiceFailed, match=r"(?s)doomed ended with exit status 3.*no disk"):
            service.wait(lambda: False)


def test_a_service_that_never_gets_ready_is_reported(tmp_path):
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("slow", ["sleep", "60"], {"PATH": os.defpath})
        with pytest.raises(ServiceFailed, match="slow was not ready after 0 s"):
            service.wait(lambda: False, timeout=0.1)


def test_a_taken_port_is_no_obstacle():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with listen(port) as listener:
            assert listener.getsockname()[1] not in (0, port)


def test_a_free_preferred_port_is_used():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with listen(port) as listener:
        assert listener.getsockname()[1] == port
