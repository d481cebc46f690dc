"""Law 1, and equal verdicts over WSGI and ASGI: generated valid and hostile requests.

`HMAC_GUARD_EXAMPLES` says how many are generated (`make fuzz`: 200,000).
"""

import hashlib
import hmac
import json
import logging
import os
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Reply, Sent, call_asgi, call_wsgi

from hmac_guard import Claim, Cookie, Form, Guard, Header, Json, Path, Query, Scheme, Verdict

EXAMPLES = int(os.environ.get("HMAC_GUARD_EXAMPLES", "1000"))
KEYS = {"acme": b"a" * 32, "umbrella": b"u" * 32}

EVERYWHERE = Scheme(
    name="everywhere",
    ids={
        "org": Path("/orgs/{org}", "/orgs/{org}/inbox") | Query("org") | Header("X-Org") | Json("/org") | Form("org"),
        "user": Query("user") | Cookie("user") | Json("/deep/user", allow_int=True) | Form("user"),
    },
    message="{org}:{user}",
    signature=Header("X-Signature") | Query("sig") | Json("/sig") | Form("sig"),
    tenant=Header("X-Tenant", before=":"),
    optional={"user"},
)
IN_BODY = Scheme(
    name="in-body",
    ids={"org": Json("/org") | Form("org"), "user": Json("/deep/user") | Form("user")},
    message="{org}:{user}",
    signature=Json("/sig") | Form("sig"),
)

