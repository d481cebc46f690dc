"""The options of a command that name its keys: an environment variable, a file, a prompt, or a database."""

import functools
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hmac_guard.cli.options import filled, several
from hmac_guard.cli.output import LONE_SURROGATE, CliError, has_terminal, print_note
from hmac_guard.core.errors import WeakKeyWarning
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import NO_IDS, Claim
from hmac_guard.keys.forms import FORMS, key_from_text, shown, shown_path
from hmac_guard.log import lacks_table

#: Adds the options of a key to a command. It gets them as `key_env`, `key_file` and `key_form`, for `read_key`.
key_options = several(
    click.option("--key-env", metavar="NAME", callback=filled, help="Read the key from this environment variable."),
    click.option("--key-file", type=click.Path(), metavar="PATH", callback=filled, help="Read the key from this file."),
    click.option(
        "--key-form",
        type=click.Choice(list(FORMS)),
        default="text",
        show_default=True,
        help="How the key is written: text is used unchanged, hex and base64 are decoded.",
    ),
)


def takes_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a key to a command. The command gets the `Key` as its argument `key`."""

    @key_options
    @functools.wraps(function)
    def with_key(*, key_env: str | None, key_file: str | None, key_form: str, **others: Any) -> Any:
        return function(key=read_key(key_env, key_file, key_form), **others)

    return with_key


def ring_of(ring: Keyring | None, env: str | None, file: str | None, form: str) -> Keyring:
    """Return the keys of a tenant; without a tenant, the key that `read_key` returns.

    Args:
        ring: The keys of a tenant, or None.
        env: The name of an environment variable, or None.
        file: The path of a file, or None.
        form: How the key is written: "text", "hex", "base64" or "whsec".

    Raises:
        CliError: A tenant and a place of a key are given, or the key cannot be read.
        ConfigError: The text cannot be used as a key.
    """
    if ring is None:
        return Keyring(read_key(env, file, form))
    if env or file:
        raise CliError("the key is given twice; use --tenant, --key-env or --key-file, not several")
    return ring


def check_keys(scheme: Scheme, keys: Iterable[Key]) -> None:
    """Refuse keys that verify nothing with this scheme.

    Raises:
        CliError: The scheme finds a fault in a key.
    """
    fault = next(filter(None, map(scheme.fault_of_key, keys)), None)
    if fault is not None:
        raise CliError(fault)


def read_key(env: str | None, file: str | None, form: str) -> Key:
    """Return the key from an environment variable, a file or a hidden prompt.

    Args:
        env: The name of an environment variable, or None.
        file: The path of a file, or None.
        form: How the key is written: "text" is used unchanged; "hex", "base64" and "whsec" are decoded.

    Raises:
        CliError: Both places are given, or the key cannot be read.
        ConfigError: The text cannot be used as a key.
    """
    if env and file:
        raise CliError("the key is given twice; use --key-env or --key-file, not both")
    with _warning_in_one_line():
        return key_from_text(*written(env, file), form)


@contextmanager
def _warning_in_one_line() -> Iterator[None]:
    """Print the warning of a weak key without a line of code: the user of a command has written none."""

    def show_weak(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, WeakKeyWarning):
            print_note(f"Warning: {message}")
        else:
            show(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", WeakKeyWarning)
        show, warnings.showwarning = warnings.showwarning, show_weak
        yield


def written(env: str | None, file: str | None) -> tuple[str, Hidden[str]]:
    """Return the place of the key, for error messages, and the text in it.

    Raises:
        CliError: The variable is not set, the file cannot be read, or there is no terminal for a prompt.
    """
    if env:
        if env not in os.environ:
            raise CliError(f"the variable {shown(env)} is not set; export it with the key")
        return f"the variable {env}", hide(os.environ[env])
    if file:
        return f"the file {file}", _text_of(Path(file))
    if not has_terminal():
        raise CliError("there is no key, and no terminal for a prompt; give --key-env NAME or --key-file PATH")
    return "the prompt", _prompted()


def _prompted() -> Hidden[str]:
    with suppress(UnicodeDecodeError):
        return hide(click.prompt("Key (hidden)", hide_input=True, err=True))
    # Raised outside of the `with` block, because the decoder's error contains the secret.
    raise CliError("the key is not UTF-8; check the encoding of the terminal, or write it as hex with --key-form hex")


def _text_of(path: Path) -> Hidden[str]:
    try:
        secret = hide(path.read_bytes())
    except OSError as error:
        raise CliError(
            f"the key file {shown_path(path)} cannot be read ({error.strerror}); give a readable file"
        ) from None
    with suppress(UnicodeDecodeError):
        return hide(secret.get().decode())
    # Raised outside of the `with` block, because the decoder's error contains the secret.
    raise CliError(f"the key file {path} is not text; write the key as hex and add --key-form hex")


MASTER_KEYS = "HMAC_GUARD_MASTER_KEYS"


def takes_store(function: Callable[..., Any], default: str | None = None) -> Callable[..., Any]:
    """Add the options of a database to a command. The command gets the `SqlKeys` as its argument `keys`.

    Args:
        function: The command.
        default: The URL of the database if none is given.
    """

    @_database_options
    @click.option(
        "--redis",
        metavar="URL",
        callback=filled,
        envvar="HMAC_GUARD_REDIS",
        show_envvar=True,
        help="The Redis server that announces changes to caches.",
    )
    @functools.wraps(function)
    def with_store(*, db: str | None, table: str, redis: str | None, allow_clear: bool = False, **others: Any) -> Any:
        database, redis_url = hide(db or default), hide(redis)
        del db, redis
        _warn_of_passwords(db=database, redis=redis_url)
        with _store(database, table, redis_url, allow_clear) as keys:
            return function(keys=keys, **others)

    return with_store


_database_options = several(
    click.option(
        "--db",
        metavar="URL",
        callback=filled,
        envvar="HMAC_GUARD_DB",
        show_envvar=True,
        help="The SQLAlchemy URL of the database.",
    ),
    click.option(
        "--table", default="hmac_guard_keys", callback=filled, show_default=True, help="The name of the table of keys."
    ),
)


def takes_tenant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a tenant in a database to a command.

    The command gets the keys of the tenant as its argument `ring`, a `Keyring`, or None without --tenant.
    """

    @_database_options
    @click.option("--tenant", metavar="NAME", callback=filled, help="Use the keys of this tenant in the database.")
    @functools.wraps(function)
    def with_tenant(*, db: str | None, table: str, tenant: str | None, **others: Any) -> Any:
        database = hide(db)
        del db
        if tenant is None:
            return function(ring=None, **others)
        check_texts(tenant=tenant)
        _warn_of_passwords(db=database)
        with _store(database, table, hide(None)) as keys:
            ring = keys(Claim("", NO_IDS, tenant))
        if ring is None:
            raise CliError(f"there is no tenant {tenant!r}; `hmac-guard keys list` shows the tenants")
        if not ring.active(time.time()):
            raise CliError(f"the tenant {tenant!r} has no active key; add one with `hmac-guard keys add`")
        return function(ring=ring, **others)

    return with_tenant


