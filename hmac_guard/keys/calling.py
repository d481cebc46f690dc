"""Calls of a resolver: on a thread that may wait for it, or on an event loop that must not.

trio is imported only by applications that use it. Its event loop is represented by its token.
"""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from asgiref.sync import async_to_sync, sync_to_async

from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.on_django import closing_old_connections
from hmac_guard.keys.on_gevent import is_patched, run_under_gevent
from hmac_guard.keys.resolver import KeyResolver, is_async

T = TypeVar("T")

#: The usual answers. One check for both: the time must not show whether a tenant has keys.
IMMEDIATE_TYPES = frozenset({Keyring, type(None)})


def from_loop(resolver: KeyResolver) -> Any:
    """Return the resolver as a callable for an event loop: it returns the keys, or an awaitable of them."""
    hidden = hide(resolver)
    del resolver
    on_loop = getattr(hidden.get(), "on_loop", None)
    if on_loop is not None:
        return on_loop
    if is_async(hidden.get()) or getattr(hidden.get(), "blocking", True) is False:
        return hidden.get()
    return _on_a_thread(_raising(hidden))


def _on_a_thread(resolver: KeyResolver) -> Any:
    """Return a coroutine function that runs a sync resolver on a worker thread of the running event loop."""
    on_asyncio = sync_to_async(resolver, thread_sensitive=False)

    async def resolve(claim: Claim) -> Any:
        if not runs_on_trio():
            return await on_asyncio(claim)
        import trio

        # Hidden also since trio refuses a coroutine as the result of a thread.
        answer = await trio.to_thread.run_sync(lambda: hide(resolver(claim)), abandon_on_cancel=True)
        return answer.get()

    return resolve


async def on_a_thread(function: Callable[[], T]) -> T:
    """Return the result of a sync function, run on a worker thread of the running event loop."""
    if not runs_on_trio():
        return await sync_to_async(function, thread_sensitive=False)()
    import trio

    return await trio.to_thread.run_sync(function)


def runs_on_trio() -> bool:
    """Return whether this runs in a task of trio."""
    trio: Any = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def is_cancellation(error: object) -> bool:
    """Return whether an exception is the cancellation of the running task, and not of something that it waits for.

    On Python 3.10 a task does not say whether it is being cancelled, so each `CancelledError` counts.
    """
    if not isinstance(error, asyncio.CancelledError):
        return False
    cancelling: Callable[[], int] = getattr(asyncio.current_task(), "cancelling", lambda: 1)
    return cancelling() > 0


def run_to_completion(answer: Any) -> Any:
    """Return a resolver's answer, and wait for it if it is awaitable. For threads without an event loop."""
    if type(answer) in IMMEDIATE_TYPES:
        return answer
    answer = hide(answer)
    if not inspect.isawaitable(answer.get()):
        return answer.get()
    return run_under_gevent(await_if_needed(answer)) if is_patched() else async_to_sync(await_if_needed)(answer)


async def await_if_needed(answer: Any) -> Any:
    """Return a resolver's answer, awaited as often as needed: a sync one on a worker thread may return a coroutine."""
    answer = hide(answer)
    while inspect.isawaitable(answer.get()):
        answer = hide(await answer.get())
    return answer.get()


def close_unawaited(answer: Hidden[Any]) -> None:
    """Close a resolver's coroutine that has not begun and never will: Python would warn that it was never awaited."""
    if inspect.iscoroutine(answer.get()) and inspect.getcoroutinestate(answer.get()) == inspect.CORO_CREATED:
        answer.get().close()


def _raising(resolver: Hidden[KeyResolver]) -> KeyResolver:
    """Return a resolver for a worker thread, which raises `RuntimeError` in place of `StopIteration`.

    A StopIteration (of a `next()` that found nothing) cannot leave a worker thread: the request would wait without an
    end.
    """

    def resolve(claim: Claim) -> Any:
        try:
            with closing_old_connections():
                return resolver.get()(claim)
        except StopIteration:
            raise RuntimeError("the key resolver raised StopIteration") from None

    return resolve


def running_loop() -> Any:
    """Return the event loop that this runs on: asyncio's, or the token of trio's."""
    return sys.modules["trio"].lowlevel.current_trio_token() if runs_on_trio() else asyncio.get_running_loop()


def is_trio(loop: Any) -> bool:
    return not hasattr(loop, "is_running")


def has_stopped(loop: Any) -> bool:
    """Return whether a loop does not run now. It is between two uses, or will never run again."""
    if not is_trio(loop):
        return not loop.is_running()
    import trio

    try:
        loop.run_sync_soon(_do_nothing)
    except trio.RunFinishedError:
        return True
    return False


def has_ended(loop: Any) -> bool:
    """Return whether a loop will never run again."""
    return has_stopped(loop) if is_trio(loop) else loop.is_closed()


