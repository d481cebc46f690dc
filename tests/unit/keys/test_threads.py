"""The threads of the package: when they end."""

import queue
import threading
from typing import Any

import pytest
from key_sources import claim_of
from waiting import TIMEOUT, becomes_true

from hmac_guard import KeysUnavailable
from hmac_guard.keys import CachedKeys, threads
from hmac_guard.keys.threads import BoundedThreads, DaemonThreads


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


def one_at_a_time() -> BoundedThreads:
    return BoundedThreads("one", 1, 3)


class Failing:
    """Raises, and remembers the threads that it was called on."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def __call__(self, *claim: object) -> Any:
        self.threads.append(threading.current_thread())
        raise ConnectionError


def look_up(source: Failing) -> None:
    with pytest.raises(KeysUnavailable):
        CachedKeys(source)(claim_of("acme"))


def call(source: Failing) -> None:
    assert isinstance(one_at_a_time().submit(source).exception(TIMEOUT), ConnectionError)


@pytest.mark.parametrize("way", [look_up, call])
def test_a_thread_whose_call_has_raised_ends(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_IDLE", 2 * TIMEOUT)
    source = Failing()
    way(source)

    for thread in source.threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@pytest.mark.parametrize("can_start", [True, False], ids=["a thread can be started", "no thread can be started"])
def test_a_call_that_waits_runs_on_another_thread_if_one_has_raised(
    can_start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError

    pool, goes_on, source = one_at_a_time(), threading.Event(), Failing()
    first = pool.submit(lambda: goes_on.wait(TIMEOUT) and source())
    second, third = pool.submit(source), pool.submit(lambda: 3)
    if not can_start:
        monkeypatch.setattr(threading.Thread, "start", refuse)
    goes_on.set()

    assert third.result(TIMEOUT) == 3
    assert first.exception()
    assert second.exception()
    assert (len(set(source.threads)) == 2) is can_start
    assert becomes_true(lambda: pool._running == 0)
