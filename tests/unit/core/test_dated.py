"""Schemes with times, the method and the raw body, over WSGI and ASGI: what is verified, what is refused, and why."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from signed_schemes import HOOK, INBOX, KEY, NOW
from support import Call, Sent, call_asgi, call_wsgi, environ_for, request_of

from hmac_guard import Expires, Form, Guard, Header, Json, Key, Keyring, Path, Query, Reason, Scheme, Timestamp, Verdict
from hmac_guard.core.signed import reader_of
from hmac_guard.schemes import GITHUB, STRIPE

BOTH = Scheme(
    name="both",
    ids={"a": Query("a")},
    message="{timestamp}:{a}:{@method}:{expires}",
    signature=Query("sig"),
    timestamp=Timestamp(Query("t"), max_age=100, leeway=10, unit="ms"),
    expires=Expires(Query("e"), max_lifetime=50),
)


class Asked:
    """A guard whose clock can be set, and what it has decided."""

    def __init__(self, scheme: Scheme, now: float = NOW, keys: Any = KEY, **options: Any) -> None:
        self.now = now
        self.seen: list[Verdict] = []
        self.details: list[str] = []
        self.guard = Guard(scheme, keys, clock=lambda: self.now, on_verdict=self._note, **options)

    def _note(self, verdict: Verdict, claim: Any) -> None:
        self.seen.append(verdict)
        self.details.append(claim.detail)

    def reason(self, call: Call, sent: Sent) -> Reason:
        reply = call(self.guard, sent)
        reason = self.seen[-1].reason
        assert (reply.status == 200) == (reason is Reason.VERIFIED)
        return reason


def query_of(fields: Any, **changes: str | None) -> str:
    given = {**fields.query, **changes}
    return "&".join(f"{name}={value}" for name, value in given.items() if value is not None)


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (-6, Reason.EXPIRED),
        (-5, Reason.VERIFIED),
        (0, Reason.VERIFIED),
        (86_405, Reason.VERIFIED),
        (86_406, Reason.NOT_YET_VALID),
    ],
)
def test_an_expiry_is_compared_with_the_clock_of_the_guard(call: Call, offset: int, reason: Reason) -> None:
    asked = Asked(INBOX, now=NOW + 0.99)
    fields = INBOX.sign_fields(KEY, user_id="u1", expires=NOW + offset)

    assert asked.reason(call, Sent(query=query_of(fields))) is reason
    [verdict] = asked.seen
    assert (verdict.signed_at, verdict.expires_at) == (None, NOW + offset if verdict else None)
    assert dict(verdict.ids) == ({"user_id": "u1"} if verdict else {})


@pytest.mark.parametrize(
    ("signed", "ends", "reason"),
    [
        (-100_001, 5_000, Reason.EXPIRED),
        (-100_000, 5_000, Reason.VERIFIED),
        (10_000, 5_000, Reason.VERIFIED),
        (10_001, 5_000, Reason.NOT_YET_VALID),
        (0, -1, Reason.EXPIRED),
        (0, 0, Reason.VERIFIED),
        (0, 50, Reason.VERIFIED),
        (0, 51, Reason.NOT_YET_VALID),
        (-100_001, 51, Reason.EXPIRED),
    ],
)
def test_two_times_are_both_compared_with_the_clock(call: Call, signed: int, ends: int, reason: Reason) -> None:
    ends = ends if abs(ends) < 100 else 5
    time, end = NOW * 1000 + signed, NOW + ends
    signature = BOTH.sign(KEY, a="x", timestamp=time, expires=end, method="GET")
    asked = Asked(BOTH)

    assert asked.reason(call, Sent(query=f"a=x&t={time}&e={end}&sig={signature}")) is reason
    [verdict] = asked.seen
    assert (verdict.signed_at, verdict.expires_at) == ((time / 1000, end) if verdict else (None, None))
    assert not verdict or (type(verdict.signed_at), type(verdict.expires_at)) == (float, int)


def test_the_log_says_by_how_many_seconds(call: Call) -> None:
    asked = Asked(INBOX)
    asked.reason(call, Sent(query=query_of(INBOX.sign_fields(KEY, user_id="u1", expires=NOW - 65))))

    assert asked.details == ["the signature ended 60 seconds ago; create a new one"]


def test_only_who_holds_a_valid_signature_learns_that_it_is_too_old(call: Call) -> None:
    asked = Asked(INBOX)
    old = INBOX.sign_fields(KEY, user_id="u1", expires=NOW - 100)

    assert asked.reason(call, Sent(query=query_of(old, sig="0" * 64))) is Reason.INVALID_SIGNATURE
    assert asked.reason(call, Sent(query=query_of(old, user_id="u2"))) is Reason.INVALID_SIGNATURE
    assert asked.reason(call, Sent(query=query_of(old, expires=str(NOW + 100)))) is Reason.INVALID_SIGNATURE


def test_a_signed_upload_has_its_id_in_a_header_where_a_form_could_have_it(call: Call) -> None:
    scheme = Scheme(
        name="upload", ids={"a": Header("X-A") | Form("a")}, message="{a}.{@body}", signature=Header("X-Sig")
    )
    picture = b"\x89PNG\r\n&a=2"
    signed = [("Content-Type", "image/png"), ("X-A", "1"), ("X-Sig", scheme.sign(KEY, a="1", body=picture))]
    asked = Asked(scheme)

    assert asked.reason(call, Sent("POST", headers=signed, body=picture)) is Reason.VERIFIED
    assert asked.seen[-1].ids == {"a": "1"}
    assert asked.reason(call, Sent("POST", headers=signed, body=picture + b"&a=1")) is Reason.INVALID_SIGNATURE


def test_a_request_whose_body_was_not_read_is_not_verified() -> None:
    fields = HOOK.sign_fields(KEY, event_id="e1", body=b"x", now=NOW)
    sent = Sent(method="POST", headers=list(fields.headers.items()), body=b"x")
    reader = reader_of(HOOK, with_tenant=False)
    request = request_of(environ_for(sent), reader)

    reading = reader.read(request)

    assert request.body is None
    assert reading.message is None
    assert reading.refused is not None
    assert "was not read" in reading.refused.detail


NOT_TIMES = [
    *(
        "0",
        "01800000000",
        "%2B1800000000",
        "-1800000000",
        "1800000000.0",
        "1.8e9",
        "NaN",
        "inf",
        "now",
        "0x6b",
        "1" * 17,
    ),
    *(
        "1_800",
        "1800000000%20",
        "%201800000000",
        "1800000000%0A",
        "%D9%A1",
        "1800000000%00",
        "null",
        "1,8",
        "+1800000000",
    ),
]


@pytest.mark.parametrize("text", NOT_TIMES)
def test_a_time_that_is_none_is_malformed(call: Call, text: str) -> None:
    asked = Asked(INBOX)
    fields = INBOX.sign_fields(KEY, user_id="u1", expires=NOW)

    assert asked.reason(call, Sent(query=query_of(fields, expires=text))) is Reason.MALFORMED
    assert "the time of expiry" in asked.details[0]


@pytest.mark.parametrize("text", [None, "", "%20"])
def test_a_time_that_is_missing_counts_as_a_missing_signature(call: Call, text: str | None) -> None:
    asked = Asked(INBOX)
    fields = INBOX.sign_fields(KEY, user_id="u1", expires=NOW)

    assert asked.reason(call, Sent(query=query_of(fields, expires=text))) is Reason.MISSING_SIGNATURE
    assert "the time of expiry is missing" in asked.details[0]


def test_a_time_that_is_there_twice_is_a_duplicate(call: Call) -> None:
    asked = Asked(INBOX)
    query = query_of(INBOX.sign_fields(KEY, user_id="u1", expires=NOW))

    assert asked.reason(call, Sent(query=f"{query}&expires={NOW}")) is Reason.DUPLICATE
    assert asked.reason(call, Sent(query=f"{query}&%65xpires={NOW + 5}")) is Reason.DUPLICATE


def test_the_text_of_a_time_is_signed_as_it_was_received(call: Call) -> None:
    """An escaped digit is the digit; it is the strict reading that has to find that."""
    asked = Asked(INBOX)
    query = query_of(INBOX.sign_fields(KEY, user_id="u1", expires=NOW)).replace("expires=1", "expires=%31")

    assert asked.reason(call, Sent(query=query)) is Reason.VERIFIED
    assert asked.seen[0].expires_at == NOW


def test_an_id_that_holds_the_separator_is_ambiguous(call: Call) -> None:
    asked = Asked(INBOX)
    query = query_of(INBOX.sign_fields(KEY, user_id="u1", expires=NOW), user_id="u1.5")

    assert asked.reason(call, Sent(query=query)) is Reason.AMBIGUOUS


def test_a_method_that_holds_the_separator_is_ambiguous(call: Call) -> None:
    scheme = Scheme(name="method", ids={"a": Query("a")}, message="{@method}-{a}", signature=Query("sig"))
    signature = scheme.sign(KEY, a="SEARCH-x", method="M")
    asked = Asked(scheme)

    assert asked.reason(call, Sent(method="M", query=f"a=SEARCH-x&sig={signature}")) is Reason.VERIFIED
    assert asked.reason(call, Sent(method="M-SEARCH", query=f"a=x&sig={signature}")) is Reason.AMBIGUOUS


@pytest.mark.parametrize("method", ["GET", "POST", "PURGE", "get"])
def test_the_method_is_signed(call: Call, method: str) -> None:
    asked = Asked(BOTH)
    query = query_of(BOTH.sign_fields(KEY, now=NOW, a="x", method=method))
    others = [other for other in ("GET", "POST", "PURGE", "get") if other != method]

    assert asked.reason(call, Sent(method=method, query=query)) is Reason.VERIFIED
    for other in others:
        assert asked.reason(call, Sent(method=other, query=query)) is Reason.INVALID_SIGNATURE


@pytest.mark.parametrize("method", ["", "GE T", "G\u00cbT", "GET\n", "GET:x", "\ud800"])
def test_a_method_that_is_none_is_malformed(call: Call, method: str) -> None:
    asked = Asked(BOTH)
    query = query_of(BOTH.sign_fields(KEY, now=NOW, a="x"))

    assert asked.reason(call, Sent(method=method, query=query)) is Reason.MALFORMED


# The raw body.

Made = Callable[[bytes], Sent]


def hook(body: bytes, **changes: Any) -> Sent:
    headers = HOOK.sign_fields(KEY, now=NOW, event_id="e1", body=body).headers
    return Sent(method="POST", headers=list(headers.items()), body=body, **changes)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff\xfe\0",
        b"\n",
        b" {} ",
        bytes(range(256)) * 20,
        gzip.compress(b"{}", mtime=0),
        b"--x\r\n\r\n",
        b"a=1&a=2",
    ],
    ids=lambda body: repr(body[:8]),
)
def test_the_bytes_that_are_verified_are_the_bytes_that_the_application_reads(call: Call, body: bytes) -> None:
    asked = Asked(HOOK)
    reply = call(asked.guard, hook(body))

    assert (reply.status, reply.app_body) == (200, body)
    assert reply.verdict.signed_at == NOW


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 100_000])
def test_a_chunked_body_is_verified(call: Call, body: bytes) -> None:
    reply = call(Asked(HOOK).guard, hook(body, chunked=True))

    assert (reply.status, reply.app_body) == (200, body)


def test_a_body_beyond_the_limit_is_413_and_within_it_verified(call: Call) -> None:
    body = b"x" * 300_000
    assert Asked(HOOK).reason(call, hook(body)) is Reason.BODY_TOO_LARGE
    assert Asked(HOOK).reason(call, hook(body, chunked=True)) is Reason.BODY_TOO_LARGE
    assert Asked(HOOK, max_body=300_000).reason(call, hook(body)) is Reason.VERIFIED
    assert Asked(HOOK, max_body=299_999).reason(call, hook(body)) is Reason.BODY_TOO_LARGE


def test_25_megabytes_are_verified_where_max_body_is_raised(call: Call) -> None:
    body = b"0123456789abcdef" * (25 * 1024 * 1024 // 16)
    fields = GITHUB.sign_fields(KEY, body=body)
    reply = call(
        Guard(GITHUB, KEY, max_body=25 * 1024 * 1024),
        Sent(method="POST", headers=list(fields.headers.items()), body=body),
    )

    assert reply.status == 200
    assert reply.app_body == body


def test_a_signature_over_an_empty_body_is_refused(call: Call) -> None:
    signature = GITHUB.signature_of(Key(KEY), b"").decode()
    asked = Asked(GITHUB)

    for chunked in (False, True):
        sent = Sent(method="POST", headers=[("X-Hub-Signature-256", signature)], chunked=chunked)
        assert asked.reason(call, sent) is Reason.MISSING_ID
    assert "valid for every request" in asked.details[0]


class Untouched:
    """A body that must not be read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")


