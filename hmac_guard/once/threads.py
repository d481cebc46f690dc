"""The threads on which a guard calls a sync single-use store."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any

from hmac_guard.keys.threads import DaemonThreads
from hmac_guard.once.store import StoreFull

#: The most threads of one guard, and the most requests that have a thread or wait for one.
THREADS = 32
MOST = 256

_Job = tuple["Future[Any]", Callable[[], Any]]


class StoreThreads:
    """Runs calls of a store on at most `THREADS` threads. The end of the process does not wait for a stuck call."""

    def __init__(self) -> None:
        self._threads = DaemonThreads("hmac_guard-once", THREADS)
        self._lock = Lock()
        self._running = 0
        self.waiting: deque[_Job] = deque()

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Return the future of a call. A call that is cancelled before it has a thread is not made.

        Raises `StoreFull` if `MOST` requests have a thread or wait for one, and `RuntimeError` if no thread starts.
        """
        future: Future[Any] = Future()
        job = (future, call)
        with self._lock:
            if self._running + len(self.waiting) >= MOST:
                raise StoreFull(f"{MOST} requests wait for the single-use store already")
            has_thread = self._running < THREADS
            if has_thread:
                self._running += 1
            else:
                self.waiting.append(job)
        # Outside of the lock: with gevent, other greenlets run while a thread starts, and a future that is done already
        # calls at once what is added to it.
        if has_thread:
            self._start(job)
        future.add_done_callback(lambda _: self._leave(job))
        return future

    def _start(self, job: _Job) -> None:
        try:
            self._threads.run(partial(self._work, job))
        except RuntimeError:
            with self._lock:
                self._running -= 1
            raise

    def _leave(self, job: _Job) -> None:
        with self._lock, suppress(ValueError):
            self.waiting.remove(job)

    def _work(self, job: _Job | None) -> None:
        while job is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except Exception as error:
                    future.set_exception(error)
            with self._lock:
                job = self.waiting.popleft() if self.waiting else None
                self._running -= job is None
