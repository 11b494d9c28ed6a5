"""Ends every process of a run once the run itself is gone, however it went.

Reads process ids from standard input, one a line; each leads a session of its
own. When standard input closes (the run ended, or was killed) every process of
those sessions is asked to end, and killed when it has not after GRACE seconds.
A line `-ID` strikes one that has ended by itself off the list.
"""

import os
import signal
import subprocess
import sys
import time

GRACE = 4.0


def processes():
    """The living processes as (id, parent, group, session) tuples."""
    if os.path.isdir("/proc/self"):
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    # The command's name may hold spaces and parentheses.
                    state, *fields = file.read().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                parent, group, session = map(int, fields)
                yield int(entry), parent, group, session
        return
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, parent, group, state = line.split()[:4]
        if not state.startswith("Z"):
            yield int(pid), int(parent), int(group), -1


def members(leaders):
    """The living processes of the leaders' sessions and their descendants."""
    living = list(processes())
    found = {
        pid
        for pid, _, group, session in living
        if pid in leaders or group in leaders or session in leaders
    }
    while True:
        children = {pid for pid, parent, _, _ in living if parent in found} - found
        if not children:
            return found
        found |= children


def end(leaders):
    """Ask all to end, then kill what is left."""
    deadline = time.monotonic() + GRACE
    asked = set()
    while remaining := members(leaders):
        late = time.monotonic() > deadline
        for pid in remaining if late else remaining - asked:
            try:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            except ProcessLookupError:
                continue
        asked |= remaining
        time.sleep(0.02)


def main():
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    leaders = set()
    for line in sys.stdin:
        pid = int(line)
        leaders.add(pid) if pid > 0 else leaders.discard(-pid)
    if leaders:
        end(leaders)


if __name__ == "__main__":
    main()
