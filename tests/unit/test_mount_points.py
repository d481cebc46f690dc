"""Applications that set their own mount point: `only` and `exempt` name paths without it."""

import asyncio
import warnings
from dataclasses import replace
from functools import partial
from typing import Any
from xmlrpc.client import ServerProxy

import pytest

pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
pytest.importorskip("django", reason="not run: Django is not installed")

# First, because it configures Django.
from django_project import GUARDED, Guarded, project, send  # isort: skip

from asgiref.wsgi import WsgiToAsgi
from channels.routing import ProtocolTypeRouter
from django import VERSION
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI, Security
from orders import KEY, hex_of
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Host, Mount
from starlette.testclient import TestClient
from support import Reply, Sent, environ_for, run_asgi
from werkzeug.test import run_wsgi_app

from hmac_guard import ConfigError, Guard, Path, Query, Scheme, mount_points
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.django import uncovered_routes as uncovered_routes_of_django
from hmac_guard.fastapi import GuardSecurity, uncovered_routes
from hmac_guard.mount_points import mounts_of
from hmac_guard.schemes import NANGO

QUERY = f"integration_id=github&connection_id=user-42&hmac={hex_of('github', 'user-42')}"

#: Entries that cannot work under the mount point /api, and those that can.
WRONG = [
    pytest.param({"only": ("/api/inbox/",)}, "begins with the mount point '/api'.*'/inbox/'", id="only, a prefix"),
    pytest.param({"only": ("/open", "/api/inbox")}, "begins with the mount point '/api'.*'/inbox'", id="only, exact"),
    pytest.param({"only": ("/api",)}, "begins with the mount point '/api'.*'/'", id="only, the mount point"),
    pytest.param({"exempt": ("/api/health",)}, "begins with the mount point '/api'.*'/health'", id="exempt"),
]
RIGHT: list[dict[str, Any]] = [{}, {"only": ("/inbox/",)}, {"only": ("/",)}, {"exempt": ("/", "/health", "/apis/")}]


def make_fastapi(root: str = "/api") -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `root_path` parameter is deprecated")
        app = FastAPI(root_path=root)
    app.add_api_route("/inbox/{name}", lambda name: f"inbox of {name}")
    app.add_api_route("/open", lambda: "open")
    return app


def inbox(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(f"inbox of {name}")


def front(request: HttpRequest) -> HttpResponse:
    return HttpResponse("open")


#: Over WSGI, Django does not remove its mount point, so both forms have a route.
URLS = [path(start + "inbox/<name>", inbox) for start in ("", "api/")] + [path("open", front)]


def by_wsgi(app: Any, sent: Sent) -> Reply:
    body, status, headers = run_wsgi_app(app, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))


@pytest.mark.parametrize(("policy", "message"), WRONG)
@pytest.mark.parametrize("around", ["itself", "CORS", "another guard", "Channels"])
def test_an_entry_with_the_root_path_of_fastapi_is_refused(policy: Any, message: str, around: str) -> None:
    app = make_fastapi()
    layers: dict[str, Any] = {
        "itself": app,
        "CORS": CORSMiddleware(app),
        "another guard": Guard(NANGO, KEY, annotate_as="other").asgi(app),
        "Channels": ProtocolTypeRouter({"http": app}),
    }

    with pytest.raises(ConfigError, match=message):
        Guard(NANGO, KEY, **policy).asgi(layers[around])


@pytest.mark.parametrize(("policy", "message"), WRONG)
def test_an_entry_with_the_root_path_of_fastapi_is_refused_in_a_middleware_of_it(policy: Any, message: str) -> None:
    app = make_fastapi()
    app.add_middleware(GuardMiddleware, guard=Guard(NANGO, KEY, mode="report", **policy))
    app.add_middleware(CORSMiddleware)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ConfigError, match=message) as caught:
        asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == [{"type": "lifespan.startup.failed", "message": str(caught.value)}]
    # Not every server has a lifespan.
    assert [run_asgi(app, Sent(path=path, query=QUERY)).status for path in ("/open", "/inbox/x")] == [503, 503]


@pytest.mark.parametrize("policy", RIGHT)
def test_a_middleware_of_fastapi_with_entries_without_the_mount_point_is_accepted(policy: Any) -> None:
    app = make_fastapi()
    app.add_middleware(GuardMiddleware, guard=Guard(NANGO, KEY, **policy))

    with TestClient(app):
        assert [run_asgi(app, Sent(path="/inbox/x", query=query)).status for query in ("", QUERY)] == [401, 200]
        assert "/inbox/{name}" not in uncovered_routes(app)


