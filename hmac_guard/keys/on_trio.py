"""Look-ups on trio, where no task belongs to the request that began it. trio is imported where it runs alone."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def start(look_up: Callable[[], Awaitable[T]]) -> "Future[T]":
    """What an async function gives, which raises nothing, in a task of its own that outlives the request."""
    import trio

    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # So that it cannot be cancelled before its result is set.

    async def run() -> None:
        future.set_result(await look_up())

    trio.lowlevel.spawn_system_task(run)
    return future


async def wait(future: "Future[Any]", seconds: float) -> None:
    """Wait until a future is done, no longer than so many seconds."""
    import trio

    done, token = trio.Event(), trio.lowlevel.current_trio_token()
    future.add_done_callback(lambda _: token.run_sync_soon(done.set))
    with trio.move_on_after(seconds):
        await done.wait()


async def within(answer: Awaitable[T], seconds: float) -> T:
    """What an awaitable gives; `TimeoutError` if that takes longer than so many seconds."""
    import trio

    with trio.move_on_after(seconds):
        return await answer
    raise TimeoutError
