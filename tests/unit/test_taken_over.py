"""A handle uses the verdict of the middleware for the judged request, and judges all other requests."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from orders import GOOD, GOOD_JSON, KEY, ORDERS, UNSIGNED, hex_of
from secrecy import SECRECY
from support import Sent, ask_app, environ_for, run_asgi, scope_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import run_wsgi_app

from hmac_guard import ConfigError, Decision, Guard, Query, Reason, Scheme, verdict_from

pytest.importorskip("flask", reason="not run: Flask is not installed")
pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
pytest.importorskip("django", reason="not run: Django is not installed")

from django.http import HttpRequest, HttpResponse
from django_project import project, send
from fastapi import FastAPI, Request, Security
from flask import Flask, request
from layers import under_base_http_middleware, under_mount, under_root_path

from hmac_guard.asgi.body import replay, replays
from hmac_guard.asgi.request import AsgiRequest
from hmac_guard.decider import decider_of
from hmac_guard.django import hmac_guarded
from hmac_guard.fastapi import GuardSecurity
from hmac_guard.flask import GuardExtension
from hmac_guard.wsgi.driver import Driver

SIGNED = {"query": GOOD, "JSON": GOOD_JSON}


class Counted:
    """A guard and its decisions."""

    def __init__(self, **options: Any) -> None:
        self.decisions: list[Decision] = []
        self.guard = Guard(ORDERS, KEY, on_decision=self.decisions.append, **options)

    @property
    def judged(self) -> list[Reason]:
        return [decision.verdict.reason for decision in self.decisions]


def fastapi_route(guard: Guard, path: str = "/orders", **options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.api_route(path, methods=["GET", "POST"], dependencies=[Security(GuardSecurity(guard))])
    async def orders(request: Request) -> int:
        return len(await request.body())

    return app


ASGI: dict[str, Callable[[Guard], Any]] = {
    "Mount": lambda guard: under_mount(guard, fastapi_route(guard)),
    "root_path": lambda guard: under_root_path(guard, fastapi_route(guard)),
    "BaseHTTPMiddleware": lambda guard: under_base_http_middleware(guard, fastapi_route(guard, path="/api/orders")),
    "BaseHTTPMiddleware that reads the body": lambda guard: under_base_http_middleware(
        guard, fastapi_route(guard, path="/api/orders"), reads_body=True
    ),
}


@pytest.mark.parametrize("sent", list(SIGNED))
@pytest.mark.parametrize("how", list(ASGI))
def test_a_request_is_judged_once_over_asgi(how: str, sent: str) -> None:
    counted = Counted()
    request = Sent(**{**vars(SIGNED[sent]), "path": "/api/orders"})

    assert run_asgi(ASGI[how](counted.guard), request).status == 200
    assert counted.judged == [Reason.VERIFIED]


def flask_view(guard: Guard) -> Flask:
    app = Flask(__name__)
    signed = GuardExtension(guard)

    @app.route("/orders", methods=["GET", "POST", "DELETE", "OPTIONS"])
    @signed.guarded
    def orders() -> str:
        return "reached"

    return app


@pytest.mark.parametrize("sent", list(SIGNED))
def test_a_request_is_judged_once_with_a_dispatcher(sent: str) -> None:
    counted = Counted()
    app = counted.guard.wsgi(DispatcherMiddleware(Flask("empty"), {"/api": flask_view(counted.guard)}))
    request = Sent(**{**vars(SIGNED[sent]), "path": "/api/orders"})

    assert run_wsgi_app(app, environ_for(request))[1] == "200 OK"
    assert counted.judged == [Reason.VERIFIED]


@pytest.mark.parametrize("sent", list(SIGNED))
@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("script_name", [None, "/api"])
@pytest.mark.parametrize("path", ["/api/orders", "/api/größe/日本"])
def test_a_request_is_judged_once_in_django(server: str, sent: str, script_name: str | None, path: str) -> None:
    counted = Counted()

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(len(request.body)))

    request = Sent(**{**vars(SIGNED[sent]), "path": path.encode().decode("latin-1")})
    with project(hmac_guarded(counted.guard)(view), MIDDLEWARE=[], FORCE_SCRIPT_NAME=script_name):
        reply = send(server, request, counted.guard)

    assert reply.status == 200
    assert counted.judged == [Reason.VERIFIED]


def test_a_preflight_that_became_another_method_is_verified() -> None:
    counted = Counted()
    app = flask_view(counted.guard)
    override: Callable[..., Any] = app.wsgi_app

    def method_override(environ: dict[str, Any], start_response: Any) -> Any:
        return override({**environ, "REQUEST_METHOD": "DELETE"}, start_response)

    sent = Sent("OPTIONS", "/orders", headers=[("Origin", "https://a"), ("Access-Control-Request-Method", "DELETE")])
    status = run_wsgi_app(counted.guard.wsgi(method_override), environ_for(sent))[1]

    assert status.startswith("401")
    assert counted.judged == [Reason.PREFLIGHT, Reason.MISSING_ID]


def test_a_view_refuses_a_preflight_that_the_middleware_lets_pass() -> None:
    counted = Counted()
    sent = Sent("OPTIONS", "/orders", headers=[("Origin", "https://a"), ("Access-Control-Request-Method", "DELETE")])
    app = flask_view(counted.guard)

    assert run_wsgi_app(counted.guard.wsgi(app.wsgi_app), environ_for(sent))[1].startswith("401")


@pytest.mark.parametrize(
    "change",
    [
        {"QUERY_STRING": UNSIGNED.query},
        {"PATH_INFO": "/orders", "QUERY_STRING": GOOD.query.replace("=42", "=43")},
        {"REQUEST_METHOD": "DELETE"},
        {"HTTP_X_SIGNATURE": "0"},
    ],
    ids=repr,
)
def test_a_changed_copy_of_the_environ_is_judged_again(change: dict[str, str]) -> None:
    counted = Counted()
    inner = flask_view(counted.guard)

    def dispatching(environ: dict[str, Any], start_response: Any) -> Any:
        return inner.wsgi_app({**environ, **change}, start_response)

    sent = Sent("GET", "/orders", GOOD.query)
    run_wsgi_app(counted.guard.wsgi(dispatching), environ_for(sent))

    assert len(counted.judged) == 2


def test_a_verdict_of_another_layer_is_not_accepted() -> None:
    verified = Counted()
    environ = environ_for(Sent("GET", "/orders", GOOD.query))
    Driver("test", decider_of("test", verified.guard)).decide(environ)
    reporting = Counted(mode="report")
    read: list[Any] = []
    inner = Flask(__name__)
    signed = GuardExtension(reporting.guard)

    @inner.route("/orders")
    @signed.guarded
    def orders() -> str:
        read.append(verdict_from(request))
        return "reached"

    def writing(environ: dict[str, Any], start_response: Any) -> Any:
        return inner.wsgi_app({**environ, "hmac_guard": verified.decisions[0].verdict}, start_response)

    run_wsgi_app(reporting.guard.wsgi(writing), environ_for(Sent("GET", "/orders", UNSIGNED.query)))

    assert [bool(verdict) for verdict in read] == [False]


def test_another_body_is_verified_again() -> None:
    counted = Counted()
    environ = environ_for(Sent(**{**vars(GOOD_JSON), "path": "/orders"}))
    Driver("test", decider_of("test", counted.guard)).decide(environ)
    forged = environ_for(Sent("POST", "/orders", headers=GOOD_JSON.headers, body=GOOD_JSON.body.replace(b"42", b"43")))
    copied = {**environ, "wsgi.input": forged["wsgi.input"], "CONTENT_LENGTH": forged["CONTENT_LENGTH"]}

    assert run_wsgi_app(flask_view(counted.guard).wsgi_app, copied)[1].startswith("401")
    assert counted.judged == [Reason.VERIFIED, Reason.INVALID_SIGNATURE]


def test_a_changed_scope_of_a_dispatcher_is_judged_again() -> None:
    counted = Counted()
    inner = fastapi_route(counted.guard, path="/orders/{order_id}")

    async def batch(scope: Any, receive: Any, send: Any) -> None:
        query = f"tenant_id=acme&order_id=43&sig={hex_of('acme', '42')}".encode()
        await inner({**scope, "path": "/orders/43", "query_string": query}, receive, send)

    reply = asyncio.run(ask_app(counted.guard.asgi(batch), Sent("GET", "/batch", GOOD.query)))

    assert reply.status == 401
    assert counted.judged == [Reason.VERIFIED, Reason.INVALID_SIGNATURE]


def ask_flask(guard: Guard) -> int:
    return int(run_wsgi_app(flask_view(guard).wsgi_app, environ_for(Sent("GET", "/orders", GOOD.query)))[1][:3])


def ask_fastapi(guard: Guard) -> int:
    return run_asgi(fastapi_route(guard), Sent("GET", "/orders", GOOD.query)).status


def ask_django(guard: Guard) -> int:
    view = hmac_guarded(guard)(lambda request: HttpResponse())
    with project(view, MIDDLEWARE=["hmac_guard.django.GuardMiddleware"], HMAC_GUARD=guard):
        return send("wsgi", GOOD).status


@pytest.mark.parametrize("ask", [ask_flask, ask_fastapi, ask_django])
def test_a_handle_refuses_if_reading_an_earlier_verdict_fails(
    ask: Callable[[Guard], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError

    guard = Guard(ORDERS, KEY)
    assert ask(guard) == 200
    monkeypatch.setattr("hmac_guard.decider.Decider.judged", failing)
    assert ask(guard) == 503


@pytest.mark.parametrize("handle", [GuardExtension, GuardSecurity, hmac_guarded])
def test_a_key_instead_of_a_guard_is_an_error_without_the_key(handle: Callable[[Any], object]) -> None:
    # `secrecy` searches the local variables of every error for each key of a test.
    SECRECY.made.add(b"a key in the place of a guard")
    with pytest.raises(ConfigError, match="must be a Guard"):
        handle("a key in the place of a guard")
    assert SECRECY.found() == []


def test_a_dependency_uses_the_verdict_about_an_upload_that_was_not_read_completely() -> None:
    counted = Counted()
    pieces = [b"image", *[b"x" * 1000] * 20]
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    sent = replace(GOOD, method="POST", path="/orders", headers=[*GOOD.headers, ("Content-Type", "image/png")])
    asyncio.run(counted.guard.asgi(fastapi_route(counted.guard))(scope_for(sent), receive, send))

    assert statuses[0] == 200
    assert counted.judged == [Reason.VERIFIED]


def test_a_dependency_uses_the_verdict_about_a_body_that_no_guard_reads() -> None:
    scheme = Scheme(name="raw", ids={"a": Query("a")}, message="{a}.{@body}", signature=Query("sig"))
    decisions: list[Decision] = []
    guard = Guard(scheme, KEY, mode="report", on_decision=decisions.append)
    sent = Sent("POST", "/orders", "a=1", [("Content-Type", "text/plain")], b"hello")

    assert run_asgi(guard.asgi(fastapi_route(guard)), sent).body == b"5"
    assert [decision.verdict.reason for decision in decisions] == [Reason.MISSING_SIGNATURE]


def test_the_messages_of_another_request_are_not_those_of_this_one() -> None:
    read, other = AsgiRequest(), AsgiRequest()
    read.stream, other.stream = [], []

    assert replays(partial(replay, read.stream, None), read)
    assert not replays(partial(replay, other.stream, None), read)
    assert not replays(partial(print, read.stream), read)
    assert not replays(replay, read)
