"""A request leaves nothing for the garbage collector because of a guard: no reference cycle through the verdict.

A cycle keeps the request, its headers and its body until the collector runs. Then each request also pays for that.
"""

import asyncio
import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from support import Sent, environ_for, scope_for

from hmac_guard import Guard, Json, Query, Scheme

KEY = "a key that is long enough"
BY_QUERY = Scheme(name="by_query", ids={"user_id": Query("user_id")}, message="{user_id}", signature=Query("sig"))
BY_JSON = BY_QUERY.replace(
    name="by_json", ids={"user_id": Query("user_id") | Json("/user_id")}, signature=Query("sig") | Json("/sig")
)
BY_BODY = Scheme(name="by_body", ids={"user_id": Query("user_id")}, message="{user_id}.{@body}", signature=Query("sig"))
SIGNED = {"user_id": "u1", "sig": BY_QUERY.sign(KEY, user_id="u1")}
IN_QUERY = Sent(path="/orders", query="&".join(f"{name}={value}" for name, value in SIGNED.items()))
IN_JSON = Sent(
    method="POST",
    path="/orders",
    body=json.dumps(SIGNED).encode(),
    headers=(("Content-Type", "application/json"),),
)
SIGNED_BODY = Sent(
    method="POST",
    path="/orders",
    query=f"user_id=u1&sig={BY_BODY.sign(KEY, user_id='u1', body=b'{}')}",
    body=b"{}",
    headers=(("Content-Type", "application/json"),),
)
TIMES = 20


def through_wsgi(app: Any, sent: Sent) -> None:
    started: list[str] = []
    answer = app(environ_for(sent), lambda status, headers, exc_info=None: started.append(status))
    b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    assert started[0].startswith("200")


class Connection:
    """One request of a server, which has the scope, and whose methods the application gets. uvicorn does it so."""

    def __init__(self, sent: Sent) -> None:
        self.scope = scope_for(sent)
        self.messages = [{"type": "http.request", "body": sent.body, "more_body": False}]
        self.statuses: list[int] = []

    async def receive(self) -> Any:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.statuses += [message["status"]] if "status" in message else []


async def through_asgi(app: Any, sent: Sent) -> None:
    connection = Connection(sent)
    await app(connection.scope, connection.receive, connection.send)
    assert connection.statuses == [200]


def plain_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def flask_app(guard: Guard | None) -> Iterator[Any]:
    flask = pytest.importorskip("flask", reason="not run: Flask is not installed")
    from hmac_guard.flask import GuardExtension

    app = flask.Flask("orders")
    app.route("/orders", methods=["GET", "POST"])(lambda: flask.request.get_data())
    if guard is not None:
        GuardExtension(guard).init_app(app)
    yield app


@contextmanager
def fastapi_app(guard: Guard | None) -> Iterator[Any]:
    fastapi = pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
    from hmac_guard.fastapi import GuardSecurity

    app = fastapi.FastAPI()

    dependencies = [] if guard is None else [fastapi.Security(GuardSecurity(guard))]

    async def orders() -> str:
        return "reached"

    app.add_api_route("/orders", orders, methods=["GET", "POST"], dependencies=dependencies)
    yield app


@contextmanager
def django_app(guard: Guard | None, *, is_async: bool) -> Iterator[Any]:
    pytest.importorskip("django", reason="not run: Django is not installed")
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django_project import project

    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.body)

    async def async_view(request: Any) -> HttpResponse:
        return view(request)

    with project(
        async_view if is_async else view,
        MIDDLEWARE=[] if guard is None else ["hmac_guard.django.GuardMiddleware"],
        HMAC_GUARD=guard,
    ):
        yield ASGIHandler() if is_async else WSGIHandler()


APPS: dict[str, tuple[Callable[[Guard | None], Any], Any]] = {
    "WSGI": (lambda guard: nullcontext(guard.wsgi(plain_wsgi) if guard else plain_wsgi), through_wsgi),
    "ASGI": (lambda guard: nullcontext(guard.asgi(plain_asgi) if guard else plain_asgi), through_asgi),
    "Flask": (flask_app, through_wsgi),
    "FastAPI": (fastapi_app, through_asgi),
    "Django on WSGI": (lambda guard: django_app(guard, is_async=False), through_wsgi),
    "Django on ASGI": (lambda guard: django_app(guard, is_async=True), through_asgi),
}


def garbage(app: Any, ask: Any, sent: Sent) -> int:
    """Return how many objects some requests leave that only the garbage collector frees."""

    async def ask_all(times: int) -> int:
        for _ in range(times):
            await ask(app, sent)
        return gc.collect() if times > 1 else 0

    if asyncio.iscoroutinefunction(ask):
        asyncio.run(ask_all(1))
    else:
        ask(app, sent)
    was_enabled = gc.isenabled()
    # Then the collector looks only at what the requests have made.
    gc.freeze()
    gc.disable()
    try:
        if asyncio.iscoroutinefunction(ask):
            return asyncio.run(ask_all(TIMES))
        for _ in range(TIMES):
            ask(app, sent)
        return gc.collect()
    finally:
        if was_enabled:
            gc.enable()


@pytest.mark.parametrize(
    ("scheme", "sent"),
    [
        pytest.param(BY_QUERY, IN_QUERY, id="by query"),
        pytest.param(BY_JSON, IN_QUERY, id="by query, and not by JSON"),
        pytest.param(BY_JSON, IN_JSON, id="by JSON"),
        pytest.param(BY_BODY, SIGNED_BODY, id="with a signed body"),
    ],
)
@pytest.mark.parametrize("name", APPS)
def test_a_guarded_request_leaves_no_garbage(name: str, scheme: Scheme, sent: Sent) -> None:
    make, ask = APPS[name]

    with make(None) as bare:
        without = garbage(bare, ask, sent)
    # If a framework leaves its own request, the verdict and its parts stay with that.
    attached = 9 if without >= TIMES else 0
    with make(Guard(scheme, KEY)) as guarded:
        assert garbage(guarded, ask, sent) <= without + attached * TIMES
