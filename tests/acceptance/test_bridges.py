"""Bridges between ASGI and WSGI, and python-socketio: the verdict is found in their new environ or scope."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from orders import KEY
from support import Reply, Sent, ask_app, environ_for, run_asgi
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard, Query, Scheme, verdict_from

#: Only in the query: Socket.IO sends its packets as `text/plain`.
LIVE = Scheme(name="live", ids={"user_id": Query("user_id")}, message="{user_id}", signature=Query("sig"))
GUARD = Guard(LIVE, KEY)
QUERY = f"user_id=user-42&sig={LIVE.sign(KEY, user_id='user-42')}"
SIGNED = Sent("POST", "/live", QUERY, body=b"the body")
UNSIGNED = Sent("POST", "/live", "user_id=user-42", body=b"the body")


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [verdict_from(environ).ids["user_id"].encode(), b" ", environ["wsgi.input"].read()]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": verdict_from(scope).ids["user_id"].encode() + b" " + body})


def by_wsgi(app: Any, sent: Sent) -> Reply:
    body, status, headers = run_wsgi_app(app, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))


def check(send: Callable[[Sent], Reply]) -> None:
    good, bad = send(SIGNED), send(UNSIGNED)
    assert (good.status, good.body) == (200, b"user-42 the body")
    assert bad.status == 401


@pytest.mark.parametrize("place", ["around the bridge", "inside"])
def test_a2wsgi_from_asgi_to_wsgi(place: str) -> None:
    bridge = pytest.importorskip("a2wsgi", reason="not run: a2wsgi is not installed").WSGIMiddleware
    app = GUARD.asgi(bridge(wsgi_app)) if place == "around the bridge" else bridge(GUARD.wsgi(wsgi_app))

    check(lambda sent: run_asgi(app, sent))


@pytest.mark.parametrize("place", ["around the bridge", "inside"])
def test_a2wsgi_from_wsgi_to_asgi(place: str) -> None:
    bridge = pytest.importorskip("a2wsgi", reason="not run: a2wsgi is not installed").ASGIMiddleware
    app = GUARD.wsgi(bridge(asgi_app)) if place == "around the bridge" else bridge(GUARD.asgi(asgi_app))

    check(lambda sent: by_wsgi(app, sent))


def test_asgiref_from_asgi_to_wsgi() -> None:
    """The environ of this bridge does not contain the scope, so the guard is inside."""
    bridge = pytest.importorskip("asgiref.wsgi", reason="not run: asgiref is not installed").WsgiToAsgi

    check(lambda sent: run_asgi(bridge(GUARD.wsgi(wsgi_app)), sent))
    with pytest.raises(LookupError, match="no guard annotated this request"):
        run_asgi(GUARD.asgi(bridge(wsgi_app)), SIGNED)


HANDSHAKE = f"EIO=4&transport=polling&{QUERY}"


def packet(opened: Reply) -> Sent:
    """The Socket.IO packet CONNECT, on the session that was opened (Engine.IO protocol, version 4)."""
    sid = json.loads(opened.body[1:])["sid"]
    return Sent("POST", "/socket.io/", f"{HANDSHAKE}&sid={sid}", [("Content-Type", "text/plain")], b"40")


def test_the_connect_handler_of_an_asgi_socketio_server() -> None:
    socketio = pytest.importorskip("socketio", reason="not run: python-socketio is not installed")
    seen: list[str] = []

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        seen.append(verdict_from(environ).ids["user_id"])

    async def exchange() -> list[int]:
        server = socketio.AsyncServer(async_mode="asgi", monitor_clients=False)
        server.on("connect", connect)
        app = GUARD.asgi(socketio.ASGIApp(server))
        opened = await ask_app(app, Sent(path="/socket.io/", query=HANDSHAKE))
        connected = await ask_app(app, packet(opened))
        refused = await ask_app(app, Sent(path="/socket.io/", query="EIO=4&transport=polling&user_id=user-42"))
        await server.shutdown()
        return [opened.status, connected.status, refused.status]

    assert asyncio.run(exchange()) == [200, 200, 401]
    assert seen == ["user-42"]


def test_the_connect_handler_of_a_wsgi_socketio_server() -> None:
    socketio = pytest.importorskip("socketio", reason="not run: python-socketio is not installed")
    seen: list[str] = []
    server = socketio.Server(async_mode="threading", monitor_clients=False, async_handlers=False)
    server.on("connect", lambda sid, environ: seen.append(verdict_from(environ).ids["user_id"]))
    app = GUARD.wsgi(socketio.WSGIApp(server))

    opened = by_wsgi(app, Sent(path="/socket.io/", query=HANDSHAKE))
    connected = by_wsgi(app, packet(opened))
    refused = by_wsgi(app, Sent(path="/socket.io/", query="EIO=4&transport=polling&user_id=user-42"))
    server.shutdown()

    assert [opened.status, connected.status, refused.status] == [200, 200, 401]
    assert seen == ["user-42"]
