"""The base images' digests are taken from their registry, and held against what it sends."""

import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading

import pytest

from ops import ROOT

PROGRAM = ROOT / "docker" / "base_images.py"
INDEX = "application/vnd.oci.image.index.v1+json"
OLD = "sha256:" + "0" * 64


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class FakeRegistry(http.server.ThreadingHTTPServer):
    """A registry with one image, which gives a token to anybody and wants it with every question."""

    def __init__(self):
        config = json.dumps({"created": "2026-11-01T00:00:00Z"}).encode()
        manifest = json.dumps({"config": {"digest": digest(config)}, "layers": []}).encode()
        entry = {"digest": digest(manifest), "platform": {"os": "linux", "architecture": "amd64"}}
        other = {"digest": OLD, "platform": {"os": "linux", "architecture": "arm64"}}
        index = json.dumps({"mediaType": INDEX, "manifests": [other, entry]}).encode()
        self.index = digest(index)
        self.content = {
            "/v2/library/base/manifests/slim": index,
            f"/v2/library/base/manifests/{digest(index)}": index,
            f"/v2/library/base/manifests/{digest(manifest)}": manifest,
            f"/v2/library/base/blobs/{digest(config)}": config,
        }
        self.realm = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                if path == "/token":
                    assert "scope=repository%3Alibrary%2Fbase%3Apull" in query
                    return self.answer(200, b'{"token": "for-anybody"}')
                if self.headers.get("Authorization") != "Bearer for-anybody":
                    realm = self.server.realm or f"{self.server.url}/token"
                    challenge = f'Bearer realm="{realm}",scope="repository:library/base:pull"'
                    return self.answer(401, b"", {"WWW-Authenticate": challenge})
                if path not in self.server.content:
                    return self.answer(404, b"{}")
                return self.answer(200, self.server.content[path])

            def answer(self, status, body, headers=None):
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": len(body)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def registry():
    with FakeRegistry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def updated(registry, tmp_path, reference="library/base:slim"):
    """The Dockerfile after an update, and the ended process."""
    path = tmp_path / "Dockerfile"
    path.write_text(f"ARG BASE_IMAGE=127.0.0.1:{registry.server_port}/{reference}\nFROM x\n")
    done = subprocess.run(
        [sys.executable, PROGRAM, path], capture_output=True, text=True, timeout=60
    )
    return path.read_text(), done


@pytest.mark.parametrize("before", ["", f"@{OLD}"])
def test_the_newest_digest_is_taken_and_shown_with_its_date(registry, tmp_path, before):
    text, done = updated(registry, tmp_path, f"library/base:slim{before}")
    assert done.returncode == 0, done.stderr
    assert text.splitlines()[0].endswith(f"/library/base:slim@{registry.index}")
    assert f"{registry.index}, made 2026-11-01" in done.stdout
    again, done = updated(registry, tmp_path, f"library/base:slim@{registry.index}")
    assert again == text
    assert "still sha256:" in done.stdout


@pytest.mark.parametrize("what", ["missing", "forged", "elsewhere"])
def test_a_registry_that_does_not_answer_as_it_should_changes_nothing(registry, tmp_path, what):
    reference = "library/base:slim"
    if what == "missing":
        reference = "library/base:none"
    elif what == "forged":
        for path in registry.content:
            if "/blobs/" in path:
                registry.content[path] = b'{"created": "another"}'
    else:
        registry.realm = "http://login.example.com/token"
    text, done = updated(registry, tmp_path, reference)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert text.splitlines()[0].endswith(reference)


def test_every_base_image_is_named_by_its_digest():
    """The image's base images are named by digest, and change only when `make base-images` is run."""
    text = (ROOT / "docker" / "Dockerfile").read_text()
    images = re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE)
    assert len(images) == 2
    for name, image in images:
        assert re.search(r":[^@/]+@sha256:[0-9a-f]{64}$", image), image
        assert f"FROM ${{{name}}}" in text
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
    ours = {"scratch", "${PROGRAM}", *stages, *(f"${{{name}}}" for name, _ in images)}
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= ours
