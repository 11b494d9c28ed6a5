"""One local AWS at a time is the one to use, and only while it lives."""

import os
import signal
import subprocess
import sys

import pytest

from harness import BINARIES, wait_for
from ops import OpsError
from ops.local import announcement, watchdog
from ops.local.announcement import Announcement, is_live

LINES = "export AWS_ENDPOINT_URL=http://127.0.0.1:1234\n"
OWNER = f"""
import sys, time
from pathlib import Path
from ops.local.announcement import Announcement
with Announcement(Path(sys.argv[1])) as owned:
    owned.publish({LINES!r})
    print("announced", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "environment.sh"


def test_a_second_one_is_refused_and_the_first_ones_file_stays(path):
    with Announcement(path) as first:
        with pytest.raises(OpsError, match="still starting"), Announcement(path):
            pass
        first.publish(LINES)
        with pytest.raises(OpsError) as refused, Announcement(path):
            pass
        for word in (f"process {os.getpid()} at http://127.0.0.1:1234", f"kill {os.getpid()}"):
            assert word in str(refused.value)
        assert path.read_text() == LINES
        assert is_live(path)
    assert not path.exists()
    assert not is_live(path)


def test_what_a_killed_one_left_is_no_obstacle_and_no_running_system(path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, path], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout.readline() == "announced\n"
        assert is_live(path)
        owner.kill()
    assert path.read_text() == LINES
    assert not is_live(path)
    with Announcement(path):
        # Gone at once, and not only when the new one is ready.
        assert not path.exists()


def test_only_ones_own_file_is_deleted(path):
    with Announcement(path) as first:
        first.publish(LINES)
        # As `make clean` and another `make local` would do.
        path.with_suffix(".lock").unlink()
        second = Announcement(path)
        second.__enter__()
        second.publish("another's\n")
    assert path.read_text() == "another's\n"
    second.__exit__()
    assert not path.exists()


def test_an_announcement_names_its_endpoint():
    assert announcement.endpoint_in(LINES) == "http://127.0.0.1:1234"
    assert announcement.endpoint_in("") is None


def test_make_local_runs_once_and_deploys_and_runs_work_beside_it(path, tmp_path):
    def command(program, *arguments):
        return [
            *(sys.executable, "-m", program, *arguments),
            *("--binaries", BINARIES, "--environment-file", path),
        ]

    def run(*arguments):
        return subprocess.run(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )

    first = subprocess.Popen(
        command("ops.local", "local"), stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        wait_for(lambda: is_live(path))
        # Also while the first one is starting.
        early = run("ops.local", "local")
        assert early.returncode == 1, early.stdout
        assert f"process {first.pid}, which is still starting" in early.stdout
        assert "Logs and" not in early.stdout
        assert any("Ctrl-C ends everything" in line for line in first.stdout)
        lines = path.read_text()
        second = run("ops.local", "local")
        assert second.returncode == 1, second.stdout
        assert f"process {first.pid} at http://127.0.0.1:" in second.stdout
        found = subprocess.run(
            ["sh", "-c", f'. "{path}"; command -v pipewright'], capture_output=True, text=True
        )
        assert found.stdout.strip() == str(BINARIES.resolve() / "pipewright")
        settings = tmp_path / "samconfig.toml"
        deployed = run("ops.stack", "deploy", "--local", "--config", settings)
        assert deployed.returncode == 0, deployed.stdout
        ended = run("ops.local", "run", "--epochs", "2", "--out", tmp_path / "out")
        assert ended.returncode == 0, ended.stdout
        assert path.read_text() == lines
        os.killpg(first.pid, signal.SIGINT)
        first.communicate(timeout=30)
        assert not path.exists()
    finally:
        first.kill()
        first.wait()
        wait_for(lambda: not watchdog.members({first.pid}))
