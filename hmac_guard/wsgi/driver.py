"""Decides one WSGI request: the I/O between the steps of the decider."""

from typing import TYPE_CHECKING, Any

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.key import Keyring
from hmac_guard.core.reading import Reading
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Claim
from hmac_guard.decider import Decider, keyring_of
from hmac_guard.keys.calling import settled
from hmac_guard.log import Failure, failure_of
from hmac_guard.wsgi.body import take_body
from hmac_guard.wsgi.request import WsgiRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def check_keys(owner: str, decider: Decider) -> None:
    """Raises `ConfigError` for a key resolver or a single-use store that works on one event loop alone; `owner` names
    where the guard was given."""
    if getattr(decider.keys, "asgi_only", False):
        raise ConfigError(
            f"{owner}: this key resolver is bound to an event loop and cannot serve WSGI; give the guard a sync one"
        )
    if decider.once is not None and decider.once.asgi_only:
        raise ConfigError(
            f"{owner}: this single-use store is bound to an event loop and cannot serve WSGI; give the guard a sync one"
        )


def decide(decider: Decider, environ: "WSGIEnvironment") -> Refusal | None:
    """The refusal of a request, or None."""
    started = decider.time()
    request = WsgiRequest(environ, decider.reader.names)
    outcome = decider.skip(request)
    if outcome is not None:
        return decider.finish(environ, request, None, outcome, started)
    if decider.reader.needs_body:
        started += _read_body(decider, request, environ)
    return conclude(decider, environ, request, started)


def conclude(decider: Decider, scope: dict[str, Any], request: Request, started: float) -> Refusal | None:
    """The refusal of a request whose body has been read, or None, on a thread that may wait for the keys."""
    reading = decider.read(request)
    ring: Keyring | Failure | None = decider.static_ring
    if ring is None and decider.wants_keys(reading):
        ring = _look_up(decider, decider.claim(reading))
    if decider.once is not None:
        _use_once(decider, scope, reading, ring)
    return decider.conclude(scope, reading, ring, started)


def _look_up(decider: Decider, claim: Claim) -> Keyring | Failure | None:
    try:
        return keyring_of(settled(decider.keys(claim)))
    except Exception as error:
        return failure_of(error)


def _use_once(decider: Decider, scope: dict[str, Any], reading: Reading, ring: Keyring | Failure | None) -> None:
    """Ask the single-use store, where the request is proven."""
    wanted = decider.token(scope, reading, ring)
    if wanted is None:
        return
    answer: bool | Failure
    try:
        answer = decider.once.wait(*wanted)
    except Exception as error:
        answer = failure_of(error)
    decider.note_use(scope, reading, wanted[0], answer)


def _read_body(decider: Decider, request: Request, environ: "WSGIEnvironment") -> float:
    """Read the body into the request and give it back to the environ; gives the seconds that this took."""
    began = decider.time()
    if decider.reader.refuses_ahead(request):
        request.stream = environ.get("wsgi.input")
        return decider.time() - began
    stream, ends = environ.get("wsgi.input"), bool(environ.get("wsgi.input_terminated"))
    body = take_body(request, decider.reader, stream, ends, decider.max_body)
    if body is not None:
        environ["wsgi.input"] = body.rest()
        if request.body is not None:
            environ["CONTENT_LENGTH"] = str(len(request.body))
            environ.pop("HTTP_TRANSFER_ENCODING", None)
    request.stream = environ.get("wsgi.input")
    return decider.time() - began
