"""`explain` names mistakes with times and with the raw body: two hundred generated requests, each with one mistake."""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from waiting import TIMEOUT

from hmac_guard import Expires, Header, Key, Query, Scheme, Timestamp
from hmac_guard.explain import KnownKeys, capture, explain_captured
from hmac_guard.explain.report import as_json, as_text, sentences
from hmac_guard.schemes import GITHUB, PADDLE, SLACK, STANDARD_WEBHOOKS, STRIPE

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
KEYS = KnownKeys(Key(KEY))
NOW = 1_800_000_000
MINE = Scheme(
    name="mine",
    ids={"event_id": Header("X-Event")},
    message="{event_id}.{timestamp}.{@method}.{@body}",
    signature=Header("X-Sig"),
    timestamp=Timestamp(Header("X-Time")),
)
ENDS = Scheme(
    name="ends",
    ids={"user_id": Query("user_id")},
    message="{user_id}.{expires}",
    signature=Query("sig"),
    expires=Expires(Query("expires"), max_lifetime=3_600),
)
ITEMS = Scheme(
    name="items",
    ids={},
    message="{expires}.{@body}",
    signature=Header("X-Sig").item("sig", separators=("&", "=")),
    expires=Expires(Header("X-Sig").item("exp", separators=("&", "=")), max_lifetime=3_600),
)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmac_guard.explain.explanation.time", lambda: NOW + 0.5)


class Made(NamedTuple):
    """What is signed and what is sent."""

    signed_time: str = str(NOW)
    sent_time: str = str(NOW)
    signed_body: bytes = b""
    sent_body: bytes = b""
    signed_method: str = "POST"


def hex_of(message: bytes) -> str:
    return hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()


def as_slack(made: Made) -> tuple[Scheme, str]:
    signature = hex_of(b"v0:%s:%s" % (made.signed_time.encode(), made.signed_body))
    return SLACK, f"X-Slack-Signature: v0={signature}\r\nX-Slack-Request-Timestamp: {made.sent_time}"


def as_stripe(made: Made) -> tuple[Scheme, str]:
    signature = hex_of(b"%s.%s" % (made.signed_time.encode(), made.signed_body))
    return STRIPE, f"Stripe-Signature: t={made.sent_time},v1={signature}"


def as_paddle(made: Made) -> tuple[Scheme, str]:
    signature = hex_of(b"%s:%s" % (made.signed_time.encode(), made.signed_body))
    return PADDLE, f"Paddle-Signature: ts={made.sent_time};h1={signature}"


def as_items(made: Made) -> tuple[Scheme, str]:
    signature = hex_of(b"%s.%s" % (made.signed_time.encode(), made.signed_body))
    return ITEMS, f"X-Sig: exp={made.sent_time}&sig={signature}"


def as_mine(made: Made) -> tuple[Scheme, str]:
    parts = (made.signed_time.encode(), made.signed_method.encode(), made.signed_body)
    signature = hex_of(b"e-1.%s.%s.%s" % parts)
    return MINE, f"X-Event: e-1\r\nX-Time: {made.sent_time}\r\nX-Sig: {signature}"


def raw(headers: str, body: bytes) -> bytes:
    head = f"POST /hooks HTTP/1.1\r\nHost: x\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def named(made: Made, write: Callable[[Made], tuple[Scheme, str]] = as_slack) -> list[str]:
    scheme, headers = write(made)
    explanation = explain_captured(scheme, capture(raw(headers, made.sent_body)), KEYS, seconds=TIMEOUT)
    assert KEY not in as_text(explanation)
    return [mistake["name"] for mistake in as_json(explanation)["mistakes"]]


def document(source: random.Random) -> dict[str, object]:
    words = ["caf\u00e9", "plain", "\u2665", "a/b", "<tag>", "x y"]
    return {f"{source.choice('zyxab')}{number}": source.choice([*words, number, None, [1, 2]]) for number in range(4)}


Plant = Callable[[random.Random], Made]


def body_dumped(source: random.Random) -> Made:
    body = document(source)
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    return Made(signed_body=json.dumps(body).encode(), sent_body=text)


def body_pretty(source: random.Random) -> Made:
    body = document(source)
    indent = 2 * source.randrange(1, 3)
    return Made(signed_body=json.dumps(body, indent=indent).encode(), sent_body=json.dumps(body).encode())


def body_ends(source: random.Random) -> Made:
    body = json.dumps(document(source)).encode()
    return source.choice(
        [
            Made(signed_body=body + b"\n", sent_body=body),
            Made(signed_body=body, sent_body=body + b"\n"),
            Made(signed_body=body, sent_body=body + b"\r\n"),
        ]
    )


