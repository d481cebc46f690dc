"""A deadline for a coroutine that could not end at once, as reading a body nearly always does."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def rest_within(seconds: float, waits_for: Any, coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that was begun by `send(None)` and has to wait; `TimeoutError` if that takes longer than
    so many seconds.

    It runs in the awaiting task throughout: some frameworks bind what they do in `receive` to the task in which they
    began it.
    """
    begun = _Begun(waits_for, coroutine)
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(seconds):
            return await begun
    else:  # pragma: no cover -- one of the two runs on each version
        return await asyncio.wait_for(begun, seconds)


class _Begun(Generator[Any, Any, T], Awaitable[T]):
    """A coroutine that has taken its first step, to be awaited as if it had not."""

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
