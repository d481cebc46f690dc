"""Processes that fork, as servers do it: with Python's hooks, and without them, as uWSGI forks in C."""

import asyncio
import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acceptance.forks.rows import KINDS, Row, run_once
from databases import REDIS, Database, database_of, needs
from key_sources import KEY, Source, claim_of, follow
from once_stores import store_of, token_for
from sqlalchemy import QueuePool, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT, becomes_true

from hmac_guard import Decision, Key, Keyring, KeysUnavailable, Reason, Verdict
from hmac_guard.forking import after_fork
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys, VerdictCounts
from hmac_guard.keys.sql.resolver import WrongAnswer
from hmac_guard.once import MemoryOnce, SqlOnce
from hmac_guard.once.calling import StoreCalls

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="not run: this platform cannot fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

Fork = Callable[[], int]


def fork_in_c() -> int:
    """Fork as uWSGI does: with the interpreter's lock held, and without a hook of Python's.

    Until the fork, no other thread asks for the lock. The child would leave it to that thread, which it does not have.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(TIMEOUT)
    time.sleep(0.01)  # A thread that has already asked for it gets it.
    child: int = ctypes.PyDLL(None).fork()
    sys.setswitchinterval(interval)
    return child


@pytest.fixture(params=["os.fork", "fork in C"])
def fork(request: pytest.FixtureRequest) -> Fork:
    return os.fork if request.param == "os.fork" else fork_in_c


def in_child(fork: Fork, work: Callable[[], object]) -> Any:
    """What `work` returns in a child, through JSON. A child that hangs is ended.

    A fork in C copies each lock that another thread holds in that moment, such as one of logging, and nothing releases
    it in the child. So it is tried three times.
    """
    for _ in range(3 if fork is fork_in_c else 1):
        said = _said_in_child(fork, work)
        if said:
            return json.loads(said)
    return "it hangs"


def _said_in_child(fork: Fork, work: Callable[[], object]) -> bytes:
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        try:
            try:
                found = work()
            except BaseException as error:
                found = repr(error)
            os.write(writing, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(writing)
    has_ended, _, _ = select.select([reading], [], [], TIMEOUT)
    if not has_ended:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def ids(ring: object) -> list[str]:
    return [str(key.id) for key in ring.keys] if isinstance(ring, Keyring) else []


# What was started before the fork


def test_a_cache_that_was_used_before_the_fork_looks_up_after_it(fork: Fork) -> None:
    keys = CachedKeys(lambda claim: Key(KEY, f"key of {claim.tenant}"))
    keys(claim_of("before"))
    with keys._lock:  # As if another thread of the parent held it.
        found = in_child(fork, lambda: [ids(keys(claim_of(name))) for name in ("before", "after")])

    assert found == [["key of before"], ["key of after"]]


IMPORTS_SLOWLY = """
import os, sys, threading, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "stringprep" and threading.current_thread() is not threading.main_thread():
            time.sleep(0.5)

sys.meta_path.insert(0, Slow())

from hmac_guard import Key
from hmac_guard.keys import CachedKeys, RedisInvalidation

keys = CachedKeys(lambda claim: Key("a key that is long enough"))
RedisInvalidation(sys.argv[1]).watch(keys)
while "encodings.idna" not in sys.modules:  # It imports stringprep.
    time.sleep(0.01)
if os.fork() == 0:
    "localhost".encode("idna")
    print("the child imports", flush=True)
    os._exit(0)
os.wait()
"""


def test_no_module_is_half_imported_in_a_child_that_is_forked_after_watch() -> None:
    """With `gunicorn --preload`, the codec of host names was missing now and then, and each request was a 500."""
    needs(REDIS, "Redis")
    script = [sys.executable, "-c", IMPORTS_SLOWLY, REDIS.render_as_string(hide_password=False)]

    done = subprocess.run(script, capture_output=True, text=True, timeout=TIMEOUT)

    assert done.stdout == "the child imports\n", done.stderr


ENDS = """
from hmac_guard import Guard, Key
from hmac_guard.keys import EnvKeys
from hmac_guard.schemes import STANDARD_WEBHOOKS

