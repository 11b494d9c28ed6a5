"""Runs ministack as the local AWS, with what our system needs and it lacks.

The port is chosen by the process that starts this one: the listening socket comes
as an inherited file descriptor, so that a port can neither be taken in between
nor be unknown to the functions that are told about it. Usage:

    python -m ops.local.aws LISTENING_FD [ENDPOINT]

ENDPOINT is where the stand-in for SageMaker answers, if there is one. The account's access key and
secret come in the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import os
import socket
import sys

from ops.local.aws import stand_in


def main():
    """Serve until SIGTERM."""
    listener, *endpoint = sys.argv[1:]
    opened = socket.socket(fileno=int(listener))
    port = opened.getsockname()[1]
    opened.detach()
    stand_in.endpoint = endpoint[0] if endpoint else None
    # Read by ministack's modules while they are imported.
    os.environ["GATEWAY_PORT"] = str(port)
    from ops.local.aws.server import serve

    serve(int(listener), port)


if __name__ == "__main__":
    main()
