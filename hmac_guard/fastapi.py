"""A guard as FastAPI wants it: a `Security` dependency that shows in the OpenAPI document."""

from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import params
from fastapi.openapi.models import APIKey, HTTPBase
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from hmac_guard import openapi
from hmac_guard.asgi.driver import Driver
from hmac_guard.asgi.middleware import send_refusal
from hmac_guard.core.hidden import hide
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.strict import Strict
from hmac_guard.core.verdict import Verdict
from hmac_guard.decider import Judged, decider_of
from hmac_guard.guard import Guard
from hmac_guard.log import failure_of
from hmac_guard.starlette import uncovered_routes as uncovered_routes

__all__ = ["GuardRefused", "GuardSecurity", "uncovered_routes"]


class GuardSecurity(SecurityBase, Strict):
    """A guard as a dependency: it proves the ids of the request, or ends it with the guard's answer.

        signed = GuardSecurity(guard)

        @app.get("/inbox", responses=signed.responses)
        def inbox(verdict: Annotated[Verdict, Security(signed)]) -> …:

    It verifies by itself, or takes the verdict that the middleware of the same guard has left; the guard's `only` and
    `exempt` do not count, since the router has decided. HTTP and websockets. The endpoint can still read the body.
    FastAPI parses the form of an endpoint with `Form()` or `UploadFile` parameters before it solves dependencies: the
    ids are then read from that form. A CORS preflight is refused. A dependency does not stand before mounted
    applications, static files, `/docs` or `/openapi.json`: `uncovered_routes(app)` tells.

    `scheme_name`  what the OpenAPI document calls it; the name of the guard's scheme, if not given
    `responses`    what the guard may answer, for `responses=` of a route, a router or the application

    Raises `ConfigError` for what is no guard.
    """

    def __init__(self, guard: Guard, *, scheme_name: str | None = None) -> None:
        hidden = hide(guard)
        del guard
        decider = decider_of("GuardSecurity", hidden)
        self.guard = guard = hidden.get()
        self.scheme_name = scheme_name or openapi.scheme_name(guard)
        self.model = _model(openapi.security_scheme(guard))
        self.responses = openapi.responses(guard)
        self._driver = Driver(decider.for_view())
        self.__signature__ = _signature(guard)

    async def __call__(self, request: HTTPConnection, **_: object) -> Verdict:
        decider, scope = self._driver.decider, request.scope
        refusal, failure = None, None
        try:
            judged = await self._judged(request)
            if judged is not None:
                return judged.verdict
            decider.forget(scope)
            refusal = await self._decide(request)
        except Exception as error:
            failure = failure_of(error)
        if failure is not None:
            refusal = decider.fault(failure)
        if refusal is not None:
            raise _refused(refusal, request)
        verdict: Verdict = scope[decider.annotate_as]
        return verdict

    async def _judged(self, request: HTTPConnection) -> Judged | None:
        """What this very guard has judged of this very request already."""
        decider, scope = self._driver.decider, request.scope
        judged = decider.judged(scope, self._driver.request(scope))
        if judged is None or not decider.reader.needs_body or not isinstance(request, Request):
            return judged
        if request._receive is judged.request.stream:
            return judged
        # A body that was not read to its end may be large, and the endpoint may take it piece by piece.
        if judged.request.body is None or _is_gone(request):
            return None
        return judged if await request.body() == judged.request.body else None

    async def _decide(self, request: HTTPConnection) -> Refusal | None:
        driver, scope = self._driver, request.scope
        decider = driver.decider
        if not isinstance(request, Request) or not decider.reader.needs_body or decider.mode == "off":
            outcome, _ = await driver.decide(scope, None)
        elif _is_gone(request) and getattr(request, "_form", None) is not None:
            outcome = await driver.decide_parsed(scope, request._form)
        elif hasattr(request, "_body") or request._stream_consumed:
            outcome, _ = await driver.decide(scope, _replay(await request.body()))
        else:
            outcome, body = await driver.decide(scope, request.receive)
            if body is not None:
                request._receive = body.replay_receive()
        return outcome.refusal


def _is_gone(request: Request) -> bool:
    """Whether something has consumed the body, so that the endpoint cannot read its bytes."""
    return request._stream_consumed and not hasattr(request, "_body")


class GuardRefused(HTTPException):
    """The guard's answer to a request. `refusal` holds its status, headers and body."""

    def __init__(self, refusal: Refusal) -> None:
        headers = {name: value for name, value in refusal.headers if not name.startswith("Content-")}
        super().__init__(refusal.status.value, refusal.status.phrase, headers)
        self.refusal = refusal


def _refused(refusal: Refusal, request: HTTPConnection) -> GuardRefused:
    # FastAPI would put its own body into the answer to an HTTPException. A handler that the user has set stays.
    handlers, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(GuardRefused, _answer)
    return GuardRefused(refusal)


async def _answer(request: HTTPConnection, refused: GuardRefused) -> Response | None:
    refusal = refused.refusal
    if isinstance(request, WebSocket):
        await send_refusal(refusal, request.scope, request.send)
        return None
    return Response(refusal.body, refusal.status.value, dict(refusal.headers))


def _replay(body: bytes) -> Any:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    return receive


def _model(scheme: dict[str, Any]) -> APIKey | HTTPBase:
    return APIKey(**scheme) if scheme["type"] == "apiKey" else HTTPBase(**scheme)


def _signature(guard: Guard) -> Signature:
    """The dependency's parameters as FastAPI documents them: the ids, so that the docs page has a field for each. None
    is required: it is the guard that refuses."""
    found = [Parameter("request", Parameter.KEYWORD_ONLY, annotation=HTTPConnection)]
    for name, source in guard.scheme.ids.items():
        for place in source.places():
            if parameter := place.parameter:
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
