"""What the log says of a source of keys that fails."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import psycopg
import pytest
import redis
from databases import POSTGRES, needs
from key_sources import Clock, claim_of
from ports import own_port
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import becomes_true

from hmac_guard import ConfigError, KeysUnavailable, log
from hmac_guard.keys import CachedKeys, RedisInvalidation, SqlKeys, VerdictCounts
from hmac_guard.keys import redis as invalidation
from hmac_guard.log import NO_TABLE, RECOVERED_AFTER, Failure, FailureLog, failure_of
from hmac_guard.once import StoreFull

FAULTS = {
    "refused": ({"port": 1}, "errno 111"),
    "no such role": ({"username": "no-such-role"}, "sqlstate 28000"),
    "no such database": ({"database": "none-of-this-name"}, "sqlstate 3D000"),
    "no such table": ({}, "sqlstate 42P01"),
}


def test_only_a_text_that_is_our_own_is_logged() -> None:
    assert str(failure_of(StoreFull("MemoryOnce is full"))) == "hmac_guard.once.store.StoreFull: MemoryOnce is full"
    assert str(failure_of(ConfigError("two keys"))) == "hmac_guard.core.errors.ConfigError: two keys"
    assert str(failure_of(KeyError("a secret"))) == "builtins.KeyError"


@pytest.mark.parametrize(("changes", "code"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_the_first_line_of_an_outage_tells_what_failed(
    changes: dict[str, Any], code: str, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    needs(POSTGRES, "PostgreSQL")
    with own_port() as free:
        url = POSTGRES.set(
            drivername=f"postgresql+{driver}", **{**changes, **({"port": free} if "port" in changes else {})}
        )
        make: Any = create_engine if driver == "psycopg" else create_async_engine
        engine = make(url)
        keys = CachedKeys(SqlKeys(engine, table="no_such_table"))

        async def miss() -> None:
            try:
                await keys.on_loop(claim_of("acme"))
            finally:
                await engine.dispose()

        with pytest.raises(KeysUnavailable):
            keys(claim_of("acme")) if driver == "psycopg" else asyncio.run(miss())
        if driver == "psycopg":
            assert becomes_true(lambda: keys._watched_at is None)
            engine.dispose()

    [line] = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert f"({code})" in line
    assert ("call create_table()" in line) == (code == "sqlstate 42P01")
    assert driver in line or "ConnectionRefusedError" in line


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('connection failed: FATAL:  password authentication failed for user "app"', "sqlstate 28P01"),
        ("FATAL:  sorry, too many clients already", "sqlstate 53300"),
        ('FATAL:  too many connections for role "app"', "sqlstate 53300"),
        ("FATAL:  the database system is starting up", "sqlstate 57P03"),
        ("connection timeout expired", "errno 110"),
        ("something else, with the password hunter2", ""),
    ],
)
def test_an_error_of_libpq_without_a_code_gets_one(said: str, code: str) -> None:
    kind = failure_of(psycopg.OperationalError(said)).kind

    assert kind == "psycopg.OperationalError" + (f" ({code})" if code else "")


def test_the_errno_of_a_redis_that_cannot_be_reached_is_logged() -> None:
    with own_port() as free, pytest.raises(redis.ConnectionError) as caught:
        redis.Redis(port=free).get("a")

    assert failure_of(caught.value).kind == "redis.exceptions.ConnectionError (errno 111)"


def raise_in_fallback(error: Exception) -> None:
    try:
        raise FileNotFoundError(2, "No such file or directory")
    except FileNotFoundError:
        raise error  # noqa: B904


def raise_from(error: Exception) -> None:
    raise error from OSError(111, "Connection refused")


@pytest.mark.parametrize(
    ("fail", "error", "code"),
    [
        pytest.param(raise_in_fallback, RuntimeError(), "", id="a fallback"),
        pytest.param(raise_in_fallback, redis.ResponseError(), "", id="a fallback to Redis"),
        pytest.param(raise_from, RuntimeError(), " (errno 111)", id="a cause"),
    ],
)
def test_only_the_code_of_an_exception_or_of_its_cause_is_logged(
    fail: Callable[[Exception], None], error: Exception, code: str
) -> None:
    with pytest.raises(type(error)) as caught:
        fail(error)

    assert failure_of(caught.value).kind == f"{type(error).__module__}.{type(error).__name__}{code}"


@pytest.mark.parametrize("detail", [None, 7, NO_TABLE, {NO_TABLE: 1}], ids=["none", "a number", "text", "a mapping"])
def test_a_detail_of_another_exception_is_not_read(detail: object) -> None:
    error = RuntimeError()
    error.detail = detail  # type: ignore[attr-defined]

    assert failure_of(error).kind == "builtins.RuntimeError"


class Away:
    """A call that fails three times, and works then."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, *_: object) -> None:
        self._calls += 1
        if self._calls <= 3:
            raise ConnectionRefusedError(111, "Connection refused")


