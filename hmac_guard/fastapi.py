"""The guard for FastAPI: a `Security` dependency, which is shown in the OpenAPI document."""

import asyncio
import re
from functools import partial
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

from fastapi import params
from fastapi.openapi.models import APIKey, HTTPBase
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from hmac_guard import openapi
from hmac_guard.asgi.body import replay, replays
from hmac_guard.asgi.driver import Driver
from hmac_guard.asgi.middleware import send_refusal
from hmac_guard.core.errors import ConfigError, OuterError
from hmac_guard.core.hidden import hide
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.sources import HeaderItem
from hmac_guard.core.strict import Strict
from hmac_guard.core.verdict import Reason, Verdict
from hmac_guard.decider import Judged, decider_of
from hmac_guard.guard import Guard
from hmac_guard.log import failure_of
from hmac_guard.mount_points import Mounts, cut_by_starlette
from hmac_guard.starlette import uncovered_routes as uncovered_routes

__all__ = ["GuardRefused", "GuardSecurity", "uncovered_routes"]


class GuardSecurity(SecurityBase, Strict):
    """A guard as a dependency: it verifies the ids of the request, or refuses the request.

    The dependency works for HTTP and websockets. A request that the same guard has already judged is not judged again;
    a refused one is refused again. The guard's `only` and `exempt` do not apply: the router has already chosen the
    endpoint. A CORS preflight is refused.

    The endpoint can still read the body. If an endpoint has `Form()` or `UploadFile` parameters, FastAPI parses the
    form before it calls dependencies; the ids are then read from the parsed form. Such a form is refused if its
    Content-Length is over `max_body`. A form without a length is not limited by the dependency.

    A dependency does not protect mounted applications, static files, `/docs` or `/openapi.json`. Use
    `uncovered_routes(app)` in a test to find unprotected routes.

    Args:
        guard: The guard.
        scheme_name: The name in the OpenAPI document: ASCII letters, digits, `.`, `_` and `-`. The default is the name
            of the guard's scheme. If the schemes of two guards have the same name, give one of the two another name:
            FastAPI documents only one security scheme of a name.

    Attributes:
        responses: The possible responses of the guard, for `responses=` of a route, a router or the application.

    Raises:
        ConfigError: `guard` is not a guard, or `scheme_name` is no name for an OpenAPI document.

    Example::

        signed = GuardSecurity(guard)

        @app.get("/inbox", responses=signed.responses)
        def inbox(verdict: Annotated[Verdict, Security(signed)]) -> dict[str, str]: ...
    """

    def __init__(self, guard: Guard, *, scheme_name: str | None = None) -> None:
        hidden = hide(guard)
        del guard
        decider = decider_of("GuardSecurity", hidden)
        self.guard = guard = hidden.get()
        self.scheme_name = openapi.scheme_name(guard) if scheme_name is None else _checked(scheme_name)
        self.model = _model(openapi.security_scheme(guard))
        self.responses = openapi.responses(guard)
        self._driver = Driver(decider.for_view(), Mounts(cut=cut_by_starlette, is_known=True))
        # A method of a subclass may take other parameters, which FastAPI must find.
        if any(each.kind is each.VAR_KEYWORD for each in signature(type(self).__call__).parameters.values()):
            self.__signature__ = _signature(guard)

    async def __call__(self, request: HTTPConnection, **_: object) -> Verdict:
        decider, scope = self._driver.decider, request.scope
        refusal = failure = outer = None
        try:
            judged = await self._judged(request)
            refusal = await self._decide(request) if judged is None else judged.refusal
        except OuterError as error:
            outer = error
        except Exception as error:
            failure = failure_of(error)
        if outer is not None:
            outer.raise_error()
        if failure is not None:
            refusal = decider.fault(scope, failure)
        if refusal is not None:
            raise _refused(refusal, request)
        verdict: Verdict = scope[decider.annotate_as]
        return verdict

    async def _judged(self, request: HTTPConnection) -> Judged | None:
        """Return the decision if this guard has already judged this request, else None."""
        decider, scope = self._driver.decider, request.scope
        judged = decider.judged(scope, self._driver.request(scope))
        if judged is None or judged.with_any_body or not isinstance(request, Request):
            return judged
        if replays(request._receive, judged.request):
            return judged
        if judged.request.stream is None and judged.request.body_problem is not None:
            return judged  # The headers were refused, and nothing was read.
        # A body that was not read to its end may be large, and the endpoint may want to stream it.
        if judged.request.body is None or _is_gone(request):
            return None
        try:
            body = await request.body()
        except (ClientDisconnect, OSError, asyncio.TimeoutError):
            return judged._replace(refusal=decider.refusals[Reason.BAD_FRAMING])
        except Exception as error:
            raise OuterError(error) from None
        return judged if body == judged.request.body else None

    async def _decide(self, request: HTTPConnection) -> Refusal | None:
        driver, scope = self._driver, request.scope
        decider = driver.decider
        if not isinstance(request, Request) or not decider.reader.needs_body or decider.mode == "off":
            pending = driver.decide(scope, None)
        elif _is_gone(request) and getattr(request, "_form", None) is not None:
            return await driver.decide_parsed(scope, request._form)
        elif hasattr(request, "_body") or request._stream_consumed:
            pending = driver.decide(scope, _receive_of(await request.body()))
        else:
            pending = driver.decide(scope, request.receive)
        refusal, read = pending if isinstance(pending, tuple) else await pending
        if read.broke_off:
            # Also in report mode. The endpoint would not see that the client has disconnected: servers say it once.
            if read.outer_error is not None:
                raise OuterError(read.outer_error)
            return decider.refusals[Reason.BAD_FRAMING]
        if isinstance(request, Request) and read.stream is not None and not hasattr(request, "_body"):
            request._receive = partial(replay, read.stream, request.receive)
        return refusal


