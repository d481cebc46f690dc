"""The ASGI middleware in Litestar, whose router runs before its middleware."""

from typing import Any

import pytest

pytest.importorskip("litestar", reason="not run: Litestar is not installed")

from key_sources import KEY
from litestar import Litestar, asgi, get
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

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
    exempt = {"exempt": ("/health", "/health/", "/admin/health")}

    assert statuses(exempt, "/health", "/admin/health", "/admin/users") == [200, 200, 401]


def test_a_server_may_give_no_raw_path() -> None:
    class Handler:
        is_mount = True

    scope = {"method": "GET", "path": "/users/", "root_path": "", "query_string": b"", "headers": []}
    of_litestar = {**scope, "route_handler": Handler(), "path_template": "/admin/"}

    assert read_scope(of_litestar, HeaderNames([]), False).paths() == ("/users/", "/admin/users/")
    assert read_scope({**of_litestar, "raw_path": b"/admin/a%62"}, HeaderNames([]), False).paths() == (
        "/users/",
        "/admin/ab",
    )
