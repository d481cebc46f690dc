"""Sends one request to a bare or a guarded application, many times, like a server, but without a server."""

import asyncio
import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import cycle, islice
from typing import Any, NamedTuple, Protocol

from benchmarks.harness import LOOP, clock
from benchmarks.samples import Sample
from hmac_guard import Guard


class Driver(Protocol):
    """Sends a request: once to see its status, or many times to time it. Several samples are sent in turn."""

    def status(self) -> int: ...

    def timed(self, times: int) -> float: ...


class AsgiInLoop:
    """Sends all requests in one task of a running asyncio loop."""

    def __init__(self, app: Any, *samples: Sample) -> None:
        self.app = app
        self.scopes = cycle([sample.scope() for sample in samples])
        self.body = samples[0].body
        self.statuses: list[int] = []

    def receive(self) -> Any:
        """Return the `receive` of a server for one request: first the body, then it waits for a disconnect."""
        return partial(_receive, [{"type": "http.request", "body": self.body, "more_body": False}])

    async def send(self, message: Any) -> None:
        return None

    async def send_and_note(self, message: Any) -> None:
        self.statuses.append(message.get("status", 0))

    def status(self) -> int:
        LOOP.run_until_complete(self.app(next(self.scopes).copy(), self.receive(), self.send_and_note))
        return self.statuses[0]

    def timed(self, times: int) -> float:
        async def batch() -> float:
            app, receive, send = self.app, self.receive, self.send
            started = clock()
            for scope in islice(self.scopes, times):
                await app(scope.copy(), receive(), send)
            return clock() - started

        return LOOP.run_until_complete(batch())


async def _receive(pending: list[Any]) -> Any:
    return pending.pop() if pending else await asyncio.get_running_loop().create_future()


class AsgiWithoutLoop(AsgiInLoop):
    """Runs the coroutine without an event loop, so that only the application is measured."""

    def status(self) -> int:
        # An application that needs a loop fails here or sends nothing.
        with warnings.catch_warnings(), suppress(StopIteration, RuntimeError):
            warnings.simplefilter("ignore", RuntimeWarning)
            self.app(next(self.scopes).copy(), self.receive(), self.send_and_note).send(None)
        return self.statuses[0] if self.statuses else 0

    def timed(self, times: int) -> float:
        app, receive, send = self.app, self.receive, self.send
        started = clock()
        for scope in islice(self.scopes, times):
            try:
                app(scope.copy(), receive(), send).send(None)
            except StopIteration:
                continue
            raise RuntimeError("the application waits for the event loop")
        return clock() - started


class Wsgi:
    """Calls the application for each request, and reads its answer to the end and closes it."""

    def __init__(self, app: Any, *samples: Sample) -> None:
        self.app = app
        self.environs = cycle([sample.environ() for sample in samples])
        self.body = samples[0].body
        self.statuses: list[str] = []

    def status(self) -> int:
        answer = self.app(
            {**next(self.environs), "wsgi.input": io.BytesIO(self.body)},
            lambda status, headers, exc_info=None: self.statuses.append(status),
        )
        b"".join(answer)
        return int(self.statuses[0][:3])

    def timed(self, times: int) -> float:
        app, body = self.app, self.body
        started = clock()
        for environ in islice(self.environs, times):
            fresh = environ.copy()
            fresh["wsgi.input"] = io.BytesIO(body)
            answer = app(fresh, _start_response)
            for _piece in answer:
                pass
            if hasattr(answer, "close"):
                answer.close()
        return clock() - started


def _start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
    return print


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """The bare application. It reads the body of a POST, as an application would."""
    if scope["method"] == "POST":
        while (await receive())["more_body"]:
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"reached"})


def wsgi_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The bare application, for WSGI."""
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH", 0)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"reached"]


class Interface(NamedTuple):
    """One interface: the bare application, the guard around it, and the sender of requests."""

    name: str
    app: Any
    guarded: Callable[[Guard, Any], Any]
    driver: Callable[..., Driver]


WITHOUT_LOOP = Interface("ASGI without a loop", asgi_app, Guard.asgi, AsgiWithoutLoop)
IN_LOOP = Interface("ASGI in a loop", asgi_app, Guard.asgi, AsgiInLoop)
WSGI = Interface("WSGI", wsgi_app, Guard.wsgi, Wsgi)
INTERFACES = (WITHOUT_LOOP, IN_LOOP, WSGI)
