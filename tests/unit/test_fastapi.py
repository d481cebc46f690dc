"""The FastAPI dependency answers like the middleware, and is shown in the OpenAPI document."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Annotated, Any, NoReturn

import pytest

pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")

from fastapi import APIRouter, Depends, FastAPI, Form, Request, Security, UploadFile, WebSocket
from fastapi.routing import APIRoute
from handles import check_case, check_generated
from orders import (
    CASES,
    FORM,
    GOOD,
    GOOD_FORM,
    GOOD_JSON,
    GOOD_MULTIPART,
    JSON,
    KEY,
    ORDERS,
    UNSIGNED,
    hex_of,
    json_of,
    query_of,
)
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles
from support import Call, Reply, Sent, run_asgi, scope_for

from hmac_guard import (
    ConfigError,
    Cookie,
    Expires,
    Guard,
    Header,
    Json,
    Path,
    Query,
    Reason,
    Scheme,
    Timestamp,
    Verdict,
    verdict_from,
)
from hmac_guard import Form as FormSource
from hmac_guard.asgi import GuardMiddleware
from hmac_guard.fastapi import GuardRefused, GuardSecurity, uncovered_routes
from hmac_guard.guard import Mode
from hmac_guard.once import MemoryOnce
from hmac_guard.openapi import description
from hmac_guard.schemes import NANGO, signed_ids

METHODS = ["GET", "POST", "PUT", "OPTIONS"]


class App:
    """An application with one endpoint, which records its requests."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.seen: list[tuple[Verdict, bytes]] = []

    async def endpoint(self, request: Request) -> str:
        self.seen.append((verdict_from(request), await request.body()))
        return "reached"

    def route(self, owner: Any, signed: GuardSecurity | None = None) -> None:
        dependencies = [Security(signed)] if signed else []
        owner.add_api_route("/{anything:path}", self.endpoint, methods=METHODS, dependencies=dependencies)

    def answer(self, sent: Sent) -> Reply:
        reply = run_asgi(self.app, sent)
        reply.seen = self.seen
        return reply


