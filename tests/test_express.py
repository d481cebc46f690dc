"""The express lane reads what the plain reader reads, or leaves the request to it."""

import json
import os
from collections import Counter
from dataclasses import replace
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from support import Sent, environ_for, scope_for
from test_both_doors_agree import GUARDS, requests

from hmac_guard import ConfigError, Cookie, Form, Guard, Header, Json, Path, Query, Scheme
from hmac_guard.asgi.body import Body
from hmac_guard.asgi.express import SCOPE, plain_length
from hmac_guard.asgi.request import AsgiRequest, HeaderNames
from hmac_guard.core import decision
from hmac_guard.core.express import Reader, compile_reader
from hmac_guard.core.field import Lookup, Source
from hmac_guard.core.request import Request
from hmac_guard.core.wire import REQUEST
from hmac_guard.wsgi.express import ENVIRON
from hmac_guard.wsgi.request import WsgiRequest

EXAMPLES = int(os.environ.get("HMAC_GUARD_EXAMPLES", "1000"))
PAIR = Scheme(
    name="pair",
    ids={"a": Query("a") | Path("/x/{a}"), "b": Query("b") | Header("X-B") | Json("/b")},
    message="{a}:{b}",
    signature=Query("sig"),
    tenant=Header("X-Tenant", before=":"),
)


#: Nothing of it travels in a body, so that the doors' own wires take it.
BODILESS = Scheme(
    name="bodiless",
    ids={"a": Path("/x/{a}") | Header("X-A"), "b": Header("X-B") | Cookie("b") | Query("b")},
    message="{a}:{b}",
    signature=Header("X-Sig"),
    tenant=Header("X-Tenant", before=":"),
)


def made(sent: Sent, scheme: Scheme) -> list[Request]:
    both: list[Request] = [WsgiRequest(environ_for(sent)), AsgiRequest(scope_for(sent), HeaderNames.of(scheme))]
    for request in both:
        request.body = sent.delivered()
    return both


@lru_cache(maxsize=8)
def readers(scheme: Scheme, with_tenant: bool) -> list[Reader]:
    """That of any request, and those of the doors."""
    return [compile_reader(scheme, with_tenant=with_tenant, wire=wire) for wire in (REQUEST, ENVIRON, SCOPE)]


def express(scheme: Scheme, sent: Sent, with_tenant: bool = False) -> list[bool]:
    """Whether the express lane takes the request, at each door; what it reads is what the plain reader reads.

    A door's own wire takes the same requests, as far as they are plain to it.
    """
    taken = []
    read, *of_doors = readers(scheme, with_tenant)
    bare = zip(of_doors, (environ_for(sent), scope_for(sent)), are_plain(scheme, sent), strict=True)
    for quick, plain, (read_bare, raw, is_plain) in zip(made(sent, scheme), made(sent, scheme), bare, strict=True):
        claim = read(quick)
        assert claim in (None, decision.read(scheme, plain, with_tenant=with_tenant))
        if is_plain:
            assert read_bare(raw, *([body_of(sent)] if scheme.needs_body else [])) == claim
        elif not scheme.needs_body:
            assert read_bare(raw) is None
        taken.append(claim is not None)
    return taken


def body_of(sent: Sent) -> Body:
    """The body as the door of ASGI has it when it has read it."""
    body = Body(None)
    body.content = sent.delivered()
    return body


def are_plain(scheme: Scheme, sent: Sent) -> list[bool]:
    """Whether the request is plain to the wire of each door: WSGI's has no bodies, ASGI's one spelling of a header."""
    no_preflight = sent.method != "OPTIONS"
    usual = not any("_" in name for name, _ in sent.headers)
    body = not scheme.needs_body or plain_length(scope_for(sent)) == len(sent.delivered())
    return [no_preflight and not scheme.needs_body, no_preflight and usual and body]


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(requests())
def test_generated_requests_are_read_alike(sent: Sent) -> None:
    for watched in GUARDS:
        guard: Guard = watched.guard
        express(guard.scheme, sent, guard.per_tenant)


PLACES = {
    "org": [Path("/orgs/{org}", "/{org}"), Query("org"), Header("X-Org"), Json("/org"), Form("org"), Query("o")],
    "user": [Query("user"), Cookie("user"), Json("/deep/user", allow_int=True), Form("user"), Path("/orgs/{user}")],
    "signature": [Header("X-Signature"), Query("sig"), Json("/sig"), Form("sig")],
    "tenant": [Header("X-Tenant", before=":"), Query("org"), Header("X-Org"), Json("/org"), Query("sig")],
}


rarely = st.sampled_from([True, *[False] * 7])


