"""A guard as FastAPI wants it: a `Security` dependency that shows in the OpenAPI document."""

import re
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
from hmac_guard.annotation import standing_verdict
from hmac_guard.asgi.middleware import send_refusal
from hmac_guard.asgi.steps import Steps
from hmac_guard.core.refusal import Refusal
from hmac_guard.core.verdict import Verdict
from hmac_guard.guard import Guard, Outcome, check_guard
from hmac_guard.starlette import uncovered_routes as uncovered_routes

__all__ = ["GuardRefused", "GuardSecurity", "uncovered_routes"]


class GuardSecurity(SecurityBase):
    """A guard as a dependency: it proves the ids of the request, or ends it with the guard's answer.

        signed = GuardSecurity(guard)

        @app.get("/inbox", responses=signed.responses)
        def inbox(verdict: Annotated[Verdict, Security(signed)]) -> …:

    It verifies by itself, or takes the verdict that the middleware of the same guard has left; the guard's `only` and
    `exempt` do not count, since the router has decided. HTTP and websockets. The endpoint can still read the body.
    FastAPI parses an endpoint's form before it solves dependencies, and then the bytes are gone: where a scheme reads a
    form, mount the middleware too. A dependency does not stand before mounted applications, static files, `/docs` or
    `/openapi.json`: `uncovered_routes(app)` tells.

    `scheme_name`  what the OpenAPI document calls it; the name of the guard's scheme, if not given
    `responses`    what the guard may answer, for `responses=` of a route, a router or the application

    Raises `ConfigError` for what is no guard.
    """

    def __init__(self, guard: Guard, *, scheme_name: str | None = None) -> None:
        self.guard = check_guard("GuardSecurity", guard)
        self.scheme_name = scheme_name or re.sub(r"[^A-Za-z0-9._-]+", "_", guard.scheme.name)
        self.model = _model(openapi.security_scheme(guard))
        self.responses = openapi.responses(guard)
        self._steps = Steps("GuardSecurity", guard.for_route())
        self.__signature__ = _signature(guard)

    async def __call__(self, connection: HTTPConnection, **_: object) -> Verdict:
        standing = standing_verdict(self.guard, connection.scope)
        if standing is not None:
            return standing
        try:
            verdict, refusal = await self._decide(connection)
        except Exception as error:
            raise _refused(self.guard.fault(error), connection) from None
        if refusal is not None:
            raise _refused(refusal, connection)
        self._steps.annotate(connection.scope, verdict)
        return verdict

    async def _decide(self, connection: HTTPConnection) -> Outcome:
        heard = self._steps.request(connection.scope)
        if not isinstance(connection, Request) or not self._steps.guard.takes_body(heard):
            outcome, _ = await self._steps.decide(connection.scope, None)
        elif hasattr(connection, "_body") or connection._stream_consumed:
            # FastAPI has read the body for the endpoint; where it did not keep it, body() raises.
            outcome, _ = await self._steps.decide(connection.scope, _replay(await connection.body()))
        else:
            outcome, body = await self._steps.decide(connection.scope, connection.receive)
            connection._receive = body.hand_on() if body else connection.receive
        return outcome


class GuardRefused(HTTPException):
    """The guard's answer to a request. `refusal` holds its status, headers and body."""

    def __init__(self, refusal: Refusal) -> None:
        headers = {name: value for name, value in refusal.headers if not name.startswith("Content-")}
        super().__init__(refusal.status.value, refusal.status.phrase, headers)
        self.refusal = refusal


def _refused(refusal: Refusal, connection: HTTPConnection) -> GuardRefused:
    # FastAPI would put its own body into the answer to an HTTPException. A handler that the user has set stays.
    handlers, _ = connection.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(GuardRefused, _answer)
    return GuardRefused(refusal)


async def _answer(connection: HTTPConnection, refused: GuardRefused) -> Response | None:
    refusal = refused.refusal
    if isinstance(connection, WebSocket):
        await send_refusal(refusal, connection.scope, connection.send)
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
    found = [Parameter("connection", Parameter.KEYWORD_ONLY, annotation=HTTPConnection)]
    for name, source in guard.scheme.ids.items():
        for place in source.places():
            if parameter := openapi.parameter_of(place):
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