def through_route(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.route(here.app, GuardSecurity(guard))
    return here.answer(sent)


def through_application(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.app = FastAPI(dependencies=[Security(GuardSecurity(guard))])
    here.route(here.app)
    return here.answer(sent)


def through_router(guard: Guard, sent: Sent) -> Reply:
    here = App()
    router = APIRouter(dependencies=[Security(GuardSecurity(guard))])
    here.route(router)
    here.app.include_router(router)
    return here.answer(sent)


def through_body_that_fastapi_has_read(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.route(here.app, GuardSecurity(guard))

    @here.app.middleware("http")
    async def read(request: Request, call_next: Any) -> Any:
        await request.body()
        return await call_next(request)

    return here.answer(sent)


def through_middleware(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.app.add_middleware(GuardMiddleware, guard=guard)
    here.route(here.app)
    return here.answer(sent)


def through_middleware_and_route(guard: Guard, sent: Sent) -> Reply:
    here = App()
    here.app.add_middleware(GuardMiddleware, guard=guard)
    here.route(here.app, GuardSecurity(guard))
    return here.answer(sent)


HANDLES: dict[str, Call] = {
    "route": through_route,
    "application": through_application,
    "router": through_router,
    "a body that was read before": through_body_that_fastapi_has_read,
    "middleware": through_middleware,
    "middleware and route": through_middleware_and_route,
}


@pytest.fixture(params=list(HANDLES))
def handle(request: pytest.FixtureRequest) -> Call:
    return HANDLES[request.param]


@pytest.mark.without_coverage
@pytest.mark.parametrize("case", list(CASES))
def test_a_handle_answers_like_the_middleware(handle: Call, case: str) -> None:
    check_case(handle, *CASES[case])


@pytest.mark.without_coverage
def test_a_handle_decides_generated_requests_like_the_middleware(handle: Call) -> None:
    check_generated(handle)


class Order(BaseModel):
    order: dict[str, str]


def test_the_endpoint_gets_the_verdict_and_its_own_parameters() -> None:
    app = FastAPI()

    @app.post("/orders")
    def orders(verdict: Annotated[Verdict, Security(GuardSecurity(Guard(ORDERS, KEY)))], body: Order) -> dict[str, str]:
        return {**verdict.ids, "read": body.order["id"]}

    reply = run_asgi(app, GOOD_JSON)
    assert json.loads(reply.body) == {"tenant_id": "acme", "order_id": "42", "read": "42"}


def test_an_async_and_a_blocking_resolver_are_called() -> None:
    async def later(_: object) -> str:
        await asyncio.sleep(0)
        return KEY

    def on_a_thread(_: object) -> str:
        threads.append(threading.current_thread())
        return KEY

    threads: list[threading.Thread] = []
    assert [through_route(Guard(ORDERS, keys), GOOD).status for keys in (later, on_a_thread)] == [200, 200]
    assert threads != [threading.main_thread()]


def form_app(*, with_middleware: bool) -> FastAPI:
    guard = Guard(ORDERS, KEY)
    app = FastAPI()
    if with_middleware:
        app.add_middleware(GuardMiddleware, guard=guard)

    @app.post("/orders", dependencies=[Security(GuardSecurity(guard))])
    def orders(order_id: Annotated[str, Form()], file: UploadFile | None = None) -> str:
        return order_id + (file.file.read().decode() if file else "")

    return app


@pytest.mark.parametrize("with_middleware", [False, True])
def test_an_endpoint_reads_the_form_that_was_verified(with_middleware: bool) -> None:
    replies = [run_asgi(form_app(with_middleware=with_middleware), sent) for sent in (GOOD_FORM, GOOD_MULTIPART)]

    assert [(reply.status, reply.body) for reply in replies] == [(200, b'"42"'), (200, b'"42content"')]


FILE_FIRST = (
    b'--B\r\nContent-Disposition: form-data; name="order_id"; filename="a.txt"\r\n\r\n42\r\n'
    + GOOD_MULTIPART.body.replace(b'name="order_id"', b'name="other"')
)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (GOOD_FORM, Reason.VERIFIED),
        (GOOD_MULTIPART, Reason.VERIFIED),
        (replace(GOOD_FORM, body=GOOD_FORM.body.replace(b"=42", b"=43")), Reason.INVALID_SIGNATURE),
        (replace(GOOD_FORM, body=GOOD_FORM.body + b"&order_id=42"), Reason.DUPLICATE),
        (replace(GOOD_MULTIPART, body=FILE_FIRST), Reason.MALFORMED),
        (replace(GOOD_FORM, body=b"other=1"), Reason.MISSING_ID),
    ],
    ids=["urlencoded", "multipart", "a tampered id", "an id twice", "an id that is a file", "no id"],
)
@pytest.mark.parametrize("behind_middleware", [False, True], ids=["alone", "behind the middleware"])
def test_a_form_that_fastapi_has_parsed_is_judged_from_its_fields(
    sent: Sent, reason: Reason, behind_middleware: bool
) -> None:
    decided: list[Verdict] = []
    guard = Guard(ORDERS, KEY, on_verdict=lambda verdict, _: decided.append(verdict))
    app = FastAPI()

    @app.post("/orders")
    def orders(
        verdict: Annotated[Verdict, Security(GuardSecurity(guard))],
        order_id: Annotated[str, Form()] = "",
        file: UploadFile | None = None,
    ) -> str:
        return f"{verdict.ids['order_id']} {order_id} {file and file.filename}"

    reply = run_asgi(guard.asgi(app) if behind_middleware else app, sent)

    assert reply.status == (200 if reason is Reason.VERIFIED else 401)
    assert decided[0].reason is reason
    if reason is Reason.VERIFIED:
        assert reply.body.startswith(b'"42 42 ')


@pytest.mark.parametrize(("more", "status"), [(0, 200), (-1, 413)], ids=["of the limit", "over the limit"])
@pytest.mark.parametrize("sent", [GOOD_FORM, GOOD_MULTIPART], ids=["urlencoded", "multipart"])
def test_a_form_that_fastapi_has_parsed_is_refused_if_its_length_is_over_the_limit(
    sent: Sent, more: int, status: int
) -> None:
    app = FastAPI()
    signed = GuardSecurity(Guard(ORDERS, KEY, max_body=len(sent.body) + more))

    @app.post("/orders", dependencies=[Security(signed)])
    def orders(order_id: Annotated[str, Form()]) -> str:
        return order_id

    assert run_asgi(app, sent).status == status


def test_a_parsed_form_that_no_source_reads_is_refused_for_its_type() -> None:
    app = FastAPI()
    scheme = ORDERS.replace(
        ids={"order_id": Json("/order_id")}, tenant=None, message="{order_id}", signature=Query("sig")
    )

    @app.post("/orders", dependencies=[Security(GuardSecurity(Guard(scheme, KEY, max_body=1)))])
    def orders(order_id: Annotated[str, Form()]) -> str:
        return order_id

    assert run_asgi(app, GOOD_FORM).status == 415


@pytest.mark.parametrize(
    ("kind", "status"),
    [("application/json", 401), ("image/png", 415), ("text/plain", 415)],
    ids=["JSON", "JSON said to be an image", "JSON said to be text"],
)
def test_a_body_that_fastapi_has_not_parsed_as_a_form_is_read(kind: str, status: int) -> None:
    """With `Form()`, FastAPI makes an empty form for a body of another type, and does not read the body."""
    app = FastAPI()

    @app.post("/orders", dependencies=[Security(GuardSecurity(Guard(ORDERS, KEY)))])
    async def orders(request: Request, note: Annotated[str, Form()] = "") -> Any:
        return await request.json()

    assert (
        run_asgi(app, Sent("POST", "/orders", query_of(), [("Content-Type", kind)], json_of("evil"))).status == status
    )
    assert run_asgi(app, replace(GOOD_JSON, path="/orders")).status == 200


def test_consumed_json_with_an_empty_form_is_refused() -> None:
    app = FastAPI()
    signed = GuardSecurity(Guard(ORDERS, KEY))

    async def consumed(request: Request) -> None:
        async for _ in request.stream():
            pass
        await request.form()

    @app.post("/orders", dependencies=[Depends(consumed), Security(signed)])
    async def orders(request: Request) -> str:
        return "reached"

    assert run_asgi(app, Sent("POST", "/orders", query_of(), [JSON], json_of("evil"))).status == 415


def test_a_partly_read_upload_is_not_read_completely_by_a_second_guard() -> None:
    pieces = [b"image", *[b"x" * 1000] * 20]
    given: list[int] = []
    app = FastAPI()
    guard = Guard(ORDERS, KEY)
    app.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))
    app.add_middleware(GuardMiddleware, guard=guard)

    @app.post("/orders", dependencies=[Security(GuardSecurity(guard))])
    async def orders(request: Request) -> int:
        given.append(len(pieces))
        return len(b"".join([piece async for piece in request.stream()]))

    async def receive() -> Any:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        given.append(message.get("status", 0))

    sent = Sent("POST", "/orders", query_of(), [("Content-Type", "image/png")])
    asyncio.run(app(scope_for(sent), receive, send))

    assert given[0] >= 18
    assert given[1] == 200


