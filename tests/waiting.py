"""Waits for events on a machine that may be busy. A long timeout costs nothing if the event comes soon."""

import time
from collections.abc import Callable

import trio

#: A timeout in seconds. The expected event must not happen by itself within it.
TIMEOUT = 30.0


def becomes_true(condition: Callable[[], bool], seconds: float = TIMEOUT) -> bool:
    """Return whether the condition becomes true within this time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


async def hang_in_nursery() -> None:
    """Hang on trio, and raise a group with a `ConnectionError` when cancelled, as a client of a database may."""

    async def connect() -> None:
        try:
            await trio.sleep(TIMEOUT)
        except trio.Cancelled:
            raise ConnectionError from None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        await trio.sleep(TIMEOUT)
