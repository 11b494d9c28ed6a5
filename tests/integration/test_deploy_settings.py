"""samconfig.toml: asked for once, then read, in SAM's own form."""

import tomllib

import pytest

import settings
from bring_up import NotReady, check_program
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


def test_both_spellings_of_sam_are_read():
    one = 'Prefix="a b" LogLevel=info'
    two = ["ParameterKey=Prefix,ParameterValue=x", "LogLevel=warn"]
    assert settings.read_overrides(one) == {"Prefix": "a b", "LogLevel": "info"}
    assert settings.read_overrides(two) == {"Prefix": "x", "LogLevel": "warn"}


def test_every_fault_of_the_file_is_told_at_once(tmp_path):
    path = tmp_path / "samconfig.toml"
    overrides = "Prefix=Upper ImageTag=x LogRetentionInDays=2 Colour=blue RetainedImages=1"
    path.write_text(f'[default.deploy.parameters]\nparameter_overrides = "{overrides}"\n')
    with pytest.raises(settings.SettingsWrong) as refused:
        settings.read(path, "default", ROOT)
    for word in ("Upper", "ImageTag", "LogRetentionInDays", "Colour", "RetainedImages", "region"):
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
