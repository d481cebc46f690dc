"""docs/frameworks.md is true: each section's code runs, and then guards."""

import asyncio
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import documented
import pytest
from orders import KEY, hex_of
from patience import PATIENCE
from support import Reply, Sent, environ_for, run_asgi, scope_for
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard, Reason, Verdict, verdict_from
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.decider import decider_of
from hmac_guard.schemes import NANGO, SUPRSEND

ORIGIN = "https://app.example"

QUERY = f"integration_id=github&connection_id=user-42&hmac={hex_of('github', 'user-42')}"
SIGNED = Sent(path="/inbox", query=QUERY, headers=[("Origin", ORIGIN)])
UNSIGNED = Sent(path="/inbox", headers=[("Origin", ORIGIN)])

Sender = Callable[[Sent], Reply]


def run(section: str, **names: Any) -> dict[str, Any]:
    return documented.run(section, guard=Guard(NANGO, KEY), GuardMiddleware=GuardMiddleware, **names)


def check(send: Sender, *, cors: bool = True) -> None:
    """Signed goes through to the id, unsigned does not, and a page on another origin can read that."""
    good, bad = send(SIGNED), send(UNSIGNED)
    assert good.status == 200, good
    assert b"user-42" in good.body
    assert bad.status == 401
    assert b"missing_signature" in bad.body
    if cors:
        allowed = {"access-control-allow-origin": ORIGIN}.items()
        assert allowed <= good.headers.items()
        assert allowed <= bad.headers.items()


def by_wsgi(app: Any) -> Sender:
    def send(sent: Sent) -> Reply:
        body, status, headers = run_wsgi_app(app, environ_for(sent))
        return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))

    return send


def by_asgi(app: Any) -> Sender:
    return lambda sent: run_asgi(app, sent)


async def first_answer(app: Any, sent: Sent) -> Any:
    """What a client that opens a websocket is told first."""
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    scope = {**scope_for(sent, "websocket"), "subprotocols": []}
    task = asyncio.ensure_future(app(scope, incoming.get, answers.put))
    first = await asyncio.wait_for(answers.get(), PATIENCE)
    task.cancel()
    await asyncio.wait([task])
    return first["type"]


def check_websocket(app: Any) -> None:
    assert asyncio.run(first_answer(app, Sent(path="/live", query=QUERY))) == "websocket.accept"
    assert asyncio.run(first_answer(app, Sent(path="/live"))) == "websocket.close"


@pytest.mark.parametrize("section", list(documented.SECTIONS))
def test_a_section_has_a_test_and_one_on_a_framework_at_most_fifteen_lines(section: str) -> None:
    assert len(documented.SECTIONS[section].splitlines()) <= 15 or section.startswith("When")
    assert "test_" + re.sub(r"\W+", "_", section.lower()) in globals()


def test_flask() -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    cors = pytest.importorskip("flask_cors", reason="not run: Flask-CORS is not installed")
    app, blueprint = flask.Flask("docs"), flask.Blueprint("partners", "docs", url_prefix="/partners")
    names = run("Flask", app=app, blueprint=blueprint, CORS=lambda app: cors.CORS(app, origins=[ORIGIN]))
    blueprint.add_url_rule("/inbox", view_func=lambda: "partners")
    app.register_blueprint(blueprint)

    check(by_wsgi(app))
    assert by_wsgi(app)(Sent(path="/partners/inbox")).status == 401
    assert names["uncovered_routes"](app) == []


def test_flask_with_an_application_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    from hmac_guard.flask import GuardExtension, current_verdict

    monkeypatch.setenv("FLASK_NANGO_KEY", KEY)
    section = "Flask, with an application factory"
    app = run(section, Flask=flask.Flask, GuardExtension=GuardExtension, Guard=Guard, NANGO=NANGO)["create_app"]()
    app.add_url_rule("/inbox", view_func=lambda: current_verdict.ids["connection_id"])

    check(by_wsgi(app), cors=False)


def test_fastapi() -> None:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    from starlette.middleware.cors import CORSMiddleware

    app = fastapi.FastAPI()
    given = {"Annotated": Annotated, "Security": fastapi.Security, "Verdict": Verdict, "CORSMiddleware": CORSMiddleware}
    names = run("FastAPI", app=app, **given)

    check(by_asgi(app))
    assert by_asgi(app)(Sent(path="/docs")).status == 401
    assert names["uncovered_routes"](app) == []
    assert app.openapi()["paths"]["/inbox"]["get"]["security"] == [{"nango": []}]


