"""Threads that a stuck driver may keep."""

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.numbers import check_seconds
from hmac_guard.forking import after_fork
from hmac_guard.keys.on_django import close_connections
from hmac_guard.keys.on_gevent import is_patched
from hmac_guard.log import logger

#: A job returns True if what it called has raised. Its thread then ends: what a library keeps for the thread, such as a
#: session of a database, may be broken.
Job = Callable[[], bool | None]
_Call = tuple["Future[Any]", Callable[[], Any]]

#: Seconds after which a thread without a job ends, as one of anyio's.
MAX_IDLE = 10.0

_has_said: list[bool] = []


def runs_threads() -> bool:
    """Return whether threads run in this process. If not, log it once."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or _has_threads(uwsgi) or is_patched():
        return True
    if not _has_said:
        _has_said.append(True)
        logger.warning(
            "uWSGI runs no threads: keys and single-use stores are looked up on the thread of the request, without a "
            "time-out; RedisInvalidation gets no messages, so changes of keys are seen within the ttl; VerdictCounts "
            "writes when a request comes. Start uWSGI with --enable-threads"
        )
    return False


def check_wait(option: str, value: Any) -> None:
    """Raise `ConfigError` unless the value is a number of seconds above 0 that a thread can wait for."""
    check_seconds(option, value)
    if value > threading.TIMEOUT_MAX:
        raise ConfigError(f"{option} must be at most {threading.TIMEOUT_MAX:.0f} seconds")


@contextmanager
def closing_connections() -> Iterator[None]:
    """Close the connections of Django's ORM after a call on a thread of the package.

    Nothing else uses them there. An idle thread that kept one would keep the database of a test from being dropped.
    """
    try:
        yield
    finally:
        if runs_threads():  # If not, this is the thread of a request, and the application uses its connections.
            close_connections()


def _has_threads(uwsgi: object) -> bool:
    """Return whether uWSGI runs threads. From 2.0.27 on it always does, before that with one of two options."""
    options = getattr(uwsgi, "opt", {})
    is_enabled = options.get("enable-threads", b"false") not in (b"false", b"off", b"no", b"0")
    return bool(getattr(uwsgi, "has_threads", is_enabled or "threads" in options))


# The log of each worker says it.
after_fork(_has_said.clear)


class DaemonThreads:
    """Runs each job at once on a thread, with as many threads as there are jobs. The caller bounds the jobs.

    The end of the process does not wait for a thread, as it does with `ThreadPoolExecutor`: a stuck thread would keep
    the process. A thread without a job ends after `MAX_IDLE` seconds.

    Args:
        name: The name of the threads.
        most_idle: The most threads that are kept without a job.
    """

    def __init__(self, name: str, most_idle: int) -> None:
        self._name = name
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Job]] = []

    def run(self, job: Job) -> None:
        """Run a job. If threads do not run in this process, run it here.

        Hold no lock: with gevent, other greenlets run while a thread starts.

        Raises:
            RuntimeError: No thread can be started.
        """
        if not runs_threads():
            _fails(job)
            return
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        jobs = queue.SimpleQueue() if idle is None else idle
        # Before the thread starts: with gevent, the request may be ended while it does.
        jobs.put(job)
        if idle is None:
            threading.Thread(target=self._work, args=[jobs], name=self._name, daemon=True).start()

    def _work(self, jobs: "queue.SimpleQueue[Job]") -> None:
        goes_on = not _fails(jobs.get())
        while goes_on and self._add_idle(jobs):
            goes_on = self._do_next(jobs)

    def _add_idle(self, jobs: "queue.SimpleQueue[Job]") -> bool:
        """Keep a thread for another job. Return False if enough are kept."""
        with self._lock:
            if len(self._idle) >= self._most_idle:
                return False
            self._idle.append(jobs)
            return True

    def _do_next(self, jobs: "queue.SimpleQueue[Job]") -> bool:
        """Wait for a job, and run it. Return False if no job comes, or if the thread ends after the job."""
        try:
            job = jobs.get(timeout=MAX_IDLE)
        except queue.Empty:
            with self._lock:
                if jobs in self._idle:
                    self._idle.remove(jobs)
                    return False
            job = jobs.get()  # `run` has chosen this thread just now.
        return not _fails(job)


class TooManyCalls(RuntimeError):
    """The most calls have a thread or wait for one."""


class BoundedThreads:
    """Runs calls on a bounded number of threads. The end of the process does not wait for a stuck call.

    Args:
        name: The name of the threads.
        threads: The most threads.
        most: The most calls that have a thread or wait for one. A further one is refused.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._threads = DaemonThreads(name, threads)
        self._limits = (threads, most)
        self._lock = Lock()
        self._running = 0
        self.waiting: deque[_Call] = deque()

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Return the future of a call. A call that is cancelled before it has a thread is not made.

        Raises:
            TooManyCalls: The most calls have a thread or wait for one.
            RuntimeError: No thread can be started.
        """
        future: Future[Any] = Future()
        job = (future, call)
        with self._lock:
            threads, most = self._limits
            if self._running + len(self.waiting) >= most:
                raise TooManyCalls(f"{most} calls have a thread or wait for one already")
            has_thread = self._running < threads
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

    def _start(self, job: _Call) -> None:
        try:
            self._threads.run(partial(self._work, job))
        except RuntimeError:
            with self._lock:
                self._running -= 1
            raise

    def _leave(self, job: _Call) -> None:
        with self._lock, suppress(ValueError):
            self.waiting.remove(job)

    def _work(self, job: _Call) -> bool:
        fails, following = _make_call(*job), self._next()
        while following is not None:
            if fails and self._hands_on(following):
                return True
            fails, following = _make_call(*following), self._next()
        return fails

    def _next(self) -> _Call | None:
        with self._lock:
            job = self.waiting.popleft() if self.waiting else None
            self._running -= job is None
            return job

    def _hands_on(self, job: _Call) -> bool:
        """Run a job on another thread. Return False if none can be started."""
        try:
            self._threads.run(partial(self._work, job))
        except RuntimeError:
            return False
        return True


def _make_call(future: "Future[Any]", call: Callable[[], Any]) -> bool:
    """Make a call that is not cancelled. Return whether it has raised."""
    if not future.set_running_or_notify_cancel():
        return False
    with _Failing(future):
        with closing_connections():
            answer = call()
        future.set_result(answer)
    return future.exception() is not None


class _Failing:
    """Gives a future what its call raises.

    That may also be a `CancelledError` or a `SystemExit`: the future would never be done, and its thread would count as
    in use.
    """

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if error is not None:
            is_plain = isinstance(error, Exception)
            self._future.set_exception(error if is_plain else RuntimeError(f"the call raised {kind.__name__}"))
        return True


def _fails(job: Job) -> bool:
    """Run a job. Return whether what it called has raised."""
    with suppress(SystemExit):  # Of `sys.exit`, which would end a request that runs its job itself.
        return bool(job())
    return True
