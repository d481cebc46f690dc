"""What a request gets while its source of keys fails, over WSGI and ASGI, from sync and async sources: 503 or the last
good keys, never a pass and never a 500; and that all is well afterwards without a restart."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from databases import POSTGRES, needs
from key_sources import KEY, OTHER_KEY, Source, failing
from remote import FORGED, SCHEME, Interface, Remote
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT
from wires import wire_to

from hmac_guard import Claim, Guard
from hmac_guard.keys import CachedKeys, SqlKeys


@pytest.fixture(params=["wsgi", "asgi"])
def interface(request: pytest.FixtureRequest) -> Iterator[Interface]:
    found = Interface(request.param)
    yield found
    found.loop.run_until_complete(found.loop.shutdown_default_executor())
    found.loop.close()


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def remote(interface: Interface, colour: str) -> Iterator[Remote]:
    needs(POSTGRES, "PostgreSQL")
    with wire_to(str(POSTGRES.host), POSTGRES.port or 5432) as wire:
        found = Remote(wire, interface, colour)
        yield found
        found.close()


def cached(interface: Interface, keys: Any, **options: Any) -> Guard:
    """A guard whose keys last a minute on the clock of the interface, and five more while their source fails."""
    terms = {"ttl": 60, "negative_ttl": 60, "stale_if_error": 300, "timeout": TIMEOUT, "clock": interface.clock}
    interface.caches.append(CachedKeys(keys, **{**terms, **options}))
    return Guard(SCHEME, interface.caches[-1])


def test_a_stopped_database_is_503_until_it_is_back(interface: Interface, remote: Remote) -> None:
    guard = Guard(SCHEME, remote.keys)
    assert (interface.status(guard, KEY), interface.status(guard, FORGED)) == (200, 401)

    remote.wire.cut()
    assert [interface.status(guard, secret) for secret in (KEY, FORGED, KEY)] == [503, 503, 503]

    remote.wire.restore()
    assert interface.becomes(guard, KEY, 200)
    assert interface.status(guard, FORGED) == 401


def test_a_database_that_is_started_anew_is_used_again(interface: Interface, remote: Remote) -> None:
    guard = Guard(SCHEME, remote.keys)
    assert interface.status(guard, KEY) == 200

    remote.wire.drop()

    assert interface.becomes(guard, KEY, 200)
    assert interface.status(guard, FORGED) == 401


def test_a_stopped_database_leaves_the_cached_keys_in_use(interface: Interface, remote: Remote) -> None:
    guard = cached(interface, remote.keys)
    assert (interface.status(guard, KEY), interface.status(guard, KEY, "other")) == (200, 401)

    remote.wire.cut()
    interface.clock.pass_by(60)
    assert [interface.status(guard, secret) for secret in (KEY, FORGED, KEY)] == [200, 401, 200]
    assert interface.status(guard, KEY, "other") == 503

    new = remote.operator.rotate("acme", grace=0)
    remote.wire.restore()
    assert new.secret is not None
    assert interface.becomes(guard, new.secret, 200)
    assert interface.becomes(guard, KEY, 401)
    assert interface.becomes(guard, KEY, 401, "other")


def test_the_cached_keys_end_while_the_database_is_stopped(interface: Interface, remote: Remote) -> None:
    guard = cached(interface, remote.keys)
    assert interface.status(guard, KEY) == 200

    remote.wire.cut()
    for passed in (60, 299):
        interface.clock.pass_by(passed)
        assert interface.status(guard, KEY) == 200
    interface.clock.pass_by(1)

    assert [interface.status(guard, secret) for secret in (KEY, FORGED)] == [503, 503]
    remote.wire.restore()
    assert interface.becomes(guard, KEY, 200)


def test_a_slow_database_is_503_or_the_cached_keys(interface: Interface, remote: Remote) -> None:
    guard = cached(interface, remote.keys, timeout=0.3, clock=lambda: interface.clock() + time.monotonic())
    assert interface.becomes(guard, KEY, 200)

    remote.wire.hold()
    interface.clock.pass_by(60)
    started = time.monotonic()
    assert [interface.status(guard, secret) for secret in (KEY, FORGED, KEY)] == [200, 401, 200]
    assert interface.status(guard, KEY, "other") == 503
    took = time.monotonic() - started

    new = remote.operator.rotate("acme", grace=0)
    remote.wire.release()
    assert new.secret is not None
    assert interface.becomes(guard, new.secret, 200)
    assert interface.becomes(guard, KEY, 401, "other")
    assert took < TIMEOUT  # So long waits who waits for the database.


# Behind WSGI an async engine has no pool.
@pytest.mark.parametrize(
    ("interface", "colour"), [("wsgi", "sync"), ("asgi", "sync"), ("asgi", "async")], indirect=True
)
def test_an_exhausted_pool_is_503_until_it_has_room(interface: Interface, remote: Remote, colour: str) -> None:
    remote.engine.dispose() if colour == "sync" else interface.loop.run_until_complete(remote.engine.dispose())
    pool = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    url = POSTGRES.set(drivername="postgresql+psycopg" if colour == "sync" else "postgresql+asyncpg")
    remote.engine = create_engine(url, **pool) if colour == "sync" else create_async_engine(url, **pool)
    keys: Any = SqlKeys(remote.engine, table=remote.operator.table.name)
    guard, remembering = Guard(SCHEME, keys), cached(interface, keys)
    assert (interface.status(guard, KEY), interface.status(remembering, KEY)) == (200, 200)

    with held_connection(interface, remote.engine, colour):
        interface.clock.pass_by(60)
        assert [interface.status(guard, secret) for secret in (KEY, FORGED)] == [503, 503]
        assert [interface.status(remembering, secret) for secret in (KEY, FORGED)] == [200, 401]

    assert (interface.status(guard, KEY), interface.status(guard, FORGED)) == (200, 401)


@contextmanager
def held_connection(interface: Interface, engine: Any, colour: str) -> Iterator[None]:
    if colour == "sync":
        with engine.connect():
            yield
        return
    connection = interface.loop.run_until_complete(engine.connect())
    yield
    interface.loop.run_until_complete(connection.close())


# The connections of a closed loop can no longer be closed. They end with this separate process.
CLOSED_LOOP = """
from databases import POSTGRES
from remote import FORGED, KEY, SCHEME, Interface, Remote
from wires import wire_to
from hmac_guard import Guard

