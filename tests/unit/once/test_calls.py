"""How a guard calls its single-use store: the call has a time limit, and an unclear answer refuses the request."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
import trio
import trio.testing
from waiting import TIMEOUT, becomes_true, hang_in_nursery

from hmac_guard import ConfigError
from hmac_guard.keys import calling
from hmac_guard.once import MemoryOnce, StoreFull
from hmac_guard.once.calling import MAX_CALLS, THREADS, StoreCalls

TOKEN = bytes(32)
UNTIL = 4_000_000_000.0


class Sync:
    """A sync store. `answer` is its answer, or a function that returns it."""

    timeout = TIMEOUT

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.threads: list[threading.Thread] = []

    def use(self, token: bytes, until: float) -> Any:
        self.threads.append(threading.current_thread())
        return self.answer() if callable(self.answer) else self.answer


class Async(Sync):
    async def use(self, token: bytes, until: float) -> Any:
        await asyncio.sleep(0)
        return super().use(token, until)


class Given(Sync):
    """A sync function that gives an awaitable."""

    asgi_only = True

    def use(self, token: bytes, until: float) -> Any:
        async def use() -> Any:
            return self.answer

        return use()


class Quick(Sync):
    blocking = False


def on_asyncio(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        # As the driver does, it goes on from here.
        return await asyncio.wait_for(work(), TIMEOUT)

    return asyncio.run(run())


def waited(store: Any) -> Any:
    return StoreCalls(store).wait(TOKEN, UNTIL)


def awaited_on_asyncio(store: Any) -> Any:
    calls = StoreCalls(store)
    return on_asyncio(lambda: calls.on_loop(TOKEN, UNTIL))


def awaited_on_trio(store: Any) -> Any:
    calls = StoreCalls(store)
    return trio.run(calls.on_loop, TOKEN, UNTIL)


WAYS = {"thread": waited, "asyncio": awaited_on_asyncio, "trio": awaited_on_trio}


@pytest.fixture(params=list(WAYS))
def ask(request: pytest.FixtureRequest) -> Any:
    return WAYS[request.param]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("kind", [Sync, Quick])
def test_what_a_store_answers_is_what_is_given(ask: Any, kind: Any, answer: bool) -> None:
    assert ask(kind(answer)) is answer


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("kind", [Async, Given])
@pytest.mark.parametrize("way", ["thread", "asyncio"])
def test_what_an_async_store_answers_is_what_is_given(way: str, kind: Any, answer: bool) -> None:
    assert WAYS[way](kind(answer)) is answer


@pytest.mark.parametrize("answer", [None, 1, 0, "True", b"1"])
@pytest.mark.parametrize("kind", [Sync, Quick])
def test_an_answer_that_is_neither_true_nor_false_is_none(ask: Any, kind: Any, answer: object) -> None:
    with pytest.raises(TypeError, match="True or False"):
        ask(kind(answer))


@pytest.mark.parametrize(
    "error", [ValueError, StopIteration, StopAsyncIteration, SystemExit, TimeoutError, RuntimeError]
)
def test_what_a_store_raises_is_raised(ask: Any, error: type[BaseException]) -> None:
    def fail() -> Any:
        raise error("from the store")

    expected = RuntimeError if error in (StopIteration, SystemExit) else error
    with pytest.raises(expected):
        ask(Sync(fail))


def test_a_sync_store_runs_on_threads_of_its_own(ask: Any) -> None:
    store = Sync()
    ask(store)

    assert [thread.name.startswith("hmac_guard-once") for thread in store.threads] == [True]


def test_a_store_without_io_runs_where_the_request_is(ask: Any) -> None:
    store = Quick()
    ask(store)

    assert store.threads == [threading.current_thread()]


def test_a_request_waits_no_longer_than_the_timeout() -> None:
    free = threading.Event()
    store = Sync(lambda: free.wait(TIMEOUT))
    store.timeout = 0.05
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        waited(store)
    free.set()

    assert time.monotonic() - began < TIMEOUT / 2


def test_where_too_many_wait_the_next_is_refused_at_once_and_the_store_heals_by_itself() -> None:
    free = threading.Event()
    store = Sync(lambda: free.wait(TIMEOUT))
    store.timeout = 0.05
    calls = StoreCalls(store)

    def ask() -> None:
        with pytest.raises(TimeoutError):
            calls.wait(TOKEN, UNTIL)

    # Those that were given up still hold their threads; those that had none leave the queue.
    for _ in range(THREADS + 3):
        ask()
    assert len(store.threads) == THREADS
    held = [calls._begin(TOKEN, UNTIL) for _ in range(MAX_CALLS - THREADS)]

    with pytest.raises(StoreFull):
        calls.wait(TOKEN, UNTIL)
    with pytest.raises(StoreFull):
        on_asyncio(lambda: calls.on_loop(TOKEN, UNTIL))
    free.set()
    assert all(future.result(TIMEOUT) for future in held)
    assert becomes_true(lambda: _answers(calls))


def _answers(calls: StoreCalls) -> bool:
    try:
        return calls.wait(TOKEN, UNTIL)
    except StoreFull:
        return False


@pytest.mark.parametrize("way", ["asyncio", "trio"])
def test_a_use_that_waits_for_a_thread_is_not_made_once_its_request_has_given_up(way: str) -> None:
    free = threading.Event()
    store = Sync(lambda: free.wait(TIMEOUT))
    calls = StoreCalls(store)
    held = [calls._begin(TOKEN, UNTIL) for _ in range(THREADS)]

    async def on_asyncio_loop() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(calls.on_loop(TOKEN, UNTIL), 0.05)

    async def on_trio_loop() -> None:
        with trio.move_on_after(0.05):
            await calls.on_loop(TOKEN, UNTIL)

    asyncio.run(on_asyncio_loop()) if way == "asyncio" else trio.run(on_trio_loop)
    free.set()
    assert all(future.result(TIMEOUT) for future in held)
    assert calls.wait(TOKEN, UNTIL)

    assert len(store.threads) == THREADS + 1


def test_an_answer_that_comes_after_the_loop_has_ended_troubles_nothing(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()
    store = Sync(lambda: free.wait(TIMEOUT))
    calls = StoreCalls(store)

    async def give_up() -> None:
        with trio.move_on_after(0.05):
            await calls.on_loop(TOKEN, UNTIL)

    trio.run(give_up)
    free.set()
    assert becomes_true(lambda: not calls._threads.waiting and calls.wait(TOKEN, UNTIL))
    assert not caplog.records


STUCK = """
import time
from hmac_guard.once.calling import StoreCalls

