"""The answers to clients: fixed bytes, one answer for each code, without bytes of the request."""

import json
import logging
from typing import Any

import pytest
from support import Call, Reply, Sent

from hmac_guard import ConfigError, Guard, Header, Json, Key, KeysUnavailable, Query, Reason, Scheme, Verdict
from hmac_guard.decider import decider_of

KEY = "a key that is long enough"
ORDERS = Scheme(
    name="orders",
    ids={"a": Query("a") | Header("X-A"), "b": Query("b")},
    message="{a}:{b}",
    signature=Query("sig"),
    tenant=Query("t"),
)
IN_BODY = Scheme(name="in-body", ids={"a": Json("/a")}, message="{a}", signature=Json("/sig"))
GOOD = f"a=x&b=y&sig={ORDERS.sign(KEY, a='x', b='y')}"
JSON = [("Content-Type", "application/json")]


def unavailable(claim: Any) -> Any:
    raise KeysUnavailable("the database is down")


def post(body: bytes, content_type: str = "application/json", *more: tuple[str, str]) -> Sent:
    return Sent("POST", headers=[("Content-Type", content_type), *more], body=body)


REFUSED: dict[str, tuple[Any, Sent, Reason, int, str]] = {
    "nothing": (KEY, Sent(), Reason.MISSING_ID, 401, "missing_signature"),
    "one id": (KEY, Sent(query="a=x"), Reason.MISSING_ID, 401, "missing_signature"),
    "a blank id": (KEY, Sent(query="a=&b=y&sig=0"), Reason.MISSING_ID, 401, "missing_signature"),
    "a space as id": (KEY, Sent(query="a=+&b=y&sig=0"), Reason.MISSING_ID, 401, "missing_signature"),
    "no signature": (KEY, Sent(query="a=x&b=y"), Reason.MISSING_SIGNATURE, 401, "missing_signature"),
    "a blank signature": (KEY, Sent(query="a=x&b=y&sig="), Reason.MISSING_SIGNATURE, 401, "missing_signature"),
    "bad UTF-8": (KEY, Sent(query="a=%ff&b=y&sig=0"), Reason.MALFORMED, 401, "invalid_signature"),
    "a non-ASCII signature": (KEY, Sent(query="a=x&b=y&sig=%C3%A9"), Reason.MALFORMED, 401, "invalid_signature"),
    "an id twice": (KEY, Sent(query=f"{GOOD}&a=x"), Reason.DUPLICATE, 401, "invalid_signature"),
    "an id twice, once blank": (KEY, Sent(query=f"{GOOD}&a="), Reason.DUPLICATE, 401, "invalid_signature"),
    "an id twice, once encoded": (KEY, Sent(query=f"{GOOD}&%61=z"), Reason.DUPLICATE, 401, "invalid_signature"),
    "a signature twice": (KEY, Sent(query=f"{GOOD}&sig=0"), Reason.DUPLICATE, 401, "invalid_signature"),
    "an id in two places": (
        KEY,
        Sent(query=GOOD, headers=[("X-A", "x")]),
        Reason.CONFLICT,
        401,
        "invalid_signature",
    ),
    "the separator in an id": (KEY, Sent(query="a=x:&b=y&sig=0"), Reason.AMBIGUOUS, 401, "invalid_signature"),
    "an unknown tenant": ({"acme": KEY}, Sent(query=f"{GOOD}&t=other"), Reason.UNKNOWN_KEY, 401, "invalid_signature"),
    "no tenant": ({"acme": KEY}, Sent(query=GOOD), Reason.UNKNOWN_KEY, 401, "invalid_signature"),
    "another's key": (
        {"acme": KEY[::-1]},
        Sent(query=f"{GOOD}&t=acme"),
        Reason.INVALID_SIGNATURE,
        401,
        "invalid_signature",
    ),
    "a wrong signature": (KEY, Sent(query="a=x&b=y&sig=0"), Reason.INVALID_SIGNATURE, 401, "invalid_signature"),
    "no keys just now": (unavailable, Sent(query=GOOD), Reason.KEYS_UNAVAILABLE, 503, "keys_unavailable"),
    "a lying length": (
        KEY,
        post(b"{}", "application/json", ("Content-Length", "5")),
        Reason.BAD_FRAMING,
        400,
        "bad_request",
    ),
    "an unparsable length": (
        KEY,
        post(b"{}", "application/json", ("Content-Length", "+2")),
        Reason.BAD_FRAMING,
        400,
        "bad_request",
    ),
    "a length and chunks": (
        KEY,
        post(b"{}", "application/json", ("Content-Length", "2"), ("Transfer-Encoding", "chunked")),
        Reason.BAD_FRAMING,
        400,
        "bad_request",
    ),
    "a body too large": (KEY, post(b" " * 101), Reason.BODY_TOO_LARGE, 413, "body_too_large"),
    "another media type": (KEY, post(b"a=x", "text/plain"), Reason.UNSUPPORTED_BODY, 415, "unsupported_body"),
    "another charset": (
        KEY,
        post(b"{}", "application/json; charset=utf-16"),
        Reason.UNSUPPORTED_BODY,
        415,
        "unsupported_body",
    ),
    "a compressed body": (
        KEY,
        post(b"{}", "application/json", ("Content-Encoding", "gzip")),
        Reason.UNSUPPORTED_BODY,
        415,
        "unsupported_body",
    ),
}


