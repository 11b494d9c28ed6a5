"""Every alarm has its section in docs/OPERATIONS.md."""

import re

from cfn_templates import ROOT, load_project

PAGE = (ROOT / "docs" / "OPERATIONS.md").read_text()


def headings():
    return re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)


def anchors():
    """The page's headings as links name them."""
    return {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings()}


def test_every_alarm_has_its_section():
    explained = {name for heading in headings() for name in re.findall(r"`([a-z-]+)`", heading)}
    alarms = {
        resource["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${Prefix}-")
        for _, _, resource in load_project().resources("AWS::CloudWatch::Alarm")
    }
    assert alarms - explained == set()


def test_every_alarm_on_a_metric_of_ours_names_one_that_is_written():
    """An alarm or dashboard on a metric that the functions do not write would never tell anything."""
    code = "".join(path.read_text() for path in (ROOT / "functions").rglob("src/*.rs"))
    template = (ROOT / "cfn" / "operations.yaml").read_text()
    named = re.findall(r"Namespace: Pipewright\n +MetricName: (\w+)", template)
    named += re.findall(r'\["Pipewright", "(\w+)"', template)
    assert len(named) > 5
    assert [name for name in named if f'"{name}"' not in code] == []


def test_every_link_within_the_page_leads_somewhere():
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) - anchors() == set()


def test_every_target_of_make_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("*/*/README.md"),
        *ROOT.glob("docs/*.md"),
    ):
        for target in re.findall(
            r"(?:`|^\$ )make (?:-s )?([a-z][a-z-]*)", page.read_text(), re.MULTILINE
        ):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page, target)
