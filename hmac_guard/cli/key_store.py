"""The options of `hmac-guard keys` that name the database of keys."""

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from hmac_guard.cli.errors import CliError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.verdict import NO_IDS, Claim

MASTER_KEYS = "HMAC_GUARD_MASTER_KEYS"


def takes_store(function: Callable[..., Any], default: str | None = None) -> Callable[..., Any]:
    """Add the options of a database to a command. The function gets the `SqlKeys` as its argument `keys`.

    Args:
        function: The command.
        default: The URL of the database if none is given.
    """

    @_database_options
    @click.option(
        "--redis",
        metavar="URL",
        envvar="HMAC_GUARD_REDIS",
        show_envvar=True,
        help="The Redis server that tells caches of changes.",
    )
    @functools.wraps(function)
    def with_store(*, db: str | None, table: str, redis: str | None, allow_clear: bool = False, **others: Any) -> Any:
        database, redis_url = hide(db or default), hide(redis)
        del db, redis
        _warn_of_passwords(db=database, redis=redis_url)
        with _store(database, table, redis_url, allow_clear) as keys:
            return function(keys=keys, **others)

    return with_store


def _database_options(function: Callable[..., Any]) -> Callable[..., Any]:
    table = click.option("--table", default="hmac_guard_keys", show_default=True, help="The name of the table of keys.")
    db = click.option(
        "--db", metavar="URL", envvar="HMAC_GUARD_DB", show_envvar=True, help="The SQLAlchemy URL of the database."
    )
    return db(table(function))


def takes_tenant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a tenant in a database to a command.

    The function gets the keys of the tenant as its argument `ring`, a `Keyring`, or None without --tenant.
    """

    @_database_options
    @click.option("--tenant", metavar="NAME", help="Use the keys of this tenant in the database.")
    @functools.wraps(function)
    def with_tenant(*, db: str | None, table: str, tenant: str | None, **others: Any) -> Any:
        database = hide(db)
        del db
        if tenant is None:
            return function(ring=None, **others)
        _warn_of_passwords(db=database)
        with _store(database, table, hide(None)) as keys:
            ring = keys(Claim("", NO_IDS, tenant))
        if ring is None:
            raise CliError(f"there is no tenant {tenant!r}; `hmac-guard keys list` shows the tenants")
        if not ring.active(time.time()):
            raise CliError(f"the tenant {tenant!r} has no key in force; add one with `hmac-guard keys add`")
        return function(ring=ring, **others)

    return with_tenant


@contextmanager
def _store(db: Hidden[str | None], table: str, redis: Hidden[str | None], allow_clear: bool = False) -> Iterator[Any]:
    if not db.get():
        raise CliError("there is no database; give its URL in the variable HMAC_GUARD_DB, or with --db")
    try:
        from sqlalchemy.exc import SQLAlchemyError

        from hmac_guard.keys.sql import SqlKeys
    except ModuleNotFoundError:
        raise CliError("keys in a database need SQLAlchemy: pip install 'hmac-guard[sql]'") from None
    master_keys = hide(os.environ.get(MASTER_KEYS, "").replace(",", " ").split())
    engine, failure = _engine(db), ""
    try:
        options: Any = {"table": table, "allow_clear": allow_clear and bool(master_keys.get())}
        yield SqlKeys(engine, master_keys=master_keys.get(), on_change=_publisher(redis), **options)
    except SQLAlchemyError as error:
        failure = _first_line(error)
    finally:
        engine.dispose()
    # Raised outside of the `try` block, because the driver's error contains the parameters, and so the secret.
    if failure:
        raise CliError(f"the database reports an error: {failure}")


def _engine(db: Hidden[str | None]) -> Any:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = hide(make_url(str(db.get())))  # a tuple that contains the password
        if url.get().get_dialect().is_async:
            raise CliError(f"{url.get().drivername} is an async driver; use a sync driver, such as postgresql+psycopg")
        return create_engine(url.get())
    except (ArgumentError, NoSuchModuleError):
        raise CliError(
            "the URL of the database is not valid; write it like postgresql+psycopg://user@host/name"
        ) from None
    except ModuleNotFoundError as error:
        raise CliError(
            f"the database's driver, {error.name}, is not installed; install it, or use another driver"
        ) from None


def _publisher(redis: Hidden[str | None]) -> Callable[[str], None] | None:
    if not redis.get():
        return None
    try:
        from hmac_guard.keys import RedisInvalidation
    except ImportError as error:
        raise CliError(str(error)) from None
    publish = RedisInvalidation(str(redis.get())).publish

    def publish_or_warn(tenant: str) -> None:
        try:
            publish(tenant)
        except Exception:
            click.echo("Warning: Redis cannot be reached; caches see the change after their ttl", err=True)

    return publish_or_warn


def _warn_of_passwords(**urls: Hidden[str | None]) -> None:
    given = click.get_current_context().get_parameter_source
    for option, url in urls.items():
        if given(option) is ParameterSource.COMMANDLINE and _has_password(url):
            click.echo(
                f"Warning: the password in --{option} stays in the shell history and shows in the process list; "
                f"put the URL into the variable HMAC_GUARD_{option.upper()}",
                err=True,
            )


def _has_password(url: Hidden[str | None]) -> bool:
    return "@" in (url.get() or "") and bool(urlsplit(url.get()).password)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
