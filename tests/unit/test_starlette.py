"""Starlette: the middleware in each possible place, and the routes that no guard covers."""

import functools
import re
from typing import Any

import pytest

pytest.importorskip("starlette", reason="not run: Starlette is not installed")

from asgiref.compatibility import guarantee_single_callable
from handles import check_case, check_generated
from orders import CASES, GOOD, KEY, ORDERS, UNSIGNED, hex_of
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
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
@pytest.mark.without_coverage
def test_the_django_middleware_answers_like_the_wsgi_middleware(handle: Call, case: str) -> None:
    check_case(handle, *CASES[case])


@pytest.mark.without_coverage
def test_the_django_middleware_decides_generated_requests_like_the_wsgi_middleware(handle: Call) -> None:
    check_generated(handle)


def test_two_guards_must_both_verify() -> None:
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
        return "<a route of an unknown kind>"


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
            Mount("/by-guard", app=guard.asgi(Starlette(routes=[Route("/a", page)]))),
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
        "<a route of an unknown kind>",
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
def test_a_route_that_the_policy_may_skip_is_listed(how: str, policy: Any, uncovered: list[str], tmp_path: Any) -> None:
    guard = Guard(ORDERS, KEY, **policy)
    routes = [Route("/health", page), Route("/orders/{order}", page), Mount("/static", StaticFiles(directory=tmp_path))]
    app: Any = Starlette(routes=routes, middleware=guarded(guard) if how == "among the middleware" else [])

    assert uncovered_routes(app if how == "among the middleware" else guard.asgi(app)) == uncovered


IN_PATH = ORDERS.replace(ids={"tenant_id": Path("/tenants/{tenant_id}"), "order_id": Query("order_id")})


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/tenants/acme", ""), ("/api/tenants/acme", "/api"), ("/tenants/acme", "/api")],
    ids=["at the root", "mounted, the mount point in the path", "mounted, the mount point not in the path"],
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


class Layer:
    """A layer of an unknown type, which stores the application in its own attribute."""

    def __init__(self, app: Any, *, name: str = "") -> None:
        self.behind = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.behind(scope, receive, send)


def closure(app: Any) -> Any:
    async def layer(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return layer


def opaque(app: Any) -> Any:
    kept = [app]

    async def layer(scope: Any, receive: Any, send: Any) -> None:
        await kept[0](scope, receive, send)

    return layer


class OwnHttp(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


async def timing(request: Request, call_next: Any) -> Any:
    return await call_next(request)


class OwnApplication(Starlette):
    """It has the name of a Starlette class."""


class AnsweringApplication(Starlette):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


GUARD = Guard(ORDERS, KEY)


def application_in(*middleware: Middleware, started: bool = False, kind: Any = Starlette) -> Any:
    app = kind(routes=[Route("/orders", page)], middleware=middleware)
    if started:
        run_asgi(app, Sent("GET", "/no-such-path"))
    return app


def names_of(listed: list[str]) -> list[str]:
    """Return the listed layers without the name of this module."""
    return [each.replace(__name__ + ".", "") for each in listed]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    ("unknown", "name"),
    [
        (Middleware(Layer), "Layer"),
        (Middleware(Layer, name="one"), "Layer"),
        (Middleware(closure), "closure"),
        (Middleware(functools.partial(Layer, name="one")), "Layer"),
        (Middleware(OwnHttp), "OwnHttp"),
        (Middleware(BaseHTTPMiddleware, dispatch=timing), "timing"),
        (Middleware(OwnHttp, dispatch=timing), "timing"),
    ],
)
def test_an_unknown_middleware_outside_the_guard_is_listed(unknown: Middleware, name: str, started: bool) -> None:
    [guarding] = guarded(GUARD)
    # Before the factory is called, its own attributes are known. After that, the layer that it returned is known.
    shown = "layer" if name == "closure" and started else name
    outside = names_of(uncovered_routes(application_in(unknown, guarding, started=started)))
    bare = names_of(uncovered_routes(application_in(unknown, started=started)))

    assert [re.sub(r"closure\.<locals>\.", "", each) for each in outside] == [f"<{shown} around the application>"]
    assert [re.sub(r"closure\.<locals>\.", "", each) for each in bare] == [
        "/orders",
        f"<{shown} around the application>",
    ]
    assert uncovered_routes(application_in(guarding, unknown, started=started)) == []


def test_the_dispatch_function_may_be_a_positional_argument() -> None:
    [listed] = uncovered_routes(application_in(Middleware(BaseHTTPMiddleware, timing), *guarded(GUARD)))

    assert names_of([listed]) == ["<timing around the application>"]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    "known",
    [
        Middleware(CORSMiddleware, allow_origins=["*"]),
        Middleware(GZipMiddleware),
        Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"]),
    ],
    ids=lambda middleware: middleware.cls.__name__,
)
def test_a_middleware_without_handlers_is_not_listed(known: Middleware, started: bool) -> None:
    assert uncovered_routes(application_in(known, *guarded(GUARD), started=started)) == []
    assert uncovered_routes(application_in(known, started=started)) == ["/orders"]


