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
from typing import Annotated, Any

import pytest

for framework in ("flask", "fastapi", "django", "falcon", "multipart"):
    pytest.importorskip(framework, reason=f"not run: {framework} is not installed")

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request as StarletteRequest
from support import Sent, environ_for, scope_for
from werkzeug.wrappers import Request as WerkzeugRequest

from hmac_guard import Claim, Cookie, Guard, Header, Json, Keyring, Query, Scheme, verdict_from
from hmac_guard import Form as FormSource
from hmac_guard.django import hmac_guarded
from hmac_guard.fastapi import GuardSecurity
from hmac_guard.flask import GuardExtension

EXAMPLES = int(os.environ.get("HMAC_GUARD_EXAMPLES", "1200"))
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
MODES = ("enforce", "report", "off", None)


class Keys:
    """Keys by tenant, each with the tenant's mode."""

    per_tenant = True
    blocking = False

    def __init__(self, modes: dict[str, str | None]) -> None:
        self._rings = {tenant: Keyring(TENANTS[tenant], mode=mode) for tenant, mode in modes.items()}

    def __call__(self, claim: Claim) -> Keyring | None:
        return self._rings.get(claim.tenant or "")


@dataclass
class Case:
    """A guard and a request, and what stands between middleware and handle."""

    door: str
    places: list[str]
    mode: str
    modes: dict[str, str | None]
    options: dict[str, Any]
    sent: Sent
    tenant: str
    damage: str = ""
    between: str = ""
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

    def may_skip(self) -> bool:
        """Whether the middleware alone lets the request through, whoever sent it."""
        return self.door in ("wsgi", "asgi") and (self.sent.path == "/open" or self.damage == "preflight")


@dataclass
class Result:
    """What came of it: the verdict with which the application was called, and what each place held to a framework."""

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
BODY_DAMAGES = ["cut", "late", "long", "mistyped", "compressed", "lying", "chunked", "endless"]
DAMAGES = ["", "", "", "twice", "odd", *BODY_DAMAGES, "preflight"]
DOORS = ["wsgi", "asgi", "flask", "fastapi", "fastapi form", "django wsgi", "django asgi"]
tenants = st.sampled_from([*TENANTS, "nobody"])


def spelled(draw: st.DrawFn, name: str) -> str:
    return draw(st.sampled_from([name, name, name, name.replace("t", "%74"), name.replace("t", "%74", 1)]))


def field_of(draw: st.DrawFn, name: str, text: str) -> str:
    return f"{spelled(draw, name)}={draw(st.sampled_from([text, text, '%' + format(ord(text[0]), 'x') + text[1:]]))}"


