"""How a single-use store is asked: on threads that may wait for it, or on an event loop that must not."""

import asyncio
import concurrent.futures
import inspect
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import BoundedSemaphore
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.keys.calling import awaited, runs_on_trio, settled
from hmac_guard.keys.forking import in_forked_child
from hmac_guard.keys.options import check_seconds
from hmac_guard.keys.resolver import is_async
from hmac_guard.log import FailureLog
from hmac_guard.once.store import TIMEOUT, OnceStore, StoreFull

#: The threads on which the sync stores of one guard are called, and the most requests that wait for one.
THREADS = 32
MOST = 256


class StoreCalls(Frozen):
    """Asks one store, for the tokens of `scope`. Raises `ConfigError` for what is no store."""

    store: OnceStore
    scope: str
    failures: FailureLog
    timeout: float
    asgi_only: bool
    _is_quick: bool
    _is_inline: bool
    _threads: ThreadPoolExecutor
    _room: BoundedSemaphore

    def __init__(self, store: OnceStore, scope: str = "") -> None:
        use = getattr(store, "use", None)
        if not callable(use) or isinstance(store, type):
            raise ConfigError(
                "Guard: single_use takes a store of hmac_guard.once, such as RedisOnce(url), or an object with "
                "use(token, until)"
            )
        try:
            inspect.signature(use).bind(b"", 0.0)
        except TypeError:
            raise ConfigError("Guard: the use of a single-use store takes a token and a Unix time") from None
        timeout = getattr(store, "timeout", TIMEOUT)
        check_seconds("Guard: the timeout of the single-use store", timeout)
        self._set(
            store=store,
            scope=scope,
            failures=FailureLog("the single-use store"),
            timeout=timeout,
            asgi_only=getattr(store, "asgi_only", False) is True,
            _is_quick=getattr(store, "blocking", True) is False and not is_async(use),
        )
        self._set(_is_inline=self._is_quick or self.asgi_only or is_async(use))
        self._start_threads()
        in_forked_child(self._start_threads)

    def wait(self, token: bytes, until: float) -> bool:
        """Whether this is the first use of the token. Raises where the store does, where it is full, where it answers
        anything else than True or False, and after `timeout`."""
        if self._is_quick:
            return checked(self.store.use(token, until))
        future = self._begin(token, until)
        try:
            return checked(future.result(self.timeout))
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    async def on_loop(self, token: bytes, until: float) -> bool:
        """The same for an event loop; its driver gives up after `timeout`."""
        if self._is_inline:
            return checked(await awaited(self.store.use(token, until)))
        future = self._begin(token, until)
        return checked(await (_on_trio(future) if runs_on_trio() else asyncio.wrap_future(future)))

    def _begin(self, token: bytes, until: float) -> "Future[Any]":
        room = self._room
        if not room.acquire(blocking=False):
            raise StoreFull(f"{MOST} requests wait for the single-use store already")
        future = self._threads.submit(self._use, token, until)
        future.add_done_callback(lambda _: room.release())
        return future

    def _use(self, token: bytes, until: float) -> Any:
        try:
            return settled(self.store.use(token, until))
        except StopIteration:
            # It cannot be handed to an event loop, and would keep the request waiting for ever.
            raise RuntimeError("the single-use store raised StopIteration") from None

    def _start_threads(self) -> None:
        self._set(
            _threads=ThreadPoolExecutor(THREADS, thread_name_prefix="hmac_guard-once"), _room=BoundedSemaphore(MOST)
        )


def checked(answer: object) -> bool:
    """What a store answered. Raises `TypeError` for what is neither True nor False: it would be a guess."""
    if answer is True or answer is False:
        return answer
    raise TypeError(f"a single-use store answers True or False, not {type(answer).__name__}")


async def _on_trio(future: "Future[Any]") -> Any:
    import trio

    done, token = trio.Event(), trio.lowlevel.current_trio_token()

    def tell(_: object) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    future.add_done_callback(tell)
    try:
        await done.wait()
    finally:
        future.cancel()
    return future.result()
