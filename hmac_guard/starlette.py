"""Starlette takes the middleware as it is: `Middleware(GuardMiddleware, guard=guard)`, from `hmac_guard.asgi`. Here is
what tells which routes of a Starlette or FastAPI application no guard covers."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import Host, Mount

from hmac_guard.asgi import GuardMiddleware
from hmac_guard.coverage import covered, layers
from hmac_guard.guard import Guard


def uncovered_routes(app: Any) -> list[str]:
    """The paths that no guard covers, for a test of your own: `assert uncovered_routes(app) == ["/health"]`.

    A route is covered by `GuardMiddleware` around the application, among its middleware, a mount's or its own, and in
    FastAPI by `GuardSecurity` among its dependencies, the router's or the application's. One that a guard's `only` or
    `exempt` may leave alone, or whose guard is off, is uncovered. `/static/{path:path}` stands for a mounted
    application that does not tell its routes; a route of an unknown kind is listed, whatever stands before it.
    """
    return sorted(set(_open_paths(app)))


def _open_paths(app: Any) -> Iterator[str]:
    guards: list[Guard] = []
    routes = None
    for layer in layers(app):
        guards += _guards_of(layer)
        routes = getattr(layer, "routes", None)
        if routes is not None:
            # FastAPI keeps its frontends (static builds) apart from the other routes.
            routes = [*routes, *getattr(getattr(layer, "router", layer), "_low_priority_routes", ())]
            break
    paths = ["/{path:path}"] if routes is None else [path for route in routes for path in _open_paths_of(route)]
    yield from (path for path in paths if not _is_covered(guards, path))


def _guards_of(layer: Any) -> Iterator[Guard]:
    if isinstance(layer, GuardMiddleware):
        yield layer.guard
    yield from (
        middleware.kwargs["guard"]
        for middleware in getattr(layer, "user_middleware", ())
        if middleware.cls is GuardMiddleware
    )
    yield from _guards_around(getattr(layer, "middleware_stack", None))


def _guards_around(app: Any) -> Iterator[Guard]:
    yield from (layer.guard for layer in layers(app) if isinstance(layer, GuardMiddleware))


def _open_paths_of(route: Any) -> Iterator[str]:
    if hasattr(route, "effective_route_contexts"):  # A router that FastAPI has included.
        for included in (*route.effective_route_contexts(), *route.effective_low_priority_routes()):
            yield from _open_paths_of(included.starlette_route or included)
    elif hasattr(group := getattr(route, "original_route", route), "add_frontend_route"):
        if not _is_covered(_guards_among(route.dependant), "/{path:path}"):
            prefix = getattr(route, "frontend_prefix", "")
            yield from (prefix + frontend.path.rstrip("/") + "/{path:path}" for frontend in group.routes)
    elif isinstance(route, (Mount, Host)):
        yield from (getattr(route, "path", "") + path for path in _open_paths(route.app))
    elif not isinstance(path := getattr(route, "path", None), str):
        yield repr(route)
    elif not _is_covered((*_guards_around(route.app), *_guards_among(getattr(route, "dependant", None))), path):
        yield path


def _guards_among(dependant: Any) -> Iterator[Guard]:
    """The guards among the dependencies of a FastAPI route."""
    for dependency in getattr(dependant, "dependencies", ()):
        guard = getattr(dependency.call, "guard", None)
        if isinstance(guard, Guard):
            yield guard.for_route()
        yield from _guards_among(dependency)


def _is_covered(guards: Iterable[Guard], path: str) -> bool:
    start, variable, _ = path.partition("{")
    return covered(guards, start, fixed=not variable)