def body_charset(source: random.Random) -> Made:
    text = f"name=caf\u00e9&number={source.randrange(1_000)}"
    return Made(signed_body=text.encode(source.choice(["latin-1", "utf-16-le"])), sent_body=text.encode())


def body_absent(source: random.Random) -> Made:
    return Made(signed_body=b"", sent_body=b"a=%d" % source.randrange(10**6))


def time_signed_in_other_unit(source: random.Random) -> Made:
    body = b"a=%d" % source.randrange(10**6)
    return Made(signed_time=f"{NOW}000", signed_body=body, sent_body=body)


def time_signed_with_fraction(source: random.Random) -> Made:
    body = b"a=%d" % source.randrange(10**6)
    signed, sent = source.choice([(f"{NOW}.0", str(NOW)), (str(NOW), f"{NOW}.0"), (str(NOW), f"{NOW}.{len(body)}")])
    return Made(signed, sent, body, body)


def time_signed_not_sent(source: random.Random) -> Made:
    body = b"a=%d" % source.randrange(10**6)
    return Made(signed_time=str(NOW - source.choice([1, 2, 7, 30, 3_600])), signed_body=body, sent_body=body)


def _sent_at(text: str, source: random.Random) -> Made:
    body = b"a=%d" % source.randrange(10**6)
    return Made(text, text, body, body)


def time_unit(source: random.Random) -> Made:
    return _sent_at(f"{NOW}{source.randrange(100, 999)}", source)


def time_local(source: random.Random) -> Made:
    return _sent_at(
        str(NOW + source.choice([3_600, -5 * 3_600, 19_800, 9 * 3_600]) + source.randrange(-60, 60)), source
    )


def clock_ahead(source: random.Random) -> Made:
    return _sent_at(str(NOW + source.randrange(400, 1_500)), source)


def clock_behind(source: random.Random) -> Made:
    return _sent_at(str(NOW - source.randrange(400, 1_500)), source)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        *(body_dumped, body_pretty, body_ends, body_charset, body_absent, time_signed_in_other_unit),
        *(time_signed_with_fraction, time_signed_not_sent, time_unit, time_local, clock_ahead, clock_behind),
    )
}


@pytest.mark.without_coverage
def test_the_mistake_is_named_in_two_hundred_requests() -> None:
    source = random.Random(18)
    writers = (as_slack, as_stripe, as_mine)
    wrong: list[tuple[str, list[str]]] = []
    total = 204
    for number in range(total):
        name = list(PLANTS)[number % len(PLANTS)]
        found = named(PLANTS[name](source), source.choice(writers))
        if found != [name]:
            wrong.append((name, found))

    print(f"{total - len(wrong)} of {total} requests were explained by the mistake that was made; {wrong}")
    assert len(wrong) <= total * 0.05
    assert not [found for _, found in wrong if found], "another mistake was named"


# What each library writes for the document that json.dumps has written.
JSON_TEXTS = [
    ("PHP's json_encode", {"a": "b/\u00e9"}, rb'{"a":"b\/\u00e9"}'),
    ("PHP's json_encode without escapes of Unicode", {"a": "b/\u00e9"}, b'{"a":"b\\/\xc3\xa9"}'),
    (
        "Go's json.Marshal of a map",
        {"b": "<\u00e9>", "a": "&\u2028"},
        b'{"a":"\\u0026\\u2028","b":"\\u003c\xc3\xa9\\u003e"}',
    ),
    ("Rails' to_json", {"b": "<\u00e9>", "a": "&"}, b'{"b":"\\u003c\xc3\xa9\\u003e","a":"\\u0026"}'),
    ("JSON.stringify of numbers", {"a": 10.0, "b": -0.5, "c": 2**53 + 1}, b'{"a":10,"b":-0.5,"c":9007199254740992}'),
    ("JSON.stringify(x, null, 2)", {"a": "\u00e9"}, b'{\n  "a": "\xc3\xa9"\n}'),
]


@pytest.mark.parametrize(
    ("document", "signed_body"), [each[1:] for each in JSON_TEXTS], ids=[each[0] for each in JSON_TEXTS]
)
def test_the_json_of_another_language_is_named(document: dict[str, object], signed_body: bytes) -> None:
    made = Made(signed_body=signed_body, sent_body=json.dumps(document).encode())

    assert named(made) == ["body_pretty" if b"\n" in signed_body else "body_dumped"]


