"""How many functions of the package one request enters, from the middleware or the handle to the verdict.

A short way is quick to read and quick to run. A function that is entered twice counts twice.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="not run: Django is not installed")
pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
pytest.importorskip("flask", reason="not run: Flask is not installed")

import flask
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django_project import project
from fastapi import FastAPI, Security
from support import Sent, ask_app, environ_for

import hmac_guard
from hmac_guard import Guard, Query, Scheme
from hmac_guard.fastapi import GuardSecurity
from hmac_guard.flask import GuardExtension

PACKAGE = str(Path(hmac_guard.__file__).parent)
KEY = "a key that is long enough"
SCHEME = Scheme(
    name="pair", ids={"a": Query("a"), "b": Query("b")}, message="{a}:{b}", signature=Query("sig"), tenant=None
)
GUARD = Guard(SCHEME, KEY)
SIGNED = Sent(path="/orders", query=f"a=x&b=y&sig={SCHEME.sign(KEY, a='x', b='y')}")


@contextmanager
def entered_functions() -> Iterator[list[str]]:
    entered: list[str] = []

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            entered.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(before)


def through_wsgi(app: Any) -> None:
    started: list[str] = []
    answer = app(environ_for(SIGNED), lambda status, headers, exc_info=None: started.append(status))
    b"".join(answer)
    assert started[0].startswith("200")


def through_asgi(app: Any) -> None:
    assert asyncio.run(ask_app(app, SIGNED)).status == 200


def plain_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"reached"]


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


def flask_app() -> flask.Flask:
    app = flask.Flask("orders")
    app.get("/orders")(lambda: "reached")
    GuardExtension(GUARD).init_app(app)
    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/orders", dependencies=[Security(GuardSecurity(GUARD))])
    async def orders() -> str:
        return "reached"

    return app


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


@pytest.mark.parametrize(
    ("make", "ask", "most"),
    [
        pytest.param(lambda: GUARD.wsgi(plain_wsgi), through_wsgi, 9, id="WSGI middleware"),
        pytest.param(lambda: GUARD.asgi(plain_asgi), through_asgi, 10, id="ASGI middleware"),
        pytest.param(flask_app, through_wsgi, 16, id="Flask extension"),
        pytest.param(fastapi_app, through_asgi, 16, id="FastAPI dependency"),
    ],
)
def test_a_request_enters_few_functions(make: Callable[[], Any], ask: Callable[[Any], None], most: int) -> None:
    app = make()
    ask(app)

    # `guarded`, as another test may have used it, listens to the requests of every Flask application.
    with flask.request_started.muted(), entered_functions() as entered:
        ask(app)

    assert 0 < len(entered) <= most, entered


@pytest.mark.parametrize(
    ("handler", "route", "ask"), [(WSGIHandler, view, through_wsgi), (ASGIHandler, async_view, through_asgi)]
)
def test_a_django_request_enters_at_most_ten_functions(
    handler: Callable[[], Any], route: Any, ask: Callable[[Any], None]
) -> None:
    with project(route, MIDDLEWARE=["hmac_guard.django.GuardMiddleware"], HMAC_GUARD=GUARD):
        app = handler()
        ask(app)
        with entered_functions() as entered:
            ask(app)

    assert 0 < len(entered) <= 10, entered
