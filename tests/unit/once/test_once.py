"""One contract for all single-use stores: one client uses a token, and no store forgets it early."""

import asyncio
import logging
import os
import random
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from databases import POSTGRES, REDIS, needs
from once_stores import ALL, SHARED, Used, answers_of, other_process, store_of, token_for
from ports import LOCAL
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from sqlalchemy import Insert, create_engine, event, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT, becomes_true
from wires import own_redis, wire_to

from hmac_guard import ConfigError
from hmac_guard.keys.sql.resolver import WrongAnswer
from hmac_guard.once import MemoryOnce, RedisOnce, SqlOnce, StoreFull, sql
from hmac_guard.once.calling import StoreCalls
from hmac_guard.once.sql import EVERY
from hmac_guard.once.store import token_of

TEN_MINUTES = 600.0


@pytest.fixture(params=ALL)
def used(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Used]:
    with store_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture(params=SHARED)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Used]:
    with store_of(request.param, tmp_path) as found:
        yield found


def is_sql(used: Used) -> bool:
    return isinstance(used.store, SqlOnce)


def test_the_first_use_of_a_token_is_true_and_each_later_one_false(used: Used) -> None:
    answers = [used.use(token_for(name)) for name in ("a", "b", "a", "b", "a")]

    assert answers == [True, True, False, False, False]


def test_a_token_may_be_any_32_bytes(used: Used) -> None:
    tokens = [bytes(32), b"\xff" * 32, b"'\"%\\\r\n\0 " * 4, bytes(range(32))]

    assert [used.use(token) for token in tokens] == [True] * 4
    assert [used.use(token) for token in tokens] == [False] * 4


def test_a_token_whose_time_is_over_makes_room(used: Used) -> None:
    """The store keeps what it has to keep, and no more."""
    assert used.use(token_for("short"), seconds=1.0)
    assert used.use(token_for("long"))

    if is_sql(used):
        assert becomes_true(lambda: used.do(used.store.purge()) == 1)
        assert used.do(used.store.purge()) == 0
    assert becomes_true(lambda: used.use(token_for("short"), seconds=1.0))
    assert not used.use(token_for("long"))


def test_two_processes_share_what_was_used(shared: Used) -> None:
    assert shared.use(token_for("here"))

    with other_process(shared, token_for("here"), token_for("there"), token_for("there")) as process:
        assert answers_of(process, 3) == [False, True, False]
        assert not shared.use(token_for("there"))


def test_a_token_stays_used_where_the_process_is_killed_before_it_answers(shared: Used) -> None:
    with other_process(shared, token_for("a")) as process:
        assert answers_of(process, 1) == [True]
        process.kill()  # SIGKILL: nothing in it runs on.
        process.wait()

        assert not shared.use(token_for("a"))


def test_a_clock_that_is_set_back_or_forward_frees_no_token(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    assert used.use(token_for("a"))

    for minutes in (-10, 10, 0, -10):
        monkeypatch.setattr(time, "time", lambda minutes=minutes: real() + 60 * minutes)
        if is_sql(used):
            used.do(used.store.purge())
        used.use(token_for(f"{minutes}"))

        assert not used.use(token_for("a"))


def test_a_host_whose_clock_is_behind_has_its_tokens_remembered(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - TEN_MINUTES)

    assert used.use(token_for("a"))
    if is_sql(used):
        used.do(used.store.purge())
    assert not used.use(token_for("a"))


def at_once(used: Used, token: bytes, clients: int) -> int:
    """How many of the clients that arrive at the same moment get the answer "first"."""
    if used.kind.endswith("-async"):
        import asyncio

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(used.store.use(token, time.time() + 300) for _ in range(clients)))

        return sum(used.loop.run_until_complete(all_of_them()))
    barrier = threading.Barrier(clients)

    def use(_: int) -> bool:
        barrier.wait()
        answer: bool = used.store.use(token, time.time() + 300)
        return answer

    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(use, range(clients)))


@pytest.mark.without_coverage
def test_of_many_at_once_one_is_the_first(used: Used) -> None:
    assert [at_once(used, token_for(str(number)), clients=12) for number in range(20)] == [1] * 20


# A store that is full, and a store without its server.


