"""Finds the layers around an application and the requests that reach it unguarded, for `uncovered_routes`.

A layer is a WSGI or ASGI application that passes requests on to another one. A layer that this module does not know may
answer requests itself, like Flask-SocketIO.
"""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from inspect import getattr_static
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from hmac_guard.asgi import GuardMiddleware as AsgiGuard
from hmac_guard.guard import Guard
from hmac_guard.layers import callables_in, is_a
from hmac_guard.wsgi import GuardMiddleware as WsgiGuard

#: Packages and modules whose layers do not run handlers. They may answer errors, redirects and preflights.
_KNOWN = (
    "asgiref",
    "fastapi",
    "hmac_guard.asgi",
    "hmac_guard.wsgi",
    "opentelemetry.instrumentation",
    "starlette",
    "uvicorn.middleware",
    "werkzeug.middleware.lint",
    "werkzeug.middleware.profiler",
    "werkzeug.middleware.proxy_fix",
)
_RUNS_A_FUNCTION = "starlette.middleware.base"  # BaseHTTPMiddleware: its `dispatch` may answer requests

#: A path that stands for the paths of a layer itself. No `only` or `exempt` names it.
OWN_PATH = "/a-path-of-the-layer-itself"


def covered(guards: Iterable[Guard], start: str, *, fixed: bool) -> bool:
    """Return whether one of the guards judges every request for a route.

    Args:
        guards: The guards before the route.
        start: The path of the route, or its fixed first part.
        fixed: True if `start` is the whole path.
    """
    return any(not guard._decider.may_skip(start, fixed=fixed) for guard in guards)


class Declared(NamedTuple):
    """A layer that does not exist yet. `factory` will be called with the application `app` that it wraps."""

    factory: Any
    dispatch: Any
    app: Any

    def __call__(self, *_: object) -> None:
        """Layers must be callable. This method is not called."""


def held(layer: Any) -> list[Any]:
    """Return the callables that a layer may pass requests to. A guard is none of them."""
    return [inner for inner in callables_in(layer) if not is_a(inner, Guard)]


class Layers:
    """The known layers from the outermost one to each application.

    Args:
        outermost: The object that the server calls.
        is_application: Returns whether an object is an application, and not a layer.
        inside: Returns the objects that a layer may pass requests to.

    Attributes:
        applications: The applications that were found.
        hidden: True if no application was found. Then the first unknown layers count as applications.
    """

    def __init__(
        self,
        outermost: Any,
        is_application: Callable[[Any], bool],
        inside: Callable[[Any], list[Any]] = held,
    ) -> None:
        self._outermost = id(outermost)
        self.applications = self._walk(outermost, is_application, inside)
        self.hidden = not self.applications
        if self.hidden:
            self.applications = self._walk(outermost, lambda layer: not (is_known(layer) and inside(layer)), inside)
        self._leading = self._leading_to_applications()

    def _walk(
        self, outermost: Any, is_application: Callable[[Any], bool], inside: Callable[[Any], list[Any]]
    ) -> list[Any]:
        self._layers: dict[int, Any] = {}
        self._inside: dict[int, set[int]] = {}
        applications, waiting = [], [outermost]
        while waiting:
            layer = waiting.pop()
            if id(layer) in self._layers:
                continue
            self._layers[id(layer)] = layer
            inner = [] if is_application(layer) else inside(layer)
            # References back to the outermost layer, such as `self.flask_app`, are not passed requests.
            self._inside[id(layer)] = set(map(id, inner)) - {self._outermost}
            waiting += inner
            if is_application(layer):
                applications.append(layer)
        return applications

    def _leading_to_applications(self) -> set[int]:
        leading = set(map(id, self.applications))
        while more := {layer for layer, inner in self._inside.items() if layer not in leading and inner & leading}:
            leading |= more
        return leading

    def is_open(self, application: Any, start: str, *, fixed: bool) -> bool:
        """Return whether a request for a route of `application` may reach it without passing a guard."""
        return id(application) in self._reached(start, fixed=fixed)

    def unknown(self, start: str = OWN_PATH, *, fixed: bool = True) -> list[str]:
        """Return the names of the unknown layers that a request may reach before a guard."""
        reached = [self._layers[layer] for layer in self._reached(start, fixed=fixed)]
        applications = [] if self.hidden else list(map(id, self.applications))
        return [name_of(layer) for layer in reached if not is_known(layer) and id(layer) not in applications]

    def _reached(self, start: str, *, fixed: bool) -> set[int]:
        reached: set[int] = set()
        waiting = {self._outermost}
        while waiting:
            layer = waiting.pop()
            if not self._judges(layer, start, fixed=fixed):
                reached.add(layer)
                waiting |= (self._inside[layer] & self._leading) - reached
        return reached

    def _judges(self, layer: int, start: str, *, fixed: bool) -> bool:
        found = self._layers[layer]
        return is_guard(found) and covered([found.guard], start, fixed=fixed)


def is_guard(layer: Any) -> bool:
    return any(guards_as(type(layer), guard) for guard in (AsgiGuard, WsgiGuard))


def guards_as(kind: Any, guard: Any, method: str = "__call__") -> bool:
    """Return whether `kind` is the class `guard`, or a subclass that uses its method.

    A subclass with a method of its own may let any request through.
    """
    return isinstance(kind, type) and issubclass(kind, guard) and getattr(kind, method) is getattr(guard, method)


def is_known(layer: Any) -> bool:
    """Return whether a layer is known to run no handlers."""
    return is_guard(layer) or any(_is_of_known(part) for part in (_kind_of(layer), _call_of(_kind_of(layer))))


def has_own(layer: Any, *methods: str) -> bool:
    """Return whether a layer has its own version of one of these methods, which may run a handler."""
    return not all(_is_of_known(getattr(layer, method)) for method in methods if hasattr(layer, method))


def name_of(layer: Any) -> str:
    """Return `module.name` of the class or the function of a layer."""
    kind = _kind_of(layer)
    if is_a(kind, FunctionType):
        # The name in the code object: `functools.wraps` replaces `__name__` and `__qualname__`.
        if sys.version_info >= (3, 11):
            name = kind.__code__.co_qualname
        else:  # pragma: no cover -- one of the two runs on each version
            name = kind.__code__.co_name if hasattr(kind, "__wrapped__") else kind.__qualname__
        return f"{module_of(kind)}.{name}"
    return f"{module_of(kind)}.{getattr(kind, '__qualname__', '')}"


def _kind_of(layer: Any) -> Any:
    """Return the class or the function of a layer."""
    if is_a(layer, FunctionType) or is_a(layer, type):
        return layer
    if is_a(layer, MethodType):
        return _kind_of(layer.__func__)
    if is_a(layer, partial):
        return _kind_of(layer.func)
    if is_a(layer, Declared):
        return _kind_of(layer.dispatch or layer.factory)
    dispatch = getattr_static(layer, "dispatch_func", None)
    if dispatch is not None and getattr(dispatch, "__self__", None) is not layer:
        return _kind_of(dispatch)
    return type(layer)


def _call_of(kind: Any) -> Any:
    """Return the function that runs when a layer is called."""
    if not is_a(kind, type):
        return kind
    call = kind.__call__
    return getattr(kind, "dispatch", call) if module_of(call) == _RUNS_A_FUNCTION else call


def _is_of_known(part: Any) -> bool:
    module = module_of(part)
    return any(module == known or module.startswith(known + ".") for known in _KNOWN)


def module_of(part: Any) -> str:
    scope = getattr(part, "__globals__", None)
    return str(scope.get("__name__") if isinstance(scope, dict) else getattr(part, "__module__", ""))