BODY_FIX = "sign the bytes that are sent, and change nothing after that"


@pytest.mark.parametrize(
    ("signed_body", "sent_body", "name", "says", "fix"),
    [
        (b"a=b%20c", b"a=b+c", "body_spaces", "for a space and sent with '%20', or the reverse", BODY_FIX),
        (b"a=b+c", b"a=b%20c", "body_spaces", "for a space and sent with '%20', or the reverse", BODY_FIX),
        (b"a=b%20c", b"a=b c", "id_url_encoded", "the body was URL-encoded before it was signed, or", BODY_FIX),
        (b"a=b+c", b"a=b c", "id_plus", "the body was signed with '+' and read with a space", BODY_FIX),
        (b"a", b"A", "id_case", "the body was signed in another case than it was sent in", BODY_FIX),
        (b"undefined", b"A", "id_missing", "the body was not signed, or was empty", "sign the body that is sent"),
        (
            b"{}",
            b"\xef\xbb\xbf{}",
            "body_bom",
            "the body was sent with a byte order mark",
            "send the body without a BOM",
        ),
    ],
)
@pytest.mark.parametrize("write", [as_slack, as_mine])
def test_a_changed_body_has_a_fix_for_a_body(
    write: Callable[[Made], tuple[Scheme, str]], signed_body: bytes, sent_body: bytes, name: str, says: str, fix: str
) -> None:
    made = Made(signed_body=signed_body, sent_body=sent_body)
    scheme, headers = write(made)

    said = " ".join(sentences(explain_captured(scheme, capture(raw(headers, sent_body)), KEYS, seconds=TIMEOUT)))

    assert says in said
    assert f"Fix: {fix}" in said
    assert "@body" not in said
    assert named(made, write) == [name]


@pytest.mark.without_coverage
def test_a_fix_of_two_mistakes_in_a_body_is_written_once() -> None:
    made = Made(signed_body=b"a=b%20c\n", sent_body=b"a=b+c")
    scheme, headers = as_slack(made)

    said = " ".join(sentences(explain_captured(scheme, capture(raw(headers, made.sent_body)), KEYS, seconds=TIMEOUT)))

    assert named(made) == ["body_ends", "body_spaces"]
    assert said.count(BODY_FIX) == 1


def test_an_id_beside_a_body_keeps_its_own_fix() -> None:
    made = Made(signed_body=b"x", sent_body=b"x")
    scheme, headers = as_mine(made)
    sent = raw(headers.replace("e-1", "E-1"), b"x")

    said = " ".join(sentences(explain_captured(scheme, capture(sent), KEYS, seconds=TIMEOUT)))

    assert "event_id was signed in another case than it was sent in. Fix: sign exactly what is sent; ids are" in said


def test_another_signed_method_is_named() -> None:
    assert named(Made(signed_method="GET", signed_body=b"x", sent_body=b"x"), as_mine) == ["method_other"]
    assert named(Made(signed_method="post", signed_body=b"x", sent_body=b"x"), as_mine) == ["method_other"]


def test_a_correct_request_is_verified() -> None:
    for write in (as_slack, as_stripe, as_mine):
        scheme, headers = write(Made(signed_body=b"\xff\0", sent_body=b"\xff\0"))
        explanation = explain_captured(scheme, capture(raw(headers, b"\xff\0")), KEYS)
        assert explanation.verified
        assert sentences(explanation)[0].startswith("Verified")


@pytest.mark.parametrize(
    ("sent", "name", "says"),
    [
        ("(stdin)= {}", "signature_output", "the whole output of openssl was sent"),
        ("sha256=(stdin)= {}", "signature_output", "the whole output of openssl was sent"),
        ("sha256=SHA256(stdin)= {}", "signature_output", "the whole output of openssl was sent"),
        ("SHA2-256(stdin)= {}", "signature_output", "the whole output of openssl was sent"),
        ("sha256={} *stdin", "signature_output", "the whole output of openssl was sent"),
        ("sha256={}  -", "signature_output", "the whole output of a program such as sha256sum was sent"),
        ("sha256=sha256={}", "prefix", "the signature was sent with the prefix 'sha256=sha256='"),
    ],
)
def test_the_output_of_a_program_and_a_doubled_prefix_are_named(sent: str, name: str, says: str) -> None:
    signature = hex_of(b"x")
    captured = capture(raw(f"X-Hub-Signature-256: {sent.format(signature)}", b"x"))

    explanation = explain_captured(GITHUB, captured, KEYS, seconds=TIMEOUT)

    assert [mistake["name"] for mistake in as_json(explanation)["mistakes"]] == [name]
    assert says in " ".join(sentences(explanation))
    assert signature not in as_text(explanation)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1800000000.5", "is not a Unix time"),
        ("NaN", "is not a Unix time"),
        ("2027-01-15T08:00:00Z", "is not a Unix time"),
    ],
)
@pytest.mark.without_coverage
def test_an_invalid_time_is_reported(text: str, says: str) -> None:
    scheme, headers = as_slack(_sent_at(text, random.Random(1)))
    answer = " ".join(sentences(explain_captured(scheme, capture(raw(headers, b"x")), KEYS)))

    assert says in answer