@st.composite
def schemes(draw: st.DrawFn) -> Scheme:
    """Any strings in any places; the tenant may be one of the ids, or stand beside them."""
    found: dict[str, Source] = {
        name: reduce(or_, draw(st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True)))
        for name, places in PLACES.items()
    }
    return Scheme(
        name="drawn",
        ids={"org": found["org"], "user": found["user"]},
        message=draw(st.sampled_from(["{org}:{user}", "{user}/{org}", "v1%.{org}.{user}.", "{org}::{user}"])),
        signature=found["signature"],
        tenant=draw(st.sampled_from([None, found["tenant"]])),
    )


@st.composite
def sent_to(draw: st.DrawFn, scheme: Scheme) -> Sent:
    """A plain request to a scheme: each string in one of its places, and now and then in a second one."""
    sent = Sent()
    query: list[str] = []
    headers: list[tuple[str, str]] = []
    document: dict[str, Any] = {}
    sources = {**scheme.ids, "signature": scheme.signature, **({"tenant": scheme.tenant} if scheme.tenant else {})}
    for source in sources.values():
        for place in draw(st.lists(st.sampled_from(source.places()), min_size=1, max_size=2 if draw(rarely) else 1)):
            value = draw(st.sampled_from(["acme", "a1", "x-y", "a:b", ""]))
            match place:
                case Path():
                    sent.path = f"/orgs/{value}"
                case Query(name=name):
                    query.append(f"{name}={value}")
                case Header(name=name, before=before):
                    headers.append((name, value + before))
                case Json(pointer=pointer):
                    first, *rest = pointer[1:].split("/")
                    document[first] = {rest[0]: value} if rest else value
                case _:
                    continue
    sent.query, sent.headers = "&".join(query), headers
    if document:
        sent.method, sent.body = "POST", json.dumps(document).encode()
        headers.append(("Content-Type", "application/json"))
    return sent


def test_generated_schemes_are_read_alike() -> None:
    taken: Counter[bool] = Counter()

    @settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        try:
            scheme = data.draw(schemes())
        except ConfigError:
            reject()
        sent = data.draw(st.one_of(sent_to(scheme), requests()))
        taken.update(express(scheme, sent, with_tenant=scheme.tenant is not None))

    hold()
    assert taken[True] > EXAMPLES / 10


@pytest.mark.parametrize("text", ["'", '"', "#", "''')", "\\", "\\'", "');raise(SystemExit", "%s", "$x", "}}{{"])
def test_no_text_of_a_scheme_becomes_code(text: str) -> None:
    plain = text.replace("}}{{", "}{")
    scheme = Scheme(
        name=plain,
        ids={"a": Json("/" + plain), "b": Header("X-B", before=plain)},
        message=f"{text}{{a}}{text}{{b}}",
        signature=Query("sig"),
    )
    headers = [("Content-Type", "application/json"), ("X-B", f"two{plain}three")]
    sent = Sent("POST", "/", "sig=0", headers, json.dumps({plain: "one"}).encode())
    claim = compile_reader(scheme, with_tenant=False)(made(sent, scheme)[1])

    assert claim is not None
    assert (claim.scheme, claim.message) == (plain, f"{plain}one{plain}two".encode())


TENANT = ("X-Tenant", "acme:x")


@pytest.mark.parametrize(
    "sent",
    [
        Sent(query="a=1&b=2&sig=0", headers=[TENANT]),
        Sent(query="x=y&sig=0&b=2&abc=3&a=1", headers=[TENANT]),
        Sent(path="/x/1", query="sig=0", headers=[("X-B", "2"), TENANT]),
        Sent("POST", "/x/1", "sig=0", [("Content-Type", "application/json"), TENANT], b'{"b":"2"}'),
        Sent(query="&".join(["x=y", "abc=3"] * 100) + "&sig=0&b=2&a=1", headers=[TENANT]),
    ],
    ids=["query", "other fields", "path and header", "path and JSON", "many other fields"],
)
def test_a_plain_request_takes_the_express_lane(sent: Sent) -> None:
    assert express(PAIR, sent, with_tenant=True) == [True, True]


BODILESS_PLAIN = [("X-A", "1"), ("X-B", "2"), ("X-Sig", "0"), TENANT]