def test_a_full_memory_refuses_and_forgets_nothing_early() -> None:
    store = MemoryOnce(8)
    until = time.time() + 300
    assert all(store.use(token_for(str(number)), until) for number in range(8))

    with pytest.raises(StoreFull, match="maxsize"):
        store.use(token_for("one more"), until)
    assert not any(store.use(token_for(str(number)), until) for number in range(8))
    assert store.size == 8


def test_a_full_memory_has_room_again_when_a_token_has_ended() -> None:
    store = MemoryOnce(1)
    assert store.use(token_for("a"), time.time() + 1)

    def has_room() -> bool:
        try:
            return store.use(token_for("b"), time.time() + 300)
        except StoreFull:
            return False

    assert not has_room()
    assert becomes_true(has_room)


def test_one_tenant_fills_a_quarter_of_a_memory_and_no_more() -> None:
    store = MemoryOnce(40)
    until = time.time() + 300
    greedy = [token_of("s", "greedy", str(number).encode()) for number in range(11)]
    assert all(store.use(token, until) for token in greedy[:10])

    with pytest.raises(StoreFull, match="one tenant"):
        store.use(greedy[10], until)
    for tenant in ("a", "b", "c"):
        assert all(store.use(token_of("s", tenant, str(number).encode()), until) for number in range(10))
    assert not store.use(greedy[0], until)


def test_a_tenant_whose_tokens_have_ended_has_its_room_back() -> None:
    store = MemoryOnce(4)
    assert store.use(token_of("s", "acme", b"1"), time.time() + 1)

    def has_room() -> bool:
        try:
            return store.use(token_of("s", "acme", b"2"), time.time() + 300)
        except StoreFull:
            return False

    assert not has_room()
    assert becomes_true(has_room)


@pytest.mark.without_coverage
def test_a_full_redis_refuses_and_forgets_nothing_early() -> None:
    with own_redis() as server:
        client = Redis.from_url(server.url)
        client.config_set("maxmemory", 3_000_000)
        client.config_set("maxmemory-policy", "noeviction")
        store: Any = RedisOnce(server.url)
        spent: list[bytes] = []

        def fill() -> None:
            while len(spent) < 100_000:
                assert store.use(token_for(str(len(spent))), time.time() + 300)
                spent.append(token_for(str(len(spent))))

        with pytest.raises(Exception, match="maxmemory"):
            fill()
        sample = random.Random(1).sample(spent, 200)
        client.config_set("maxmemory", 0)
        assert not any(store.use(token, time.time() + 300) for token in sample)
        client.close()


def test_a_full_sqlite_refuses_and_forgets_nothing_early(tmp_path: Path) -> None:
    with store_of("sqlite", tmp_path) as used:
        with used.engine.connect() as connection:
            connection.execute(text("PRAGMA max_page_count = 12"))
        spent: list[bytes] = []

        def fill() -> None:
            while len(spent) < 10_000:
                assert used.use(token_for(str(len(spent))))
                spent.append(token_for(str(len(spent))))

        with pytest.raises(Exception, match="full"):
            fill()
        assert spent
        assert not any(used.use(token) for token in spent)


@pytest.mark.parametrize("kind", ["redis", "redis-async", "django", "postgres", "postgres-async"])
def test_a_store_that_is_away_raises_and_heals_by_itself(kind: str, tmp_path: Path) -> None:
    target = POSTGRES if kind.startswith("postgres") else REDIS
    needs(target, kind)
    with wire_to(str(target.host), int(target.port or 0)) as wire:
        url = target.set(host=LOCAL, port=wire.port).render_as_string(hide_password=False)
        with store_of(kind, tmp_path, url) as used:
            assert used.use(token_for("a"))
            wire.cut()
            for _ in range(3):
                with pytest.raises(Exception, match=r"(?s)."):
                    used.use(token_for("b"))

            wire.restore()
            assert becomes_true(lambda: _has_healed(used))
            assert not used.use(token_for("a"))


def _has_healed(used: Used) -> bool:
    """Return whether a use gets an answer. The token of an unfinished use may be spent."""
    try:
        used.use(token_for("b"))
    except Exception:
        return False
    return True


def test_a_redis_that_is_started_anew_is_used_again() -> None:
    with own_redis() as server:
        store: Any = RedisOnce(server.url)
        assert store.use(token_for("a"), time.time() + 300)
        server.stop()
        with pytest.raises(Exception, match=r"(?s)."):
            store.use(token_for("b"), time.time() + 300)
        server.start()

        assert becomes_true(lambda: _answers(store))


