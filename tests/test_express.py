"""The express lane reads what the plain reader reads, or leaves the request to it."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support import Sent, environ_for, scope_for
from test_both_doors_agree import GUARDS, requests

from hmac_guard import Guard, Header, Json, Path, Query, Scheme
from hmac_guard.asgi.request import AsgiRequest, HeaderNames
from hmac_guard.core import decision
from hmac_guard.core.express import compile_reader
from hmac_guard.core.request import Request
from hmac_guard.wsgi.request import WsgiRequest

EXAMPLES = int(os.environ.get("HMAC_GUARD_EXAMPLES", "2000"))
PAIR = Scheme(
    name="pair",
    ids={"a": Query("a") | Path("/x/{a}"), "b": Query("b") | Header("X-B") | Json("/b")},
    message="{a}:{b}",
    signature=Query("sig"),
    tenant=Header("X-Tenant", before=":"),
)


def made(sent: Sent, scheme: Scheme) -> list[Request]:
    both: list[Request] = [WsgiRequest(environ_for(sent)), AsgiRequest(scope_for(sent), HeaderNames(scheme))]
    for request in both:
        request.body = sent.delivered()
    return both


def express(scheme: Scheme, sent: Sent, with_tenant: bool = False) -> list[bool]:
    """Whether the express lane takes the request, at each door; what it reads is what the plain reader reads."""
    taken = []
    for quick, plain in zip(made(sent, scheme), made(sent, scheme), strict=True):
        claim = compile_reader(scheme, with_tenant=with_tenant)(quick)
        assert claim in (None, decision.read(scheme, plain, with_tenant=with_tenant))
        taken.append(claim is not None)
    return taken


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(requests())
def test_generated_requests_are_read_alike(sent: Sent) -> None:
    for watched in GUARDS:
        guard: Guard = watched.guard
        express(guard.scheme, sent, guard.per_tenant)


TENANT = ("X-Tenant", "acme:x")


@pytest.mark.parametrize(
    "sent",
    [
        Sent(query="a=1&b=2&sig=0", headers=[TENANT]),
        Sent(query="x=y&sig=0&b=2&abc=3&a=1", headers=[TENANT]),
        Sent(path="/x/1", query="sig=0", headers=[("X-B", "2"), TENANT]),
        Sent("POST", "/x/1", "sig=0", [("Content-Type", "application/json"), TENANT], b'{"b":"2"}'),
    ],
    ids=["query", "other fields", "path and header", "path and JSON"],
)
def test_a_plain_request_takes_the_express_lane(sent: Sent) -> None:
    assert express(PAIR, sent, with_tenant=True) == [True, True]


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
        sent.headers = [*sent.headers, TENANT]

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
