"""samconfig.toml: asked for once, then read, in SAM's own form."""

import functools
import json
import os
import random
import subprocess
import sys
import tomllib

import pytest

from harness import BINARIES, System
from ops import ROOT, OpsError
from ops.stack import settings
from ops.stack.bring_up import check_program


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
        raise OpsError(f"nobody in {region}")

    with pytest.raises(OpsError, match="nobody in eu-west-1"):
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
    command = [sys.executable, "-m", "ops.stack", *arguments]
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


def refusal(path, content):
    """Why settings are refused that are these bytes."""
    path.write_bytes(content)
    with pytest.raises(settings.SettingsWrong) as refused:
        settings.read(path, "default", ROOT)
    return str(refused.value)


def test_the_table_of_all_commands_counts_where_that_of_deploy_is_silent(tmp_path):
    """SAM's own table of all commands, [default.global.parameters], counts where that of `deploy` says nothing."""
    path = tmp_path / "samconfig.toml"
    everywhere = '[default.global.parameters]\nstack_name = "pw"\nregion = "eu-west-1"\n'
    deploy = '[default.deploy.parameters]\nparameter_overrides = "Prefix=pw"\n'
    path.write_text(everywhere + 's3_bucket = "mine"\n' + deploy)
    found = settings.read(path, "default", ROOT)
    assert (found.region, found.prefix, found.artifacts_bucket) == ("eu-west-1", "pw", "mine")
    path.write_text(everywhere + deploy + 'region = "eu-west-2"\n')
    assert settings.read(path, "default", ROOT).region == "eu-west-2"
    # Alone it is not an installation: none was asked for yet.
    path.write_text(everywhere)
    assert settings.read(path, "default", ROOT) is None
    said = refusal(path, b"[default.global.parameters]\nregion = 7\n" + deploy.encode())
    assert "[default.global.parameters] region is a number, and must be a text" in said


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("# f\u00fcr".encode("latin-1"), "is not in UTF-8 (byte 4); save it as UTF-8"),
        ("version = 0.1".encode("utf-16"), "is not in UTF-8 (byte 1); save it as UTF-8"),
        (b"[default", "Expected ']'"),
        (b'default = "x"', "[default] is a text, and must be a table"),
        (b'[default]\ndeploy = "x"', "[default.deploy] is a text, and must be a table"),
        (b"[default.deploy]\nparameters = []", "[default.deploy.parameters] is a list"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 10_000, "has a number that is too long"),
        (
            b"[default.deploy.parameters]\nparameter_overrides = 7\nregion = true\nstack_name = 2020-01-01\n",
            "parameter_overrides is a number, and must be a text or a list of texts",
        ),
        (b"[default.deploy.parameters]\nparameter_overrides = [1]\n", "must be a text or a list"),
        (b"[default.deploy.parameters]\nregion = true\n", "region is true or false, and must be"),
        (b"[default.deploy.parameters]\nstack_name = 2020-01-01\n", "stack_name is a date, and"),
        (b'[default.deploy.parameters]\nregion = "Ireland"\n', "'Ireland' is not a region"),
        (
            '[default.deploy.parameters]\nparameter_overrides = "FunctionMemoryInMB=\u00b2"\n'.encode(),
            "FunctionMemoryInMB is '\u00b2'; expected: a number from ",
        ),
        (
            b'[default.deploy.parameters]\nparameter_overrides = "FunctionMemoryInMB=%s"\n'
            % (b"9" * 5_000),
            "expected: a number from ",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_place(tmp_path, content, wanted):
    said = refusal(tmp_path / "samconfig.toml", content)
    assert wanted in said
    assert "samconfig.toml" in said


def test_whatever_the_file_holds_it_is_read_or_refused(tmp_path, monkeypatch):
    """Whatever samconfig.toml holds, it is read or refused in a sentence."""
    # template.yaml, which stays the same, takes longer to read than all the rest.
    monkeypatch.setattr(settings, "_parameters", functools.cache(settings._parameters))
    lot = random.Random(11)
    path = tmp_path / "samconfig.toml"
    values = ["7", "-1", "1.5", "nan", "true", "[]", "{}", '["a=b"]', "[[1]]", "1979-05-27", '""']
    values += [
        json.dumps(word) for word in ("x", "eu-west-1", "Prefix=pw", "Prefix", "A=\u00b2", "'")
    ]
    names = ["region", "stack_name", "s3_bucket", "parameter_overrides", "tags"]
    places = ["default", "default.deploy", "default.deploy.parameters", "default.global.parameters"]
    for _ in range(300):
        lines = []
        for place in lot.sample(places, lot.randrange(1, 5)):
            lines.append(f"[{place}]")
            chosen = lot.sample([*names, "deploy", "parameters"], lot.randrange(4))
            lines += [f"{name} = {lot.choice(values)}" for name in chosen]
        content = "\n".join(lines).encode()
        if lot.random() < 0.2:
            at = lot.randrange(len(content))
            content = content[:at] + lot.randbytes(2) + content[at:]
        path.write_bytes(content)
        try:
            found = settings.read(path, "default", ROOT)
        except settings.SettingsWrong as error:
            assert str(error).startswith(str(path))
        else:
            assert found is None or isinstance(found, settings.Settings)


def test_an_environment_is_a_name_without_dots(tmp_path):
    path = tmp_path / "samconfig.toml"
    for name in ("a.b", "", 'a"b', "a b"):
        with pytest.raises(settings.SettingsWrong, match="letters, digits, _ and - only"):
            settings.read(path, name, ROOT)


def test_a_file_that_cannot_be_added_to_is_left_as_it_is(tmp_path):
    path = tmp_path / "samconfig.toml"
    path.write_text("default = { sync = { parameters = {} } }\n")
    assert settings.read(path, "default", ROOT) is None
    before = path.read_bytes()
    chosen = settings.Settings("eu-west-1", {"Prefix": "pw"})
    with pytest.raises(settings.SettingsWrong, match="cannot be added"):
        settings.write(path, "default", chosen, "123456789012")
    assert path.read_bytes() == before


def test_a_program_that_lambda_could_not_run_is_refused():
    header = b"\x7fELF" + bytes(14)
    amd64, arm64 = header + (62).to_bytes(2, "little"), header + (183).to_bytes(2, "little")
    check_program("f", amd64 + b"GLIBC_2.34\0GLIBC_2.9\0", "x86_64")
    check_program("f", arm64, "arm64")
    with pytest.raises(OpsError, match="not for arm64"):
        check_program("f", amd64, "arm64")
    with pytest.raises(OpsError, match="glibc 2.39"):
        check_program("f", amd64 + b"GLIBC_2.4\0GLIBC_2.39\0", "x86_64")