def test_a_form_that_no_source_reads_is_refused() -> None:
    app = FastAPI()
    in_query = ORDERS.replace(
        ids={"tenant_id": Query("tenant_id"), "order_id": Query("order_id") | Json("/order_id")}, signature=Query("sig")
    )

    @app.post("/orders", dependencies=[Security(GuardSecurity(Guard(in_query, KEY)))])
    def orders(note: Annotated[str, Form()]) -> str:
        return note

    assert run_asgi(app, Sent("POST", "/orders", query_of(), [FORM], b"note=hello")).status == 415


def test_a_verdict_of_the_same_guard_is_used() -> None:
    verdicts: list[Verdict] = []
    reply = through_middleware_and_route(
        Guard(ORDERS, KEY, on_verdict=lambda verdict, _: verdicts.append(verdict)), GOOD
    )

    assert reply.verdict is verdicts[0]
    assert len(verdicts) == 1


def test_a_verdict_of_another_guard_is_not_used() -> None:
    other = "another key of sixteen bytes or more"
    here = App()
    here.app.add_middleware(GuardMiddleware, guard=Guard(ORDERS, other))
    here.route(here.app, GuardSecurity(Guard(ORDERS, KEY)))

    assert here.answer(Sent("GET", "/orders", query_of(signature=hex_of("acme", "42", key=other)))).status == 401


def test_an_exemption_by_path_does_not_open_a_guarded_route() -> None:
    guard = Guard(ORDERS, KEY, exempt=("/orders",))

    assert through_middleware_and_route(guard, UNSIGNED).status == 401
    assert through_route(guard, UNSIGNED).status == 401


def test_report_mode_calls_the_endpoint_with_the_verdict() -> None:
    assert through_route(Guard(ORDERS, KEY, mode="report"), UNSIGNED).verdict.reason is Reason.MISSING_ID


@pytest.mark.parametrize(("mode", "status"), [("enforce", 503), ("off", 200)])
def test_a_consumed_body_is_refused_if_the_guard_checks_the_request(mode: Mode, status: int) -> None:
    async def take(request: Request) -> None:
        async for _ in request.stream():
            pass

    app = FastAPI()
    app.post("/orders", dependencies=[Depends(take), Security(GuardSecurity(Guard(ORDERS, KEY, mode=mode)))])(
        lambda: "reached"
    )

    assert run_asgi(app, GOOD_JSON).status == status