guard = Guard(STANDARD_WEBHOOKS, keys=Key.from_whsec("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
guard = Guard(STANDARD_WEBHOOKS, keys=EnvKeys("SECRET"))
"""


def test_a_process_with_guards_ends_without_output(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ENDS)
    app = [sys.executable, str(tmp_path / "app.py")]

    done = subprocess.run(app, capture_output=True, text=True, env={**os.environ, "SECRET": KEY})

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


class Failing:
    def remake(self) -> None:
        raise OSError("secret words")


def test_an_exception_after_a_fork_is_logged_and_the_rest_is_made_again(
    fork: Fork, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing()
    after_fork(failing.remake)
    keys = CachedKeys(lambda claim: Key(KEY, f"key of {claim.tenant}"))
    keys(claim_of("before"))

    def asks() -> list[Any]:
        return [ids(keys(claim_of(name))) for name in ("before", "after")] + [caplog.messages]

    said = "after a fork, Failing.remake failed: OSError"
    assert in_child(fork, asks) == [["key of before"], ["key of after"], [said]]


def test_a_child_that_begins_to_watch_has_one_watcher(fork: Fork) -> None:
    keys = CachedKeys(lambda claim: Key(KEY))
    news = RedisInvalidation("redis://127.0.0.1:1")

    def watchers() -> list[int]:
        news.watch(keys)
        keys(claim_of("acme"))
        during = [thread.name for thread in threading.enumerate()].count("hmac_guard-news")
        news.close()
        return [during, [thread.name for thread in threading.enumerate()].count("hmac_guard-news")]

    assert in_child(fork, watchers) == [1, 0]


def test_a_child_hears_of_changes(fork: Fork) -> None:
    needs(REDIS, "Redis")
    keys = CachedKeys(lambda claim: Key(KEY), ttl=3_600)
    news = RedisInvalidation(REDIS.render_as_string(hide_password=False), f"forks-{os.getpid()}-{time.time()}")
    follow(keys, news, "acme")
    before = keys(claim_of("acme"))

    def hears() -> list[bool]:
        heard = []
        # Once it is subscribed, it looks up all tenants again, since it may have missed a change. It may be so at once.
        heard.append(becomes_true(lambda: keys(claim_of("acme")) is not before, TIMEOUT / 3))
        known = keys(claim_of("acme"))
        news.publish("acme")
        heard.append(becomes_true(lambda: keys(claim_of("acme")) is not known, TIMEOUT / 3))
        news.close()
        return heard

    assert in_child(fork, hears) == [True, True]
    news.close()


def test_a_child_asks_a_single_use_store(fork: Fork) -> None:
    calls = StoreCalls(SimpleNamespace(use=lambda token, until: True))
    assert calls.wait(bytes(32), 4e9)

    assert in_child(fork, lambda: calls.wait(bytes(32), 4e9)) is True


def test_a_child_uses_a_memory_whose_lock_its_parent_held(fork: Fork) -> None:
    memory = MemoryOnce()
    with memory._lock:
        assert in_child(fork, lambda: memory.use(bytes(32), 4e9)) is True


def test_a_child_counts_its_own_requests(fork: Fork, sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme", KEY)
    counts = VerdictCounts(keys, every=3_600)
    decision = Decision(Verdict(Reason.VERIFIED, "one"), claim_of("acme"), "enforce", True, 0.001)

    def verified() -> int:
        counts.close()
        return counts.readiness()[0].verified

    def count_two() -> int:
        counts(decision)
        counts(decision)
        return verified()

    counts(decision)
    assert in_child(fork, count_two) == 2
    assert verified() == 3


def test_a_child_that_writes_first_writes_nothing_of_its_parent(fork: Fork, sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme", KEY)
    counts = VerdictCounts(keys, every=3_600)
    counts(Decision(Verdict(Reason.VERIFIED, "one"), claim_of("acme"), "enforce", True, 0.001))

    assert in_child(fork, counts.flush) is None
    counts.close()

    assert counts.readiness()[0].verified == 1


# Connections

_OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql"])
def test_a_child_uses_no_connection_of_its_parent(fork: Fork, kind: str, tmp_path: Path) -> None:
    with database_of(kind, tmp_path) as database:
        keys = database.keys()
        keys.add("acme", KEY, key_id="first")

        def connection() -> int:
            """The number that the database has given to the connection of a look-up."""
            assert ids(keys(claim_of("acme"))) == ["first"]
            with database.engine.connect() as connection:
                return int(connection.scalar(text(_OWN_ID[database.engine.dialect.name.replace("mariadb", "mysql")])))

        of_parent = connection()
        assert in_child(fork, connection) not in (of_parent, "it hangs")
        # And what the child has done with its copy has not ended it.
        assert connection() == of_parent


def test_a_child_uses_no_connection_of_an_async_engine(fork: Fork, tmp_path: Path) -> None:
    with database_of("postgresql+asyncpg", tmp_path) as database:
        keys = database.keys()
        database.do(keys.add("acme", KEY, key_id="first"))
        pool = database.engine.pool

        def look_up() -> list[Any]:
            ring = asyncio.new_event_loop().run_until_complete(keys(claim_of("acme")))
            return [ids(ring), database.engine.pool is pool]

        assert in_child(fork, look_up) == [["first"], False]
        assert ids(database.ring(keys, "acme")) == ["first"]


def test_a_child_uses_a_token_on_no_connection_of_its_parent(fork: Fork, tmp_path: Path) -> None:
    with store_of("postgres", tmp_path) as made:
        # As after a migration: the store has made no table with this engine, and the application has used it.
        engine = create_engine(made.engine.url)
        store = SqlOnce(engine, table=made.name)

        def connection() -> int:
            with engine.connect() as connection:
                return int(connection.scalar(text(_OWN_ID["postgresql"])))

        def use(name: str) -> bool:
            return bool(store.use(token_for(name), time.time() + 300))

        of_parent = connection()
        first, again, of_child = in_child(fork, lambda: [use("a"), use("a"), connection()])

        assert (first, again) == (True, False)
        assert of_child != of_parent
        assert (use("a"), use("b"), connection()) == (False, True, of_parent)
        engine.dispose()


def test_a_child_uses_a_token_on_no_connection_of_an_async_engine(fork: Fork, tmp_path: Path) -> None:
    with store_of("postgres-async", tmp_path) as made:
        engine = create_async_engine(made.engine.url)
        store = SqlOnce(engine, table=made.name)
        pool = engine.pool

        async def use_before() -> None:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

        async def use() -> bool:
            return bool(await store.use(token_for("a"), time.time() + 300))  # type: ignore[misc]

        def in_the_child() -> list[bool]:
            return [asyncio.new_event_loop().run_until_complete(use()), engine.pool is pool]

        made.do(use_before())
        assert in_child(fork, in_the_child) == [True, False]
        assert made.do(use()) is False
        made.do(engine.dispose())


def test_a_database_in_memory_is_still_there_in_a_child(fork: Fork) -> None:
    engine = create_engine(
        "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False}
    )
    keys = SqlKeys(engine)
    keys.create_table()
    keys.add("acme", KEY, key_id="first")

    assert in_child(fork, lambda: ids(keys(claim_of("acme")))) == ["first"]
    engine.dispose()


class AnotherQuestion:
    """Has the database asked another question than the look-up asks, as if it had the answer of another process."""

    def __init__(self, database: Database, how: str, times: int) -> None:
        self.left = times
        self.connections: list[Any] = []
        self._how = how
        event.listen(
            getattr(database.engine, "sync_engine", database.engine), "before_cursor_execute", self, retval=True
        )

    def __call__(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        if "marker" not in statement:
            return statement, parameters
        self.connections.append(connection.connection.dbapi_connection)
        if not self.left:
            return statement, parameters
        self.left -= 1
        if self._how == "empty":
            return f"{statement} LIMIT 0", parameters

        def changed(value: Any) -> Any:
            return "0" * 16 if isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value) else value

        if isinstance(parameters, dict):
            return statement, {name: changed(value) for name, value in parameters.items()}
        return statement, tuple(map(changed, parameters))


@pytest.mark.parametrize("how", ["empty", "of another question"])
def test_an_answer_to_another_question_is_not_taken(database: Database, how: str) -> None:
    keys = database.keys()
    database.do(keys.add("acme", KEY, key_id="first"))
    asked = AnotherQuestion(database, how, 1)

    assert ids(database.ring(keys, "acme")) == ["first"]
    [first, second] = asked.connections
    assert first is not second  # The first one is closed, since two processes use it.
    assert database.ring(keys, "unknown") is None


def test_no_tenant_is_unknown_because_of_an_answer_to_another_question(database: Database) -> None:
    keys = database.keys()
    database.do(keys.add("acme", KEY))
    AnotherQuestion(database, "empty", 2)

    with pytest.raises(WrongAnswer):
        database.ring(keys, "acme")


# Where no threads run: a stand-in for uWSGI before 2.0.27. `make test-forks` runs the real one.


@pytest.fixture(
    params=[
        pytest.param({"has_threads": 0, "opt": {}}, id="has_threads"),
        pytest.param({"opt": {"processes": b"2"}}, id="no option"),
        pytest.param({"opt": {"enable-threads": b"false"}}, id="turned off"),
    ]
)
def uwsgi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(**request.param))
    monkeypatch.setattr("hmac_guard.keys.threads._has_said", [])


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "--enable-threads" in record.message]


@pytest.mark.usefixtures("uwsgi")
def test_without_threads_keys_are_looked_up_where_the_request_is(caplog: pytest.LogCaptureFixture) -> None:
    threads: list[int] = []

    def resolve(claim: Any) -> str:
        threads.append(threading.get_ident())
        if claim.tenant == "failing":
            raise OSError
        return KEY

    clock = SimpleNamespace(now=0.0)
    keys = CachedKeys(resolve, clock=lambda: clock.now, ttl=60)

    def use(token: bytes, until: float) -> bool:
        threads.append(threading.get_ident())
        return True

    calls = StoreCalls(SimpleNamespace(use=use))

    assert keys(claim_of("acme")) is keys(claim_of("acme"))
    assert calls.wait(bytes(32), 4e9)
    count = len(threads)
    clock.now = 50.0
    keys(claim_of("acme"))  # With threads, it would be renewed beside this request.
    assert len(threads) == count
    clock.now = 70.0
    keys(claim_of("acme"))
    assert len(threads) == count + 1
    with pytest.raises(KeysUnavailable):
        keys(claim_of("failing"))
    assert set(threads) == {threading.get_ident()}
    assert len(lines(caplog)) == 1


@pytest.mark.usefixtures("uwsgi")
def test_without_threads_nothing_is_heard_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    news = RedisInvalidation("redis://127.0.0.1:1")
    news.watch(CachedKeys(Source().sync))
    started = [thread.name for thread in set(threading.enumerate()) - before]
    news.close()

    assert "hmac_guard-news" not in started
    [line] = lines(caplog)
    assert "RedisInvalidation gets no messages" in line


@pytest.mark.usefixtures("uwsgi")
def test_without_threads_requests_write_what_was_counted(sync_database: Database) -> None:
    keys = sync_database.keys()
    keys.add("acme", KEY)
    decision = Decision(Verdict(Reason.VERIFIED, "one"), claim_of("acme"), "enforce", True, 0.001)
    counts = VerdictCounts(keys, every=0.05)
    counts(decision)
    time.sleep(0.1)
    counts(decision)
    assert counts.readiness()[0].verified == 2
    counts(decision)
    counts.close()
    assert counts.readiness()[0].verified == 3


def test_with_threads_under_uwsgi_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    threads: list[int] = []

    def resolve(claim: Any) -> str:
        threads.append(threading.get_ident())
        return KEY

    for found in ({"has_threads": 1, "opt": {}}, {"opt": {"threads": b"2"}}, {"opt": {"enable-threads": True}}):
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(**found))
        CachedKeys(resolve)(claim_of("acme"))
    assert threading.get_ident() not in threads
    assert not lines(caplog)


# gevent, and real servers

LATE = """
import json, sys, time
from types import SimpleNamespace
from sqlalchemy import NullPool, create_engine
from hmac_guard import Claim, Decision, Reason, Verdict
from hmac_guard.keys import CachedKeys, SqlKeys, VerdictCounts
from hmac_guard.once.calling import StoreCalls

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
keys = CachedKeys(lambda claim: time.sleep(0.01) or KEY)
calls = StoreCalls(SimpleNamespace(use=lambda token, until: time.sleep(0.01) is None))
stored = SqlKeys(create_engine(f"sqlite:///{sys.argv[1]}", poolclass=NullPool))
stored.create_table()
stored.add("acme", KEY)
counts = VerdictCounts(stored, every=0.05)
decision = Decision(Verdict(Reason.VERIFIED, "one"), Claim("one", {}, "acme"), "enforce", True, 0.001)

from gevent import monkey
monkey.patch_all()
import gevent

def ask(number):
    counts(decision)
    return bool(keys(Claim("one", {}, f"tenant-{number}"))) and calls.wait(bytes(32), 4e9)

greenlets = [gevent.spawn(ask, number) for number in range(50)]
gevent.joinall(greenlets)
began = time.monotonic()
time.sleep(0.2)
late = time.monotonic() - began
counts.close()
print(json.dumps([sum(g.value for g in greenlets), counts.readiness()[0].verified, late < 5]))
"""


def test_gevent_that_patches_after_all_was_made_holds_up_no_request(tmp_path: Path) -> None:
    pytest.importorskip("gevent", reason="not run: gevent is not installed")
    command = [sys.executable, "-W", "ignore", "-c", LATE, str(tmp_path / "keys.db")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT, check=False)

    assert (run.stdout, run.stderr) == ("[50, 50, true]\n", "")


@pytest.mark.without_coverage
@pytest.mark.parametrize("name", ["gunicorn sync", "gunicorn gevent"])
def test_gunicorn_with_preload(name: str, tmp_path: Path) -> None:
    """`make test-forks` has the other servers and options."""
    [kind] = [kind for kind in KINDS if kind.name == name]
    row = Row(kind, "before", "cached")
    assert row.server.version
    outcome = run_once(row, tmp_path, requests=120)

    assert outcome.faults == []
