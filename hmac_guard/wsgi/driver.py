"""Decides one WSGI request: the I/O between the steps of the decider."""

from asyncio import CancelledError
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden
from hmac_guard.core.reading import Reading
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import BODY_HEADERS, Request
from hmac_guard.decider import Decider, Ring, keyring_of
from hmac_guard.keys.calling import run_to_completion
from hmac_guard.keys.resolver import unwrapped
from hmac_guard.log import Failure, failure_of
from hmac_guard.wsgi.body import take_body
from hmac_guard.wsgi.request import WsgiRequest, environ_keys, read_environ

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Driver:
    """Runs one decider, on threads that may wait for the keys.

    Args:
        owner: Where the guard was given, for messages.
        decider: The decider.

    Raises:
        ConfigError: The key resolver or the single-use store works only on one event loop.
    """

    def __init__(self, owner: str, decider: Decider) -> None:
        if getattr(decider.keys, "asgi_only", False):
            raise ConfigError(
                f"{owner}: this key resolver is bound to an event loop and cannot serve WSGI; give the guard a sync one"
            )
        if decider.once is not None and decider.once.asgi_only:
            raise ConfigError(
                f"{owner}: this single-use store is bound to an event loop and cannot serve WSGI; give the guard a "
                "sync one"
            )
        self.decider = decider
        self._resolver = unwrapped(decider.keys)
        self._with_body = decider.reader.needs_body
        names = (*decider.reader.names, *(BODY_HEADERS if self._with_body else ()))
        self._keys = [environ_keys(name)[0] for name in names]

    def request(self, environ: "WSGIEnvironment") -> WsgiRequest:
        """Return the request as the guard reads it."""
        return read_environ(environ, self._keys, self._with_body)

    def decide(self, environ: dict[str, Any], request: Request | None = None, started: float = 0.0) -> Refusal | None:
        """Return the refusal of a request, or None.

        Args:
            environ: The environ.
            request: The request, if it has been read already.
            started: The `time.perf_counter()` at which that reading started.

        Raises:
            OuterError: A layer outside of the guard raised an exception in place of the body.
        """
        decider = self.decider
        if request is None:
            started = perf_counter() if decider.is_timed else 0.0
            request = read_environ(environ, self._keys, self._with_body)
            if not decider.sees_all or request.method == "OPTIONS":
                outcome = decider.skip(request)
                if outcome is not None:
                    return decider.finish(environ, request, None, outcome, started)
            if self._with_body:
                began = perf_counter() if decider.is_timed else 0.0
                _read_body(decider, request, environ)
                started += perf_counter() - began if decider.is_timed else 0.0
        reading = decider.reader.read(request)
        ring: Any = decider.static_ring
        if ring is None:
            try:
                ring = decider.ask(self._resolver, reading)
            except CancelledError as error:  # A sync resolver may run an event loop of its own.
                ring = failure_of(error)
            if type(ring) is Hidden:
                ring = _keys_of(ring)
        if decider.once is not None:
            _use_once(decider, environ, reading, ring)
        return decider.conclude(environ, reading, ring, started)


def _keys_of(answer: Hidden[Any]) -> Ring:
    """Return the keys for a resolver's answer, and wait for it if it is awaitable."""
    try:
        return keyring_of(run_to_completion(answer))
    except (Exception, CancelledError) as error:
        return failure_of(error)


def _use_once(decider: Decider, scope: dict[str, Any], reading: Reading, ring: Ring) -> None:
    """Ask the single-use store, if the request is proven."""
    wanted = decider.token(scope, reading, ring)
    if wanted is None:
        return
    answer: bool | Failure
    try:
        answer = decider.once.wait(*wanted)
    except Exception as error:
        answer = failure_of(error)
    decider.note_use(scope, reading, wanted[0], answer)


def _read_body(decider: Decider, request: Request, environ: "WSGIEnvironment") -> None:
    """Read the body into the request and give it back to the environ."""
    stream = environ.get("wsgi.input")
    if not (decider.reader.signs_body and decider.reader.refuses_ahead(request)):
        body = take_body(request, decider.reader, stream, bool(environ.get("wsgi.input_terminated")), decider.max_body)
        if body is not None:
            environ["wsgi.input"] = stream = body.rest()
            if request.body is not None:
                environ["CONTENT_LENGTH"] = str(len(request.body))
                environ.pop("HTTP_TRANSFER_ENCODING", None)
    request.stream = stream
