"""What `Guard(..., debug=True)` adds: the cause of each refusal, in the log."""

import warnings
from collections.abc import Callable
from typing import Any

from hmac_guard.core.express import leave
from hmac_guard.core.key import Keyring
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Claim, Reason, Verdict
from hmac_guard.explain.explanation import explain
from hmac_guard.explain.keys import KnownKeys
from hmac_guard.explain.near import leaves
from hmac_guard.explain.report import sentences
from hmac_guard.guard import Guard, Outcome
from hmac_guard.keys.resolver import as_keyring
from hmac_guard.log import logger, where

_SECONDS = 0.5
_LONGEST = 2000


class DebugWarning(UserWarning):
    """A guard explains its refusals in the log: it is slow to refuse, and tells whoever reads the log how to sign."""


class _Watched(Claim):
    """A claim with the request that it was read from, and what the key resolver answered."""

    request: Request
    answer: object = None


def watching(guard: Guard) -> dict[str, Callable[..., Any]]:
    """The methods of a guard that take the place of its own, so that a refusal is explained. Warns loudly."""
    warning = f"the guard of {guard.scheme.name!a} explains each refusal in the log (debug=True); not for production"
    warnings.warn(warning, DebugWarning, stacklevel=4)
    logger.warning("%s", warning)
    own_read, own_conclude, own_record = guard.read, guard.conclude, guard.record

    def read(request: Request) -> Claim:
        claim = _Watched(*own_read(request))
        claim.request = request
        return claim

    def conclude(claim: Claim, answer: object) -> Outcome:
        outcome = own_conclude(claim, answer)
        if isinstance(claim, _Watched):
            claim.answer = answer
        return outcome

    def record(claim: Claim, outcome: Outcome) -> None:
        own_record(claim, outcome)
        if isinstance(claim, _Watched) and not outcome[0] and outcome[0].reason is not Reason.OFF:
            _explain(guard, claim, outcome[0])

    # Every claim is read from a request, so that there is one to explain.
    return {"reader": lambda wire: leave, "read": read, "conclude": conclude, "record": record}


def _explain(guard: Guard, claim: _Watched, verdict: Verdict) -> None:
    try:
        logger.warning("debug: %s", _finding(guard, claim, verdict)[:_LONGEST])
    except Exception as error:  # The request has been judged; an explanation that fails changes nothing.
        logger.error("debug: the refusal could not be explained: %s", where(error))


def _finding(guard: Guard, claim: _Watched, verdict: Verdict) -> str:
    if verdict.reason is Reason.UNKNOWN_KEY:
        return f"Not verified: unknown_key. The tenant {claim.tenant!a} has no key in force."
    request = claim.request
    every = tuple(leaves(request.query, (), request.body))
    keys = _known_keys(as_keyring(claim.answer))
    return " ".join(sentences(explain(guard.scheme, request, verdict.reason, keys, every, _SECONDS)))


def _known_keys(keyring: Keyring | None) -> KnownKeys | None:
    if keyring is None:
        return None
    current, *others = keyring.keys
    return KnownKeys(current, tuple((f"number {number} of the ring", key) for number, key in enumerate(others, 2)))
