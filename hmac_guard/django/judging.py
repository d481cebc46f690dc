"""Has a Django request judged, whichever server brought it and whether its stack is sync or async.

Django has read an ASGI body before any middleware runs; so both kinds of request are read alike, on the thread that
asks, and only the key resolver may have to be awaited.
"""

import io
from typing import Any

from django.http import HttpRequest, HttpResponse

from hmac_guard.annotation import annotate, standing_verdict
from hmac_guard.asgi.steps import Steps
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Claim, Verdict, verdict_from
from hmac_guard.guard import Guard, Outcome, check_guard
from hmac_guard.keys.calling import awaited, from_loop
from hmac_guard.wsgi.request import WsgiRequest
from hmac_guard.wsgi.steps import claim_of, outcome_of

# The class alone: a request cannot be made before there are settings, and those may import this package.
_TAKEN = {
    *dir(HttpRequest),
    *("path_info", "resolver_match", "content_type", "content_params", "environ", "scope", "script_name"),
}


class Judge:
    """A guard that takes Django's requests. Raises `ConfigError` for what is no guard, and for one whose `annotate_as`
    is an attribute of Django's request."""

    def __init__(self, owner: str, guard: Guard) -> None:
        self.guard = check_guard(owner, guard)
        if guard.annotate_as in _TAKEN or not guard.annotate_as.isidentifier():
            raise ConfigError(
                f"{owner}: annotate_as {guard.annotate_as!r} is an attribute of Django's request, or cannot be one"
            )
        self._steps = Steps(owner, guard)
        self._resolver = from_loop(guard.keys)

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """The refusal of the request, or None: then the verdict is on it."""
        if self._stands(request):
            return None
        try:
            claim = self._claim_of(request)
            outcome = (claim, None) if isinstance(claim, Verdict) else outcome_of(self.guard, claim)
        except Exception as error:
            return self.guard.fault(error)
        return self._act(request, outcome)

    async def arefuse(self, request: HttpRequest) -> Refusal | None:
        """The same on an event loop."""
        if self._stands(request):
            return None
        try:
            claim = self._claim_of(request)
            outcome = (claim, None) if isinstance(claim, Verdict) else await self._outcome_of(claim)
        except Exception as error:
            return self.guard.fault(error)
        return self._act(request, outcome)

    def verdict_on(self, request: HttpRequest) -> Verdict:
        """The verdict on a request that was not refused."""
        return verdict_from(request, self.guard.annotate_as)

    def _stands(self, request: HttpRequest) -> bool:
        return standing_verdict(self.guard, _holder(request)) is not None

    async def _outcome_of(self, claim: Claim) -> Outcome:
        try:
            answer = await awaited(self._resolver(claim)) if self.guard.asks_keys(claim) else None
        except Exception as error:
            outcome = self.guard.keys_failed(claim, error)
        else:
            outcome = self.guard.conclude(claim, answer)
        self.guard.record(claim, outcome)
        return outcome

    def _act(self, request: HttpRequest, outcome: Outcome) -> Refusal | None:
        verdict, refusal = outcome
        if refusal is None:
            self._annotate(request, verdict)
        return refusal

    def _claim_of(self, request: Any) -> Claim | Verdict:
        environ, heard = self._heard(request)
        if request._read_started and self.guard.takes_body(heard):
            # Django keeps a body that was read as a whole; of one that is gone, request.body raises.
            environ["wsgi.input"] = io.BytesIO(request.body)
        stream = environ["wsgi.input"]
        claim = claim_of(self.guard, heard, environ)
        if environ["wsgi.input"] is not stream and not request._read_started:
            _hand_on(request, environ)
        return claim

    def _heard(self, request: Any) -> tuple[dict[str, Any], Request]:
        """The request as a door would have it, but for its path: Django's own, which it routes by."""
        environ = dict(request.META)
        if hasattr(request, "scope"):
            environ |= {"wsgi.input": request._stream, "wsgi.input_terminated": True}
            return environ, self._steps.request({**request.scope, "path": request.path_info, "root_path": ""})
        environ["PATH_INFO"] = request.path_info.encode("utf-8", "surrogatepass").decode("latin-1")
        return environ, WsgiRequest(environ)

    def _annotate(self, request: Any, verdict: Verdict) -> None:
        if hasattr(request, "scope"):
            request.scope = dict(request.scope)
            self._steps.annotate(request.scope, verdict)
            self._join_cookies(request)
        else:
            annotate(self.guard, request.environ, verdict)
        setattr(request, self.guard.annotate_as, verdict)

    def _join_cookies(self, request: Any) -> None:
        """Django joins several Cookie lines with a comma, and would then read other values than were proven."""
        lines = [value for name, value in request.scope["headers"] if name == b"cookie"]
        if self._steps.merges_cookies and lines:
            request.META["HTTP_COOKIE"] = lines[0].decode("latin-1")
            vars(request).pop("COOKIES", None)


def respond(refusal: Refusal, request: HttpRequest) -> HttpResponse:
    """The refusal as Django sends it."""
    body = b"" if request.method == "HEAD" else refusal.body
    return HttpResponse(body, status=refusal.status.value, headers=dict(refusal.headers))


def _holder(request: Any) -> dict[str, Any]:
    """The scope or environ in which the verdict stands."""
    holder: dict[str, Any] = request.scope if hasattr(request, "scope") else request.environ
    return holder


def _hand_on(request: Any, environ: dict[str, Any]) -> None:
    if hasattr(request, "scope"):
        request._stream.seek(0)  # The file in which Django keeps an ASGI body.
    else:
        request._stream = request.META["wsgi.input"] = environ["wsgi.input"]
    for name in ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        if name in environ:
            request.META[name] = environ[name]
        else:
            request.META.pop(name, None)