def check_texts(**given: str | None) -> None:
    """Raise `CliError` for an option that is not UTF-8: no database can look for it."""
    for option, text in given.items():
        if text is not None and LONE_SURROGATE.search(text):
            raise CliError(f"--{option} is not UTF-8; check the encoding of the terminal")


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
        with _warning_in_one_line():
            yield SqlKeys(engine, master_keys=master_keys.get(), on_change=_publisher(redis), **options)
    except SQLAlchemyError as error:
        failure = _first_line(error)
        if lacks_table(error):
            failure += "; `hmac-guard keys add` creates the tables"
    finally:
        engine.dispose()
    # Raised outside of the `try` block, because the driver's error contains the parameters, and so the secret.
    if failure:
        raise CliError(f"the database reports an error: {failure}")


def _engine(db: Hidden[str | None]) -> Any:
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    if str(db.get()) != str(db.get()).strip():  # SQLite would make a file of that name.
        raise CliError("the URL of the database starts or ends with white space or a newline; remove it")
    try:
        url = hide(make_url(str(db.get())))  # a tuple that contains the password
        if url.get().get_dialect().is_async:
            raise CliError(f"{url.get().drivername} is an async driver; use a sync driver, such as postgresql+psycopg")
        if url.get().get_backend_name() != "sqlite" and _TWO_READINGS.search(str(db.get())):
            raise CliError(
                "the URL of the database can be read in two ways; write %40 for an '@', %3F for a '?' and %2F for a "
                "'/' in the user, the password, the name and the options"
            )
        engine = create_engine(url.get())
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise CliError(
            "the URL of the database is not valid; write it like postgresql+psycopg://user:password@host:5432/name, "
            "and percent-encode the password"
        ) from None
    except ModuleNotFoundError as error:
        raise CliError(
            f"the database's driver, {error.name}, is not installed; install it, or use another driver"
        ) from None
    event.listen(engine, "do_connect", _connect)
    return engine


