"""One look-up under way, and how it ended."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring

# Seconds after which an event loop shows whether it runs on beside the requests, and by how many it may be late.
TICK = 0.25


class Landing(NamedTuple):
    """How a look-up ended: with the tenant's keys (None: it has none), or with an error."""

    ring: Keyring | None
    error: Hidden[BaseException] | None = None  # its text may hold a secret


class Flight:
    """One look-up. It belongs to no request: whoever asked for it may hang up, the others still get its answer."""

    __slots__ = ("future", "runs_on", "since")

    future: "Future[Landing]"
    since: float
    runs_on: bool

    def __init__(self, since: float) -> None:
        self.since = since
        self.runs_on = True

    @classmethod
    def over(cls, ring: Keyring | None) -> "Flight":
        """One that need not be made, since its answer is known."""
        flight = cls(0.0)
        flight.future = Future()
        flight.future.set_result(Landing(ring))
        return flight

    def watch(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        """See whether the event loop runs on: some run during requests alone, as in AWS Lambda."""
        self.runs_on = False

        def tick() -> None:
            self.runs_on = clock() - self.since < 2 * TICK

        loop.call_later(TICK, tick)

    def left_behind(self, now: float) -> bool:
        """Whether its event loop stood still, so that nothing is known of the source."""
        return not self.runs_on and now - self.since >= 2 * TICK

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