UNSIGNED: dict[str, dict[str, str | None]] = {
    "no id": {"webhook-id": None},
    "no time": {"webhook-timestamp": None},
    "no signature": {"webhook-signature": None},
    "a time that is none": {"webhook-timestamp": "NaN"},
    "an odd id": {"webhook-id": "a  b"},
    "an ambiguous id": {"webhook-id": "a.b"},
    "an odd item": {"webhook-signature": "v1"},
    "another version alone": {"webhook-signature": "v2,abc"},
}


@pytest.mark.parametrize("case", UNSIGNED)
@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_a_request_that_is_refused_anyway_has_no_byte_of_its_body_read(case: str, mode: Any) -> None:
    import asyncio

    from support import environ_for, scope_for

    asked = Asked(HOOK, mode=mode)
    sent = hook(b"{}" * 1_000)
    changes = UNSIGNED[case]
    headers = [(name, changes.get(name, value)) for name, value in sent.headers]
    sent.headers = [(name, value) for name, value in headers if value is not None]
    called: list[Any] = []

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        called.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return []

    stream = Untouched()
    environ = {**environ_for(sent), "wsgi.input": stream}
    asked.guard.wsgi(wsgi_app)(environ, lambda *_: None)  # type: ignore[arg-type]
    assert called == ([stream] if mode == "report" else [])

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def asgi_app(scope: Any, its_receive: Any, send: Any) -> None:
        called.append(its_receive)

    async def send(message: Any) -> None: ...

    called.clear()
    asyncio.run(asked.guard.asgi(asgi_app)(scope_for(sent), receive, send))
    assert called == ([receive] if mode == "report" else [])
    assert {verdict.reason for verdict in asked.seen} <= {
        *(Reason.MISSING_ID, Reason.MISSING_SIGNATURE, Reason.MALFORMED, Reason.AMBIGUOUS),
    }


