"""Waits for events on a machine that may be busy. A long timeout costs nothing if the event comes soon."""

import time
from collections.abc import Callable

#: A timeout in seconds. The expected event must not happen by itself within it.
PATIENCE = 30.0


def comes(happens: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Return whether the condition becomes true within this time."""
    patience = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > patience:
            return False
        time.sleep(0.002)
    return True
