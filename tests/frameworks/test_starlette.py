"""Starlette: the middleware in each place where Starlette takes one, and the routes that none covers."""

from typing import Any

import pytest

pytest.importorskip("starlette", reason="not run: Starlette is not installed")

from handles import check_case, check_generated
from orders import CASES, GOOD, KEY, ORDERS, UNSIGNED, hex_of
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from support import Call, Reply, Sent, run_asgi

from hmac_guard import Guard, Path, Query, Verdict, verdict_from
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.starlette import uncovered_routes

METHODS = ["GET", "POST", "PUT", "OPTIONS"]


def guarded(guard: Guard) -> list[Middleware]:
    return [Middleware(GuardMiddleware, guard=guard)]


def answer(place: str, guard: Guard, sent: Sent) -> Reply:
    seen: list[tuple[Verdict, bytes]] = []

    async def endpoint(request: Request) -> PlainTextResponse:
        seen.append((verdict_from(request), await request.body()))
        return PlainTextResponse("reached")

    middleware = {place: guarded(guard)}
    route = Route("/{anything:path}", endpoint, methods=METHODS, middleware=middleware.get("route"))
    mount = Mount("/", routes=[route], middleware=middleware.get("mount"))
    reply = run_asgi(Starlette(routes=[mount], middleware=middleware.get("whole")), sent)
    reply.seen = seen
    return reply


@pytest.fixture(params=["whole", "mount", "route"])
def handle(request: pytest.FixtureRequest) -> Call:
    return lambda guard, sent: answer(request.param, guard, sent)


@pytest.mark.parametrize("case", list(CASES))
def test_the_middleware_answers_as_the_door_does(handle: Call, case: str) -> None:
    check_case(handle, *CASES[case])


def test_the_middleware_decides_as_the_door_does_over_generated_requests(handle: Call) -> None:
    check_generated(handle)


def test_two_guards_under_two_names_both_have_to_be_convinced() -> None:
    partner = Guard(ORDERS.replace(name="partner"), KEY, annotate_as="partner")

    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(verdict_from(request).scheme + verdict_from(request, "partner").scheme)

    app = Starlette(routes=[Route("/orders", endpoint)], middleware=guarded(Guard(ORDERS, KEY)) + guarded(partner))
    assert run_asgi(app, GOOD).body == b"orderspartner"
    assert run_asgi(app, UNSIGNED).status == 401


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def socket(websocket: Any) -> None: ...


class OwnRoute(BaseRoute):
    def __repr__(self) -> str:
        return "<a route of a kind of its own>"


def test_routes_that_no_guard_covers_are_listed(tmp_path: Any) -> None:
    guard = Guard(ORDERS, KEY)
    app = Starlette(
        routes=[
            Route("/open", page),
            Route("/shut", page, middleware=guarded(guard)),
            Route("/off", page, middleware=guarded(Guard(ORDERS, KEY, mode="off"))),
            WebSocketRoute("/ws", socket),
            Mount("/part", routes=[Route("/a", page), Route("/b/{id:int}", page, middleware=guarded(guard))]),
            Mount("/whole", routes=[Route("/a", page)], middleware=guarded(guard)),
            Mount("/by-door", app=guard.asgi(Starlette(routes=[Route("/a", page)]))),
            Mount("/by-router", app=Router(routes=[Route("/a", page)], middleware=guarded(guard))),
            Mount("/static", app=StaticFiles(directory=tmp_path)),
            Host("api.example", app=Router(routes=[Route("/hosted", page)])),
            OwnRoute(),
        ]
    )

    assert uncovered_routes(app) == [
        "/hosted",
        "/off",
        "/open",
        "/part/a",
        "/static/{path:path}",
        "/ws",
        "<a route of a kind of its own>",
    ]


@pytest.mark.parametrize(
    ("policy", "uncovered"),
    [
        ({}, []),
        ({"exempt": ("/health",)}, ["/health"]),
        ({"exempt": ("/static/logo.png",)}, ["/static/{path:path}"]),
        ({"exempt": ("/orders/7",)}, ["/orders/{order}"]),
        ({"only": ("/orders/", "/static/")}, ["/health"]),
        ({"only": ("/health",)}, ["/orders/{order}", "/static/{path:path}"]),
        ({"mode": "report"}, []),
    ],
)
@pytest.mark.parametrize("how", ["among the middleware", "around the application"])
def test_a_route_that_the_policy_may_leave_alone_is_listed(
    how: str, policy: Any, uncovered: list[str], tmp_path: Any
) -> None:
    guard = Guard(ORDERS, KEY, **policy)
    routes = [Route("/health", page), Route("/orders/{order}", page), Mount("/static", StaticFiles(directory=tmp_path))]
    app: Any = Starlette(routes=routes, middleware=guarded(guard) if how == "among the middleware" else [])

    assert uncovered_routes(app if how == "among the middleware" else guard.asgi(app)) == uncovered


IN_PATH = ORDERS.replace(ids={"tenant_id": Path("/tenants/{tenant_id}"), "order_id": Query("order_id")})


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/tenants/acme", ""), ("/api/tenants/acme", "/api"), ("/tenants/acme", "/api")],
    ids=["at the root", "mounted, the mount point in the path", "mounted, the mount point beside the path"],
)
def test_a_mounted_application_reads_its_own_path(path: str, root_path: str) -> None:
    app = Starlette(routes=[Route("/tenants/{tenant}", page)], middleware=guarded(Guard(IN_PATH, KEY)))
    sent = Sent("GET", path, f"order_id=42&sig={hex_of('acme', '42')}")

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": root_path}, receive, send)

    assert run_asgi(mounted, sent).status == 200


@pytest.mark.parametrize("place", ["whole", "mount"])
def test_a_guard_before_a_mount_sees_the_whole_path_and_one_in_it_the_rest(place: str) -> None:
    inside = Guard(IN_PATH, KEY)
    outside = Guard(IN_PATH.replace(ids={**IN_PATH.ids, "tenant_id": Path("/api/tenants/{tenant_id}")}), KEY)
    mount = Mount(
        "/api", routes=[Route("/tenants/{tenant}", page)], middleware=guarded(inside) if place == "mount" else []
    )
    app = Starlette(routes=[mount], middleware=guarded(outside) if place == "whole" else [])

    assert run_asgi(app, Sent("GET", "/api/tenants/acme", f"order_id=42&sig={hex_of('acme', '42')}")).status == 200
    assert run_asgi(app, Sent("GET", "/api/tenants/b", f"order_id=42&sig={hex_of('acme', '42')}")).status == 401
