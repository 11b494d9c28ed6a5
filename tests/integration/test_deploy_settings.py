"""samconfig.toml: asked for once, then read, in SAM's own form."""

import os
import subprocess
import sys
import tomllib

import pytest

import settings
from bring_up import check_program
from faults import NotReady
from harness import BINARIES, System
from system import ROOT


def answers(*given):
    given = list(given)
    return lambda question: given.pop(0)


def test_what_was_answered_is_written_and_read_again(tmp_path):
    path = tmp_path / "samconfig.toml"
    said = []
    chosen = settings.ask(
        ROOT,
        "eu-west-1",
        answers("", "Assets", "assets", "riscv", "arm64", "me@example.com"),
        said.append,
    )
    # Each wrong answer was told and asked for again.
    assert any("'Assets'" in each for each in said)
    assert any("x86_64, arm64" in each for each in said)
    path.write_text('version = 0.1\n\n[other.deploy.parameters]\nregion = "eu-west-2"\n')
    settings.write(path, "default", chosen, "123456789012")
    again = settings.read(path, "default", ROOT)
    assert again.region == "eu-west-1"
    assert again.stack == "assets"
    expected = {"Prefix": "assets", "Architecture": "arm64", "AlarmEmail": "me@example.com"}
    assert again.parameters == expected
    assert again.bucket("123456789012") == "assets-artifacts-123456789012-eu-west-1"
    assert settings.read(path, "other", ROOT).region == "eu-west-2"
    table = tomllib.loads(path.read_text())["default"]["deploy"]["parameters"]
    assert table["stack_name"] == "assets"
    assert table["capabilities"] == "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"


def test_nothing_more_is_asked_when_the_region_has_no_account():
    asked = []

    def answer(question):
        asked.append(question)
        return ""

    def with_region(region):
        raise NotReady(f"nobody in {region}")

    with pytest.raises(NotReady, match="nobody in eu-west-1"):
        settings.ask(ROOT, "eu-west-1", answer, with_region=with_region)
    assert len(asked) == 1


def run(tmp_path, *arguments):
    """What `make` runs, without credentials and with cargo-lambda at hand; gives its output."""
    for name in ("cargo", "cargo-lambda"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, ROOT / "deploy" / "main.py", *arguments]
    command += ["--config", tmp_path / "samconfig.toml"]
    done = subprocess.run(
        command,
        env=environment,
        input="eu-west-1\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_credentials_are_looked_for_before_anything_is_asked(tmp_path):
    said = run(tmp_path, "deploy", "--skip-image")
    assert "AWS does not know who you are" in said
    assert "Region" not in said


def test_who_wants_no_question_gets_none(tmp_path):
    said = run(tmp_path, "deploy", "--skip-image", "--yes", "--environment", "foo")
    assert "samconfig.toml has no [foo.deploy.parameters], and YES=1" in said
    assert "Region" not in said


def test_an_environment_that_is_named_must_be_there(tmp_path):
    # On the local AWS as well, where the default one may be missing.
    file = tmp_path / "environment.sh"
    with System(tmp_path / "system", BINARIES, ROOT / ".local" / "functions") as system:
        system.start()
        with system.announced(file):
            for action in ("deploy", "verify", "destroy", "import"):
                said = run(
                    *(tmp_path, action, "--local", "--environment", "foo"),
                    *("--environment-file", str(file), "--binaries", str(BINARIES)),
                )
                assert "samconfig.toml has no [foo.deploy.parameters], which ENV names" in said


def test_both_spellings_of_sam_are_read():
    one = 'Prefix="a b" LogLevel=info'
    two = ["ParameterKey=Prefix,ParameterValue=x", "LogLevel=warn"]
    assert settings.read_overrides(one) == {"Prefix": "a b", "LogLevel": "info"}
    assert settings.read_overrides(two) == {"Prefix": "x", "LogLevel": "warn"}


def test_every_fault_of_the_file_is_told_at_once(tmp_path):
    path = tmp_path / "samconfig.toml"
    overrides = "Prefix=Upper ImageTag=x TrainingImageTag=y LogRetentionInDays=2 Colour=blue RetainedImages=1"
    path.write_text(f'[default.deploy.parameters]\nparameter_overrides = "{overrides}"\n')
    with pytest.raises(settings.SettingsWrong) as refused:
        settings.read(path, "default", ROOT)
    for word in (
        *("Upper", "ImageTag", "TrainingImageTag", "LogRetentionInDays"),
        *("Colour", "RetainedImages", "region"),
    ):
        assert word in str(refused.value)


def test_a_program_that_lambda_could_not_run_is_refused():
    header = b"\x7fELF" + bytes(14)
    amd64, arm64 = header + (62).to_bytes(2, "little"), header + (183).to_bytes(2, "little")
    check_program("f", amd64 + b"GLIBC_2.34\0GLIBC_2.9\0", "x86_64")
    check_program("f", arm64, "arm64")
    with pytest.raises(NotReady, match="not for arm64"):
        check_program("f", amd64, "arm64")
    with pytest.raises(NotReady, match="glibc 2.39"):
        check_program("f", amd64 + b"GLIBC_2.4\0GLIBC_2.39\0", "x86_64")