@pytest.mark.parametrize("write", [as_slack, as_stripe, as_paddle, as_items])
def test_the_signature_of_an_invalid_time_is_right(write: Callable[[Made], tuple[Scheme, str]]) -> None:
    in_digits = (f"{NOW}.5", f"{NOW}.0", f"{NOW}.", f"+{NOW}", f"-{NOW}", f"0{NOW}", "1.8e+09")
    for text in (*in_digits, "2027-01-15T08:00:00.1Z", "2027-01-15 08:00:00+0000", "20270115T080000Z", "NaN"):
        made = _sent_at(text, random.Random(1))
        scheme, headers = write(made)
        said = " ".join(sentences(explain_captured(scheme, capture(raw(headers, made.sent_body)), KEYS)))

        assert "is not a Unix time" in said, text
        assert "Except for that, the signature is right" in said, text


def test_a_key_of_someone_else_in_the_item_of_a_time_is_not_shown() -> None:
    for text in (KEY[::-1], "1.8e9f"):
        scheme, headers = as_stripe(_sent_at(text, random.Random(1)))

        assert text not in as_text(explain_captured(scheme, capture(raw(headers, b"x")), KEYS))


def test_an_end_in_the_past_or_too_far_in_the_future_is_reported() -> None:
    for end, name in ((NOW - 50, "ended"), (NOW + 9_999, "too_long"), (NOW * 1000, "time_unit")):
        fields = ENDS.sign_fields(KEY, user_id="u1", expires=end).query
        url = "https://x/?" + "&".join(f"{key}={value}" for key, value in fields.items())
        report = as_json(explain_captured(ENDS, capture(url.encode()), KEYS))
        assert [mistake["name"] for mistake in report["mistakes"]] == [name]
        assert report["signature_is_right"]


@pytest.mark.parametrize(
    ("scheme", "sent", "says"),
    [
        (
            ENDS,
            600,
            "the time of expiry is 600, a duration and no Unix time. Fix: send the Unix time of the end: the pr",
        ),
        (ENDS, 86_400, "the time of expiry is 86400, a duration"),
        (
            ENDS.replace(expires=Expires(Query("expires"), max_lifetime=3_600, unit="ms")),
            600_000,
            "the time of expiry is 600000, a duration",
        ),
        (
            ENDS.replace(expires=Expires(Query("expires"), max_lifetime=3_600, unit="ms")),
            7 * 86_400_000,
            "the time of expiry is 604800000, a duration",
        ),
        (
            ENDS.replace(message="{user_id}.{timestamp}", timestamp=Timestamp(Query("expires")), expires=None),
            300,
            "the timestamp is 300, a duration and no Unix time. Fix: send the Unix time of signing.",
        ),
    ],
)
def test_a_duration_in_place_of_a_time_is_named(scheme: Scheme, sent: int, says: str) -> None:
    url = f"https://x/?user_id=u1&expires={sent}&sig={hex_of(b'u1.%d' % sent)}"
    explanation = explain_captured(scheme, capture(url.encode()), KEYS)

    assert [mistake["name"] for mistake in as_json(explanation)["mistakes"]] == ["time_duration"]
    assert f"Cause: {says}" in " ".join(sentences(explanation))
    assert sentences(explanation)[-1] == "Except for that, the signature is right."


