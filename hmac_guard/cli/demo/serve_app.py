"""Serves one example application: `python -m hmac_guard.cli.demo.serve_app NAME [ORIGIN HOST]`.

It runs in the folder of the examples. It prints its port, then one line for each verdict. It stops when its standard
input is closed: that happens when the process that started it ends.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hmac_guard.cli.demo.requests import HOST

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = "Content-Type, X-Tenant, X-Signature"


class Cors:
    """WSGI middleware that lets the page at `origin` call the application and read the answers.

    It wraps the guard, so that the page can also read a refusal.
    """

    def __init__(self, app: "WSGIApplication", origin: str) -> None:
        self.app = app
        self.headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Headers", HEADERS)]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            start_response("204 No Content", self.headers)
            return []
        return self.app(environ, lambda status, headers, *error: start_response(status, headers + self.headers, *error))


def serve_wsgi(app: Any, listener: socket.socket, origin: str) -> None:
    """Serve a WSGI application with waitress. If `origin` is not empty, pages of it may read the answers."""
    import waitress

    waitress.serve(Cors(app, origin) if origin else app, sockets=[listener], _quiet=True)


def serve_asgi(app: Any, listener: socket.socket, origin: str) -> None:
    """Serve an ASGI application with uvicorn. If `origin` is not empty, pages of it may read the answers."""
    import uvicorn
    from starlette.middleware.cors import CORSMiddleware

    if origin:
        app = CORSMiddleware(app, allow_origins=[origin], allow_methods=["*"], allow_headers=HEADERS.split(", "))
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


SERVED = {
    "flask": ("flask_app", "app", serve_wsgi),
    "fastapi": ("fastapi_app", "app", serve_asgi),
    "django": ("django_app", "application", serve_wsgi),
}


def main(name: str, origin: str = "", host: str = HOST) -> None:
    """Serve an application on a free port, and print the port.

    Args:
        name: A key of `SERVED`.
        origin: The origin of the page that may call it, or "".
        host: The address at which it listens.
    """
    # Ctrl-C in a terminal reaches all processes of the group. The parent process decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, attribute, serve = SERVED[name]
    app = getattr(import_module(module), attribute)
    if name == "django":
        from django.conf import settings

        settings.ALLOWED_HOSTS.append(host)
    listener = socket.create_server((host, 0))
    threading.Thread(target=_exit_when_input_closes, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    serve(app, listener, origin)


def _exit_when_input_closes() -> None:
    # Not `sys.stdin`: if a thread has its lock when the interpreter ends, that is a fatal error.
    while os.read(0, 1_024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
