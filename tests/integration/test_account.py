"""The account and region that the environment leads to."""

import os
import subprocess
import sys

import pytest

from ops.account import is_loopback, region_of_environment
from ops.local.system import STACK


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """An environment whose only region is the profile's."""
    path = tmp_path / "config"
    path.write_text("[default]\nregion = eu-west-3\n")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    return monkeypatch


def test_the_region_is_what_the_aws_command_line_takes(profile):
    assert region_of_environment() == "eu-west-3"
    profile.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert region_of_environment() == "eu-west-2"
    profile.setenv("AWS_REGION", "eu-west-1")
    assert region_of_environment() == "eu-west-1"
    profile.setenv("AWS_CONFIG_FILE", "/nonexistent")
    profile.delenv("AWS_DEFAULT_REGION")
    profile.delenv("AWS_REGION")
    assert region_of_environment() is None


def test_without_settings_an_installation_is_found_by_prefix_and_region(system, tmp_path):
    environment = {**os.environ, **system.environment(), "AWS_CONFIG_FILE": "/nonexistent"}
    del environment["AWS_DEFAULT_REGION"]
    command = [sys.executable, "-m", "ops.stack", "verify", "--prefix", STACK]
    command += ["--config", tmp_path / "samconfig.toml"]
    looked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "are as they must be" in looked.stdout, looked.stderr


def test_a_guided_deployment_offers_the_region_and_needs_a_yes(system, tmp_path):
    for name in ("cargo", "cargo-lambda"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    environment = {**system.environment(), "AWS_CONFIG_FILE": "/nonexistent"}
    del environment["AWS_DEFAULT_REGION"]
    environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    settings = tmp_path / "samconfig.toml"
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "ops.stack", "deploy", "--skip-image"),
            *("--config", settings),
        ],
        env=environment,
        input="\nguided\n\n\nno\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert asked.returncode == 1
    assert f"[{system.environment()['AWS_REGION']}]: " in asked.stdout
    assert "account 123456789012, region eu-west-1" in asked.stdout
    assert "nothing was deployed and nothing was written" in asked.stderr
    assert not settings.exists()


def test_only_this_machine_is_no_account():
    for url in ("http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566"):
        assert is_loopback(url), url
    for url in ("https://cloudformation.eu-west-1.amazonaws.com", "http://10.0.0.1", "nonsense"):
        assert not is_loopback(url), url
