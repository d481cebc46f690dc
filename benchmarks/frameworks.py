"""Whole requests through frameworks: with nothing, behind this guard, and with the same check by hand."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import django
import flask
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import Depends, FastAPI, Security
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks import byhand
from benchmarks.drivers import IN_LOOP, WSGI, Interface
from benchmarks.harness import Row, Timed, only
from benchmarks.samples import BY_QUERY, FORGED, SECRET, by_query
from hmac_guard import Guard
from hmac_guard.fastapi import GuardSecurity
from hmac_guard.flask import GuardExtension

GUARD = Guard(BY_QUERY, SECRET)


class Stack(NamedTuple):
    """An application of one framework: bare, and with the check in other ways than the middleware."""

    framework: str
    interface: Interface
    bare: Any
    checked: dict[str, Any]
    path: str = "/connect"


def groups() -> Iterator[list[Row]]:
    for stack in stacks():
        bare, guarded = f"{stack.framework}, bare", stack.interface.guarded(GUARD, stack.bare)
        yield [
            Row(bare, _clock(stack, stack.bare, forged_gets=200)),
            Row(f"{stack.framework}, guard", _clock(stack, guarded), above=bare),
            *(Row(f"{stack.framework}, {how}", _clock(stack, app), above=bare) for how, app in stack.checked.items()),
        ]


def stacks() -> Iterator[Stack]:
    for make in (starlette_stack, fastapi_stack, flask_stack, django_wsgi_stack, django_asgi_stack):
        yield make()


def _clock(stack: Stack, app: Any, forged_gets: int = 401) -> Timed:
    """Return the timer of the driver, after a check of the answers to a signed and a forged request."""
    driver = stack.interface.driver(app, replace(by_query(), path=stack.path))
    forged = stack.interface.driver(app, replace(by_query(FORGED), path=stack.path))
    with only(None):
        assert (driver.status(), forged.status()) == (200, forged_gets), stack.framework
    return driver.timed


def starlette_stack() -> Stack:
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse("reached")

    routes = [Route("/connect", endpoint)]
    by_hand = Starlette(routes=routes, middleware=[Middleware(byhand.StarletteMiddleware)])
    return Stack("Starlette", IN_LOOP, Starlette(routes=routes), {"by hand: BaseHTTPMiddleware": by_hand})


def fastapi_stack() -> Stack:
    def app(*dependencies: Any, **options: Any) -> FastAPI:
        made = FastAPI(dependencies=list(dependencies), **options)
        made.get("/connect")(_endpoint)
        return made

    checked = {
        "guard as dependency": app(Security(GuardSecurity(GUARD))),
        "by hand: dependency": app(Depends(byhand.fastapi_dependency)),
        "by hand: dependency, plain def": app(Depends(byhand.fastapi_plain_dependency)),
        "by hand: BaseHTTPMiddleware": app(middleware=[Middleware(byhand.StarletteMiddleware)]),
    }
    return Stack("FastAPI", IN_LOOP, app(), checked)


async def _endpoint() -> dict[str, str]:
    return {"answer": "reached"}


def flask_stack() -> Stack:
    def app() -> flask.Flask:
        made = flask.Flask("benchmarks")
        made.get("/connect")(lambda: "reached")
        return made

    extended, by_hand = app(), app()
    GuardExtension(GUARD).init_app(extended)
    by_hand.before_request(byhand.flask_before_request)
    return Stack("Flask", WSGI, app(), {"guard as extension": extended, "by hand: before_request": by_hand})


def _view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


async def _async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


urlpatterns = [path("connect", _view), path("async/connect", _async_view)]


def _django(make: Any, *middleware: str) -> Any:
    if not settings.configured:
        guard = f"{__name__}.GUARD"
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=SECRET, HMAC_GUARD=guard)
        django.setup()
    with override_settings(MIDDLEWARE=list(middleware)):
        return make()


def _django_checked(make: Any) -> dict[str, Any]:
    return {
        "guard as Django middleware": _django(make, "hmac_guard.django.GuardMiddleware"),
        "by hand: middleware": _django(make, "benchmarks.byhand.django_middleware"),
    }


def django_wsgi_stack() -> Stack:
    make = get_wsgi_application
    return Stack("Django (WSGI)", WSGI, _django(make), _django_checked(make))


def django_asgi_stack() -> Stack:
    make = get_asgi_application
    return Stack("Django (ASGI)", IN_LOOP, _django(make), _django_checked(make), "/async/connect")
