"""A single-use store in a database."""

import time
from collections.abc import Awaitable
from hashlib import sha256
from itertools import count
from typing import Any, Generic

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    delete,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InvalidRequestError

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.strict import Strict
from hmac_guard.keys.sql.operations import AnyEngine
from hmac_guard.keys.sql.resolver import WrongAnswer, check_pool, shown_url
from hmac_guard.keys.sql.session import check_level
from hmac_guard.keys.sql.tables import database_now
from hmac_guard.keys.sql.transaction import creation, is_async_engine, operation, use_own_pool
from hmac_guard.log import FailureLog
from hmac_guard.once.store import TIMEOUT, seconds_until

#: The rows that one statement deletes, and the uses in one process after which expired rows are deleted.
BATCH = 500
EVERY = 100

_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class SqlOnce(Strict, Generic[AnyEngine]):
    """Remembers used tokens in a table of PostgreSQL or SQLite. Needs the extra `sql`.

    Each use is one transaction that inserts one row; the primary key refuses a second one. Time is measured by the
    database's clock. Every hundredth use in a process first deletes expired rows, in another transaction. If that
    fails, it is logged. If it takes longer than the time-out, the use is not recorded, and the request can be sent
    again. The role needs INSERT, SELECT and DELETE, and no other privilege.

    Args:
        engine: A SQLAlchemy engine. `pool_pre_ping=True` replaces a connection that a restart of the database has
            closed. An `AsyncEngine` is bound to its event loop: it serves ASGI alone, and each operation is awaited.
            AUTOCOMMIT is refused: a use whose answer is lost is repeated, and must not have been recorded.
        table: The name of the table. `create_table` creates it.
        timeout: Seconds that a request waits for the store. After that it is answered 503. The statement goes on: set
            the time-outs of the engine (`connect_timeout`, `statement_timeout`) to the same time.

    Raises:
        ConfigError: An argument is not valid.
    """

    def __init__(self, engine: AnyEngine, *, table: str = "hmac_guard_once", timeout: float = TIMEOUT) -> None:
        if not isinstance(engine, Engine) and not is_async_engine(engine):
            raise ConfigError("SqlOnce: give a SQLAlchemy engine: SqlOnce(create_engine(url, pool_pre_ping=True))")
        if engine.dialect.name not in _INSERT:
            raise ConfigError(
                f"SqlOnce: give an engine for PostgreSQL or SQLite, not {engine.dialect.name}; or take RedisOnce"
            )
        check_pool("SqlOnce", engine)
        check_level(engine)
        if not isinstance(table, str) or not table.isidentifier():
            raise ConfigError(f"SqlOnce: {table!r} is not the name of a table (letters, digits and '_')")
        check_seconds("SqlOnce: timeout", timeout)
        use_own_pool(engine)
        self.engine: AnyEngine = engine
        self.timeout = timeout
        self.asgi_only = is_async_engine(engine)
        self._uses = count(1)
        self._failures = FailureLog(
            "the clean-up of SqlOnce", warning="SqlOnce goes on working, but cannot delete expired rows"
        )
        # Everything in a database of PostgreSQL shares these numbers.
        number = int.from_bytes(sha256(f"hmac_guard SqlOnce {table}".encode()).digest()[:8], "big", signed=True)
        # Both hold until the end of the transaction.
        self._alone = select(
            func.set_config("lock_timeout", "200ms", True), func.pg_try_advisory_xact_lock(literal(number, BigInteger))
        )
        self._table = Table(
            table,
            MetaData(),
            Column("token", LargeBinary(32), primary_key=True),
            Column("until", Double, nullable=False, index=True),
        )

    @creation
    def create_table(self, connection: Connection) -> None:
        """Create the table, if it does not exist."""
        self._table.create(connection, checkfirst=True)

    def use(self, token: bytes, until: float) -> bool | Awaitable[bool]:
        """Return whether this is the first use of the token. Raise also what SQLAlchemy raises.

        Raises:
            WrongAnswer: The answer is to another use: two processes share the connection. It is closed.
            TimeoutError: The clean-up before this use took longer than the time-out. The use is not recorded.
        """
        use: Any = self._insert
        if next(self._uses) % EVERY == 0:
            use = self._use_after_clean_up_async if self.asgi_only else self._use_after_clean_up
        used: bool | Awaitable[bool] = use(bytes(token), seconds_until(until))
        return used

    # The clean-up is not in the transaction of the use: an error can end that, and the use would not be recorded. It is
    # not after the use either: a request that had no answer in time would be refused when it is repeated.
    def _use_after_clean_up(self, token: bytes, seconds: float) -> bool:
        purge: Any = self.purge
        insert: Any = self._insert
        began = time.monotonic()
        with self._failures.logged():
            purge()
        if time.monotonic() - began > self.timeout:
            raise TimeoutError("the clean-up took longer than the time-out")
        used: bool = insert(token, seconds)
        return used

    async def _use_after_clean_up_async(self, token: bytes, seconds: float) -> bool:
        purge: Any = self.purge
        insert: Any = self._insert
        with self._failures.logged():
            await purge()
        used: bool = await insert(token, seconds)
        return used

    @operation
    def _insert(self, connection: Connection, token: bytes, seconds: float) -> bool:
        values = {"token": token, "until": database_now() + seconds}
        insert = _INSERT[self.engine.dialect.name](self._table).values(values).on_conflict_do_nothing()
        try:
            inserted = connection.scalar(insert.returning(self._table.c.token))
        except InvalidRequestError:  # An answer without rows.
            inserted = b""
        if inserted not in (None, token):
            connection.invalidate()
            raise WrongAnswer
        return inserted is not None

    @operation
    def purge(self, connection: Connection) -> int:
        """Delete some expired rows, at most 500, and return their number. Call it until it returns 0.

        It may run at the same time as requests. In PostgreSQL, it deletes none while another process deletes some, and
        raises what SQLAlchemy raises if it waits for a lock on a row for over 0.2 seconds.
        """
        # A request must not wait for those who delete the same rows. FOR UPDATE SKIP LOCKED needs the privilege UPDATE.
        if connection.dialect.name == "postgresql" and not connection.execute(self._alone).one()[1]:
            return 0
        column = self._table.c
        over = select(column.token).where(column.until < database_now()).limit(BATCH)
        return connection.execute(delete(self._table).where(column.token.in_(over))).rowcount

    def _description(self) -> str:
        return f"SqlOnce({shown_url(self.engine)!r})"
