"""Writes shared/data/sagemaker_shapes.json: what the steps' arguments and descriptions hold.

The table is drawn from the service models that botocore ships (Apache-2.0). Run it with the
packages of tests/definitions/requirements.txt:

    python tests/definitions/make_shapes.py > shared/data/sagemaker_shapes.json
"""

import json

import botocore
import botocore.loaders

# The requests that the Arguments of steps are, and the descriptions that references read.
REQUESTS = {
    "Processing": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "Tuning": "CreateHyperParameterTuningJob",
    "Transform": "CreateTransformJob",
    "Model": "CreateModel",
    "RegisterModel": "CreateModelPackage",
    "AutoML": "CreateAutoMLJob",
    "EndpointConfig": "CreateEndpointConfig",
    "Endpoint": "CreateEndpoint",
    "InferenceComponent": "CreateInferenceComponent",
    "QualityCheck": "CreateProcessingJob",
    "ClarifyCheck": "CreateProcessingJob",
}
DESCRIPTIONS = {
    "Processing": "DescribeProcessingJob",
    "Training": "DescribeTrainingJob",
    "Tuning": "DescribeHyperParameterTuningJob",
    "Transform": "DescribeTransformJob",
    "Model": "DescribeModel",
    "RegisterModel": "DescribeModelPackage",
    "AutoML": "DescribeAutoMLJob",
    "EndpointConfig": "DescribeEndpointConfig",
    "Endpoint": "DescribeEndpoint",
    "InferenceComponent": "DescribeInferenceComponent",
}
# What pipelines add to a description.
ADDED = {
    "Tuning": {"TrainingJobSummaries": "HyperParameterTrainingJobSummaries"},
    "AutoML": {"BestCandidateProperties": "CandidateProperties"},
}
# Longer ones are lists of instance types and the like, which grow every month.
LONGEST_ENUM = 40


def main() -> None:
    model = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    shapes, operations = model["shapes"], model["operations"]
    table: dict[str, dict] = {}

    def add(name: str) -> str:
        """Adds a shape under its name, or names a scalar by its kind alone."""
        shape = shapes[name]
        kind = shape["type"]
        if kind == "string" and 0 < len(shape.get("enum", [])) <= LONGEST_ENUM:
            table.setdefault(name, {"enum": shape["enum"]})
            return name
        if kind not in ("structure", "list", "map"):
            return {
                "timestamp": "number",
                "long": "number",
                "integer": "number",
                "float": "number",
                "double": "number",
            }.get(kind, kind)
        if name not in table:
            entry = table[name] = {}
            if kind == "structure":
                entry["members"] = {
                    key: add(value["shape"]) for key, value in shape["members"].items()
                }
                if shape.get("required"):
                    entry["required"] = shape["required"]
            elif kind == "list":
                entry["list"] = add(shape["member"]["shape"])
                if shape.get("min"):
                    entry["min"] = shape["min"]
            else:
                entry["map"] = add(shape["value"]["shape"])
        return name

    requests = {step: add(operations[name]["input"]["shape"]) for step, name in REQUESTS.items()}
    descriptions = {}
    for step, name in DESCRIPTIONS.items():
        descriptions[step] = add(operations[name]["output"]["shape"])
        for member, shape in ADDED.get(step, {}).items():
            table[descriptions[step]]["members"][member] = add(shape)

    print("{")
    print(f' "source": "botocore {botocore.__version__}, service model of sagemaker",')
    print(f' "requests": {json.dumps(requests)},')
    print(f' "descriptions": {json.dumps(descriptions)},')
    print(' "shapes": {')
    lines = [f"  {json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
    print(",\n".join(lines))
    print(" }\n}")


main()
