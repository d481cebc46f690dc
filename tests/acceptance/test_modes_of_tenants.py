"""A request reaches the application unverified only if no tenant that it names, to any framework, is in enforce.

`HMAC_GUARD_EXAMPLES` says how many requests are generated.
"""

import asyncio
import hashlib
import hmac
import io
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from random import Random
from typing import Annotated, Any

import pytest

pytest.importorskip("flask", reason="not run: Flask is not installed")
pytest.importorskip("fastapi", reason="not run: FastAPI is not installed")
pytest.importorskip("django", reason="not run: Django is not installed")
pytest.importorskip("falcon", reason="not run: Falcon is not installed")

import django_settings  # noqa: F401 -- before the rest of Django
import falcon
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from fastapi import FastAPI, Form, Security
from fastapi import Request as FastApiRequest
from flask import Flask
from flask import request as flask_request
from handles import quiet
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from starlette.requests import Request as StarletteRequest
from support import Sent, environ_for, scope_for
from werkzeug.wrappers import Request as WerkzeugRequest

from hmac_guard import Claim, Cookie, Guard, Header, Json, Keyring, Query, Scheme, verdict_from
from hmac_guard import Form as FormSource
from hmac_guard.django import hmac_guarded
from hmac_guard.fastapi import GuardSecurity
from hmac_guard.flask import GuardExtension
from hmac_guard.guard import Mode

EXAMPLES = int(os.environ.get("HMAC_GUARD_EXAMPLES", "1000"))
LIMIT = 300
TENANTS = {name: (name * 40)[:40].encode() for name in ("acme", "beta", "coop", "dino")}
PLACES = {
    "query": Query("t"),
    "header": Header("X-Tenant"),
    "cookie": Cookie("tenant"),
    "json": Json("/tenant"),
    "form": FormSource("tenant"),
}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
MODES: tuple[Mode | None, ...] = ("enforce", "report", "off", None)


class Keys:
    """Keys by tenant, each with the tenant's mode."""

    per_tenant = True
    blocking = False

    def __init__(self, modes: dict[str, Mode | None]) -> None:
        self._rings = {tenant: Keyring(TENANTS[tenant], mode=mode) for tenant, mode in modes.items()}

    def __call__(self, claim: Claim) -> Keyring | None:
        return self._rings.get(claim.tenant or "")


GUARD_MODES: tuple[Mode, ...] = ("enforce", "enforce", "enforce", "enforce", "enforce", "enforce", "report", "off")


@dataclass
class Case:
    """A guard and a request. `between` is what happens between middleware and handle; `alone` is a handle without
    the middleware."""

    interface: str
    places: list[str]
    mode: Mode
    modes: dict[str, Mode | None]
    options: dict[str, Any]
    sent: Sent
    tenant: str
    damage: str = ""
    between: str = ""
    alone: bool = False
    inner_query: str = ""
    cuts: list[int] = field(default_factory=list)

    def guard(self) -> Guard:
        scheme = Scheme(
            name="modes",
            ids={"id": Query("id") | Json("/id") | FormSource("id")},
            message="{id}",
            signature=Header("X-Signature"),
            tenant=reduce(or_, (PLACES[place] for place in self.places)),
        )
        return Guard(scheme, Keys(self.modes), mode=self.mode, max_body=LIMIT, **self.options)

    def has_handle(self) -> bool:
        return self.interface not in ("wsgi", "asgi")

    def may_skip(self) -> bool:
        """Return whether the middleware lets the request pass."""
        return not self.has_handle() and (self.sent.path == "/open" or self.damage == "preflight")

    def other_body(self) -> bytes:
        """A body of the same length that names other tenants."""
        return self.sent.body.replace(b"coop", b"acme").replace(b"dino", b"beta")


@dataclass
class Result:
    """The result: the verdict that the application got, and what frameworks read in each place."""

    verified: bool | None = None
    reason: str = ""
    read: dict[str, set[str]] = field(default_factory=dict)

    def reached(self, verdict: Any, read: dict[str, set[str]]) -> None:
        self.verified, self.reason, self.read = bool(verdict), verdict.reason.value, read


# --- what is sent -----------------------------------------------------------------------------------------------------