def refused(call: Call, case: str, **options: Any) -> tuple[Reply, list[Verdict]]:
    keys, sent, *_ = REFUSED[case]
    scheme = IN_BODY if sent.body else ORDERS
    verdicts: list[Verdict] = []
    options = {"max_body": 100, **options}
    guard = Guard(scheme, keys, on_verdict=lambda verdict, claim: verdicts.append(verdict), **options)
    return call(guard, sent), verdicts


@pytest.mark.parametrize("case", list(REFUSED))
@pytest.mark.without_coverage
def test_a_refused_request_gets_the_answer_of_its_reason(call: Call, case: str) -> None:
    _, _, reason, status, code = REFUSED[case]
    reply, verdicts = refused(call, case)

    assert (reply.status, reply.seen) == (status, [])
    assert [verdict.reason for verdict in verdicts] == [reason]
    body = json.loads(reply.body)
    assert body["error"]["code"] == code
    assert body["error"]["message"] == body["message"] == body["detail"]
    assert body["status"] == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert ("retry-after" in reply.headers) == (status == 503)


def test_all_refusals_with_one_code_are_the_same_bytes(call: Call) -> None:
    answers: dict[str, set[tuple[Any, ...]]] = {}
    for case, (*_, code) in REFUSED.items():
        reply, _ = refused(call, case)
        answers.setdefault(code, set()).add((reply.status, tuple(reply.headers.items()), reply.body))

    assert {code: len(seen) for code, seen in answers.items()} == dict.fromkeys(answers, 1)
    assert len(answers) == 6


def test_head_gets_the_same_headers_and_no_body(call: Call) -> None:
    guard = Guard(ORDERS, KEY)
    get, head = call(guard, Sent("GET")), call(guard, Sent("HEAD"))

    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


@pytest.mark.parametrize("case", list(REFUSED))
def test_report_mode_calls_the_application_with_an_unverified_verdict(call: Call, case: str) -> None:
    _, sent, reason, *_ = REFUSED[case]
    reply, verdicts = refused(call, case, mode="report")

    assert reply.status == 200
    assert reply.verdict.reason is reason
    assert verdicts == [reply.verdict]
    assert not reply.verdict
    assert dict(reply.verdict.ids) == {}
    assert (reply.verdict.tenant, reply.verdict.key_id) == (None, None)
    assert reply.app_body == sent.delivered() or reason is Reason.BAD_FRAMING


#: Codes of refusals that no request in this file gets.
OF_OTHER_SCHEMES = {"body_timeout", "expired", "not_yet_valid", "replayed"}


def test_refusal_replaces_the_body_and_is_called_once_for_each_code(call: Call) -> None:
    asked: list[tuple[str, str]] = []

    def body(code: str, message: str) -> tuple[bytes, str]:
        asked.append((code, message))
        return f"<p>{code}</p>".encode(), "text/html"

    guard = Guard(ORDERS, KEY, refusal=body)
    replies = [call(guard, Sent()), call(guard, Sent())]

    assert sorted(code for code, _ in asked) == sorted({code for *_, code in REFUSED.values()} | OF_OTHER_SCHEMES)
    assert [reply.body for reply in replies] == [b"<p>missing_signature</p>"] * 2
    assert replies[0].headers["content-type"] == "text/html"
    assert all(message.endswith(".") for _, message in asked)


@pytest.mark.parametrize(
    "given", ["text", (b"", 1), (b"", ""), (b"", "größe"), (b"", "a\r\nX: b"), (b"",), None], ids=repr
)
def test_a_refusal_of_another_type_is_a_config_error(given: Any) -> None:
    with pytest.raises(ConfigError, match="refusal: the"):
        Guard(ORDERS, KEY, refusal=lambda code, message: given)


def test_a_failing_log_does_not_prevent_the_answer(call: Call) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError

    logger = logging.getLogger("hmac_guard")
    logger.addFilter(broken)
    try:
        reply = call(Guard(ORDERS, KEY), Sent())
    finally:
        logger.removeFilter(broken)

    assert (reply.status, reply.seen) == (503, [])


