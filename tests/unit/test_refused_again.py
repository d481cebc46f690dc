"""A request that one handle has refused is refused by the next handle too, if code of the application goes on."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import pytest
from key_sources import failing
from orders import CASES, GOOD, GOOD_JSON, KEY, ORDERS, hex_of
from support import Reply, Sent, environ_for, run_asgi, scope_for
from werkzeug.test import run_wsgi_app

from hmac_guard import Guard, Header, Keyring, Query, Reason, Scheme, Verdict, verdict_from

pytest.importorskip("flask", reason="not run: Flask is not installed")
pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
pytest.importorskip("rest_framework", reason="not run: Django REST framework is not installed")

# First, because it configures Django.
from django_project import project, send  # isort: skip

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from fastapi import Depends, FastAPI, Security
from flask import Flask
from flask import request as flask_request
from rest_framework.response import Response
from rest_framework.views import APIView
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from hmac_guard.decider import decider_of
from hmac_guard.django import GuardMiddleware, hmac_guarded
from hmac_guard.django import rest as django_rest
from hmac_guard.fastapi import GuardRefused, GuardSecurity
from hmac_guard.flask import GuardExtension
from hmac_guard.guard import Mode
from hmac_guard.once import MemoryOnce
from hmac_guard.schemes import STANDARD_WEBHOOKS
from hmac_guard.wsgi.driver import Driver

NOW = 1_800_000_000
HOOKS = STANDARD_WEBHOOKS.replace(ids={"message_id": Header("webhook-id")})
HOOK_KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
BY_TENANT = Scheme(name="one", ids={"a": Query("a")}, message="{a}", signature=Query("sig"), tenant=Query("t"))

Reached = list[Verdict]


class FailingStore:
    timeout = 1.0

    def use(self, token: bytes, until: float) -> bool:
        raise OSError


def hook(body: bytes = b"{}") -> Sent:
    fields = HOOKS.sign_fields(HOOK_KEY, now=NOW, message_id="m1", body=body)
    return Sent("POST", "/orders", headers=[*fields.headers.items(), ("Content-Type", "application/json")], body=body)


def store_with(sent: Sent) -> MemoryOnce:
    """Return a store in which the signature of a request is used."""
    store = MemoryOnce(100)
    first = Guard(HOOKS, HOOK_KEY, single_use=store, clock=lambda: NOW)
    assert Driver("test", decider_of("test", first)).decide(environ_for(sent)) is None
    return store


class Case(NamedTuple):
    """A request that a guard of these options refuses."""

    sent: Sent
    reason: Reason
    options: Callable[[], dict[str, Any]] = lambda: {"scheme": ORDERS, "keys": KEY}

    def guard(self, **more: Any) -> Guard:
        return Guard(**{**self.options(), **more})


REFUSED = {
    **{name: Case(*case) for name, case in CASES.items() if case[1] is not Reason.VERIFIED},
    "no key of the tenant": Case(GOOD, Reason.UNKNOWN_KEY, lambda: {"scheme": ORDERS, "keys": lambda claim: None}),
    "a key source that fails": Case(
        GOOD, Reason.KEYS_UNAVAILABLE, lambda: {"scheme": ORDERS, "keys": failing(OSError())}
    ),
    "a key source that fails, and a body": Case(
        GOOD_JSON, Reason.KEYS_UNAVAILABLE, lambda: {"scheme": ORDERS, "keys": failing(OSError())}
    ),
    "a time that has passed": Case(
        hook(), Reason.EXPIRED, lambda: {"scheme": HOOKS, "keys": HOOK_KEY, "clock": lambda: NOW + 3600}
    ),
    "a time to come": Case(
        hook(), Reason.NOT_YET_VALID, lambda: {"scheme": HOOKS, "keys": HOOK_KEY, "clock": lambda: NOW - 3600}
    ),
    "a used signature": Case(
        hook(),
        Reason.REPLAYED,
        lambda: {"scheme": HOOKS, "keys": HOOK_KEY, "clock": lambda: NOW, "single_use": store_with(hook())},
    ),
    "a store that fails": Case(
        hook(),
        Reason.KEYS_UNAVAILABLE,
        lambda: {"scheme": HOOKS, "keys": HOOK_KEY, "clock": lambda: NOW, "single_use": FailingStore()},
    ),
}
METHODS = ["GET", "POST"]


def fastapi_app(guard: Guard, reached: Reached) -> FastAPI:
    signed = GuardSecurity(guard)

    async def caller(request: HTTPConnection) -> Verdict | None:
        try:
            return await signed(request)
        except GuardRefused:
            return None

    app = FastAPI(dependencies=[Depends(caller)])

    @app.api_route("/orders", methods=METHODS)
    async def orders(verdict: Annotated[Verdict, Security(signed)]) -> str:
        reached.append(verdict)
        return "reached"

    @app.websocket("/orders")
    async def socket(websocket: WebSocket, verdict: Annotated[Verdict, Security(signed)]) -> None:
        reached.append(verdict)
        await websocket.accept()
        await websocket.close()

    return app


def through_fastapi(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    return run_asgi(fastapi_app(guard, reached), sent)


def through_flask(guard: Guard, sent: Sent, reached: Reached, *, everywhere: bool = False) -> Reply:
    app = Flask("guarded")
    signed = GuardExtension(guard)

    @app.before_request
    def caller() -> None:
        signed.before_any_request() if everywhere else signed.before_request()

    @app.route("/orders", methods=METHODS)
    @signed.guarded
    def orders() -> str:
        reached.append(verdict_from(flask_request))
        return "reached"

    body, status, headers = run_wsgi_app(app.wsgi_app, environ_for(sent))
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body))


def through_flask_everywhere(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    return through_flask(guard, sent, reached, everywhere=True)


def through_django(guard: Guard, sent: Sent, reached: Reached, *, server: str = "wsgi") -> Reply:
    @hmac_guarded(guard)
    def caller(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    @hmac_guarded(guard)
    def orders(request: HttpRequest) -> HttpResponse:
        reached.append(verdict_from(request))
        return HttpResponse("reached")

    def view(request: HttpRequest) -> HttpResponse:
        caller(request)
        return orders(request)

    with project(view, MIDDLEWARE=[]):
        return send(server, sent)


def through_django_asgi(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    return through_django(guard, sent, reached, server="asgi")


def through_async_django(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    @hmac_guarded(guard)
    async def caller(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    @hmac_guarded(guard)
    async def orders(request: HttpRequest) -> HttpResponse:
        reached.append(verdict_from(request))
        return HttpResponse("reached")

    async def view(request: HttpRequest) -> HttpResponse:
        await caller(request)
        answer: HttpResponse = await orders(request)
        return answer

    with project(view, MIDDLEWARE=[]):
        return send("asgi", sent)


class Lenient(GuardMiddleware):
    """Calls the view although the guard refuses."""

    def __call__(self, request: HttpRequest) -> Any:
        response: Any = super().__call__(request)
        return response if response.status_code == 200 else self.get_response(request)


def through_django_middleware(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    @hmac_guarded(guard)
    def orders(request: HttpRequest) -> HttpResponse:
        reached.append(verdict_from(request))
        return HttpResponse("reached")

    with project(orders, MIDDLEWARE=[f"{__name__}.Lenient"], HMAC_GUARD=guard):
        return send("wsgi", sent)


def through_rest_framework(guard: Guard, sent: Sent, reached: Reached, *, server: str = "wsgi") -> Reply:
    class SignedOrAnonymous(django_rest.GuardAuthentication):
        def authenticate(self, request: Any) -> Any:
            try:
                return super().authenticate(request)
            except django_rest.GuardRefused:
                return None

    class Orders(APIView):
        authentication_classes = (SignedOrAnonymous,)
        permission_classes = ()

        @method_decorator(hmac_guarded(guard))
        def get(self, request: Any) -> Response:
            reached.append(verdict_from(request))
            return Response("reached")

        post = get

    with project(Orders.as_view(), MIDDLEWARE=[], HMAC_GUARD=guard):
        return send(server, sent)


def through_rest_framework_asgi(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    return through_rest_framework(guard, sent, reached, server="asgi")


def through_two_authentications(guard: Guard, sent: Sent, reached: Reached) -> Reply:
    class Orders(APIView):
        authentication_classes = (django_rest.GuardAuthentication,)
        permission_classes = ()

        def get(self, request: Any) -> Response:
            reached.append(verdict_from(request))
            return Response("reached")

        post = get

    with project(Orders.as_view(), MIDDLEWARE=[f"{__name__}.Lenient"], HMAC_GUARD=guard):
        return send("wsgi", sent)


HANDLES: dict[str, Callable[[Guard, Sent, Reached], Reply]] = {
    "FastAPI": through_fastapi,
    "Flask": through_flask,
    "Flask, everywhere": through_flask_everywhere,
    "Django": through_django,
    "Django on ASGI": through_django_asgi,
    "Django, async": through_async_django,
    "Django, middleware": through_django_middleware,
    "REST framework": through_rest_framework,
    "REST framework on ASGI": through_rest_framework_asgi,
    "REST framework, middleware": through_two_authentications,
}


@pytest.fixture(params=list(HANDLES))
def handle(request: pytest.FixtureRequest) -> Callable[[Guard, Sent, Reached], Reply]:
    return HANDLES[request.param]


def test_there_is_a_request_for_each_reason_to_refuse() -> None:
    reasons = set(decider_of("test", Guard(ORDERS, KEY)).refusals)

    assert {case.reason for case in REFUSED.values()} == reasons - {Reason.BODY_TIMEOUT}


@pytest.mark.without_coverage
@pytest.mark.parametrize("name", list(REFUSED))
def test_the_second_handle_refuses_what_the_first_has_refused(
    handle: Callable[[Guard, Sent, Reached], Reply], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    case, decided, reached = REFUSED[name], list[Reason](), Reached()
    guard = case.guard(on_verdict=lambda verdict, _: decided.append(verdict.reason))
    with caplog.at_level(logging.WARNING, "hmac_guard"):
        reply = handle(guard, case.sent, reached)
    refusal = decider_of("test", guard).refusals[case.reason]

    assert (reply.status, json.loads(reply.body)) == (refusal.status.value, json.loads(refusal.body))
    assert reached == []
    assert decided == [case.reason]
    assert len([record for record in caplog.records if record.name == "hmac_guard"]) == 1


@pytest.mark.without_coverage
@pytest.mark.parametrize("name", list(REFUSED))
def test_in_report_mode_both_handles_let_the_request_pass(
    handle: Callable[[Guard, Sent, Reached], Reply], name: str
) -> None:
    case, reached = REFUSED[name], Reached()
    reply = handle(case.guard(mode="report"), case.sent, reached)

    assert (reply.status, [verdict.reason for verdict in reached]) == (200, [case.reason])


@pytest.mark.parametrize(("mode", "status"), [("report", 200), ("enforce", 401)])
def test_the_mode_of_the_tenant_decides_for_both_handles(
    handle: Callable[[Guard, Sent, Reached], Reply], mode: Mode, status: int
) -> None:
    reached = Reached()
    guard = Guard(BY_TENANT, {"acme": Keyring(KEY, mode=mode)})
    reply = handle(guard, Sent("GET", "/orders", f"a=x&t=acme&sig={hex_of('y')}"), reached)

    assert (reply.status, len(reached)) == (status, status == 200)


def test_both_handles_let_a_verified_request_pass(handle: Callable[[Guard, Sent, Reached], Reply]) -> None:
    reached = Reached()

    assert (handle(Guard(ORDERS, KEY), GOOD, reached).status, bool(reached[0])) == (200, True)


def test_a_body_that_did_not_arrive_is_refused_again_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.asgi.body.DEADLINE", 0.01)
    decided, reached, asked = list[Reason](), Reached(), list[None]()
    guard = Guard(ORDERS, KEY, on_verdict=lambda verdict, _: decided.append(verdict.reason))
    app = fastapi_app(guard, reached)

    async def late(scope: Any, receive: Any, send: Any) -> None:
        async def never() -> Any:
            asked.append(None)
            await asyncio.Event().wait()

        await app(scope, never, send)

    assert run_asgi(late, GOOD_JSON).status == 408
    assert (reached, decided, len(asked)) == ([], [Reason.BODY_TIMEOUT], 1)


def test_a_refusal_stands_for_another_body() -> None:
    """The application replaces the body after the first handle has refused it."""
    reached = Reached()
    app = Flask("guarded")
    signed = GuardExtension(Guard(ORDERS, KEY))

    @app.before_request
    def caller() -> None:
        assert signed.before_request() is not None
        good = environ_for(GOOD_JSON)
        flask_request.environ.update({name: good[name] for name in ("wsgi.input", "CONTENT_LENGTH")})

    @app.post("/orders")
    @signed.guarded
    def orders() -> str:
        reached.append(verdict_from(flask_request))
        return "reached"

    sent = Sent("POST", "/orders", headers=GOOD_JSON.headers, body=b"{}")
    assert run_wsgi_app(app.wsgi_app, environ_for(sent))[1].startswith("401")
    assert reached == []


def test_another_request_is_judged_after_a_refused_one() -> None:
    guard, reached = Guard(ORDERS, KEY), Reached()
    app = fastapi_app(guard, reached)

    async def signing(scope: Any, receive: Any, send: Any) -> None:
        request = Request({**scope, "query_string": b""}, receive)
        with pytest.raises(GuardRefused):
            await GuardSecurity(guard)(request)
        await app({**request.scope, "query_string": scope["query_string"]}, request.receive, send)

    assert run_asgi(signing, GOOD).status == 200
    assert bool(reached[0])


def test_a_refused_websocket_is_refused_again() -> None:
    reached, sent = Reached(), list[dict[str, Any]]()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send_message(message: Any) -> None:
        sent.append(message)

    scope = {**scope_for(Sent("GET", "/orders", GOOD.query.replace("=42", "=43")), "websocket"), "subprotocols": []}
    asyncio.run(fastapi_app(Guard(ORDERS, KEY), reached)(scope, receive, send_message))

    assert ([message["type"] for message in sent], reached) == (["websocket.close"], [])