@pytest.mark.parametrize("through", ["middleware", "dependency", "both"])
def test_an_endpoint_may_ask_whether_the_client_has_gone_before_it_reads_the_body(through: str) -> None:
    """Starlette asks in a cancelled scope, and drops a message that is there without a wait."""
    guard = Guard(ORDERS, KEY)
    app = FastAPI()

    @app.post("/orders", dependencies=[Security(GuardSecurity(guard))] if through != "middleware" else [])
    async def orders(request: Request) -> list[Any]:
        return [await request.is_disconnected(), len(await request.body())]

    if through != "dependency":
        app.add_middleware(GuardMiddleware, guard=guard)

    assert json.loads(run_asgi(app, GOOD_JSON).body) == [False, len(GOOD_JSON.body)]


@pytest.mark.parametrize("through", ["middleware", "dependency", "both"])
def test_an_endpoint_that_does_not_read_the_body_sees_that_the_client_has_gone(through: str) -> None:
    """A long poll ends with its client. Afterwards the body is still there."""
    guard = Guard(ORDERS, KEY)
    app, gone = FastAPI(), asyncio.Event()
    seen: list[object] = []

    @app.post("/orders", dependencies=[Security(GuardSecurity(guard))] if through != "middleware" else [])
    async def orders(request: Request) -> None:
        seen.append(await request.is_disconnected())
        gone.set()
        seen.append(await request.is_disconnected())
        seen.append(len(await request.body()))

    if through != "dependency":
        app.add_middleware(GuardMiddleware, guard=guard)
    messages = [{"type": "http.request", "body": GOOD_JSON.body, "more_body": False}]

    async def receive() -> Any:
        if not messages:
            await gone.wait()
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    asyncio.run(app(scope_for(GOOD_JSON), receive, send))
    assert seen == [False, True, len(GOOD_JSON.body)]


@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_an_endpoint_is_not_called_for_a_client_that_has_gone(mode: Mode) -> None:
    """A server says once that the client has gone. An endless answer would not end."""
    app, called = FastAPI(), []
    app.post("/orders", dependencies=[Security(GuardSecurity(Guard(ORDERS, KEY, mode=mode)))])(lambda: called.append(1))
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope_for(Sent("POST", "/orders", headers=[JSON])), receive, send))

    assert (called, sent[0]["status"]) == ([], 400)


class Limit:
    """A layer that raises in place of a body, as many layers do that limit bodies."""

    def __init__(self, app: Any, error: type[Exception]) -> None:
        self.app, self.error = app, error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def limited() -> Any:
            raise HTTPException(413) if self.error is HTTPException else self.error

        try:
            await self.app(scope, limited if scope["type"] == "http" else receive, send)
        except TooLarge:
            await JSONResponse({}, 413)(scope, receive, send)


class TooLarge(Exception):
    """Caught by the layer itself."""


