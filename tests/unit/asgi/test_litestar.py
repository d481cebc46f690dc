"""The ASGI middleware in Litestar, whose router runs before its middleware."""

from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("litestar", reason="not run: Litestar is not installed")
pytest.importorskip("starlette", reason="not run: Starlette is not installed")

from key_sources import KEY
from litestar import Litestar, Request, Router, asgi, get
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient as StarletteClient
from support import Sent, run_asgi

from hmac_guard import Guard
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.asgi.request import HeaderNames, read_scope
from hmac_guard.schemes import NANGO, SUPRSEND


async def answer(request: Any) -> PlainTextResponse:
    return PlainTextResponse("reached")


@get("/health", sync_to_thread=False)
def health() -> str:
    return "up"


#: By default, Litestar writes the log of all libraries from a thread of its own, also after the test.
NO_LOG = None


def statuses(policy: dict[str, Any], *paths: str, root_path: str = "") -> list[int]:
    """Return the statuses of unsigned requests to an application with the mount /admin."""
    mounted = Starlette(routes=[Route(path, answer) for path in ("/", "/users/", "/health/")])
    guard = Guard(SUPRSEND, KEY, **policy)
    app = Litestar(
        [health, asgi("/admin", is_mount=True, copy_scope=True)(mounted)],
        middleware=[DefineMiddleware(GuardMiddleware, guard=guard)],
        logging_config=NO_LOG,
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
        app = Litestar([Router("/r", route_handlers=[mount])], middleware=middleware, logging_config=NO_LOG)
        with TestClient(app) as client:
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
    middleware = [DefineMiddleware(GuardMiddleware, guard=guard)]
    app: Any = Litestar([mount], middleware=middleware, logging_config=NO_LOG)

    with StarletteClient(with_raw_path) as client:
        assert client.get("/admin/users").status_code == 401


def test_a_mount_that_is_not_found_is_never_skipped() -> None:
    class Handler:
        is_mount = True

    scope = {"method": "GET", "path": "/users/", "root_path": "", "query_string": b"", "headers": []}
    request = read_scope({**scope, "route_handler": Handler()}, HeaderNames([]), False)

    assert [*request.paths()] == ["/users/", ""]
    assert not Guard(SUPRSEND, KEY, exempt=("/users/",))._decider.is_exempt_path("")


def connecting(place: str) -> Any:
    """Return an application with an id in its path, with a guard around it or in its middleware."""

    @get("/oauth/connect/{integration_id:str}", sync_to_thread=False)
    def connect(request: Request[Any, Any, Any]) -> str:
        return str(request.path_params["integration_id"])

    guard = Guard(NANGO, KEY)
    middleware = [DefineMiddleware(GuardMiddleware, guard=guard)] if place == "middleware" else []
    app: Any = Litestar([connect], middleware=middleware, logging_config=NO_LOG)
    return guard.asgi(app) if place == "around" else app


@pytest.mark.parametrize("place", ["around", "middleware"])
def test_an_id_in_a_path_with_a_last_slash_is_not_ignored(place: str) -> None:
    """Litestar serves `/oauth/connect/theirs/` like the path without the last slash."""

    app = connecting(place)
    signed = NANGO.sign_fields(KEY, integration_id="mine", connection_id="c").query

    with StarletteClient(app) as client:
        assert client.get("/oauth/connect/theirs/", params=signed).status_code == 401
        honest = {name: text for name, text in signed.items() if name != "integration_id"}
        assert client.get("/oauth/connect/mine", params=honest).text == "mine"


@pytest.mark.parametrize("policy", [{"exempt": ("/health",)}, {"only": ("/api/health",)}], ids=str)
@pytest.mark.parametrize("place", ["around", "middleware"])
def test_a_route_that_begins_like_the_mount_point_of_the_server_is_guarded(place: str, policy: dict[str, Any]) -> None:
    """Litestar has cut the mount point out of the path before its middleware runs, and left it in the scope."""

    @get("/api/health", sync_to_thread=False)
    def private() -> str:
        return "private"

    guard = Guard(NANGO, KEY, **policy)
    middleware = [DefineMiddleware(GuardMiddleware, guard=guard)] if place == "middleware" else []
    app: Any = Litestar([health, private], middleware=middleware, logging_config=NO_LOG)
    guarded = guard.asgi(app) if place == "around" else app

    assert run_asgi(guarded, Sent(path="/api/api/health", root="/api")).status == 401
    if "exempt" in policy:
        assert run_asgi(guarded, Sent(path="/api/health", root="/api")).body == b"up"


@pytest.mark.parametrize("place", ["around", "middleware"])
def test_an_id_in_a_route_that_begins_like_the_mount_point_is_not_ignored(place: str) -> None:
    app = connecting(place)
    signed = urlencode(NANGO.sign_fields(KEY, integration_id="mine", connection_id="c").query)

    sent = Sent(path="/oauth/oauth/connect/theirs", root="/oauth", query=signed)
    assert run_asgi(app, sent).status == 401


@pytest.mark.parametrize("place", ["around", "middleware"])
def test_an_id_may_begin_like_the_mount_point_of_the_server(place: str) -> None:
    app = connecting(place)
    signed = urlencode(NANGO.sign_fields(KEY, integration_id="apify", connection_id="c").query)
    sent = Sent(path="/api/oauth/connect/apify", root="/api", query=signed.replace("integration_id=apify", ""))

    assert run_asgi(app, sent).body == b"apify"
