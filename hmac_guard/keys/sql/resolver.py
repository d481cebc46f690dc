"""Keys in a database."""

import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, SingletonThreadPool
from sqlalchemy.exc import InvalidRequestError

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Keyring
from hmac_guard.core.verdict import Claim
from hmac_guard.keys.resolver import Resolver
from hmac_guard.keys.sql.operations import AnyEngine, KeyOperations
from hmac_guard.keys.sql.pools import use_own_pool
from hmac_guard.keys.sql.reading import WrongAnswer, for_reading, read, read_async
from hmac_guard.keys.sql.secret import MasterKeys, Sealing
from hmac_guard.keys.sql.store import Store
from hmac_guard.keys.sql.transaction import is_async
from hmac_guard.log import logger, where


class SqlKeys(KeyOperations[AnyEngine], Resolver):
    """Keys by tenant in a table of your database. Needs the extra `sql`, and `crypto` for `master_keys`.

    `engine`       a SQLAlchemy engine. An `AsyncEngine` (which needs `sqlalchemy[asyncio]`) is bound to its event
                   loop: it serves ASGI alone, and each operation is awaited. Leave `pool_pre_ping` off: a look-up that
                   meets a dead connection is made once more, and a ping costs each a round trip
    `master_keys`  one Fernet key, or several: secrets are sealed under the first before they are stored, and opened
                   with any. To rotate the master key put a new one first, call `reseal`, and drop the old one
    `allow_clear`  True: with `master_keys`, also use what was stored in the clear, until `reseal` has sealed it. A
                   writer of the database can put such rows there
    `table`        the name of the table of keys; `create_table` makes it, and those beside it
    `on_change`    called with the tenant once a change of it is committed: `RedisInvalidation.publish`, say
    `clock`        gives Unix seconds (`time.time`), for the times that operations write. Whether a key is in force is
                   judged for each request, by the guard's clock

    Each request asks the database: put `CachedKeys` around it. Every operation is one transaction, and raises
    `ConfigError` where it is asked for what cannot be.
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
        if not isinstance(engine, Engine) and not is_async(engine):
            raise ConfigError(
                "SqlKeys: give a SQLAlchemy engine: SqlKeys(create_engine(url)), or one of "
                "create_async_engine, which needs pip install 'sqlalchemy[asyncio]'"
            )
        _check_database(engine)
        use_own_pool(engine)
        if on_change is not None and not callable(on_change):
            raise ConfigError("SqlKeys: on_change must be a function of the tenant")
        with_hidden_parameters: Any = _with_hidden_parameters(engine)
        self._set(
            asgi_only=is_async(engine),
            blocking=not is_async(engine),
            engine=with_hidden_parameters,
            _reading=for_reading(with_hidden_parameters),
            announce=self._announce if on_change else None,
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
        marker = secrets.token_hex(8)
        try:
            rows = connection.execute(self.table.look_up, {"tenant": tenant, "marker": marker}).all()
        except InvalidRequestError:  # An answer without rows.
            rows = []
        if not rows or any(row.marker != marker for row in rows):
            raise WrongAnswer("the answer is to another question; is the connection used in two processes?")
        return self.table.ring(tenant, rows, self._sealing)

    def _announce(self, tenant: str) -> None:
        try:
            self._on_change(tenant)
        except Exception as error:
            logger.warning("the change is made, but on_change failed; caches see it within their ttl: %s", where(error))

    def __repr__(self) -> str:
        return f"SqlKeys({self.engine.url.render_as_string(hide_password=True)!r})"


def _check_database(engine: Any) -> None:
    """Raises `ConfigError` for a database that cannot hold keys for all threads."""
    if engine.dialect.name not in ("sqlite", "postgresql", "mysql", "mariadb"):
        raise ConfigError(
            f"SqlKeys: keys are kept in SQLite, PostgreSQL, MariaDB or MySQL, not in {engine.dialect.name}"
        )
    if isinstance(engine.pool, SingletonThreadPool):
        raise ConfigError(
            "SqlKeys: each thread would have a database of its own in memory; take a file, or one connection for all: "
            'create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, '
            'connect_args={"check_same_thread": False})'
        )


def _with_hidden_parameters(engine: Any) -> Any:
    """The same engine, on the same pool, which shows no parameters in logs and errors: a secret is one of them."""
    copy = engine.execution_options()
    getattr(copy, "sync_engine", copy).hide_parameters = True
    return copy
