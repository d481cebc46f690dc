"""Checks the application that a guard wraps: WSGI or ASGI, and whether it contains CORS middleware."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.keys.resolver import functions_of
from hmac_guard.layers import stored
from hmac_guard.log import logger

#: The frameworks define their own types for scopes and messages. They do not match those of `asgiref.typing`.
AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]

_ARGUMENTS = {"a WSGI": 2, "an ASGI": 3}
_CALLS = {"a WSGI": "app(environ, start_response)", "an ASGI": "app(scope, receive, send)"}
_WRAPS = {"a WSGI": "guard.wsgi(app), or hmac_guard.wsgi.", "an ASGI": "guard.asgi(app), or hmac_guard.asgi."}

#: The message of a middleware that is made without a guard. Django makes the entries of MIDDLEWARE like this.
MISSING_GUARD = (
    'guard is missing; give guard=Guard(...). In Django\'s MIDDLEWARE name "hmac_guard.django.GuardMiddleware"'
)


def check_kind(app: Any, kind: str) -> None:
    """Raise `ConfigError` if an application is certainly of the wrong kind.

    Args:
        app: The application.
        kind: The kind it must have: "a WSGI" or "an ASGI".
    """
    other = "a WSGI" if kind == "an ASGI" else "an ASGI"
    is_async = any(map(inspect.iscoroutinefunction, functions_of(app)))
    if can_take(app, _ARGUMENTS[kind]) and not (is_async and kind == "a WSGI"):
        return
    if is_async or can_take(app, _ARGUMENTS[other]):
        raise ConfigError(
            f"GuardMiddleware: app is {other} application, and this is {kind} middleware; use {_WRAPS[other]}"
            "GuardMiddleware"
        )
    raise ConfigError(f"GuardMiddleware: app must be {kind} application, callable as {_CALLS[kind]}")


def can_take(app: Any, count: int) -> bool:
    """Return whether `app` can be called with `count` arguments. Return True if its signature is unknown."""
    if isinstance(app, partial) and app.keywords:  # The signature of a partial object is not reliable here.
        return True
    try:
        # `__wrapped__` is not followed: a bridge between WSGI and ASGI may set it to the application of the other kind.
        signature = inspect.signature(app, follow_wrapped=False)
    except ConfigError:  # Raised by a guard, which is not an application.
        raise
    except Exception:  # Some built-in callables have no signature, and a proxy may raise any exception.
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def warn_of_cors_inside(middleware: Any, scope: Any, scheme: str) -> None:
    """Log a warning if Starlette's CORS middleware is inside the guard and none is outside.

    Args:
        middleware: The ASGI middleware of the guard.
        scope: The lifespan scope with which the server starts the application.
        scheme: The name of the scheme, for the log.
    """
    is_inside = False
    with suppress(Exception):  # Attribute access on a layer of another package may raise.
        around = _chain(getattr(scope.get("app"), "middleware_stack", None))
        outside = list(takewhile(lambda layer: layer is not middleware, around))
        inside = [*_chain(middleware.app), *_to_be_made(middleware.app)]
        is_inside = any(map(_is_cors, inside)) and not any(map(_is_cors, outside))
    if is_inside:
        logger.warning(
            "the guard of the scheme %s wraps CORSMiddleware, so a page on another origin cannot read a refusal. "
            "Make the CORS middleware the outermost one: add it after the guard (the last add_middleware is the "
            "outermost), or first in middleware=[...]",
            scheme,
        )


def is_middleware_of(middleware: Any, app: Any) -> bool:
    """Return whether an ASGI middleware was added to an application of Starlette."""
    return any(layer is middleware for layer in _chain(stored(app, "middleware_stack")))


def check_not_inside(middleware: Any, attribute: str) -> None:
    """Raise `ConfigError` if the application that a guard wraps calls the guard again, without end.

    Args:
        middleware: The middleware of the guard.
        attribute: The attribute with the application's own layers: "wsgi_app" of Flask, "asgi_app" of Quart.
    """
    own = (stored(layer, attribute) for layer in _chain(middleware.app))
    if any(layer is middleware for first in own for layer in _chain(first)):
        wrap = f"guard.{attribute[:4]}"
        raise ConfigError(
            f"GuardMiddleware: the application calls the guard, and the guard calls the application; write "
            f"app.{attribute} = {wrap}(app.{attribute}), not {wrap}(app)"
        )


def _chain(layer: Any) -> Iterator[Any]:
    """Yield a layer of Starlette and the layers inside it."""
    seen: set[int] = set()
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        layer = stored(layer, "app")


def _to_be_made(app: Any) -> Iterator[Any]:
    """Yield the middleware classes of a Starlette application that has not started yet."""
    for application in _chain(app):
        for declared in getattr(application, "user_middleware", ()):
            yield getattr(declared, "cls", None)


def _is_cors(layer: Any) -> bool:
    kind = layer if isinstance(layer, type) else type(layer)
    return any(base.__name__ == "CORSMiddleware" and base.__module__.startswith("starlette.") for base in kind.__mro__)
