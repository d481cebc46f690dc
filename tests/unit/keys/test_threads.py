"""The threads of the package: when they end."""

import asyncio
import queue
import sys
import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("django", reason="not run: Django is not installed")

import django.db
import trio
from django.db.utils import ConnectionHandler
from key_sources import KEY, claim_of
from waiting import TIMEOUT, becomes_true

from hmac_guard import KeysUnavailable
from hmac_guard.keys import CachedKeys, threads
from hmac_guard.keys.calling import from_loop
from hmac_guard.keys.on_django import closing_old_connections
from hmac_guard.keys.threads import BoundedThreads, DaemonThreads
from hmac_guard.once.calling import StoreCalls


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

    monkeypatch.setattr(threads, "MAX_IDLE", 2 * TIMEOUT)
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
    for thread in source.threads if can_start else []:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def test_a_call_that_waits_runs_on_the_same_thread_if_none_has_raised() -> None:
    pool, goes_on = one_at_a_time(), threading.Event()
    first = pool.submit(lambda: goes_on.wait(TIMEOUT) and threading.current_thread())
    second = pool.submit(threading.current_thread)
    goes_on.set()

    assert first.result(TIMEOUT) is second.result(TIMEOUT)


def test_a_thread_ends_if_a_later_call_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_IDLE", 2 * TIMEOUT)
    pool, source = one_at_a_time(), Failing()
    first = pool.submit(threading.current_thread).result(TIMEOUT)
    assert becomes_true(lambda: bool(pool._threads._idle))
    assert pool.submit(source).exception(TIMEOUT)

    assert source.threads == [first]
    first.join(TIMEOUT)
    assert not first.is_alive()


def test_a_thread_above_the_most_idle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_IDLE", 2 * TIMEOUT)
    ran = queue.SimpleQueue[threading.Thread]()
    DaemonThreads("none", 0).run(lambda: ran.put(threading.current_thread()))
    thread = ran.get(timeout=TIMEOUT)
    thread.join(TIMEOUT)

    assert not thread.is_alive()


def test_a_job_that_ends_with_sys_exit_counts_as_one_that_raised() -> None:
    assert threads._fails(sys.exit)


def test_a_cancelled_call_does_not_count_as_one_that_raised() -> None:
    future: Future[Any] = Future()
    future.cancel()

    assert not threads._make_call(future, Failing())


def test_a_thread_is_kept_if_its_look_up_goes_on_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CachedKeys, "_begin_watch", lambda keys: None)
    used: list[threading.Thread] = []

    async def fetch() -> str:
        return KEY

    def source(claim: object) -> Any:
        used.append(threading.current_thread())
        return fetch()

    async def ask() -> None:
        keys = CachedKeys(source)
        for tenant in ("acme", "other"):
            assert await keys.on_loop(claim_of(tenant))
            assert becomes_true(lambda: bool(keys._threads._idle), 2.0)

    asyncio.run(ask())
    assert used[0] is used[1]


@pytest.fixture
def of_django(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> ConnectionHandler:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "db.sqlite3"}
    connections = ConnectionHandler({"default": database})
    monkeypatch.setattr(django.db, "connections", connections)
    return connections


async def on_loop(resolver: Any) -> None:
    await from_loop(resolver)(claim_of("acme"))


ON_WORKER_THREADS: dict[str, Any] = {
    "a function on asyncio": lambda use: asyncio.run(on_loop(use)),
    "a function on trio": lambda use: trio.run(on_loop, use),
}
ON_OWN_THREADS: dict[str, Any] = {
    "CachedKeys": lambda use: CachedKeys(use)(claim_of("acme")),
    "a single-use store": lambda use: StoreCalls(SimpleNamespace(use=lambda token, until: bool(use(None)))).wait(
        b"", 0.0
    ),
}


class UsingDjango:
    """Uses the connection of its thread, and remembers it."""

    def __init__(self, connections: ConnectionHandler) -> None:
        self._connections = connections
        self.used: list[Any] = []

    def __call__(self, claim: object) -> str:
        connection = self._connections["default"]
        connection.ensure_connection()
        self.used.append(connection)
        return KEY

    @property
    def has_open(self) -> list[bool]:
        return [connection.connection is not None for connection in self.used]


@pytest.mark.parametrize("way", ON_WORKER_THREADS)
def test_old_connections_of_django_are_closed_around_a_call(way: str, of_django: ConnectionHandler) -> None:
    use = UsingDjango(of_django)
    ON_WORKER_THREADS[way](use)

    assert use.has_open == [False]


@pytest.mark.parametrize("way", ON_OWN_THREADS)
def test_a_thread_of_the_package_keeps_no_connection_of_django(way: str, of_django: ConnectionHandler) -> None:
    of_django.settings["default"]["CONN_MAX_AGE"] = None
    use = UsingDjango(of_django)
    ON_OWN_THREADS[way](use)

    assert use.has_open == [False]


@pytest.mark.parametrize("way", ON_OWN_THREADS)
def test_a_call_on_the_thread_of_a_request_leaves_the_connections_of_django_open(
    way: str, of_django: ConnectionHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={}))
    use = UsingDjango(of_django)
    ON_OWN_THREADS[way](use)

    assert use.has_open == [True]
    of_django.close_all()


def test_an_old_connection_of_django_is_closed_before_a_call(of_django: ConnectionHandler) -> None:
    of_django["default"].ensure_connection()

    with closing_old_connections():
        assert of_django["default"].connection is None


def test_django_without_settings_disturbs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django.db, "connections", None)

    assert CachedKeys(lambda claim: KEY)(claim_of("acme")) is not None
