"""Threads that a stuck driver may keep."""

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from hmac_guard.forking import after_fork
from hmac_guard.keys.on_gevent import is_patched
from hmac_guard.log import logger

Job = Callable[[], None]

_has_said: list[bool] = []


def runs_threads() -> bool:
    """Whether threads run in this process. The log says once where they do not."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or _has_threads(uwsgi) or is_patched():
        return True
    if not _has_said:
        _has_said.append(True)
        logger.warning(
            "uWSGI runs no threads: keys and single-use stores are looked up on the thread of the request, without a "
            "time-out; RedisInvalidation hears nothing, so changes of keys are seen within the ttl; VerdictCounts "
            "writes when a request comes. Start uWSGI with --enable-threads"
        )
    return False


def _has_threads(uwsgi: object) -> bool:
    """Whether uWSGI runs threads. From 2.0.27 on it always does, before that with one of two options."""
    options = getattr(uwsgi, "opt", {})
    is_enabled = options.get("enable-threads", b"false") not in (b"false", b"off", b"no", b"0")
    return bool(getattr(uwsgi, "has_threads", is_enabled or "threads" in options))


# The log of each worker says it.
after_fork(_has_said.clear)


class DaemonThreads:
    """Runs jobs on threads, each at once: as many threads as there are jobs. The caller bounds these. Nothing waits
    for a thread when the process ends, as `ThreadPoolExecutor` does: one that is stuck would keep the process."""

    def __init__(self, name: str, most_idle: int) -> None:
        self._name = name
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Job]] = []

    def run(self, job: Job) -> None:
        """Run it here where no threads run. Hold no lock: with gevent, other greenlets run while a thread starts.
        Raises `RuntimeError` where no thread can be started."""
        if not runs_threads():
            _do(job)
            return
        with self._lock:
            jobs = self._idle.pop() if self._idle else None
        if jobs is None:
            jobs = queue.SimpleQueue()
            threading.Thread(target=self._work, args=[jobs], name=self._name, daemon=True).start()
        jobs.put(job)

    def _work(self, jobs: "queue.SimpleQueue[Job]") -> None:
        while True:
            _do(jobs.get())
            with self._lock:
                if len(self._idle) >= self._most_idle:
                    return
                self._idle.append(jobs)


def _do(job: Job) -> None:
    with suppress(SystemExit):  # `sys.exit` ends a job, not its thread.
        job()
