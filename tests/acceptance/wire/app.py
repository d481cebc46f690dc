"""The application behind the guards. It records each request that reaches it, and answers with the record.

It reads the request as a framework does: from the environ or the scope, and the ids not from the verdict.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wsgi import get_input_stream

from acceptance.wire.guards import BARE, GUARDS, RECORD, WEBHOOKS
from acceptance.wire.reach import digest_of
from hmac_guard import verdict_from


def _write_down(holder: Mapping[str, Any], read: dict[str, Any], body: bytes) -> bytes:
    """What was read, and what the guard left beside it."""
    read |= {"body": body.decode("latin-1"), "digest": digest_of(body)}
    try:
        verdict = verdict_from(holder)
    except LookupError:
        decided: dict[str, Any] = {"reason": None, "ids": {}, "signed_at": None}
    else:
        decided = {"reason": verdict.reason.value, "ids": dict(verdict.ids), "signed_at": verdict.signed_at}
    line = json.dumps({**read, **decided}).encode()
    with open(os.environ[RECORD], "ab") as record:
        record.write(line + b"\n")
    return line


def _in_threes(stream: Any) -> bytes:
    pieces = iter(lambda: stream.read(3), b"")
    return b"".join(pieces)


#: The ways in which an application may read a body (threats 1.10).
_READS: dict[str, Callable[[Any, int], bytes]] = {
    "read": lambda stream, length: stream.read(),
    "readcl": lambda stream, length: stream.read(length),
    "readmore": lambda stream, length: stream.read(length + 1000),
    "readline": lambda stream, length: b"".join(stream),
    "chunks": lambda stream, length: _in_threes(stream),
}


def _wsgi_body(environ: dict[str, Any]) -> bytes:
    way = environ.get("HTTP_X_READ", "")
    try:
        if environ.get("HTTP_X_GUARD") in ("body", *WEBHOOKS) and way in _READS:
            return _READS[way](environ["wsgi.input"], int(environ["CONTENT_LENGTH"]))
        return get_input_stream(environ).read()
    except Exception:  # Servers raise their own errors if a body does not arrive whole.
        return b""


def _wsgi_echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    headers = [(key[5:].lower(), value) for key, value in environ.items() if key.startswith("HTTP_")]
    read = {
        "guard": environ.get("HTTP_X_GUARD"),
        "path": environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace"),
        "root": "",
        "query": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "length": environ.get("CONTENT_LENGTH"),
    }
    line = _write_down(environ, read, _wsgi_body(environ))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(line)))])
    return [line]


async def _asgi_echo(scope: Any, receive: Any, send: Any) -> None:
    body, more, hung_up = b"", scope["type"] == "http", False
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        hung_up = message["type"] == "http.disconnect"
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    read = {
        "guard": dict(headers).get("x-guard"),
        "path": scope["path"],
        "root": scope.get("root_path", ""),
        "query": scope["query_string"].decode("latin-1"),
        "headers": headers,
        "length": str(len(body)),
    }
    line = _write_down(scope, read, body)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    if scope["type"] == "websocket" or hung_up:
        return  # Frameworks, too, say nothing to a client that has hung up.
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(line)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": line})


_WSGI: dict[str, Any] = {BARE: _wsgi_echo, **{name: guard.wsgi(_wsgi_echo) for name, guard in GUARDS.items()}}
_ASGI: dict[str, Any] = {BARE: _asgi_echo, **{name: guard.asgi(_asgi_echo) for name, guard in GUARDS.items()}}


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
    return _WSGI.get(environ.get("HTTP_X_GUARD", ""), _WSGI["all"])(environ, start_response)


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _live(scope, receive, send)
        return
    wanted = dict(scope["headers"]).get(b"x-guard", b"").decode("latin-1")
    await _ASGI.get(wanted, _ASGI["all"])(scope, receive, send)


async def _live(scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _nowhere(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


#: For servers that cannot set a mount point.
mounted_wsgi_app = DispatcherMiddleware(_nowhere, {"/api": wsgi_app})
