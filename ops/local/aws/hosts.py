"""Which hosts are AWS's own, in any partition."""

import functools

from botocore.loaders import create_loader


@functools.cache
def _suffixes():
    """What the names of AWS's hosts end with, as botocore knows it: `.amazonaws.com`, `.api.aws`, ..."""
    partitions = create_loader().load_data("partitions")["partitions"]
    outputs = [partition["outputs"] for partition in partitions]
    names = ("dnsSuffix", "dualStackDnsSuffix")
    return tuple({f".{output[name]}" for output in outputs for name in names})


def is_aws(host):
    """Whether a host's name, without a port, is one of AWS's."""
    return host.lower().endswith(_suffixes())
