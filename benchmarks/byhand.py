"""The same check, written by hand, without rules for malformed input, rotation, log lines or policies."""

import hashlib
import hmac
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Annotated, Any
from urllib.parse import parse_qsl

import flask
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from fastapi import HTTPException, Query
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from benchmarks.samples import KEY

REFUSED = {"message": "The signature does not match the request."}


def proven(fields: Mapping[str, str]) -> bool:
    message = f"{fields.get('integration_id', '')}:{fields.get('connection_id', '')}"
    expected = hmac.new(KEY, message.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), fields.get("hmac", "").encode())


def asgi_closure(app: Any) -> Any:
    """Return the smallest middleware: a function around a function."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if proven(dict(parse_qsl(scope["query_string"].decode()))):
            await app(scope, receive, send)
            return
        await JSONResponse(REFUSED, 401)(scope, receive, send)

    return guarded


def wsgi_closure(app: Any) -> Any:
    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        if proven(dict(parse_qsl(environ["QUERY_STRING"]))):
            return app(environ, start_response)
        start_response("401 Unauthorized", [("Content-Type", "text/plain")])
        return [b"refused"]

    return guarded


class StarletteMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if not proven(request.query_params):
            return JSONResponse(REFUSED, 401)
        return await call_next(request)


Signature = Annotated[str, Query(alias="hmac")]


async def fastapi_dependency(integration_id: str, connection_id: str, signature: Signature) -> None:
    if not proven({"integration_id": integration_id, "connection_id": connection_id, "hmac": signature}):
        raise HTTPException(401, REFUSED)


def fastapi_plain_dependency(integration_id: str, connection_id: str, signature: Signature) -> None:
    """The same as a plain function, which FastAPI runs in a worker thread."""
    if not proven({"integration_id": integration_id, "connection_id": connection_id, "hmac": signature}):
        raise HTTPException(401, REFUSED)


def flask_before_request() -> tuple[dict[str, str], int] | None:
    return None if proven(flask.request.args) else (REFUSED, 401)


@sync_and_async_middleware
def django_middleware(get_response: Any) -> Any:
    async def asynchronous(request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = await get_response(request) if proven(request.GET.dict()) else HttpResponse(status=401)
        return answer

    def synchronous(request: HttpRequest) -> HttpResponse:
        return get_response(request) if proven(request.GET.dict()) else HttpResponse(status=401)

    return asynchronous if iscoroutinefunction(get_response) else synchronous