def _is_gone(request: Request) -> bool:
    """Return whether the bytes of the body were consumed, so that the endpoint cannot read them."""
    return request._stream_consumed and not hasattr(request, "_body")


class GuardRefused(HTTPException):
    """The guard refuses the request. `refusal` has the status, the headers and the body of the response.

    To answer otherwise, register an exception handler for this class. A handler for `HTTPException` is not called, so
    that clients get the documented response.
    """

    def __init__(self, refusal: Refusal) -> None:
        headers = {name: value for name, value in refusal.headers if not name.startswith("Content-")}
        super().__init__(refusal.code, refusal.status.phrase, headers)
        self.refusal = refusal


def _refused(refusal: Refusal, request: HTTPConnection) -> GuardRefused:
    # Without a handler, FastAPI would send its own body for an HTTPException. A handler of the user is kept.
    handlers, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(GuardRefused, _answer)
    return GuardRefused(refusal)


async def _answer(request: HTTPConnection, refused: GuardRefused) -> Response | None:
    refusal = refused.refusal
    if isinstance(request, WebSocket):
        if request.application_state is WebSocketState.CONNECTING:
            await send_refusal(refusal, request.scope, request.send)
        elif request.application_state is WebSocketState.CONNECTED:  # An earlier dependency has accepted it.
            await request.close(1008)
        return None
    return Response(refusal.body_for(request.scope["method"]), refusal.code, dict(refusal.headers))


def _receive_of(body: bytes) -> Any:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    return receive


def _checked(scheme_name: object) -> str:
    if isinstance(scheme_name, str) and re.fullmatch(r"[A-Za-z0-9._-]+", scheme_name):
        return scheme_name
    raise ConfigError(
        "GuardSecurity: scheme_name must be text of ASCII letters, digits, '.', '_' and '-', as OpenAPI requires; "
        "write 'My_Scheme', not 'My Scheme'"
    )


def _model(scheme: dict[str, Any]) -> APIKey | HTTPBase:
    return APIKey(**scheme) if scheme["type"] == "apiKey" else HTTPBase(**scheme)


def _signature(guard: Guard) -> Signature:
    """Return the parameters of the dependency for FastAPI's documentation: one for each id and time.

    All are optional, because the guard refuses a request that lacks one.
    """
    found = [Parameter("request", Parameter.KEYWORD_ONLY, annotation=HTTPConnection)]
    times = {time.name: time.source for time in guard.scheme.times}
    for name, source in {**guard.scheme.ids, **times}.items():
        for place in source.places():
            if (parameter := place.parameter) and not isinstance(place, HeaderItem):
                kind, alias = parameter
                documented = _KINDS[kind](alias=alias, description=f"`{name}`, proven by the signature")
                annotation = Annotated[str | None, documented]
                found.append(
                    Parameter(
                        f"{name}_{kind}_{len(found)}", Parameter.KEYWORD_ONLY, default=None, annotation=annotation
                    )
                )
    return Signature(found)


_KINDS: dict[str, type[params.Param]] = {"query": params.Query, "header": params.Header, "cookie": params.Cookie}
