import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils.module_loading import import_string

from hmac_guard.coverage import covered, guards_as
from hmac_guard.decider import decider_of
from hmac_guard.django.middleware import GuardMiddleware
from hmac_guard.guard import Guard


def uncovered_routes() -> list[str]:
    """Return the routes that no guard covers.

    A route is covered by `GuardMiddleware` in MIDDLEWARE, or by `hmac_guarded` or `GuardAuthentication` on its view. A
    subclass with its own `__call__` or `authenticate` covers no route. `GuardAuthentication` does not cover a view
    whose class has a `dispatch`, `initialize_request`, `get_authenticators` or `perform_authentication` of its own. Two
    things are not checked: a view's own `initial`, which must call `super().initial(...)` to authenticate, and a
    decorator around a view or its `dispatch`, such as `cache_page`, which may answer without calling it. A route is
    uncovered if `only` or `exempt` of the guard may skip it, or if the guard is off. Routes are listed as in the
    URLconf, in the active language. A regular expression or a translated route is treated as if it matches any path.

    The list does not include applications around `get_wsgi_application()` or `get_asgi_application()`, such as
    Socket.IO or a router of Channels. It does not include middleware above the guard, which may also answer requests.

    Example::

        def test_every_route_is_guarded():
            assert uncovered_routes() == ["/health/"]
    """
    classes = [middleware for _, middleware in guard_middleware(settings.MIDDLEWARE)]
    around = [_guard_of(middleware) for middleware in classes if guards_as(middleware, GuardMiddleware)]
    open_routes = set()
    for patterns, view in views():
        start, fixed = _start_of(patterns)
        if not covered([*around, *_guards_on(view)], start, fixed=fixed):
            open_routes.add(text_of(patterns))
    return sorted(open_routes)


def guard_middleware(paths: Iterable[str]) -> list[tuple[str, type[GuardMiddleware]]]:
    """Return the guards among these dotted paths of MIDDLEWARE, with their paths."""
    found = []
    for path in paths:
        middleware = import_string(path)
        if isinstance(middleware, type) and issubclass(middleware, GuardMiddleware):
            found.append((path, middleware))
    return found


def guard_authentication(classes: Iterable[Any]) -> list[tuple[str, Any]]:
    """Return the guards among these authentication classes, each once, with their dotted paths."""
    guards = [kind for kind in classes if isinstance(kind, type) and issubclass(kind, guard_class())]
    return [(f"{kind.__module__}.{kind.__qualname__}", kind) for kind in dict.fromkeys(guards)]


def guard_class() -> Any:
    """Return `GuardAuthentication`, or () if it is not imported."""
    # Not imported: that module needs REST framework.
    return getattr(sys.modules.get("hmac_guard.django.rest"), "GuardAuthentication", ())


def decorating_guard(view: Any) -> Guard | None:
    """Return the guard of `hmac_guarded` on a view."""
    marked = getattr(view, "hmac_guard", None)
    return marked if isinstance(marked, Guard) else None


def _guards_on(view: Any) -> Iterator[Guard]:
    decorating = decorating_guard(view)
    if decorating is not None:
        yield decorating
    # Only the first class counts: Django REST framework stops at the first class that finds a user.
    for authentication in _certain_authentication_classes(view)[:1]:
        if guards_as(authentication, guard_class(), "authenticate"):
            yield _guard_of(authentication).for_route()


def _guard_of(kind: Any) -> Guard:
    """Return the guard of one of our classes. Raise `ConfigError` if it is not a guard."""
    guard: Guard = kind.guard_in_use()
    decider_of(kind.__name__, guard)
    return guard


def _certain_authentication_classes(view: Any) -> list[Any]:
    """Return the classes that authenticate every request of a view of Django REST framework."""
    kind: Any = getattr(view, "cls", None)
    for method in ("dispatch", "initialize_request", "get_authenticators", "perform_authentication"):
        # A method of the project may return other classes for some requests, call none of them, or answer itself.
        # `method_decorator` and `hmac_guarded` keep the module of the method that they wrap.
        if not getattr(getattr(kind, method, None), "__module__", "").startswith("rest_framework."):
            return []
    return authentication_classes(view)


def is_rest_view(view: Any) -> bool:
    """Return whether this is a view of Django REST framework."""
    return hasattr(getattr(view, "cls", None), "authentication_classes")


def authentication_classes(view: Any) -> list[Any]:
    """Return the classes that a view of Django REST framework lists."""
    # The arguments of `as_view`, or of the `action` of a view set.
    changed = getattr(view, "initkwargs", {})
    listed = changed.get("authentication_classes", getattr(getattr(view, "cls", None), "authentication_classes", ()))
    return list(listed) if isinstance(listed, (list, tuple)) else []


def views() -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the views of the URLconf, each with the patterns of its route."""
    return _views(get_resolver(), ())


def _views(resolver: URLResolver, before: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for entry in resolver.url_patterns:
        patterns = (*before, entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _views(entry, patterns)
        elif isinstance(entry, URLPattern):
            yield patterns, entry.callback


def text_of(patterns: tuple[Any, ...]) -> str:
    """Return a route as the URLconf has it."""
    return "/" + "".join(map(str, patterns))


def _start_of(patterns: tuple[Any, ...]) -> tuple[str, bool]:
    """Return the fixed first part of a route, and whether it is the whole route."""
    start = "/"
    for pattern in patterns:
        route = getattr(pattern, "_route", None)
        # A lazy text may be another route in another language.
        if not isinstance(pattern, RoutePattern) or not isinstance(route, str):
            return start, False
        fixed, variable, _ = route.partition("<")
        start += fixed
        if variable:
            return start, False
    return start, True
