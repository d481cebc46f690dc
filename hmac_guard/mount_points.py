"""The mount points of an application, and how it cuts them out of the path that it routes.

A server sets a mount point (`root_path`). Some servers leave it in the path, others remove it. An application may set
one itself, such as `FastAPI(root_path=…)`. So `only` and `exempt` name paths without them.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any, NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.layers import callables_in, is_a, stored

#: Returns the path that an application routes, for a mount point and the path of the scope.
Cut = Callable[[str, str], str]


def cut_by_starlette(root: str, path: str) -> str:
    return path[len(root) :] if path == root or path.startswith(root + "/") else path


def cut_by_quart(root: str, path: str) -> str:
    return _absolute(path.removeprefix(root))


def cut_by_litestar(root: str, path: str) -> str:
    return _absolute(path.split(root, 1)[-1])


def cut_by_django(root: str, path: str) -> str:
    return path.removeprefix(root)


def cut_by_falcon(root: str, path: str) -> str:
    return path


def _absolute(path: str) -> str:
    return path if path.startswith("/") else "/" + path


class Mounts(NamedTuple):
    """What is known of the mount points of an application.

    Attributes:
        points: The mount points that the application and those inside it set.
        own: The one that the application sets. Then it ignores the one of the server.
        cut: How it cuts its mount point out of the path; None if that is unknown.
        keeps_root: Whether it may route the path with the mount point of the server.
    """

    points: Sequence[str] = ()
    own: str = ""
    cut: Cut | None = None
    keeps_root: bool = False


def mounts_of(app: Any) -> Mounts:
    """Return what is known of the mount points of an ASGI application."""
    points = tuple(point for point, _ in mount_points_of(app) if point.strip("/"))
    outermost = [layer for layer in _walk(app, _wrapped) if _framework_of(layer)]
    cuts = {_cut_of(layer) for layer in outermost}
    # Below a mount of Starlette, only Litestar may cut the path at another place.
    if any(_cut_of(layer) is cut_by_litestar for layer in _walk(app, _served)):
        cuts.add(cut_by_litestar)
    if len(cuts) != 1 or None in cuts:
        return Mounts(points, keeps_root=not outermost)
    own = _own(outermost[0]) if len(outermost) == 1 else ""
    return Mounts(points, own if own.strip("/") else "", cuts.pop())


#: The modules and names of the classes of applications, and how they cut the mount point of the server out of the path.
#: None: it is cut out, but that depends on the bridge between ASGI and WSGI.
_FRAMEWORKS: dict[tuple[str, str], Cut | None] = {
    ("starlette.applications", "Starlette"): cut_by_starlette,
    ("starlette.routing", "Router"): cut_by_starlette,
    ("quart.app", "Quart"): cut_by_quart,
    ("litestar.app", "Litestar"): cut_by_litestar,
    ("django.core.handlers.asgi", "ASGIHandler"): cut_by_django,
    ("django.core.handlers.base", "BaseHandler"): None,
    ("flask.app", "Flask"): None,
    ("falcon.asgi.app", "App"): cut_by_falcon,
}

#: The attributes in which a layer that only passes requests on stores the wrapped application: Starlette, WhiteNoise,
#: asgiref. A router may answer some requests by their whole path, so the attributes of routers are not here.
_WRAPPED = ("app", "application", "inner", "wsgi_app", "wsgi_application")


def _framework_of(layer: Any) -> tuple[str, str] | None:
    return next((kind for kind in _FRAMEWORKS if _is_of(layer, *kind)), None)


def _cut_of(layer: Any) -> Cut | None:
    kind = _framework_of(layer)
    # Before its release 0.22, Quart cuts like Litestar.
    if kind == ("quart.app", "Quart") and not hasattr(sys.modules.get("quart.asgi"), "_normalise_path"):
        return cut_by_litestar
    return _FRAMEWORKS[kind] if kind else None


def _own(application: Any) -> str:
    """Return the mount point that an application sets and cuts out of the path."""
    # Over ASGI, Django ignores its own in its releases before 5.
    if _is_of(application, "django.core.handlers.asgi", "ASGIHandler") and sys.modules["django"].VERSION < (5,):
        return ""
    return next((point for point, _ in _set_by(application)), "")


def mount_points_of(app: Any) -> Iterator[tuple[str, str]]:
    """Yield each known mount point that an application or one inside it sets, and the name of its setting."""
    for layer in _walk(app, _reached):
        yield from _set_by(layer)


def _set_by(layer: Any) -> Iterator[tuple[str, str]]:
    # The class is checked, because `root_path` is a folder in Flask and Quart.
    if _is_of(layer, "fastapi", "FastAPI"):
        yield layer.root_path, "FastAPI(root_path=…)"
    elif _is_of(layer, "django.core.handlers.base", "BaseHandler"):
        yield sys.modules["django.conf"].settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME"


def _walk(app: Any, inside: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
    """Yield an application and those inside it."""
    seen: dict[int, Any] = {}
    waiting = [app]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in seen:
            seen[id(layer)] = layer
            yield layer
            waiting += inside(layer)


def _wrapped(layer: Any) -> Iterator[Any]:
    """Yield the applications that a layer only passes requests on to."""
    if is_a(layer, MethodType):  # Such as `Quart.asgi_app`.
        yield layer.__self__
    yield from (stored(layer, name) for name in _WRAPPED)


def _served(layer: Any) -> Iterator[Any]:
    """Yield what a layer only passes requests on to, and the applications that Starlette mounts."""
    yield from _wrapped(layer)
    yield from (mount.app for mount in _mounts_in(layer))


def _reached(layer: Any) -> Iterator[Any]:
    """Yield the applications that may get a request with an unchanged path from a layer."""
    if _framework_of(layer):
        yield from (mount.app for mount in _mounts_in(layer) if not getattr(mount, "path", ""))
    elif is_a(layer, MethodType):
        yield from (layer.__self__, layer.__func__)
    else:
        yield from callables_in(layer)
        routed = stored(layer, "application_mapping")  # The router of Channels.
        yield from routed.values() if isinstance(routed, Mapping) else ()


def _mounts_in(layer: Any) -> Iterator[Any]:
    if _is_of(layer, "starlette.applications", "Starlette") or _is_of(layer, "starlette.routing", "Router"):
        mounts = (("starlette.routing", "Mount"), ("starlette.routing", "Host"))
        yield from (route for route in layer.routes if any(_is_of(route, *kind) for kind in mounts))


def _is_of(layer: Any, module: str, name: str) -> bool:
    # If the application is an instance, its framework has been imported.
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and is_a(layer, kind)


def check_entries(argument: str, entries: Iterable[str], mount_point: str, setting: str) -> None:
    """Raise `ConfigError` if an entry of `only` or `exempt` begins with the mount point, or is a prefix of it.

    Such an entry works only if the server leaves the mount point in the path. Otherwise `only` would not guard the
    short form of the path. An `exempt` that is a prefix of the mount point would exempt the whole application.

    Args:
        argument: "only" or "exempt".
        entries: The entries of the argument.
        mount_point: The mount point of the application.
        setting: The name of the setting that sets it.
    """
    root = mount_point.rstrip("/") + "/"
    for entry in entries if root != "/" else ():
        if (entry + "/").startswith(root):
            short = "/" + entry[len(root) :]
            raise ConfigError(
                f"{argument}: {entry!r} begins with the mount point {mount_point!r}, which {setting} sets; write it as "
                f"the application routes it: {short!r}"
            )
        if entry != "/" and entry.endswith("/") and root.startswith(entry):
            raise ConfigError(
                f"{argument}: {entry!r} contains the mount point {mount_point!r}, which {setting} sets, and so the "
                "whole application; write paths as the application routes them"
            )
