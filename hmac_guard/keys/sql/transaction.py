"""Methods that are one transaction each, written once for both kinds of engine."""

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from sqlalchemy import Connection, Engine

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

EngineKind_co = TypeVar("EngineKind_co", bound="Engine | AsyncEngine", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")


class HasEngine(Protocol[EngineKind_co]):
    """Whatever has operations."""

    @property
    def engine(self) -> EngineKind_co: ...


class operation(Generic[P, T]):  # noqa: N801 - a decorator
    """Makes a method of a function of a connection: with an `Engine` it gives the result, with an `AsyncEngine` an
    awaitable of it."""

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
        run: Callable[..., Any] = _await_it if is_async(owner.engine) else _do_it
        return partial(run, owner.engine, partial(self._work, owner), self._then(owner))

    def _then(self, owner: Any) -> Callable[[Any], None] | None:
        """What follows once the transaction is committed; it is given the first argument."""
        return None


class change(operation[P, T]):  # noqa: N801 - a decorator
    """An operation on the tenant that is its first argument; `owner.announce` is told of it."""

    def _then(self, owner: Any) -> Callable[[Any], None] | None:
        announce: Callable[[Any], None] | None = owner.announce
        return announce


def is_async(engine: object) -> bool:
    """Whether it is an `AsyncEngine`. There can be one only where its module was imported, and to import it here would
    take greenlet, which SQLAlchemy does not bring by itself."""
    module = sys.modules.get("sqlalchemy.ext.asyncio")
    return module is not None and isinstance(engine, getattr(module, "AsyncEngine", ()))


def _do_it(engine: Engine, work: Callable[..., T], then: Callable[[Any], None] | None, *args: Any, **options: Any) -> T:
    given = hide((args, options))
    del args, options
    with engine.begin() as connection:
        result = _work(connection, work, given)
    if then is not None:
        then(given.get()[0][0])
    return result


async def _await_it(
    engine: "AsyncEngine", work: Callable[..., T], then: Callable[[Any], None] | None, *args: Any, **options: Any
) -> T:
    from asgiref.sync import sync_to_async

    given = hide((args, options))
    del args, options
    async with engine.connect() as connection:
        try:
            async with connection.begin():
                result = await connection.run_sync(_work, work, given)
        except ConfigError:
            raise
        except Exception:
            # A connection of an event loop that is closed never works again, and its pool would not notice.
            await connection.invalidate()
            raise
    if then is not None:
        await sync_to_async(then, thread_sensitive=False)(given.get()[0][0])
    return result


def _work(connection: Connection, work: Callable[..., T], given: Hidden[Any]) -> T:
    return work(connection, *given.get()[0], **given.get()[1])
