"""One look-up under way, and how it ended."""

import asyncio
from concurrent.futures import Future
from typing import NamedTuple

from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring


class Landing(NamedTuple):
    """How a look-up ended: with the tenant's keys (None: it has none), or with an error."""

    ring: Keyring | None
    error: Hidden[BaseException] | None = None  # its text may hold a secret


class Flight:
    """One look-up. It belongs to no request: whoever asked for it may hang up, the others still get its answer."""

    __slots__ = ("future", "since")

    future: "Future[Landing]"
    since: float

    def __init__(self, since: float) -> None:
        self.since = since

    @classmethod
    def over(cls, ring: Keyring | None) -> "Flight":
        """One that need not be made, since its answer is known."""
        flight = cls(0.0)
        flight.future = Future()
        flight.future.set_result(Landing(ring))
        return flight

    @property
    def landed(self) -> bool:
        return self.future.done()

    @property
    def landing(self) -> Landing:
        """How it ended; one that has not is out of time."""
        if not self.future.done():
            return Landing(None, hide(TimeoutError()))
        if self.future.cancelled():
            return Landing(None, hide(asyncio.CancelledError()))
        error = self.future.exception()
        return self.future.result() if error is None else Landing(None, hide(error))
