"""The databases of the tests: SQLite in a file, and PostgreSQL if it is available."""

import asyncio
import inspect
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from key_sources import claim_of
from patience import PATIENCE
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from hmac_guard import Keyring
from hmac_guard.keys import SqlKeys

POSTGRES = make_url(os.environ.get("HMAC_GUARD_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"))
REDIS = make_url(os.environ.get("HMAC_GUARD_REDIS", "redis://127.0.0.1:6379/0"))

SYNC = ("sqlite", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+aiosqlite")
ASYNC = ("sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg_async")


def needs(url: URL, what: str) -> None:
    """Skip the test if the server is not running."""
    try:
        socket.create_connection((url.host, url.port), PATIENCE).close()
    except OSError:
        pytest.skip(f"not run: no {what} at {url.host}:{url.port}")


class Database:
    """One table of keys, with a sync or an async engine. `do` awaits the result of an operation if needed."""

    def __init__(self, url: URL, *, is_async: bool) -> None:
        self.url = url
        self.table = f"keys_{uuid4().hex[:12]}"
        self.loop = asyncio.new_event_loop()
        # A thread that writes to SQLite waits for other writers. The default timeout is five seconds.
        patient = {"timeout": PATIENCE} if url.drivername in _SQLITE else {}
        make: Any = create_async_engine if is_async else create_engine
        self.engine: Any = make(url, connect_args=patient)

    def keys(self, **options: Any) -> Any:
        return SqlKeys(self.engine, table=self.table, **options)

    def ring(self, keys: Any, tenant: str | None) -> Keyring | None:
        ring: Keyring | None = self.do(keys(claim_of(tenant)))
        return ring

    def do(self, result: Any) -> Any:
        return self.loop.run_until_complete(result) if inspect.isawaitable(result) else result

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement. `{table}` is replaced by the name of the table."""
        engine = create_engine(self.url.set(drivername=SYNC[0] if self.url.drivername in _SQLITE else SYNC[1]))
        with engine.begin() as connection:
            result = connection.execute(text(statement.format(table=self.table)), values)
            rows = list(result) if result.returns_rows else []
        engine.dispose()
        return rows

    def close(self) -> None:
        for table in (self.table, f"{self.table}_counts"):
            self.sql(f"DROP TABLE IF EXISTS {table}")
        self.do(self.engine.dispose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def sqlite_in(folder: Path) -> Engine:
    """A SQLite database in a folder. No connection stays open."""
    return create_engine(f"sqlite:///{folder / 'keys.db'}", poolclass=NullPool)


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[Database]:
    """A database of a kind in `SYNC` or `ASYNC`, with its table."""
    if kind.startswith("sqlite"):
        url = make_url(f"{kind}:///{folder / 'keys.db'}")
    else:
        needs(POSTGRES, "PostgreSQL")
        url = POSTGRES.set(drivername=kind)
    found = Database(url, is_async=kind in ASYNC)
    found.do(found.keys().create_table())
    try:
        yield found
    finally:
        found.close()
