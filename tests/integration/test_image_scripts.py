"""The scripts around the image, with programs in place of docker and the AWS command line."""

import os
import shutil
import subprocess

import pytest

from ops import ROOT

URI = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/pipewright/feature-engineering"

AWS = """#!/bin/sh
echo "aws $*" >> "$CALLS"
case "$2" in
    describe-repositories)
        [ -e "$STATE/repository" ] && { echo "$URI"; exit 0; }
        echo "An error occurred (${FAULT:-RepositoryNotFoundException})" >&2; exit 254 ;;
    create-repository) touch "$STATE/repository" ;;
    describe-images)
        [ -e "$STATE/image" ] && exit 0
        echo 'An error occurred (ImageNotFoundException)' >&2; exit 254 ;;
    get-login-password) echo secret ;;
esac
"""

ENGINE = """#!/bin/sh
[ "$1" != login ] || read -r password
echo "docker $*${password:+ with $password}" >> "$CALLS"
[ "$1" != push ] || touch "$STATE/image"
"""


@pytest.fixture
def push(tmp_path):
    """Runs the push script; gives its result and the calls it made so far."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"aws": AWS, "docker": ENGINE}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(target="pipewright/feature-engineering:4f0e", **environment):
        calls.write_text("")
        result = subprocess.run(
            ["/bin/sh", ROOT / "docker/push-image.sh", "feature-engineering:4f0e", target],
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "CALLS": str(calls),
                "STATE": str(tmp_path),
                "URI": URI,
                **environment,
            },
            capture_output=True,
            text=True,
        )
        return result, calls.read_text().splitlines()

    return run


def test_a_repository_that_is_missing_is_made_and_the_image_pushed(push):
    result, calls = push()
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{URI}:4f0e\n"
    (created,) = [call for call in calls if "create-repository" in call]
    assert "scanOnPush=true" in created and "IMMUTABLE" in created
    assert calls[-3:] == [
        "docker login --username AWS --password-stdin "
        "111122223333.dkr.ecr.eu-west-1.amazonaws.com with secret",
        f"docker tag feature-engineering:4f0e {URI}:4f0e",
        f"docker push {URI}:4f0e",
    ]


def test_an_image_that_is_there_is_not_pushed_again(push):
    push()
    result, calls = push()
    assert result.returncode == 0
    assert result.stdout == f"{URI}:4f0e\n"
    assert not any("create-repository" in call or "docker" in call for call in calls)


def test_another_error_of_ecr_is_shown_and_nothing_is_made(push):
    result, calls = push(FAULT="AccessDeniedException")
    assert result.returncode == 1
    assert "AccessDeniedException" in result.stderr
    assert not any("create-repository" in call for call in calls)


def test_a_target_without_tag_is_refused(push):
    result, calls = push("pipewright/feature-engineering")
    assert result.returncode == 2
    assert "docker/push-image.sh IMAGE REPOSITORY:TAG" in result.stderr
    assert calls == []


@pytest.mark.parametrize(
    ("package", "other"),
    [("feature-engineering", "forecasting-deepar"), ("forecasting-deepar", "feature-engineering")],
)
def test_the_tag_changes_with_the_sources_and_with_nothing_else(tmp_path, package, other):
    sources = ["Cargo.lock", "Cargo.toml", "docker", "shared"]
    for name in sources:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)

    def tag(root):
        script = root / "docker/image-tag.sh"
        command = [script, package]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    tags = [tag(ROOT), tag(tmp_path)]
    for unused in ("push-image.sh", f"{other}/src/main.rs"):
        (tmp_path / "docker" / unused).write_text("// another")
    tags.append(tag(tmp_path))
    assert len(set(tags)) == 1 and len(tags[0]) == 16
    for source in (f"docker/{package}/src/main.rs", "docker/job/src/lib.rs"):
        with open(tmp_path / source, "a") as main:
            main.write("\n")
        tags.append(tag(tmp_path))
    assert len(set(tags)) == 3


def test_each_program_has_a_tag_of_its_own_and_no_other_has_one():
    script = ROOT / "docker/image-tag.sh"

    def ask(*package):
        return subprocess.run([script, *package], capture_output=True, text=True)

    tags = [ask("feature-engineering"), ask("forecasting-deepar")]
    assert ask().stdout == tags[0].stdout != tags[1].stdout
    unknown = ask("fourcasting")
    assert unknown.returncode == 2
    assert "there is no program docker/fourcasting" in unknown.stderr
