"""The ASGI middleware in Litestar, whose router runs before its middleware."""

from typing import Any

import pytest

pytest.importorskip("litestar", reason="not run: Litestar is not installed")
pytest.importorskip("starlette", reason="not run: Starlette is not installed")

from key_sources import KEY
from litestar import Litestar, Router, asgi, get
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient as StarletteClient

from hmac_guard import Guard
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.asgi.request import HeaderNames, read_scope
from hmac_guard.schemes import SUPRSEND


async def answer(request: Any) -> PlainTextResponse:
    return PlainTextResponse("reached")


@get("/health", sync_to_thread=False)
def health() -> str:
    return "up"


def statuses(policy: dict[str, Any], *paths: str, root_path: str = "") -> list[int]:
    """Return the statuses of unsigned requests to an application with the mount /admin."""
    mounted = Starlette(routes=[Route(path, answer) for path in ("/", "/users/", "/health/")])
    guard = Guard(SUPRSEND, KEY, **policy)
    app = Litestar(
        [health, asgi("/admin", is_mount=True, copy_scope=True)(mounted)],
        middleware=[DefineMiddleware(GuardMiddleware, guard=guard)],
    )
    with TestClient(app, root_path=root_path) as client:
        return [client.get(path).status_code for path in paths]


@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"only": ("/admin/",)}, "/admin/users"),
        ({"only": ("/admin/",)}, "/admin/health"),
        ({"exempt": ("/health/",)}, "/admin/health"),
        ({"exempt": ("/users/",)}, "/admin/%75sers"),
        ({"exempt": ("/",)}, "/admin/"),
    ],
    ids=str,
)
def test_a_policy_counts_for_the_whole_path_below_a_mount(policy: dict[str, Any], path: str, root_path: str) -> None:
    assert statuses(policy, path, root_path=root_path) == [401]


def test_a_path_below_a_mount_is_exempt_if_the_whole_path_and_the_rest_of_it_are() -> None:
    exempt = {"exempt": ("/health", "/health/", "/admin/health/")}

    assert statuses(exempt, "/health", "/admin/health", "/admin/users") == [200, 200, 401]


async def reached(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("reached")(scope, receive, send)


def test_a_mount_with_several_paths_below_a_router_is_found_by_each() -> None:
    mount = asgi(["/a", "/b"], is_mount=True, copy_scope=True)(reached)

    def status(policy: dict[str, Any]) -> int:
        middleware = [DefineMiddleware(GuardMiddleware, guard=Guard(SUPRSEND, KEY, **policy))]
        with TestClient(Litestar([Router("/r", route_handlers=[mount])], middleware=middleware)) as client:
            return client.get("/r/b/users").status_code

    assert status({"only": ("/r/b/",)}) == 401
    assert status({"exempt": ("/users/",)}) == 401
    assert status({"exempt": ("/r/", "/users/")}) == 200


@pytest.mark.parametrize("raw_path", [None, b"/other/users", "/admin/users"], ids=repr)
def test_the_raw_path_of_the_server_does_not_matter(raw_path: object) -> None:
    """Mangum gives none, and middleware around Litestar may rewrite the path alone."""

    async def with_raw_path(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "raw_path": raw_path}, receive, send)

    mount = asgi("/admin", is_mount=True, copy_scope=True)(reached)
    guard = Guard(SUPRSEND, KEY, only=("/admin/",))
    app: Any = Litestar([mount], middleware=[DefineMiddleware(GuardMiddleware, guard=guard)])

    with StarletteClient(with_raw_path) as client:
        assert client.get("/admin/users").status_code == 401


def test_a_mount_that_is_not_found_is_never_skipped() -> None:
    class Handler:
        is_mount = True

    scope = {"method": "GET", "path": "/users/", "root_path": "", "query_string": b"", "headers": []}
    request = read_scope({**scope, "route_handler": Handler()}, HeaderNames([]), False)

    assert request.paths() == ("/users/", "")
    assert not Guard(SUPRSEND, KEY, exempt=("/users/",))._decider.is_exempt_path("")
