"""Ten frameworks behind a guard: what does each of them read where the guard has proven an id?"""

import asyncio
import json
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any, NamedTuple

from support import Sent, environ_for, scope_for

from acceptance.differential.apps.bottle_app import app as bottle
from acceptance.differential.apps.django_app import django_asgi, django_wsgi, rest
from acceptance.differential.apps.falcon_app import app as falcon
from acceptance.differential.apps.falcon_asgi_app import app as falcon_asgi
from acceptance.differential.apps.fastapi_app import app as fastapi
from acceptance.differential.apps.flask_app import app as flask
from acceptance.differential.apps.litestar_app import app as litestar
from acceptance.differential.apps.quart_app import app as quart
from acceptance.differential.apps.starlette_app import app as starlette
from hmac_guard import Guard

WSGI_APPS: dict[str, Any] = {"Flask": flask, "Django": django_wsgi, "DRF": rest, "Falcon": falcon, "Bottle": bottle}
ASGI_APPS: dict[str, Any] = {
    "Quart": quart,
    "Django (ASGI)": django_asgi,
    "Starlette": starlette,
    "FastAPI": fastapi,
    "Litestar": litestar,
    "Falcon (ASGI)": falcon_asgi,
}


class Answer(NamedTuple):
    """What a view made of a request: `kind` is read, number, absent, other (neither text nor number), or refused."""

    kind: str
    text: str = ""


View = Callable[[Sent], Answer]
REFUSED = Answer("refused")
#: The guard's own answer: the application was not called.
GUARDED = Answer("guarded")


def views_behind(guard: Guard, loop: AbstractEventLoop) -> dict[str, View]:
    """Each framework behind `guard`, called in process; the ASGI ones on `loop`."""
    wsgi = {name: _wsgi_view(guard, app) for name, app in WSGI_APPS.items()}
    return wsgi | {name: _asgi_view(guard, app, loop) for name, app in ASGI_APPS.items()}


def _wsgi_view(guard: Guard, app: Any) -> View:
    reached: list[bool] = []

    def counted(environ: Any, start_response: Any) -> Any:
        reached.append(True)
        return app(environ, start_response)

    guarded = guard.wsgi(counted)
    return lambda sent: _asked(reached, lambda: call_wsgi(guarded, sent))


def _asgi_view(guard: Guard, app: Any, loop: AbstractEventLoop) -> View:
    reached: list[bool] = []

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        reached.append(True)
        await app(scope, receive, send)

    guarded = guard.asgi(counted)
    return lambda sent: _asked(reached, lambda: loop.run_until_complete(call_asgi(guarded, sent)))


def _asked(reached: list[bool], call: Callable[[], tuple[int, bytes]]) -> Answer:
    reached.clear()
    try:
        status, body = call()
    except Exception:
        if not reached:
            raise
        return REFUSED  # What a server would answer with 500.
    if not reached:
        return GUARDED
    return Answer(*json.loads(body).popitem()) if status == 200 else REFUSED


def call_wsgi(app: Any, sent: Sent) -> tuple[int, bytes]:
    started: list[str] = []
    reply = app(environ_for(sent), lambda status, headers, error=None: started.append(status))
    with closing(reply) if hasattr(reply, "close") else nullcontext():
        body = b"".join(reply)
    return int(started[-1][:3]), body


async def call_asgi(app: Any, sent: Sent) -> tuple[int, bytes]:
    out: list[Any] = []
    waiting = [{"type": "http.request", "body": sent.body, "more_body": False}]

    async def receive() -> Any:
        # The client stays: at a disconnect, Quart and Django would give up.
        return waiting.pop() if waiting else await asyncio.Future()

    async def send(message: Any) -> None:
        out.append(message)

    await app(scope_for(sent), receive, send)
    return out[0]["status"], b"".join(message.get("body", b"") for message in out)


@contextmanager
def event_loop() -> Iterator[AbstractEventLoop]:
    """One loop for many requests."""
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
