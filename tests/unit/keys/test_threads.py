"""The threads of the package: when they end."""

import queue
import threading
from typing import Any

import pytest
from waiting import TIMEOUT

from hmac_guard.keys import threads
from hmac_guard.keys.threads import DaemonThreads


def test_a_thread_without_a_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_IDLE", 0.01)
    pool, ran = DaemonThreads("idle", 2), queue.SimpleQueue[threading.Thread]()
    for _ in range(2):
        pool.run(lambda: ran.put(threading.current_thread()))
        thread = ran.get(timeout=TIMEOUT)
        thread.join(TIMEOUT)

        assert not thread.is_alive()
        assert not pool._idle


def test_a_job_that_comes_while_its_thread_ends_runs() -> None:
    class Late(queue.SimpleQueue[Any]):
        """No job comes in time, and one before the thread has ended."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if timeout is not None:
                pool.run(lambda: ran.append("late"))
                raise queue.Empty
            return super().get()

    pool, jobs = DaemonThreads("late", 1), Late()
    ran: list[str] = []

    assert pool._add_idle(jobs)
    assert pool._do_next(jobs)
    assert ran == ["late"]
    assert not pool._idle
