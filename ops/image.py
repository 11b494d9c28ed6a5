"""The images of processing and training: tags, building and pushing, and what stands for them here."""

import hashlib
import json
import os
import subprocess

from ops import OpsError

# The programs that have an image each.
PROCESSING = "feature-engineering"
TRAINING = "forecasting-deepar"

# The one form of manifest that SageMaker takes.
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def tag_of_sources(root, program=PROCESSING):
    """The tag of a program's image that the checkout's sources make, known before it is built."""
    command = [root / "docker" / "image-tag.sh", program]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def find(ecr, repository, tag):
    """The manifest's media type of the image in the repository; None where there is none."""
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])[
            "imageDetails"
        ]
    except (
        ecr.exceptions.ImageNotFoundException,
        ecr.exceptions.RepositoryNotFoundException,
    ):
        return None
    return found[0].get("imageManifestMediaType", MANIFEST) if found else None


def build_and_push(root, program, repository, tag, region):
    """Build a program's image and push it, unless the repository has the tag already."""
    name = f"{program}:{tag}"
    environment = {**os.environ, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    for command in (
        [root / "docker" / "build-image.sh", "--package", program, name],
        [root / "docker" / "push-image.sh", name, f"{repository}:{tag}"],
    ):
        if subprocess.run(command, env=environment).returncode:
            raise OpsError(f"{command[0].name} failed; what it printed above says why")


def put_stand_in(ecr, repository, tag):
    """Put a manifest without layers where the local AWS looks for the image.

    Nothing pulls it: the stand-in for SageMaker runs the program from target/ in its place.
    """
    if find(ecr, repository, tag):
        return
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {"Labels": {"tag": tag}}}
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": f"sha256:{hashlib.sha256(config.encode()).hexdigest()}",
        },
        "layers": [],
    }
    ecr.put_image(
        repositoryName=repository,
        imageTag=tag,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=MANIFEST,
    )