@pytest.mark.parametrize("error", [HTTPException, TooLarge])
@pytest.mark.parametrize("mode", ["enforce", "report"])
@pytest.mark.parametrize("with_middleware", [True, False], ids=["inside the middleware", "without the middleware"])
def test_an_exception_of_a_layer_outside_of_the_dependency_reaches_it(
    with_middleware: bool, mode: Mode, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    guard = Guard(ORDERS, KEY, mode=mode)
    app = FastAPI()
    app.post("/orders", dependencies=[Security(GuardSecurity(guard))])(lambda: "reached")
    app.add_middleware(Limit, error=error)
    if with_middleware:
        app.add_middleware(GuardMiddleware, guard=guard)

    assert run_asgi(app, GOOD_JSON).status == 413
    assert "failed" not in caplog.text


@pytest.mark.parametrize(
    "message",
    [{"type": "http.disconnect"}, OSError("reset"), TimeoutError()],
    ids=["the client has gone", "the server failed", "a time-out of a layer"],
)
def test_a_body_that_does_not_reach_the_dependency_is_400(message: Any, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(ORDERS, KEY)
    app = FastAPI()
    app.post("/orders", dependencies=[Security(GuardSecurity(guard))])(lambda: "reached")

    async def cut_off(scope: Any, receive: Any, send: Any) -> None:
        async def cut() -> Any:
            if isinstance(message, Exception):
                raise message
            return message

        await app(scope, cut, send)

    assert run_asgi(GuardMiddleware(cut_off, guard=guard), GOOD_JSON).status == 400
    assert caplog.records == []


@pytest.mark.parametrize("length", ["300", "x"], ids=["too large", "not a number"])
def test_a_request_whose_headers_are_refused_is_counted_once(length: str) -> None:
    decisions: list[Reason] = []
    guard = Guard(
        ORDERS, KEY, mode="report", max_body=100, on_decision=lambda decision: decisions.append(decision.verdict.reason)
    )
    app = FastAPI()
    app.post("/orders", dependencies=[Security(GuardSecurity(guard))])(lambda: "reached")
    app.add_middleware(GuardMiddleware, guard=guard)

    reply = run_asgi(app, Sent("POST", "/orders", headers=[JSON, ("Content-Length", length)], body=b" " * 300))

    assert (reply.status, len(decisions)) == (200, 1)


def test_report_mode_replays_a_body_that_is_too_large() -> None:
    sent = Sent("POST", "/orders", headers=[JSON, ("Content-Length", "300")], body=b" " * 300)
    reply = through_route(Guard(ORDERS, KEY, mode="report", max_body=100), sent)

    assert (reply.verdict.reason, reply.app_body) == (Reason.BODY_TOO_LARGE, sent.body)


def test_a_fault_of_the_guard_is_refused_in_report_mode_too(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Scheme):
        def verifying_key(self, *given: Any) -> NoReturn:
            raise ZeroDivisionError

    guard = Guard(
        Broken(**{name: getattr(ORDERS, name) for name in ("name", "ids", "message", "signature")}), KEY, mode="report"
    )
    assert through_route(guard, GOOD).status == 503
    assert "ZeroDivisionError" in caplog.text


def test_an_id_in_a_second_cookie_line_is_where_the_endpoint_reads_it() -> None:
    sent = Sent(
        "GET", "/orders", f"order_id=42&sig={hex_of('acme', '42')}", [("Cookie", "a=b"), ("Cookie", "tenant=acme")]
    )
    app = FastAPI()

    @app.get("/orders", dependencies=[Security(GuardSecurity(Guard(ORDERS, KEY)))])
    def orders(request: Request) -> list[str]:
        return [value.decode() for name, value in request.scope["headers"] if name == b"cookie"]

    assert json.loads(run_asgi(app, sent).body) == ["a=b; tenant=acme"]


def test_a_mounted_application_reads_its_own_path() -> None:
    scheme = ORDERS.replace(ids={"tenant_id": Path("/tenants/{tenant_id}"), "order_id": Query("order_id")})
    inner = FastAPI()

    @inner.get("/tenants/{tenant}", dependencies=[Security(GuardSecurity(Guard(scheme, KEY)))])
    def tenants(tenant: str, request: Request) -> str:
        return tenant + verdict_from(request).ids["tenant_id"]

    outer = FastAPI()
    outer.mount("/api", inner)
    sent = Sent("GET", "/api/tenants/acme", f"order_id=42&sig={hex_of('acme', '42')}")
    assert run_asgi(outer, sent).body == b'"acmeacme"'


def test_a_refusal_of_head_has_no_body() -> None:
    app = FastAPI()
    app.add_api_route(
        "/x", lambda: None, methods=["GET", "HEAD"], dependencies=[Security(GuardSecurity(Guard(ORDERS, KEY)))]
    )
    refused, to_head = (run_asgi(app, Sent(method, "/x")) for method in ("GET", "HEAD"))

    assert (to_head.status, to_head.headers, to_head.body) == (401, refused.headers, b"")
    assert int(to_head.headers["content-length"]) == len(refused.body)


def test_an_exception_handler_of_the_user_is_used() -> None:
    here = App()
    here.route(here.app, GuardSecurity(Guard(ORDERS, KEY)))

    @here.app.exception_handler(GuardRefused)
    async def own(_: Request, refused: GuardRefused) -> JSONResponse:
        return JSONResponse({"own": refused.status_code}, refused.status_code)

    reply = here.answer(UNSIGNED)
    assert (reply.status, reply.body) == (401, b'{"own":401}')


def test_a_handler_for_every_http_exception_does_not_change_the_documented_refusal() -> None:
    here = App()
    here.route(here.app, GuardSecurity(Guard(ORDERS, KEY)))

    @here.app.exception_handler(HTTPException)
    async def own(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"mine": error.detail}, error.status_code)

    reply = here.answer(UNSIGNED)

    assert (reply.status, reply.headers["content-type"]) == (401, "application/problem+json")


def test_without_exception_handlers_the_refusal_is_still_a_401() -> None:
    here = App()
    here.route(here.app, GuardSecurity(Guard(ORDERS, KEY)))

    async def without_table(scope: Any, receive: Any, send: Any) -> None:
        await here.app.router({**scope, "app": here.app, "fastapi_middleware_astack": AsyncExitStack()}, receive, send)

    with pytest.raises(GuardRefused) as refused:
        run_asgi(without_table, UNSIGNED)
    assert (refused.value.status_code, refused.value.headers) == (
        401,
        {"Cache-Control": "no-store", "WWW-Authenticate": 'HMAC realm="hmac_guard"'},
    )


def test_another_object_than_a_guard_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="GuardSecurity: guard must be a Guard, not Scheme"):
        GuardSecurity(ORDERS)  # type: ignore[arg-type]


