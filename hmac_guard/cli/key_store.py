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
from hmac_guard.core.hidden import Hidden, hide

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
        database, news = hide(db), hide(redis)
        del db, redis
        if not database.get():
            raise CliError("there is no database; give its URL with --db, or better in the variable HMAC_GUARD_DB")
        _warn_of_passwords(db=database, redis=news)
        with _store(database, table, news) as keys:
            return function(keys=keys, **others)

    return with_store


@contextmanager
def _store(db: Hidden[str | None], table: str, redis: Hidden[str | None]) -> Iterator[Any]:
    try:
        from sqlalchemy.exc import SQLAlchemyError

        from hmac_guard.keys.sql import SqlKeys
    except ModuleNotFoundError:
        raise CliError("keys in a database need SQLAlchemy: pip install 'hmac-guard[sql]'") from None
    masters = hide(os.environ.get(MASTER_KEYS, "").replace(",", " ").split())
    engine, refused = _engine(db), ""
    try:
        yield SqlKeys(engine, table=table, master_keys=masters.get(), on_change=_publisher(redis))
    except SQLAlchemyError as error:
        refused = _first_line(error)
    finally:
        engine.dispose()
    # Raised out here, since the driver's error holds the parameters of the statement, a secret among them.
    if refused:
        raise CliError(f"the database refused: {refused}")


def _engine(db: Hidden[str | None]) -> Any:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = hide(make_url(str(db.get())))  # it has the password as an item
        if url.get().get_dialect().is_async:
            raise CliError(f"{url.get().drivername} is an async driver; name a sync one, postgresql+psycopg say")
        return create_engine(url.get())
    except (ArgumentError, NoSuchModuleError):
        raise CliError("the URL of the database is none; write it like postgresql+psycopg://user@host/name") from None
    except ModuleNotFoundError as error:
        raise CliError(f"the database's driver, {error.name}, is not installed; install it, or name another") from None


def _publisher(redis: Hidden[str | None]) -> Callable[[str], None] | None:
    if not redis.get():
        return None
    try:
        from hmac_guard.keys import RedisInvalidation
    except ImportError as error:
        raise CliError(str(error)) from None
    publish = RedisInvalidation(str(redis.get())).publish

    def tell(tenant: str) -> None:
        try:
            publish(tenant)
        except Exception:
            click.echo("Warning: Redis is away; caches see the change within their ttl", err=True)

    return tell


def _warn_of_passwords(**urls: Hidden[str | None]) -> None:
    given = click.get_current_context().get_parameter_source
    for option, url in urls.items():
        if given(option) is ParameterSource.COMMANDLINE and _has_password(url):
            click.echo(
                f"Warning: the password in --{option} stays in the shell's history and shows in the list of processes; "
                f"put the URL into the variable HMAC_GUARD_{option.upper()}",
                err=True,
            )


def _has_password(url: Hidden[str | None]) -> bool:
    return "@" in (url.get() or "") and bool(urlsplit(url.get()).password)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
