"""Guarded applications that a page on another origin calls. `acceptance.browser.apps:flask_right` has CORS outside the
guard, `…_wrong` has CORS inside the guard. `PAGE` is the origin of the page."""

import os
from collections.abc import Callable
from typing import Any

from orders import KEY, ORDERS

from hmac_guard import Guard, verdict_from

PAGE = "HMAC_GUARD_TEST_PAGE"
RECORD = "HMAC_GUARD_TEST_RECORD"
NO_PREFLIGHT = "HMAC_GUARD_TEST_NO_PREFLIGHT"
ALLOWED = {"allow_methods": ["GET", "POST"], "allow_headers": ["content-type", "x-note"]}


def make_guard() -> Guard:
    return Guard(ORDERS, KEY, preflight=NO_PREFLIGHT not in os.environ)


def ids_of(request: Any) -> dict[str, str]:
    return dict(verdict_from(request).ids)


def flask(*, right: bool) -> Any:
    from flask import Flask, request
    from flask_cors import CORS

    from hmac_guard.flask import GuardExtension

    app = Flask(__name__)
    CORS(app, origins=[os.environ[PAGE]], allow_headers=ALLOWED["allow_headers"])
    app.add_url_rule("/orders", view_func=lambda: ids_of(request), methods=["POST"])
    if right:
        GuardExtension(make_guard(), app)
        return app
    return make_guard().wsgi(app)


def django(*, right: bool) -> Any:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import path

    class URLs:
        urlpatterns = [path("orders", lambda request: JsonResponse(ids_of(request)))]  # noqa: RUF012

    middleware = ["corsheaders.middleware.CorsMiddleware", "hmac_guard.django.GuardMiddleware"]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["hmac_guard.django"],
        ROOT_URLCONF=URLs,
        MIDDLEWARE=middleware if right else middleware[::-1],
        HMAC_GUARD=make_guard(),
        CORS_ALLOWED_ORIGINS=[os.environ[PAGE]],
        CORS_ALLOW_HEADERS=ALLOWED["allow_headers"],
    )
    return get_wsgi_application()


def _starlette_cors() -> Any:
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware


def fastapi(*, right: bool) -> Any:
    from fastapi import FastAPI, Request

    from hmac_guard.asgi import GuardMiddleware

    app = FastAPI()
    added: list[Callable[[], Any]] = [
        lambda: app.add_middleware(GuardMiddleware, guard=make_guard()),
        lambda: app.add_middleware(_starlette_cors(), allow_origins=[os.environ[PAGE]], **ALLOWED),
    ]
    for add in added if right else added[::-1]:
        add()

    @app.post("/orders")
    def orders(request: Request) -> dict[str, str]:
        return ids_of(request)

    return app


def starlette(*, right: bool) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from hmac_guard.asgi import GuardMiddleware

    async def orders(request: Request) -> JSONResponse:
        return JSONResponse(ids_of(request))

    cors = Middleware(_starlette_cors(), allow_origins=[os.environ[PAGE]], **ALLOWED)
    guard = Middleware(GuardMiddleware, guard=make_guard())
    return Starlette(
        routes=[Route("/orders", orders, methods=["POST"])], middleware=[cors, guard] if right else [guard, cors]
    )


def litestar(*, right: bool) -> Any:
    from litestar import Litestar, Request, post
    from litestar.config.cors import CORSConfig
    from litestar.middleware import DefineMiddleware

    from hmac_guard.asgi import GuardMiddleware

    async def orders(request: Request[Any, Any, Any]) -> dict[str, str]:
        return ids_of(request)

    app = Litestar(
        [post("/orders", status_code=200)(orders)],
        middleware=[DefineMiddleware(GuardMiddleware, guard=make_guard())] if right else [],
        cors_config=CORSConfig(allow_origins=[os.environ[PAGE]], **ALLOWED),  # type: ignore[arg-type]
    )
    return app if right else make_guard().asgi(app)


def quart(*, right: bool) -> Any:
    from quart import Quart, request

    from hmac_guard.asgi import GuardMiddleware

    async def orders() -> dict[str, str]:
        return ids_of(request)

    app: Any = Quart(__name__)
    app.add_url_rule("/orders", view_func=orders, methods=["POST"])
    layers: list[Callable[[Any], Any]] = [
        lambda inner: GuardMiddleware(inner, guard=make_guard()),
        lambda inner: _starlette_cors()(inner, allow_origins=[os.environ[PAGE]], **ALLOWED),
    ]
    for wrap in layers if right else layers[::-1]:
        app.asgi_app = wrap(app.asgi_app)
    return app


APPLICATIONS = {
    "flask": "wsgi",
    "django": "wsgi",
    "fastapi": "asgi",
    "starlette": "asgi",
    "litestar": "asgi",
    "quart": "asgi",
}


def noted(interface: str, app: Any) -> Any:
    """Record the method and the status of each request, like the log of a server."""

    def note(method: str, status: int) -> None:
        with open(os.environ[RECORD], "a") as record:
            record.write(f"{method} {status}\n")

    def wsgi(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, *more: Any) -> Any:
            note(environ["REQUEST_METHOD"], int(status[:3]))
            return start_response(status, headers, *more)

        return app(environ, start)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                note(scope["method"], message["status"])
            await send(message)

        await app(scope, receive, sent)

    return wsgi if interface == "wsgi" else asgi


def __getattr__(name: str) -> Any:
    application, _, order = name.partition("_")
    if application not in APPLICATIONS:
        raise AttributeError(name)
    return noted(APPLICATIONS[application], globals()[application](right=order == "right"))
