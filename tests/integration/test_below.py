"""Names and files that somebody else gave: no path outside of the folder, nothing that is not a file."""

import io
import os
import random
import socket
import subprocess
import types
from pathlib import Path

import pytest

from harness import BINARIES, SAMPLES
from ops import OpsError, bounded
from ops.below import Below, NameRefused, file_name
from ops.local import outputs
from ops.local.run import read_template
from ops.pipeline.pipelines import OwnPipeline, upload

PARTS = [
    "a",
    "A",
    "b.csv",
    "link",
    "folder-link",
    "file",
    "..",
    ".",
    "",
    "\0",
    "~",
    "x" * 300,
    "é",
    "e\u0301",
]


def tree(folder):
    """All that lies below a folder, with its content; links are not followed."""
    return {
        path: path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("seed", range(60))
def test_nothing_outside_of_the_folder_is_ever_written(tmp_path, seed):
    """Whatever names are given, and whatever links lie in the folder, nothing outside of it is written."""
    made = random.Random(seed)
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "a").mkdir(parents=True)
    root.mkdir()
    (outside / "precious").write_text("precious")
    (root / "file").write_text("before")
    (root / "link").symlink_to(outside / "precious")
    (root / "folder-link").symlink_to(outside)
    before = tree(outside)
    below, written = Below(root), {}
    for _ in range(20):
        name = "/".join(made.choices(PARTS, k=made.randint(0, 4)))
        try:
            path = below.file(name)
        except NameRefused:
            continue
        assert path.is_relative_to(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        written[name] = path
    assert tree(outside) == before
    assert sorted(os.listdir(tmp_path)) == ["outside", "root"]
    for name, path in written.items():
        assert path.read_text() == name
    assert len({name.casefold() for name in written}) == len(written)


def test_each_fault_of_a_name_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    below = Below(tmp_path)
    assert below.file("Data/a.csv") == tmp_path / "Data" / "a.csv"
    assert below.file("Data/a.csv") == tmp_path / "Data" / "a.csv"
    (tmp_path / "plain").touch()
    for name, words in {
        "": "is empty",
        "/etc/passwd": "begins with /",
        "../x": "'..'",
        "a/../../x": "'..'",
        "a//b": "''",
        "a/": "''",
        "a\0b": "control character",
        "x" * 256: "255 bytes",
        "link": "not a regular file",
        "link/x": "a link or a file",
        "plain/x": "a link or a file",
        "pipe": "not a regular file",
        "Data/A.csv": "one file on many machines",
        "data/b.csv": "one file on many machines",
        "Data": "for a folder",
        "Data/a.csv/x": "for a folder",
    }.items():
        with pytest.raises(NameRefused, match=words):
            below.file(name)
    with pytest.raises(NameRefused, match="has a /"):
        file_name("a/b")


def test_only_regular_files_are_read_and_not_more_than_the_limit(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "good.csv").write_text("text")
    (tmp_path / "link.csv").symlink_to(tmp_path / "good.csv")
    with open(tmp_path / "large.csv", "wb") as file:
        file.truncate(1 << 40)
    with socket.socket(socket.AF_UNIX) as unix:
        monkeypatch.chdir(tmp_path)
        unix.bind("socket.csv")
        for name, words in {
            "pipe.csv": "is a named pipe",
            "zero.csv": "is a device",
            "large.csv": "larger than 16 MiB",
            ".": "is a folder",
        }.items():
            with pytest.raises(bounded.Unfit, match=words):
                bounded.read(tmp_path / name, bounded.LARGEST_TEXT)
        with pytest.raises(OSError):
            bounded.read(tmp_path / "socket.csv", bounded.LARGEST_TEXT)
    assert bounded.read(tmp_path / "link.csv", 4) == b"text"


class Bucket:
    """As much of S3 as is needed to list keys that somebody chose, and to fetch what they name."""

    exceptions = types.SimpleNamespace(NoSuchKey=KeyError)

    def __init__(self, *keys):
        self._keys = keys
        self.system = types.SimpleNamespace(
            outputs={"ModelsBucketName": "models"}, client=lambda service: self
        )

    def get_paginator(self, operation):
        return self

    def paginate(self, Bucket, Prefix):
        return [{"Contents": [{"Key": key} for key in self._keys if key.startswith(Prefix)]}]

    def download_file(self, bucket, key, target):
        Path(target).write_text(key)

    def get_object(self, Bucket, Key):
        return {"Body": io.BytesIO(Key.encode())}


@pytest.mark.parametrize(
    "key", ["../../outside", "a/../../../outside", "/etc/outside", "a//b", ".."]
)
def test_fetching_outputs_writes_nothing_outside_of_their_folder(tmp_path, key):
    """Fetching an execution's outputs writes nothing outside of their folder, whatever the keys are."""
    directory = tmp_path / "runs" / "e"
    directory.mkdir(parents=True)
    bucket = Bucket("pipeline/e/", "pipeline/e/good/x.csv", f"pipeline/e/{key}")
    with pytest.raises(NameRefused):
        outputs.fetch_below(bucket.system, "pipeline/e/", directory)
    files = [path.relative_to(tmp_path).as_posix() for path in tree(tmp_path) if path.is_file()]
    assert files == ["runs/e/good/x.csv"]
    for name in ("../e", "/etc", "..", ""):
        with pytest.raises(NameRefused):
            outputs.outputs_folder(types.SimpleNamespace(out=None), name)


def test_a_link_out_of_a_pipelines_directory_is_not_uploaded(tmp_path):
    """What a link in a pipeline's directory leads to outside of it is not uploaded."""
    directory = tmp_path / "mine"
    (directory / "code").mkdir(parents=True)
    (directory / "template.json.tera").write_text("{}")
    (directory / "stack.yaml").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    (directory / "code" / "run.py").symlink_to(tmp_path / "secret")
    sent = []
    s3 = types.SimpleNamespace(put_object=lambda **request: sent.append(request))
    with pytest.raises(OpsError, match="is a link out of"):
        upload(lambda service: s3, OwnPipeline(directory), {"PipelineBucketName": "pipelines"})
    assert b"secret" not in [request.get("Body") for request in sent]


def special(directory):
    """Files of a price file's name that never end."""
    directory.mkdir()
    content = (SAMPLES / "sp500-20" / "JPM.csv").read_bytes()
    (directory / "GOOD.csv").write_bytes(content)
    os.mkfifo(directory / "PIPE.csv")
    (directory / "ZERO.csv").symlink_to("/dev/zero")


def test_prices_that_are_no_regular_files_are_refused_by_name(tmp_path):
    """A pipe or a device that has a price file's name is refused by it, and not waited for."""
    special(tmp_path / "prices")
    for command in (("features", "check"), ("data", "import")):
        checked = subprocess.run(
            [BINARIES / "pipewright", *command, "--assets", tmp_path / "prices"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert checked.returncode != 0
        said = checked.stdout + checked.stderr
        assert "PIPE.csv" in said and "a named pipe" in said, said
        assert "ZERO.csv" in said and "a device" in said, said
    with pytest.raises(OpsError, match="is a device"):
        read_template("/dev/zero")


def test_a_definition_that_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "definition.json")
    for path, words in ((tmp_path / "definition.json", "a named pipe"), ("/dev/zero", "a device")):
        checked = subprocess.run(
            [BINARIES / "pipewright", "definition", "check", path],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert checked.returncode != 0
        assert words in checked.stderr + checked.stdout
    with open("/dev/zero", "rb") as zero:
        checked = subprocess.run(
            [BINARIES / "pipewright", "definition", "check", "-"],
            stdin=zero,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "larger than 16 MiB" in checked.stderr + checked.stdout