@pytest.mark.parametrize(
    "sent",
    [
        Sent(headers=BODILESS_PLAIN),
        Sent(headers=[("X_A", "1"), ("x-b", "2"), ("X-SIG", "0"), ("X_tenant", "acme:x"), ("X-Y", "1"), ("X-Y", "2")]),
        Sent(path="/x/1", query="b=2", headers=BODILESS_PLAIN[2:]),
        Sent(path="/x/1", headers=[*BODILESS_PLAIN[1:3], ("X-Tenant", "a" * 1024 + ":x")]),
    ],
    ids=["headers", "other spellings", "path and query", "a long tenant"],
)
def test_a_plain_request_without_a_body_takes_the_lane_of_each_door(sent: Sent) -> None:
    assert express(BODILESS, sent, with_tenant=True) == [True, True]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [*BODILESS_PLAIN, ("X-A", "1")]},
        {"headers": [*BODILESS_PLAIN, ("x_sig", "0")]},
        {"headers": [("x-tenant", "other:x"), *BODILESS_PLAIN]},
        {"headers": [("X-A", "1,1"), *BODILESS_PLAIN[1:]]},
        {"headers": [("X-A", "\xe9"), *BODILESS_PLAIN[1:]]},
        {"headers": [("X-A", ""), *BODILESS_PLAIN[1:]]},
        {"headers": BODILESS_PLAIN[1:]},
        {"headers": [*BODILESS_PLAIN[:3], ("X-Tenant", "a" * 1025 + ":x")]},
        {"headers": [*BODILESS_PLAIN, ("Cookie", "c=1")]},
        {"headers": [*BODILESS_PLAIN, ("Cookie", "c=1"), ("Cookie", "b=2")]},
        {"path": "/x/1"},
        {"path": "//"},
        {"query": "b=2"},
    ],
    ids=ascii,
)
def test_what_is_not_plain_and_has_no_body_is_left_by_each_door(changes: dict[str, Any]) -> None:
    assert express(BODILESS, replace(Sent(headers=BODILESS_PLAIN), **changes), with_tenant=True) == [False, False]


@pytest.mark.parametrize("twin", [b"_sig", b"-SIG", b"_SIG", b"-Sig"])
@pytest.mark.parametrize("first", [True, False])
def test_a_twin_in_any_spelling_is_left_to_the_plain_reader(twin: bytes, first: bool) -> None:
    scheme = Scheme(name="odd", ids={"a": Query("a")}, message="{a}", signature=Header("-Sig"))
    headers = [(b"-sig", b"0"), (twin, b"1")]
    scope = {**scope_for(Sent(query="a=x")), "headers": headers if first else headers[::-1]}
    read = compile_reader(scheme, with_tenant=False, wire=SCOPE)

    assert read(scope) is None
    assert read({**scope, "headers": headers[:1]}) is not None


def test_a_source_of_ones_own_is_left_to_its_own_look_up() -> None:
    class Strict(Query):
        def lookup(self, name: str) -> Lookup:
            return lambda request: [value for value in super(Strict, self).lookup(name)(request) if value != "evil"]

    class Elsewhere(Source):
        def lookup(self, name: str) -> Lookup:
            return lambda request: [request.method]

    for source in (Strict("a"), Query("a") | Elsewhere()):
        scheme = BODILESS.replace(ids={"a": source, "b": Query("b")})
        assert express(scheme, Sent(query="a=evil&b=2", headers=BODILESS_PLAIN[2:])) == [False, False]


def test_what_may_be_a_preflight_is_left_to_the_guard() -> None:
    sent = Sent("OPTIONS", headers=BODILESS_PLAIN)

    assert compile_reader(BODILESS, with_tenant=True, wire=SCOPE)(scope_for(sent)) is None
    assert compile_reader(BODILESS, with_tenant=True, wire=ENVIRON)(environ_for(sent)) is None


def test_the_lane_of_asgi_knows_a_mount_point() -> None:
    sent = Sent(path="/mount/x/1", root="/mount", headers=BODILESS_PLAIN[1:])
    claim = compile_reader(BODILESS, with_tenant=True, wire=SCOPE)(scope_for(sent))

    assert claim is not None
    assert claim.ids == {"a": "1", "b": "2"}


def test_headers_that_can_be_gone_through_once_are_left_alone() -> None:
    scope = {**scope_for(Sent()), "headers": iter([(b"x-a", b"1")])}

    assert compile_reader(BODILESS, with_tenant=False, wire=SCOPE)(scope) is None
    assert list(scope["headers"]) == [(b"x-a", b"1")]


def test_a_scope_and_an_environ_may_leave_out_what_is_empty() -> None:
    scheme = BODILESS.replace(ids={"a": Query("a") | Path("/{a}")}, message="{a}", optional=(), tenant=None)

    assert compile_reader(scheme, with_tenant=False, wire=SCOPE)({"type": "websocket"}) is None
    assert compile_reader(scheme, with_tenant=False, wire=ENVIRON)({}) is None