def test_a_websocket_has_no_body_to_sign() -> None:
    import asyncio

    from support import scope_for

    asked = Asked(HOOK)
    sent = hook(b"")
    out: list[Any] = []

    async def send(message: Any) -> None:
        out.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application was called")

    asyncio.run(asked.guard.asgi(app)(scope_for(sent, "websocket"), None, send))
    assert [message["type"] for message in out] == ["websocket.close"]
    assert [verdict.reason for verdict in asked.seen] == [Reason.MALFORMED]


def test_the_method_of_a_websocket_is_get() -> None:
    import asyncio

    from support import scope_for

    asked = Asked(BOTH)
    scope = scope_for(Sent(query=query_of(BOTH.sign_fields(KEY, now=NOW, a="x", method="GET"))), "websocket")
    del scope["method"]
    called: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["hmac_guard"])

    asyncio.run(asked.guard.asgi(app)(scope, None, None))
    assert [verdict.verified for verdict in called] == [True]


# Ids, times and tenants in a body that is signed.

ORDER = Scheme(
    name="order",
    ids={"order_id": Json("/order/id") | Form("order_id")},
    message="{order_id}:{@body}",
    signature=Header("X-Sig"),
    timestamp=Timestamp(Json("/at", allow_int=True) | Form("at"), unit="ms"),
)