def test_names_of_headers_are_in_lower_case_for_asgi() -> None:
    """As the ASGI specification requires."""
    for refusal in decider_of("test", Guard(ORDERS, KEY)).refusals.values():
        names = [name for name, _ in refusal.raw_headers]

        assert names == [name.lower() for name in names]
        assert [value for _, value in refusal.raw_headers] == [value.encode() for _, value in refusal.headers]


def test_a_guard_that_reads_no_body_refuses_none() -> None:
    of_bodies = {Reason.BAD_FRAMING, Reason.BODY_TIMEOUT, Reason.BODY_TOO_LARGE, Reason.UNSUPPORTED_BODY}
    others = {Reason.MISSING_ID, Reason.MALFORMED, Reason.INVALID_SIGNATURE, Reason.KEYS_UNAVAILABLE}
    with_bodies, without = (
        decider_of("test", Guard(scheme, KEY)).possible_refusals().keys() for scheme in (IN_BODY, ORDERS)
    )

    assert with_bodies > of_bodies | others
    assert without == with_bodies - of_bodies


def test_the_default_body_is_a_problem_of_rfc_9457(call: Call) -> None:
    problem = json.loads(call(Guard(ORDERS, KEY), Sent()).body)

    assert problem.keys() == {"title", "status", "detail", "error", "message"}
    assert (problem["title"], problem["status"]) == ("Unauthorized", 401)
    assert problem["detail"] == problem["message"] == problem["error"]["message"]


def test_a_refusal_of_bytes_keeps_the_media_type(call: Call) -> None:
    reply = call(Guard(ORDERS, KEY, refusal=lambda code, message: b"{}"), Sent())

    assert (reply.body, reply.headers["content-type"]) == (b"{}", "application/problem+json")


def test_the_log_names_the_reason_and_never_the_signature(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hmac_guard")
    call(Guard(ORDERS, {"acme": KEY}), Sent(query=f"{GOOD[:-1]}0&t=acme%0a"))
    call(Guard(ORDERS, {"acme": KEY}), Sent(query=f"{GOOD[:-1]}g&t=%C3%A9vil"))

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert [record.reason for record in caplog.records] == ["malformed", "unknown_key"]  # type: ignore[attr-defined]
    assert caplog.messages == [
        "refused: malformed: the tenant: the query parameter 't' starts or ends with white space; remove it; GET / "
        "(scheme orders)",
        "refused: unknown_key: the tenant has no active key; GET / (scheme orders, tenant \\xe9vil)",
    ]
    assert GOOD[-60:-1] not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("keys", "detail"),
    [
        (Key(KEY, not_after=10.0), "the guard has no active key"),
        (lambda claim: None, "the guard has no active key"),
        ({"acme": KEY}, "the request names no tenant"),
    ],
    ids=["an ended key", "a function without keys", "keys by tenant"],
)
def test_the_log_of_a_request_without_a_tenant_names_none(
    call: Call, caplog: pytest.LogCaptureFixture, keys: Any, detail: str
) -> None:
    call(Guard(ORDERS, keys), Sent(query=GOOD))

    assert caplog.messages == [f"refused: unknown_key: {detail}; GET / (scheme orders)"]


def test_the_log_names_would_be_refusals_and_truncates_the_tenant(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    call(Guard(ORDERS, {"acme": KEY}, mode="report"), Sent(query=f"{GOOD}&t={'x' * 100}"))

    assert caplog.messages == [
        f"would be refused: unknown_key: the tenant has no active key; GET / (scheme orders, tenant {'x' * 80})"
    ]


def test_a_broken_on_verdict_changes_nothing(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    def broken(verdict: Verdict, claim: Any) -> None:
        raise RuntimeError(KEY)

    guard = Guard(ORDERS, KEY, on_verdict=broken)

    assert call(guard, Sent(query=GOOD)).status == 200
    assert call(guard, Sent()).status == 401
    assert "on_verdict failed, the verdict stands: builtins.RuntimeError\n" in caplog.text
    assert KEY not in caplog.text


def test_on_verdict_is_given_the_claim(call: Call) -> None:
    seen: list[tuple[str | None, dict[str, str]]] = []
    guard = Guard(ORDERS, {"acme": KEY}, on_verdict=lambda verdict, claim: seen.append((claim.tenant, dict(claim.ids))))
    call(guard, Sent(query=f"{GOOD}&t=acme"))
    call(guard, Sent(query="t=acme"))

    assert seen == [("acme", {"a": "x", "b": "y"}), ("acme", {})]


def test_no_byte_of_the_request_is_in_an_answer(call: Call) -> None:
    marked = Sent(
        path="/canary77",
        query="a=canary77&b=canary77&sig=canary77&t=canary77",
        headers=[("X-A", "canary77"), ("Host", "canary77"), ("Origin", "canary77")],
    )
    for keys in (KEY, {"acme": KEY}, unavailable):
        reply = call(Guard(ORDERS, keys), marked)
        assert "canary77" not in repr((reply.headers, reply.body))
