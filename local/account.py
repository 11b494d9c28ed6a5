"""The AWS account that the environment leads to."""

import os

import boto3


def region_of_environment():
    """The region that the AWS command line would take; None where there is none.

    boto3 reads AWS_DEFAULT_REGION alone; the command line and every other SDK read AWS_REGION first.
    """
    return os.environ.get("AWS_REGION") or boto3.Session().region_name
