"""Runs the code of each section in docs/frameworks.md: it guards, and answers with the right ids in every mode."""

import asyncio
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

import documented
import every_mode
import pytest
from every_mode import MODES, ORIGIN
from orders import KEY, hex_of
from support import Reply, Sent, environ_for, run_asgi, scope_for
from waiting import TIMEOUT
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard, Reason, Verdict, verdict_from
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.decider import decider_of
from hmac_guard.schemes import NANGO, SUPRSEND

IDS = "integration_id=github&connection_id=user-42"
QUERY = f"{IDS}&hmac={hex_of('github', 'user-42')}"
SIGNED = Sent(path="/inbox", query=QUERY, headers=[("Origin", ORIGIN)])
UNSIGNED = Sent(path="/inbox", query=IDS, headers=[("Origin", ORIGIN)])

Sender = Callable[[Sent], Reply]

ids_of = documented.run("The ids in every mode", Reason=Reason)["ids_of"]


def run(section: str, guard: Guard, **names: Any) -> dict[str, Any]:
    given = {"ids_of": ids_of, "verdict_from": verdict_from, "GuardMiddleware": GuardMiddleware, **names}
    return documented.run(section, guard=guard, **given)


def make_guard(**options: Any) -> Guard:
    return Guard(NANGO, KEY, **options)


def check(mode: str, send: Sender, *, cors: bool = True, exempts: bool = True) -> None:
    """Check that the sample answers according to the mode, and that a page on another origin can read the answer."""
    every_mode.check(mode, send, SIGNED, UNSIGNED, b"user-42", exempts=exempts)
    if cors:
        allowed = {"access-control-allow-origin": ORIGIN}.items()
        assert allowed <= send(SIGNED).headers.items()
        assert allowed <= send(UNSIGNED).headers.items()


def by_wsgi(app: Any) -> Sender:
    def send(sent: Sent) -> Reply:
        body, status, headers = run_wsgi_app(app, environ_for(sent))
        return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))

    return send


def by_asgi(app: Any) -> Sender:
    return lambda sent: run_asgi(app, sent)


async def first_answer(app: Any, sent: Sent) -> Any:
    """Return the first message to a client that opens a websocket."""
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    scope = {**scope_for(sent, "websocket"), "subprotocols": []}
    task = asyncio.ensure_future(app(scope, incoming.get, answers.put))
    first = await asyncio.wait_for(answers.get(), TIMEOUT)
    task.cancel()
    await asyncio.wait([task])
    return first["type"]


def check_websocket(mode: str, app: Any) -> None:
    """`/live` accepts a client who is user-42, and is not exempt."""
    refused = mode in ("enforce", "exempt")
    assert asyncio.run(first_answer(app, Sent(path="/live", query=QUERY))) == "websocket.accept"
    expected = "websocket.close" if refused else "websocket.accept"
    assert asyncio.run(first_answer(app, Sent(path="/live", query=IDS))) == expected


@pytest.mark.parametrize("section", list(documented.SECTIONS))
def test_a_section_has_a_test_and_one_on_a_framework_at_most_fifteen_lines(section: str) -> None:
    assert len(documented.SECTIONS[section].splitlines()) <= 15 or section.startswith(("Packages", "The ids"))
    assert "test_" + re.sub(r"\W+", "_", section.lower()) in globals()


def test_the_ids_in_every_mode() -> None:
    sent, claimed = {"a": "as sent"}, {"a": "as claimed"}
    proven = Verdict(Reason.VERIFIED, "s", ids={"a": "as proven"})

    assert ids_of(proven, sent) == {"a": "as proven"}
    for reason in Reason:
        if reason in (Reason.OFF, Reason.EXEMPT):
            assert ids_of(Verdict(reason, "s"), sent) == sent
        elif reason is not Reason.VERIFIED:
            assert ids_of(Verdict(reason, "s"), sent) == {}
            assert ids_of(Verdict(reason, "s", claimed=claimed), sent) == claimed