def test_starlette() -> None:
    pytest.importorskip("starlette", reason="not run: Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse(verdict_from(request).ids["connection_id"])

    async def live(websocket: Any) -> None:
        assert verdict_from(websocket).ids["connection_id"] == "user-42"
        await websocket.accept()

    classes = (Starlette, Middleware, CORSMiddleware, Mount, Route, WebSocketRoute)
    names = run("Starlette", page=page, live=live, **{each.__name__: each for each in classes})

    check(by_asgi(names["app"]))
    check_websocket(names["app"])
    assert names["uncovered_routes"](names["app"]) == names["uncovered_routes"](names["partly"]) == []
    partly = by_asgi(names["partly"])
    check(lambda sent: partly(Sent(sent.method, "/partners/inbox", sent.query, sent.headers)))


def test_litestar() -> None:
    litestar = pytest.importorskip("litestar", reason="not run: Litestar is not installed")
    from litestar.config.cors import CORSConfig
    from litestar.middleware import DefineMiddleware

    def inbox(request: litestar.Request) -> str:  # type: ignore[name-defined]
        return verdict_from(request).ids["connection_id"]

    handler = litestar.get("/inbox", sync_to_thread=False)(inbox)

    quiet = partial(litestar.Litestar, logging_config=None)  # it would set up the root logger, for all other tests
    given = {"Litestar": quiet, "DefineMiddleware": DefineMiddleware, "CORSConfig": CORSConfig}
    check(by_asgi(run("Litestar", inbox=handler, **given)["app"]))


def test_quart() -> None:
    quart = pytest.importorskip("quart", reason="not run: Quart is not installed")
    cors = pytest.importorskip("starlette.middleware.cors", reason="not run: Starlette is not installed")
    app = quart.Quart("docs")

    async def inbox() -> str:
        return verdict_from(quart.request).ids["connection_id"]

    async def live() -> None:
        assert verdict_from(quart.websocket).ids["connection_id"] == "user-42"
        await quart.websocket.accept()

    app.add_url_rule("/inbox", view_func=inbox)
    app.add_websocket("/live", view_func=live)
    run("Quart", app=app, CORSMiddleware=cors.CORSMiddleware)
    check(by_asgi(app))
    check_websocket(app)


def django_view(request: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse(request.hmac_guard.ids["connection_id"])


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_django(server: str) -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    pytest.importorskip("corsheaders", reason="not run: django-cors-headers is not installed")
    from frameworks.django_project import project, send

    from hmac_guard.django import uncovered_routes

    names = run("Django", INSTALLED_APPS=[], MIDDLEWARE=[], NANGO_KEY=KEY)
    changes = {name: names[name] for name in ("MIDDLEWARE", "HMAC_GUARD")}
    with project(django_view, **changes, CORS_ALLOWED_ORIGINS=[ORIGIN]):
        check(lambda sent: send(server, sent))
        assert uncovered_routes() == ["/"]  # one pattern for all paths, and /admin/ is exempt
    assert names["INSTALLED_APPS"] == ["hmac_guard.django"]


def test_django_one_view() -> None:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django.http import HttpResponse
    from django.views.decorators.csrf import csrf_exempt
    from frameworks.django_project import project, send

    names = run("Django, one view", csrf_exempt=csrf_exempt, HttpResponse=HttpResponse)
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "7")]
    with project(names["inbox"], MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"]):
        check(lambda sent: send("wsgi", sent), cors=False)
        assert send("wsgi", Sent("POST", "/inbox", QUERY, form, b"note=hi")).status == 415, "NANGO reads no form"


def test_django_rest_framework() -> None:
    pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")
    from frameworks.django_project import project, send
    from rest_framework.renderers import JSONRenderer
    from rest_framework.response import Response
    from rest_framework.views import APIView

    inbox = run("Django REST framework", APIView=APIView, Response=Response)["Inbox"]
    with project(inbox.as_view(renderer_classes=[JSONRenderer]), HMAC_GUARD=Guard(NANGO, KEY)):
        check(lambda sent: send("wsgi", sent), cors=False)


def test_django_ninja() -> None:
    pytest.importorskip("ninja", reason="not run: Django Ninja is not installed")
    from django.urls import path
    from frameworks.django_project import project, send  # first, since it sets Django up
    from ninja import NinjaAPI

    api = NinjaAPI(urls_namespace="docs")
    run("Django Ninja", api=api)
    with project(urls=[path("", api.urls)]):
        check(partial(send, "wsgi"), cors=False)
        check(partial(send, "asgi"), cors=False)


def test_django_channels() -> None:
    pytest.importorskip("channels", reason="not run: Channels is not installed")
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application
    from django.urls import path
    from frameworks.django_project import project

    class Live(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            assert verdict_from(self).ids["connection_id"] == "user-42"
            await self.accept()

    classes = {"ProtocolTypeRouter": ProtocolTypeRouter, "URLRouter": URLRouter, "path": path, "Live": Live}
    guarded = ["hmac_guard.django.GuardMiddleware"]
    with project(django_view, MIDDLEWARE=guarded, HMAC_GUARD=Guard(NANGO, KEY)):
        application = run("Django Channels", get_asgi_application=get_asgi_application, **classes)["application"]
        check_websocket(application)
        check(by_asgi(application), cors=False)


def test_when_a_vendor_s_package_calls() -> None:
    names = run("When a vendor's package calls", json=json, Guard=Guard, SUPRSEND=SUPRSEND, keys=KEY)
    refused = decider_of("test", names["guard"]).refusals[Reason.INVALID_SIGNATURE]

    # What the packages make of these bodies, the tests in a browser show.
    assert json.loads(refused.body)["results"] == []
    assert json.loads(names["for_old_nango"]("code", "words")) == {"error": "words", "type": "code"}