def order(body: bytes, kind: str, **headers: str) -> Sent:
    signature = ORDER.signature_of(Key(KEY), b"42:" + body).decode()
    return Sent(method="POST", headers=[("X-Sig", signature), ("Content-Type", kind), *headers.items()], body=body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"order": {"id": "42"}, "at": %d}' % (NOW * 1000), "application/json"),
        (b'{"order":{"id":"42"},"at":"%d"}\n' % (NOW * 1000), "application/json; charset=utf-8"),
        (b"order_id=42&at=%d" % (NOW * 1000), "application/x-www-form-urlencoded"),
        (
            b'--x\r\nContent-Disposition: form-data; name="order_id"\r\n\r\n42\r\n'
            b'--x\r\nContent-Disposition: form-data; name="at"\r\n\r\n%d\r\n--x--\r\n' % (NOW * 1000),
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_ids_and_times_may_travel_in_the_body_that_is_signed(call: Call, body: bytes, kind: str) -> None:
    asked = Asked(ORDER)
    reply = call(asked.guard, order(body, kind))

    assert (reply.status, reply.app_body) == (200, body)
    assert (dict(reply.verdict.ids), reply.verdict.signed_at) == ({"order_id": "42"}, NOW)
    asked.now += 301
    assert asked.reason(call, order(body, kind)) is Reason.EXPIRED
    assert asked.reason(call, order(body + b" ", kind)) in (Reason.EXPIRED, Reason.MALFORMED)


@pytest.mark.parametrize(
    ("body", "kind", "headers", "reason"),
    [
        (b"{}", "text/plain", {}, Reason.UNSUPPORTED_BODY),
        (b"{}", "image/png", {}, Reason.UNSUPPORTED_BODY),
        (b"{}", "application/json", {"Content-Encoding": "gzip"}, Reason.UNSUPPORTED_BODY),
        (b"{}", "application/json; charset=latin-1", {}, Reason.UNSUPPORTED_BODY),
        (b"{}", "application/json", {}, Reason.MISSING_ID),
        (b"", "application/json", {}, Reason.MISSING_ID),
        (b'{"order": {"id": "42"}}', "application/json", {}, Reason.MISSING_SIGNATURE),
        (b'{"order": {"id": "42"}, "at": 1.5}', "application/json", {}, Reason.MALFORMED),
        (b'{"order": {"id": "42"}, "at": "NaN"}', "application/json", {}, Reason.MALFORMED),
        (b'{"order": {"id": "42"}, "at": 1, "at": 2}', "application/json", {}, Reason.MALFORMED),
        (b'{"order": {"id": "42"', "application/json", {}, Reason.MALFORMED),
        (b"order_id=42&at=1&at=1", "application/x-www-form-urlencoded", {}, Reason.DUPLICATE),
        (b"order_id=42&at=1", "application/x-www-form-urlencoded", {}, Reason.EXPIRED),
    ],
)
@pytest.mark.without_coverage
def test_the_rules_for_types_hold_where_the_body_is_read_for_ids(
    call: Call, body: bytes, kind: str, headers: dict[str, str], reason: Reason
) -> None:
    assert Asked(ORDER).reason(call, order(body, kind, **headers)) is reason


def test_the_time_inside_a_signed_body_limits_its_age(call: Call) -> None:
    linear = Scheme(
        name="linear",
        ids={},
        message="{@body}",
        signature=Header("Linear-Signature"),
        timestamp=Timestamp(Json("/webhookTimestamp", allow_int=True), max_age=60, unit="ms"),
    )
    body = b'{"webhookTimestamp": %d}' % (NOW * 1000)
    headers = [*linear.sign_fields(KEY, body=body).headers.items(), ("Content-Type", "application/json")]

    assert Asked(linear, now=NOW + 60).reason(call, Sent(method="POST", headers=headers, body=body)) is Reason.VERIFIED
    assert Asked(linear, now=NOW + 61).reason(call, Sent(method="POST", headers=headers, body=body)) is Reason.EXPIRED


TENANTS = STRIPE.replace(tenant=Path("/hooks/{tenant}"))


def test_a_tenants_mode_and_keys_count_for_signed_bodies(call: Call) -> None:
    rings = {"acme": Keyring(KEY, mode="report"), "umbrella": Keyring("another key, long enough")}
    fields = TENANTS.sign_fields(KEY, now=NOW, body=b"x")
    headers = list(fields.headers.items())
    asked = Asked(TENANTS, keys=rings)

    good = call(asked.guard, Sent(method="POST", path="/hooks/acme", headers=headers, body=b"x"))
    wrong = call(asked.guard, Sent(method="POST", path="/hooks/acme", headers=headers, body=b"y"))
    other = call(asked.guard, Sent(method="POST", path="/hooks/umbrella", headers=headers, body=b"x"))
    asked.now += 301
    late = call(asked.guard, Sent(method="POST", path="/hooks/acme", headers=headers, body=b"x"))

    assert (good.verdict.tenant, good.verdict.signed_at) == ("acme", NOW)
    assert (wrong.status, wrong.verdict.reason, wrong.app_body) == (200, Reason.INVALID_SIGNATURE, b"y")
    assert (other.status, other.seen) == (401, [])
    assert (late.status, late.verdict.reason, late.verdict.claimed_tenant) == (200, Reason.EXPIRED, "acme")
    assert (late.verdict.signed_at, bool(late.verdict)) == (None, False)


def test_in_report_mode_the_ids_of_an_expired_request_are_claimed(call: Call) -> None:
    asked = Asked(INBOX, mode="report")
    query = query_of(INBOX.sign_fields(KEY, user_id="u1", expires=NOW - 100))
    reply = call(asked.guard, Sent(query=query))

    assert (reply.status, reply.verdict.reason) == (200, Reason.EXPIRED)
    assert (dict(reply.verdict.ids), dict(reply.verdict.claimed)) == ({}, {"user_id": "u1"})


@pytest.mark.parametrize(("offset", "code"), [(-100, "expired"), (90_000, "not_yet_valid")])
def test_the_answer_names_only_the_time_as_the_reason(offset: int, code: str) -> None:
    query = query_of(INBOX.sign_fields(KEY, user_id="u1", expires=NOW + offset))
    replies = [call(Asked(INBOX).guard, Sent(query=query)) for call in (call_wsgi, call_asgi)]

    assert {reply.status for reply in replies} == {401}
    assert {f'"code": "{code}"'.encode() in reply.body for reply in replies} == {True}
    assert {b"seconds" in reply.body for reply in replies} == {False}
    assert {reply.headers["www-authenticate"] for reply in replies} == {'HMAC realm="hmac_guard"'}


@pytest.mark.parametrize("length", ["5", "x", "-1", "1, 1"])
def test_a_body_that_is_framed_wrongly_is_refused(call: Call, length: str) -> None:
    sent = hook(b"{}")
    sent.headers = [*sent.headers, ("Content-Length", length)]

    assert Asked(HOOK).reason(call, sent) is Reason.BAD_FRAMING


def test_chunks_without_a_promise_of_an_end_are_refused_under_wsgi() -> None:
    asked = Asked(HOOK)
    sent = hook(b"{}")
    sent.headers = [*sent.headers, ("Transfer-Encoding", "chunked")]

    assert asked.reason(call_wsgi, sent) is Reason.BAD_FRAMING


def test_a_body_without_a_length_is_empty_under_wsgi_to_guard_and_application() -> None:
    from support import environ_for

    sent = hook(b"")
    environ = environ_for(sent)
    environ["wsgi.input"].write(b"smuggled")
    environ["wsgi.input"].seek(0)
    read: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    Asked(HOOK).guard.wsgi(app)(environ, lambda *_: None)  # type: ignore[arg-type]
    assert read == [b""]