# SQLAlchemy takes the text from the first colon to the next `@` for the password. If that is wrong, it takes a part of
# the password for the host, the name or the user, and the driver prints it. So a URL is refused if, in this order:
# another `@` comes after that one; an `@` is in the options after a host, or after one with a port; a `/` comes before
# the colon, and an `@` after it.
_TWO_READINGS = re.compile(
    r"://[^:/]*(?::[^@]*@.*|(?::(?:[^/?@]*\]:?)?\d*(?:/[^?@]*)?)?\?[^@]*=[^@]*|/[^?]*:[^@]*)@", re.DOTALL
)


def _connect(dialect: Any, record: object, arguments: Any, options: Any) -> Any:
    """Connect as SQLAlchemy does. The driver checks the parts of the URL only now, with exceptions of Python."""
    # SQLite would create the file. `keys add` has done that before it connects.
    if dialect.name == "sqlite" and os.path.isabs(arguments[0]) and not os.path.exists(arguments[0]):
        raise CliError(
            f"there is no database {arguments[0]}; check the URL, or create it with `hmac-guard keys add`, in a folder "
            "that exists"
        )
    try:
        return dialect.connect(*arguments, **options)
    except (AttributeError, OSError, TypeError, ValueError) as error:
        failure = type(error).__name__
    # Raised outside of the `try` block, because the error can contain the password.
    del arguments, options
    raise CliError(
        f"the driver {dialect.driver} cannot use the URL of the database ({failure}); check its host, its "
        "password, and its options (after the '?')"
    )


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
            print_note("Warning: Redis cannot be reached; caches see the change after their ttl")

    return publish_or_warn


def _warn_of_passwords(**urls: Hidden[str | None]) -> None:
    given = click.get_current_context().get_parameter_source
    for option, url in urls.items():
        if given(option) is ParameterSource.COMMANDLINE and _has_password(url):
            print_note(
                f"Warning: the password in --{option} stays in the shell history and shows in the process list; "
                f"put the URL into the variable HMAC_GUARD_{option.upper()}"
            )


# A password before the host, as SQLAlchemy reads it: it may have any character but `@`. Or one in the query, as libpq,
# the drivers of MariaDB and redis-py name it. `passfile` is the path of a file.
_PASSWORD = re.compile(r"\A[^:]*://[^:/]*:[^@]+@|[?&][^=&]*(?:pass(?!file)|pwd)[^=&]*=[^&]", re.IGNORECASE)


def _has_password(url: Hidden[str | None]) -> bool:
    return _PASSWORD.search(url.get() or "") is not None


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
