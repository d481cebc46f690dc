"""A deadline for reading a body, on asyncio and on trio."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Generator
from math import inf
from typing import Any

from hmac_guard.keys.calling import runs_on_trio

_ENDED = object()


def within(seconds: float, coroutine: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run a coroutine until it has to wait. Return None if it has ended, or a coroutine for the rest of it.

    It runs in the awaiting task: some frameworks bind the work in `receive` to the task that started it. No timer is
    set for a coroutine that does not have to wait, except on trio, where it always runs later.

    Args:
        seconds: The most seconds.
        coroutine: The coroutine.

    Raises:
        TimeoutError: It takes longer. The returned coroutine raises it.
    """
    if "trio" in sys.modules and runs_on_trio():
        return _on_trio(seconds, coroutine)
    # `send` would raise StopIteration at the end of the coroutine, which takes more instructions.
    waits_for = next(coroutine.__await__(), _ENDED)
    return None if waits_for is _ENDED else _in_time(seconds, _Started(waits_for, coroutine))


def is_in_cancelled_scope() -> bool:
    """Return whether this runs in a cancelled scope of anyio, on asyncio or on trio."""
    anyio = sys.modules.get("anyio")
    if anyio is None:
        return False
    try:
        return bool(anyio.current_effective_deadline() == -inf)
    except RuntimeError:  # There is no event loop.
        return False


async def _in_time(seconds: float, started: Awaitable[None]) -> None:
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(seconds):
            await started
    else:  # pragma: no cover -- one of the two runs on each version
        await _cancelled_after(seconds, started)


async def _cancelled_after(
    seconds: float, started: Awaitable[None]
) -> None:  # pragma: no cover -- for Python 3.10 alone
    """Like `asyncio.timeout`, for Python 3.10. Its `wait_for` would run the coroutine in another task."""
    task: Any = asyncio.current_task()
    is_late = False

    def cancel() -> None:
        nonlocal is_late
        is_late = task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, cancel)
    try:
        await started
    except asyncio.CancelledError:
        if is_late:
            raise asyncio.TimeoutError from None
        raise
    finally:
        timer.cancel()


async def _on_trio(seconds: float, coroutine: Coroutine[Any, Any, None]) -> None:
    import trio

    # trio nests cancel scopes strictly, and `receive` may open one. So the scope of the deadline is opened first.
    with trio.move_on_after(seconds):
        await coroutine
        return
    raise asyncio.TimeoutError


class _Started(Generator[Any, Any, None], Awaitable[None]):
    """A coroutine after its first step. It can be awaited like a new one."""

    __slots__ = ("_coroutine", "_first")

    def __init__(self, first: Any, coroutine: Coroutine[Any, Any, None]) -> None:
        self._first: list[Any] = [first]
        self._coroutine = coroutine

    def __await__(self) -> "Generator[Any, Any, None]":
        return self

    def send(self, value: Any) -> Any:
        return self._first.pop() if self._first else self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)