TYPES = {
    "json": ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"],
    "form": ["application/x-www-form-urlencoded", "Application/x-www-form-urlencoded; charset=UTF-8"],
    "multipart": ["multipart/form-data; boundary=B", 'multipart/form-data; boundary="B"'],
}
MISTYPED = [
    *("image/png", "application/octet-stream", "text/plain", "text/csv", "*/*", "application/json-rpc", ""),
    *("application/json; charset=latin-1", "application/x-url-encoded", "multipart/mixed; boundary=B", "video/mp4"),
    *("Multipart/Form-Data; boundary=B", "application/json, text/plain", "application/x-www-form-urlencoded;q"),
]
BODY_DAMAGES = [
    "cut",
    "late",
    "late",
    "long",
    "long",
    "mistyped",
    "compressed",
    "compressed",
    "lying",
    "chunked",
    "endless",
]
DAMAGES = ["", "", "", "", "twice", "odd", *BODY_DAMAGES, "preflight"]
INTERFACES = ["wsgi", "asgi", "flask", "fastapi", "fastapi form", "django wsgi", "django asgi"]
NAMES = [*TENANTS, "absent"]


def spelled(rng: Random, name: str) -> str:
    return rng.choice([name, name, name, name.replace("t", "%74"), name.replace("t", "%74", 1)])


def field_of(rng: Random, name: str, text: str) -> str:
    return f"{spelled(rng, name)}={rng.choice([text, text, f'%{ord(text[0]):x}{text[1:]}'])}"


def body_of(rng: Random, kind: str, named: list[str], pad: int) -> bytes:
    fields = [("tenant", name) for name in named]
    if pad:
        fields.insert(rng.randint(0, len(fields)), ("pad", "x" * pad))
    if kind == "json":
        return ("{" + ", ".join(f'"{name}": "{text}"' for name, text in fields) + "}").encode()
    if kind == "form":
        return "&".join(field_of(rng, name, text) for name, text in fields).encode()
    parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields]
    return ("".join(parts) + "--B--\r\n").encode()


def kind_of(rng: Random, places: list[str], damage: str) -> str:
    kind = rng.choice(["", *(place for place in places if place in ("json", "form"))])
    if damage in BODY_DAMAGES:
        kind = kind or rng.choice(["json", "form"])
    return rng.choice(["form", "multipart"]) if kind == "form" else kind


def named_in(
    rng: Random, places: list[str], kind: str, tenant: str, others: list[str], damage: str
) -> dict[str, list[str]]:
    """Return the tenants in each place: usually one tenant in one place, sometimes another one in the body."""
    body_place = "json" if kind == "json" else "form"
    usable = [place for place in places if place not in ("json", "form") or (kind and place == body_place)]
    named: dict[str, list[str]] = {place: [] for place in places}
    if usable:
        first = rng.choice(usable)
        named[first] = [tenant]
        if kind and body_place in places and body_place != first and rng.random() < 0.7:
            named[body_place] = [rng.choice(others)]
        if damage == "twice":
            named[rng.choice(usable)].append(rng.choice(others))
    return named