def _answers(store: Any) -> bool:
    try:
        store.use(token_for("c"), time.time() + 300)
    except Exception:
        return False
    return True


def test_a_slow_redis_is_given_up_after_the_timeout() -> None:
    needs(REDIS, "Redis")
    with wire_to(str(REDIS.host), int(REDIS.port or 0)) as wire:
        store: Any = RedisOnce(f"redis://{LOCAL}:{wire.port}/0", prefix=f"slow:{os.urandom(6).hex()}", timeout=0.2)
        wire.hold()
        began = time.monotonic()
        with pytest.raises(Exception, match=r"(?s)."):
            store.use(token_for("a"), time.time() + 300)
        assert 0.1 < time.monotonic() - began < TIMEOUT
        wire.release()
        assert becomes_true(lambda: _answers(store))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.without_coverage
def test_a_purge_under_load_takes_no_token_that_lasts(kind: str, tmp_path: Path) -> None:
    with store_of(kind, tmp_path) as used:
        table, url = used.place.split("@")[0], used.engine.url
        engine = create_engine(url)
        with engine.begin() as connection:
            rows = [{"token": os.urandom(32), "until": 1.0} for _ in range(1_400)]
            connection.execute(text(f"INSERT INTO {table} (token, until) VALUES (:token, :until)"), rows)
        purged: list[int] = []
        ended = threading.Event()

        def purge() -> None:
            while not ended.is_set() or not purged or purged[-1]:
                purged.append(used.store.purge())

        purging = threading.Thread(target=purge)
        purging.start()
        tokens = [token_for(str(number)) for number in range(300)]
        first = [used.use(token) for token in tokens]
        ended.set()
        purging.join()

        assert first == [True] * len(tokens)
        assert not any(used.use(token) for token in tokens)
        assert max(purged) <= 500
        with engine.begin() as connection:
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == len(tokens)
        engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "sqlite-async", "postgres", "postgres-async"])
def test_each_hundredth_use_deletes_some_rows_whose_time_is_over(kind: str, tmp_path: Path) -> None:
    with store_of(kind, tmp_path) as used:
        assert used.use(token_for("short"), seconds=1.0)
        time.sleep(1.1)
        for number in range(99):
            assert used.use(token_for(str(number)))

        assert used.do(used.store.purge()) == 0


def test_a_clean_up_in_postgresql_finds_the_rows_by_their_index(tmp_path: Path) -> None:
    """The other rows may be many."""
    with store_of("postgres", tmp_path) as used:
        statements: list[str] = []
        event.listen(used.engine, "before_cursor_execute", lambda _, __, statement, *rest: statements.append(statement))
        used.store.purge()
        [delete] = [statement for statement in statements if statement.startswith("DELETE")]
        with used.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            limit = dict.fromkeys(re.findall(r"%\((\w+)\)s", delete), 500)
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {delete}", limit).scalars())

    assert f"{used.name}_until" in plan


@contextmanager
def role_with(privileges: str, used: Used) -> Iterator[None]:
    """Let the store use its table as a role that has only these privileges."""
    role = f"role_{os.urandom(6).hex()}"
    beside = create_engine(POSTGRES.set(drivername="postgresql+psycopg"))
    with beside.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT {privileges} ON {used.name} TO {role}"))

    def become(connection: Any, _: Any) -> None:
        connection.cursor().execute(f"SET ROLE {role}")
        connection.commit()

    used.do(used.engine.dispose())
    event.listen(getattr(used.engine, "sync_engine", used.engine), "connect", become)
    try:
        yield
    finally:
        with beside.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
        beside.dispose()


def use_until_a_clean_up(used: Used) -> None:
    assert all(used.use(token_for(str(number))) for number in range(EVERY))


@pytest.mark.parametrize("kind", ["postgres", "postgres-async"])
def test_the_store_needs_no_other_privileges_than_the_documented_ones(kind: str, tmp_path: Path) -> None:
    with store_of(kind, tmp_path) as used, role_with("INSERT, SELECT, DELETE", used):
        assert used.use(token_for("short"), seconds=1.0)
        assert becomes_true(lambda: used.do(used.store.purge()) == 1)
        use_until_a_clean_up(used)


