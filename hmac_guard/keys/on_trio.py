"""Look-ups on trio, where no task belongs to the request that began it. trio is imported only where it runs.

An event loop of trio's is known by its token.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any


def spawn(token: Any, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run an async function, which raises nothing, in a task of its own. From any thread."""
    import trio

    token.run_sync_soon(partial(trio.lowlevel.spawn_system_task, function, *arguments))


def run_from_thread(token: Any, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """What an async function gives. For a thread, which waits for it."""
    import trio

    return trio.from_thread.run(function, *arguments, trio_token=token)


async def wait(future: "Future[Any]", seconds: float) -> None:
    """Wait until a future is done, no longer than so many seconds."""
    import trio

    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def tell(_: "Future[Any]") -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    future.add_done_callback(tell)
    with trio.move_on_after(seconds):
        await done.wait()