def _do_nothing() -> None:
    """Show that a loop runs."""


def spawn(loop: Any, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> bool:
    """Run a coroutine function on a loop, from any thread. Return False if the loop has ended.

    If the loop ends before the function begins, the function does not run.
    """
    coroutine = None
    try:
        if is_trio(loop):
            _spawn_on_trio(loop, function, *arguments)
        else:
            coroutine = function(*arguments)
            asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:
        if coroutine is not None:
            coroutine.close()
        return False
    return True


async def wait_on_loop(future: "Future[Any]", seconds: float) -> None:
    """Wait until the future is done, but no longer than so many seconds."""
    if runs_on_trio():
        await wait_on_trio(future, seconds)
    else:
        await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)


def _spawn_on_trio(token: Any, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run an async function, which raises nothing, in its own task. From any thread."""
    import trio

    def begin() -> None:
        with suppress(RuntimeError):  # The run is about to finish, and takes no tasks any more.
            trio.lowlevel.spawn_system_task(function, *arguments)

    token.run_sync_soon(begin)


async def result_within(seconds: float, future: "Future[T]") -> T:
    """Return the result of a future. Cancel it if this stops waiting.

    Raises:
        TimeoutError: It is not done after so many seconds.
    """
    try:
        if not runs_on_trio():
            return await _result_on_asyncio(seconds, asyncio.wrap_future(future))
        await wait_on_trio(future, seconds)
        if not future.done():
            raise TimeoutError
        return future.result()
    finally:
        future.cancel()
        del future  # It has the exception, which refers to this frame.


async def _result_on_asyncio(seconds: float, future: "asyncio.Future[T]") -> T:
    try:
        await asyncio.wait([future], timeout=seconds)
        if not future.done():
            raise TimeoutError
        return future.result()
    finally:
        future.cancel()
        del future


#: The tasks by their event loops. asyncio refers to its tasks only weakly.
_tasks: dict[asyncio.AbstractEventLoop, set["asyncio.Task[None]"]] = {}


async def answer_within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Return the answer of a function, awaited as often as needed, in its own task.

    If this stops waiting, the task is cancelled, and may go on for some time: drivers of databases then wait for the
    server.

    Raises:
        TimeoutError: There is no answer after so many seconds.
    """
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # From here on only the task ends it.
    if runs_on_trio():
        import trio

        scope = trio.CancelScope()
        context = trio.lowlevel.current_task().context.copy()  # A store may read variables of the application.
        trio.lowlevel.spawn_system_task(_answer_in, scope, ask, future, context=context)
        cancel: Callable[[], object] = scope.cancel
    else:
        task = asyncio.ensure_future(_set_answer(ask, future))
        tasks = _tasks_of(task.get_loop())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        cancel = task.cancel
    try:
        return await result_within(seconds, future)
    finally:
        cancel()
        del future


def _tasks_of(loop: asyncio.AbstractEventLoop) -> set["asyncio.Task[None]"]:
    """Return the tasks of a loop. Those of closed loops, which never end, are forgotten when a new loop comes."""
    tasks = _tasks.get(loop)
    if tasks is None:
        for other in tuple(_tasks):
            if other.is_closed():
                _tasks.pop(other, None)
        tasks = _tasks[loop] = set()
    return tasks


async def _answer_in(scope: Any, ask: Callable[[], Any], future: "Future[Any]") -> None:
    try:
        with KeptInTask(), scope:
            await _set_answer(ask, future)
    finally:
        del future


async def _set_answer(ask: Callable[[], Any], future: "Future[Any]") -> None:
    """Give a future the answer of a function, or what it raises."""
    # What leaves the task would end the run of trio, and asyncio would log it.
    try:
        future.set_result(await _ask(ask))
    except (Exception, asyncio.CancelledError) as error:
        future.set_exception(error)
    finally:
        del future


async def _ask(ask: Callable[[], Any]) -> Any:
    # In a coroutine of its own, as Python then raises RuntimeError in place of a StopIteration, which no future takes.
    return await await_if_needed(ask())


class KeptInTask:
    """Ends a task of trio without its exception, which would end the run of trio. Only a plain cancellation leaves it.

    An application that has a nursery raises groups. A cancel scope takes the cancellation out of a group, and leaves
    the other exceptions; at the end of the run, the group has both.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return isinstance(error, Exception) or hasattr(error, "exceptions")


async def wait_on_trio(future: "Future[Any]", seconds: float) -> None:
    """Wait until the future is done, but no longer than so many seconds. In a task of trio."""
    import trio

    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def tell(_: "Future[Any]") -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    future.add_done_callback(tell)
    with trio.move_on_after(seconds):
        await done.wait()
