"""The templates fit every region that has a DeepAR image, China and GovCloud included.

That the definition fits them is a test of the crate `pipewright`
(`the_shipped_template_fills_for_every_region`), and that names do is a rule of template_checks.
"""

import json

from cfn_templates import ROOT, load_project
from cfnlint.helpers import REGIONS as KNOWN
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

REGIONS = list(json.loads((ROOT / "shared/data/regions.json").read_text())["regions"])


def without_package_group():
    """The regions in which the template leaves the model package group out."""
    conditions = load_project().nested["PipelineStack"]["Conditions"]
    (alternatives,) = conditions["MakesModelPackageGroup"]["Fn::Not"]
    return {each["Fn::Equals"][1] for each in alternatives["Fn::Or"]}


def test_every_resource_type_exists_in_every_region():
    project = load_project()
    types = {
        (stack, logical_id): resource["Type"]
        for stack, logical_id, resource in project.resources()
        if not resource["Type"].startswith("Custom::")
    }
    lacking = {
        (region, type_)
        for region in REGIONS
        # Of the isolated regions cfn-lint knows nothing.
        if region in KNOWN
        for type_ in set(types.values()) - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))
    }
    assert lacking == {
        (region, "AWS::SageMaker::ModelPackageGroup") for region in without_package_group()
    }


def test_every_partition_is_among_the_regions():
    partitions = {"cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1"}
    assert partitions <= set(REGIONS) & set(KNOWN)


def test_a_region_without_a_deepar_image_is_refused_before_any_change():
    (assertion,) = load_project().root["Rules"]["RegionHasDeepAR"]["Assertions"]
    assert assertion["Assert"] == {"Fn::Contains": [REGIONS, {"Ref": "AWS::Region"}]}
