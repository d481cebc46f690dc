"""Threads that a stuck driver may keep."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

Job = Callable[[], None]


class DaemonThreads:
    """Runs jobs on threads, each at once: as many threads as there are jobs. The caller bounds these. Nothing waits
    for a thread when the process ends, as `ThreadPoolExecutor` does: one that is stuck would keep the process."""

    def __init__(self, name: str, most_idle: int) -> None:
        self._name = name
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Job]] = []

    def run(self, job: Job) -> None:
        """Raises `RuntimeError` where no thread can be started."""
        with self._lock:
            jobs = self._idle.pop() if self._idle else None
        if jobs is None:
            jobs = queue.SimpleQueue()
            threading.Thread(target=self._work, args=[jobs], name=self._name, daemon=True).start()
        jobs.put(job)

    def _work(self, jobs: "queue.SimpleQueue[Job]") -> None:
        while True:
            with suppress(SystemExit):  # `sys.exit` ends a job, not its thread.
                jobs.get()()
            with self._lock:
                if len(self._idle) >= self._most_idle:
                    return
                self._idle.append(jobs)
