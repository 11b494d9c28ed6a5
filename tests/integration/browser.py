"""Pages in a real browser: Chromium without a window, spoken to by the DevTools protocol over a pipe."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from ops.local.system import ROOT

AXE = ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

# Puts two descriptors where the browser expects them, and becomes it.
AT_THREE_AND_FOUR = """
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A file or an address that is shown; `requests`, `console` and `seconds` say what happened while it was loaded."""

    def __init__(self, send, events):
        self._send = send
        self._events = events
        self.requests = []
        self.console = []
        self.seconds = None

    def open(self, address):
        """Load what is there, and wait until it is shown."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._send(f"{domain}.enable")
        begin = time.monotonic()
        self._send("Page.navigate", url=address)
        for event in self._events():
            method, facts = event["method"], event["params"]
            if method == "Network.requestWillBeSent":
                self.requests.append(facts["request"]["url"])
            elif method in (
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Log.entryAdded",
            ):
                self.console.append(facts)
            elif method == "Page.loadEventFired":
                break
        # Whatever is laid out after that counts as well.
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.seconds = time.monotonic() - begin

    def run(self, script):
        """The value of an expression of JavaScript; of a promise, what it comes to."""
        answer = self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width, height=900):
        """Show it in a window of this size, in pixels."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def media(self, media="screen", scheme="light"):
        """Show it on paper (`print`), or in a dark scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._send("Emulation.setEmulatedMedia", media=media, features=features)

    def cut_off(self):
        """The texts that stand outside of the window, and in nothing that scrolls there."""
        return self.run(
            """[...document.querySelectorAll('body *')].filter((element) => {
                if (!element.childNodes.length || element.closest('.scroll, .log, .chart, .track')) return false;
                const box = element.getBoundingClientRect();
                return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
            }).map((element) => element.outerHTML.slice(0, 200))"""
        )

    def findings(self):
        """What axe-core holds against it, by WCAG 2.2 at level AA: those that are serious or critical."""
        self.run(AXE.read_text())
        return self.run(
            """axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}).then((result) =>
                result.violations.filter((found) => ['serious', 'critical'].includes(found.impact)).map((found) =>
                    [found.id, found.nodes.slice(0, 3).map((node) => [node.html, node.failureSummary])]))"""
        )


@contextlib.contextmanager
def page_of(what):
    """A file, or what is at an address, in the browser; without one, the test is skipped, and says so."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser is installed ({', '.join(PROGRAMS)}): this page was not looked at")
    address = what if isinstance(what, str) else what.resolve().as_uri()
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    # The browser reads commands from its descriptor 3, and writes answers to 4.
    commands, ours = os.pipe()
    theirs, answers = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", AT_THREE_AND_FOUR, str(commands), str(answers)),
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--remote-debugging-pipe", f"--user-data-dir={profile.name}"),
        ],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    with (
        profile,
        os.fdopen(ours, "wb", buffering=0) as writer,
        os.fdopen(theirs, "rb") as reader,
    ):
        try:
            yield _opened(writer, reader, address)
        finally:
            process.kill()
            process.wait()


def _opened(writer, reader, address):
    waiting = []
    number = 0

    def received():
        text = bytearray()
        while (byte := reader.read(1)) not in (b"\0", b""):
            text += byte
        assert text, "the browser has ended"
        return json.loads(text)

    def send(method, session=None, **parameters):
        nonlocal number
        number += 1
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        writer.write(json.dumps(message).encode() + b"\0")
        while (answer := received()).get("id") != number:
            waiting.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def events():
        while True:
            event = waiting.pop(0) if waiting else received()
            if "method" in event:
                yield event

    target = send("Target.createTarget", url="about:blank")["targetId"]
    session = send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    page = Page(lambda method, **more: send(method, session, **more), events)
    page.open(address)
    return page
