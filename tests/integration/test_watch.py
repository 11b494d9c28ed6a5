"""`execution watch` on a terminal and in a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from harness import SAMPLE_TEMPLATE

COLUMNS = 60
UP = re.compile(r"\r\x1b\[(\d+)A\x1b\[J")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(system, execution, **variables):
    """What a watch writes to a terminal, and its exit status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {"TERM": "xterm-256color", **system.environment(), **variables}
    jobs = system.jobs_of("any/execution/any").parent
    command = system.command(*("execution", "watch", execution, "--interval", "50"), "--jobs", jobs)
    process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = bytearray()
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # Linux says so that the other end is closed.
            break
        if not read:
            break
        text += read
    os.close(ours)
    return process.wait(), text.decode().replace("\r\n", "\n")


def screens(text):
    """The lines that stand at the end, and each block of lines that was taken away before."""
    lines, blocks, place = [], [], 0
    for found in UP.finditer(text):
        lines += text[place : found.start()].split("\n")[:-1]
        height = int(found.group(1))
        blocks.append(lines[-height:])
        del lines[-height:]
        place = found.end()
    lines += text[place:].split("\n")
    return lines, blocks


@pytest.fixture(scope="module")
def watched(system):
    """A running execution, as a narrow terminal shows it."""
    answer = system.start_execution(SAMPLE_TEMPLATE["Id"])
    status, text = on_terminal(system, answer["executionId"])
    assert status == 0, text
    return answer["executionId"], text


def test_steps_stand_below_and_are_drawn_in_place(watched):
    """On a terminal, `execution watch` draws the steps in place, below its lines and no wider than the terminal, and
    takes them away at the end.
    """
    _, text = watched
    lines, blocks = screens(COLOUR.sub("", text))
    assert len(blocks) > 5
    assert all(len(line) < COLUMNS for block in blocks for line in block)
    told = "\n".join(line for block in blocks for line in block)
    assert re.search(r"Executing +\S.* AssetPrediction-Training-Step", told)
    assert re.search(r"epoch \d", told)
    assert "\x1b" not in "".join(lines)
    # What is left is what a pipe gets.
    assert sum("STEP" in line for line in lines) == 1


def test_a_pipe_gets_lines_and_no_more(system, watched):
    identity, text = watched
    status, output = system.call("execution", "watch", identity)
    assert status == 0
    assert "\x1b" not in output
    lines, _ = screens(COLOUR.sub("", text))
    summary = output[output.index("\nExecution ") :].strip()
    assert summary in "\n".join(lines)


@pytest.mark.parametrize(
    ("variables", "moves", "colours"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, False, True)],
)
def test_the_terminal_says_what_it_takes(system, watched, variables, moves, colours):
    status, text = on_terminal(system, watched[0], **variables)
    assert status == 0
    assert bool(UP.search(text)) == moves
    assert bool(COLOUR.search(text)) == colours
