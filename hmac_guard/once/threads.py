"""The threads on which a guard calls a sync single-use store."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from hmac_guard.keys.threads import BoundedThreads, TooManyCalls
from hmac_guard.once.store import StoreFull

#: The most threads of one guard, and the most requests that have a thread or wait for one.
THREADS = 32
MOST = 256


class StoreThreads(BoundedThreads):
    """Runs calls of a store on at most `THREADS` threads. The end of the process does not wait for a stuck call."""

    def __init__(self) -> None:
        super().__init__("hmac_guard-once", THREADS, MOST)

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Return the future of a call. Raises `StoreFull` if `MOST` requests have a thread or wait for one."""
        try:
            return super().submit(call)
        except TooManyCalls:
            raise StoreFull(f"{MOST} requests wait for the single-use store already") from None