class Stuck:
    timeout = 0.1
    def use(self, token, until):
        time.sleep(600)

try:
    StoreCalls(Stuck()).wait(bytes(32), 4e9)
except TimeoutError:
    print("given up", flush=True)
"""


def test_the_end_of_the_process_does_not_wait_for_a_stuck_store() -> None:
    run = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert (run.stdout, run.returncode) == ("given up\n", 0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: this system has no fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    calls = StoreCalls(Sync())
    assert calls.wait(TOKEN, UNTIL)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if calls.wait(TOKEN, UNTIL) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class _NoUse:
    timeout = 2.0


class _NoArguments:
    def use(self) -> bool:
        return True


class _Forever(Sync):
    timeout = float("inf")


CASES: dict[str, tuple[Any, str]] = {
    "None": (None, "use\\(token, until\\)"),
    "a URL": ("redis://localhost", "use\\(token, until\\)"),
    "a class": (MemoryOnce, "use\\(token, until\\)"),
    "without use": (_NoUse(), "use\\(token, until\\)"),
    "a use without a token": (_NoArguments(), "takes a token"),
    "a wait without an end": (_Forever(), "number of seconds"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_store_is_refused(case: str) -> None:
    store, says = CASES[case]
    with pytest.raises(ConfigError, match=says):
        StoreCalls(store)


def test_the_import_of_the_stores_pulls_in_no_library() -> None:
    code = "import hmac_guard.once, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"redis", "sqlalchemy", "django", "asyncio", "asgiref"} & set(run.stdout.split())


def test_a_call_that_is_cancelled_frees_its_thread() -> None:
    def cancel() -> bool:
        raise asyncio.CancelledError

    store = Sync(cancel)
    calls = StoreCalls(store)
    for _ in range(2 * THREADS):
        with pytest.raises(RuntimeError, match="the call raised CancelledError"):
            calls.wait(TOKEN, UNTIL)
    store.answer = True

    assert calls.wait(TOKEN, UNTIL)


class SlowToEnd(Sync):
    """An async store that does not end at once when it is cancelled, as a driver of a database."""

    def __init__(self, on_trio: bool) -> None:
        super().__init__()
        self.timeout = 0.01
        self.is_cancelled = self.may_end = self.has_ended = False
        self._hang = self._hang_on_trio if on_trio else self._hang_on_asyncio

    async def use(self, token: bytes, until: float) -> bool:
        try:
            await self._hang()
        finally:
            self.has_ended = True
        return True

    async def _hang_on_asyncio(self) -> None:
        try:
            await asyncio.sleep(TIMEOUT)
        except asyncio.CancelledError:
            self.is_cancelled = True
            for _ in range(50):
                if not self.may_end:
                    await asyncio.sleep(0.01)
        raise ConnectionError

    async def _hang_on_trio(self) -> None:
        try:
            await trio.sleep(TIMEOUT)
        finally:
            self.is_cancelled = True
            with trio.CancelScope(shield=True):
                for _ in range(50):
                    if not self.may_end:
                        await trio.sleep(0.01)


@pytest.mark.parametrize("way", ["asyncio", "trio"])
def test_a_request_does_not_wait_until_an_async_store_is_cancelled(way: str, caplog: pytest.LogCaptureFixture) -> None:
    store = SlowToEnd(way == "trio")
    calls = StoreCalls(store)
    ended: list[bool] = []
    pause = trio.sleep if way == "trio" else asyncio.sleep

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await calls.on_loop(TOKEN, UNTIL)
        ended.append(store.has_ended)
        store.may_end = True
        while not store.has_ended:
            await pause(0.001)
        await pause(0)

    asyncio.run(ask()) if way == "asyncio" else trio.run(ask)

    assert ended == [False]
    assert store.is_cancelled
    assert not caplog.records


def test_an_awaitable_of_a_store_that_does_not_block_has_the_timeout_too() -> None:
    class Hanging(Quick):
        timeout = 0.01

        def use(self, token: bytes, until: float) -> Any:
            return asyncio.sleep(TIMEOUT)

    with pytest.raises(TimeoutError):
        awaited_on_asyncio(Hanging())


@pytest.mark.parametrize("way", ["asyncio", "trio"])
def test_an_async_store_is_cancelled_with_its_request(way: str) -> None:
    store = SlowToEnd(way == "trio")
    store.timeout, store.may_end = TIMEOUT, True
    calls = StoreCalls(store)
    found: list[bool] = []

    async def on_asyncio_loop() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(calls.on_loop(TOKEN, UNTIL), 0.05)
        await asyncio.sleep(0)
        found.append(store.is_cancelled)

    async def on_trio_loop() -> None:
        with trio.move_on_after(0.05):
            await calls.on_loop(TOKEN, UNTIL)
        await trio.sleep(0.01)
        found.append(store.is_cancelled)

    asyncio.run(on_asyncio_loop()) if way == "asyncio" else trio.run(on_trio_loop)

    assert found == [True]


VARIABLE: ContextVar[str] = ContextVar("VARIABLE")


@pytest.mark.parametrize("way", ["asyncio", "trio"])
def test_an_async_store_reads_the_context_variables_of_its_request(way: str) -> None:
    class Reading(Sync):
        async def use(self, token: bytes, until: float) -> bool:
            return VARIABLE.get("") == "of the request"

    async def ask() -> bool:
        VARIABLE.set("of the request")
        answer: bool = await StoreCalls(Reading()).on_loop(TOKEN, UNTIL)
        return answer

    assert asyncio.run(ask()) if way == "asyncio" else trio.run(ask)


@pytest.mark.parametrize("error", [ConnectionError, asyncio.CancelledError])
def test_what_an_async_store_raises_on_trio_is_raised(error: type[BaseException]) -> None:
    class Raising(Sync):
        async def use(self, token: bytes, until: float) -> bool:
            raise error

    with pytest.raises(error):
        awaited_on_trio(Raising())


class InNursery(Sync):
    timeout = 0.01

    async def use(self, token: bytes, until: float) -> bool:
        await hang_in_nursery()
        return True


@pytest.mark.parametrize("turns", [5, 0], ids=["and goes on", "and ends at once"])
def test_the_run_of_trio_goes_on_if_a_cancelled_store_raises_a_group(turns: int) -> None:
    calls = StoreCalls(InNursery())

    async def ask() -> str:
        with pytest.raises(TimeoutError):
            await calls.on_loop(TOKEN, UNTIL)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        return "goes on"

    assert trio.run(ask) == "goes on"


def test_the_run_of_trio_goes_on_if_a_request_with_such_a_store_is_cancelled() -> None:
    store = InNursery()
    store.timeout = TIMEOUT
    calls = StoreCalls(store)

    async def ask() -> str:
        with trio.move_on_after(0.01):
            await calls.on_loop(TOKEN, UNTIL)
        await trio.testing.wait_all_tasks_blocked()
        return "goes on"

    assert trio.run(ask) == "goes on"


def test_a_stop_iteration_of_a_store_that_gives_awaitables_is_raised_at_once(ask: Any) -> None:
    class Stopping(Given):
        def use(self, token: bytes, until: float) -> Any:
            raise StopIteration

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        ask(Stopping())


def test_a_task_of_an_async_store_is_held_until_it_ends() -> None:
    held: list[int] = []

    class Counting(Sync):
        async def use(self, token: bytes, until: float) -> bool:
            held.append(len(calling._tasks[asyncio.get_running_loop()]))
            return True

    async def ask() -> None:
        assert await StoreCalls(Counting()).on_loop(TOKEN, UNTIL)
        await asyncio.sleep(0)
        held.append(len(calling._tasks[asyncio.get_running_loop()]))

    asyncio.run(ask())
    assert held == [1, 0]


def test_a_task_of_a_closed_loop_is_forgotten() -> None:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        with pytest.raises(TimeoutError):
            loop.run_until_complete(StoreCalls(SlowToEnd(on_trio=False)).on_loop(TOKEN, UNTIL))
        loop.close()

    assert [other for other in calling._tasks if other.is_closed()] == [loop]


class Lost(ConnectionError):
    """Has weak references, as no exception of Python has."""


@pytest.mark.parametrize("way", ["asyncio", "trio"])
def test_what_an_async_store_raises_is_freed_without_the_garbage_collector(way: str) -> None:
    raised: list[weakref.ref[Lost]] = []

    class Raising(Sync):
        async def use(self, token: bytes, until: float) -> bool:
            error = Lost()
            raised.append(weakref.ref(error))
            try:
                raise error
            finally:
                del error

    calls = StoreCalls(Raising())

    async def ask() -> None:
        with suppress(Lost):
            await calls.on_loop(TOKEN, UNTIL)

    gc.disable()
    try:
        asyncio.run(ask()) if way == "asyncio" else trio.run(ask)
        assert raised[0]() is None
    finally:
        gc.enable()
