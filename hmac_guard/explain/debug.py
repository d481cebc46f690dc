"""Writes the cause of each refusal to the log, for `Guard(..., debug=True)`."""

import warnings

from hmac_guard.core.reading import Reading
from hmac_guard.core.request import Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import Reason
from hmac_guard.decider import Outcome
from hmac_guard.explain.explanation import begin_with_signing_key, explain
from hmac_guard.explain.misplaced import is_key
from hmac_guard.explain.reading import leaves
from hmac_guard.explain.report import sentences
from hmac_guard.explain.search import KnownKeys
from hmac_guard.log import failure_of, logger

_SECONDS = 0.5
_MAX_LENGTH = 2000


class DebugWarning(UserWarning):
    """A guard explains its refusals in the log. This is slow, and anyone who reads the log learns how to sign."""


class Explainer:
    """Explains each refusal of a guard in the log. The constructor warns that this is not for production."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        warning = f"the guard of {scheme.name!a} explains each refusal in the log (debug=True); not for production"
        warnings.warn(warning, DebugWarning, stacklevel=4)
        logger.warning("%s", warning)

    def __call__(self, request: Request, reading: Reading, outcome: Outcome) -> None:
        """Write the explanation of a request that was not verified to the log."""
        failure = None
        try:
            finding = self._finding(request, reading, outcome)[:_MAX_LENGTH]
        except Exception as error:  # The verdict is final. A failing explanation does not change it.
            failure = failure_of(error)
        if failure is None:
            logger.warning("debug: %s", finding)
        else:
            logger.error("debug: the refusal could not be explained: %s", failure)

    def _finding(self, request: Request, reading: Reading, outcome: Outcome) -> str:
        reason, ring, now = outcome.verdict.reason, outcome.ring, outcome.now
        if reason is Reason.BODY_TOO_LARGE:
            return "Not verified: body_too_large. The body is larger than max_body of the guard."
        keys = None
        if ring is not None:
            keys = begin_with_signing_key(self._scheme, reading, KnownKeys.of_ring(ring, now))
        if reason is Reason.UNKNOWN_KEY:
            return f"Not verified: unknown_key. {_without_key(self._scheme, reading.tenant, keys)}"
        request_texts = tuple(leaves(request.query, (), request.body or b""))
        late = now if reason in (Reason.EXPIRED, Reason.NOT_YET_VALID) else None
        said = sentences(explain(self._scheme, request, reason, keys, request_texts, _SECONDS, late))
        if keys is not None and keys.current is None:
            said.append(_without_key(self._scheme, reading.tenant, keys))
        return " ".join(said)


def _without_key(scheme: Scheme, tenant: str | None, keys: KnownKeys | None) -> str:
    if tenant is not None and not (keys and is_key(tenant, scheme.prefix, keys)):
        return f"The tenant {tenant!a} has no active key."
    if keys is None and scheme.tenant_field is not None:
        return "The request names no tenant."
    return "The guard has no active key."
