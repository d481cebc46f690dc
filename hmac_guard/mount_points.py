"""The mount points that an application sets itself, such as `FastAPI(root_path=…)`.

A guard cannot see them in a request: some servers leave them in the path, others remove them. So `only` and `exempt`
name paths without them. The mount point that a server sets is in the request. Most applications remove it.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from types import MethodType
from typing import Any

from hmac_guard.core.errors import ConfigError

#: The attributes in which a layer stores the wrapped application: Starlette, Channels (its router has a mapping),
#: python-socketio, WhiteNoise and asgiref.
_INNER = (
    "app",
    "application",
    "application_mapping",
    "inner",
    "other_asgi_app",
    "wsgi_app",
    "wsgi_application",
)


#: Those of layers that only pass requests on. A router may answer some requests by their whole path.
_ONE_INNER = tuple(name for name in _INNER if name not in ("application_mapping", "other_asgi_app"))

#: The modules and names of the classes of applications that route the path without the mount point of the server.
_REMOVE_ROOT_PATH = (
    ("starlette.applications", "Starlette"),
    ("starlette.routing", "Router"),
    ("quart.app", "Quart"),
    ("litestar.app", "Litestar"),
    ("django.core.handlers.base", "BaseHandler"),
    ("flask.app", "Flask"),
)


def mount_points_of(app: Any) -> Iterator[tuple[str, str]]:
    """Yield each known mount point that an application sets itself, and the name of its setting."""
    for layer in _layers(app):
        # The class is checked, because `root_path` is a folder in Flask and Quart.
        if _is_a(layer, "fastapi", "FastAPI"):
            yield layer.root_path, "FastAPI(root_path=…)"
        elif _is_a(layer, "django.core.handlers.base", "BaseHandler"):
            yield sys.modules["django.conf"].settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME"


def removes_root_path(app: Any) -> bool:
    """Return whether an ASGI application is known to route the path without the mount point of the server."""
    return any(_is_a(layer, *kind) for layer in _layers(app, _ONE_INNER) for kind in _REMOVE_ROOT_PATH)


def _layers(app: Any, names: Iterable[str] = _INNER) -> Iterator[Any]:
    """Yield an application and those inside it, in attributes with these names."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            waiting += _inside(layer, names)


def _inside(layer: Any, names: Iterable[str]) -> Iterator[Any]:
    if isinstance(layer, MethodType):  # Such as `Quart.asgi_app`.
        yield layer.__self__
    attributes = getattr(layer, "__dict__", {})
    for name in names:
        inner = attributes.get(name)
        yield from inner.values() if isinstance(inner, Mapping) else (inner,)


def _is_a(layer: Any, module: str, name: str) -> bool:
    # If the application is an instance, its framework has been imported.
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(layer, kind)


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
