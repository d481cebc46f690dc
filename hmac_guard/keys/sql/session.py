"""What the connections to the database of the keys must not do."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection

from hmac_guard.core.errors import ConfigError

_UTF8 = ("utf8", "utf8mb3", "utf8mb4")


def check_arguments(engine: Any) -> None:
    """Raise `ConfigError` if the URL or the `connect_args` of an engine make connections that cannot hold keys."""
    _check_charset(_argument(engine, "charset"))


def check_charset(connection: Connection) -> None:
    """Raise `ConfigError` if a driver of MariaDB writes another charset than UTF-8.

    The charset of a connection may come from a file or from the user's own `creator`, which no engine shows.
    """
    _check_charset(getattr(connection.connection.driver_connection, "charset", None))


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
