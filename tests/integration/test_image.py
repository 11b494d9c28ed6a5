"""The images of the processing step and of DeepAR: built from their Dockerfile, run as SageMaker runs them.

Where no container registry can be reached, the base is made from Debian packages, so that this
needs a Debian machine with buildah, and root for its chroot isolation.
"""

import json
import os
import shutil
import subprocess

import pytest

from harness import BINARIES
from ops import ROOT
from processing_job import OUTPUTS, SCRIPT, Job, job_aws

# What the images may add to their base.
SIZE_LIMIT = 60_000_000
DEEPAR_SIZE_LIMIT = 15_000_000
BASE = "localhost/pipewright-debian-base"
IMAGE = "localhost/feature-engineering:test"
DEEPAR = "localhost/forecasting-deepar:test"


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
    buildah = Buildah(tmp_path_factory.mktemp("image"))
    buildah.script("debian-base.sh", BASE)
    yield buildah
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def build(buildah, tmp_path_factory):
    """Builds the image of a program that the checkout's build left, without what is only for debugging."""

    def build(package, name):
        programs = tmp_path_factory.mktemp("programs")
        command = ["strip", "-o", programs / package, BINARIES / package]
        subprocess.run(command, check=True)
        options = ["--package", package, "--programs", programs, "--base", BASE]
        buildah.script("build-image.sh", *options, name)
        return name

    return build


@pytest.fixture(scope="module")
def image(build):
    return build("feature-engineering", IMAGE)


@pytest.fixture(scope="module")
def deepar(build):
    return build("forecasting-deepar", DEEPAR)


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


def added(buildah, image):
    """The files that an image adds to its base, with their sizes."""
    base = buildah.files(buildah.container(BASE))
    files = buildah.files(buildah.container(image))
    return {name: size for name, size in files.items() if base.get(name) != size}


def test_the_image_is_small(buildah, image):
    files = added(buildah, image)
    assert list(files) == ["app/feature-engineering"]
    assert sum(files.values()) <= SIZE_LIMIT


def test_deepars_image_is_small_and_starts_its_program(buildah, deepar):
    files = added(buildah, deepar)
    assert list(files) == ["app/forecasting-deepar"]
    assert sum(files.values()) <= DEEPAR_SIZE_LIMIT
    inspected = json.loads(buildah("inspect", "--type", "image", deepar, check=True).stdout)
    config = inspected["Docker"]["config"]
    assert config["Entrypoint"] == ["/app/forecasting-deepar"]
    # By it SageMaker knows that it may give the server another port.
    assert config["Labels"]["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert list(config["ExposedPorts"]) == ["8080/tcp"]


def test_deepar_trains_in_its_image(buildah, deepar, tmp_path):
    hyperparameters = {
        **{"time_freq": "D", "epochs": "1", "context_length": "5", "prediction_length": "5"},
        **{"mini_batch_size": "8", "num_cells": "4"},
    }
    record = {"start": "2020-01-01 00:00:00", "target": [1.0 + n % 7 for n in range(400)]}
    for path, content in (
        ("input/config/hyperparameters.json", hyperparameters),
        ("input/data/train/train.json", record),
        ("input/data/test/test.json", record),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))
    container = buildah.container(deepar)
    result = buildah(
        *("run", "--isolation", "chroot", "--volume", f"{tmp_path}:/opt/ml"),
        *(container, "--", "/app/forecasting-deepar", "train"),
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "#quality_metric: host=algo-1, test RMSE <loss>=" in result.stdout
    assert os.listdir(tmp_path / "model") == ["model.pipewright-deepar"]


def test_a_job_runs_in_the_image(buildah, image, aws, tmp_path):
    job = Job(aws, tmp_path, "image-good")
    result = run_job(buildah, job)
    assert result.returncode == 0, result.stdout + result.stderr
    assert job.report()["status"] == "Succeeded"
    assert job.outputs() == OUTPUTS


def test_a_job_that_fails_in_the_image_leaves_its_message(buildah, image, aws, tmp_path):
    job = Job(aws, tmp_path, "image-missing")
    (tmp_path / "processing/input/assets/AAA.csv").unlink()
    result = run_job(buildah, job)
    assert result.returncode == 1
    assert "has no price file for AAA.csv" in job.message()
    assert job.report()["reason"] == job.message()
    assert job.outputs() == []
