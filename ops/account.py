"""The AWS account that the environment leads to."""

import ipaddress
import os
import urllib.parse

import boto3


def region_of_environment():
    """The region that the AWS command line would take; None where there is none.

    boto3 reads AWS_DEFAULT_REGION alone; the command line and every other SDK read AWS_REGION first.
    """
    return os.environ.get("AWS_REGION") or boto3.Session().region_name


def unknown_caller(why, stay):
    """What to say where there are no credentials, or no good ones; `stay` is what to do instead."""
    return (
        f"AWS does not know who you are: {why}. Give credentials as for the AWS command line "
        f"(AWS_PROFILE=..., `aws configure sso`), or {stay}"
    )


def is_loopback(url):
    """Whether an endpoint is on this machine, and so no account of anybody's."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
