"""`make deploy`: from a checkout to a running installation."""

import re
import shutil
import subprocess

from ops import OpsError, image
from ops.stack import artifacts, names
from ops.stack.deployer import Deployer
from ops.stack.ownership import STACK_TAG, as_tags, entangled, installation, installations
from ops.stack.packages import Packager, function_of, zip_function

# What Lambda's provided.al2023 has.
_GLIBC = (2, 34)
_RUST_ARCHITECTURES = {"x86_64": "--x86-64", "arm64": "--arm64"}


def need_programs(with_image):
    """Refuse at once what would fail after minutes."""
    missing = [name for name in ("cargo", "cargo-lambda") if not shutil.which(name)]
    if with_image:
        if not any(shutil.which(name) for name in ("docker", "podman", "buildah")):
            missing.append("docker, podman or buildah (or SKIP_IMAGE=1, to push the image later)")
        if not shutil.which("aws"):
            missing.append("aws, the AWS command line (or SKIP_IMAGE=1)")
    if missing:
        raise OpsError("not installed: " + "; ".join(missing))


def functions(root):
    """The names of the functions that template.yaml deploys."""
    resources = names.templates(root)[""]["Resources"]
    return [
        function_of(name, resource["Properties"]["CodeUri"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def build_functions(root, architecture):
    """Compile the functions for Lambda into target/lambda/."""
    command = ["cargo", "lambda", "build", "--release", "--locked"]
    command.append(_RUST_ARCHITECTURES[architecture])
    for function in functions(root):
        command += ["--package", function]
    if subprocess.run(command, cwd=root).returncode:
        raise OpsError("cargo-lambda failed; what it printed above says why")


def check_program(function, program, architecture):
    """Refuse a program that Lambda could not run: another processor's, or a newer glibc's."""
    machine = int.from_bytes(program[18:20], "little") if program[:4] == b"\x7fELF" else None
    if machine != {"x86_64": 62, "arm64": 183}[architecture]:
        raise OpsError(f"the program of {function} is not for {architecture}; build it again")
    needed = {
        (int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", program)
    }
    if needed and max(needed) > _GLIBC:
        found = ".".join(map(str, max(needed)))
        raise OpsError(
            f"the program of {function} needs glibc {found}, and Lambda's provided.al2023 has "
            f"{_GLIBC[0]}.{_GLIBC[1]}: it was built without zig, which cargo-lambda links with"
        )


def built_function(root, architecture, function):
    """The zip of a function that cargo-lambda built."""
    path = root / "target" / "lambda" / function / "bootstrap"
    if not path.is_file():
        raise OpsError(f"{path} is missing: cargo-lambda did not build it")
    program = path.read_bytes()
    check_program(function, program, architecture)
    return zip_function(program)


def refuse_leftovers(root, target, settings):
    """A first deployment fails on names that an earlier installation left: say so before."""
    present = [
        kept
        for kept in names.kept(root, settings.prefix, target.account, target.region)
        if exists(target, kept)
    ]
    if present:
        raise OpsError(
            f"there is no stack {settings.stack}, but an earlier one left"
            + "".join(f"\n  {kept.type} {kept.name}" for kept in present)
            + "\n`make destroy` removes those with the tag of the installation, with all that they "
            "hold; another Prefix leaves them alone"
        )


def refuse_entangled(target, prefix):
    """Refuse a first installation whose names those of another could be taken for."""
    others = installations(target.client("cloudformation"))
    if near := entangled(prefix, others):
        raise OpsError(
            f"there is an installation {', '.join(near)} here: what is written for the one, such as "
            f"`{min(prefix, *near, key=len)}-*` in somebody's policy, would take the other's for its "
            "own. Take a Prefix that neither begins the other's name with a hyphen after it nor is "
            "begun by it"
        )


def exists(target, kept):
    """Whether a retained resource is there."""
    if kept.type == "AWS::S3::Bucket":
        client = target.client("s3")
        call, arguments = client.head_bucket, {"Bucket": kept.name}
    elif kept.type == "AWS::DynamoDB::Table":
        client = target.client("dynamodb")
        call, arguments = client.describe_table, {"TableName": kept.name}
    else:
        client = target.client("sagemaker")
        call = client.describe_model_package_group
        arguments = {"ModelPackageGroupName": kept.name}
    try:
        call(**arguments)
    except client.exceptions.ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "403":
            raise OpsError(
                f"the bucket {kept.name} is another account's, or this identity may not look at it; "
                "another Prefix has other names"
            ) from error
        absent = ("404", "NoSuchBucket", "ResourceNotFound", "ResourceNotFoundException")
        if code in absent or (code == "ValidationException" and "does not exist" in message):
            return False
        raise
    return True


def make_package_group(target, name, prefix):
    """The model package group where CloudFormation lacks its type; nothing to do elsewhere."""
    if exists(target, names.Named("AWS::SageMaker::ModelPackageGroup", name)):
        return
    target.client("sagemaker").create_model_package_group(
        ModelPackageGroupName=name,
        ModelPackageGroupDescription="Models trained by the pipeline",
        Tags=as_tags({STACK_TAG: prefix, "pipewright:part": "pipeline"}),
    )


def image_tags(root, settings):
    """The tag of each image that the installation runs, by its program."""
    programs = [image.PROCESSING]
    if settings.parameters.get("TrainingAlgorithm") == "Pipewright":
        programs.append(image.TRAINING)
    return {program: image.tag_of_sources(root, program) for program in programs}


def deploy_stack(root, target, settings, tags, code, progress, say):
    """Package and deploy template.yaml; gives the outputs of all its stacks."""
    deployer = Deployer(target.client, target.interval, target.timeout, say)
    own = installation(settings.stack)
    # Before what an earlier one left is looked for: this is an earlier one.
    deployer.clear_failed_creation(own, progress)
    if deployer.find_own(own) is None:
        refuse_entangled(target, settings.prefix)
        refuse_leftovers(root, target, settings)
    bucket = artifacts.prepare(target, settings, say)
    url = Packager(target.client, root, bucket, code).package()
    parameters = {
        **settings.parameters,
        "ImageTag": tags[image.PROCESSING],
        "TrainingImageTag": tags.get(image.TRAINING, ""),
    }
    return deployer.deploy(own, url, parameters, progress)


def bring_up(root, target, settings, code, with_image, headline, progress):
    """Deploy the stack, then its images; gives the outputs.

    A tag is known before the image is built, and the stack makes the repository that the image
    is pushed to; start-execution refuses as long as an image is missing.
    """
    tags = image_tags(root, settings)
    headline(f"Deploying template.yaml as stack {settings.stack}")
    outputs = deploy_stack(root, target, settings, tags, code, progress, headline)
    make_package_group(target, outputs["ModelPackageGroupName"], settings.prefix)
    if not with_image:
        headline("Leaving the image out, as asked")
        return outputs
    repositories = {
        image.PROCESSING: outputs["RepositoryName"],
        image.TRAINING: outputs.get("TrainingRepositoryName"),
    }
    for program, tag in tags.items():
        put_image(root, target, program, repositories[program], tag, headline)
    return outputs


def put_image(root, target, program, repository, tag, headline):
    """See that the repository has the program's image of this tag."""
    if image.find(target.client("ecr"), repository, tag):
        headline(f"The repository has the image {repository}:{tag}")
    elif target.is_local:
        headline(f"Standing in for the image {repository}:{tag} by the program in target/debug")
        image.put_stand_in(target.client("ecr"), repository, tag)
    else:
        headline(f"Building and pushing the image {repository}:{tag}")
        image.build_and_push(root, program, repository, tag, target.region)
