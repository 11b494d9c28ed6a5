"""Reading and packaging templates, apart from any running system."""

import io
import os
import shutil
import zipfile

from ops.stack.packages import package_function
from ops.stack.template import parse_template


def test_short_forms_are_written_out():
    template = parse_template(
        """
        A: !Ref Name
        B: !GetAtt Stack.Outputs.Arn
        C: !Sub ["${x}", { x: !Ref Y }]
        D: !If [HasKey, !Ref Key, !Ref AWS::NoValue]
        E: !Condition HasKey
        """
    )
    assert template == {
        "A": {"Ref": "Name"},
        "B": {"Fn::GetAtt": ["Stack", "Outputs.Arn"]},
        "C": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]},
        "D": {"Fn::If": ["HasKey", {"Ref": "Key"}, {"Ref": "AWS::NoValue"}]},
        "E": {"Condition": "HasKey"},
    }


def test_a_policy_version_stays_text():
    assert parse_template("Version: 2012-10-17") == {"Version": "2012-10-17"}


def test_a_function_is_packaged_once_and_again_when_it_changed(tmp_path):
    binary = tmp_path / "tool"
    shutil.copyfile("/bin/true", binary)
    cache = tmp_path / "cache"
    first = package_function(binary, cache)
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == "bootstrap"
        assert entry.external_attr >> 16 == 0o755
    (kept,) = cache.glob("*.zip")
    kept.write_bytes(b"from the cache")
    assert package_function(binary, cache) == b"from the cache"
    os.utime(binary, (1, 1))
    assert package_function(binary, cache) == first
    assert len(list(cache.glob("*.zip"))) == 1