ids = st.one_of(
    st.sampled_from(["a", "acme", "größe-日本-🚀", "a b", "user+tag@example.com", "a:b", "x" * 1024, "'\"<>&#%"]),
    st.text(min_size=1, max_size=12),
)
odd = st.one_of(
    st.sampled_from(["", " ", "%00", "%zz", "%ff", "\xff", "a,b", '"q"', "%C3%A9", "\xe9", "a\tb", "\x00", "x" * 1100]),
    st.text(alphabet=st.characters(max_codepoint=255), max_size=12),
)


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A valid request, usually damaged in one or two places."""
    org, user = draw(ids), draw(ids)
    tenant = draw(st.sampled_from(["acme", "umbrella", "unknown-tenant"]))
    signed = f"{org}:{user}".encode("utf-8", "surrogatepass")
    signature = hmac.new(KEYS.get(tenant, b"n" * 32), signed, hashlib.sha256).hexdigest()
    values: dict[str, Any] = {"org": org, "user": user, "sig": signature}
    path, query, headers, body = "/", [], [("X-Tenant", f"{tenant}:rest")], b""
    kind = draw(st.sampled_from(["query", "path", "json", "form", "multipart", "cookie", "header"]))

    def escaped(text: str) -> str:
        return quote(text.encode("utf-8", "surrogatepass"), safe="")

    if kind == "query":
        query = [f"{name}={escaped(value)}" for name, value in values.items()]
    elif kind == "path":
        path = "/orgs/" + org.encode("utf-8", "surrogatepass").decode("latin-1")
        query = [f"user={escaped(user)}", f"sig={signature}"]
    elif kind == "json":
        document = {"org": org, "deep": {"user": user}, "sig": signature}
        headers.append(("Content-Type", draw(st.sampled_from(["application/json", "application/problem+json"]))))
        body = json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    elif kind == "form":
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        body = "&".join(f"{name}={escaped(value)}" for name, value in values.items()).encode()
    elif kind == "multipart":
        headers.append(("Content-Type", "multipart/form-data; boundary=B"))
        parts = [f'--B\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in values.items()]
        body = ("".join(parts) + "--B--\r\n").encode("utf-8", "surrogatepass")
    elif kind == "cookie":
        query = [f"org={escaped(org)}"]
        headers += [("Cookie", f"theme=dark; user={draw(st.one_of(st.just('u'), odd))}"), ("X-Signature", signature)]
    else:
        headers += [("X-Org", draw(st.one_of(st.just("acme"), odd))), ("X-Signature", signature)]
        query = [f"user={escaped(user)}"]
    return draw(damaged(Sent("POST" if body else "GET", path, "&".join(query), headers, body)))


@st.composite
def damaged(draw: st.DrawFn, sent: Sent) -> Sent:
    for kind in draw(
        st.lists(st.sampled_from(["query", "header", "path", "body", "cut", "type", "length"]), max_size=2)
    ):
        headers = list(sent.headers)
        if kind == "query":
            name = draw(st.sampled_from(["org", "user", "sig", "%6frg", "other", "o%72g", "+org"]))
            sent.query += f"&{name}={draw(odd)}"
        elif kind == "header":
            name = draw(st.sampled_from(["X-Org", "X-Signature", "X-Tenant", "Cookie", "Content-Encoding"]))
            headers.insert(draw(st.integers(0, len(headers))), (name, draw(odd)))
        elif kind == "path":
            sent.path = draw(st.sampled_from(["/orgs/a%2Fb", "//orgs/a", "/orgs/../a", "orgs/a", "", "/orgs/\xff"]))
        elif kind == "body" and sent.body:
            at = draw(st.integers(0, len(sent.body)))
            sent.body = sent.body[:at] + draw(st.binary(max_size=3)) + sent.body[at:]
        elif kind == "cut":
            sent.body = sent.body[: draw(st.integers(0, len(sent.body)))]
        elif kind == "type":
            headers.append(("Content-Type", draw(odd)))
        elif kind == "length":
            headers.append(("Content-Length", draw(st.sampled_from(["0", "+1", "99999999999999999999", "abc", "5"]))))
        sent.headers = headers
    return sent


class Watched:
    """A guard for WSGI and one for ASGI, and their decisions."""

    def __init__(self, scheme: Scheme, keys: Any) -> None:
        self.decided: list[tuple[Verdict, Claim]] = []
        self.guard = Guard(scheme, keys, on_verdict=lambda verdict, claim: self.decided.append((verdict, claim)))

    def through_both(self, sent: Sent) -> tuple[Reply, Reply, list[tuple[Verdict, Claim]]]:
        self.decided.clear()
        wsgi = call_wsgi(self.guard, sent)
        asgi = call_asgi(self.guard, sent)
        return wsgi, asgi, list(self.decided)


GUARDS = [Watched(EVERYWHERE, KEYS), Watched(IN_BODY, KEYS["acme"])]
OUTCOMES: Counter[str] = Counter()


def check(sent: Sent) -> None:
    """Check that WSGI and ASGI give the same decision and the same answer, and that only verified requests pass."""
    for watched in GUARDS:
        wsgi, asgi, decided = watched.through_both(sent)
        [(verdict, claim), (other_verdict, other_claim)] = decided
        assert verdict == other_verdict
        assert (claim.ids, claim.tenant, claim.problem) == (other_claim.ids, other_claim.tenant, other_claim.problem)
        assert (wsgi.status, wsgi.headers, wsgi.body) == (asgi.status, asgi.headers, asgi.body)
        assert wsgi.status in (200, 400, 401, 413, 415, 503)
        assert bool(wsgi.seen) == bool(asgi.seen) == verdict.verified
        if verdict:
            assert wsgi.app_body == asgi.app_body == sent.delivered()
        OUTCOMES[f"{watched.guard.scheme.name}: {verdict.reason.value}"] += 1


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(requests())
def check_generated(sent: Sent) -> None:
    check(sent)


@pytest.mark.without_coverage
def test_generated_requests_get_one_verdict_over_wsgi_and_asgi_and_none_raises() -> None:
    OUTCOMES.clear()
    # The log is disabled: its lines would take more time than the requests.
    logging.getLogger("hmac_guard").setLevel(logging.CRITICAL)
    try:
        check_generated()
    finally:
        logging.getLogger("hmac_guard").setLevel(logging.NOTSET)
    print(dict(OUTCOMES))

    # If the generator made only invalid requests, the test would prove nothing.
    verified = sum(count for name, count in OUTCOMES.items() if name.endswith(": verified"))
    assert verified > EXAMPLES / 20
    assert len(OUTCOMES) >= 14
