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


def below(root: str, path: str) -> str:
    """Return a path without a mount point: some servers (uvicorn) leave it in the path, others do not."""
    root = root.rstrip("/")
    return path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path


def cut_by_starlette(root: str, path: str) -> str:
    return path[len(root) :] if path == root or path.startswith(root + "/") else path


def cut_by_quart(root: str, path: str) -> str:
    # Before its release 0.22, Quart cuts like Litestar.
    is_old = not hasattr(sys.modules.get("quart.asgi"), "_normalise_path")
    return cut_by_litestar(root, path) if is_old else _absolute(path.removeprefix(root))


def cut_by_litestar(root: str, path: str) -> str:
    return _absolute(path.split(root, 1)[-1])


def cut_by_django(root: str, path: str) -> str:
    return path.removeprefix(root)


def cut_by_falcon(root: str, path: str) -> str:
    return path


def _absolute(path: str) -> str:
    return path if path.startswith("/") else "/" + path


#: By the module that is imported if a framework routes requests in this process.
CUTS: Mapping[str, Cut] = {
    "starlette.routing": cut_by_starlette,
    "django.core.handlers.asgi": cut_by_django,
    "quart.app": cut_by_quart,
    "litestar.app": cut_by_litestar,
}


class Mounts(NamedTuple):
    """What is known of the mount points of an application.

    Attributes:
        points: The mount points that the application and those inside it set.
        own: The one that the application sets. Then it ignores the one of the server.
        cut: How it cuts the mount point out of the path; None if that depends on the applications inside it.
        is_known: Whether it is of an ASGI framework. A bridge to WSGI may cut the path in another way.
        keeps_root: Whether it may route the path with the mount point of the server.
    """

    points: Sequence[str] = ()
    own: str = ""
    cut: Cut | None = None
    is_known: bool = False
    keeps_root: bool = False

    def readings(self, root: str, path: str) -> list[str]:
        """Return the paths that the application may route, for a mount point and the path of the scope.

        One framework may mount another one, also later. So each one that is imported in this process counts.
        """
        if self.cut is not None:
            return [self.cut(root, path)]
        if self.is_known:
            return [cut(root, path) for module, cut in CUTS.items() if module in sys.modules]
        return [below(root, path), *(cut(root, path) for cut in CUTS.values())]


#: The modules and names of the classes of ASGI applications, and of WSGI applications that are in a bridge.
_FALCON = ("falcon.asgi.app", "App")
_ASGI = (
    ("starlette.applications", "Starlette"),
    ("starlette.routing", "Router"),
    ("django.core.handlers.asgi", "ASGIHandler"),
    ("quart.app", "Quart"),
    ("litestar.app", "Litestar"),
    _FALCON,
)
_IN_A_BRIDGE = (("django.core.handlers.base", "BaseHandler"), ("flask.app", "Flask"))

#: The attributes in which a layer that only passes requests on stores the wrapped application: Starlette, WhiteNoise,
#: asgiref. A router may answer some requests by their whole path, so the attributes of routers are not here.
_WRAPPED = ("app", "application", "inner", "wsgi_app", "wsgi_application")


def mounts_of(app: Any) -> Mounts:
    """Return what is known of the mount points of an ASGI application."""
    points = [point for point, _ in mount_points_of(app) if point.strip("/")]
    outermost = [layer for layer in _walk(app, _wrapped) if _is_one_of(layer, _ASGI + _IN_A_BRIDGE)]
    own = {_own(layer) for layer in outermost}
    # Falcon mounts no other application.
    cut = cut_by_falcon if outermost and all(_is_of(layer, *_FALCON) for layer in outermost) else None
    is_known = bool(outermost) and all(_is_one_of(layer, _ASGI) for layer in outermost)
    return Mounts(points, own.pop() if len(own) == 1 else "", cut, is_known, keeps_root=not outermost)


def mount_points_of(app: Any) -> Iterator[tuple[str, str]]:
    """Yield each known mount point that an application or one inside it sets, and the name of its setting."""
    for layer in _walk(app, _passed_on):
        yield from _set_by(layer)


def _own(application: Any) -> str:
    """Return the mount point that an application sets and cuts out of the path."""
    # Over ASGI, Django ignores its own in its releases before 5.
    if _is_of(application, "django.core.handlers.asgi", "ASGIHandler") and sys.modules["django"].VERSION < (5,):
        return ""
    return next((point for point, _ in _set_by(application)), "")


def _set_by(layer: Any) -> Iterator[tuple[str, str]]:
    # The class is checked, because `root_path` is a folder in Flask and Quart.
    if _is_of(layer, "fastapi", "FastAPI"):
        yield layer.root_path or "", "FastAPI(root_path=…)"
    elif _is_of(layer, "django.core.handlers.base", "BaseHandler"):
        yield sys.modules["django.conf"].settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME"


#: The most layers that are looked at: a layer may make one more inside each one.
_MOST = 1_000


def _walk(app: Any, inside: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
    """Yield an application and those inside it."""
    seen: dict[int, Any] = {}
    waiting = [app]
    while waiting and len(seen) < _MOST:
        layer = waiting.pop()
        if id(layer) not in seen:
            seen[id(layer)] = layer
            yield layer
            waiting += inside(layer)


def _wrapped(layer: Any) -> Iterator[Any]:
    """Yield the applications that a layer stores in one of the usual attributes, and only passes requests on to."""
    if is_a(layer, MethodType):  # Such as `Quart.asgi_app`.
        yield layer.__self__
    yield from (inner for name in _WRAPPED if (inner := stored(layer, name)) is not None)


def _passed_on(layer: Any) -> list[Any]:
    """Return the applications that get requests with an unchanged path from a layer."""
    if _is_one_of(layer, _ASGI + _IN_A_BRIDGE):
        return [mount.app for mount in _mounts_in(layer) if not getattr(mount, "path", "")]
    routed = stored(layer, "application_mapping")  # The router of Channels.
    if isinstance(routed, Mapping):
        return [*routed.values()]
    # If there are several callables, the layer may choose one by the path.
    held = callables_in(layer)
    return [*_wrapped(layer)] or (held if len(held) == 1 else [])


def _mounts_in(layer: Any) -> Iterator[Any]:
    if _is_of(layer, "starlette.applications", "Starlette") or _is_of(layer, "starlette.routing", "Router"):
        mounts = (("starlette.routing", "Mount"), ("starlette.routing", "Host"))
        yield from (route for route in layer.routes if any(_is_of(route, *kind) for kind in mounts))


def _is_one_of(layer: Any, kinds: Iterable[tuple[str, str]]) -> bool:
    return any(_is_of(layer, *kind) for kind in kinds)


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
