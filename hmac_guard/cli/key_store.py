"""Which database of keys a command works on."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from hmac_guard.cli.errors import CliError

MASTER_KEYS = "HMAC_GUARD_MASTER_KEYS"


def takes_store(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of a database; `function` gets the `SqlKeys` as its argument `keys`."""

    @click.option(
        "--db", metavar="URL", envvar="HMAC_GUARD_DB", show_envvar=True, help="The database's SQLAlchemy URL."
    )
    @click.option("--table", default="hmac_guard_keys", show_default=True, help="The table of keys.")
    @click.option(
        "--redis", metavar="URL", envvar="HMAC_GUARD_REDIS", show_envvar=True, help="Where caches hear of changes."
    )
    @functools.wraps(function)
    def with_store(*, db: str | None, table: str, redis: str | None, **others: Any) -> Any:
        if not db:
            raise CliError("there is no database; give its URL with --db, or better in the variable HMAC_GUARD_DB")
        _warn_of_passwords(db, redis)
        with _store(db, table, redis) as keys:
            return function(keys=keys, **others)

    return with_store


@contextmanager
def _store(db: str, table: str, redis: str | None) -> Iterator[Any]:
    try:
        from sqlalchemy.exc import SQLAlchemyError

        from hmac_guard.keys.sql import SqlKeys
    except ModuleNotFoundError:
        raise CliError("keys in a database need SQLAlchemy: pip install 'hmac-guard[sql]'") from None
    masters = os.environ.get(MASTER_KEYS, "").replace(",", " ").split()
    engine = _engine(db)
    try:
        yield SqlKeys(engine, table=table, master_keys=masters, on_change=_publisher(redis))
    except SQLAlchemyError as error:
        raise CliError(f"the database refused: {_first_line(error)}") from None
    finally:
        engine.dispose()


def _engine(db: str) -> Any:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(db)
        if url.get_dialect().is_async:
            raise CliError(f"{url.drivername} is an async driver; name a sync one, postgresql+psycopg say")
        return create_engine(url)
    except (ArgumentError, NoSuchModuleError):
        raise CliError("the URL of the database is none; write it like postgresql+psycopg://user@host/name") from None
    except ModuleNotFoundError as error:
        raise CliError(f"the database's driver, {error.name}, is not installed; install it, or name another") from None


def _publisher(redis: str | None) -> Callable[[str], None] | None:
    if not redis:
        return None
    try:
        from hmac_guard.keys import RedisInvalidation
    except ImportError as error:
        raise CliError(str(error)) from None
    publish = RedisInvalidation(redis).publish

    def tell(tenant: str) -> None:
        try:
            publish(tenant)
        except Exception:
            click.echo("Warning: Redis is away; caches see the change within their ttl", err=True)

    return tell


def _warn_of_passwords(db: str, redis: str | None) -> None:
    given = click.get_current_context().get_parameter_source
    for option, url in (("db", db), ("redis", redis)):
        if url and given(option) is ParameterSource.COMMANDLINE and "@" in url and urlsplit(url).password:
            click.echo(
                f"Warning: the password in --{option} stays in the shell's history and shows in the list of processes; "
                f"put the URL into the variable HMAC_GUARD_{option.upper()}",
                err=True,
            )


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
