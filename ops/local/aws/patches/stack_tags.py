"""Hand a stack's tags on to its buckets, pipelines and package groups, as AWS does.

ministack does so for other types, and stores no tags of a bucket that a stack makes.
"""

from ministack.services import s3
from ministack.services.cloudformation import provisioners

_TAGGED = ("AWS::S3::Bucket", "AWS::SageMaker::Pipeline", "AWS::SageMaker::ModelPackageGroup")


def own_tags(properties):
    """The tags but CloudFormation's own, which no service lets a caller set."""
    return [tag for tag in properties.get("Tags", []) if not tag["Key"].startswith("aws:")]


def apply():
    """Apply it."""
    for type_ in _TAGGED:
        provisioners._STACK_TAG_PROPERTY[type_] = ("Tags", "list")
    handler = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    create, update = handler["create"], handler["update"]

    def tag(result, properties):
        s3._bucket_tags[result[0]] = {tag["Key"]: tag["Value"] for tag in own_tags(properties)}
        return result

    handler["create"] = lambda name, properties, stack: tag(
        create(name, properties, stack), properties
    )
    handler["update"] = lambda name, old, new, stack: tag(update(name, old, new, stack), new)
