"""The path that each framework routes below a root path, compared with the path that the guard reads."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from typing import Any

import pytest
from support import Sent, scope_for

from hmac_guard import mount_points
from hmac_guard.asgi.request import HeaderNames, read_scope
from hmac_guard.core.paths import is_canonical
from hmac_guard.mount_points import mounts_of

#: Also empty, repeated, with a last slash, without a first one, and those that begin like a segment.
ROOTS = ["", "/", "/r", "/r/", "/r/r", "r"]
#: The root occurs first, later, twice, as a part of a segment, with a last slash and before a doubled slash.
PATHS = ["/" + "/".join(parts) for count in (0, 1, 2, 3) for parts in product(["r", "s", "rx"], repeat=count)]
PATHS += ["/r/", "/r/s/", "/s/r/", "/r//s", "/r/r//s", "//r", "/xr/s", "/s/xr/s", "/x/r/s"]

#: Writes down the path that an application routes, and returns an answer.
Note = Callable[..., Any]


def starlette(note: Note, root: str, stack: ExitStack) -> Any:
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    return Starlette(routes=[Route("/{path:path}", lambda request: note(request.path_params["path"], Response()))])


def fastapi(note: Note, root: str, stack: ExitStack) -> Any:
    app = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed").FastAPI(openapi_url=None)
    app.root_path = root
    app.add_api_route("/{path:path}", lambda path: note(path))
    return app


def quart(note: Note, root: str, stack: ExitStack) -> Any:
    app = pytest.importorskip("quart", reason="not run: Quart is not installed").Quart("shop")

    async def view(path: str = "") -> Any:
        return note(path, "")

    for rule in ("/", "/<path:path>"):
        app.add_url_rule(rule, rule, view)
    return app


def litestar(note: Note, root: str, stack: ExitStack) -> Any:
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")

    def view(request: Any) -> None:
        note(request.path_params.get("path", "/")[1:])

    view.__annotations__["request"] = litestar.Request
    view = litestar.get(["/", "/{path:path}"], sync_to_thread=False)(view)
    return litestar.Litestar([view], openapi_config=None, logging_config=None)


def falcon(note: Note, root: str, stack: ExitStack) -> Any:
    app = pytest.importorskip("falcon.asgi", reason="not run: Falcon is not installed").App()

    async def sink(request: Any, response: Any, path: str) -> None:
        note(path)

    app.add_sink(sink, "/(?P<path>.*)")
    return app


def django(note: Note, root: str, stack: ExitStack) -> Any:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django_project import project  # isort: skip -- first, because it configures Django

    from django.core.handlers.asgi import ASGIHandler
    from django.http import HttpResponse
    from django.urls import path

    async def view(request: Any, path: str = "") -> Any:
        return note(path, HttpResponse())

    urls = [path("", view), path("<path:path>", view)]
    stack.enter_context(project(urls=urls, MIDDLEWARE=[], FORCE_SCRIPT_NAME=root or None))
    return ASGIHandler()


async def ask(app: Any, scope: Any) -> None:
    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        pass

    messages = [{"type": "http.request", "body": b""}]
    await app(scope, receive, send)


async def differing(make: Callable[..., Any], own: str) -> list[tuple[str, str, str, list[str]]]:
    """Return the roots and paths for which the guard reads another path than the application routes."""
    routed: list[str] = []

    def note(path: str, answer: Any = None) -> Any:
        routed.append("/" + path)
        return answer

    with ExitStack() as stack:
        app = make(note, own, stack)
        mounts, found, count = mounts_of(app), [], 0
        for root, path in product(ROOTS, PATHS):
            routed.clear()
            scope = scope_for(Sent(path=path, root=root))
            read = read_scope(dict(scope), HeaderNames([]), False, mounts)
            await ask(app, scope)
            # Quart routes " " if the root path is not at the start. Litestar takes the last slash away.
            is_same = routed in ([], ["/ "]) or routed[0].rstrip("/") == read.path.rstrip("/")
            # The guard refuses a path that is not canonical.
            is_refused = "//" in path and not is_canonical(read.path)
            if not (is_same or is_refused) or {*read.paths(), *read.id_paths()} != {read.path}:
                found.append((root, path, read.path, [*routed]))
            count += bool(routed)
    assert count > len(PATHS)
    return found


MODULES = {
    starlette: "starlette.routing",
    fastapi: "starlette.routing",
    quart: "quart.app",
    litestar: "litestar.app",
    django: "django.core.handlers.asgi",
    falcon: "",
}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """As in a process with one framework. With several ones, the guard reads the path in the way of each."""
    cuts = {module: cut for module, cut in mount_points.CUTS.items() if module == MODULES[make]}
    monkeypatch.setattr(mount_points, "CUTS", cuts)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("make", MODULES)
def test_the_guard_reads_the_path_that_the_framework_routes(make: Any) -> None:
    assert asyncio.run(differing(make, "")) == []


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("make", "own"), [(fastapi, "/"), *product([fastapi, django], ["/r", "/r/", "/r/s"])])
def test_the_root_path_of_the_server_does_not_count_if_the_application_sets_one(make: Any, own: str) -> None:
    if make is django:
        pytest.importorskip("django", minversion="5.0", reason="not run: this Django ignores it over ASGI")
    assert asyncio.run(differing(make, own)) == []
