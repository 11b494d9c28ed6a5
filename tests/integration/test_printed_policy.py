"""What `make deploy-policy` prints can be given to IAM as it is."""

import json
import os
import re
import subprocess
import sys

import pytest

from ops import ROOT
from ops.stack import policy

KNOWN = ["aws", "aws-cn", "aws-us-gov"]
MAIN = (sys.executable, "-m", "ops.stack")


def printed(tmp_path, *arguments, **environment):
    """What `make deploy-policy` runs; gives the ended process."""
    return subprocess.run(
        [
            *(*MAIN, "policy"),
            *("--config", tmp_path / "samconfig.toml", *arguments),
        ],
        env={**os.environ, "AWS_CONFIG_FILE": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_all_of_it_is_one_document_and_each_part_a_policy(tmp_path):
    account = ("--account", "123456789012")
    whole = printed(tmp_path, *account, AWS_REGION="cn-north-1")
    policies = json.loads(whole.stdout)
    assert list(policies) == [f"pipewright-deploy-{n}" for n in range(1, len(policies) + 1)]
    for number, each in enumerate(policies.values(), 1):
        part = printed(tmp_path, *account, "--part", str(number), AWS_REGION="cn-north-1")
        assert json.loads(part.stdout) == each
        assert set(each) == {"Version", "Statement"}
        assert policy.size(each) <= 6144
    # The partition is the region's.
    assert "arn:aws-cn:s3:::pipewright-assets-123456789012-cn-north-1" in whole.stdout
    beyond = printed(tmp_path, *account, "--part", "9", AWS_REGION="eu-west-1")
    assert (beyond.returncode, beyond.stdout) == (1, "")
    assert f"there are parts 1 to {len(policies)}" in beyond.stderr


def test_who_only_looks_may_write_nothing(tmp_path):
    account = ("--account", "123456789012", "--part", "reader")
    reading = json.loads(printed(tmp_path, *account, AWS_REGION="eu-west-1").stdout)
    assert policy.size(reading) <= 6144
    allowed = {action for each in reading["Statement"] for action in each["Action"]}
    verbs = ("Get", "Query", "Scan", "Describe", "List", "ReceiveMessage")
    assert all(action.partition(":")[2].startswith(verbs) for action in allowed)
    assert "arn:aws:s3:::pipewright-models-123456789012-eu-west-1/execution/*" in str(reading)
    page = (ROOT / "docs" / "CLI.md").read_text()
    told = set(re.findall(r"`([a-z0-9]+:[A-Z][A-Za-z]+)`", page)) - {"kms:Decrypt"}
    assert told == allowed


def test_what_no_arn_can_have_is_refused_at_once(tmp_path):
    refused = printed(tmp_path, "--account", "1234", "--partition", "aws-mars")
    assert (refused.returncode, refused.stdout) == (1, "")
    for words in ("ACCOUNT is '1234'", "AWS_REGION=eu-west-1", "PARTITION is 'aws-mars'", "aws-cn"):
        assert words in refused.stderr


@pytest.mark.parametrize(
    ("account", "partition", "region", "says"),
    [
        ("123456789012", None, "eu-west-1", []),
        ("123456789012", "aws-cn", "cn-north-1", []),
        (None, None, "eu-west-1", ["ACCOUNT is missing"]),
        ("12345678901x", "aws", "eu-west-1", ["12 digits"]),
        ("123456789012", None, "eu-wst-1", ["the nearest is eu-west-1"]),
    ],
)
def test_faults_of_what_is_given(account, partition, region, says):
    found = list(policy.faults(account, partition, region, KNOWN, policy.regions(ROOT)))
    assert len(found) == len(says)
    assert all(words in fault for words, fault in zip(says, found, strict=True))


def test_who_reads_only_the_beginning_makes_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [
            *(*MAIN, "policy", "--account", "123456789012"),
            *("--config", tmp_path / "samconfig.toml"),
        ],
        env={**os.environ, "AWS_REGION": "eu-west-1"},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr
    assert "Broken" not in done.stderr


def test_a_policy_that_is_alone_is_printed_as_it_is():
    assert policy.printed([{"a": 1}], None, "x") == {"a": 1}
