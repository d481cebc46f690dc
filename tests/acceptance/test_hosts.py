"""A guarded application behind the adapters of hosts, bridges and test clients, as they are published."""

import asyncio
import io
import json
import warnings
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest

pytest.importorskip("flask", reason="not run: flask is not installed")
pytest.importorskip("starlette", reason="not run: starlette is not installed")
pytest.importorskip("django", reason="not run: django is not installed")

# First, since it sets Django up.
from django_project import GUARDED, Guarded, project  # isort: skip

import httpx
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from hosted import ASGI, GUARD, PLACES, WSGI, Asked, Received, answer, check, flask_app, starlette_app
from starlette.testclient import TestClient

from hmac_guard import verdict_from


def django_view(request: HttpRequest) -> JsonResponse:
    document = json.loads(request.body) if request.content_type == "application/json" else None
    photo: Any = request.FILES.get("photo", io.BytesIO())
    reply = answer(verdict_from(request), request.GET, request.headers, document, request.POST, photo.read())
    return JsonResponse(reply)


def event_of(asked: Asked, version: str) -> dict[str, Any]:
    """What AWS gives a function: from API Gateway (a REST API, "1.0", or an HTTP API, "2.0"), or a load balancer."""
    sent = asked.encoded()
    headers = dict(sent.headers)
    body = {"body": b64encode(sent.content).decode() if sent.content else None, "isBase64Encoded": bool(sent.content)}
    query = sent.url.query.decode()
    if version == "2.0":
        http = {"method": sent.method, "path": "/orders", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
        context: dict[str, Any] = {"http": http, "stage": "$default"}
        return {
            "version": version,
            "rawPath": "/orders",
            "rawQueryString": query,
            "headers": headers,
            "requestContext": context,
            **body,
        }
    if version == "ALB":  # It decodes nothing.
        pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
        context = {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:…"}}
    else:
        pairs = parse_qsl(query)
        context = {"identity": {"sourceIp": "192.0.2.1"}, "stage": "prod"}
    return {
        "version": version,
        "resource": "/orders",
        "httpMethod": sent.method,
        "path": "/orders",
        "headers": headers,
        "queryStringParameters": dict(pairs) or None,
        "requestContext": context,
        **body,
    }


def from_event(made: dict[str, Any]) -> Received:
    body = made["body"]
    return Received(int(made["statusCode"]), body.encode() if isinstance(body, str) else body)


def apig_wsgi(asked: Asked, version: str) -> Received:
    handler = pytest.importorskip("apig_wsgi", reason="not run: apig-wsgi is not installed").make_lambda_handler(
        WSGI, non_binary_content_type_prefixes=["application/"]
    )
    return from_event(handler(event_of(asked, version), None))


def aws_wsgi(asked: Asked) -> Received:
    awsgi = pytest.importorskip("awsgi", reason="not run: aws-wsgi is not installed")
    return from_event(awsgi.response(WSGI, event_of(asked, "1.0"), None))


def mangum(asked: Asked, version: str) -> Received:
    adapter = pytest.importorskip("mangum", reason="not run: mangum is not installed").Mangum
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        made = adapter(ASGI, text_mime_types=["application/"])(event_of(asked, version), None)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return from_event(made)


def azure_request(asked: Asked) -> Any:
    functions = pytest.importorskip("azure.functions", reason="not run: azure-functions is not installed")
    sent = asked.encoded()
    return functions.HttpRequest(sent.method, str(sent.url), headers=dict(sent.headers), body=sent.content)


def azure_wsgi(asked: Asked) -> Received:
    sent = azure_request(asked)
    made = pytest.importorskip("azure.functions").WsgiMiddleware(WSGI).handle(sent)
    return Received(made.status_code, made.get_body())


def azure_asgi(asked: Asked) -> Received:
    sent = azure_request(asked)
    made = asyncio.run(pytest.importorskip("azure.functions").AsgiMiddleware(ASGI).handle_async(sent))
    return Received(made.status_code, made.get_body())


def by_httpx_asgi(app: Any, asked: Asked) -> Received:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.send(asked.encoded())

    made = asyncio.run(send())
    return Received(made.status_code, made.content)


def by_httpx_wsgi(app: Any, asked: Asked) -> Received:
    with httpx.Client(transport=httpx.WSGITransport(app)) as client:
        made = client.send(asked.encoded())
    return Received(made.status_code, made.content)


def a2wsgi(name: str) -> Any:
    return getattr(pytest.importorskip("a2wsgi", reason="not run: a2wsgi is not installed"), name)


def asgiref_bridge(asked: Asked) -> Received:
    bridge = pytest.importorskip("asgiref.wsgi", reason="not run: asgiref is not installed").WsgiToAsgi
    return by_httpx_asgi(bridge(WSGI), asked)


def flask_client(asked: Asked) -> Received:
    photo = {"photo": (io.BytesIO(asked.photo), "photo.png")} if asked.photo else {}
    data = {**asked.form, **photo} if asked.form else None
    bare = flask_app.wsgi_app
    flask_app.wsgi_app = GUARD.wsgi(bare)  # type: ignore[method-assign]
    try:
        made = flask_app.test_client().open(
            "/orders",
            method=asked.method,
            query_string=asked.query,
            headers=asked.headers,
            json=asked.document,
            data=data,
        )
    finally:
        flask_app.wsgi_app = bare  # type: ignore[method-assign]
    return Received(made.status_code, made.data)


def requests_wsgi_adapter(asked: Asked) -> Received:
    adapter = pytest.importorskip("wsgiadapter", reason="not run: requests-wsgi-adapter is not installed").WSGIAdapter
    requests = pytest.importorskip("requests", reason="not run: requests is not installed")
    sent = asked.encoded()
    with requests.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # It takes the time by datetime.utcnow().
        session.mount("https://", adapter(WSGI))
        made = session.request(sent.method, str(sent.url), headers=dict(sent.headers), data=sent.content)
    return Received(made.status_code, made.content)


def starlette_client(asked: Asked, backend: Any) -> Received:
    if backend == "trio":
        pytest.importorskip("trio", reason="not run: trio is not installed")
    with TestClient(ASGI, backend=backend) as client:
        made = client.request(
            asked.method,
            "/orders",
            params=asked.query,
            headers=asked.headers,
            json=asked.document,
            data=asked.form,
            files={"photo": ("photo.png", asked.photo)} if asked.photo else None,
        )
    return Received(made.status_code, made.content)


def django_arguments(asked: Asked) -> dict[str, Any]:
    made: dict[str, Any] = {"query_params": asked.query, "headers": asked.headers}
    if asked.document is not None:
        made |= {"data": asked.document, "content_type": "application/json"}
    elif asked.form is not None:
        photo = io.BytesIO(asked.photo)
        photo.name = "photo.png"
        made |= {"data": {**asked.form, **({"photo": photo} if asked.photo else {})}}
    return made


def in_django(send: Callable[[], Any]) -> Received:
    Guarded.guard = GUARD
    with project(django_view, MIDDLEWARE=[GUARDED]):
        made = send()
    return Received(made.status_code, made.content)


def django_client(asked: Asked) -> Received:
    return in_django(lambda: getattr(Client(), asked.method.lower())("/orders", **django_arguments(asked)))


def django_async_client(asked: Asked) -> Received:
    async def send() -> Any:
        return await getattr(AsyncClient(), asked.method.lower())("/orders", **django_arguments(asked))

    return in_django(lambda: asyncio.run(send()))


HOSTS: dict[str, Callable[[Asked], Received]] = {
    "apig-wsgi, REST API": lambda asked: apig_wsgi(asked, "1.0"),
    "apig-wsgi, HTTP API": lambda asked: apig_wsgi(asked, "2.0"),
    "apig-wsgi, load balancer": lambda asked: apig_wsgi(asked, "ALB"),
    "aws-wsgi": aws_wsgi,
    "mangum, REST API": lambda asked: mangum(asked, "1.0"),
    "mangum, HTTP API": lambda asked: mangum(asked, "2.0"),
    "mangum, load balancer": lambda asked: mangum(asked, "ALB"),
    "Azure Functions, WSGI": azure_wsgi,
    "Azure Functions, ASGI": azure_asgi,
    "a2wsgi around a guarded WSGI application": lambda asked: by_httpx_asgi(a2wsgi("WSGIMiddleware")(WSGI), asked),
    "a2wsgi inside the guard, from ASGI": lambda asked: by_httpx_asgi(
        GUARD.asgi(a2wsgi("WSGIMiddleware")(flask_app)), asked
    ),
    "a2wsgi around a guarded ASGI application": lambda asked: by_httpx_wsgi(a2wsgi("ASGIMiddleware")(ASGI), asked),
    "a2wsgi inside the guard, from WSGI": lambda asked: by_httpx_wsgi(
        GUARD.wsgi(a2wsgi("ASGIMiddleware")(starlette_app)), asked
    ),
    "asgiref's WsgiToAsgi": asgiref_bridge,
    "httpx, WSGI": lambda asked: by_httpx_wsgi(WSGI, asked),
    "httpx, ASGI": lambda asked: by_httpx_asgi(ASGI, asked),
    "requests-wsgi-adapter": requests_wsgi_adapter,
    "Flask's test client": flask_client,
    "Starlette's TestClient on asyncio": lambda asked: starlette_client(asked, "asyncio"),
    "Starlette's TestClient on trio": lambda asked: starlette_client(asked, "trio"),
    "Django's Client": django_client,
    "Django's AsyncClient": django_async_client,
}


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("host", list(HOSTS))
def test_a_signed_request_is_verified_and_a_forged_one_refused(host: str, place: str) -> None:
    check(HOSTS[host], place)
