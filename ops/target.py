"""Where a deployment goes: an AWS account, or the local AWS (`LOCAL=1`)."""

import dataclasses
import functools
import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Callable

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ops import OpsError
from ops.account import unknown_caller
from ops.local.announcement import is_live
from ops.stack.ownership import name_owner


@dataclasses.dataclass
class Target:
    """An account's region, or the local AWS."""

    client: Callable[[str], object]
    """A boto3 client by its service's name; S3's names the account in each call."""
    region: str
    account: str
    identity: str
    """The ARN of who deploys."""
    is_local: bool = False
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    """What a program has to have in its environment besides this process's to work on it."""
    # CloudFormation limits how often it may be asked; the local one doesn't.
    interval: float = 3.0
    timeout: float = 3600.0

    def __post_init__(self):
        make = self.client

        @functools.cache
        def client(service):
            made = make(service)
            return name_owner(made, self.account) if service == "s3" else made

        self.client = client

    @property
    def partition(self):
        """`aws`, `aws-cn`, `aws-us-gov` ...: the second part of every ARN."""
        return self.identity.split(":")[1]


def _unknown(why):
    return unknown_caller(why, "add LOCAL=1 to stay on this machine")


def need_credentials():
    """Refuse where there are none at all; whether they are good takes a region to ask in."""
    if boto3.Session().get_credentials() is None:
        raise OpsError(_unknown("there are no credentials"))


def of_account(region):
    """The account of the environment's credentials: profile, variables, or an instance's role."""
    session = boto3.Session(region_name=region)
    config = Config(retries={"mode": "standard", "max_attempts": 8})
    clients = {}

    def client(service):
        if service not in clients:
            clients[service] = session.client(service, config=config)
        return clients[service]

    try:
        caller = client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise OpsError(_unknown(error)) from error
    variables = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    return Target(client, region, caller["Account"], caller["Arn"], False, variables)


def of_system(system):
    """A running LocalSystem."""
    caller = system.client("sts").get_caller_identity()
    region = system.client("sts").meta.region_name
    account, arn = caller["Account"], caller["Arn"]
    return Target(system.client, region, account, arn, True, system.environment(), 0.1, 300.0)


def of_environment_file(path):
    """The local AWS that `make local` or `make deploy LOCAL=1` keeps running; None without one."""
    # What a killed one left may name a port that is another checkout's by now.
    if not is_live(path) or not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^export (AWS_\w+)=(.*)$", text, re.MULTILINE)
    variables = {name: shlex.split(value)[0] for name, value in found}
    endpoint = variables["AWS_ENDPOINT_URL"]
    try:
        urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return None
    sagemaker = variables["AWS_ENDPOINT_URL_SAGEMAKER"]
    clients = {}

    def client(service):
        if service not in clients:
            clients[service] = boto3.client(
                service,
                endpoint_url=sagemaker if service == "sagemaker" else endpoint,
                region_name=variables["AWS_REGION"],
                aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
                config=Config(s3={"addressing_style": "path"}, proxies={}),
            )
        return clients[service]

    caller = client("sts").get_caller_identity()
    region, account, arn = variables["AWS_REGION"], caller["Account"], caller["Arn"]
    return Target(client, region, account, arn, True, variables, 0.1, 300.0)
