"""The databases of the tests: SQLite in a file, and PostgreSQL and MariaDB if they are available."""

import asyncio
import atexit
import inspect
import os
import re
import socket
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from key_sources import claim_of
from sqlalchemy import URL, Connection, Engine, NullPool, TextClause, create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from waiting import TIMEOUT

from hmac_guard import Keyring
from hmac_guard.keys import SqlKeys

POSTGRES = make_url(os.environ.get("HMAC_GUARD_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"))
MARIADB = make_url(os.environ.get("HMAC_GUARD_MARIADB", "mysql://root@127.0.0.1:3306/test?ssl_disabled=true"))
REDIS = make_url(os.environ.get("HMAC_GUARD_REDIS", "redis://127.0.0.1:6379/0"))

SYNC = ("sqlite", "postgresql+psycopg", "mariadb+pymysql")
TABLES = ("tenants", "keys", "hours", "refusals", "audit", "settings")
_SQLITE = ("sqlite", "sqlite+aiosqlite")
DROP = "DROP TABLE IF EXISTS"
ASYNC = ("sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg_async")


@cache
def needs(url: URL, what: str) -> None:
    """Skip the test if the server is not running. One that runs is asked once: PostgreSQL starts a process for it."""
    try:
        socket.create_connection((url.host, url.port), TIMEOUT).close()
    except OSError:
        pytest.skip(f"not run: no {what} at {url.host}:{url.port}")