def four_times(use: Callable[[], object]) -> None:
    for _ in range(4):
        use()


def use_counts(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = VerdictCounts(SqlKeys(create_engine("sqlite:///keys.db")))
    monkeypatch.setattr(VerdictCounts, "flush", away)
    monkeypatch.setattr(VerdictCounts, "sum_up_stale", lambda counts: None)
    four_times(lambda: counts.write_some(is_last=False))


def use_metrics(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = pytest.importorskip("hmac_guard.metrics.for_prometheus", reason="not run: prometheus_client is missing")
    ending = metrics.EndingKeys("k" * 32, 30)
    ending._count = away
    four_times(lambda: (ending._reading.acquire(), ending._read()))


def use_redis(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidation, "RETRY", 0)
    client, stop = MagicMock(["publish", "pubsub", "incr", "get", "set"]), threading.Event()
    channel = client.pubsub().__enter__()
    channel.get_message = lambda timeout: away()
    channel.ping = stop.set
    RedisInvalidation(client)._follow(CachedKeys("k" * 32), threading.Event(), stop)


def use_count_of_redis(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MagicMock(["publish", "pubsub", "incr", "get", "set"], get=lambda name: 1)
    client.set = lambda *_, nx: away()
    four_times(RedisInvalidation(client)._count)


def use_on_change(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SqlKeys(create_engine("sqlite:///keys.db"), on_change=away)
    four_times(lambda: keys._announce("acme"))


USES: dict[str, tuple[Callable[[Away, pytest.MonkeyPatch], None], str, str]] = {
    "counts": (use_counts, "verdicts go on being counted, but cannot be written", "the database of VerdictCounts"),
    "metrics": (use_metrics, "metrics: the keys that end soon cannot be read", "the source of the metrics"),
    "redis": (use_redis, "Redis is not available, changes of keys are seen within the ttl", "Redis"),
    "the count of redis": (use_count_of_redis, "the count of changes in Redis cannot be read", ""),
    "on_change": (use_on_change, "the change is made, but on_change failed; caches see it within their ttl", ""),
}


@pytest.mark.parametrize(("use", "first_line", "source"), USES.values(), ids=USES)
def test_a_failure_is_one_line_and_its_traceback_is_logged_at_debug_alone(
    use: Callable[[Away, pytest.MonkeyPatch], None],
    first_line: str,
    source: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "RECOVERED_AFTER", 0)
    with caplog.at_level(logging.DEBUG, "hmac_guard"):
        use(Away(), monkeypatch)

    failed = f"{first_line}: builtins.ConnectionRefusedError (errno 111)"
    expected = [failed, f"{source} works again; it failed 3 times in 0 s"] if source else [failed] * 3
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG] == expected
    assert {record.levelno for record in caplog.records} <= {logging.DEBUG, logging.INFO, logging.WARNING}
    tracebacks = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [text.startswith(f"{first_line}; the traceback:\n  File ") for text in tracebacks] == [
        True
    ] * expected.count(failed)


@pytest.mark.parametrize(("warning", "level"), [("", logging.ERROR), ("it is away", logging.WARNING)])
def test_a_source_that_fails_now_and_then_is_one_outage(
    caplog: pytest.LogCaptureFixture, warning: str, level: int
) -> None:
    clock = Clock()
    log = FailureLog("the source", clock, warning=warning)
    for _ in range(30):
        log.failed(Failure("an error", ""))
        clock.pass_by(RECOVERED_AFTER - 1)
        log.succeeded()
        clock.pass_by(1)

    assert [record.levelno for record in caplog.records] == [level] * (
        1 + 2
    )  # It began, and went on for two minutes and a half.
    clock.pass_by(RECOVERED_AFTER)
    log.succeeded()
    assert caplog.messages[-1] == "the source works again; it failed 30 times in 145 s"