in_every_mode = pytest.mark.parametrize("mode", MODES)


@in_every_mode
def test_flask(mode: str) -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    cors = pytest.importorskip("flask_cors", reason="not run: Flask-CORS is not installed")
    app, blueprint = flask.Flask("shop"), flask.Blueprint("partners", "docs", url_prefix="/partners")
    given = {"CORS": lambda app: cors.CORS(app, origins=[ORIGIN]), "request": flask.request}
    names = run("Flask", make_guard(**MODES[mode]), app=app, blueprint=blueprint, **given)
    blueprint.add_url_rule("/inbox", view_func=lambda: "partners")
    app.register_blueprint(blueprint)

    check(mode, by_wsgi(app), exempts=False)
    if mode == "enforce":
        assert by_wsgi(app)(Sent(path="/partners/inbox")).status == 401
        assert names["uncovered_routes"](app) == []


@in_every_mode
def test_flask_with_an_application_factory(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    from hmac_guard.flask import GuardExtension, current_verdict

    monkeypatch.setenv("FLASK_NANGO_KEY", KEY)
    section = "Flask, with an application factory"
    given = {"Flask": flask.Flask, "GuardExtension": GuardExtension, "NANGO": NANGO}
    app = run(section, make_guard(), Guard=partial(Guard, **MODES[mode]), **given)["create_app"]()
    app.add_url_rule("/inbox", view_func=lambda: dict(ids_of(current_verdict, flask.request.args)))

    check(mode, by_wsgi(app), cors=False)


@in_every_mode
def test_fastapi(mode: str) -> None:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    from starlette.middleware.cors import CORSMiddleware

    app = fastapi.FastAPI()
    given = {"Annotated": Annotated, "Security": fastapi.Security, "Verdict": Verdict, "CORSMiddleware": CORSMiddleware}
    names = run("FastAPI", make_guard(**MODES[mode]), app=app, Request=fastapi.Request, **given)

    check(mode, by_asgi(app), exempts=False)
    if mode == "enforce":
        assert by_asgi(app)(Sent(path="/docs")).status == 401
        assert names["uncovered_routes"](app) == []
    assert app.openapi()["paths"]["/inbox"]["get"]["security"] == [{"nango": []}]


@in_every_mode
def test_starlette(mode: str) -> None:
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    [told] = re.findall(r"# page calls (.+)", documented.SECTIONS["Starlette"])

    async def page(request: Any) -> PlainTextResponse:
        given = {"ids_of": ids_of, "verdict_from": verdict_from, "request": request}
        return PlainTextResponse(eval(told, given)["connection_id"])

    async def live(websocket: Any) -> None:
        assert ids_of(verdict_from(websocket), websocket.query_params)["connection_id"] == "user-42"
        await websocket.accept()

    classes = (Starlette, Middleware, CORSMiddleware, Mount, Route, WebSocketRoute)
    given = {each.__name__: each for each in classes}
    names = run("Starlette", make_guard(**MODES[mode]), page=page, live=live, **given)

    check(mode, by_asgi(names["app"]))
    check_websocket(mode, names["app"])
    if mode == "enforce":
        assert names["uncovered_routes"](names["app"]) == names["uncovered_routes"](names["partly"]) == []
    partly = by_asgi(names["partly"])
    check(mode, lambda sent: partly(Sent(sent.method, "/partners/inbox", sent.query, sent.headers)))


@in_every_mode
def test_litestar(mode: str) -> None:
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")
    from litestar.config.cors import CORSConfig
    from litestar.middleware import DefineMiddleware

    quiet = partial(litestar.Litestar, logging_config=None)  # otherwise it configures the root logger for all tests
    given = {"Litestar": quiet, "DefineMiddleware": DefineMiddleware, "CORSConfig": CORSConfig}
    given |= {"get": litestar.get, "Request": litestar.Request, "__name__": __name__}  # it looks the module up
    check(mode, by_asgi(run("Litestar", make_guard(**MODES[mode]), **given)["app"]))


@in_every_mode
def test_quart(mode: str) -> None:
    quart = pytest.importorskip("quart", reason="not run: Quart is not installed")
    cors = pytest.importorskip("starlette.middleware.cors", reason="not run: Starlette is not installed")
    app = quart.Quart("shop")

    async def live() -> None:
        ids = ids_of(verdict_from(quart.websocket), quart.websocket.args)
        assert ids["connection_id"] == "user-42"
        await quart.websocket.accept()

    app.add_websocket("/live", view_func=live)
    run("Quart", make_guard(**MODES[mode]), app=app, request=quart.request, CORSMiddleware=cors.CORSMiddleware)
    check(mode, by_asgi(app))
    check_websocket(mode, app)


def django_view(request: Any) -> Any:
    from django.http import HttpResponse

    [told] = re.findall(r"a view calls (.+)", documented.SECTIONS["Django"])
    return HttpResponse(str(eval(told, {"ids_of": ids_of, "request": request}).get("connection_id")))


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@in_every_mode
def test_django(server: str, mode: str) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    pytest.importorskip("corsheaders", reason="not run: django-cors-headers is not installed")
    from django_project import project, send

    from hmac_guard.django import uncovered_routes

    names = run("Django", make_guard(), INSTALLED_APPS=[], MIDDLEWARE=[], NANGO_KEY=KEY)
    options = {**names["HMAC_GUARD"], **{name.upper(): value for name, value in MODES[mode].items()}}
    with project(django_view, MIDDLEWARE=names["MIDDLEWARE"], HMAC_GUARD=options, CORS_ALLOWED_ORIGINS=[ORIGIN]):
        check(mode, lambda sent: send(server, sent))
        assert uncovered_routes() == ["/"]  # one pattern for all paths, and /admin/ is exempt
    assert names["INSTALLED_APPS"] == ["hmac_guard.django"]


@pytest.mark.parametrize("options", [False, True], ids=["CORS middleware answers", "the view answers OPTIONS"])
def test_a_django_view_reads_no_id_of_a_preflight(options: bool) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django_project import project, send

    guarded = ["hmac_guard.django.GuardMiddleware"]
    with project(django_view, MIDDLEWARE=guarded, HMAC_GUARD=make_guard(preflight=options)):
        reply = send("wsgi", every_mode.preflight_for(UNSIGNED))

    assert (reply.status, reply.body) == (200, b"None") if options else reply.status == 401


@in_every_mode
def test_django_one_view(mode: str) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django.http import HttpResponse
    from django.views.decorators.csrf import csrf_exempt
    from django_project import project, send

    guard = make_guard(**MODES[mode])
    names = run("Django, one view", guard, csrf_exempt=csrf_exempt, HttpResponse=HttpResponse)
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "7")]
    with project(names["inbox"], MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"]):
        check(mode, lambda sent: send("wsgi", sent), cors=False, exempts=False)
        if mode == "enforce":
            assert send("wsgi", Sent("POST", "/inbox", QUERY, form, b"note=hi")).status == 415, "NANGO reads no form"


@in_every_mode
def test_django_rest_framework(mode: str) -> None:
    pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
    from django_project import project, send
    from rest_framework.renderers import JSONRenderer
    from rest_framework.response import Response
    from rest_framework.views import APIView

    guard = make_guard(**MODES[mode])
    inbox = run("Django REST framework", guard, APIView=APIView, Response=Response)["Inbox"]
    with project(inbox.as_view(renderer_classes=[JSONRenderer]), HMAC_GUARD=guard):
        check(mode, lambda sent: send("wsgi", sent), cors=False, exempts=False)


def test_django_ninja() -> None:
    pytest.importorskip("ninja", reason="not run: Django Ninja is not installed")
    from django.urls import path
    from django_project import project, send  # first, because it configures Django
    from ninja import NinjaAPI

    api = NinjaAPI(urls_namespace="docs")
    run("Django Ninja", make_guard(**MODES["enforce"]), api=api)
    with project(urls=[path("", api.urls)]):
        for server in ("wsgi", "asgi"):
            check("enforce", partial(send, server), cors=False, exempts=False)


@in_every_mode
def test_django_channels(mode: str) -> None:
    pytest.importorskip("channels", reason="not run: Channels is not installed")
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application
    from django.urls import path
    from django_project import project

    [told] = re.findall(r"in the consumer: (.+)", documented.SECTIONS["Django Channels"])

    class Live(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            given = {"ids_of": ids_of, "verdict_from": verdict_from, "parse_qsl": parse_qsl, "self": self}
            assert eval(told, given)["connection_id"] == "user-42"
            await self.accept()

    classes = {"ProtocolTypeRouter": ProtocolTypeRouter, "URLRouter": URLRouter, "path": path, "Live": Live}
    guard, middleware = make_guard(**MODES[mode]), ["hmac_guard.django.GuardMiddleware"]
    with project(django_view, MIDDLEWARE=middleware, HMAC_GUARD=guard):
        application = run("Django Channels", guard, get_asgi_application=get_asgi_application, **classes)["application"]
        check_websocket(mode, application)
        check(mode, by_asgi(application), cors=False)


def test_packages_of_vendors() -> None:
    names = run(documented.VENDORS, make_guard(), json=json, Guard=Guard, SUPRSEND=SUPRSEND, keys=KEY)
    refused = decider_of("test", names["guard"]).refusals[Reason.INVALID_SIGNATURE]

    # The browser tests show how the packages use these bodies.
    assert json.loads(refused.body)["results"] == []
    assert json.loads(names["for_old_nango"]("code", "words")) == {"error": "words", "type": "code"}


PREFLIGHT = every_mode.preflight_for(UNSIGNED)


def test_a_decorator_of_flask_refuses_a_preflight() -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    from hmac_guard.flask import GuardExtension

    app, signed = flask.Flask("shop"), GuardExtension(make_guard())
    signed.init_app(app)
    app.add_url_rule("/inbox", view_func=signed.guarded(lambda: "reached"), methods=["GET", "OPTIONS"])

    assert by_wsgi(app)(PREFLIGHT).status == 401


def test_a_dependency_of_fastapi_refuses_a_preflight() -> None:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    from hmac_guard.fastapi import GuardSecurity

    guard, app = make_guard(), fastapi.FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard)
    app.add_api_route(
        "/inbox", lambda: "reached", methods=["OPTIONS"], dependencies=[fastapi.Security(GuardSecurity(guard))]
    )

    assert run_asgi(app, PREFLIGHT).status == 401


def test_a_decorator_and_an_authentication_class_of_django_refuse_a_preflight() -> None:
    pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
    from django.http import HttpResponse
    from django_project import project, send
    from rest_framework.views import APIView

    from hmac_guard.django import hmac_guarded
    from hmac_guard.django.rest import GuardAuthentication

    class Inbox(APIView):
        authentication_classes = (GuardAuthentication,)

        def options(self, request: Any) -> Any:
            return HttpResponse("reached")

    guard, middleware = make_guard(), ["hmac_guard.django.GuardMiddleware"]
    for view in (hmac_guarded(guard)(lambda request: HttpResponse("reached")), Inbox.as_view()):
        with project(view, MIDDLEWARE=middleware, HMAC_GUARD=guard):
            assert send("wsgi", PREFLIGHT).status == 401


def test_a_layer_outside_the_guard_sees_the_route_that_the_router_adds() -> None:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    app, routes = fastapi.FastAPI(), []
    app.add_api_route("/inbox/{name}", lambda name: name)
    guarded = make_guard().asgi(app)

    async def metrics(scope: Any, receive: Any, send: Any) -> None:
        await guarded(scope, receive, send)
        routes.append(scope["route"].path)

    assert run_asgi(metrics, Sent(path="/inbox/x", query=QUERY)).status == 200
    assert routes == ["/inbox/{name}"]