@pytest.mark.parametrize("kind", ["postgres", "postgres-async"])
def test_a_clean_up_that_fails_is_logged_and_refuses_no_use(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with store_of(kind, tmp_path) as used:
        with role_with("INSERT, SELECT", used), caplog.at_level(logging.WARNING, "hmac_guard"):
            use_until_a_clean_up(used)
            with pytest.raises(ProgrammingError, match="permission denied"):
                used.do(used.store.purge())

        [line] = caplog.messages
        assert line.startswith("SqlOnce goes on working, but cannot delete expired rows: ")
        assert "42501" in line


@pytest.mark.parametrize("kind", ["sqlite", "sqlite-async"])
def test_a_request_without_an_answer_because_of_a_slow_clean_up_can_be_repeated(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def purge(store: SqlOnce[Any]) -> None:
        time.sleep(0.3)
        ended.set()

    async def purge_async(store: SqlOnce[Any]) -> None:
        await asyncio.sleep(0.3)

    with store_of(kind, tmp_path, timeout=0.1) as used:
        monkeypatch.setattr(sql, "EVERY", 1)
        calls, until = StoreCalls(used.store), time.time() + 60

        def use() -> Any:
            token = b"t" * 32
            return used.do(calls.on_loop(token, until)) if calls.asgi_only else calls.wait(token, until)

        with monkeypatch.context() as slow:
            slow.setattr(SqlOnce, "purge", purge_async if kind.endswith("-async") else purge)
            with pytest.raises(TimeoutError):
                use()
            assert calls.asgi_only or ended.wait(TIMEOUT)
        assert [use(), use()] == [True, False]


@pytest.mark.parametrize("kind", ["sqlite", "sqlite-async"])
def test_a_clean_up_that_ends_its_transaction_undoes_no_use(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite may do this by itself, for example if the disk is full."""
    with store_of(kind, tmp_path) as used:
        beside = create_engine(used.url)
        with beside.begin() as connection:
            connection.execute(text(f"INSERT INTO {used.name} (token, until) VALUES (x'00', 1.0)"))
            ends = "BEGIN SELECT RAISE(ROLLBACK, 'ended'); END"
            connection.execute(text(f"CREATE TRIGGER ends BEFORE DELETE ON {used.name} {ends}"))
        beside.dispose()
        use_until_a_clean_up(used)

        assert not any(used.use(token_for(str(number))) for number in range(EVERY - 1))
        assert "cannot delete expired rows: sqlite3.IntegrityError" in caplog.text


@pytest.mark.parametrize("kind", ["postgres", "postgres-async"])
def test_a_clean_up_does_not_wait_for_that_of_another_process(kind: str, tmp_path: Path) -> None:
    with store_of("postgres", tmp_path) as other:
        used = Used(kind, other.place)
        assert used.use(token_for("short"), seconds=1.0)
        time.sleep(1.1)
        with other.engine.begin() as connection:
            assert SqlOnce.purge._work(other.store, connection) == 1
            assert used.do(used.store.purge()) == 0
            use_until_a_clean_up(used)
        # The connection of the other process is still open, in its pool.
        assert used.use(token_for("short again"), seconds=1.0)
        assert becomes_true(lambda: used.do(used.store.purge()) == 1)
        used.close()


@pytest.mark.parametrize("kind", ["postgres", "postgres-async"])
def test_a_clean_up_does_not_wait_for_a_lock_on_a_row(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with store_of(kind, tmp_path) as used:
        beside = create_engine(POSTGRES.set(drivername="postgresql+psycopg"))
        assert used.use(token_for("short"), seconds=1.0)
        time.sleep(1.1)
        with beside.begin() as connection:
            connection.execute(text(f"DELETE FROM {used.name}"))
            start = time.monotonic()
            use_until_a_clean_up(used)
            assert time.monotonic() - start < 15
        beside.dispose()

        assert "cannot delete expired rows" in caplog.text
        assert "55P03" in caplog.text
        assert not used.use(token_for("1"))


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "volatile-ttl"])
@pytest.mark.parametrize("kind", ["redis", "redis-async"])
def test_a_redis_that_may_forget_early_is_logged_once(
    kind: str, policy: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with own_redis() as server:
        client = Redis.from_url(server.url)
        client.config_set("maxmemory-policy", policy)
        client.close()
        with store_of(kind, tmp_path, server.url) as used, caplog.at_level(logging.WARNING, "hmac_guard"):
            for number in range(5):
                assert used.use(token_for(str(number)))

    assert [policy in record.getMessage() for record in caplog.records] == [True] * (policy != "noeviction")


@pytest.mark.parametrize("kind", ["redis", "redis-async"])
def test_a_redis_that_does_not_tell_its_policy_is_used_all_the_same(kind: str, tmp_path: Path) -> None:
    with own_redis() as server:
        client = Redis.from_url(server.url)
        client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
        client.close()
        with store_of(kind, tmp_path, server.url) as used:
            assert [used.use(token_for("a")) for _ in range(2)] == [True, False]
            calls = Redis.from_url(server.url).info("commandstats")

    assert calls["cmdstat_config|get"]["rejected_calls"] == 1


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_several_workers_create_the_table_at_once(kind: str, tmp_path: Path) -> None:
    if kind == "postgresql":
        needs(POSTGRES, "PostgreSQL")
    table, workers = f"once_{os.urandom(6).hex()}", 4
    url = POSTGRES if kind == "postgresql" else f"sqlite:///{tmp_path / 'used.db'}"
    engines = [create_engine(url) for _ in range(workers)]
    barrier = threading.Barrier(workers)

    def create(engine: Any) -> None:
        event.listen(engine, "before_cursor_execute", wait_once)
        SqlOnce(engine, table=table).create_table()

    def wait_once(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().startswith("CREATE TABLE") and not barrier.broken:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(1)

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(create, engines))
    with engines[0].begin() as connection:
        connection.execute(text(f"DROP TABLE {table}"))
    for engine in engines:
        engine.dispose()


WITHOUT_TRANSACTIONS: dict[str, Any] = {
    "AUTOCOMMIT": lambda: create_engine("postgresql+psycopg://", isolation_level="AUTOCOMMIT"),
    "AUTOCOMMIT, on a copy": lambda: create_engine("postgresql+psycopg://").execution_options(
        isolation_level="AUTOCOMMIT"
    ),
    "AUTOCOMMIT, async": lambda: create_async_engine("postgresql+asyncpg://", isolation_level="AUTOCOMMIT"),
    "the driver": lambda: create_engine("postgresql+psycopg://", connect_args={"autocommit": True}),
}


@pytest.mark.parametrize("case", WITHOUT_TRANSACTIONS)
def test_an_engine_without_transactions_is_refused(case: str) -> None:
    """A first use is repeated if the answer is lost. If the first attempt was committed, it would be refused."""
    engine = WITHOUT_TRANSACTIONS[case]()

    with pytest.raises(ConfigError, match="need transactions: with AUTOCOMMIT"):
        SqlOnce(engine)


def test_a_creator_whose_driver_begins_no_transactions_is_refused_before_a_use() -> None:
    needs(POSTGRES, "PostgreSQL")
    dialect = create_engine("postgresql+psycopg://").dialect
    positional, named = dialect.create_connect_args(POSTGRES)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: dialect.connect(*positional, **named, autocommit=True)
    )
    store = SqlOnce(engine, table=f"once_{os.urandom(6).hex()}")

    for use in (store.create_table, store.purge, lambda: store.use(token_for("a"), time.time() + TEN_MINUTES)):
        with pytest.raises(ConfigError, match="autocommit of the driver"):
            use()
    engine.dispose()


def test_a_forked_child_can_use_a_memory_whose_lock_its_parent_held() -> None:
    code = """
import os, sys, time
from hmac_guard.once import MemoryOnce
store = MemoryOnce(4)
store.use(b"a" * 32, time.time() + 300)
store._lock.acquire()
if os.fork() == 0:
    os._exit(10 + store.use(b"a" * 32, time.time() + 300) + 2 * store.use(b"b" * 32, time.time() + 300))
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=TIMEOUT).returncode == 12


# A connection that two processes share.


class AnotherUse:
    """Has the database run the statement of another process in place of one use."""

    def __init__(self, used: Used, how: str) -> None:
        self.connections: list[Any] = []
        self._how = how
        self._name = used.name
        self._is_over = False
        engine = getattr(used.engine, "sync_engine", used.engine)
        event.listen(engine, "before_execute", self, retval=True)

    def __call__(self, connection: Any, statement: Any, several: Any, parameters: Any, options: Any) -> Any:
        if isinstance(statement, Insert):
            self.connections.append(connection.connection.dbapi_connection)
            if not self._is_over:
                self._is_over = True
                statement = self._other(statement)
        return statement, several, parameters

    def _other(self, statement: Any) -> Any:
        if self._how == "without rows":
            return text(f"DELETE FROM {self._name} WHERE until < 0")
        return statement.values(token=token_for("of another process"))


@pytest.mark.parametrize("how", ["of another use", "without rows"])
@pytest.mark.parametrize("kind", ["sqlite", "sqlite-async", "postgres", "postgres-async"])
def test_an_answer_to_another_use_is_not_taken(kind: str, how: str, tmp_path: Path) -> None:
    with store_of(kind, tmp_path) as used:
        asked = AnotherUse(used, how)

        with pytest.raises(WrongAnswer, match="two processes"):
            used.use(token_for("a"))
        # What the other statement has done is rolled back here. With a shared connection, it may be committed.
        assert [used.use(token_for(name)) for name in ("a", "of another process", "a")] == [True, True, False]
        first, second, *_ = asked.connections
        assert first is not second


# What a token is, and what cannot be a store.


def test_a_token_is_another_one_wherever_scope_tenant_or_message_differ() -> None:
    parts = [
        ("a", "b", b"c"),
        ("ab", "", b"c"),
        ("", "ab", b"c"),
        ("a", None, b"bc"),
        ("a", "bc", b""),
        ("", None, b""),
    ]
    parts += [("a", None, b"c"), ("a", "b", b"c\0"), ("a\0", "b", b"c")]

    tokens = [token_of(scope, tenant, message) for scope, tenant, message in parts]

    assert len(set(tokens)) == len(parts)
    assert {len(token) for token in tokens} == {32}
    assert [token.tenant for token in tokens] == [tenant for _, tenant, _ in parts]
    assert token_of("a", "b", b"c") == tokens[0]


@pytest.mark.parametrize("tenant", [None, "acme"])
@pytest.mark.without_coverage
def test_a_token_in_memory_takes_about_250_bytes(tenant: str | None) -> None:
    store = MemoryOnce(1_000_000)
    tracemalloc.start()
    try:
        for number in range(20_000):
            store.use(token_of("scope", tenant, str(number).encode()), time.time() + 300)
        assert 150 < tracemalloc.get_traced_memory()[0] / 20_000 < 300
    finally:
        tracemalloc.stop()


class Odd(Redis):
    """A client whose callbacks change what Redis answers."""

    answer: Any = None
    policy: Any = None

    def set(self, *arguments: Any, **options: Any) -> Any:
        return self.answer

    def config_get(self, *arguments: Any, **options: Any) -> Any:
        return self.policy


@pytest.mark.parametrize("answer", [False, "OK", b"OK", 1, ["OK"]], ids=repr)
def test_an_answer_that_says_neither_is_a_failure(answer: object) -> None:
    client = Odd()
    client.answer = answer

    with pytest.raises(TypeError, match="answers SET with"):
        RedisOnce(client).use(token_for("a"), time.time() + 60)


@pytest.mark.parametrize("policy", [None, [], b"noeviction", {"maxmemory-policy": 7}], ids=repr)
def test_an_odd_answer_about_the_eviction_is_no_failure(policy: object) -> None:
    client = Odd()
    client.answer, client.policy = True, policy

    assert RedisOnce(client).use(token_for("a"), time.time() + 60) is True


def test_a_store_shows_no_password() -> None:
    redis = RedisOnce("redis://:open-sesame-open-sesame@localhost:1/0")
    sql = SqlOnce(create_engine("postgresql+psycopg://u:open-sesame-open-sesame@localhost:1/d"))
    in_query = SqlOnce(create_engine("postgresql+psycopg://u@localhost:1/d?password=open-sesame-open-sesame"))

    # In some releases of redis-py, the attributes of a client show the password.
    assert not any(isinstance(value, Redis) for value in vars(redis).values())
    assert "sesame" not in repr(redis) + repr(sql) + repr(MemoryOnce(4))
    assert repr(in_query) == "SqlOnce('postgresql+psycopg://u@localhost:1/d')"


def _django(**cache: str) -> Any:
    def make() -> Any:
        pytest.importorskip("django", reason="not run: Django is not installed")
        import django_settings  # noqa: F401 - it configures Django
        from django.test import override_settings

        from hmac_guard.once import DjangoCacheOnce

        with override_settings(CACHES={"default": cache}):
            return DjangoCacheOnce()

    return make


def _unknown_alias() -> Any:
    pytest.importorskip("django", reason="not run: Django is not installed")
    import django_settings  # noqa: F401 - it configures Django

    from hmac_guard.once import DjangoCacheOnce

    return DjangoCacheOnce("elsewhere")


_BACKEND = "django.core.cache.backends."
CASES: dict[str, tuple[Any, str]] = {
    "a memory of size 0": (lambda: MemoryOnce(0), "at least 1"),
    "a memory of True": (lambda: MemoryOnce(True), "whole number"),
    "no time to wait": (lambda: MemoryOnce(4, timeout=0), "more than 0"),
    "a wait without an end": (lambda: RedisOnce("redis://x", timeout=float("inf")), "number of seconds"),
    "another server": (lambda: RedisOnce("http://localhost"), "redis://"),
    "no server": (lambda: RedisOnce(None), "redis://"),
    "an unknown protocol in the URL": (lambda: RedisOnce("redis://localhost?protocol=4"), "redis://"),
    "an unknown rule for certificates": (lambda: RedisOnce("rediss://localhost?ssl_cert_reqs=x"), "redis://"),
    "an unknown option in the URL": (lambda: RedisOnce("redis://localhost?foo=1"), "redis://"),
    "a pipeline": (lambda: RedisOnce(Redis().pipeline()), "redis://"),
    "an async pipeline": (lambda: RedisOnce(AsyncRedis().pipeline()), "redis://"),
    "a prefix that is no text": (lambda: RedisOnce("redis://x", prefix=b"p"), "prefix"),  # type: ignore[arg-type]
    "a prefix with half a character": (lambda: RedisOnce("redis://x", prefix="\ud800"), "prefix must be printable"),
    "a URL for an engine": (lambda: SqlOnce("sqlite://"), "engine"),  # type: ignore[type-var]
    "an odd table": (lambda: SqlOnce(create_engine("sqlite:///x"), table="a b"), "name of a table"),
    "a database in memory for each thread": (
        lambda: SqlOnce(create_engine("sqlite://")),
        "SqlOnce: each thread would have its own database in memory",
    ),
    "an unknown option": (lambda: MemoryOnce(4, ttl=1), "no option 'ttl'"),  # type: ignore[call-arg]
    "Memcached": (_django(BACKEND=_BACKEND + "memcached.PyMemcacheCache", LOCATION="x:1"), "RedisCache"),
    "a dummy cache": (_django(BACKEND=_BACKEND + "dummy.DummyCache"), "RedisCache"),
    "a local memory cache": (_django(BACKEND=_BACKEND + "locmem.LocMemCache"), "RedisCache"),
    "a file cache": (_django(BACKEND=_BACKEND + "filebased.FileBasedCache", LOCATION="/tmp/x"), "RedisCache"),
    "a database cache": (_django(BACKEND=_BACKEND + "db.DatabaseCache", LOCATION="x"), "RedisCache"),
    "an unknown alias": (_unknown_alias, "has no 'elsewhere'"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_a_store_is_refused_when_it_is_made(case: str) -> None:
    make, says = CASES[case]
    with pytest.raises(ConfigError, match=says):
        make()


def test_another_database_is_refused() -> None:
    engine = create_engine("sqlite://")
    engine.dialect.name = "mysql"
    with pytest.raises(ConfigError, match="PostgreSQL or SQLite, not mysql"):
        SqlOnce(engine)


def test_a_cache_is_not_looked_up_while_django_reads_its_settings(tmp_path: Path) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    (tmp_path / "half.py").write_text("from hmac_guard.once import DjangoCacheOnce\nSTORE = DjangoCacheOnce()\n")
    code = "import django.conf; django.conf.settings.DEBUG"
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "half", "PYTHONPATH": paths}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert "make the Guard in another module" in run.stderr
