"""The stand-in for SageMaker, as the local AWS reaches it."""

import functools

import botocore.session

endpoint = None
"""Where it answers; None where there is none."""


@functools.cache
def client(service, region):
    """A client for the stand-in, or for the service that the environment names."""
    session = botocore.session.get_session()
    return session.create_client(
        service, region_name=region, endpoint_url=endpoint if service == "sagemaker" else None
    )
