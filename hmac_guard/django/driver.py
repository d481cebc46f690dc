"""Decides one Django request, on a WSGI or an ASGI server, in sync or async code."""

from collections.abc import Callable
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
from hmac_guard.log import Failure, failure_of
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

    def refuse(self, django: Any) -> Refusal | None:
        """Return the refusal of a Django request. If it is None, the verdict is an attribute of the request."""
        refusal, failure = None, None
        try:
            request, started = self._read(django)
            if started is not None:
                refusal = self._driver.decide(request.scope, request, started)
            if refusal is None:
                setattr(django, self.decider.annotate_as, request.scope[self.decider.annotate_as])
        except Exception as error:
            failure = failure_of(error)
        return refusal if failure is None else self._fault(django, failure)

    async def answer(self, django: Any, view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Answer a Django request in async code: call the view, or send the refusal.

        The view gets the request with the verdict as its attribute.
        """
        refusal, failure = None, None
        try:
            request, started = self._read(django)
            if started is not None:
                refusal, _ = await self._driver_on_loop.decide(request.scope, None, request, started)
            if refusal is None:
                setattr(django, self.decider.annotate_as, request.scope[self.decider.annotate_as])
                if request.is_asgi and self._driver_on_loop.merges_cookies:
                    request.join_cookies()
        except Exception as error:
            failure = failure_of(error)
        if failure is not None:
            refusal = self._fault(django, failure)
        return await view(django, *args, **kwargs) if refusal is None else respond(refusal, django)

    def verdict_on(self, request: HttpRequest) -> Verdict:
        """Return the verdict on a request that was not refused."""
        return verdict_from(request, self.decider.annotate_as)

    def _read(self, django: Any) -> tuple[DjangoRequest, float | None]:
        """Read a Django request, and its body if the guard must judge it.

        Returns:
            The request for the guard, and the start time of the decision, moved by the time that reading the body took.
            The time is None if the request is already judged, or if the guard skips it.
        """
        decider, reader = self.decider, self.decider.reader
        started = perf_counter() if decider.is_timed else 0.0
        request = DjangoRequest()
        request.django, request.is_asgi = django, hasattr(django, "scope")
        request.method = django.META.get("REQUEST_METHOD", "")
        request.path = django.path_info
        request.query = django.META.get("QUERY_STRING", "")
        if request.is_asgi:
            request.scope = scope = django.scope = dict(django.scope)
            request.root = django.path.removesuffix(django.path_info)
            request.lines = self._names.find(scope.get("headers", ())) if reader.names else ()
        else:
            request.scope = scope = django.environ
            request.root = settings.FORCE_SCRIPT_NAME or django.META.get("SCRIPT_NAME", "")
            request.lines = [*map(request.header, reader.names)]
        if reader.needs_body:
            request.read_framing()
        judged = decider.judged(scope, request) if decider.issued_as in scope else None
        if judged is not None and (not reader.needs_body or request.has_body_of(judged.request)):
            return request, None
        outcome = None if decider.sees_all and request.method != "OPTIONS" else decider.skip(request)
        if outcome is not None:
            decider.finish(scope, request, None, outcome, started)
            return request, None
        if reader.needs_body:
            began = perf_counter()
            request.read_body(reader, decider.max_body)
            started += perf_counter() - began
        return request, started

    def _fault(self, django: Any, failure: Failure) -> Refusal:
        return self.decider.fault(getattr(django, "scope", getattr(django, "environ", {})), failure)


def respond(refusal: Refusal, request: HttpRequest) -> HttpResponse:
    """Return the refusal as a Django response."""
    body = b"" if request.method == "HEAD" else refusal.body
    return HttpResponse(body, status=refusal.code, headers=dict(refusal.headers))
