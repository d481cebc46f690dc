"""The connections to the database of the keys: a text arrives as it was sent, or the connection is refused."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from databases import POSTGRES, Database, database_of, needs
from key_sources import Clock, claim_of
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from hmac_guard import ConfigError
from hmac_guard.keys import SqlKeys
from hmac_guard.once import SqlOnce

MODES = pytest.mark.parametrize("sql_mode", ["STRICT_TRANS_TABLES", "NO_BACKSLASH_ESCAPES"])

#: Some would end a literal where a backslash is an escape, the others where it is none.
NAMES = ["it's", "\\' OR 1 = 1 -- x", "'=SLEEP(9) -- x", "\\", '"\\"', "\N{GRINNING FACE}"]


def use_each_name(database: Database, engine: Any) -> None:
    """Use each name as a tenant, as the id and the note of a key, and as an actor."""
    keys: Any = SqlKeys(engine, table=database.table)
    for name in NAMES:
        assert database.do(keys(claim_of(name))) is None
        database.do(keys.add(name, key_id=name, note=name, actor=name))

    listed = [(key.tenant, key.id, key.note, key.made_by) for key in database.do(keys.list())]
    assert sorted(listed) == sorted((name,) * 4 for name in NAMES)
    for name in NAMES:
        assert [key.id for key in database.ring(keys, name).keys] == [name]  # type: ignore[union-attr]
        assert [entry.tenant for entry in database.do(keys.audit(actor=name))] == [name]


def engine_with_backslashes(database: Database, kind: type, sql_mode: str) -> Engine:
    """Return an engine whose driver escapes values of a kind with backslashes in each mode."""
    driver = pytest.importorskip("pymysql", reason="not run: PyMySQL is not installed")

    class Connection(driver.connections.Connection):  # type: ignore[misc, name-defined]
        def escape(self, value: Any, mapping: Any = None) -> Any:
            if not isinstance(value, kind):
                return super().escape(value, mapping)
            written = value.decode("ascii", "surrogateescape") if isinstance(value, bytes) else value
            return f"'{driver.converters.escape_string(written)}'"

    _, named = database.engine.dialect.create_connect_args(database.url)
    return create_engine(database.url, creator=lambda: Connection(**named, sql_mode=sql_mode))


@MODES
def test_a_tenant_cannot_end_its_literal_if_the_driver_escapes_bytes_for_another_sql_mode(
    tmp_path: Path, sql_mode: str
) -> None:
    """asyncmy and aiomysql escape them so."""
    with database_of("mariadb+pymysql", tmp_path) as database:
        engine = engine_with_backslashes(database, bytes, sql_mode)
        use_each_name(database, engine)
        engine.dispose()


@MODES
@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
def test_a_tenant_cannot_end_its_literal_behind_an_async_driver(tmp_path: Path, driver: str, sql_mode: str) -> None:
    pytest.importorskip(driver, reason=f"not run: {driver} is not installed")
    with database_of("mariadb+pymysql", tmp_path) as database:
        url = database.url.set(drivername=f"mariadb+{driver}", query={})
        engine = create_async_engine(url, connect_args={"sql_mode": sql_mode})
        use_each_name(database, engine)
        database.do(engine.dispose())


def check_refused(database: Database, engine: Any, why: str) -> None:
    """Check that neither a look-up nor an operation sends a tenant on a new connection."""
    keys: Any = SqlKeys(engine, table=database.table)
    sent: list[Any] = []
    connected: list[Any] = []
    sync_engine = getattr(engine, "sync_engine", engine)
    event.listen(sync_engine, "before_cursor_execute", lambda *of: sent.append(of[3]))
    event.listen(sync_engine, "connect", lambda connection, _: connected.append(connection))
    uses = (lambda: keys(claim_of("acme")), lambda: keys.add("acme"), keys.create_table)
    for use in uses:
        with pytest.raises(ConfigError, match=why):
            database.do(use())
    assert sent
    assert "acme" not in str(sent)
    # A wrong answer may be that to another process, which shares the connection.
    assert len(connected) == len(uses)
    database.do(engine.dispose())


def test_a_driver_that_escapes_text_for_another_sql_mode_is_refused(tmp_path: Path) -> None:
    with database_of("mariadb+pymysql", tmp_path) as database:
        engine = engine_with_backslashes(database, str, "NO_BACKSLASH_ESCAPES")
        check_refused(database, engine, "charset=utf8mb4 in the URL.*remove NO_BACKSLASH_ESCAPES from the sql_mode")


CHARSETS = [
    *("SET NAMES gbk", "SET NAMES sjis", "SET NAMES latin1", "SET NAMES utf8mb3"),
    "SET character_set_connection = utf16",
]


@pytest.mark.parametrize("statement", CHARSETS)
def test_a_charset_of_mariadb_that_the_driver_does_not_know_is_refused(tmp_path: Path, statement: str) -> None:
    with database_of("mariadb+pymysql", tmp_path) as database:
        engine = create_engine(database.url)
        event.listen(engine, "connect", lambda connection, _: connection.cursor().execute(statement))
        check_refused(database, engine, "charset=utf8mb4 in the URL")


ENCODINGS: dict[str, Callable[[Any, Any], Any]] = {
    "in the URL": lambda url, make: make(url.set(query={"client_encoding": "latin1"})),
    "in the environment": lambda url, make: make(url),
    "in the settings of the session": lambda url, make: make(
        url, connect_args={"options": "-c client_encoding=latin1"}
    ),
}


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "postgresql+psycopg_async"])
@pytest.mark.parametrize("place", ENCODINGS)
def test_another_encoding_of_a_connection_to_postgresql_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    with database_of(kind, tmp_path) as database:
        if place == "in the environment":
            monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        make: Any = create_async_engine if kind.endswith("async") else create_engine
        engine = ENCODINGS[place](database.url, make)
        check_refused(database, engine, "client_encoding is not UTF8.*from PGCLIENTENCODING and from the role")


def test_an_encoding_of_postgresql_that_the_driver_does_not_know_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2", reason="not run: psycopg2 is not installed")
    with database_of("postgresql+psycopg", tmp_path) as database:
        engine = create_engine(database.url.set(drivername="postgresql+psycopg2"))

        def choose(connection: Any, _: Any) -> None:
            connection.cursor().execute("SET client_encoding = sjis")
            connection.commit()

        event.listen(engine, "connect", choose)
        check_refused(database, engine, "client_encoding is not UTF8")


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "postgresql+asyncpg", "mariadb+pymysql"])
def test_each_new_connection_is_asked_once(tmp_path: Path, kind: str) -> None:
    with database_of(kind, tmp_path) as database:
        keys = database.keys()
        sent: list[str] = []
        engine = getattr(database.engine, "sync_engine", database.engine)
        event.listen(engine, "before_cursor_execute", lambda *of: sent.append(of[2]))
        for _ in range(2):
            database.do(database.engine.dispose())
            sent.clear()
            for _ in range(3):
                database.ring(keys, "acme")
            assert len(sent) == 4
            assert [" LIKE " in statement for statement in sent] == [True, False, False, False]


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "postgresql+psycopg_async", "mariadb+pymysql"])
def test_a_connection_that_is_lost_when_it_is_asked_is_replaced(tmp_path: Path, kind: str) -> None:
    with database_of(kind, tmp_path) as database:
        keys = database.keys()
        database.do(keys.add("acme"))
        lost: list[int] = []

        def lose(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if " LIKE " in statement and not lost:
                lost.append(1)
                database.end(database.number_of(connection))

        event.listen(getattr(database.engine, "sync_engine", database.engine), "before_cursor_execute", lose)
        for use in (lambda: keys(claim_of("acme")), keys.list):
            lost.clear()
            database.do(database.engine.dispose())
            assert database.do(use())
            assert lost


SLEEPS = "SET statement_timeout = 50", "pg_sleep(9)", "statement timeout"
#: A setting of the session, what the database calculates first when it is asked, and the error.
OTHER_ERRORS = [
    pytest.param("postgresql+psycopg", *SLEEPS, id="psycopg, time-out"),
    pytest.param("postgresql+asyncpg", *SLEEPS, id="asyncpg, time-out"),
    pytest.param(
        "postgresql+psycopg", "SET statement_timeout = 0", "missing()", "does not exist", id="no such function"
    ),
    pytest.param(
        "mariadb+pymysql", "SET max_statement_time = 0.05", "SLEEP(9)", "max_statement_time", id="MariaDB, time-out"
    ),
]


@pytest.mark.parametrize(("kind", "setting", "first", "why"), OTHER_ERRORS)
def test_an_error_that_is_not_about_the_text_is_not_reported_as_a_wrong_encoding(
    tmp_path: Path, kind: str, setting: str, first: str, why: str
) -> None:
    with database_of(kind, tmp_path) as database:
        keys = database.keys()
        engine = getattr(database.engine, "sync_engine", database.engine)

        def set_time_out(connection: Any, _: Any) -> None:
            connection.cursor().execute(setting)
            connection.commit()

        def calculate_first(*of: Any) -> tuple[str, Any]:
            return of[2].replace("SELECT", f"SELECT {first},", 1) if " LIKE " in of[2] else of[2], of[3]

        event.listen(engine, "connect", set_time_out)
        event.listen(engine, "before_cursor_execute", calculate_first, retval=True)
        database.do(database.engine.dispose())
        for use in (lambda: keys(claim_of("acme")), keys.list):
            with pytest.raises(DBAPIError, match=why):
                database.do(use())


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql"])
def test_an_answer_without_rows_is_refused(tmp_path: Path, kind: str) -> None:
    with database_of(kind, tmp_path) as database:
        engine = create_engine(database.url)

        def answer_another(*of: Any) -> tuple[str, Any]:
            return ("ROLLBACK", ()) if " LIKE " in of[2] else (of[2], of[3])

        event.listen(engine, "before_cursor_execute", answer_another, retval=True)
        check_refused(database, engine, "charset=utf8mb4|client_encoding")


def test_a_store_of_tokens_sends_no_names_and_takes_any_encoding() -> None:
    needs(POSTGRES, "PostgreSQL")
    engine = create_engine(POSTGRES.set(drivername="postgresql+psycopg", query={"client_encoding": "latin1"}))
    table = f"once_{uuid4().hex[:12]}"
    once = SqlOnce(engine, table=table)
    once.create_table()
    try:
        assert once.purge() == 0
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {table}"))
        engine.dispose()


@pytest.mark.parametrize(("digits", "digits_later"), [(0, 0), (0, 1), (1, 0)])
def test_a_seal_opens_with_any_number_of_digits_that_postgresql_shows(
    tmp_path: Path, digits: int, digits_later: int
) -> None:
    master, clock = Fernet.generate_key(), Clock(int(time.time()) + 0.123_456_7)
    with database_of("postgresql+psycopg", tmp_path) as database:
        database.sql("DELETE FROM {settings}")  # It was stored in the clear.

        def engine_with(number: int) -> Engine:
            return create_engine(database.url, connect_args={"options": f"-c extra_float_digits={number}"})

        engines = [engine_with(number) for number in (digits, digits_later)]
        earlier, later = (SqlKeys(engine, table=database.table, master_keys=master, clock=clock) for engine in engines)
        earlier.add("acme", key_id="a", not_before=clock.now - 1, not_after=clock.now + 9_999.765_432_1)
        assert later.rotate("acme", key_id="b", grace=99.000_000_1).id == "b"
        later.retire("acme", "a")
        assert later.reseal() == 2
        ring = database.ring(earlier, "acme")

        assert ring is not None
        assert [key.id for key in ring.keys] == ["b", "a"]
        for engine in engines:
            engine.dispose()
