"""What a look-up sends, and what it does with a connection that is dead or gives no answer, by driver."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from acceptance.chaos.proxy import Proxy
from databases import POSTGRES, needs
from ports import LOCAL
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT, becomes_true
from wires import Wire, wire_to

from hmac_guard.keys.connections import give_up
from hmac_guard.keys.sql.resolver import for_reading, read, read_async

MARIADB = make_url(os.environ.get("HMAC_GUARD_MARIADB", "mysql://root@127.0.0.1:3306/test"))
URLS = {
    "psycopg": POSTGRES.set(drivername="postgresql+psycopg"),
    "pymysql": MARIADB.set(drivername="mysql+pymysql"),
}


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest) -> URL:
    found: URL = URLS[request.param]
    needs(found, request.param)
    return found


def select(connection: Any, statement: str = "SELECT 1") -> Any:
    return connection.execute(text(statement)).scalar()


@contextmanager
def through_a_wire(url: URL, **options: Any) -> Iterator[tuple[Wire, Any]]:
    """An engine whose connections can be cut and held up."""
    with wire_to(str(url.host), url.port or 0) as wire:
        engine = create_engine(url.set(host=LOCAL, port=wire.port), **options)
        yield wire, engine
        engine.dispose()


def on_asyncpg(work: Any) -> Any:
    """What an async function of a wire and an engine gives."""
    needs(POSTGRES, "PostgreSQL")
    with wire_to(str(POSTGRES.host), POSTGRES.port or 0) as wire:

        async def main() -> Any:
            engine = create_async_engine(
                POSTGRES.set(drivername="postgresql+asyncpg", host=LOCAL, port=wire.port), connect_args={"timeout": 5}
            )
            try:
                return await work(wire, engine)
            finally:
                wire.release()
                await engine.dispose()

        return asyncio.run(main())


@pytest.mark.parametrize("pings", [False, True])
def test_a_look_up_sends_two_packets_at_most(url: URL, pings: bool) -> None:
    proxy = Proxy((str(url.host), url.port or 0))
    engine = create_engine(url.set(host=LOCAL, port=proxy.port), pool_pre_ping=pings)
    for _ in range(8):  # psycopg prepares a statement that comes again and again, once.
        read(for_reading(engine), select)
    before = proxy.packets

    for _ in range(10):
        read(for_reading(engine), select)

    is_postgres = url.drivername.startswith("postgresql")
    assert proxy.packets - before == 10 * ((1 if is_postgres else 2) + pings)
    engine.dispose()
    proxy.close()


def test_a_look_up_with_asyncpg_sends_one_packet() -> None:
    needs(POSTGRES, "PostgreSQL")
    proxy = Proxy((str(POSTGRES.host), POSTGRES.port or 0))

    async def packets() -> int:
        url = POSTGRES.set(drivername="postgresql+asyncpg", host=LOCAL, port=proxy.port)
        engine = create_async_engine(url)
        for _ in range(3):
            await read_async(for_reading(engine), select)
        before = proxy.packets
        for _ in range(10):
            await read_async(for_reading(engine), select)
        sent = proxy.packets - before
        await engine.dispose()
        return sent

    assert asyncio.run(packets()) == 10
    proxy.close()


def test_a_look_up_that_meets_a_dead_connection_is_made_once_more(url: URL) -> None:
    with through_a_wire(url) as (wire, engine):
        for _ in range(3):
            assert read(for_reading(engine), select) == 1
            wire.drop()
            time.sleep(0.05)


def test_a_look_up_with_asyncpg_that_meets_a_dead_connection_is_made_once_more() -> None:
    async def work(wire: Wire, engine: Any) -> list[int]:
        found = []
        for _ in range(3):
            found.append(await read_async(for_reading(engine), select))
            wire.drop()
            await asyncio.sleep(0.05)
        return found

    assert on_asyncpg(work) == [1, 1, 1]


def test_an_error_of_the_statement_is_not_tried_again(url: URL) -> None:
    tries = []

    def fail(connection: Any) -> Any:
        tries.append(1)
        return select(connection, "SELECT * FROM there_is_no_such_table")

    with through_a_wire(url) as (_, engine), pytest.raises(Exception, match="there_is_no_such_table"):
        read(for_reading(engine), fail)

    assert len(tries) == 1


def test_a_thread_without_an_answer_is_freed_and_its_connection_leaves_the_pool(url: URL) -> None:
    errors: list[Exception] = []
    with through_a_wire(url) as (wire, engine):
        read(for_reading(engine), select)
        wire.hold()
        sent = threading.Event()

        def work(connection: Any) -> Any:
            sent.set()
            return select(connection)

        def look_up() -> None:
            try:
                read(for_reading(engine), work)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        assert sent.wait(TIMEOUT)
        time.sleep(0.2)
        assert thread.is_alive()

        give_up(thread.ident or 0)

        thread.join(TIMEOUT)
        assert not thread.is_alive()
        assert len(errors) == 1
        assert engine.pool.checkedout() == 0
        wire.release()
        assert read(for_reading(engine), select) == 1


def test_a_task_without_an_answer_ends_and_its_connection_leaves_the_pool() -> None:
    async def work(wire: Wire, engine: Any) -> Any:
        await read_async(for_reading(engine), select)
        wire.hold()
        task = asyncio.ensure_future(read_async(for_reading(engine), select))
        await asyncio.sleep(0.2)
        task.cancel()
        began = time.monotonic()
        await asyncio.wait([task])
        took = time.monotonic() - began
        assert engine.pool.checkedout() == 0
        wire.release()
        return took, await read_async(for_reading(engine), select)

    took, found = on_asyncpg(work)

    assert (took < 5, found) == (True, 1)


# The options of the drivers that docs/keys.md names.


def test_psycopg_gives_up_a_connection_that_is_never_answered() -> None:
    needs(POSTGRES, "PostgreSQL")
    with through_a_wire(URLS["psycopg"], connect_args={"connect_timeout": 2}) as (wire, engine):
        wire.hold()
        began = time.monotonic()
        with pytest.raises(Exception, match=r"timeout|closed"):
            engine.connect()

        assert time.monotonic() - began < 10


def test_pymysql_gives_up_a_statement_that_is_never_answered() -> None:
    needs(MARIADB, "MariaDB")
    options = {"connect_timeout": 5, "read_timeout": 1, "ssl_disabled": True}
    with through_a_wire(URLS["pymysql"], connect_args=options) as (wire, engine), engine.connect() as connection:
        select(connection)
        wire.hold()
        began = time.monotonic()
        with pytest.raises(Exception, match="timed out"):
            select(connection)

        assert time.monotonic() - began < 10


def test_asyncpg_gives_up_a_statement_that_is_never_answered() -> None:
    needs(POSTGRES, "PostgreSQL")
    with wire_to(str(POSTGRES.host), POSTGRES.port or 0) as wire:

        async def main() -> float:
            url = POSTGRES.set(drivername="postgresql+asyncpg", host=LOCAL, port=wire.port)
            engine = create_async_engine(url, connect_args={"timeout": 5, "command_timeout": 1})
            await read_async(for_reading(engine), select)
            wire.hold()
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read_async(for_reading(engine), select), TIMEOUT)
            took = time.monotonic() - began
            wire.release()
            await engine.dispose()
            return took

        assert asyncio.run(main()) < 10


def test_the_descriptors_of_connections_that_were_given_up_are_closed(url: URL) -> None:
    with through_a_wire(url) as (wire, engine):
        read(for_reading(engine), select)
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for _ in range(5):
            read(for_reading(engine), select)
            wire.hold()
            thread = threading.Thread(target=_read_or_fail, args=[engine], daemon=True)
            thread.start()
            assert becomes_true(lambda: engine.pool.checkedout() == 1)
            time.sleep(0.05)
            give_up(thread.ident or 0)
            thread.join(TIMEOUT)
            wire.release()

        assert becomes_true(lambda: len(os.listdir("/proc/self/fd")) <= before + 4 if before else True)


def _read_or_fail(engine: Any) -> None:
    try:
        read(for_reading(engine), select)
    except Exception:
        return
