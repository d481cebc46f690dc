"""Drives the steps for one WSGI request: for the middleware, and for the handles of the frameworks."""

from typing import TYPE_CHECKING

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.framing import framing_problem
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Claim, Reason, Verdict
from hmac_guard.guard import Guard, Outcome, check_guard
from hmac_guard.keys.calling import settled
from hmac_guard.wsgi.body import is_endless, take_body
from hmac_guard.wsgi.express import ENVIRON
from hmac_guard.wsgi.request import WsgiRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Steps:
    """The steps of one guard. `owner` is what a `ConfigError` calls the place where the guard was given.

    Raises `ConfigError` for what is no guard, and for one whose key resolver works on one event loop alone.
    """

    def __init__(self, owner: str, guard: Guard) -> None:
        self.guard: Guard = check_guard(owner, guard)
        if getattr(guard.keys, "asgi_only", False):
            raise ConfigError(
                f"{owner}: this key resolver is bound to an event loop and cannot serve WSGI; give the guard a sync one"
            )
        self._read_plain = guard.reader(ENVIRON)

    def decide(self, environ: "WSGIEnvironment") -> Outcome:
        """The outcome of the request, told to the log and to `on_verdict`."""
        claim = self._read_plain(environ) or claim_of(self.guard, WsgiRequest(environ), environ)
        return (claim, None) if isinstance(claim, Verdict) else outcome_of(self.guard, claim)


def claim_of(guard: Guard, request: Request, environ: "WSGIEnvironment") -> Claim | Verdict:
    """What the request says, its body read out of `environ` where that is needed; or the verdict on one that is not
    looked at."""
    waived = guard.waive(request)
    if waived is not None:
        return waived
    if guard.needs_body:
        request.body_problem = Reason.BAD_FRAMING if is_endless(environ) else framing_problem(request)
        if request.body_problem is None and guard.wants_body(request):
            request.body, request.body_problem = take_body(environ, guard.max_body)
    return guard.read(request)


def outcome_of(guard: Guard, claim: Claim) -> Outcome:
    """The outcome of a claim, told to the log and to `on_verdict`."""
    try:
        answer = settled(guard.keys(claim)) if guard.asks_keys(claim) else None
    except Exception as error:
        outcome = guard.keys_failed(claim, error)
    else:
        outcome = guard.conclude(claim, answer)
    guard.record(claim, outcome)
    return outcome