def websocket_app(guard: Guard, *, by_middleware: bool) -> FastAPI:
    app = FastAPI()
    if by_middleware:
        app.add_middleware(GuardMiddleware, guard=guard)

    @app.websocket("/orders")
    async def orders(websocket: WebSocket, _: Annotated[Verdict, Security(GuardSecurity(guard))]) -> None:
        await websocket.accept()
        await websocket.send_text(verdict_from(websocket).ids["order_id"])
        await websocket.close()

    return app


def websocket_messages(app: Any, sent: Sent, *, denial: bool) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        out.append(message)

    extensions: dict[str, Any] = {"websocket.http.response": {}} if denial else {}
    asyncio.run(app({**scope_for(sent, "websocket"), "extensions": extensions, "subprotocols": []}, receive, send))
    return out


@pytest.mark.parametrize("by_middleware", [True, False])
def test_a_signed_websocket_is_accepted_and_knows_its_ids(by_middleware: bool) -> None:
    out = websocket_messages(websocket_app(Guard(ORDERS, KEY), by_middleware=by_middleware), GOOD, denial=True)

    assert [message.get("text", message["type"]) for message in out] == ["websocket.accept", "42", "websocket.close"]


@pytest.mark.parametrize("by_middleware", [True, False])
def test_an_unsigned_websocket_is_refused_before_it_is_accepted(by_middleware: bool) -> None:
    app = websocket_app(Guard(ORDERS, KEY), by_middleware=by_middleware)
    start, body = websocket_messages(app, UNSIGNED, denial=True)
    [close] = websocket_messages(app, UNSIGNED, denial=False)

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert json.loads(body["body"])["error"]["code"] == "missing_signature"
    assert (close["type"], close["code"]) == ("websocket.close", 1008)


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        (["accept"], ["websocket.accept", "websocket.close"]),
        (["accept", "close"], ["websocket.accept", "websocket.close"]),
    ],
    ids=["accepted", "accepted and closed"],
)
def test_an_unsigned_websocket_is_closed_if_an_earlier_dependency_has_accepted_it(
    before: list[str], sent: list[str]
) -> None:
    app = FastAPI()

    async def earlier(websocket: WebSocket) -> None:
        for name in before:
            await getattr(websocket, name)()

    @app.websocket("/orders", dependencies=[Depends(earlier), Security(GuardSecurity(Guard(ORDERS, KEY)))])
    async def orders(websocket: WebSocket) -> None:
        await websocket.send_text("reached")

    out = websocket_messages(app, UNSIGNED, denial=True)
    assert [message["type"] for message in out] == sent
    assert out[-1]["code"] == (1008 if before == ["accept"] else 1000)


def test_the_openapi_document_describes_signature_ids_and_refusals() -> None:
    app = FastAPI()
    signed = GuardSecurity(Guard(NANGO, KEY))

    @app.get("/inbox", responses=signed.responses)
    def inbox(verdict: Annotated[Verdict, Security(signed)]) -> None: ...

    document = app.openapi()
    operation = document["paths"]["/inbox"]["get"]
    described = document["components"]["securitySchemes"]["nango"]
    assert operation["security"] == [{"nango": []}]
    assert (described["type"], described["in"], described["name"]) == ("apiKey", "query", "hmac")
    assert "HMAC-SHA256 over `{integration_id}:{connection_id}`, written as lower-case hex." in described["description"]
    assert "`connection_id`: query parameter `connection_id`, or JSON body" in described["description"]
    assert "whose key" not in described["description"]
    assert {(field["in"], field["name"], field["required"]) for field in operation["parameters"]} == {
        ("query", "integration_id", False),
        ("query", "connection_id", False),
    }
    optional = GuardSecurity(Guard(NANGO.replace(optional={"connection_id"}), KEY)).model.description
    assert "`connection_id` (optional): query parameter `connection_id`, or JSON body" in str(optional)
    assert set(operation["responses"]) == {"200", "400", "401", "408", "413", "415", "422", "503"}
    examples = operation["responses"]["401"]["content"]["application/problem+json"]["examples"]
    assert {name: example["value"]["error"]["code"] for name, example in examples.items()} == {
        "missing_signature": "missing_signature",
        "invalid_signature": "invalid_signature",
    }


