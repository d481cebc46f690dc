"""What the connections to the database of the keys must not do."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Text, func, literal, select
from sqlalchemy.exc import DataError, DBAPIError, InvalidRequestError, ProgrammingError

from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.sql.tables import MARIADB, MAX_ID, ByteText

#: The option of an engine for tables of keys: its connections must return each text as it was sent.
HOLDS_KEYS = "hmac_guard_holds_keys"

#: What `autocommit` of a driver is if it begins transactions. sqlite3 has a number for how it always did.
_TRANSACTIONS = (None, False, -1)

# It returns as it is only if driver and server agree on the charset and on what a backslash is: in GBK and others, the
# last byte of a character and the backslash of an escape make one character.
_TEXT = "\\'\N{LATIN SMALL LETTER E WITH ACUTE}'\N{EURO SIGN}'\N{GRINNING FACE}'\"\\"

_OF_MARIADB = (
    "SqlKeys: the server does not receive the text as the driver sends it, so a part of a tenant's name could count as "
    "SQL; write charset=utf8mb4 in the URL, or leave charset out, send no SET NAMES, and remove NO_BACKSLASH_ESCAPES "
    "from the sql_mode"
)
_OF_POSTGRESQL = (
    "SqlKeys: the encoding of this database of PostgreSQL or the client_encoding is not UTF8, so some names cannot be "
    "sent; remove client_encoding from the URL, from PGCLIENTENCODING and from the role, or create another database "
    "for the keys: CREATE DATABASE keys ENCODING 'UTF8' TEMPLATE template0"
)
#: What is wrong if a text does not return as it is. SQLite has no setting that could change it.
_WRONG = {**dict.fromkeys(MARIADB, _OF_MARIADB), "postgresql": _OF_POSTGRESQL}

#: The name in a connection's `info` that says: this connection was checked.
_IS_CHECKED = "hmac_guard_is_checked"


def check_charset(engine: Any) -> None:
    """Raise `ConfigError` if the URL or the `connect_args` of an engine name a charset that cannot hold keys."""
    charset = _argument(engine, "charset")
    if charset is not None and str(charset).lower() != "utf8mb4":
        raise ConfigError(
            "SqlKeys: with another charset than UTF-8, or with UTF-8 of three bytes, some names cannot be sent, and a "
            "driver can take a part of a tenant's name for SQL; write charset=utf8mb4 in the URL, or leave charset out"
        )


def check_level(engine: Any) -> None:
    """Raise `ConfigError` if the options of an engine make connections without transactions."""
    _check_transactions(_argument(engine, "autocommit") in _TRANSACTIONS)
    # `create_engine` keeps the level of all connections in a private attribute.
    of_all = getattr(engine.dialect, "_on_connect_isolation_level", None)
    _check_transactions("AUTOCOMMIT" not in (of_all, engine.get_execution_options().get("isolation_level")))


def check_text(connection: Connection) -> None:
    """Raise `ConfigError` if the database of the keys does not read each text as it is sent.

    Each connection is asked once: what decides may be in a file, in the role, in the server or in a `creator`.
    """
    wrong = _WRONG.get(connection.dialect.name)
    if wrong is None or connection.info.get(_IS_CHECKED) or not connection.get_execution_options().get(HOLDS_KEYS):
        return
    cause: Exception | None = None
    try:
        if _returns_as_it_is(connection):
            connection.info[_IS_CHECKED] = True
            return
    except (UnicodeError, InvalidRequestError) as error:
        cause = error
    except DBAPIError as error:
        if error.connection_invalidated or not _can_be_misread(error, connection):
            raise
        cause = error
    connection.invalidate()
    raise ConfigError(wrong) from cause


def _can_be_misread(error: DBAPIError, connection: Connection) -> bool:
    """Return whether an error can mean that the database does not read a text as it is sent.

    Any other one, such as that of a time-out, is temporary or has another cause.
    """
    if connection.dialect.name in MARIADB:  # A part of the text counts as SQL, with a wrong syntax.
        return isinstance(error, ProgrammingError)
    # SQLAlchemy has no class for the wrong data of asyncpg, and psycopg2 no `sqlstate`.
    return isinstance(error, DataError) or str(getattr(error.orig, "sqlstate", None)).startswith("22")


def _returns_as_it_is(connection: Connection) -> bool:
    """Return whether the database reads a text with the same characters and, in MariaDB, with the same bytes."""
    text = literal(_TEXT, Text)
    columns: list[Any] = [text, text.like("_" * len(_TEXT))]
    expected: list[Any] = [_TEXT, True]
    if connection.dialect.name in MARIADB:
        columns.append(func.hex(literal(_TEXT, ByteText(MAX_ID))))
        expected.append(_TEXT.encode().hex().upper())
    return list(connection.execute(select(*columns)).one()) == expected


def check_transactions(connection: Connection) -> None:
    """Raise `ConfigError` if the driver begins no transactions: operations need them."""
    driver: Any = connection.connection.driver_connection
    ask = getattr(driver, "get_autocommit", None)  # In the drivers of MariaDB.
    _check_transactions((getattr(driver, "autocommit", None) if ask is None else ask()) in _TRANSACTIONS)
    # With isolation_level None, sqlite3 begins no transaction. A listener to "begin" may have begun one.
    if connection.dialect.name == "sqlite" and driver.isolation_level is None:
        _check_transactions(driver.in_transaction)


def _check_transactions(are_begun: bool) -> None:
    if not are_begun:
        raise ConfigError(
            "SqlKeys and SqlOnce need transactions: with AUTOCOMMIT, with autocommit of the driver, or with the "
            "isolation_level None of sqlite3, a change that fails would be made in part, and a use whose answer is "
            "lost would be refused as a second one; make another engine for them, without this in isolation_level, in "
            "the URL, in connect_args or in a creator"
        )


def _argument(engine: Any, name: str) -> Any:
    """Return what an engine gives to its driver under a name; None if it gives nothing, or if it cannot be seen."""
    # `create_engine` keeps `connect_args`, with those of the URL, only in the function that connects.
    with suppress(TypeError):
        arguments = inspect.getclosurevars(engine.pool._creator).nonlocals.get("cparams")
        return arguments.get(name) if isinstance(arguments, Mapping) else None
    return None
