"""What kind of application a guard is put around, and what stands inside of it."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.resolver import functions_of
from hmac_guard.log import logger

#: The frameworks have types of their own for a scope and its messages, which do not fit those of `asgiref.typing`.
AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]

_ARGUMENTS = {"a WSGI": 2, "an ASGI": 3}
_CALLS = {"a WSGI": "app(environ, start_response)", "an ASGI": "app(scope, receive, send)"}
_WRAPS = {"a WSGI": "guard.wsgi(app), or hmac_guard.wsgi.", "an ASGI": "guard.asgi(app), or hmac_guard.asgi."}

#: What a middleware says that is made without a guard, as Django does with each entry of MIDDLEWARE.
MISSING_GUARD = (
    'guard is missing; give guard=Guard(...). In Django\'s MIDDLEWARE name "hmac_guard.django.GuardMiddleware"'
)


def check_kind(app: Any, kind: str) -> None:
    """Raises `ConfigError` for an application that is certainly not of the kind, "a WSGI" or "an ASGI"."""
    other = "a WSGI" if kind == "an ASGI" else "an ASGI"
    is_async = any(map(inspect.iscoroutinefunction, functions_of(app)))
    if can_take(app, _ARGUMENTS[kind]) and not (is_async and kind == "a WSGI"):
        return
    if is_async or can_take(app, _ARGUMENTS[other]):
        raise ConfigError(
            f"GuardMiddleware: app is {other} application, and this is {kind} middleware; take {_WRAPS[other]}"
            "GuardMiddleware"
        )
    raise ConfigError(f"GuardMiddleware: app must be {kind} application, which can be called as {_CALLS[kind]}")


def can_take(app: Any, count: int) -> bool:
    """Whether it can be called with so many arguments, or that cannot be seen."""
    if isinstance(app, partial) and app.keywords:  # Its signature may not say how it is called.
        return True
    try:
        # Not that of a function inside: a bridge between WSGI and ASGI may name the application that it wraps.
        signature = inspect.signature(app, follow_wrapped=False)
    except ConfigError:  # That of a guard, which is no application.
        raise
    except Exception:  # Some built-in callables have no signature, and a proxy raises what it likes.
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def warn_of_cors_inside(middleware: Any, scope: Any, scheme: str) -> None:
    """Log a warning where Starlette's CORS middleware stands inside of a guard, and none outside.

    `middleware`  the guard's ASGI middleware
    `scope`       the scope of the lifespan, with which a server starts the application
    """
    is_inside = False
    with suppress(Exception):  # A layer of another package may raise where it is asked for its attributes.
        around = _chain(getattr(scope.get("app"), "middleware_stack", None))
        outside = list(takewhile(lambda layer: layer is not middleware, around))
        inside = [*_chain(middleware.app), *_to_be_made(middleware.app)]
        is_inside = any(map(_is_cors, inside)) and not any(map(_is_cors, outside))
    if is_inside:
        logger.warning(
            "the guard of the scheme %s stands around CORSMiddleware: a page on another origin cannot read a refusal. "
            "Put the CORS middleware outside: add it after the guard (the last add_middleware is the outermost), or "
            "first in middleware=[...]",
            scheme,
        )


def _chain(layer: Any) -> Iterator[Any]:
    """A layer of Starlette's, and those inside."""
    seen: set[int] = set()
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        layer = getattr(layer, "app", None)


def _to_be_made(app: Any) -> Iterator[Any]:
    """The classes of the middleware of a Starlette application that has not started yet."""
    for application in _chain(app):
        for declared in getattr(application, "user_middleware", ()):
            yield getattr(declared, "cls", None)


def _is_cors(layer: Any) -> bool:
    kind = layer if isinstance(layer, type) else type(layer)
    return any(base.__name__ == "CORSMiddleware" and base.__module__.startswith("starlette.") for base in kind.__mro__)