@pytest.mark.parametrize(
    ("signature", "described"),
    [
        (Header("X-Signature"), {"type": "apiKey", "in": "header", "name": "X-Signature"}),
        (Cookie("sig"), {"type": "apiKey", "in": "cookie", "name": "sig"}),
        (Json("/sig") | Header("X-Signature"), {"type": "apiKey", "in": "header", "name": "X-Signature"}),
        (FormSource("sig"), {"type": "http", "scheme": "HMAC"}),
    ],
)
def test_the_description_names_the_place_of_the_signature(signature: Any, described: dict[str, str]) -> None:
    scheme = ORDERS.replace(
        name="my orders", signature=signature, tenant=Header("Authorization", before=":"), prefix="v1="
    )
    app = FastAPI(dependencies=[Security(GuardSecurity(Guard(scheme, {"acme": KEY})))])
    app.get("/orders")(lambda: None)

    found = app.openapi()["components"]["securitySchemes"]["my_orders"]
    assert {name: found[name] for name in described} == described
    assert "written as `v1=` and then lower-case hex" in found["description"]
    assert "- tenant: header `Authorization` before `:`" in found["description"]
    assert "path" not in found["description"]


def test_the_description_shows_what_markdown_would_change() -> None:
    lines = signed_ids(ids={"user": Header("X`User")}, expires=Expires(Query("expires"), max_lifetime=60))
    found = description(Guard(lines, KEY))
    assert found.startswith(r"HMAC-SHA256 over `{user}\n{expires}`, written as lower-case hex.")
    assert "- `user`: header ``X`User``" in found

    ticks = NANGO.replace(message="{integration_id}`{connection_id}", prefix="v``=")
    assert description(Guard(ticks, KEY)).startswith(
        "HMAC-SHA256 over ``{integration_id}`{connection_id}``, written as ```v``=``` and then lower-case hex."
    )


def test_the_responses_of_a_scheme_without_body_sources_omit_body_errors() -> None:
    scheme = ORDERS.replace(ids={"tenant_id": Path("/t/{tenant_id}"), "order_id": Query("o")}, signature=Query("sig"))
    own = GuardSecurity(Guard(scheme, KEY, refusal=lambda code, _: (code.encode(), "text/plain")), scheme_name="own")

    assert set(own.responses) == {401, 503}
    assert own.responses[503]["content"]["text/plain"]["examples"] == {
        "keys_unavailable": {"value": "keys_unavailable"}
    }
    assert own.scheme_name == "own"


def test_routes_that_no_guard_covers_are_listed(tmp_path: Any) -> None:
    signed = [Security(GuardSecurity(Guard(ORDERS, KEY)))]
    app = FastAPI(docs_url="/docs", redoc_url=None)
    shut, half = APIRouter(prefix="/shut", dependencies=signed), APIRouter(prefix="/half")
    shut.add_api_route("/a", lambda: None)
    half.add_api_route("/open", lambda: None)
    half.add_api_route("/shut", lambda: None, dependencies=signed)
    half.add_api_websocket_route("/ws", websocket_endpoint)
    half.add_api_websocket_route("/ws-shut", websocket_endpoint, dependencies=signed)
    app.include_router(shut)
    app.include_router(half, prefix="/v1")
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.mount("/guarded", Guard(ORDERS, KEY).asgi(FastAPI()))

    assert uncovered_routes(app) == [
        "/docs",
        "/docs/oauth2-redirect",
        "/openapi.json",
        "/static/{path:path}",
        "/v1/half/open",
        "/v1/half/ws",
    ]


class Lenient(GuardSecurity):
    async def __call__(self, *_: object, **__: object) -> Verdict:
        return Verdict(Reason.VERIFIED, "orders")


class Named(GuardSecurity):
    """A subclass that guards as its base does."""


class HasGuard:
    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("kind", "covers"), [(GuardSecurity, True), (Named, True), (Lenient, False), (HasGuard, False)]
)
def test_a_dependency_covers_a_route_only_if_it_calls_the_guard(kind: Any, covers: bool) -> None:
    dependency = kind(Guard(ORDERS, KEY))
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", lambda: None, dependencies=[Depends(dependency)])

    assert uncovered_routes(app) == ([] if covers else ["/a"])
    assert run_asgi(app, Sent(path="/a")).status == (401 if covers else 200)


class OwnHandler(APIRoute):
    """Answers before the dependencies run."""

    def get_route_handler(self) -> Any:
        async def answer(request: Request) -> JSONResponse:
            return JSONResponse("reached")

        return answer


class OwnHandle(APIRoute):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse("reached")(scope, receive, send)