def test_the_middleware_of_uvicorn_is_not_listed() -> None:
    proxied = pytest.importorskip("uvicorn.middleware.proxy_headers", reason="not run: uvicorn is not installed")

    assert uncovered_routes(proxied.ProxyHeadersMiddleware(GUARD.asgi(application_in()))) == []
    assert uncovered_routes(proxied.ProxyHeadersMiddleware(application_in())) == ["/orders"]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    "guarding",
    [
        Middleware(GuardMiddleware, guard=GUARD),
        Middleware(functools.partial(GuardMiddleware, guard=GUARD)),
        Middleware(GUARD.asgi),
    ],
    ids=["class", "partial", "method"],
)
def test_a_guard_among_the_middleware_is_found(guarding: Middleware, started: bool) -> None:
    assert uncovered_routes(application_in(guarding, Middleware(Layer), started=started)) == []


class Lenient(GuardMiddleware):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Named(GuardMiddleware):
    """A subclass that guards as its base does."""


def test_a_subclass_of_the_middleware_covers_routes_only_if_it_checks_requests_as_its_base_does() -> None:
    opened = ["/orders", "<Lenient around the application>"]
    sent = Sent("GET", "/orders")

    for started in (False, True):
        app = application_in(Middleware(Lenient, guard=GUARD), started=started)
        assert names_of(uncovered_routes(app)) == opened
        assert run_asgi(app, sent).status == 200
    assert names_of(uncovered_routes(Lenient(application_in(), guard=GUARD))) == opened
    named = application_in(Middleware(Named, guard=GUARD), started=True)
    for app in (named, Named(application_in(), guard=GUARD)):
        assert uncovered_routes(app) == []
        assert run_asgi(app, sent).status == 401


def test_layers_around_an_application_are_listed_up_to_the_guard() -> None:
    app = application_in()

    assert names_of(uncovered_routes(Layer(GUARD.asgi(app)))) == ["<Layer around the application>"]
    assert names_of(uncovered_routes(closure(GUARD.asgi(app)))) == ["<closure.<locals>.layer around the application>"]
    assert uncovered_routes(GUARD.asgi(Layer(app))) == []
    assert uncovered_routes(guarantee_single_callable(GUARD.asgi(app))) == []  # type: ignore[no-untyped-call]


def test_an_application_subclass_with_its_own_call_is_a_layer() -> None:
    assert uncovered_routes(application_in(*guarded(GUARD), kind=OwnApplication)) == []
    assert names_of(uncovered_routes(application_in(*guarded(GUARD), kind=AnsweringApplication))) == [
        "<AnsweringApplication around the application>"
    ]
    assert uncovered_routes(GUARD.asgi(application_in(kind=AnsweringApplication))) == []