def test_the_root_path_of_an_application_around_is_not_in_the_entries_of_a_mounted_one() -> None:
    app, inner = make_fastapi(), FastAPI()
    inner.add_api_route("/api/inbox", lambda: "inbox")
    app.mount("/v1", Guard(NANGO, KEY, only=("/api/inbox",)).asgi(inner))

    assert [run_asgi(app, Sent(path="/api/v1/api/inbox", query=query)).status for query in ("", QUERY)] == [401, 200]


@pytest.mark.parametrize("argument", ["only", "exempt"])
def test_an_entry_that_contains_the_root_path_is_refused(argument: str) -> None:
    policy: dict[str, Any] = {argument: ("/a/",)}
    guard = Guard(NANGO, KEY, **policy)

    with pytest.raises(ConfigError, match=f"{argument}: '/a/' contains the mount point '/a/b'"):
        guard.asgi(make_fastapi("/a/b"))


@pytest.mark.parametrize("policy", RIGHT)
@pytest.mark.parametrize("root", ["/api", "/api/"])
def test_entries_without_the_mount_point_are_accepted(policy: Any, root: str) -> None:
    Guard(NANGO, KEY, **policy).asgi(make_fastapi(root))


@pytest.mark.parametrize("root", ["", "/"])
def test_without_a_mount_point_every_entry_is_accepted(root: str) -> None:
    Guard(NANGO, KEY, only=("/api/",), exempt=("/api/health",)).asgi(make_fastapi(root))


def test_the_folder_of_a_flask_or_quart_application_is_not_a_mount_point() -> None:
    quart = pytest.importorskip("quart", reason="not run: Quart is not installed")

    Guard(NANGO, KEY, only=("/srv/inbox/",)).asgi(quart.Quart("shop", root_path="/srv"))


@pytest.mark.parametrize("full", ["/inbox/x", "/api/inbox/x"], ids=["the server removes it", "it stays in the path"])
@pytest.mark.parametrize("place", ["around", "inside"])
def test_fastapi_is_guarded_with_and_without_its_root_path(full: str, place: str) -> None:
    guard, app = Guard(NANGO, KEY, only=("/inbox/",)), make_fastapi()
    if place == "inside":
        app.add_middleware(GuardMiddleware, guard=guard)
    else:
        app = guard.asgi(app)

    assert run_asgi(app, Sent(path=full, query=QUERY)).body == b'"inbox of x"'
    assert run_asgi(app, Sent(path=full)).status == 401
    assert run_asgi(app, Sent(path="/open")).status == 200


#: The path that the application routes has another id than the query, which is signed.
TWO_IDS = Sent(path="/api/oauth/connect/theirs", query=QUERY)
ONE_ID = f"connection_id=user-42&hmac={hex_of('github', 'user-42')}"
FORMS = ["/oauth/connect/github", "/api/oauth/connect/github"]


@pytest.mark.parametrize("place", ["around", "inside"])
def test_an_id_in_a_path_with_the_root_path_of_fastapi_is_not_ignored(place: str) -> None:
    app = make_fastapi()
    app.add_api_route("/oauth/connect/{name}", lambda name: name)
    if place == "inside":
        app.add_middleware(GuardMiddleware, guard=Guard(NANGO, KEY))
    else:
        app = Guard(NANGO, KEY).asgi(CORSMiddleware(app))

    assert run_asgi(app, TWO_IDS).status == 401
    assert [run_asgi(app, Sent(path=form, query=ONE_ID)).body for form in FORMS] == [b'"github"'] * 2


class InSlots:
    """Like `SentryAsgiMiddleware`: its attributes are in slots."""

    __slots__ = ("app",)

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def in_a_function(app: Any) -> Any:
    async def layer(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return layer


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(InSlots, id="slots"),
        pytest.param(in_a_function, id="function"),
        pytest.param(partial, id="partial"),
        pytest.param(lambda app: Starlette(routes=[Mount("", app)]), id="Mount"),
        pytest.param(lambda app: FastAPI(routes=[Mount("/", app)]).router, id="Mount of a router"),
        pytest.param(lambda app: Starlette(routes=[Host("shop", app)]), id="Host"),
    ],
)
def test_the_root_path_of_fastapi_is_found_behind_a_layer(layer: Any) -> None:
    app = make_fastapi()
    app.add_api_route("/oauth/connect/{name}", lambda name: name)
    guarded = Guard(NANGO, KEY).asgi(layer(app))
    sent = [replace(one, headers=[("Host", "shop")]) for one in (TWO_IDS, *(Sent(path=f, query=ONE_ID) for f in FORMS))]
    replies = [run_asgi(guarded, one) for one in sent]

    assert replies[0].status == 401
    assert [reply.body for reply in replies[1:]] == [b'"github"'] * 2
    with pytest.raises(ConfigError, match="begins with the mount point '/api'"):
        Guard(NANGO, KEY, only=("/api/oauth/",)).asgi(layer(app))


