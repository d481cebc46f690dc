"""Calls of a single-use store: on threads that may wait for it, or on an event loop that must not."""

import concurrent.futures
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.calling import answer_within, result_within, run_to_completion
from hmac_guard.keys.resolver import is_async
from hmac_guard.keys.threads import BoundedThreads, TooManyCalls, check_wait
from hmac_guard.log import FailureLog
from hmac_guard.once.store import TIMEOUT, OnceStore, StoreFull


class StoreCalls(Frozen):
    """Calls one store.

    Args:
        store: The store.
        scope: What its tokens are made for: guards with the same scope share them.

    Raises:
        ConfigError: The object is not a store.
    """

    store: OnceStore
    scope: str
    failures: FailureLog
    timeout: float
    asgi_only: bool
    _is_quick: bool
    _is_on_loop: bool
    _threads: "StoreThreads"

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
        check_wait("Guard: the timeout of the single-use store", timeout)
        self._set(
            store=store,
            scope=scope,
            failures=FailureLog("the single-use store"),
            timeout=timeout,
            asgi_only=getattr(store, "asgi_only", False) is True,
            _is_quick=getattr(store, "blocking", True) is False and not is_async(use),
        )
        self._set(_is_on_loop=self.asgi_only or is_async(use))
        self._start_threads()
        after_fork(self._start_threads)

    def wait(self, token: bytes, until: float) -> bool:
        """Return whether this is the first use of the token. Raise also what the store raises.

        Raises:
            StoreFull: The store is full, or too many calls wait for it.
            TimeoutError: The store did not answer within `timeout` seconds.
            TypeError: The answer is not True or False.
        """
        check_process()
        if self._is_quick:
            return checked(self.store.use(token, until))
        future = self._begin(token, until)
        try:
            return checked(future.result(self.timeout))
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError from None  # The same class only from Python 3.11 on.

    async def on_loop(self, token: bytes, until: float) -> bool:
        """Like `wait`, for an event loop."""
        check_process()
        if self._is_quick:
            answer = self.store.use(token, until)
            is_awaitable = inspect.isawaitable(answer)
            return checked(await answer_within(self.timeout, lambda: answer) if is_awaitable else answer)
        if self._is_on_loop:
            return checked(await answer_within(self.timeout, partial(self.store.use, token, until)))
        return checked(await result_within(self.timeout, self._begin(token, until)))

    def _begin(self, token: bytes, until: float) -> "Future[Any]":
        return self._threads.submit(partial(self._use, token, until))

    def _use(self, token: bytes, until: float) -> Any:
        try:
            return run_to_completion(self.store.use(token, until))
        except (StopIteration, SystemExit) as error:
            # An event loop cannot pass on the first, and the second must not end the server's worker.
            raise RuntimeError(f"the single-use store raised {type(error).__name__}") from None

    def _start_threads(self) -> None:
        self._set(_threads=StoreThreads())


def checked(answer: object) -> bool:
    """Return the answer of a store. Raise `TypeError` if it is not True or False: any other value would be a guess."""
    if answer is True or answer is False:
        return answer
    raise TypeError(f"a single-use store answers True or False, not {type(answer).__name__}")


#: The most threads of one guard, and the most requests that have a thread or wait for one.
THREADS = 32
MAX_CALLS = 256


class StoreThreads(BoundedThreads):
    """Runs calls of a store on at most `THREADS` threads. The end of the process does not wait for a stuck call."""

    def __init__(self) -> None:
        super().__init__("hmac_guard-once", THREADS, MAX_CALLS)

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Return the future of a call.

        Raises:
            StoreFull: `MAX_CALLS` requests have a thread or wait for one.
        """
        try:
            return super().submit(call)
        except TooManyCalls:
            raise StoreFull(f"{MAX_CALLS} requests wait for the single-use store already") from None