def body_of(draw: st.DrawFn, kind: str, named: list[str], pad: int) -> bytes:
    fields = [("tenant", name) for name in named]
    if pad:
        fields.insert(draw(st.integers(0, len(fields))), ("pad", "x" * pad))
    if kind == "json":
        return ("{" + ", ".join(f'"{name}": "{text}"' for name, text in fields) + "}").encode()
    if kind == "form":
        return "&".join(field_of(draw, name, text) for name, text in fields).encode()
    parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields]
    return ("".join(parts) + "--B--\r\n").encode()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    places = draw(st.lists(st.sampled_from(list(PLACES)), min_size=1, max_size=5, unique=True))
    modes = dict(zip(TENANTS, draw(st.permutations(MODES)), strict=True))
    mode = draw(st.sampled_from(["enforce", "enforce", "enforce", "enforce", "report", "off"]))
    options: dict[str, Any] = draw(st.sampled_from([{}, {}, {"exempt": ("/open",)}, {"only": ("/inbox/",)}]))
    damage = draw(st.sampled_from(DAMAGES))
    tenant = draw(tenants)
    kind = draw(st.sampled_from(["", *(place for place in places if place in ("json", "form"))]))
    if damage in BODY_DAMAGES:
        kind = kind or draw(st.sampled_from(["json", "form"]))
    kind = draw(st.sampled_from(["form", "multipart"])) if kind == "form" else kind
    # One place holds the tenant, as a rule; another one may name another.
    outside = [place for place in places if place in ("query", "header", "cookie")]
    named: dict[str, list[str]] = {place: [] for place in places}
    first = draw(st.sampled_from(outside or places))
    named[first] = [tenant]
    body_place = "json" if kind == "json" else "form"
    in_body = [draw(tenants)] if kind and (body_place in places and body_place != first) and draw(st.booleans()) else []
    in_body = [tenant] if kind and first == body_place else in_body
    if damage == "twice":
        chosen = draw(st.sampled_from([*outside, "body"]))
        (in_body if chosen == "body" else named[chosen]).append(draw(tenants))
    pad = draw(st.sampled_from([0, 10, 200])) if damage != "long" else LIMIT
    body = body_of(draw, kind, in_body, pad) if kind else b""
    sent = Sent("POST" if kind else "GET", draw(st.sampled_from(["/inbox/a", "/open"])) if options else "/inbox/a")
    sent.body = body
    query = ["id=u1", *(field_of(draw, "t", name) for name in named.get("query", ()))]
    headers = [("X-Tenant", name) for name in named.get("header", ())]
    headers += [("Cookie", f"tenant={name}") for name in named.get("cookie", ())]
    signer = draw(st.sampled_from([tenant, tenant, "", "nobody"]))
    key = TENANTS.get(signer, b"n" * 32)
    if signer:
        headers.append(("X-Signature", hmac.new(key, b"u1", hashlib.sha256).hexdigest()))
    if damage == "mistyped":
        headers.append(("Content-Type", draw(st.sampled_from(MISTYPED))))
    elif kind:
        headers.append(("Content-Type", draw(st.sampled_from(TYPES[kind]))))
    if damage == "odd":
        place = draw(st.sampled_from(places))
        query += [f"t={draw(st.sampled_from(['', '%ff', '%00', 'acme%20', '+acme']))}"] if place == "query" else []
        headers += [("X_Tenant", draw(tenants))] if place == "header" else []
        headers += [("Cookie", f'x="; tenant={draw(tenants)}"')] if place == "cookie" else []
    if damage == "compressed":
        headers.append(("Content-Encoding", draw(st.sampled_from(["gzip", "identity", "br"]))))
    if damage == "lying":
        headers.append(("Content-Length", draw(st.sampled_from(["0", "5", "9999", "+7", "7,7"]))))
    sent.chunked = damage == "chunked"
    if damage == "endless":
        headers.append(("Transfer-Encoding", "chunked"))
    if damage == "preflight":
        sent.method, sent.body = "OPTIONS", b""
        headers = [line for line in headers if line[0] not in ("Cookie", "Content-Type")]
        headers += [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")]
    sent.query, sent.headers = "&".join(query), headers
    inner = "&".join(["id=u1", field_of(draw, "t", draw(tenants))])
    cuts = draw(st.lists(st.integers(0, 400), max_size=3))
    between = draw(st.sampled_from(["", "override", "dispatch", "replaced body"]))
    return Case(draw(st.sampled_from(DOORS)), places, mode, modes, options, sent, tenant, damage, between, inner, cuts)


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
    """A body that fails once, at `fails_at`, and then goes on: its end comes late."""

    fails_at = -1

    def read(self, size: int | None = -1) -> bytes:
        if 0 <= self.fails_at <= self.tell():
            self.fails_at = -1
            raise TimeoutError
        if self.fails_at >= 0:
            size = min(size if size is not None and size >= 0 else 10_000, self.fails_at - self.tell())
        return super().read(size)


def through_wsgi(case: Case, result: Result) -> None:
    guard = case.guard()
    environ = environ_for(case.sent)
    body = case.sent.body[: len(case.sent.body) * 2 // 3] if case.damage == "cut" else case.sent.body
    environ["wsgi.input"] = stream = Stream(body)
    if case.damage == "late":
        stream.fails_at = len(body) // 2

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
        app = Flask("modes")

        @GuardExtension(guard).guarded
        def view(anything: str) -> str:
            result.reached(verdict_from(flask_request), read_by_wsgi(flask_request.environ))
            return ""

        app.add_url_rule("/<path:anything>", "view", view, methods=["GET", "POST"])
        return app(environ, start_response)

    inner: Any = {"flask": in_flask, "django wsgi": in_django}.get(case.door, bare)

    def between(environ: dict[str, Any], start_response: Any) -> Any:
        if case.between == "override":
            environ["REQUEST_METHOD"] = "POST"
        elif case.between == "dispatch":
            environ = {**environ, "QUERY_STRING": case.inner_query}
        elif case.between == "replaced body" and environ.get("CONTENT_LENGTH"):
            other = case.sent.body.translate(bytes.maketrans(b"bcd", b"aaa"))
            environ = {**environ, "wsgi.input": io.BytesIO(other)}
        return inner(environ, start_response)

    app: Any = bare if inner is bare else between
    list(guard.wsgi(app)(environ, lambda *_: None))  # type: ignore[arg-type]


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


async def through_asgi(case: Case, result: Result) -> None:
    guard = case.guard()
    messages = messages_of(case)

    async def receive() -> Any:
        message = next(messages, {"type": "http.disconnect"})
        if isinstance(message, Exception):
            raise message
        return message

    async def send(message: Any) -> None:
        pass

    async def whole(receive: Any) -> bytes:
        body, more = b"", True
        while more:
            with suppress(TimeoutError):
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
        return body

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        verdict, body = verdict_from(scope), await whole(receive)

        async def again() -> Any:
            return {"type": "http.request", "body": body}

        reads = await read_by_starlette(StarletteRequest(scope, again))
        read_by_django(reads, lambda: ASGIRequest(scope, io.BytesIO(body)))
        result.reached(verdict, reads)

    async def in_django(scope: Any, receive: Any, send: Any) -> None:
        body = await whole(receive)

        def view(request: Any) -> HttpResponse:
            reads = Reads()
            read_by_django(reads, lambda: request)
            result.reached(verdict_from(request), reads)
            return HttpResponse()

        hmac_guarded(guard)(view)(ASGIRequest(scope, io.BytesIO(body)))

    async def in_fastapi(scope: Any, receive: Any, send: Any) -> None:
        app, signed = FastAPI(openapi_url=None), GuardSecurity(guard)

        async def endpoint(request: FastApiRequest) -> None:
            result.reached(verdict_from(request), await read_by_starlette(request))

        async def with_form(request: FastApiRequest, pad: Annotated[str, Form()] = "") -> None:
            await endpoint(request)

        view = with_form if case.door == "fastapi form" else endpoint
        app.add_api_route("/{anything:path}", view, methods=["GET", "POST"], dependencies=[Security(signed)])
        with suppress(TimeoutError):  # FastAPI has a late body end in the server's own error.
            await app(scope, receive, send)

    inner: Any = {"asgi": bare, "django asgi": in_django}.get(case.door, in_fastapi)

    async def between(scope: Any, receive: Any, send: Any) -> None:
        if case.between == "override":
            scope["method"] = "POST"
        elif case.between == "dispatch":
            scope = {**scope, "query_string": case.inner_query.encode()}
        elif case.between == "replaced body" and case.sent.body:
            other = case.sent.body.translate(bytes.maketrans(b"bcd", b"aaa"))

            async def receive() -> Any:
                return {"type": "http.request", "body": other}

        await inner(scope, receive, send)

    await guard.asgi(bare if inner is bare else between)(scope_for(case.sent), receive, send)


def result_of(case: Case, run: Callable[[Awaitable[None]], None]) -> Result:
    result = Result()
    if case.door in ("wsgi", "flask", "django wsgi"):
        through_wsgi(case, result)
    else:
        run(through_asgi(case, result))
    return result


# --- what must hold ---------------------------------------------------------------------------------------------------


def check_case(case: Case, result: Result) -> None:
    if case.mode != "enforce":
        # The laxer of the two modes holds. A router or a framework may turn a request away by itself.
        assert result.verified is not None or case.door not in ("wsgi", "asgi"), "a lax guard has refused a request"
        return
    if result.verified is not False or case.may_skip():
        return
    assert result.reason not in ("exempt", "preflight"), "a handle took over what was not judged"
    in_force = {tenant for tenant, mode in case.modes.items() if mode in ("enforce", None)}
    named = {place: texts & in_force for place, texts in result.read.items() if place in case.places}
    assert not any(named.values()), f"unverified ({result.reason}), and yet it names a tenant in enforce: {named}"


def test_no_request_of_an_enforced_tenant_reaches_the_application_unverified() -> None:
    seen: Counter[Any] = Counter()
    loop = asyncio.new_event_loop()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(cases())
    def check(case: Case) -> None:
        result = result_of(case, loop.run_until_complete)
        if case.mode == "enforce":
            outcome = {None: "refused", True: "verified", False: "unverified"}[result.verified]
            mode = case.modes.get(case.tenant, "unknown")
            seen.update([(mode, outcome), (case.door, outcome), (case.damage, outcome), (case.between, outcome)])
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
    doors = [(door, outcome) for door in DOORS for outcome in ("verified", "refused", "unverified")]
    damaged = [(damage, "refused") for damage in DAMAGES]
    between = [(what, "verified") for what in ("override", "dispatch", "replaced body")]
    assert [each for each in (*verified, *refused, *passed, *doors, *damaged, *between) if not seen[each]] == []
