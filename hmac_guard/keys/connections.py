"""The connections that look-ups use now, so that another thread can close them.

A driver waits on a dead connection without an end.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hmac_guard.forking import after_fork

_lock = threading.Lock()
_uses: dict[int, "Use"] = {}


class Use:
    """The connection that the look-up on one thread uses now.

    Attributes:
        is_given_up: No request waits for the look-up any longer.
    """

    __slots__ = ("_close", "is_given_up")

    def __init__(self) -> None:
        self.is_given_up = False
        self._close: Callable[[], None] | None = None

    def closes_with(self, close: Callable[[], None] | None) -> None:
        """Set the function that another thread calls if the look-up is given up; None if there is nothing to close."""
        with _lock:
            self._close = close

    def give_up(self) -> None:
        self.is_given_up = True
        if self._close is not None:
            self._close()


@contextmanager
def in_use() -> Iterator[Use]:
    """Record what this thread uses, until the end of the block."""
    thread, use = threading.get_ident(), Use()
    with _lock:
        _uses[thread] = use
    try:
        yield use
    finally:
        with _lock:
            _uses.pop(thread, None)  # In a child that this thread has forked, it is already removed.


def give_up(thread: int) -> None:
    """Close the connection that the look-up on that thread waits for."""
    # The lock is held until the socket is closed: the thread must not give the connection back before, since another
    # thread would get it.
    with _lock, suppress(Exception):
        if thread in _uses:
            _uses[thread].give_up()


def _reset() -> None:
    global _lock  # noqa: PLW0603 - a forked child must not wait for a thread of its parent
    _lock = threading.Lock()
    _uses.clear()


after_fork(_reset)


def shut_down(driver_connection: Any) -> None:
    """End a connection of a driver. Another thread waits on it.

    The waiting thread gets the same error as if the server closes the connection. psycopg, psycopg2 and PyMySQL give
    access to their socket; connections of other drivers are left open.
    """
    fileno = getattr(getattr(driver_connection, "_sock", driver_connection), "fileno", None)
    descriptor = fileno() if fileno is not None else None
    if isinstance(descriptor, int):
        # `shutdown` ends the connection for every copy of its descriptor, `close` ends only this copy.
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            copy.shutdown(socket.SHUT_RDWR)
