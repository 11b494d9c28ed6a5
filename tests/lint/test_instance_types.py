"""What the template knows of SageMaker's instance types is what the API has."""

import re

import botocore.session
from cfn_templates import load_project


def test_our_own_trainer_is_refused_every_accelerated_type_of_the_api():
    """TrainingAlgorithm Pipewright is refused with an instance type that has GPUs or other accelerators."""
    api = botocore.session.get_session().get_service_model("sagemaker")
    types = api.shape_for("TrainingInstanceType").enum
    accelerated = [name for name in types if re.match(r"ml\.(g|p|trn|inf)\d", name)]
    assert len(accelerated) > 50
    rule = load_project().root["Rules"]["OwnTrainerComputesOnCpus"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "TrainingAlgorithm"}, "Pipewright"]}
    (assertion,) = rule["Assertions"]
    (contained,) = assertion["Assert"]["Fn::Not"]
    refused, asked = contained["Fn::Contains"]
    assert asked == {"Ref": "TrainingInstanceType"}
    assert sorted(refused) == sorted(accelerated)
