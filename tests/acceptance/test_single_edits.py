"""No single edit of a signed request is accepted, and none raises: of the time, the id, the body and the signature."""

from collections.abc import Iterator
from typing import Any

from support import Sent, environ_for, request_of

from hmac_guard import Header, Key, Keyring, Query, Reason, Scheme, Timestamp
from hmac_guard.core.judge import judge
from hmac_guard.core.signed import reader_of
from hmac_guard.schemes import PADDLE, SLACK, STANDARD_WEBHOOKS, STRIPE

KEY = "8f1c6f0f5b1f4b6d9f6a2d7e4c3b2a19"
NOW = 1_800_000_000
BODY = b'{"event":"paid","number":1800000000,"name":"caf\xc3\xa9","on":true}\n'
MINE = Scheme(
    name="mine",
    ids={"a": Header("X-A"), "b": Header("X-B")},
    message="{timestamp}|{a}:{b}|{@method}|{@body}",
    signature=Header("X-Sig"),
    encoding="base64url",
    prefix="v1=",
    timestamp=Timestamp(Header("X-Time")),
)
SCHEMES: dict[Scheme, dict[str, str]] = {
    STANDARD_WEBHOOKS: {"message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek"},
    STRIPE: {},
    PADDLE: {},
    SLACK: {},
    MINE: {"a": "tenant-1", "b": "user@example.com"},
}
CHARACTERS = "0123456789abcdefABCDEFxzZ+/=_-. ,;:|\t\n\0\x7f\u00e9"


def edits(text: str, characters: str) -> Iterator[str]:
    """The text with one character replaced, put in or left out, or with two neighbours in the other order."""
    for at in range(len(text) + 1):
        for character in characters:
            yield text[:at] + character + text[at:]
            if at < len(text):
                yield text[:at] + character + text[at + 1 :]
        yield text[:at] + text[at + 1 :]
        yield text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


def requests_of(scheme: Scheme, ids: dict[str, str]) -> Iterator[tuple[dict[str, str], bytes]]:
    headers = scheme.sign_fields(KEY, ids, now=NOW, body=BODY).headers
    for name, value in headers.items():
        for edited in edits(value, CHARACTERS):
            if edited != value:
                yield {**headers, name: edited}, BODY
    text = BODY.decode("latin-1")
    for edited in edits(text, CHARACTERS[:-1] + "\xff"):
        if edited != text:
            yield headers, edited.encode("latin-1")


def test_no_single_edit_is_accepted() -> None:
    count, passed = 0, []
    for scheme, ids in SCHEMES.items():
        reader, ring = reader_of(scheme, with_tenant=False), Keyring(Key(KEY))

        def reason_of(headers: dict[str, str], body: bytes, reader: Any = reader, ring: Any = ring) -> Reason:
            request = request_of(environ_for(Sent(method="POST", headers=list(headers.items()))), reader)
            request.body = body
            return judge(reader._scheme, reader.read(request), ring, NOW, by_tenant=False).reason

        assert reason_of(scheme.sign_fields(KEY, ids, now=NOW, body=BODY).headers, BODY) is Reason.VERIFIED
        for headers, body in requests_of(scheme, ids):
            count += 1
            if reason_of(headers, body) is Reason.VERIFIED:
                passed.append((scheme.name, headers))

    print(f"{count:,} single edits")
    assert count >= 55_000
    assert passed == []


def test_an_edit_inside_of_a_skipped_item_passes_with_the_same_body() -> None:
    [(name, value)] = STRIPE.sign_fields(KEY, now=NOW, body=BODY).headers.items()
    reader = reader_of(STRIPE, with_tenant=False)
    for skipped in ("v0=abc", "v0=abd", "x=", "v11=a=b"):
        request = request_of(environ_for(Sent(headers=[(name, f"{value},{skipped}")])), reader)
        request.body = BODY
        verdict = judge(STRIPE, reader.read(request), Keyring(Key(KEY)), NOW, by_tenant=False)
        assert (verdict.reason, dict(verdict.ids)) == (Reason.VERIFIED, {})


def test_an_edit_of_the_query_is_not_accepted() -> None:
    scheme = MINE.replace(
        ids={"a": Query("a"), "b": Query("b")}, signature=Query("sig"), timestamp=Timestamp(Query("t"))
    )
    fields = scheme.sign_fields(KEY, SCHEMES[MINE], now=NOW, body=BODY).query
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    reader = reader_of(scheme, with_tenant=False)
    passed = []
    for edited in edits(query, CHARACTERS + "%&"):
        request = request_of(environ_for(Sent(method="POST", query=edited)), reader)
        request.body = BODY
        verdict = judge(scheme, reader.read(request), Keyring(Key(KEY)), NOW, by_tenant=False)
        if verdict.reason is Reason.VERIFIED:
            passed.append((edited, dict(verdict.ids)))

    # A field without a name, and one more separator, change nothing that is signed.
    assert {tuple(ids.values()) for _, ids in passed} <= {tuple(SCHEMES[MINE].values())}