class Database:
    """One table of keys, with a sync or an async engine. `do` awaits the result of an operation if needed."""

    def __init__(self, url: URL, *, is_async: bool) -> None:
        self.url = url
        self.server = url.drivername[:6]
        self.is_made = bool(_empty[self.server])
        self.table = _empty[self.server][-1] if self.is_made else f"t_{uuid4().hex[:12]}_keys"
        if self.is_made and self.server != SYNC[0]:
            _empty[self.server].pop()
        self._is_as_made = True
        beside = url.set(drivername=next(sync for sync in SYNC if sync[:6] == self.server))
        self._beside = create_engine(beside) if self.server == SYNC[0] else _beside(beside)
        self.loop = asyncio.new_event_loop()
        # A thread that writes to SQLite waits for other writers. The default timeout is five seconds.
        options = {"timeout": TIMEOUT} if url.drivername in _SQLITE else {}
        make: Any = create_async_engine if is_async else create_engine
        self.engine: Any = make(url, connect_args=options)
        if self.server == SYNC[0]:
            event.listen(getattr(self.engine, "sync_engine", self.engine), "connect", _forget_the_disk)

    def keys(self, **options: Any) -> Any:
        return SqlKeys(self.engine, table=self.table, **options)

    def ring(self, keys: Any, tenant: str | None) -> Keyring | None:
        ring: Keyring | None = self.do(keys(claim_of(tenant)))
        return ring

    def do(self, result: Any) -> Any:
        return self.loop.run_until_complete(result) if inspect.isawaitable(result) else result

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement. `{keys}` is the name of the table of keys, `{tenants}` that of tenants, and so on."""
        if re.search("ALTER|CREATE|DROP", statement):
            self._is_as_made = False
        with self._beside.begin() as connection:
            result = connection.execute(self._text(statement), values)
            return list(result) if result.returns_rows else []

    def _text(self, statement: str) -> TextClause:
        return text(statement.format(**{name: f"{self.table[:-5]}_{name}" for name in TABLES}))

    def analyze(self) -> None:
        """Have PostgreSQL clean up, and count again what its planner uses."""
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()

    def number_of(self, connection: Connection) -> int:
        """Return the server's number of a connection."""
        function = "pg_backend_pid" if self.server == "postgr" else "CONNECTION_ID"
        number: int = connection.execute(text(f"SELECT {function}()")).scalar_one()
        return number

    def end(self, number: int) -> None:
        """Let the server end a connection."""
        self.sql(f"SELECT pg_terminate_backend({number})" if self.server == "postgr" else f"KILL {number}")

    def end_kept(self) -> None:
        """Let the server end the connection that the engine keeps."""

        async def number_on_loop() -> int:
            async with self.engine.connect() as connection:
                number: int = await connection.run_sync(self.number_of)
                return number

        if hasattr(self.engine, "sync_engine"):
            self.end(self.do(number_on_loop()))
        else:
            with self.engine.connect() as connection:
                number = self.number_of(connection)
            self.end(number)

    def drop(self) -> None:
        """Drop the tables at the end, and leave them to no other test."""
        self._is_as_made = False

    def empty(self, how: str = "DELETE FROM") -> None:
        """Leave the tables as `create_table` makes them, or drop them."""
        with self._beside.begin() as connection:
            for name in TABLES:
                connection.execute(self._text(f"{how} {{{name}}}"))
            if how == "DELETE FROM":
                insert = self._text("INSERT INTO {settings} (name, value) VALUES (:name, :value)")
                connection.execute(insert, _settings[self.table])

    def close(self) -> None:
        """Leave the tables to the next test: to make them takes longer than most tests. SQLite's are in a folder that
        goes away."""
        if self.server != SYNC[0]:
            self.empty("DELETE FROM" if self._is_as_made else DROP)
            if self._is_as_made:
                _empty[self.server].append(self.table)
                _left[self.table] = self
        else:
            self._beside.dispose()
        self.do(self.engine.dispose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def _forget_the_disk(connection: Any, _: Any) -> None:
    """No test outlives the power; to wait for the disk takes longer than most tests."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()


#: The names of the tables that exist and are empty, what `create_table` writes into them, and a file of SQLite.
_empty: dict[str, list[str]] = defaultdict(list)
_settings: dict[str, list[dict[str, Any]]] = {}
_sqlite_file: list[bytes] = []
_left: dict[str, Database] = {}


@cache
def _beside(url: URL) -> Engine:
    """The engine beside those of the tests. Its connection stays for the next test."""
    return create_engine(url)


@atexit.register
def _drop() -> None:
    for database in _left.values():
        database.empty(DROP)
        database._beside.dispose()


def sqlite_in(folder: Path) -> Engine:
    """A SQLite database in a folder. No connection stays open."""
    engine = create_engine(f"sqlite:///{folder / 'keys.db'}", poolclass=NullPool)
    event.listen(engine, "connect", _forget_the_disk)
    return engine


@cache
def _template() -> bytes:
    """Create a database with empty tables once, because this takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        SqlKeys(sqlite_in(Path(folder))).create_table()
        return (Path(folder) / "keys.db").read_bytes()


def empty_keys(folder: Path, **options: Any) -> SqlKeys[Engine]:
    """A `SqlKeys` with empty tables, without master keys."""
    (folder / "keys.db").write_bytes(_template())
    return SqlKeys(sqlite_in(folder), **options)


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[Database]:
    """A database of a kind in `SYNC` or `ASYNC`, with its table."""
    file = folder / "keys.db"
    if kind.startswith("sqlite"):
        url = make_url(f"{kind}:///{file}")
    else:
        server, name = (MARIADB, "MariaDB") if kind.startswith("mariadb") else (POSTGRES, "PostgreSQL")
        needs(server, name)
        url = server.set(drivername=kind)
    found = Database(url, is_async=kind in ASYNC)
    if not found.is_made:
        found.do(found.keys().create_table())
        if found.server == SYNC[0]:
            _sqlite_file.append(file.read_bytes())
            _empty[found.server].append(found.table)
        else:
            _settings[found.table] = [dict(row._mapping) for row in found.sql("SELECT name, value FROM {settings}")]
    elif found.server == SYNC[0]:
        file.write_bytes(_sqlite_file[0])
    try:
        yield found
    finally:
        found.close()
