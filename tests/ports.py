"""Ports for servers that want to be told theirs."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOCAL = "127.0.0.1"


@contextmanager
def own_port() -> Iterator[int]:
    """A port of this machine that nobody else is given until the block ends. Whoever is told of it may listen there."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((LOCAL, 0))
        port: int = place.getsockname()[1]
        if sys.platform != "linux":
            place.close()  # Elsewhere nobody may listen there, either.
        yield port


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((LOCAL, port)) == 0
