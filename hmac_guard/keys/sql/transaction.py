"""Methods that are one transaction each, written once for both kinds of engine."""

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, Pool
from sqlalchemy.exc import DBAPIError

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.sql.session import check_text, check_transactions
from hmac_guard.log import NO_TABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


EngineKind_co = TypeVar("EngineKind_co", bound="Engine | AsyncEngine", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")

#: How often a transaction is tried if the database stops it because of another one, and the seconds between.
ATTEMPTS, PAUSE = 10, 0.1

#: A deadlock and a failed serialization, as PostgreSQL and MariaDB number them.
_GIVEN_UP = {"40001", "40P01", 1020, 1213}

#: A table that does not exist, as PostgreSQL and MariaDB number it.
_NO_TABLE = {"42P01", 1146}


class HasEngine(Protocol[EngineKind_co]):
    """An object with operations."""

    @property
    def engine(self) -> EngineKind_co: ...


class operation(Generic[P, T]):  # noqa: N801 - a decorator
    """A decorator that makes a method from a function of a connection.

    With an `Engine` the method returns the result, with an `AsyncEngine` an awaitable of it.
    """

    def __init__(self, work: Callable[Concatenate[Any, Connection, P], T]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, owner: None, kind: Any) -> "operation[P, T]": ...
    @overload
    def __get__(self, owner: HasEngine[Engine], kind: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: "HasEngine[AsyncEngine]", kind: Any) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, owner: "HasEngine[Engine | AsyncEngine]", kind: Any) -> Callable[P, T | Awaitable[T]]: ...
    def __get__(self, owner: Any, kind: Any) -> Any:
        if owner is None:
            return self
        run: Callable[..., Any] = _await_it if is_async_engine(owner.engine) else _do_it
        return partial(run, owner.engine, partial(self._work, owner), self._then(owner), self._may_pass)

    def _then(self, owner: Any) -> Callable[[Any], None] | None:
        """Return what is called with the first argument after the commit."""
        return None

    def _may_pass(self, error: DBAPIError) -> bool:
        """Return whether the same transaction may succeed when it is tried again, and was not committed."""
        # A commit has no statement. If the connection is lost there, the database may have done it or not.
        if error.connection_invalidated and error.statement is not None:
            return True
        return not _GIVEN_UP.isdisjoint(_codes_of(error))


class change(operation[P, T]):  # noqa: N801 - a decorator
    """An operation on the tenant that is its first argument. It calls `owner.announce` with the tenant."""

    def _then(self, owner: Any) -> Callable[[Any], None] | None:
        announce: Callable[[Any], None] | None = owner.announce
        return announce


class creation(operation[P, T]):  # noqa: N801 - a decorator
    """An operation that creates what is missing. It fails if another worker creates the same at the same moment."""

    def __get__(self, owner: Any, kind: Any) -> Any:
        run = super().__get__(owner, kind)
        if owner is None:
            return run

        def create(*arguments: P.args, **options: P.kwargs) -> Any:
            _create_private_file(owner.engine)
            return run(*arguments, **options)

        return create

    def _may_pass(self, error: DBAPIError) -> bool:
        return True