with wire_to(POSTGRES.host, POSTGRES.port) as wire:
    first = Interface("asgi")
    remote = Remote(wire, first, "async")
    guard = Guard(SCHEME, remote.keys)
    assert first.status(guard, KEY) == 200
    first.loop.close()

    second = remote.interface = Interface("asgi")
    print(sorted({second.status(guard, FORGED) for _ in range(5)} - {401, 503}))
    print(second.becomes(guard, KEY, 200), second.status(guard, FORGED))
    remote.close()
"""


def test_an_engine_of_a_closed_event_loop_is_no_pass_and_serves_the_next_loop() -> None:
    needs(POSTGRES, "PostgreSQL")
    command = [sys.executable, "-W", "ignore", "-c", CLOSED_LOOP]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths})

    assert run.stdout.splitlines() == ["[]", "True 401"]


NONSENSE = [
    pytest.param("", id="an empty key"),
    pytest.param(" \t\n", id="a blank key"),
    pytest.param(b"\0" * 32, id="a key of zeros"),
    pytest.param([""], id="a list of an empty key"),
    pytest.param([KEY, None], id="nothing beside a key"),
    pytest.param("<KEY>", id="a placeholder"),
    pytest.param(7, id="a number"),
    pytest.param(True, id="a truth value"),
    pytest.param({"acme": FORGED}, id="a mapping"),
    pytest.param(object(), id="an object"),
    pytest.param([KEY, KEY], id="one key twice"),
    pytest.param(failing(OSError(KEY)), id="an error"),
    pytest.param(failing(StopIteration()), id="a StopIteration"),
    pytest.param(failing(TimeoutError()), id="a time-out"),
    pytest.param(
        failing(asyncio.CancelledError()),
        id="a cancellation",
        marks=pytest.mark.skipif(
            sys.version_info < (3, 11), reason="not run: a task of Python 3.10 does not say whether it is cancelled"
        ),
    ),
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_is_503_where_nothing_is_cached(interface: Interface, colour: str, answer: Any) -> None:
    source = Source(answer)
    for keys in (resolver(source, colour), CachedKeys(resolver(source, colour))):
        assert [interface.status(Guard(SCHEME, keys), secret) for secret in (KEY, FORGED)] == [503, 503]


@pytest.mark.parametrize("answer", NONSENSE)
@pytest.mark.without_coverage
def test_nonsense_leaves_the_cached_keys_in_use(interface: Interface, colour: str, answer: Any) -> None:
    source = Source(KEY)
    guard = cached(interface, resolver(source, colour))
    assert interface.status(guard, KEY) == 200

    source.answer = answer
    interface.clock.pass_by(60)
    assert [interface.status(guard, secret) for secret in (KEY, FORGED)] == [200, 401]

    source.answer = OTHER_KEY
    assert interface.becomes(guard, OTHER_KEY, 200)


def test_a_tenant_that_is_gone_is_401_and_not_stale(interface: Interface, colour: str) -> None:
    source = Source(KEY)
    guard = cached(interface, resolver(source, colour))
    assert interface.status(guard, KEY) == 200

    source.answer = None
    interface.clock.pass_by(60)

    assert interface.status(guard, KEY) == 401


def resolver(source: Source, colour: str) -> Callable[[Claim], Any]:
    return source.sync if colour == "sync" else source.asynchronous
