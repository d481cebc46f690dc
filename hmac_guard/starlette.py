"""`uncovered_routes` for Starlette and FastAPI: the routes that no guard covers.

To guard a Starlette application, use the ASGI middleware: `Middleware(GuardMiddleware, guard=guard)` from
`hmac_guard.asgi`.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from inspect import isfunction
from types import MethodType
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.routing import Host, Mount, Router

from hmac_guard.asgi import GuardMiddleware
from hmac_guard.coverage import OWN_PATH, Declared, Layers, covered, guards_as, has_own, held, name_of
from hmac_guard.guard import Guard

_ANY_PATH = "/{path:path}"

#: The methods that run before a guard in a route, a mount or a router: before its middleware and its dependencies.
_OF_ROUTE = ("__call__", "matches", "handle", "get_route_handler")
_OF_ROUTER = ("app", "matches", "handle")


def uncovered_routes(app: Any) -> list[str]:
    """Return the paths that no guard covers.

    A route is covered by `GuardMiddleware` around the application, or in the middleware of the application, a mount or
    the route. In FastAPI it is also covered by `GuardSecurity` in the dependencies of the application, the router or
    the route. A subclass of these with its own `__call__` covers no route. A route is uncovered if `only` or `exempt`
    of the guard may skip it, or if the guard is off.

    `/static/{path:path}` stands for a mounted application whose routes are unknown. A route of an unknown type is
    listed unless a guard covers every path.

    A layer outside of the first guard may answer requests itself. It is listed by its name, for example
    `<socketio.asgi.ASGIApp around the application>`. The class of a route, a mount or a router is such a layer if it
    has a method of its own that runs before the guard, such as `handle` or `get_route_handler`. Layers that are known
    to run no handlers are not listed: the middleware of Starlette and FastAPI, OpenTelemetry, asgiref and uvicorn. If
    you know that a layer answers no requests, add it to the list in your test.

    Example::

        def test_every_route_is_guarded():
            assert uncovered_routes(app) == ["/health"]
    """
    return sorted({str(found) for found in _open(app)})


class _Open(NamedTuple):
    """What a request may reach unguarded: the route `path`, or the layer `name` before `path`."""

    path: str
    name: str = ""

    @property
    def start(self) -> str:
        return self.path.partition("{")[0]

    @property
    def fixed(self) -> bool:
        return "{" not in self.path

    def __str__(self) -> str:
        if not self.name or self.name.startswith("<"):
            return self.name or self.path
        return f"<{self.name} around {self.path.removesuffix(OWN_PATH) or 'the application'}>"


def _open(app: Any) -> Iterator[_Open]:
    layers = Layers(app, _is_behind_router, _inside)
    if not layers.hidden:
        yield from (_Open(OWN_PATH, name) for name in layers.unknown())
    for application in layers.applications:
        for found in [_Open(_ANY_PATH)] if layers.hidden else _open_in(application.__self__):
            if layers.is_open(application, found.start, fixed=found.fixed):
                yield found


def _is_behind_router(layer: Any) -> bool:
    """Return whether this is the inner application of a router, behind the middleware of the router."""
    return type(layer) is MethodType and isinstance(layer.__self__, Router) and layer == layer.__self__.app


def _inside(layer: Any) -> list[Any]:
    kind = type(layer)
    if kind is Declared:
        return [layer.app]
    if issubclass(kind, Starlette):
        return [layer.middleware_stack or _declared(layer)]
    return [layer.middleware_stack] if issubclass(kind, Router) else held(layer)


def _declared(app: Starlette) -> Any:
    """Return the middleware of an application that has not started yet, nested like the real layers."""
    inner: Any = app.router
    for middleware in reversed(app.user_middleware):
        inner = _guard_of(middleware, inner) or Declared(middleware.cls, _dispatch_of(middleware), inner)
    return inner


def _guard_of(middleware: Any, inner: Any) -> Any:
    made = middleware.cls
    while isinstance(made, partial):
        made = made.func
    ours = made is GuardMiddleware or isinstance(getattr(made, "__self__", None), Guard)
    return middleware.cls(inner, *middleware.args, **middleware.kwargs) if ours else None


def _dispatch_of(middleware: Any) -> Any:
    """Return the dispatch function of a `BaseHTTPMiddleware`."""
    return middleware.kwargs.get("dispatch") or next(filter(isfunction, middleware.args), None)


def _open_in(router: Any) -> Iterator[_Open]:
    yield from _own_layer(router, _OF_ROUTER, OWN_PATH)
    # FastAPI stores its frontends (static builds) separately from the other routes.
    for route in (*router.routes, *getattr(router, "_low_priority_routes", ())):
        yield from _open_at(route)
    if router.default != router.not_found:
        yield from _open(router.default)


def _open_at(route: Any) -> Iterator[_Open]:
    if hasattr(route, "effective_candidates"):  # A router that FastAPI has included.
        yield from _own_layer(route.original_router, _OF_ROUTER, route.include_context.prefix + OWN_PATH)
        for included in (*route.effective_candidates(), *route.effective_low_priority_routes()):
            yield from _open_at(getattr(included, "starlette_route", None) or included)
    elif hasattr(group := getattr(route, "original_route", route), "add_frontend_route"):
        prefix = getattr(route, "frontend_prefix", "")
        frontends = [_Open(prefix + frontend.path.rstrip("/") + _ANY_PATH) for frontend in group.routes]
        yield from _past(_guards_among(route.dependant), frontends)
    elif isinstance(route, (Mount, Host)):
        prefix = getattr(route, "path", "")
        yield from _own_layer(route, _OF_ROUTE, prefix + OWN_PATH)
        yield from (found._replace(path=prefix + found.path) for found in _open(route.app))
    elif not isinstance(path := getattr(route, "path", None), str):
        yield _Open(_ANY_PATH, repr(route))
    else:
        found = [*_open_route(route, _Open(path))]
        yield from found
        if _Open(path) not in found:
            yield from _own_layer(getattr(route, "original_route", route), _OF_ROUTE, path)


def _own_layer(layer: Any, methods: tuple[str, ...], path: str) -> Iterator[_Open]:
    """Yield a route or a router that has one of these methods of its own: it may answer requests before a guard."""
    if has_own(layer, *methods):
        yield _Open(path, name_of(layer))


def _open_route(route: Any, itself: _Open) -> Iterator[_Open]:
    guards = tuple(_guards_among(getattr(route, "dependant", None)))
    if route.app is None:  # A route that FastAPI has included from a router: only dependencies can guard it.
        yield from _past(guards, [itself])
        return
    layers = Layers(route.app, partial(_is_endpoint, route))
    if not layers.hidden:
        yield from (itself._replace(name=name) for name in layers.unknown(itself.start, fixed=itself.fixed))
    if any(layers.is_open(endpoint, itself.start, fixed=itself.fixed) for endpoint in layers.applications):
        yield from _past(guards, [itself])


def _is_endpoint(route: Any, layer: Any) -> bool:
    """Return whether this is the endpoint of a route, or the function of the framework that calls it."""
    return layer is route.endpoint or (
        isfunction(layer) and layer.__module__ in ("starlette.routing", "fastapi.routing")
    )


def _past(guards: Iterable[Guard], found: list[_Open]) -> Iterator[_Open]:
    guards = tuple(guards)
    yield from (each for each in found if not covered(guards, each.start, fixed=each.fixed))


def _guards_among(dependant: Any) -> Iterator[Guard]:
    """Yield the guards in the dependencies of a FastAPI route."""
    # Not imported: that module imports this one, and needs FastAPI.
    security: Any = getattr(sys.modules.get("hmac_guard.fastapi"), "GuardSecurity", ())
    for dependency in getattr(dependant, "dependencies", ()):
        found = dependency.call
        if guards_as(type(found), security):
            yield found.guard.for_route()
        yield from _guards_among(dependency)
