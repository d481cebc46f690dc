"""Keys in a database. A look-up is one statement, in one round trip."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, SingletonThreadPool, StaticPool
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.connections import in_use, shut_down
from hmac_guard.keys.resolver import Resolver, check_clock, check_function
from hmac_guard.keys.sql.operations import AnyEngine, KeyOperations
from hmac_guard.keys.sql.secret import MasterKeys, Sealing
from hmac_guard.keys.sql.session import HOLDS_KEYS, check_charset, check_level, check_text
from hmac_guard.keys.sql.store import Store
from hmac_guard.keys.sql.transaction import is_async_engine, naming_missing_tables, usable, use_own_pool
from hmac_guard.log import failure_of, log_failure

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")


class SqlKeys(KeyOperations[AnyEngine], Resolver):
    """Keeps the keys of each tenant in a table of your database. Needs the extra `sql`, and `crypto` for `master_keys`.

    Each request asks the database: put `CachedKeys` around it. Each operation but `reseal` and `purge` is one
    transaction. They raise `ConfigError` for arguments that are not valid.

    Args:
        engine: A SQLAlchemy engine. An `AsyncEngine` (which needs `sqlalchemy[asyncio]`) is bound to its event loop: it
            serves ASGI alone, and each operation is awaited. Leave `pool_pre_ping` off: a look-up on a dead connection
            is made once more, and a ping costs each look-up a round trip.
        master_keys: One Fernet key, or several. Secrets are sealed under the first before they are stored, and opened
            with any. To rotate the master key, put a new one first, call `reseal`, and drop the old one.
        allow_clear: With `master_keys`, also use what is stored in the clear, until `reseal` has sealed it. A writer of
            the database can put such rows there.
        table: The name of the table of keys. `create_table` creates it, and the tables beside it.
        on_change: A sync function. It is called with the tenant after a change of it is committed, for example
            `RedisInvalidation.publish`. Behind an `AsyncEngine` it runs on a thread.
        clock: Returns Unix seconds, for the times that operations write. Whether a key is active is decided for each
            request, by the guard's clock.

    Raises:
        ConfigError: An argument is not valid.

    Example::

        keys = SqlKeys(create_engine("postgresql+psycopg://localhost/app"))
        keys.create_table()
        secret = keys.add("acme").secret
        guard = Guard(NANGO, CachedKeys(keys))
    """

    per_tenant = True
    asgi_only: bool
    blocking: bool
    _on_change: Callable[[str], object]
    _reading: Any

    def __init__(
        self,
        engine: AnyEngine,
        *,
        master_keys: MasterKeys = (),
        allow_clear: bool = False,
        table: str = "hmac_guard_keys",
        on_change: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        masters: Hidden[MasterKeys] = hide(master_keys)
        del master_keys
        if not isinstance(engine, Engine) and not is_async_engine(engine):
            raise ConfigError(
                "SqlKeys: give a SQLAlchemy engine: SqlKeys(create_engine(url)), or one of "
                "create_async_engine, which needs pip install 'sqlalchemy[asyncio]'"
            )
        _check_database(engine)
        use_own_pool(engine)
        if on_change is not None:  # What an async function returns would never run.
            check_function("SqlKeys", "on_change", on_change, "tenant")
        check_clock("SqlKeys", clock)
        own: Any = _engine_of_keys(engine)
        self._set(
            asgi_only=is_async_engine(engine),
            blocking=not is_async_engine(engine),
            engine=own,
            _reading=for_reading(own),
            announce=None if on_change is None else self._announce,
            table=Store(table),
            _sealing=Sealing(masters.get(), allow_clear),
            _on_change=on_change,
            clock=clock,
        )

    def __call__(self, claim: Claim) -> Keyring | Awaitable[Keyring | None] | None:
        if claim.tenant is None:
            return None
        ring: Callable[[Connection], Keyring | None] = partial(self._ring, tenant=claim.tenant)
        # One statement: no transaction, and no ping before it.
        return read_async(self._reading, ring) if self.asgi_only else read(self._reading, ring)

    def _ring(self, connection: Connection, tenant: str) -> Keyring | None:
        check_text(connection)
        marker = secrets.token_hex(8)
        try:
            with naming_missing_tables():
                rows = connection.execute(self.table.look_up, {"tenant": tenant, "marker": marker}).all()
        except InvalidRequestError:  # An answer without rows.
            rows = []
        if not rows or any(row.marker != marker for row in rows):
            raise WrongAnswer
        return self.table.ring(tenant, rows, self._sealing)

    def _announce(self, tenant: str) -> None:
        try:
            self._on_change(tenant)
            return
        except Exception as error:
            failure = failure_of(error)
        log_failure(
            logging.WARNING, "the change is made, but on_change failed; caches see it within their ttl", failure
        )

    def _description(self) -> str:
        return f"SqlKeys({shown_url(self.engine)!r})"


def shown_url(engine: Any) -> str:
    """Return the URL of an engine without its password and its query: drivers also take a password from the query."""
    url: str = engine.url.set(query={}).render_as_string(hide_password=True)
    return url


def _check_database(engine: Any) -> None:
    """Raise `ConfigError` for a database that cannot hold keys."""
    if engine.dialect.name not in ("sqlite", "postgresql", "mysql", "mariadb"):
        raise ConfigError(
            f"SqlKeys: keys are kept in SQLite, PostgreSQL, MariaDB or MySQL, not in {engine.dialect.name}"
        )
    check_pool("SqlKeys", engine)
    check_level(engine)
    check_charset(engine)
    # The tables have no schema, so that the entries for named schemas do not apply to them.
    if None in (engine.get_execution_options().get("schema_translate_map") or {}):
        raise ConfigError(
            "SqlKeys: create_table does not create the tables in the schema of schema_translate_map; make another "
            "engine for the keys, and choose the schema in PostgreSQL with connect_args={'options': '-c "
            "search_path=keys'}, in MariaDB with the database in the URL"
        )


def check_pool(owner: str, engine: Any) -> None:
    """Raise `ConfigError` if each thread would have a database of its own, or all would share one transaction."""
    if isinstance(engine.pool, SingletonThreadPool):
        fault = "each thread would have its own database in memory"
    elif isinstance(engine.pool, StaticPool):
        fault = "with StaticPool, two threads or tasks would share a transaction, and one could undo what the other did"
    else:
        return
    make = (
        'create_async_engine("sqlite+aiosqlite://", poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0)'
        if is_async_engine(engine)
        else 'create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, '
        'connect_args={"check_same_thread": False})'
    )
    raise ConfigError(f"{owner}: {fault}; take a file, or one connection that is lent to one at a time: {make}")


def _engine_of_keys(engine: Any) -> Any:
    """Return the same engine, on the same pool, with transactions and without parameters in logs and errors.

    A secret is one of the parameters.
    """
    copy = engine.execution_options(**{HOLDS_KEYS: True})
    getattr(copy, "sync_engine", copy).hide_parameters = True
    return copy


# Where a driver begins no transaction, nothing has to be sent but the statement. PyMySQL and mysqlclient would send
# `SET AUTOCOMMIT` each time; they send a ROLLBACK after the statement.
_AUTOCOMMIT = frozenset({"postgresql", "sqlite"})


class WrongAnswer(Exception):
    """The database has answered another question: two processes share the connection."""

    def __init__(self) -> None:
        super().__init__("the answer is to another question; is the connection used in two processes?")


def for_reading(engine: Any) -> Any:
    """Return the same engine, on the same pool, without transactions if that saves round trips."""
    return engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name in _AUTOCOMMIT else engine


def read(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Return what `work` reads. If the look-up is given up while it runs, its connection is closed."""
    use_own_pool(engine)
    with in_use() as use:
        try:
            return _read_once(engine, work, use)
        except (DBAPIError, WrongAnswer) as error:
            # The pool had a connection that is dead or shared, and has dropped it.
            if use.is_given_up or not _is_dropped(error):
                raise
        return _read_once(engine, work, use)


def _read_once(engine: Engine, work: Callable[[Connection], T], use: Any) -> T:
    with engine.connect() as connection:
        use.closes_with(partial(shut_down, connection.connection.driver_connection))
        try:
            return work(connection)
        except WrongAnswer:
            connection.invalidate()
            raise
        finally:
            use.closes_with(None)  # The pool may give it to another thread next.


async def read_async(engine: "AsyncEngine", work: Callable[[Connection], T]) -> T:
    """Like `read`, for an event loop."""
    use_own_pool(engine)
    try:
        return await _read_once_async(engine, work)
    except (DBAPIError, WrongAnswer) as error:
        if not _is_dropped(error):
            raise
    return await _read_once_async(engine, work)


async def _read_once_async(engine: "AsyncEngine", work: Callable[[Connection], T]) -> T:
    async with engine.connect() as connection, usable(connection):
        return await connection.run_sync(work)


def _is_dropped(error: DBAPIError | WrongAnswer) -> bool:
    """Return whether the pool has dropped the connection."""
    return isinstance(error, WrongAnswer) or error.connection_invalidated