def test_a_mount_point_below_a_path_is_not_one_of_the_application() -> None:
    """A template, `only` and `exempt` name the whole path: Starlette looks at it before the mounted application."""
    app = Guard(NANGO, KEY, exempt=("/api/open",)).asgi(Starlette(routes=[Mount("/api", make_fastapi())]))

    assert [run_asgi(app, Sent(path=path)).status for path in ("/api/open", "/api/inbox/x")] == [200, 401]


class Dispatcher:
    def __init__(self, admin: Any, public: Any) -> None:
        self.admin, self.public = admin, public

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await (self.admin if scope["path"].startswith("/admin/") else self.public)(scope, receive, send)


def test_the_mount_point_of_an_application_that_gets_some_paths_is_not_one_of_all() -> None:
    app = Guard(NANGO, KEY, only=("/admin/",)).asgi(Dispatcher(make_fastapi("/admin"), make_fastapi("")))

    assert [run_asgi(app, Sent(path=path)).status for path in ("/admin/open", "/open")] == [401, 200]


def test_an_application_without_a_mount_point_is_accepted() -> None:
    app = make_fastapi()
    app.root_path = None

    assert run_asgi(Guard(NANGO, KEY, exempt=("/open",)).asgi(app), Sent(path="/open")).status == 200


def test_exempt_names_the_path_without_the_script_name_of_django_with_static_files() -> None:
    with project(urls=URLS, FORCE_SCRIPT_NAME="/api", MIDDLEWARE=[], STATIC_URL="/static/"):
        app = Guard(NANGO, KEY, exempt=("/inbox/x",)).asgi(ASGIStaticFilesHandler(get_asgi_application()))
        status = run_asgi(app, Sent(path="/api/inbox/x")).status

    assert status == (200 if VERSION >= (5,) else 401)


@pytest.mark.parametrize("layer", [in_a_function, InSlots], ids=["function", "slots"])
@pytest.mark.parametrize("late", [False, True], ids=["at first", "after the guard"])
def test_a_path_is_exempt_in_the_way_of_each_framework_of_the_process(layer: Any, late: bool) -> None:
    """Litestar removes the mount point of the server wherever it first is in the path."""
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")

    def private() -> str:
        return "private"

    view = litestar.get("/private", sync_to_thread=False)(private)
    inner = layer(litestar.Litestar([view], openapi_config=None, logging_config=None))
    outer = Starlette(routes=[] if late else [Mount("/sub", inner)])
    app = Guard(NANGO, KEY, exempt=("/sub/files/",)).asgi(outer)
    if late:
        outer.mount("/sub", inner)

    assert run_asgi(app, Sent(path="/sub/files/api/sub/private", root="/api")).status == 401


@pytest.mark.parametrize("server", [{"spec_version": "2.3"}, {}], ids=["uvicorn", "daphne"])
def test_a_bridge_to_wsgi_may_cut_the_path_within_a_segment(server: dict[str, str]) -> None:
    """With the mount point /api, asgiref gives "users/theirs" to Flask, which routes it as "/users/theirs"."""
    shop = pytest.importorskip("flask", reason="not run: Flask is not installed").Flask("shop")
    shop.add_url_rule("/users/<name>", "users", lambda name: name)
    scheme = Scheme(
        name="x", ids={"name": Path("/users/{name}") | Query("name")}, message="{name}", signature=Query("sig")
    )
    signed = f"name=me&sig={scheme.sign(KEY, name='me')}"

    def ask(guard: Guard, query: str = "") -> int:
        app = guard.asgi(WsgiToAsgi(shop.wsgi_app))  # type: ignore[no-untyped-call]

        async def as_server(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "asgi": {"version": "3.0", **server}}, receive, send)

        return run_asgi(as_server, Sent(path="/apiusers/theirs", query=query, root="/api")).status

    assert ask(Guard(scheme, KEY), signed) == 401
    assert ask(Guard(NANGO, KEY, only=("/users/",))) == 401
    assert ask(Guard(NANGO, KEY, exempt=("/apiusers/",))) == 401


