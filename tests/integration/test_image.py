"""The image of the processing step: built from its Dockerfile, run as SageMaker runs it.

Where no container registry can be reached, the base is made from Debian packages, so that this
needs a Debian machine with buildah, and root for its chroot isolation.
"""

import os
import shutil
import subprocess

import pytest

from harness import BINARIES
from processing_job import SCRIPT, Job, job_aws
from system import ROOT

# What the image may add to its base.
SIZE_LIMIT = 60_000_000
BASE = "localhost/pipewright-debian-base"
IMAGE = "localhost/feature-engineering:test"


def lacking():
    """What this machine lacks to build and run an image, or None."""
    for program in ("buildah", "apt-get", "dpkg-deb", "strip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None if os.geteuid() == 0 else "buildah's chroot isolation needs root"


pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self, directory):
        self.command = [
            *("buildah", "--storage-driver", "vfs"),
            *("--root", str(directory / "storage"), "--runroot", str(directory / "run")),
        ]
        self.script_environment = {
            **os.environ,
            "BUILDAH": " ".join(self.command),
            "ENGINE": " ".join(self.command),
            "BUILDAH_ISOLATION": "chroot",
        }

    def __call__(self, *arguments, **options):
        return subprocess.run(
            [*self.command, *map(str, arguments)], capture_output=True, text=True, **options
        )

    def script(self, name, *arguments):
        command = ["/bin/sh", ROOT / "docker" / name, *map(str, arguments)]
        subprocess.run(command, env=self.script_environment, check=True)

    def container(self, image):
        return self("from", "--pull-never", image, check=True).stdout.strip()

    def files(self, container):
        """Every file's size by its path in the container's file system."""
        root = self("mount", container, check=True).stdout.strip()
        sizes = {}
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                sizes[os.path.relpath(path, root)] = os.lstat(path).st_size
        return sizes


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    directory = tmp_path_factory.mktemp("image")
    buildah = Buildah(directory)
    program = directory / "feature-engineering"
    subprocess.run(["strip", "-o", program, BINARIES / "feature-engineering"], check=True)
    buildah.script("debian-base.sh", BASE)
    buildah.script("build-image.sh", "--program", program, "--base", BASE, IMAGE)
    yield buildah
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with job_aws(tmp_path_factory.mktemp("aws")) as system:
        yield system


def run_job(buildah, job):
    """Run the image with the job's folder as /opt/ml, by the command of the pipeline's step."""
    code = job.root / "processing/input/code"
    code.mkdir()
    shutil.copyfile(SCRIPT, code / "run-fe-step.sh")
    container = buildah.container(IMAGE)
    try:
        settings = job.environment().items()
        return buildah(
            *("run", "--isolation", "chroot", "--volume", f"{job.root}:/opt/ml"),
            *(part for name, value in settings for part in ("--env", f"{name}={value}")),
            *(container, "--", "/bin/sh", "/opt/ml/processing/input/code/run-fe-step.sh"),
            *("--executionid", job.id),
            timeout=120,
        )
    finally:
        buildah("rm", container)


def test_the_image_is_small(buildah):
    base = buildah.files(buildah.container(BASE))
    image = buildah.files(buildah.container(IMAGE))
    added = {name: size for name, size in image.items() if base.get(name) != size}
    assert list(added) == ["app/feature-engineering"]
    assert sum(added.values()) <= SIZE_LIMIT


def test_a_job_runs_in_the_image(buildah, aws, tmp_path):
    job = Job(aws, tmp_path, "image-good")
    result = run_job(buildah, job)
    assert result.returncode == 0, result.stdout + result.stderr
    assert job.report()["status"] == "Succeeded"
    assert job.outputs() == [
        "features/features.csv",
        "features/importance.json",
        "features/series.json",
        "features/summary.json",
        "plots/assets-energy.png",
        "plots/assets-technology.png",
        "plots/autocorrelation-aaa.png",
        "plots/importance-classes.png",
        "plots/importance-columns.png",
        "plots/low-pass-b-b.png",
        "test/test.json",
        "train/train.json",
    ]


def test_a_job_that_fails_in_the_image_leaves_its_message(buildah, aws, tmp_path):
    job = Job(aws, tmp_path, "image-missing")
    (tmp_path / "processing/input/assets/AAA.csv").unlink()
    result = run_job(buildah, job)
    assert result.returncode == 1
    assert "has no price file for AAA.csv" in job.message()
    assert job.report()["reason"] == job.message()
    assert job.outputs() == []
