"""Runs a WSGI application on a real server, on a free port of the loopback interface."""

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from waiting import TIMEOUT
from werkzeug.serving import WSGIRequestHandler, make_server

from hmac_guard import verdict_from


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve `app` with waitress, and return the port."""
    waitress = pytest.importorskip("waitress.server", reason="not run: waitress is not installed")
    server: Any = waitress.create_server(app, host="127.0.0.1", port=0, threads=2)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.effective_port
    finally:
        # In the server's own thread: closed by another one, its `select` may fail.
        server.trigger.pull_trigger(server.close)
        thread.join(TIMEOUT)


class _Quiet(WSGIRequestHandler):
    def log(self, *arguments: Any) -> None:
        """Print no line for each request."""


@contextlib.contextmanager
def threaded(app: Any) -> Iterator[int]:
    """Serve `app` with werkzeug, a thread for each request, and return the port. The server stops at once."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()


def proven(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An application that answers with the verified ids."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(dict(verdict_from(environ).ids)).encode()]
