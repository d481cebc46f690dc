"""Sends one request over WSGI or ASGI, and returns the same kind of reply."""

import asyncio
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from secrecy import SECRECY
from waiting import TIMEOUT

from hmac_guard import Guard, Verdict, verdict_from
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import BODY_HEADERS
from hmac_guard.wsgi.request import WsgiRequest, environ_keys, read_environ

Headers = Sequence[tuple[str, str]]


@dataclass
class Reply:
    """The answer, and what the application received (None if it was not called)."""

    status: int
    headers: dict[str, str]
    body: bytes
    seen: list[tuple[Verdict, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.status >= 400:
            SECRECY.record(self.headers, self.body)

    @property
    def verdict(self) -> Verdict:
        return self.seen[0][0]

    @property
    def app_body(self) -> bytes:
        return self.seen[0][1]


@dataclass
class Sent:
    """A request as a client would send it: text is latin-1, one character for each byte.

    `path` is what a server makes of `raw_path`, the path on the wire; without one, the two are alike. `root` is where
    the server has the application mounted. A body that is `chunked` has no length.
    """

    method: str = "GET"
    path: str = "/"
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    raw_path: str = ""
    root: str = ""
    chunked: bool = False

    def all_headers(self) -> list[tuple[str, str]]:
        if self.chunked:
            return [*self.headers, ("Transfer-Encoding", "chunked")]
        named = {name.lower() for name, _ in self.headers}
        length = [("Content-Length", str(len(self.body)))] if self.body and "content-length" not in named else []
        return [*self.headers, *length]

    def delivered(self) -> bytes:
        """Return the bytes that a server passes on: at most the Content-Length."""
        lengths = [value for name, value in self.all_headers() if name.lower() == "content-length"]
        return self.body[: int(lengths[0])] if lengths and re.fullmatch("[0-9]{1,9}", lengths[0]) else self.body


Call = Callable[[Guard, Sent], Reply]


def environ_for(sent: Sent) -> dict[str, Any]:
    """Return the environ of a server: lines of one name are joined by a comma, cookies by `; `."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": sent.method,
        "SCRIPT_NAME": sent.root,
        "PATH_INFO": sent.path,
        "QUERY_STRING": sent.query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(sent.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **({"wsgi.input_terminated": True} if sent.chunked else {}),
    }
    for name, value in sent.all_headers():
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = environ[key] + separator + value if key in environ else value
    return environ


def request_of(environ: dict[str, Any], reader: Reader) -> WsgiRequest:
    """Return the request of an environ, as a guard with this reader reads it."""
    names = (*reader.names, *BODY_HEADERS)
    return read_environ(environ, [environ_keys(name)[0] for name in names], with_body=True)


def scope_for(sent: Sent, kind: str = "http") -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "http" if kind == "http" else "ws",
        "path": sent.path.encode("latin-1").decode("utf-8", "replace"),
        "raw_path": (sent.raw_path or sent.path).encode("latin-1"),
        "query_string": sent.query.encode("latin-1"),
        "root_path": sent.root,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent.all_headers()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }


def call_wsgi(guard: Guard, sent: Sent) -> Reply:
    seen: list[tuple[Verdict, bytes]] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        seen.append((verdict_from(environ, guard.annotate_as), environ["wsgi.input"].read(length)))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"reached"]

    started: list[tuple[str, list[tuple[str, str]]]] = []
    result = guard.wsgi(app)(environ_for(sent), lambda status, headers, _=None: started.append((status, headers)))  # type: ignore[arg-type]
    body = b"".join(result)
    [(status, headers)] = started
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, body, seen)


def run_asgi(app: Any, sent: Sent) -> Reply:
    """Return the answer of an ASGI application."""
    return asyncio.run(ask_app(app, sent))


async def ask_app(app: Any, sent: Sent) -> Reply:
    out: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": sent.delivered(), "more_body": False}]

    async def receive() -> Any:
        # The client waits for its answer and sends no more messages.
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        out.append(message)

    await asyncio.wait_for(app(scope_for(sent), receive, send), 2 * TIMEOUT)
    [start] = [message for message in out if message["type"] == "http.response.start"]
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], headers, b"".join(message.get("body", b"") for message in out))


def call_asgi(guard: Guard, sent: Sent) -> Reply:
    return asyncio.run(ask_asgi(guard, sent))


async def ask_asgi(guard: Guard, sent: Sent) -> Reply:
    """The same, in the running event loop."""
    seen: list[tuple[Verdict, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        seen.append((verdict_from(scope, guard.annotate_as), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"reached"})

    reply = await ask_app(guard.asgi(app), sent)
    reply.seen = seen
    return reply


CALLS: dict[str, Call] = {"wsgi": call_wsgi, "asgi": call_asgi}
