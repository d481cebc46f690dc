"""A deadline for reading a body, on asyncio and on trio."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

from hmac_guard.keys.calling import runs_on_trio

T = TypeVar("T")


def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T | Coroutine[Any, Any, T]:
    """Return the result of a coroutine, or a coroutine for it.

    It runs in the awaiting task: some frameworks bind the work in `receive` to the task that started it. On asyncio a
    coroutine that does not have to wait is run at once, and no timer is set.

    Args:
        seconds: The most seconds.
        coroutine: The coroutine.

    Raises:
        TimeoutError: It takes longer. The returned coroutine raises it.
    """
    if "trio" in sys.modules and runs_on_trio():
        return _on_trio(seconds, coroutine)
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return _in_time(seconds, _Started(waits_for, coroutine))


async def _in_time(seconds: float, started: Awaitable[T]) -> T:
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(seconds):
            return await started
    else:  # pragma: no cover -- one of the two runs on each version
        return await _cancelled_after(seconds, started)


async def _cancelled_after(seconds: float, started: Awaitable[T]) -> T:  # pragma: no cover -- for Python 3.10 alone
    """Like `asyncio.timeout`, for Python 3.10. Its `wait_for` would run the coroutine in another task."""
    task: Any = asyncio.current_task()
    is_late = False

    def cancel() -> None:
        nonlocal is_late
        is_late = task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, cancel)
    try:
        return await started
    except asyncio.CancelledError:
        if is_late:
            raise asyncio.TimeoutError from None
        raise
    finally:
        timer.cancel()


async def _on_trio(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    import trio

    # trio nests cancel scopes strictly, and `receive` may open one. So the scope of the deadline is opened first.
    with trio.move_on_after(seconds):
        return await coroutine
    raise asyncio.TimeoutError


class _Started(Generator[Any, Any, T], Awaitable[T]):
    """A coroutine after its first step. It can be awaited like a new one."""

    __slots__ = ("_coroutine", "_first")

    def __init__(self, first: Any, coroutine: Coroutine[Any, Any, T]) -> None:
        self._first: list[Any] = [first]
        self._coroutine = coroutine

    def __await__(self) -> "Generator[Any, Any, T]":
        return self

    def send(self, value: Any) -> Any:
        return self._first.pop() if self._first else self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)
