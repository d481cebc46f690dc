"""Decides one Django request, on a WSGI or an ASGI server, in sync or async code."""

from time import perf_counter
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hmac_guard.asgi.driver import Driver as DriverOnLoop
from hmac_guard.asgi.request import HeaderNames
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.verdict import Verdict, verdict_from
from hmac_guard.decider import Decider
from hmac_guard.django.request import DjangoRequest
from hmac_guard.log import failure_of
from hmac_guard.wsgi.driver import Driver

# The attributes of the class: an instance needs the settings, and the settings may import this package.
_TAKEN = {
    *dir(HttpRequest),
    *("path_info", "resolver_match", "content_type", "content_params", "environ", "scope", "script_name"),
}


class DjangoDriver:
    """A decider for Django requests.

    Args:
        owner: The name for error messages.
        decider: The decider of the guard.

    Raises:
        ConfigError: `annotate_as` is an attribute of Django's request, or `only` or `exempt` begins with the mount
            point of `FORCE_SCRIPT_NAME`.
    """

    def __init__(self, owner: str, decider: Decider) -> None:
        self._driver = Driver(owner, decider)
        if decider.annotate_as in _TAKEN or not decider.annotate_as.isidentifier():
            raise ConfigError(
                f"{owner}: annotate_as {decider.annotate_as!r} is already an attribute of Django's request, "
                "or is not a valid attribute name"
            )
        # A guard on a view has neither. It may be made before the settings exist.
        if decider.only or decider.exempt:
            decider.check_mount_point(settings.FORCE_SCRIPT_NAME or "", "FORCE_SCRIPT_NAME")
        self.decider = decider
        self._driver_on_loop = DriverOnLoop(decider)
        self._names = HeaderNames(decider.reader.names)

    def refuse(self, request: Any) -> Refusal | None:
        """Return the refusal of a Django request. If it is None, the verdict is an attribute of the request."""
        refusal, failure = None, None
        try:
            request = DjangoRequest(request, self.decider.reader, self._names)
            started = self._prepare(request)
            if started is not None:
                refusal = self._driver.decide(request.scope, request, started)
            self._show_verdict(request, refusal)
        except Exception as error:
            failure = failure_of(error)
        return refusal if failure is None else self.decider.fault(getattr(request, "scope", {}), failure)

    async def arefuse(self, request: Any) -> Refusal | None:
        """Like `refuse`, for async code."""
        refusal, failure = None, None
        try:
            request = DjangoRequest(request, self.decider.reader, self._names)
            started = self._prepare(request)
            if started is not None:
                refusal, _ = await self._driver_on_loop.decide(request.scope, None, request, started)
            self._show_verdict(request, refusal)
        except Exception as error:
            failure = failure_of(error)
        return refusal if failure is None else self.decider.fault(getattr(request, "scope", {}), failure)

    def verdict_on(self, request: HttpRequest) -> Verdict:
        """Return the verdict on a request that was not refused."""
        return verdict_from(request, self.decider.annotate_as)

    def _prepare(self, request: DjangoRequest) -> float | None:
        """Read the body of a request that the guard must judge.

        Returns:
            The start time of the decision, moved by the time that reading the body took. None if the request is
            already judged, or if the guard skips it.
        """
        decider, scope = self.decider, request.scope
        started = perf_counter() if decider.is_timed else 0.0
        judged = decider.judged(scope, request)
        if judged is not None and (not decider.reader.needs_body or request.has_body_of(judged.request)):
            return None
        outcome = None if decider.sees_all and request.method != "OPTIONS" else decider.skip(request)
        if outcome is not None:
            decider.finish(scope, request, None, outcome, started)
            return None
        if decider.reader.needs_body:
            began = perf_counter()
            request.read_body(decider.reader, decider.max_body)
            started += perf_counter() - began
        return started

    def _show_verdict(self, request: DjangoRequest, refusal: Refusal | None) -> None:
        if refusal is None:
            setattr(request.django, self.decider.annotate_as, request.scope[self.decider.annotate_as])
            if request.is_asgi:
                request.join_cookies()


def respond(refusal: Refusal, request: HttpRequest) -> HttpResponse:
    """Return the refusal as a Django response."""
    body = b"" if request.method == "HEAD" else refusal.body
    return HttpResponse(body, status=refusal.code, headers=dict(refusal.headers))
