"""COST.md says what its arithmetic gives."""

import importlib.util

from cfn_templates import ROOT, load_project

SPEC = importlib.util.spec_from_file_location("cost", ROOT / "docs" / "cost.py")
cost = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(cost)
PAGE = (ROOT / "docs" / "COST.md").read_text()


def test_the_page_quotes_what_is_computed():
    missing = [line for line in cost.report() if line and line not in PAGE]
    assert missing == []


def test_no_alarm_is_forgotten():
    alarms = list(load_project().resources("AWS::CloudWatch::Alarm"))
    assert len(alarms) == cost.ALARMS


def test_the_comparison_uses_the_same_arithmetic():
    processing = cost.TRAININGS * 10 / 60 * cost.PRICES["ml.m5.xlarge hour"]
    training = cost.TRAININGS * 12 / 60 * cost.PRICES["ml.m5.xlarge hour"]
    volumes = cost.TRAININGS * sum(cost.cost(p) for name, p in cost.TRAINING if "volume" in name)
    by_name = {name: cost.TRAININGS * cost.cost(parts) for name, parts in cost.TRAINING}
    figures = [processing, training, volumes]
    figures += [value for name, value in by_name.items() if name.startswith(("DynamoDB", "S3"))]
    figures += [value for name, value in by_name.items() if "function" in name]
    for figure in figures:
        assert f"| {figure:.2f} |" in PAGE, figure
