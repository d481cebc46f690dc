"""Free ports, for servers that need a port number."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOCAL = "127.0.0.1"


@contextmanager
def own_port() -> Iterator[int]:
    """Reserve a port of this machine until the block ends. The test can start a server on it."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((LOCAL, 0))
        port: int = place.getsockname()[1]
        if sys.platform != "linux":
            place.close()  # On other systems, a server could not listen on the reserved port.
        yield port


def accepts(port: int) -> bool:
    """Return whether a server listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex((LOCAL, port)) == 0
