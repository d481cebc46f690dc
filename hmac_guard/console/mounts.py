"""The console as an ASGI application, a Flask blueprint and Django URL patterns."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from hmac_guard.console.context import ASSETS
from hmac_guard.console.site import MAX_BYTES, TOO_LARGE, Site
from hmac_guard.forking import after_fork
from hmac_guard.keys.threads import BoundedThreads, TooManyCalls

#: The request of the framework, in the environ that `authorize` gets.
REQUEST = "hmac_guard.console.request"

#: Requests that are answered at a time, and those that are answered or wait. Further ones get a 503.
THREADS, MAX_REQUESTS = 8, 200

_URLENCODED = "application/x-www-form-urlencoded"
_TOO_MANY = b"The console answers too many requests. Try again.\n"

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class AsgiSite:
    """The console as an ASGI application. It runs on asyncio, and answers each request on one of its own threads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._start()
        after_fork(self._start)  # A child process does not have the threads of its parent.

    def _start(self) -> None:
        self._threads = BoundedThreads("hmac_guard-console", THREADS, MAX_REQUESTS)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Any, receive: Receive, send: Send) -> None:
        body = await _body_of(receive)
        if body is None:
            return
        if len(body) > MAX_BYTES:
            await _send_text(send, 413, f"{TOO_LARGE}\n".encode())
            return
        environ = environ_of_scope(scope, body)
        try:
            response = await self._on_thread(self._site.respond, environ)
        except TooManyCalls:
            await _send_text(send, 503, _TOO_MANY)
            return
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.get_wsgi_headers(environ)
        ]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        parts: Iterator[bytes] = iter(response.get_app_iter(environ))
        try:
            while (part := await self._on_thread(next, parts, None)) is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            # If this is cancelled, a thread may still make a part. Python closes the generator when that has ended.
            with suppress(ValueError):
                response.close()
        await send({"type": "http.response.body", "body": b""})

    async def _on_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.wrap_future(self._threads.submit(partial(function, *args)))


async def _send_text(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


async def _run_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body_of(receive: Receive) -> bytes | None:
    """Return the body, or None if the client has disconnected. Reading stops after the first byte over the limit."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BYTES or not message.get("more_body", False):
            return b"".join(parts)


def environ_of_scope(scope: Any, body: bytes) -> dict[str, Any]:
    """Return the WSGI environ of an ASGI request.

    Servers differ in `path`: with uvicorn and Starlette it starts with `root_path`, with older servers it does not.
    """
    root, path = scope.get("root_path", "").rstrip("/"), scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    host, port = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        REQUEST: _framework_request(scope),
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"] = scope["client"][0]
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        if b"_" in raw_name or name in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            continue
        key = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
        joiner = "; " if name == "COOKIE" else ","
        environ[key] = f"{environ[key]}{joiner}{value}" if key in environ else value
    environ |= _input_of(body)
    return environ


def _input_of(body: bytes) -> dict[str, Any]:
    """Return the entries of a WSGI environ for a body that has been read."""
    return {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _framework_request(scope: Any) -> Any:
    """Return Starlette's request if Starlette is imported, otherwise the scope."""
    module = sys.modules.get("starlette.requests")
    return scope if module is None else module.Request(scope)


def flask_blueprint(site: Site, name: str) -> Any:
    """Return a Flask blueprint with every page of the console."""
    from flask import Blueprint, current_app, request

    blueprint = Blueprint(name, __name__)

    def exempt_from_csrf_check(*_: Any) -> None:
        """Exempt the console from the check of Flask-WTF. The console has its own tokens."""
        module, csrf = sys.modules.get("flask_wtf.csrf"), current_app.extensions.get("csrf")
        if module is not None and isinstance(csrf, module.CSRFProtect):
            csrf.exempt(blueprint)

    # It runs before each `before_request`, also if Flask-WTF is added to the application after the console.
    blueprint.url_value_preprocessor(exempt_from_csrf_check)

    def serve(path: str = "") -> Any:
        environ = dict(request.environ)
        # Flask has matched the mount point. The console gets the rest of the path.
        whole = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        own = f"/{path}".encode().decode("latin-1")
        proxy: Any = request  # Flask types it as the request.
        current = proxy._get_current_object()
        environ |= {"SCRIPT_NAME": whole.removesuffix(own), "PATH_INFO": own, REQUEST: current}
        # A `before_request` may have read the body. Its bytes are then gone from the server's stream. Flask keeps them,
        # unless it was read with `cache=False`.
        if "form" in vars(current):
            body = urlencode([*current.form.items(multi=True)]).encode()
            environ |= {**_input_of(body), "CONTENT_TYPE": _URLENCODED}
        elif "stream" in vars(current):
            environ |= _input_of(current.get_data())
        return site.respond(environ)

    # Flask must not answer OPTIONS: its answer lacks the headers of the console.
    methods = ["GET", "POST"]
    add_rule = partial(blueprint.add_url_rule, methods=methods, provide_automatic_options=False)
    add_rule("/", "index", serve)
    # At the same path, Flask's rule for static files would go before the last one here.
    for asset in ASSETS:
        add_rule(f"/static/{asset}", "page", serve, defaults={"path": f"static/{asset}"})
    add_rule("/<path:path>", "page", serve)
    return blueprint


def django_urls(site: Site) -> list[Any]:
    """Return URL patterns with every page of the console."""
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import re_path
    from django.views.decorators.csrf import csrf_exempt

    def serve(request: HttpRequest, path: str) -> Any:
        environ = _environ_of_django(request, path)
        response = site.respond(environ)
        body: Iterable[bytes] = response.get_app_iter(environ)
        answer: Any
        if response.is_streamed:
            parts = _on_threads(body) if hasattr(request, "scope") else body
            answer = StreamingHttpResponse(parts, status=response.status_code)
        else:
            answer = HttpResponse(b"".join(body), status=response.status_code)
        del answer["Content-Type"]
        cookies = []
        for name, value in response.get_wsgi_headers(environ):
            if name.lower() == "set-cookie":
                cookies.append(value)
            else:
                answer[name] = value
        for cookie in cookies:
            answer.cookies.load(cookie)
        return answer

    # The console has its own tokens.
    return [re_path(r"^(?P<path>.*)$", csrf_exempt(serve))]


async def _on_threads(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts of a body. A thread makes each, so that the event loop does not wait for the database."""
    from asgiref.sync import sync_to_async

    rest = iter(body)
    while (part := await sync_to_async(lambda: next(rest, None), thread_sensitive=False)()) is not None:
        yield part


def _environ_of_django(request: Any, path: str) -> dict[str, Any]:
    from django.conf import settings

    environ = {name: value for name, value in request.META.items() if isinstance(value, str)}
    own = f"/{path}"
    # Under ASGI, `request.path` lacks the script name if a proxy removes it. In Django 4.2, META has only `root_path`.
    script_name = settings.FORCE_SCRIPT_NAME or request.META["SCRIPT_NAME"]
    root = (script_name.rstrip("/") + request.path_info).removesuffix(own)
    body = request.body
    return {
        **environ,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": own.encode().decode("latin-1"),
        "wsgi.url_scheme": request.scheme,
        **_input_of(body),
        "HTTP_HOST": request.META.get("HTTP_HOST", ""),
        REQUEST: request,
    }
