"""Writes shared/data/sagemaker_shapes.json: what the steps' arguments and descriptions hold.

The table is drawn from the service models that botocore ships (Apache-2.0). Run it with the
packages of tests/definitions/requirements.txt:

    python tests/definitions/make_shapes.py > shared/data/sagemaker_shapes.json
"""

import json
import pathlib
import re

import botocore
import botocore.loaders

# Which calls are the Arguments of steps, and which descriptions references read.
STEP_TYPES = pathlib.Path(__file__).parents[2] / "shared/src/definition/step_types.rs"
# What pipelines add to a description, as shapes of their own.
ADDED = {
    "DescribeHyperParameterTuningJob": {
        "TrainingJobSummaries": "HyperParameterTrainingJobSummaries"
    },
    "DescribeAutoMLJob": {"BestCandidateProperties": "CandidateProperties"},
}
# The reports of an AutoML step, which the developer guide names beside the candidate's own members.
REPORTS_OF_CANDIDATE = ("ModelInsightsJsonReportPath", "ExplainabilityJsonReportPath")
# Longer ones are lists of instance types and the like, which grow every month.
LONGEST_FIXED_ENUM = 40

# How a plain value of the service's model is called in the table.
SCALARS = {
    "string": "string",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "blob": "blob",
}

# Patterns that the service does not hold to: the SDK's integration tests register a model for "*".
UNENFORCED = {"ResponseMIMEType"}
# Texts that break the pattern and are doubtful only: the names of what may exist elsewhere, which the
# SDK's tests stand in for, and locations that the SDK writes where nothing was uploaded.
TOLERATED = {
    "RoleArn": "[\\w+=,.@-]{1,64}",
    "SubnetId": "[\\w-]+",
    "SecurityGroupId": "[\\w-]+",
    "ModelName": "[\\w-]+",
    "FileSystemId": "fs-\\w*",
    "ContentDigest": "[\\w.+-]+/[\\w.+-]+",
    "S3Uri": "(s3://|file://.*|/.*)",
    "Url": "(s3://|file://.*|/.*)",
}


def pattern_of(name: str, text: str) -> str | None:
    """The pattern as it stands in the table; None where every text fits it.

    Patterns are Java's. What the reader of the table has no words for is widened, never narrowed:
    classes of Unicode become their ASCII members and everything beyond ASCII.
    """
    if name in UNENFORCED or text in (".*", "[\\S\\s]*", "[\\S\\s]+", "[\\s\\S]+"):
        return None
    if "\\uD800" in text:
        return None
    text = text.replace("(?!\\s*$).+", "\\s*\\S.*").replace("(?<!-)", "")
    text = re.sub(r"\$\{\d+,\d+\}", "", text).replace("\\/", "/")
    text = re.sub(r"(?<=[a-z0-9])-\\\.", r".\\-", text)
    for category, members in {
        "Alnum": "a-zA-Z0-9",
        "L": "a-zA-Z\\x{80}-\\x{10FFFF}",
        "M": "",
        "N": "0-9",
        "P": "!-#%-*,-/:;?@\\[-\\]_{}",
        "S": "$+<-=>\\^`|~",
        "Z": " ",
    }.items():
        text = text.replace(f"\\p{{{category}}}", members)
    return None if re.search(r"\(\?[!<=]", text) else text


def main() -> None:
    model = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    shapes, operations = model["shapes"], model["operations"]
    table: dict[str, dict] = {}

    def add(name: str, limited: bool) -> str:
        """Adds a shape under its name, or names a scalar by its kind alone.

        What is only read is not held to limits.
        """
        shape = shapes[name]
        kind = shape["type"]
        if name in table:
            return name
        limits = {key: shape[key] for key in ("min", "max") if limited and key in shape}
        if kind in SCALARS:
            if not limited:
                return SCALARS[kind]
            entry = {"kind": SCALARS[kind], **limits}
            if values := shape.get("enum"):
                entry = {"enum": values}
                if len(values) > LONGEST_FIXED_ENUM:
                    entry["grows"] = True
            elif pattern := pattern_of(name, shape.get("pattern", ".*")):
                entry["pattern"] = pattern
                if name in TOLERATED:
                    entry["tolerated"] = TOLERATED[name]
            if len(entry) == 1 and "kind" in entry:
                return entry["kind"]
            table[name] = entry
            return name
        entry = table[name] = {}
        if kind == "structure":
            entry["members"] = {
                key: add(value["shape"], limited) for key, value in shape["members"].items()
            }
            if shape.get("required"):
                entry["required"] = shape["required"]
        elif kind == "list":
            entry.update({"list": add(shape["member"]["shape"], limited), **limits})
        else:
            entry.update(
                {
                    "map": add(shape["value"]["shape"], limited),
                    "key": add(shape["key"]["shape"], limited),
                    **limits,
                }
            )
        return name

    rows = STEP_TYPES.read_text()
    requests = {
        call: add(operations[call]["input"]["shape"], True)
        for call in re.findall(r'Arguments::Request\("(\w+)"\)', rows)
    }
    descriptions = {}
    for call in re.findall(r'Properties::Described\("(\w+)"\)', rows):
        descriptions[call] = add(operations[call]["output"]["shape"], False)
        for member, shape in ADDED.get(call, {}).items():
            table[descriptions[call]]["members"][member] = add(shape, False)
    for report in REPORTS_OF_CANDIDATE:
        table["CandidateProperties"]["members"][report] = "string"

    print("{")
    print(f' "source": "botocore {botocore.__version__}, service model of sagemaker",')
    print(f' "requests": {json.dumps(requests)},')
    print(f' "descriptions": {json.dumps(descriptions)},')
    print(' "shapes": {')
    lines = [f"  {json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
    print(",\n".join(lines))
    print(" }\n}")


main()