class Endless:
    """Each object wraps a further one."""

    @property
    def __wrapped__(self) -> Any:
        return Endless()

    def __call__(self) -> Any: ...


@pytest.mark.parametrize("inner", [ServerProxy("http://localhost"), Endless()], ids=["on demand", "a property"])
def test_the_search_for_mount_points_ends_in_objects_that_make_their_attributes(inner: Any) -> None:
    Guard(NANGO, KEY, only=("/api/oauth/",)).asgi(in_a_function(inner))


#: As in a process without another framework.
STARLETTE_ALONE = {"starlette.routing": mount_points.cut_by_starlette}

#: An id that begins like the mount point.
LIKE_ROOT = f"connection_id=user-42&hmac={hex_of('apify', 'user-42')}"


@pytest.mark.parametrize("place", ["around", "inside", "dependency"])
def test_an_id_may_begin_like_the_mount_point(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_points, "CUTS", STARLETTE_ALONE)
    guard = Guard(NANGO, KEY, exempt=("/static/",))
    dependencies = [Security(GuardSecurity(guard))] if place == "dependency" else []
    app = make_fastapi()
    app.add_api_route("/oauth/connect/{name}", lambda name: name, dependencies=dependencies)
    app.add_api_route("/static/{name}", lambda name: name)
    if place == "inside":
        app.add_middleware(GuardMiddleware, guard=guard)
    if place == "around":
        app = guard.asgi(app)

    assert run_asgi(app, Sent(path="/oauth/connect/apify", query=LIKE_ROOT)).body == b'"apify"'
    assert run_asgi(app, Sent(path="/static/api.js")).status == 200


