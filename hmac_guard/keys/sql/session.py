"""What the connections to the database of the keys must not do."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, text

from hmac_guard.core.errors import ConfigError

#: The option of an engine whose operations need transactions. `SqlOnce` does not: it inserts one row.
NEEDS_TRANSACTIONS = "hmac_guard_needs_transactions"

#: What `autocommit` of a driver is if it begins transactions. sqlite3 has a number for how it always did.
_TRANSACTIONS = (None, False, -1)

_UTF8 = ("utf8", "utf8mb3", "utf8mb4")


def check_arguments(engine: Any) -> None:
    """Raise `ConfigError` if the URL or the `connect_args` of an engine make connections that cannot hold keys."""
    _check_charset(_argument(engine, "charset"))
    _check_transactions(_argument(engine, "autocommit") in _TRANSACTIONS)


def check_charset(connection: Connection) -> None:
    """Raise `ConfigError` if a driver of MariaDB writes another charset than UTF-8.

    The charset of a connection may come from a file or from the user's own `creator`, which no engine shows.
    """
    _check_charset(getattr(connection.connection.driver_connection, "charset", None))


def check_transactions(connection: Connection) -> None:
    """Raise `ConfigError` if the operations of an engine need transactions, and the driver begins none."""
    if connection.get_execution_options().get(NEEDS_TRANSACTIONS):
        driver = connection.connection.driver_connection
        ask = getattr(driver, "get_autocommit", None)  # In the drivers of MariaDB.
        _check_transactions((getattr(driver, "autocommit", None) if ask is None else ask()) in _TRANSACTIONS)


def _check_transactions(are_begun: bool) -> None:
    if not are_begun:
        raise ConfigError(
            "SqlKeys: with autocommit, a change that fails would be made in part; make another engine for the keys, "
            "without autocommit in the URL, in connect_args or in a creator"
        )


def check_encoding(connection: Connection) -> None:
    """Raise `ConfigError` if the database cannot store each name that a request can have.

    Each write of `VerdictCounts` would fail after a request with another name.
    """
    if connection.dialect.name == "postgresql" and connection.scalar(text("SHOW server_encoding")) != "UTF8":
        raise ConfigError(
            "SqlKeys: the encoding of this database of PostgreSQL is not UTF8, so it cannot store each name; create "
            "another database for the keys: CREATE DATABASE keys ENCODING 'UTF8' TEMPLATE template0"
        )


def _check_charset(charset: object) -> None:
    # PyMySQL 1.1 escapes the bytes of a tenant one by one. In GBK and others, a byte of it and the backslash of the
    # escape make one character, and the tenant ends the literal.
    if charset is not None and str(charset).lower() not in _UTF8:
        raise ConfigError(
            "SqlKeys: with another charset than UTF-8, a driver can take a part of a tenant's name for SQL; write "
            "charset=utf8mb4 in the URL, or leave charset out"
        )


def _argument(engine: Any, name: str) -> Any:
    """Return what an engine gives to its driver under a name; None if it gives nothing, or if it cannot be seen."""
    # `create_engine` keeps `connect_args`, with those of the URL, only in the function that connects.
    with suppress(TypeError):
        arguments = inspect.getclosurevars(engine.pool._creator).nonlocals.get("cparams")
        return arguments.get(name) if isinstance(arguments, Mapping) else None
    return None
