"""Waiting for what has to come, on a machine that may be busy: where it comes soon, much patience costs nothing."""

import time
from collections.abc import Callable

#: Seconds. What a test waits for must not come by itself meanwhile.
PATIENCE = 30.0


def comes(happens: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether it happens within so many seconds."""
    patience = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > patience:
            return False
        time.sleep(0.002)
    return True