@pytest.mark.parametrize("kind", [OwnHandler, OwnHandle])
@pytest.mark.parametrize("how", ["application", "router"])
def test_a_route_class_that_may_answer_before_the_dependency_is_listed(how: str, kind: type[APIRoute]) -> None:
    guard = Guard(ORDERS, KEY)
    app, router = FastAPI(openapi_url=None), APIRouter(route_class=kind)
    app.router.route_class = kind
    (app if how == "application" else router).add_api_route(
        "/a", lambda: None, dependencies=[Security(GuardSecurity(guard))]
    )
    if how == "router":
        app.include_router(router)

    assert uncovered_routes(app) == [f"<{__name__}.{kind.__name__} around /a>"]
    assert uncovered_routes(guard.asgi(app)) == []
    assert run_asgi(app, Sent(path="/a")).status == 200


class OwnRouter(APIRouter):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse("reached")(scope, receive, send)


@pytest.mark.skipif(not hasattr(APIRouter, "handle"), reason="not run: this FastAPI calls no included router")
def test_an_included_router_that_may_answer_before_the_dependency_is_listed() -> None:
    signed = [Security(GuardSecurity(Guard(ORDERS, KEY)))]
    app, outer, inner = FastAPI(openapi_url=None), APIRouter(), OwnRouter(dependencies=signed)
    inner.add_api_route("/a", lambda: None)
    outer.include_router(inner, prefix="/in")
    app.include_router(outer, prefix="/v1")

    assert uncovered_routes(app) == [f"<{__name__}.OwnRouter around /v1/in>"]
    assert run_asgi(app, Sent(path="/v1/in/a")).status == 200


class OrderOf(GuardSecurity):
    async def __call__(self, request: Request, page: int = 1) -> str:  # type: ignore[override]
        verdict = await super().__call__(request)
        return f"{verdict.ids['order_id']} on page {page}"


def test_a_subclass_may_have_its_own_call_and_its_own_parameters() -> None:
    app = FastAPI()

    @app.get("/orders")
    def orders(order: Annotated[str, Security(OrderOf(Guard(ORDERS, KEY)))]) -> str:
        return order

    assert run_asgi(app, replace(GOOD, query=GOOD.query + "&page=2")).body == b'"42 on page 2"'
    assert run_asgi(app, UNSIGNED).status == 401


@pytest.mark.parametrize("name", ["My Scheme", "", "größe", "a\n", 3], ids=repr)
def test_a_name_that_openapi_does_not_allow_is_a_config_error(name: Any) -> None:
    with pytest.raises(ConfigError, match="scheme_name must be text of ASCII letters"):
        GuardSecurity(Guard(ORDERS, KEY), scheme_name=name)


async def websocket_endpoint(websocket: WebSocket) -> None: ...


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="not run: this FastAPI has no frontends")
def test_frontends_that_no_guard_covers_are_listed(tmp_path: Any) -> None:
    signed = [Security(GuardSecurity(Guard(ORDERS, KEY)))]

    def with_frontend(**options: Any) -> FastAPI:
        app = FastAPI(openapi_url=None, **options)
        router = APIRouter(prefix="/in")
        router.frontend("/web", directory=tmp_path)
        app.include_router(router, prefix="/v1")
        app.frontend("/ui", directory=tmp_path)
        return app

    assert uncovered_routes(with_frontend()) == ["/ui/{path:path}", "/v1/in/web/{path:path}"]
    assert uncovered_routes(with_frontend(dependencies=signed)) == []


def test_the_document_has_times_and_the_raw_body() -> None:
    hook = Scheme(
        name="hook",
        ids={"event_id": Header("X-Event")},
        message="{event_id}.{timestamp}.{@method}.{@body}",
        signature=Header("X-Sig").item("v1", separators=(",", "=")),
        timestamp=Timestamp(Header("X-Time"), unit="ms"),
    )
    app = FastAPI()
    signed = GuardSecurity(Guard(hook, KEY, single_use=MemoryOnce(10)))

    @app.post("/hooks", responses=signed.responses, dependencies=[Security(signed)])
    async def hooks() -> None: ...

    document = app.openapi()
    operation = document["paths"]["/hooks"]["post"]
    [described] = document["components"]["securitySchemes"].values()
    assert [parameter["name"] for parameter in operation["parameters"]] == ["X-Event", "X-Time"]
    assert (described["in"], described["name"]) == ("header", "X-Sig")
    assert "- `timestamp`, Unix time in milliseconds: header `X-Time`" in described["description"]
    assert "item `v1` of header `X-Sig`" in described["description"]
    assert "- `@body`: the raw body" in described["description"]
    reasons = set(operation["responses"]["401"]["content"]["application/problem+json"]["examples"])
    assert reasons >= {"expired", "not_yet_valid", "replayed"}
    plain = GuardSecurity(Guard(ORDERS, KEY)).responses[401]["content"]["application/problem+json"]["examples"]
    assert not reasons & {"expired", "not_yet_valid", "replayed"} & set(plain)
