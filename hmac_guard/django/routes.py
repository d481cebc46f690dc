from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils.module_loading import import_string

from hmac_guard.coverage import covered
from hmac_guard.django.middleware import GuardMiddleware
from hmac_guard.guard import Guard


def uncovered_routes() -> list[str]:
    """The routes that no guard covers, for a test of your own: `assert uncovered_routes() == ["/health/"]`.

    A route is covered by `GuardMiddleware` in MIDDLEWARE, or on its view by `hmac_guarded` or `GuardAuthentication`.
    One that a guard's `only` or `exempt` may leave alone, or whose guard is off, is uncovered. Routes are as they stand
    in the URLconf; a regular expression there may match any path.

    Not seen here is what stands around `get_wsgi_application()` or `get_asgi_application()`, such as Socket.IO or a
    router of Channels. Other entries of MIDDLEWARE above the guard may answer requests themselves; they are not listed.
    """
    around = [middleware.guard_in_use() for _, middleware in guard_middleware()]
    open_routes = set()
    for patterns, view in _routes(get_resolver(), ()):
        start, fixed = _start_of(patterns)
        if not covered([*around, *_guards_on(view)], start, fixed=fixed):
            open_routes.add("/" + "".join(map(str, patterns)))
    return sorted(open_routes)


def guard_middleware() -> list[tuple[str, type[GuardMiddleware]]]:
    """The guards in MIDDLEWARE, each with the path by which it stands there."""
    found = []
    for path in settings.MIDDLEWARE:
        middleware = import_string(path)
        if isinstance(middleware, type) and issubclass(middleware, GuardMiddleware):
            found.append((path, middleware))
    return found


def _guards_on(view: Any) -> Iterator[Guard]:
    marked = getattr(view, "hmac_guard", None)
    if isinstance(marked, Guard):
        yield marked
    # Django REST framework asks no further class once one has found a user.
    for authentication in list(getattr(getattr(view, "cls", None), "authentication_classes", ()))[:1]:
        if hasattr(authentication, "guard_in_use"):
            yield authentication.guard_in_use().for_route()


def _routes(resolver: URLResolver, before: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for entry in resolver.url_patterns:
        patterns = (*before, entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, patterns)
        elif isinstance(entry, URLPattern):
            yield patterns, entry.callback


def _start_of(patterns: tuple[Any, ...]) -> tuple[str, bool]:
    """The part of a route that does not vary, and whether it is the whole."""
    start = "/"
    for pattern in patterns:
        if not isinstance(pattern, RoutePattern):
            return start, False
        fixed, variable, _ = str(pattern).partition("<")
        start += fixed
        if variable:
            return start, False
    return start, True
