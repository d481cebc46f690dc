"""One statement that reads, in one round trip, on a connection that may have died in the pool."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.connections import in_use, shut_down
from hmac_guard.keys.sql.pools import use_own_pool

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

# Where a driver begins no transaction, nothing has to be sent but the statement. PyMySQL and mysqlclient would send
# `SET AUTOCOMMIT` each time; they send a ROLLBACK after the statement.
_AUTOCOMMIT = frozenset({"postgresql", "sqlite"})


class WrongAnswer(Exception):
    """The database has answered another question than the one that was asked: two processes share the connection."""


def for_reading(engine: Any) -> Any:
    """The same engine, on the same pool, without transactions where that saves round trips."""
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
    """The same for an event loop."""
    use_own_pool(engine)
    try:
        return await _read_once_async(engine, work)
    except (DBAPIError, WrongAnswer) as error:
        if not _is_dropped(error):
            raise
    return await _read_once_async(engine, work)


async def _read_once_async(engine: "AsyncEngine", work: Callable[[Connection], T]) -> T:
    async with engine.connect() as connection:
        try:
            return await connection.run_sync(work)
        except ConfigError:
            raise
        except Exception:
            # A connection of an event loop that is closed never works again, and its pool would not notice.
            await connection.invalidate()
            raise


def _is_dropped(error: DBAPIError | WrongAnswer) -> bool:
    """Whether the pool has dropped the connection."""
    return isinstance(error, WrongAnswer) or error.connection_invalidated
