"""A middleware and a handle of one guard with a single-use store: 200, and the token is spent once."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from support import Sent, environ_for, run_asgi
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard, Header, Reason
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import STANDARD_WEBHOOKS

pytest.importorskip("flask", reason="not run: Flask is not installed")
pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
pytest.importorskip("django", reason="not run: Django is not installed")

from django.http import HttpRequest, HttpResponse
from django_project import project, send
from fastapi import FastAPI, Form, Request, Security
from flask import Flask
from flask import request as flask_request
from layers import under_base_http_middleware, under_mount, under_root_path

from hmac_guard.django import hmac_guarded
from hmac_guard.fastapi import GuardSecurity
from hmac_guard.flask import GuardExtension

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
NOW = 1_800_000_000
BODY = b'{"event": "paid"}'
# A handle that finds another body has to judge again: `X-Again` makes the two readings differ.
SCHEME = STANDARD_WEBHOOKS.replace(ids={"message_id": Header("webhook-id")})


class Counted:
    def __init__(self) -> None:
        self.judged: list[Reason] = []
        self.store = MemoryOnce(100)
        self.guard = Guard(
            SCHEME,
            KEY,
            single_use=self.store,
            clock=lambda: NOW,
            on_verdict=lambda verdict, _: self.judged.append(verdict.reason),
        )


def delivery(path: str = "/api/hooks", body: bytes = BODY, **headers: str) -> Sent:
    fields = SCHEME.sign_fields(KEY, now=NOW, message_id="m1", body=body)
    kind = {"Content-Type": "application/json", **headers}
    return Sent(method="POST", path=path, headers=[*fields.headers.items(), *kind.items()], body=body)


def hooks(guard: Guard, path: str = "/hooks") -> FastAPI:
    app = FastAPI()

    @app.post(path, dependencies=[Security(GuardSecurity(guard))])
    async def receive(request: Request) -> str:
        return (await request.body()).decode()

    return app


def under_two_middleware(guard: Guard) -> Any:
    inner = guard.asgi(hooks(guard, path="/api/hooks"))

    async def between(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope), receive, send)

    return guard.asgi(between)


def with_a_dependency_alone(guard: Guard) -> Any:
    return hooks(guard, path="/api/hooks")


ASGI: dict[str, Callable[[Guard], Any]] = {
    "Mount": lambda guard: under_mount(guard, hooks(guard)),
    "root_path": lambda guard: under_root_path(guard, hooks(guard)),
    "BaseHTTPMiddleware": lambda guard: under_base_http_middleware(
        guard, hooks(guard, path="/api/hooks"), reads_body=True
    ),
    "the middleware twice": under_two_middleware,
    "a dependency alone": with_a_dependency_alone,
}


@pytest.mark.parametrize("how", list(ASGI))
def test_a_token_is_spent_once_under_asgi(how: str) -> None:
    counted = Counted()
    app = ASGI[how](counted.guard)
    reply = run_asgi(app, delivery())

    assert (reply.status, reply.body) == (200, b'"{\\"event\\": \\"paid\\"}"')
    assert (set(counted.judged), counted.store.size) == ({Reason.VERIFIED}, 1)
    assert run_asgi(app, delivery()).status == 401
    assert counted.judged[-1] is Reason.REPLAYED


def view(guard: Guard) -> Flask:
    app = Flask(__name__)
    signed = GuardExtension(guard)

    @app.post("/hooks")
    @signed.guarded
    def receive() -> bytes:
        return flask_request.get_data()

    return app


def under_dispatcher(guard: Guard) -> Any:
    return guard.wsgi(DispatcherMiddleware(Flask("empty"), {"/api": view(guard)}))


def under_a_new_stream(guard: Guard) -> Any:
    """The handle cannot know that the body is the same, and judges again."""
    inner = view(guard)

    def between(environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["wsgi.input"].read()
        environ = {**environ, "wsgi.input": io.BytesIO(body), "PATH_INFO": "/hooks"}
        return inner.wsgi_app(environ, start_response)

    return guard.wsgi(between)


def with_a_view_alone(guard: Guard) -> Any:
    return DispatcherMiddleware(Flask("empty"), {"/api": view(guard)})


WSGI = {
    "DispatcherMiddleware": under_dispatcher,
    "another stream": under_a_new_stream,
    "a view alone": with_a_view_alone,
}


@pytest.mark.parametrize("how", list(WSGI))
def test_a_token_is_spent_once_under_wsgi(how: str) -> None:
    counted = Counted()
    app = WSGI[how](counted.guard)
    body, status, _ = run_wsgi_app(app, environ_for(delivery()))

    assert (status, b"".join(body)) == ("200 OK", BODY)
    assert (set(counted.judged), counted.store.size) == ({Reason.VERIFIED}, 1)
    assert run_wsgi_app(app, environ_for(delivery()))[1].startswith("401")
    assert counted.judged[-1] is Reason.REPLAYED


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("script_name", [None, "/api"])
def test_a_token_is_spent_once_under_django(server: str, script_name: str | None) -> None:
    counted = Counted()

    @hmac_guarded(counted.guard)
    def receive(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.body)

    with project(receive, MIDDLEWARE=[], FORCE_SCRIPT_NAME=script_name):
        reply = send(server, delivery(), counted.guard)
        assert (reply.status, reply.body) == (200, BODY)
        assert (set(counted.judged), counted.store.size) == ({Reason.VERIFIED}, 1)
        assert send(server, delivery(), counted.guard).status == 401
        assert counted.judged[-1] is Reason.REPLAYED
        alone = Counted()
    with project(hmac_guarded(alone.guard)(lambda request: HttpResponse(request.body)), MIDDLEWARE=[]):
        assert [send(server, delivery()).status for _ in range(2)] == [200, 401]


def test_a_route_of_the_same_guard_shares_its_token_and_another_guard_does_not() -> None:
    counted = Counted()
    other = Guard(SCHEME, KEY, single_use=counted.store, clock=lambda: NOW)

    same = run_wsgi_app(counted.guard.wsgi(view(counted.guard.for_route()).wsgi_app), environ_for(delivery("/hooks")))
    assert same[1] == "200 OK"
    counted.store = MemoryOnce(10)
    two = run_wsgi_app(other.wsgi(view(counted.guard).wsgi_app), environ_for(delivery("/hooks")))
    assert two[1].startswith("401")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_body_that_django_has_parsed_is_not_taken_for_what_was_signed(server: str) -> None:
    """The signature of an empty body would else be good for every form."""
    counted = Counted()
    signed = delivery(body=b"")
    form = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n"
    sent = Sent(
        method="POST",
        path="/hooks",
        headers=[*signed.headers[:-1], ("Content-Type", "multipart/form-data; boundary=x")],
        body=form,
    )

    def parsing(request: HttpRequest) -> HttpResponse:
        assert request.POST["a"] == "1"
        return hmac_guarded(counted.guard)(lambda request: HttpResponse("reached"))(request)

    with project(parsing, MIDDLEWARE=[]):
        assert send(server, sent).status == 503
    assert counted.store.size == 0


def test_a_form_that_fastapi_has_parsed_is_not_taken_for_what_was_signed() -> None:
    counted = Counted()
    app = FastAPI()

    @app.post("/hooks", dependencies=[Security(GuardSecurity(counted.guard))])
    async def receive(a: str = Form()) -> str:
        return a

    signed = delivery(body=b"")
    sent = Sent(
        method="POST",
        path="/hooks",
        headers=[*signed.headers[:-1], ("Content-Type", "application/x-www-form-urlencoded")],
        body=b"a=1",
    )

    assert run_asgi(app, sent).status == 503
    assert counted.store.size == 0