def test_layers_in_a_mount_and_around_a_route_are_listed_with_their_place() -> None:
    [guarding] = guarded(GUARD)
    inner = application_in()
    app = Starlette(
        routes=[
            Mount("/in", routes=[Mount("/live", app=Layer(GUARD.asgi(inner)))]),
            Mount("/shut", app=GUARD.asgi(Layer(inner))),
            Mount("/old", app=GUARD.asgi(opaque(inner))),
            Mount("/hidden", app=opaque(GUARD.asgi(inner))),
            Route("/one", page, middleware=[Middleware(Layer), guarding]),
            Route("/two", page, middleware=[guarding, Middleware(Layer)]),
            Route("/three", Endpoint, middleware=[Middleware(Layer), guarding]),
        ]
    )

    assert names_of(uncovered_routes(app)) == [
        "/hidden/{path:path}",
        "<Layer around /in/live>",
        "<Layer around /one>",
        "<Layer around /three>",
    ]
    assert uncovered_routes(GUARD.asgi(app)) == []
    assert names_of(uncovered_routes(Guard(ORDERS, KEY, only=("/in/", "/one")).asgi(app))) == [
        "/hidden/{path:path}",
        "<Layer around /three>",
    ]


class OwnHandle(Route):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None: ...


class OwnMatches(Route):
    def matches(self, scope: Any) -> Any:
        return super().matches(scope)


class OwnCall(WebSocketRoute):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class OwnMount(Mount):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None: ...


class OwnRouter(Router):
    async def app(self, scope: Any, receive: Any, send: Any) -> None: ...


class NamedRoute(Route):
    """It has no method that runs before the guard."""


def test_a_route_or_a_mount_with_its_own_method_before_the_guard_is_listed() -> None:
    guarding = guarded(GUARD)
    app = Starlette(
        routes=[
            OwnHandle("/handle", page, middleware=guarding),
            OwnMatches("/matches", page, middleware=guarding),
            OwnCall("/call", socket, middleware=guarding),
            OwnMount("/mount", routes=[Route("/a", page)], middleware=guarding),
            Mount("/router", OwnRouter([Route("/a", page, middleware=guarding)])),
            NamedRoute("/named", page, middleware=guarding),
            OwnHandle("/open", page),
        ]
    )

    assert names_of(uncovered_routes(app)) == [
        "/open",
        "<OwnCall around /call>",
        "<OwnHandle around /handle>",
        "<OwnMatches around /matches>",
        "<OwnMount around /mount>",
        "<OwnRouter around /router>",
    ]
    assert uncovered_routes(GUARD.asgi(app)) == []
    assert uncovered_routes(Guard(ORDERS, KEY, exempt=("/handle",)).asgi(app)) == [
        f"<{__name__}.OwnHandle around /handle>"
    ]


class Endpoint(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")


def test_the_default_application_of_a_router_is_listed() -> None:
    async def default(scope: Any, receive: Any, send: Any) -> None: ...

    router = Router(routes=[Route("/orders", page, middleware=guarded(GUARD))], default=default)
    assert uncovered_routes(router) == ["/{path:path}"]
    assert uncovered_routes(GUARD.asgi(router)) == []


def test_a_route_of_an_unknown_kind_is_listed_unless_a_guard_covers_every_path() -> None:
    app = Starlette(routes=[OwnRoute()])

    assert uncovered_routes(GUARD.asgi(app)) == []
    assert uncovered_routes(Guard(ORDERS, KEY, only=("/orders/",)).asgi(app)) == ["<a route of an unknown kind>"]


def test_socketio_is_guarded_only_if_the_guard_wraps_it() -> None:
    socketio = pytest.importorskip("socketio", reason="not run: python-socketio is not installed")
    server = socketio.AsyncServer(async_mode="asgi")
    outside = socketio.ASGIApp(server, GUARD.asgi(application_in()))
    inside = GUARD.asgi(socketio.ASGIApp(server, application_in()))

    assert uncovered_routes(outside) == ["<socketio.asgi.ASGIApp around the application>"]
    assert uncovered_routes(inside) == []


@pytest.mark.parametrize("started", [False, True])
def test_opentelemetry_is_not_listed(started: bool) -> None:
    asgi = pytest.importorskip("opentelemetry.instrumentation.asgi", reason="not run: OpenTelemetry is not installed")
    traced = Middleware(asgi.OpenTelemetryMiddleware)

    assert uncovered_routes(application_in(traced, *guarded(GUARD), started=started)) == []
    assert uncovered_routes(asgi.OpenTelemetryMiddleware(GUARD.asgi(application_in()))) == []
    assert uncovered_routes(asgi.OpenTelemetryMiddleware(application_in())) == ["/orders"]
