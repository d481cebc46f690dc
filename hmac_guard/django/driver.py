"""Decides one Django request, of a WSGI or an ASGI server, in a sync or an async stack: only the key resolver may have
to be awaited."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hmac_guard.asgi.driver import Driver
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.verdict import Verdict, verdict_from
from hmac_guard.decider import Decider
from hmac_guard.django.request import DjangoRequest
from hmac_guard.log import failure_of
from hmac_guard.wsgi.driver import check_keys, conclude

# The class alone: a request cannot be made before there are settings, and those may import this package.
_TAKEN = {
    *dir(HttpRequest),
    *("path_info", "resolver_match", "content_type", "content_params", "environ", "scope", "script_name"),
}


class DjangoDriver:
    """A decider that takes Django's requests. Raises `ConfigError` for one whose `annotate_as` is an attribute of
    Django's request, or whose `only` or `exempt` begins with the mount point that `FORCE_SCRIPT_NAME` sets."""

    def __init__(self, owner: str, decider: Decider) -> None:
        check_keys(owner, decider)
        if decider.annotate_as in _TAKEN or not decider.annotate_as.isidentifier():
            raise ConfigError(
                f"{owner}: annotate_as {decider.annotate_as!r} is an attribute of Django's request, or cannot be one"
            )
        # A guard on a view has neither; it may be made before there are settings.
        if decider.only or decider.exempt:
            decider.check_mount_point(settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME")
        self.decider = decider
        self._driver = Driver(decider)

    def refuse(self, request: Any) -> Refusal | None:
        """The refusal of a Django request, or None: then the verdict is on it."""
        refusal, failure = None, None
        try:
            request = DjangoRequest(request, self.decider.reader.names)
            started = self._prepare(request)
            if started is not None:
                refusal = conclude(self.decider, request.scope, request, started).refusal
            self._show_verdict(request, refusal)
        except Exception as error:
            failure = failure_of(error)
        return refusal if failure is None else self.decider.fault(failure)

    async def arefuse(self, request: Any) -> Refusal | None:
        """The same on an event loop."""
        refusal, failure = None, None
        try:
            request = DjangoRequest(request, self.decider.reader.names)
            started = self._prepare(request)
            if started is not None:
                refusal = (await self._driver.conclude(request.scope, request, None, started)).refusal
            self._show_verdict(request, refusal)
        except Exception as error:
            failure = failure_of(error)
        return refusal if failure is None else self.decider.fault(failure)

    def verdict_on(self, request: HttpRequest) -> Verdict:
        """The verdict on a request that was not refused."""
        return verdict_from(request, self.decider.annotate_as)

    def _prepare(self, request: DjangoRequest) -> float | None:
        """Read the body of a request that is to be judged; gives when its judgement began, the time for the body left
        out. None for a request that is judged already, or that the guard does not look at."""
        decider, scope = self.decider, request.scope
        started = decider.time()
        judged = decider.judged(scope, request)
        if judged is not None and (not decider.reader.needs_body or request.has_body_of(judged.request)):
            return None
        decider.forget(scope)
        outcome = decider.skip(request)
        if outcome is not None:
            decider.finish(scope, request, None, outcome, started)
            return None
        began = decider.time()
        if decider.reader.needs_body:
            request.read_body(decider.reader, decider.max_body)
        return started + decider.time() - began

    def _show_verdict(self, request: DjangoRequest, refusal: Refusal | None) -> None:
        if refusal is None:
            setattr(request.django, self.decider.annotate_as, request.scope[self.decider.annotate_as])
            request.join_cookies()


def respond(refusal: Refusal, request: HttpRequest) -> HttpResponse:
    """The refusal as Django sends it."""
    body = b"" if request.method == "HEAD" else refusal.body
    return HttpResponse(body, status=refusal.status.value, headers=dict(refusal.headers))