def _create_private_file(engine: "Engine | AsyncEngine") -> None:
    """Create the file of a SQLite database that does not exist. Only its owner may read it: it contains secrets."""
    if engine.dialect.name != "sqlite":
        return
    [file, *_], _ = engine.dialect.create_connect_args(engine.url)
    if os.path.isabs(file):  # It is not ":memory:" or a URI.
        with suppress(OSError):
            # O_EXCL follows no symbolic link to a file that does not exist; SQLite does.
            os.close(os.open(os.path.realpath(file), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


class in_batches(operation[P, T]):  # noqa: N801 - a decorator
    """A decorator for a function that does one batch. The method does all batches, each in a transaction.

    The function takes a connection and the tenant after which the batch begins. It returns a number and the last tenant
    of the batch, None at the end. The method returns the sum of the numbers.
    """

    def __get__(self, owner: Any, kind: Any) -> Any:
        if owner is None:
            return self
        batch: Callable[..., Any] = super().__get__(owner, kind)
        return partial(_await_batches if is_async_engine(owner.engine) else _do_batches, batch)


def is_async_engine(engine: object) -> bool:
    """Return whether an engine is an `AsyncEngine`.

    There can be one only if its module was imported. To import it here would need greenlet, which SQLAlchemy does not
    install by itself.
    """
    module = sys.modules.get("sqlalchemy.ext.asyncio")
    return module is not None and isinstance(engine, getattr(module, "AsyncEngine", ()))


class _Attempts:
    """The attempts at one transaction."""

    def __init__(self, may_pass: Callable[[DBAPIError], bool]) -> None:
        self._may_pass = may_pass
        self._left = ATTEMPTS
        self._was_lost = False
        self._is_connected = False

    def connected(self) -> None:
        """Record that this attempt has its connection."""
        self._is_connected = True

    def may_repeat(self, error: DBAPIError) -> bool:
        """Return whether the transaction is tried again after this error.

        An error while connecting is final: each attempt may wait until the driver's time limit, or log in with a wrong
        password. A lost connection counts once: the pool then has new connections only. To the pool, a statement that
        has reached the driver's time limit is a lost connection too.
        """
        self._left -= 1
        is_connected, self._is_connected = self._is_connected, False
        is_lost, was_lost = error.connection_invalidated, self._was_lost
        self._was_lost = is_lost or was_lost
        return is_connected and self._left > 0 and not (is_lost and was_lost) and self._may_pass(error)


def _do_it(
    engine: Engine,
    work: Callable[..., T],
    then: Callable[[Any], None] | None,
    may_pass: Callable[[DBAPIError], bool],
    *args: Any,
    **options: Any,
) -> T:
    given = hide((args, options))
    del args, options
    use_own_pool(engine)
    attempts = _Attempts(may_pass)
    while True:
        may_be_committed = False
        try:
            with engine.connect() as connection:
                attempts.connected()
                with connection.begin():
                    result = _work(connection, work, given)
                    may_be_committed = True
            return result
        except DBAPIError as error:
            if not attempts.may_repeat(error):
                raise
            may_be_committed = False
        finally:
            # Also if the answer to the commit is lost: a change that was not made is announced without harm.
            if may_be_committed and then is not None:
                then(given.get()[0][0])
        time.sleep(pause())


async def _await_it(
    engine: "AsyncEngine",
    work: Callable[..., T],
    then: Callable[[Any], None] | None,
    may_pass: Callable[[DBAPIError], bool],
    *args: Any,
    **options: Any,
) -> T:
    from asgiref.sync import sync_to_async

    given = hide((args, options))
    del args, options
    use_own_pool(engine)
    attempts = _Attempts(may_pass)
    while True:
        may_be_committed = False
        try:
            async with engine.connect() as connection, usable(connection):
                attempts.connected()
                async with connection.begin():
                    result = await connection.run_sync(_work, work, given)
                    may_be_committed = True
            return result
        except DBAPIError as error:
            if not attempts.may_repeat(error):
                raise
            may_be_committed = False
        finally:
            # Also if the call is cancelled during the commit, or now.
            if may_be_committed and then is not None:
                await asyncio.shield(sync_to_async(then, thread_sensitive=False)(given.get()[0][0]))
        await asyncio.sleep(pause())


@asynccontextmanager
async def usable(connection: Any) -> AsyncIterator[None]:
    """Drop the connection of an async engine after an error, unless its database ends with it."""
    try:
        yield
    except ConfigError:
        raise
    except Exception:
        # A connection of an event loop that is closed never works again, and its pool would not notice.
        if not _is_in_memory(connection.engine.url):
            await connection.invalidate()
        raise


def _do_batches(
    batch: Callable[..., tuple[int, str | None]],
    after: str | None = None,
    *,
    progress: Callable[[int, str], None] | None = None,
    **options: Any,
) -> int:
    total = 0
    while True:
        count, last = batch(after, **options)
        total, after = total + count, last
        if last is None:
            return total
        if progress is not None:
            progress(total, last)


async def _await_batches(
    batch: Callable[..., Awaitable[tuple[int, str | None]]],
    after: str | None = None,
    *,
    progress: Callable[[int, str], None] | None = None,
    **options: Any,
) -> int:
    total = 0
    while True:
        count, last = await batch(after, **options)
        total, after = total + count, last
        if last is None:
            return total
        if progress is not None:
            progress(total, last)


def _work(connection: Connection, work: Callable[..., T], given: Hidden[Any]) -> T:
    check_transactions(connection)
    check_text(connection)
    with naming_missing_tables():
        return work(connection, *given.get()[0], **given.get()[1])


@contextmanager
def naming_missing_tables() -> Iterator[None]:
    """Add to an error about a table that does not exist how to create it."""
    try:
        yield
    except DBAPIError as error:
        # SQLite has no code for it.
        if any(code in _NO_TABLE or str(code).startswith("no such table") for code in _codes_of(error)):
            error.add_detail(NO_TABLE)
        raise


def _codes_of(error: DBAPIError) -> set[str | int]:
    """Return the codes of the driver's exception."""
    # psycopg and asyncpg name it sqlstate, psycopg2 pgcode; in PyMySQL it is the first argument.
    names = [getattr(error.orig, name, None) for name in ("sqlstate", "pgcode")]
    codes = (*names, *getattr(error.orig, "args", ())[:1])
    return {code for code in codes if isinstance(code, (str, int))}


def pause() -> float:
    """Return the seconds until the next attempt. They are random, so that two transactions do not meet again."""
    return PAUSE * random.random()  # noqa: S311 - it spreads load, it hides nothing


_lock = threading.Lock()
_pids: WeakKeyDictionary[Pool, int] = WeakKeyDictionary()

# Kept: a driver ends the session of a connection that is collected, and the parent still uses it.
_of_parents: list[Pool] = []


def use_own_pool(engine: Any) -> None:
    """Give an engine new connections in a process that was forked since its pool was first seen here.

    Two processes that share one connection take each other's answers.
    """
    engine = getattr(engine, "sync_engine", engine)
    pid = os.getpid()
    if _pids.setdefault(engine.pool, pid) == pid or _is_in_memory(engine.url):
        return
    check_process()
    with _lock:
        if _pids.get(engine.pool, pid) != pid:
            _of_parents.append(engine.pool)
            engine.dispose(close=False)
            _pids[engine.pool] = pid


def _is_in_memory(url: URL) -> bool:
    """Return whether a new connection would see an empty database."""
    database = url.database or ""
    is_in_memory = database in ("", ":memory:") or ":memory:" in database or url.query.get("mode") == "memory"
    return url.get_backend_name() == "sqlite" and is_in_memory


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a forked child must not wait for a thread of its parent
    _lock = threading.Lock()


after_fork(_renew_lock)