def headers_of(rng: Random, named: dict[str, list[str]], kind: str, tenant: str, damage: str) -> list[tuple[str, str]]:
    headers = [("X-Tenant", name) for name in named.get("header", ())]
    headers += [("Cookie", f"tenant={name}") for name in named.get("cookie", ())]
    signer = rng.choice([tenant, tenant, "", "absent"])
    if signer:
        key = TENANTS.get(signer, b"n" * 32)
        headers.append(("X-Signature", hmac.new(key, b"u1", hashlib.sha256).hexdigest()))
    if kind:
        headers.append(("Content-Type", rng.choice(MISTYPED if damage == "mistyped" else TYPES[kind])))
    if damage == "odd":
        headers += [("X_Tenant", rng.choice(NAMES))] if "header" in named else []
        headers += [("Cookie", f'x="; tenant={rng.choice(NAMES)}"')] if "cookie" in named else []
    elif damage == "compressed":
        headers.append(("Content-Encoding", rng.choice(["gzip", "identity", "br"])))
    elif damage == "lying":
        headers.append(("Content-Length", rng.choice(["0", "5", "9999", "+7", "7,7"])))
    elif damage == "endless":
        headers.append(("Transfer-Encoding", "chunked"))
    elif damage == "preflight":
        headers = [line for line in headers if line[0] not in ("Cookie", "Content-Type")]
        headers += [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")]
    return headers


def case_of(rng: Random) -> Case:
    places = rng.sample(list(PLACES), rng.choice([1, 2, 2, 3, 4, 5]))
    options: dict[str, Any] = rng.choice([{}, {}, {"exempt": ("/open",)}, {"only": ("/inbox/",)}])
    modes = dict(zip(TENANTS, rng.sample(MODES, len(MODES)), strict=True))
    lax = [tenant for tenant, mode in modes.items() if mode in ("report", "off")]
    strict = [tenant for tenant in modes if tenant not in lax]
    # Most important: one tenant in report mode together with an enforced tenant.
    damage, tenant, others = rng.choice(DAMAGES), rng.choice([*NAMES, *lax]), [*NAMES, *strict, *strict]
    kind = kind_of(rng, places, damage)
    named = named_in(rng, places, kind, tenant, others, damage)
    pad = LIMIT if damage == "long" else rng.choice([0, 10, 200])
    in_body = named.get("json" if kind == "json" else "form", [])
    query = ["id=u1", *(field_of(rng, "t", name) for name in named.get("query", ()))]
    if damage == "odd" and "query" in named:
        query.append(f"t={rng.choice(['', '%ff', '%00', 'acme%20', '+acme'])}")
    path = rng.choice(["/inbox/a", "/open"]) if options else "/inbox/a"
    sent = Sent("POST" if kind else "GET", path, "&".join(query), headers_of(rng, named, kind, tenant, damage))
    sent.body, sent.chunked = body_of(rng, kind, in_body, pad) if kind else b"", damage == "chunked"
    if damage == "preflight":
        sent.method, sent.body = "OPTIONS", b""
    return Case(
        interface=rng.choice(INTERFACES),
        places=places,
        mode=rng.choice(GUARD_MODES),
        modes=modes,
        options=options,
        sent=sent,
        tenant=tenant,
        damage=damage,
        between=rng.choice(["", "override", "dispatch", "dispatch", "replaced body"]),
        alone=rng.random() < 0.3,
        inner_query="&".join(["id=u1", field_of(rng, "t", rng.choice([*NAMES, *strict, *strict, *strict]))]),
        cuts=[rng.randint(0, 400) for _ in range(rng.randint(0, 3))],
    )


# --- what the frameworks read -----------------------------------------------------------------------------------------


class Reads(dict[str, set[str]]):
    """The texts that frameworks find in each place."""

    def note(self, place: str, read: Callable[[], object]) -> None:
        # A framework that raises reads nothing.
        with suppress(Exception):
            self.add(place, read())

    def add(self, place: str, text: object) -> None:
        if isinstance(text, str):
            self.setdefault(place, set()).add(text)


def drained(stream: Any, most: int) -> bytes:
    """What comes out of a stream, though it fails in between."""
    data = b""
    for _ in range(3):
        with suppress(Exception):
            while len(data) < most and (piece := stream.read(min(50, most - len(data)))):
                data += piece
            return data
    return data


def read_by_wsgi(environ: dict[str, Any]) -> Reads:
    """What Werkzeug, Django and Falcon read."""
    reads, length = Reads(), environ.get("CONTENT_LENGTH") or ""
    most = int(length) if length.isdigit() else 10_000 if environ.get("wsgi.input_terminated") else 0
    body = drained(environ["wsgi.input"], most)

    def fresh() -> dict[str, Any]:
        return {**environ, "wsgi.input": io.BytesIO(body)}

    reads.note("query", lambda: WerkzeugRequest(fresh()).args.get("t"))
    reads.note("header", lambda: WerkzeugRequest(fresh()).headers.get("X-Tenant"))
    reads.note("cookie", lambda: WerkzeugRequest(fresh()).cookies.get("tenant"))
    reads.note("form", lambda: WerkzeugRequest(fresh()).form.get("tenant"))
    reads.note("json", lambda: WerkzeugRequest(fresh()).get_json()["tenant"])
    read_by_django(reads, lambda: WSGIRequest(fresh()))
    reads.note("query", lambda: falcon.Request(fresh()).get_param("t"))
    is_form = environ.get("CONTENT_TYPE", "").lower().startswith(FORMS)
    reads.note("form" if is_form else "json", lambda: falcon.Request(fresh()).get_media()["tenant"])
    return reads


def read_by_django(reads: Reads, request: Callable[[], Any]) -> None:
    reads.note("query", lambda: request().GET.get("t"))
    reads.note("header", lambda: request().headers.get("X-Tenant"))
    reads.note("cookie", lambda: request().COOKIES.get("tenant"))
    reads.note("form", lambda: request().POST.get("tenant"))
    if request().content_type.endswith("json"):
        reads.note("json", lambda: json.loads(request().body)["tenant"])


async def read_by_starlette(request: StarletteRequest) -> Reads:
    reads = Reads()
    reads.note("query", lambda: request.query_params.get("t"))
    reads.note("header", lambda: request.headers.get("X-Tenant"))
    reads.note("cookie", lambda: request.cookies.get("tenant"))
    if not request.headers.get("content-type", "").lower().startswith(FORMS):
        with suppress(Exception):
            reads.add("json", (await request.json())["tenant"])
    with suppress(Exception):
        reads.add("form", (await request.form()).get("tenant"))
    return reads


# --- what is called ---------------------------------------------------------------------------------------------------


class Stream(io.BytesIO):
    """A body that fails once, at `fails_at`, and then continues: its end is late."""

    fails_at = -1

    def read(self, size: int | None = -1) -> bytes:
        if 0 <= self.fails_at <= self.tell():
            self.fails_at = -1
            raise TimeoutError
        if self.fails_at >= 0:
            size = min(size if size is not None and size >= 0 else 10_000, self.fails_at - self.tell())
        return super().read(size)


def wsgi_app(case: Case, guard: Guard, result: Result) -> Any:
    """An application that records its calls, guarded by a handle if the case has one."""

    def bare(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        result.reached(verdict_from(environ), read_by_wsgi(environ))
        start_response("200 OK", [])
        return [b""]

    def in_django(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        def view(request: Any) -> HttpResponse:
            result.reached(verdict_from(request), read_by_wsgi(request.environ))
            return HttpResponse()

        hmac_guarded(guard)(view)(WSGIRequest(environ))
        return [b""]

    def in_flask(environ: dict[str, Any], start_response: Any) -> Any:
        app = Flask("modes", static_folder=None)

        @GuardExtension(guard).guarded
        def view(anything: str) -> str:
            result.reached(verdict_from(flask_request), read_by_wsgi(flask_request.environ))
            return ""

        app.add_url_rule("/<path:anything>", "view", view, methods=["GET", "POST"])
        return app(environ, start_response)

    return {"flask": in_flask, "django wsgi": in_django}.get(case.interface, bare)


def changed_environ(case: Case, environ: dict[str, Any]) -> dict[str, Any]:
    """Change the request as a layer between middleware and handle does."""
    if case.between == "override":
        environ["REQUEST_METHOD"] = "POST"
    elif case.between == "dispatch":
        environ = {**environ, "QUERY_STRING": case.inner_query}
    elif case.between == "replaced body" and environ.get("CONTENT_LENGTH"):
        environ = {**environ, "wsgi.input": io.BytesIO(case.other_body())}
    return environ


def through_wsgi(case: Case, result: Result) -> None:
    guard, environ = case.guard(), environ_for(case.sent)
    app = wsgi_app(case, guard, result)
    body = case.sent.body[: len(case.sent.body) * 2 // 3] if case.damage == "cut" else case.sent.body
    environ["wsgi.input"] = stream = Stream(body)
    if case.damage == "late":
        stream.fails_at = len(body) // 2

    def between(environ: dict[str, Any], start_response: Any) -> Any:
        return app(changed_environ(case, environ), start_response)

    layered: Any = between if case.has_handle() else app
    guarded: Any = layered if case.alone and case.has_handle() else guard.wsgi(layered)
    list(guarded(environ, lambda *_: None))


def messages_of(case: Case) -> Iterator[Any]:
    body = case.sent.body
    ends = sorted(cut for cut in case.cuts if cut < len(body))
    if case.damage in ("cut", "late"):
        ends = [*(end for end in ends if end < len(body) // 2), len(body) // 2]
    for start, end in zip([0, *ends], ends, strict=False):
        yield {"type": "http.request", "body": body[start:end], "more_body": True}
    if case.damage == "late":
        yield TimeoutError()
    if case.damage == "cut":
        yield {"type": "http.disconnect"}
    yield {"type": "http.request", "body": body[ends[-1] if ends else 0 :], "more_body": False}


async def whole_body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        with suppress(TimeoutError):
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    return body


def giving(body: bytes) -> Any:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    return receive


def asgi_app(case: Case, guard: Guard, result: Result) -> Any:
    """An application that records its calls, guarded by a handle if the case has one."""

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        verdict, body = verdict_from(scope), await whole_body(receive)
        reads = await read_by_starlette(StarletteRequest(scope, giving(body)))
        read_by_django(reads, lambda: ASGIRequest(scope, io.BytesIO(body)))
        result.reached(verdict, reads)

    async def in_django(scope: Any, receive: Any, send: Any) -> None:
        def view(request: Any) -> HttpResponse:
            reads = Reads()
            read_by_django(reads, lambda: request)
            result.reached(verdict_from(request), reads)
            return HttpResponse()

        hmac_guarded(guard)(view)(ASGIRequest(scope, io.BytesIO(await whole_body(receive))))

    async def in_fastapi(scope: Any, receive: Any, send: Any) -> None:
        app, signed = FastAPI(openapi_url=None), GuardSecurity(guard)

        async def endpoint(request: FastApiRequest) -> None:
            result.reached(verdict_from(request), await read_by_starlette(request))

        async def with_form(request: FastApiRequest, pad: Annotated[str, Form()] = "") -> None:
            await endpoint(request)

        view = with_form if case.interface == "fastapi form" else endpoint
        app.add_api_route("/{anything:path}", view, methods=["GET", "POST"], dependencies=[Security(signed)])
        with suppress(TimeoutError):  # With FastAPI, a late body ends in an error of the server.
            await app(scope, receive, send)

    return {"asgi": bare, "django asgi": in_django}.get(case.interface, in_fastapi)


def changed_scope(case: Case, scope: Any, receive: Any) -> tuple[Any, Any]:
    """Change the request as a layer between middleware and handle does."""
    if case.between == "override":
        scope["method"] = "POST"
    elif case.between == "dispatch":
        scope = {**scope, "query_string": case.inner_query.encode()}
    elif case.between == "replaced body" and case.sent.body:
        receive = giving(case.other_body())
    return scope, receive


async def through_asgi(case: Case, result: Result) -> None:
    guard, messages = case.guard(), messages_of(case)
    app = asgi_app(case, guard, result)

    async def receive() -> Any:
        message = next(messages, {"type": "http.disconnect"})
        if isinstance(message, Exception):
            raise message
        return message

    async def send(message: Any) -> None:
        pass

    async def between(scope: Any, receive: Any, send: Any) -> None:
        await app(*changed_scope(case, scope, receive), send)

    layered = between if case.has_handle() else app
    guarded = layered if case.alone and case.has_handle() else guard.asgi(layered)
    await guarded(scope_for(case.sent), receive, send)


def result_of(case: Case, run: Callable[[Awaitable[None]], None]) -> Result:
    result = Result()
    if case.interface in ("wsgi", "flask", "django wsgi"):
        through_wsgi(case, result)
    else:
        run(through_asgi(case, result))
    return result


# --- what must hold ---------------------------------------------------------------------------------------------------


def check_case(case: Case, result: Result) -> None:
    if case.mode != "enforce":
        # The less strict mode applies. A router or a framework may also refuse a request.
        assert result.verified is not None or case.has_handle(), "a lax guard has refused a request"
        return
    if result.verified is not False or case.may_skip():
        return
    assert result.reason not in ("exempt", "preflight"), "a handle used a verdict of a skipped request"
    enforced = {tenant for tenant, mode in case.modes.items() if mode in ("enforce", None)}
    named = {place: texts & enforced for place, texts in result.read.items() if place in case.places}
    assert not any(named.values()), f"unverified ({result.reason}), and yet it names a tenant in enforce: {named}"


@pytest.mark.without_coverage
def test_no_request_of_an_enforced_tenant_reaches_the_application_unverified() -> None:
    seen: Counter[Any] = Counter()
    loop = asyncio.new_event_loop()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.randoms(use_true_random=True))
    def check(rng: Random) -> None:
        case = case_of(rng)
        note(case)
        result = result_of(case, loop.run_until_complete)
        if case.mode == "enforce":
            outcome = {None: "refused", True: "verified", False: "unverified"}[result.verified]
            mode = case.modes.get(case.tenant, "unknown")
            seen.update((what, outcome) for what in (mode, case.interface, case.damage, case.between, case.alone))
        check_case(case, result)

    try:
        with quiet():
            check()
    finally:
        loop.close()
    print(sorted(seen.items(), key=str))
    verified = [(mode, "verified") for mode in ("enforce", "report", None)]
    refused = [(mode, "refused") for mode in ("enforce", "report", "off", None, "unknown")]
    passed = [(mode, "unverified") for mode in ("report", "off")]
    interfaces = [(interface, outcome) for interface in INTERFACES for outcome in ("verified", "refused", "unverified")]
    damaged = [(damage, "refused") for damage in DAMAGES]
    between = [(what, "verified") for what in ("override", "dispatch", "replaced body")]
    assert [each for each in (*verified, *refused, *passed, *interfaces, *damaged, *between) if not seen[each]] == []