@pytest.mark.parametrize("place", ["around", "inside", "dependency"])
def test_a_root_path_with_a_last_slash_stays_in_the_path(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starlette cuts it out only if another "/" follows."""
    monkeypatch.setattr(mount_points, "CUTS", STARLETTE_ALONE)
    template = Path("/api/users/{name}")
    scheme = Scheme(name="x", ids={"name": template | Query("name")}, message="{name}", signature=Query("sig"))
    guard = Guard(scheme, KEY)
    dependencies = [Security(GuardSecurity(guard))] if place == "dependency" else []
    app = make_fastapi("/api/")
    app.add_api_route("/api/users/{name}", lambda name: name, dependencies=dependencies)
    if place == "inside":
        app.add_middleware(GuardMiddleware, guard=guard)
    if place == "around":
        app = guard.asgi(app)

    signed = f"sig={scheme.sign(KEY, name='me')}"
    assert run_asgi(app, Sent(path="/api/users/theirs", query=f"name=me&{signed}")).status == 401
    assert run_asgi(app, Sent(path="/api/users/me", query=signed)).body == b'"me"'


@pytest.mark.parametrize("mounted", [False, True], ids=["alone", "with a WSGI application in a mount"])
def test_exempt_names_the_path_without_the_root_path_of_fastapi(mounted: bool) -> None:
    app = make_fastapi()
    app.add_api_route("/v1/open", lambda: "private")
    if mounted:
        app.mount("/old", WsgiToAsgi(get_wsgi_application()))  # type: ignore[no-untyped-call]
    app = Guard(NANGO, KEY, exempt=("/open",)).asgi(app)

    assert [run_asgi(app, Sent(path=path)).status for path in ("/open", "/api/open")] == [200, 200]
    # FastAPI ignores the mount point of the server if it has its own.
    assert run_asgi(app, Sent(path="/v1/open", root="/v1")).status == 401
    assert run_asgi(app, Sent(path="/api/open", root="/v1")).status == 200


def test_a_path_is_exempt_only_if_each_application_behind_the_guard_reads_it_so() -> None:
    """The mounted application ignores the mount point of the server, the other one cuts it out."""
    app = make_fastapi()
    app.add_api_route("/v1/open", lambda: "private")
    app = Guard(NANGO, KEY, exempt=("/open",)).asgi(Starlette(routes=[Mount("", app)]))

    assert run_asgi(app, Sent(path="/v1/open", root="/v1")).status == 401
    assert run_asgi(app, Sent(path="/open")).status == 200


def test_litestar_below_a_mount_may_cut_the_path_at_another_place() -> None:
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")

    @litestar.get("/private", sync_to_thread=False)  # type: ignore[untyped-decorator]
    def private() -> str:
        return "private"

    inner = litestar.Litestar([private], openapi_config=None, logging_config=None)
    app = Guard(NANGO, KEY, exempt=("/sub/files/",)).asgi(Starlette(routes=[Mount("/sub", inner)]))

    assert run_asgi(app, Sent(path="/sub/files/api/sub/private", root="/api")).status == 401


def test_a_template_may_begin_with_the_root_path_of_fastapi() -> None:
    scheme = Scheme(
        name="inbox", ids={"name": Path("/api/inbox/{name}") | Query("name")}, message="{name}", signature=Query("sig")
    )
    app = Guard(scheme, KEY).asgi(make_fastapi())
    signed = f"sig={scheme.sign(KEY, name='x')}"

    assert run_asgi(app, Sent(path="/api/inbox/x", query=signed)).status == 200
    assert run_asgi(app, Sent(path="/inbox/theirs", query=f"name=x&{signed}")).status == 401


@pytest.mark.parametrize("place", ["around", "in middleware", "inside", "mounted", "dependency"])
def test_a_template_that_begins_with_an_id_works_under_the_mount_point_of_the_server(place: str) -> None:
    """FastAPI and Starlette remove this mount point, so it is not an id."""
    scheme = Scheme(name="x", ids={"org": Path("/{org}", "/{org}/{page}")}, message="{org}", signature=Query("sig"))
    guard = Guard(scheme, KEY)
    app: Any = FastAPI(dependencies=[Security(GuardSecurity(guard))] if place == "dependency" else [])
    app.add_api_route("/{org}", lambda org: org)
    if place == "around":
        app = guard.asgi(app)
    if place == "in middleware":
        app.add_middleware(CORSMiddleware)
        app.add_middleware(GuardMiddleware, guard=guard)
    if place == "inside":
        app = CORSMiddleware(guard.asgi(CORSMiddleware(app)))
    if place == "mounted":
        app = FastAPI(routes=[Mount("/api", guard.asgi(app))])

    sent = Sent(
        path="/api/acme", root="" if place == "mounted" else "/api", query=f"sig={scheme.sign(KEY, org='acme')}"
    )
    assert run_asgi(app, sent).body == b'"acme"'


def test_the_frameworks_that_remove_the_mount_point_of_the_server_are_known() -> None:
    flask, litestar = pytest.importorskip("flask"), pytest.importorskip("litestar")
    quart = pytest.importorskip("quart", reason="not run: Quart is not installed").Quart("shop")
    apps = [
        *(FastAPI(), FastAPI().router, get_asgi_application(), litestar.Litestar([]), quart, quart.asgi_app),
        WsgiToAsgi(flask.Flask("shop")),  # type: ignore[no-untyped-call]
    ]

    assert not any(mounts_of(CORSMiddleware(app)).keeps_root for app in apps)
    # A bridge cuts the mount point out, but not as an ASGI framework does.
    assert [mounts_of(CORSMiddleware(app)).is_known for app in apps] == [True] * 6 + [False]
    others: list[Any] = [print, ProtocolTypeRouter({"http": FastAPI()})]
    assert all(mounts_of(CORSMiddleware(app)).keeps_root for app in others)


def test_only_guards_a_path_that_a_layer_around_the_application_answers() -> None:
    """python-socketio answers the handshake by the whole path, and passes other requests on."""
    socketio = pytest.importorskip("socketio", reason="not run: python-socketio is not installed")
    server = socketio.AsyncServer(async_mode="asgi")
    app = socketio.ASGIApp(server, other_asgi_app=FastAPI(), socketio_path="/api/socket.io")
    app = Guard(NANGO, KEY, only=("/api/socket.io/",)).asgi(app)

    assert run_asgi(app, Sent(path="/api/socket.io/", root="/api", query="EIO=4&transport=polling")).status == 401


def test_routes_of_fastapi_under_a_root_path_are_listed_correctly() -> None:
    pages = {"/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"}
    wrong, right = make_fastapi(), make_fastapi()
    wrong.add_middleware(GuardMiddleware, guard=Guard(NANGO, KEY, only=("/api/inbox/",)))
    right.add_middleware(GuardMiddleware, guard=Guard(NANGO, KEY, only=("/inbox/",)))

    assert set(uncovered_routes(wrong)) - pages == {"/inbox/{name}", "/open"}
    assert run_asgi(wrong, Sent(path="/inbox/x")).status == 503
    assert run_asgi(right, Sent(path="/inbox/x")).status == 401
    assert set(uncovered_routes(right)) - pages == {"/open"}
    assert set(uncovered_routes(Guard(NANGO, KEY, only=("/inbox/",)).asgi(make_fastapi()))) - pages == {"/open"}


@pytest.mark.parametrize(("policy", "message"), WRONG)
@pytest.mark.parametrize("place", ["wsgi", "asgi", "WsgiToAsgi", "middleware", "check"])
def test_an_entry_with_the_script_name_of_django_is_refused(
    monkeypatch: pytest.MonkeyPatch, policy: Any, message: str, place: str
) -> None:
    guard = Guard(NANGO, KEY, **policy)
    monkeypatch.setattr(Guarded, "guard", guard)
    with project(urls=URLS, FORCE_SCRIPT_NAME="/api", MIDDLEWARE=[GUARDED] if place == "check" else []):
        if place == "check":
            assert [found.id for found in run_checks()] == ["hmac_guard.E005"]
            return
        make: dict[str, Any] = {
            "wsgi": lambda: guard.wsgi(get_wsgi_application()),
            "asgi": lambda: guard.asgi(get_asgi_application()),
            "WsgiToAsgi": lambda: guard.asgi(WsgiToAsgi(get_wsgi_application())),  # type: ignore[no-untyped-call]
            "middleware": lambda: Guarded(lambda request: None),
        }
        with pytest.raises(ConfigError, match=message):
            make[place]()


@pytest.mark.parametrize("full", ["/inbox/x", "/api/inbox/x"], ids=["the server removes it", "it stays in the path"])
@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("place", ["around", "middleware"])
def test_django_is_guarded_with_and_without_its_script_name(
    monkeypatch: pytest.MonkeyPatch, full: str, server: str, place: str
) -> None:
    guard = Guard(NANGO, KEY, only=("/inbox/",))
    monkeypatch.setattr(Guarded, "guard", guard)

    def ask(sent: Sent) -> Reply:
        if place == "middleware":
            return send(server, sent)
        if server == "wsgi":
            return by_wsgi(guard.wsgi(get_wsgi_application()), sent)
        return run_asgi(guard.asgi(get_asgi_application()), sent)

    with project(urls=URLS, FORCE_SCRIPT_NAME="/api", MIDDLEWARE=[GUARDED] if place == "middleware" else []):
        assert ask(Sent(path=full, query=QUERY)).body == b"inbox of x"
        assert ask(Sent(path=full)).status == 401
        assert ask(Sent(path="/open")).status == 200


@pytest.mark.skipif(VERSION < (5,), reason="not run: this Django ignores it over ASGI")
@pytest.mark.parametrize("place", ["around", "middleware"])
def test_an_id_in_a_path_with_the_script_name_of_django_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    guard = Guard(NANGO, KEY)
    monkeypatch.setattr(Guarded, "guard", guard)
    urls = [path("oauth/connect/<name>", inbox)]
    with project(urls=urls, FORCE_SCRIPT_NAME="/api", MIDDLEWARE=[GUARDED] if place == "middleware" else []):
        app = guard.asgi(get_asgi_application())
        sent = [TWO_IDS, *(Sent(path=form, query=ONE_ID) for form in FORMS)]
        replies = [send("asgi", each) if place == "middleware" else run_asgi(app, each) for each in sent]

    assert replies[0].status == 401
    assert [reply.body for reply in replies[1:]] == [b"inbox of github"] * 2


@pytest.mark.skipif(VERSION < (5,), reason="not run: this Django ignores it over ASGI")
def test_exempt_names_the_path_without_the_script_name_of_django() -> None:
    guard = Guard(NANGO, KEY, exempt=("/open",))
    with project(urls=[path("open", front), path("v1/open", front)], FORCE_SCRIPT_NAME="/api", MIDDLEWARE=[]):
        app = guard.asgi(get_asgi_application())
        sent = [Sent(path="/open"), Sent(path="/api/open"), Sent(path="/v1/open", root="/v1")]

        assert [run_asgi(app, each).status for each in sent] == [200, 200, 401]


def test_routes_of_django_under_a_script_name_are_listed_correctly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guarded, "guard", Guard(NANGO, KEY, only=("/inbox/",)))
    with project(urls=URLS, FORCE_SCRIPT_NAME="/api", MIDDLEWARE=[GUARDED]):
        assert uncovered_routes_of_django() == ["/open"]