@pytest.mark.parametrize("source", [Query("x"), Header("X"), Json("/x")], ids=repr)
def test_a_tenant_that_is_an_id_too_takes_the_express_lane(source: Source) -> None:
    scheme = Scheme(name="one", ids={"a": source}, message="{a}", signature=Query("sig"), tenant=source)
    sent = {
        Query: Sent(query="sig=0&x=1"),
        Header: Sent(query="sig=0", headers=[("X", "1")]),
        Json: Sent("POST", "/", "sig=0", [("Content-Type", "application/json")], b'{"x":"1"}'),
    }[type(source)]

    assert express(scheme, sent, with_tenant=True) == [True, True]


@pytest.mark.parametrize("pointer", ["/x", "/x/y", "/x/y/z", "/x/0"])
def test_a_pointer_of_any_depth_takes_the_express_lane(pointer: str) -> None:
    document: Any = "1"
    for token in reversed(pointer[1:].split("/")):
        document = [document] if token == "0" else {token: document}
    scheme = Scheme(name="one", ids={"a": Json(pointer)}, message="{a}", signature=Query("sig"))
    body = json.dumps(document).encode()

    assert express(scheme, Sent("POST", "/", "sig=0", [("Content-Type", "application/json")], body)) == [True, True]


@pytest.mark.parametrize(
    "sent",
    [
        Sent(query="a=1&b=2"),
        Sent(query="a=1&b=2&sig="),
        Sent(query="a=1&a=1&b=2&sig=0"),
        Sent(query="a=1&b=%32&sig=0"),
        Sent(query="a=1&b=1+2&sig=0"),
        Sent(query="a=1&b=2:3&sig=0"),
        Sent(query="a=1&b=\xe9&sig=0"),
        Sent(query="a=1&b=2&sig=\xe9"),
        Sent(query="a=1&b=2 3&sig=0"),
        Sent(query="a=1&b=" + "2" * 1030 + "&sig=0"),
        Sent(query="a=1&b=2&sig=0" + "&" * 1000),
        Sent(query="a=1&b=2&sig=0" + "&x=y" * 100 + "&a=1"),
        Sent(query="a=1&b=2&sig=0" + "&x=y" * 100 + "&a"),
        Sent(path="/x/1", query="a=1&b=2&sig=0"),
        Sent(path="//x", query="a=1&b=2&sig=0"),
        Sent(query="a=1&b=2&sig=0", headers=[("X-B", "2")]),
        Sent(query="a=1&sig=0", headers=[("X-B", "2,3")]),
        Sent(query="a=1&b=2&sig=0", headers=[("X-Tenant", "acme")]),
        Sent("POST", "/", "a=1&sig=0", [("Content-Type", "application/json")], b'{"b":2}'),
        Sent("POST", "/", "a=1&sig=0", [("Content-Type", "application/json")], b'{"b":'),
        Sent("POST", "/", "a=1&b=2&sig=0", [("Content-Type", "text/plain")], b"b=2"),
    ],
    ids=lambda sent: ascii((sent.path, sent.query[:30], sent.headers, sent.body))[:80],
)
def test_what_is_not_plain_is_left_to_the_plain_reader(sent: Sent) -> None:
    if not any(name == "X-Tenant" for name, _ in sent.headers):
        sent = replace(sent, headers=[*sent.headers, TENANT])

    assert express(PAIR, sent, with_tenant=True) == [False, False]


@pytest.mark.parametrize(
    "sent",
    [
        Sent(query="a=1&b=2&sig=0&t=\xc3\xa9"),
        Sent(query="a=1&b=2&sig=0&t=a b"),
        Sent(query="a=1&b=2&sig=0\x01&t=acme"),
        Sent("POST", "/", "a=1&b=2&t=acme", [("Content-Type", "application/json")], b'{"sig":"  "}'),
    ],
    ids=["a tenant in raw bytes", "a tenant with a raw space", "a control character", "a blank signature"],
)
def test_a_tenant_or_signature_that_is_not_visible_is_left_to_the_plain_reader(sent: Sent) -> None:
    scheme = PAIR.replace(
        ids={"a": Query("a"), "b": Query("b")}, tenant=Query("t"), signature=Query("sig") | Json("/sig")
    )

    assert express(scheme, sent, with_tenant=True) == [False, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"message": "{a}\n{b}"},
        {"ids": {"a": Header("X-Tenant"), "b": Query("b")}, "tenant": Header("X-Tenant", before=":")},
    ],
    ids=["a separator that is not visible", "two strings from one header"],
)
def test_a_scheme_that_is_not_plain_never_takes_it(changes: dict[str, Any]) -> None:
    sent = Sent(query="a=1&b=2&sig=0", headers=[("X-Tenant", "acme:x")])

    assert express(PAIR.replace(**changes), sent, with_tenant=True) == [False, False]