@pytest.mark.parametrize("time", [Timestamp, Expires])
@pytest.mark.parametrize(("unit", "sent"), [("ms", 1_700_000_000), ("s", 1_700_000_000_000)])
def test_an_old_time_in_the_other_unit_is_no_duration(time: Any, unit: str, sent: int) -> None:
    limit = {"max_age": 300} if time is Timestamp else {"max_lifetime": 300}
    name = time.__name__.lower()
    made = time(Query("time"), unit=unit, **limit)
    scheme = ENDS.replace(message=f"{{user_id}}.{{{name}}}", **{"expires": None, name: made})
    url = f"https://x/?user_id=u1&time={sent}&sig={hex_of(b'u1.%d' % sent)}"

    [mistake] = as_json(explain_captured(scheme, capture(url.encode()), KEYS))["mistakes"]
    assert mistake["name"] == "time_unit"


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        ("{body}", "message_id and timestamp"),
        ("{id}.", "timestamp and the body"),
        (".{time}", "message_id and the body"),
    ],
)
def test_several_ids_that_were_not_signed_are_named(message: str, left_out: str) -> None:
    body, secret = '{"type": "invoice.paid"}', b"a secret of 24 bytes !!!"
    signed = message.format(body=body, id="m1", time=NOW)
    signature = base64.b64encode(hmac.digest(secret, signed.encode(), "sha256")).decode()
    headers = f"webhook-id: m1\r\nwebhook-timestamp: {NOW}\r\nwebhook-signature: v1,{signature}"
    explanation = explain_captured(
        STANDARD_WEBHOOKS, capture(raw(headers, body.encode())), KnownKeys(Key(secret)), seconds=TIMEOUT
    )

    assert sentences(explanation)[1].startswith(f"Cause: each of {left_out} was not signed, or was empty when it was")
    assert [mistake["name"] for mistake in as_json(explanation)["mistakes"]] == ["id_missing"]


@pytest.mark.parametrize("signed", ["b", "c", "b:c"])
def test_ids_that_were_not_signed_on_both_sides_are_named(signed: str) -> None:
    ids = {name: Query(name) for name in "abcd"}
    scheme = Scheme(name="four", ids=ids, message="{a}:{b}:{c}:{d}", signature=Query("sig"))
    url = f"https://x/?a=a&b=b&c=c&d=d&sig={hex_of(signed.encode())}"
    explanation = explain_captured(scheme, capture(url.encode()), KEYS, seconds=TIMEOUT)

    left_out = " and ".join(name for name in "abcd" if name not in signed)
    assert sentences(explanation)[1].startswith(f"Cause: each of {left_out} was not signed")


def test_a_whsec_key_in_the_other_form_is_named() -> None:
    """Stripe's is text and often decodes as base64; that of Standard Webhooks is decoded."""
    text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    decoded, as_it_stands = Key.from_whsec(text), Key.from_text(text)
    header = STRIPE.sign_fields(decoded, now=NOW, body=b"{}").headers["Stripe-Signature"]
    stripe = explain_captured(STRIPE, capture(raw(f"Stripe-Signature: {header}", b"{}")), KnownKeys(as_it_stands))
    assert stripe.found
    assert [mistake.name for mistake in stripe.found.mistakes] == ["key_base64_decoded"]

    message = b"m1.%d.{}" % NOW
    signature = base64.b64encode(hmac.digest(text.encode(), message, "sha256")).decode()
    headers = f"webhook-id: m1\r\nwebhook-timestamp: {NOW}\r\nwebhook-signature: v1,{signature}"
    standard = explain_captured(STANDARD_WEBHOOKS, capture(raw(headers, b"{}")), KnownKeys(decoded))
    assert standard.found
    assert [mistake.name for mistake in standard.found.mistakes] == ["key_base64_encoded"]
    # A guard of Standard Webhooks refuses the key as text.
    assert "without 'whsec_'; only if the scheme uses the text itself" in standard.found.mistakes[0].fix


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00", bytes(range(256)), b"\xed\xa0\x80", b"{" * 2_000, b'{"a":"\\ud800"}', b"[1e999, 1e400]"]
)
@pytest.mark.without_coverage
def test_a_body_of_any_bytes_is_explained(body: bytes) -> None:
    scheme, headers = as_slack(Made(signed_body=body, sent_body=body))
    explained = explain_captured(scheme, capture(raw(headers, body + b"?")), KEYS)

    assert as_json(explained)["verified"] is False
    assert as_text(explained)


@pytest.mark.parametrize("message", [b"", b"{}"], ids=["its signature", "the signature of another body"])
def test_an_empty_body_that_alone_is_signed_is_named(message: bytes) -> None:
    headers = f"X-Hub-Signature-256: sha256={hex_of(message)}"
    captured = capture(raw(headers, b""))

    said = sentences(explain_captured(GITHUB, captured, KEYS))

    assert said[:2] == [
        "Not verified: missing_id.",
        "The body is empty, and nothing else is signed. Send the body that was signed.",
    ]
