"""Explain reports the verdict of the guard and its cause, in one sentence for each problem, without secrets."""

import base64
import hashlib
import hmac
import json
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("click", reason="not run: click is not installed")

from click.testing import CliRunner
from vendor_rule import VENDOR_NANGO

from hmac_guard import Cookie, Form, Header, Json, Key, Keyring, Query, Scheme, schemes
from hmac_guard import Path as PathSource
from hmac_guard.cli.commands import hmac_guard
from hmac_guard.explain import Captured, CaptureError, Explanation, KnownKeys, capture, explain_captured
from hmac_guard.explain.mistakes import MISTAKES
from hmac_guard.explain.mistakes.shape import right_attempt
from hmac_guard.explain.reading import MAX_LEAVES, leaves, near
from hmac_guard.explain.report import as_json, as_text, sentences
from hmac_guard.explain.search import Search, search
from hmac_guard.schemes import CHATWOOT, NANGO, PUSHER, SUPRSEND, user_hash

KEY = "the-key-that-signs-all-of-this"
EVERYWHERE = Scheme(
    name="everywhere",
    ids={
        "a": Query("a") | Json("/a") | Form("a") | Header("X-A") | Cookie("a"),
        "b": PathSource("/x/{b}", "/y/{b}/z") | Query("b"),
    },
    message="{a}:{b}",
    signature=Header("X-Sig") | Query("sig"),
    tenant=Query("t"),
    prefix="v1=",
)


def signed(message: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def explained(scheme: Scheme, request: str | bytes, **known: Any) -> Explanation:
    captured = capture(request.encode() if isinstance(request, str) else request)
    return explain_captured(scheme, captured, KnownKeys(Key(KEY), **known), seconds=60)


def ascii_start(text: str) -> str:
    return ascii(text[:12])


def run(*words: str, given: str = "", **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        hmac_guard, ["explain", *words], input=given, env={"KEY": KEY, **environment}, catch_exceptions=False
    )
    return result.exit_code, result.output


GOOD = f"https://h/oauth/connect/github?connection_id=user-42&hmac={signed('github:user-42')}"


def test_a_valid_request_is_verified_and_no_mistake_is_reported() -> None:
    explanation = explained(NANGO, GOOD)

    assert explanation.verified
    assert sentences(explanation)[0] == "Verified: the signature is the right one."


POST = "POST / HTTP/1.1\nContent-Type: {}\n\n{}"
JSON = "application/json"
SIG = f"v1={signed('1:2')}"


@pytest.mark.parametrize(
    ("scheme", "request_text", "sentence"),
    [
        (NANGO, "/?hmac=1", "integration_id: it is missing; send it in the path '/oauth/connect/{integration_id}' or "),
        (NANGO, "/?integration_id=a", "signature: it is missing; send it in the query parameter 'hmac' or in the JSON"),
        (NANGO, "/?integration_id=a&hmac=", "signature: it is empty in the query parameter 'hmac'"),
        (NANGO, "/?integration_id=+&hmac=1", "integration_id: it is empty in the query parameter 'integration_id'"),
        (
            NANGO,
            "/oauth/connect/a/?hmac=1",
            "differs from the path of the request by its last '/' alone",
        ),
        (NANGO, "/?integration_id=a&integration_id=b&hmac=1", "'integration_id' is there more than once; send it once"),
        (NANGO, "/?integration_id=a&hmac=1&hmac=1", "signature: the query parameter 'hmac' is there more than once"),
        (NANGO, "/oauth/connect/a?integration_id=a&hmac=1", "integration_id: it is in the path '/oauth/connect/{integ"),
        (NANGO, "/oauth/connect/a:b?connection_id=c&hmac=1", "it contains ':', the separator before the next id"),
        (NANGO, "/?integration_id=a%FF&hmac=1", "has percent-escapes that are not UTF-8"),
        (NANGO, "/?integration_id=a%zz&hmac=1", "has '%zz', which is not a percent-escape; write '%' as '%25'"),
        (NANGO, "GET /?integration_id=a\xe9&hmac=1 HTTP/1.1", "characters that are not percent-encoded"),
        (NANGO, "/?integration_id=a%20&hmac=1", "starts or ends with white space; remove it"),
        (NANGO, f"/?integration_id=a%20{'b' * 60}%20&hmac=1", "starts or ends with white space; remove it"),
        (NANGO, "/?integration_id=a%00b&hmac=1", "has the character U+0000, which no id may have"),
        (NANGO, f"/?integration_id={'a' * 1025}&hmac=1", "has 1,025 bytes, and an id has at most 1,024"),
        (NANGO, f"/?{'a=1&' * 1001}integration_id=a&hmac=1", "there are more than 1,000 fields"),
        (NANGO, "/?integration_id=a&hmac=%C3%A9", "signature: the query parameter 'hmac' is not ASCII"),
        (NANGO, "/oauth//connect/a?hmac=1", "is not canonical: it has '//'"),
        (
            NANGO,
            "/?IntegrationID=a&hmac=1",
            "it is in the query parameter 'IntegrationID', where the guard does not",
        ),
        (NANGO, "curl h/?integration_id=a\\&hmac=1 -b connection_id=b", "it is in the cookie 'connection_id', wh"),
        (NANGO, "GET /?integration_id=a HTTP/1.1\nX-Hmac: 1", "signature: it is in the header 'X-Hmac', where the"),
        (
            NANGO,
            POST.format("text/plain", '{"integration_id": "a"}'),
            "the body is sent as 'text/plain', and the",
        ),
        (NANGO, POST.format(JSON, '{"integration_id": 42, "hmac": "1"}'), "is a number; send it as a string"),
        (NANGO, POST.format(JSON, '{"integration_id": [], "hmac": "1"}'), "is an array; send it as a string"),
        (NANGO, POST.format(JSON, '{"integration_id": true, "hmac": "1"}'), "is true or false; send it as a"),
        (
            NANGO,
            POST.format(JSON, '{"integration_id": "a", "integration_id": "b"}'),
            "is there twice in one object",
        ),
        (NANGO, POST.format(JSON, '{"integration_id": "a",}'), "the JSON body at '/integration_id' cannot be read: "),
        (NANGO, POST.format(JSON, '{"x": NaN, "integration_id": "a"}'), "NaN is not JSON"),
        (NANGO, POST.format(JSON, '{"x": 1e999, "integration_id": "a"}'), "the number 1e999 is too large"),
        (
            NANGO,
            POST.format(JSON, f'{{"integration_id": "a", "x": {"[" * 70}{"]" * 70}}}'),
            "nested deeper than 64",
        ),
        (NANGO, POST.format(JSON + "; charset=latin-1", "{}"), "sources read json bodies, in UTF-8"),
        (NANGO, POST.format(JSON + "\nContent-Type: text/x", "{}"), "there are two Content-Type headers; send one"),
        (
            NANGO,
            POST.format(JSON + "\nContent-Encoding: gzip", "{}"),
            "the body has a Content-Encoding; send it",
        ),
        (CHATWOOT, POST.format("text/plain", "x"), "id: the body is sent as 'text/plain'"),
        (CHATWOOT, "POST / HTTP/1.1\n\n{}", "the body has no Content-Type; say what it is"),
        (CHATWOOT, POST.format(JSON, '{"identifier": "\\ud800", "identifier_hash": "1"}'), "the character U+D800"),
        (CHATWOOT, POST.format(JSON, "x" * 300_000), "The body is larger than the 262,144 bytes"),
        (PUSHER, POST.format("application/x-www-form-urlencoded", "socket_id=%FF"), "escapes that are not UTF-8"),
        (PUSHER, POST.format("application/x-www-form-urlencoded", "x;socket_id=1"), "is after a raw ';' in the form"),
        (
            PUSHER,
            POST.format("multipart/form-data; boundary=x", "--x"),
            "the multipart body does not follow",
        ),
        (EVERYWHERE, "GET /x/2 HTTP/1.1\nX-A: 1\nX-A: 1\n", "a: the header 'X-A' is there more than once"),
        (EVERYWHERE, "GET /x/2 HTTP/1.1\nX-A: 1,2\n", "has a comma, with which servers join two"),
        (EVERYWHERE, "GET /x/2 HTTP/1.1\nX-A: 1  2\n", "is not visible ASCII with single spaces"),
        (
            EVERYWHERE,
            'GET /x/2 HTTP/1.1\nCookie: a="1"\n',
            "a: the cookie 'a' has characters around its name",
        ),
        (EVERYWHERE, "GET /x//2?a=1 HTTP/1.1\n", "b: the path '/x/{b}' or '/y/{b}/z' is not canonical: it has '//'"),
        (EVERYWHERE, "GET /x/%FF?a=1 HTTP/1.1\n", "bytes that are not UTF-8"),
    ],
)
@pytest.mark.without_coverage
def test_each_refusal_is_explained_in_one_sentence(scheme: Scheme, request_text: str, sentence: str) -> None:
    explanation = explained(scheme, request_text.encode("latin-1"))

    said = " ".join(sentences(explanation))
    assert not explanation.verified
    assert sentence in said
    assert said.startswith(f"Not verified: {explanation.reason.value}.")


@pytest.mark.parametrize(
    ("scheme", "request_text"),
    [
        (NANGO, f"/?integration_id=a&connectionId=b&hmac={signed('a:b')}"),
        (NANGO, f"/?integration_id=a&connection_id=x&connection_id=b&hmac={signed('a:b')}"),
        (NANGO, POST.format(JSON, f'{{"integration_id": 42, "connection_id": "b", "hmac": "{signed("42:b")}"}}')),
        (NANGO, f"/?integration_id=a%20&connection_id=b&hmac={signed('a :b')}"),
        (NANGO, f"/?integration_id=a:b&connection_id=c&hmac={signed('a:b:c')}"),
        (EVERYWHERE, f'GET /x/2?sig={SIG} HTTP/1.1\nCookie: a="1"'),
        (EVERYWHERE, f"GET /x/2?sig={SIG} HTTP/1.1\nX-A: 1\nCookie: a=1"),
        (EVERYWHERE, f"POST /y/2/z?sig={SIG} HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\na=1&a=1"),
    ],
)
@pytest.mark.without_coverage
def test_a_signature_over_the_intended_ids_is_reported_as_right(scheme: Scheme, request_text: str) -> None:
    said = sentences(explained(scheme, request_text))

    assert said[0].startswith("Not verified")
    assert said[-1] == "Except for that, the signature is right."


def test_a_signature_in_a_header_with_another_name_is_found() -> None:
    request = "POST / HTTP/1.1\nContent-Type: {}\nX-Signature-Time: 1800000000\n{}\n\n{{}}"

    def said(header: str) -> list[str]:
        return sentences(explained(GITHUB_HOOKS, request.format(JSON, header)))[1:]

    assert said(f"X-Hub-Signature: sha256={signed('{}')}") == [
        "signature: it is in the header 'X-Hub-Signature', where the guard does not read it; send it in the header "
        "'X-Hub-Signature-256'.",
        "Except for that, the signature is right.",
    ]
    for other in (
        "X-Signed: {}",
        f"Cookie: Cloud-Signature={signed('{}')}",
        f"X-Signature-Input: sig=({signed('{}')})",
    ):
        assert said(other)[0] == "signature: it is missing; send it in the header 'X-Hub-Signature-256'."


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        (schemes.PADDLE, "X-Paddle-Signature: ts={now};h1={signature}"),
        (schemes.STRIPE, "X-Stripe-Signature: t={now},v1={signature},v0=00"),
        (
            schemes.STANDARD_WEBHOOKS,
            "X-Webhook-Id: msg_1\nX-Webhook-Timestamp: {now}\nX-Webhook-Signature: v1,{signature}",
        ),
    ],
    ids=["paddle", "stripe", "standard_webhooks"],
)
def test_items_in_a_header_with_another_name_are_found(scheme: Scheme, headers: str) -> None:
    now, ids = int(time.time()), {"message_id": "msg_1"} if scheme is schemes.STANDARD_WEBHOOKS else {}
    made = scheme.sign(KEY, ids, body=b"{}", timestamp=now)
    request = f"POST / HTTP/1.1\nContent-Type: {JSON}\n{headers.format(now=now, signature=made)}\n\n{{}}"

    said = sentences(explained(scheme, request))
    assert "signature: it is in the item " in " ".join(said)
    assert said[-1] == "Except for that, the signature is right."


def test_a_header_without_the_item_of_the_signature_is_not_the_wrong_header() -> None:
    request = POST.format(f"{JSON}\nStripe-Signature: t={int(time.time())},v0=00", "{}")

    said = sentences(explained(schemes.STRIPE, request))
    assert said[1:] == ["signature: it is missing; send it in the item 'v1' of header 'Stripe-Signature'."]


def test_the_name_of_a_field_that_is_no_form_is_not_taken_for_a_signature() -> None:
    body = f"{{'x-hub-signature': '{signed('x')}', 'key': '{KEY}', 'at': '/?a={'0' * 64}'}}"

    text = as_text(explained(GITHUB_HOOKS, POST.format(JSON, body)))

    assert "signature: it is missing" in text
    assert "form field" not in text


def test_a_signature_in_a_header_is_preferred_to_a_text_of_the_body_with_the_word_signature() -> None:
    body = json.dumps({"verification": {"signature": "0" * 64}})
    request = f"POST / HTTP/1.1\nContent-Type: {JSON}\nX-Hub-Signature: sha256={signed(body)}\n\n{body}"

    assert sentences(explained(GITHUB_HOOKS, request))[-1] == "Except for that, the signature is right."


def test_one_character_and_one_byte_are_not_plural() -> None:
    _, output = run("github", "--key-env", "KEY", given="POST / HTTP/1.1\nX-Hub-Signature-256: a\n\nb")

    assert "signature: 1 character\n" in output
    assert "The bytes to sign: 1 byte\n" in output


def test_a_signature_without_a_required_id_is_not_reported_as_right() -> None:
    request = f"/oauth/connect/github?hmac={signed('github')}"

    said = sentences(explained(NANGO, request))
    assert said[0] == "Not verified: missing_id."
    assert said[1].startswith("connection_id: it is missing; send it in the query parameter 'connection_id' or in ")
    assert said[2:] == ["The signature is right for a message without connection_id. Sign the whole message."]
    assert explained(VENDOR_NANGO, request).verified


FORM = "application/x-www-form-urlencoded"
FORMS = Scheme(name="forms", ids={"a": Form("a"), "b": Form("b")}, message="{a}:{b}", signature=Form("sig"))
SEGMENTS = Scheme(
    name="segments",
    ids={"a": PathSource("/t/{a}/o/{b}/"), "b": PathSource("/t/{a}/o/{b}/") | Query("b")},
    message="{a}:{b}",
    signature=Query("sig") | Header("X-Sig"),
    tenant=PathSource("/t/{tenant}/o/{b}/"),
)
BODY = f'{{"identifier": "1:2", "identifier_hash": "{signed("1:2")}"}}'
IN_BODY = f'{{"integration_id": "1", "connection_id": "2", "hmac": "{signed("1:2")}"}}'
GITHUB_HOOKS = schemes.GITHUB
GITHUB = f"connection_id=b&hmac={signed('a:b')}"


@pytest.mark.parametrize(
    ("scheme", "request_text", "names", "sentence"),
    [
        (CHATWOOT, POST.format("text/plain", BODY), ["body_type"], "is JSON, but its Content-Type is 'text/plain'. Fi"),
        (CHATWOOT, POST.format("*/*", BODY), ["body_type"], "its Content-Type is '*/*'. Fix: send it with Content-Ty"),
        (CHATWOOT, POST.format("application/json-rpc", BODY), ["body_type"], "Content-Type is 'application/json-rpc'"),
        (CHATWOOT, POST.format(FORM, BODY), ["body_type"], f"its Content-Type is '{FORM}'"),
        (CHATWOOT, f"POST / HTTP/1.1\n\n{BODY}", ["body_type"], "the body is JSON, but it has no Content-Type"),
        (CHATWOOT, f"curl h -d '{BODY}'", ["body_type"], f"its Content-Type is '{FORM}'"),
        (NANGO, POST.format("text/plain", IN_BODY), ["body_type"], "its Content-Type is 'text/plain'"),
        (
            NANGO,
            f"/oauth/connect/a/?{GITHUB}",
            ["path_slash"],
            "path '/oauth/connect/{integration_id}' does not. Fix: ",
        ),
        (
            NANGO,
            f"/prod/oauth/connect/a?{GITHUB}",
            ["path_prefix"],
            "'/prod' is before the scheme's path '/oauth/c",
        ),
        (NANGO, f"/x/y/auth/z/a?{GITHUB}", ["path_prefix"], "'/x/y' is before the scheme's path '/auth/{kind}/{i"),
        (NANGO, f"/x/unauth/a/?{GITHUB}", ["path_slash", "path_prefix"], "send it without the '/'. Cause: '/x' is bef"),
        (
            NANGO,
            "/oauth/connect/a?" + GITHUB.replace("&", "&amp;"),
            ["html_ampersand"],
            "the query has '&amp;' between",
        ),
        (NANGO, "/oauth/connect/a?" + GITHUB.replace("&", "&amp;amp;"), ["html_ampersand"], "send a plain '&'"),
        (
            NANGO,
            "/x/unauth/a?" + GITHUB.replace("&", "&amp;"),
            ["html_ampersand", "path_prefix"],
            "as HTML writes an '&'",
        ),
        (FORMS, POST.format(FORM, f"a=1&amp;b=2&amp;sig={signed('1:2')}"), ["html_ampersand"], "the form has '&amp;'"),
        (
            SEGMENTS,
            f"/t/1/o/2?sig={signed('1:2')}",
            ["path_slash"],
            "not end with a '/', and the scheme's path '/t/{a}/",
        ),
        (
            SEGMENTS,
            f"/x/t/1/o/2/?sig={signed('1:2')}",
            ["path_prefix"],
            "'/x' is before the scheme's path '/t/{a}/o",
        ),
    ],
)
def test_a_sending_mistake_is_named_and_the_signature_is_checked(
    scheme: Scheme, request_text: str, names: list[str], sentence: str
) -> None:
    explanation = explained(scheme, request_text)

    said = sentences(explanation)
    assert [mistake.name for mistake in explanation.sending] == names
    assert sentence in " ".join(said)
    assert said[-1] == "Except for that, the signature is right."
    assert [mistake["name"] for mistake in as_json(explanation)["mistakes"]] == names


def test_a_sending_mistake_and_a_signing_mistake_are_both_named() -> None:
    said = sentences(explained(NANGO, f"/x/unauth/a?connection_id=b&hmac={signed('a:b', KEY + chr(10))}"))

    assert said[-2].startswith("Cause: '/x' is before")
    assert said[-1].startswith("Another cause: the key was used with a newline")


@pytest.mark.parametrize(
    ("scheme", "request_text"),
    [
        (NANGO, GOOD),
        (NANGO, GOOD + "&amp;x=1"),
        (NANGO, "/oauth/connect/a?connection_id=b&amp;c=1&hmac=1"),
        (NANGO, "/elsewhere/a?connection_id=b&hmac=1"),
        (NANGO, "/oauth/connect/?hmac=1"),
        (NANGO, "/x//oauth/connect/a?hmac=1"),
        (NANGO, "/oauth/connect/a/b?hmac=1"),
        (NANGO, "/connect/a/?hmac=1"),
        (NANGO, "/x/oauth/connect/a?integration_id=a&hmac=1"),
        (NANGO, POST.format("text/plain", '{"x": {"integration_id": "a"}}')),
        (NANGO, POST.format("text/plain", "integration_id")),
        (NANGO, POST.format("application/vnd.x+json; charset=latin-1", IN_BODY)),
        (NANGO, POST.format("application/json\nContent-Type: text/plain", IN_BODY)),
        (EVERYWHERE, f"/x/2?sig={SIG}&b=1"),
        (SUPRSEND, "/prod/oauth/connect/a/?distinct_id=a&subscriber_id=b"),
        (user_hash(id=PathSource("/{id}"), signature=Query("sig")), "/x/a?sig=1"),
    ],
)
@pytest.mark.without_coverage
def test_no_sending_mistake_is_named_for_other_requests(scheme: Scheme, request_text: str) -> None:
    assert explained(scheme, request_text).sending == ()


@pytest.mark.parametrize(
    ("scheme", "request_text"),
    [
        (NANGO, f"/prod/oauth/connect/a?{GITHUB}"),
        (NANGO, f"/%22'x'%20y/%C3%A9/oauth/connect/a?{GITHUB}"),
        (NANGO, f"/%7Bz/oauth/connect/a?{GITHUB}"),
        (NANGO, f"/oauth/connect/a/?{GITHUB}"),
        (SEGMENTS, f"/t/1/o/2?sig={signed('1:2')}"),
        (SEGMENTS, f"/x/t/1/o/2/?sig={signed('1:2')}"),
    ],
)
def test_the_suggested_code_makes_the_request_verified(scheme: Scheme, request_text: str) -> None:
    said = " ".join(sentences(explained(scheme, request_text)))
    code = re.search(r"write ((?:NANGO|scheme)\.replace\(.*?\))(?:; or mount|\. Except)", said)

    if "%7B" in request_text:
        assert code is None  # A template cannot have a brace.
        assert "write the scheme with templates that fit the path" in said
        return
    assert code is not None
    names = {"NANGO": NANGO, "scheme": scheme, "Path": PathSource, "Query": Query, "Json": Json, "Header": Header}
    changed = eval(code[1], names)
    assert set(changed.ids) == set(scheme.ids)
    assert explained(changed, request_text).verified


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("guards", "signers", "name"),
    [
        (KEY.encode(), BOM + KEY.encode(), "key_bom"),
        (KEY.encode(), "\xef\xbb\xbf".encode() + KEY.encode(), "key_bom"),
        (BOM + KEY.encode(), KEY.encode(), "key_bom_here"),
        (KEY.encode(), KEY.encode() + rb"\n", "key_newline_written"),
        (KEY.encode(), KEY.encode() + rb"\r\n", "key_newline_written"),
        (KEY.encode() + rb"\n", KEY.encode(), "key_newline_written_here"),
        (KEY.encode() + rb"\r\n", KEY.encode(), "key_newline_written_here"),
        (KEY.encode() + rb"\n", KEY.encode() + b"\n", "key_escaped"),
    ],
)
def test_a_byte_order_mark_and_a_literal_newline_in_a_key_are_named(guards: bytes, signers: bytes, name: str) -> None:
    signature = hmac.new(signers, b"github", hashlib.sha256).hexdigest()
    captured = capture(f"/oauth/connect/github?hmac={signature}".encode())

    explanation = explain_captured(NANGO, captured, KnownKeys(Key(guards)), seconds=60)

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == [name]
    assert "literal \\n" in " ".join(sentences(explanation)) or "newline_written" not in name


@pytest.mark.parametrize("raw", ["a%41b", "gr%c3%b6%C3%9Fe"])
def test_an_id_that_was_signed_as_it_is_in_the_url_is_named(raw: str) -> None:
    explanation = explained(
        NANGO, f"/oauth/connect/github?x=1&connection_id={raw}&hmac={signed(f'github:{raw}')}&connection_id_2=3"
    )

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == ["id_url_encoded"]


UUID_KEY = b"8f4f6a52-5d0b-4a5e-9e0f-3d9b1c7a2e11"


@pytest.mark.parametrize(
    ("guards", "signers", "name"),
    [
        (KEY.encode(), KEY.encode() + b"\r", "key_newline"),
        (UUID_KEY, b"8f4f6a525d0b4a5e9e0f3d9b1c7a2e11", "key_uuid"),
        (b"8f4f6a525d0b4a5e9e0f3d9b1c7a2e11", UUID_KEY, "key_uuid"),
        (UUID_KEY, b"{" + UUID_KEY + b"}", "key_uuid"),
        (b"ab+/" * 8, b"ab-_" * 8, "key_base64_alphabet"),
        (b"ab-_" * 8, b"ab+/" * 8, "key_base64_alphabet"),
        (b"ab+/" * 8 + b"cQ==", b"ab-_" * 8 + b"cQ", "key_base64_alphabet"),
        (b"ab-_" * 8 + b"cQ", b"ab+/" * 8 + b"cQ==", "key_base64_alphabet"),
        (b"abcd" * 8 + b"cQ==", b"abcd" * 8 + b"cQ", "key_cut"),
    ],
)
def test_another_spelling_of_a_key_is_named(guards: bytes, signers: bytes, name: str) -> None:
    signature = hmac.new(signers, b"github:user-42", hashlib.sha256).hexdigest()
    captured = capture(f"/oauth/connect/github?connection_id=user-42&hmac={signature}".encode())

    explanation = explain_captured(NANGO, captured, KnownKeys(Key(guards)), seconds=60)

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == [name]


@pytest.mark.parametrize(
    ("message", "name"), [("github\r:user-42", "id_trimmed"), ("github:user-42\r", "id_trimmed")], ids=ascii_start
)
def test_a_carriage_return_at_the_end_of_an_id_is_named(message: str, name: str) -> None:
    explanation = explained(NANGO, GOOD.replace(signed("github:user-42"), signed(message)))

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == [name]


def test_a_carriage_return_at_the_end_of_a_message_is_named() -> None:
    ends = Scheme(name="ends", ids={"a": Query("a")}, message="{a}.", signature=Query("sig"))
    explanation = explained(ends, f"/?a=1&sig={signed('1.' + chr(13))}")

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == ["message_newline"]


def test_a_problem_and_a_mistake_are_both_named() -> None:
    said = sentences(explained(NANGO, f"/?integration_id=a%20&connection_id=b&hmac={signed('a:b', KEY + chr(10))}"))

    assert "white space" in said[1]
    assert said[2].startswith("Another cause, two mistakes together: ")


def test_a_preflight_is_not_checked() -> None:
    request = "OPTIONS /?integration_id=a HTTP/1.1\nOrigin: http://h\nAccess-Control-Request-Method: GET\n\n"

    assert sentences(explained(NANGO, request))[0].startswith("Not checked: a browser cannot sign a CORS preflight")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
def test_another_method_with_the_headers_of_a_preflight_is_checked(method: str) -> None:
    target = GOOD.removeprefix("https://h")
    request = f"{method} {target} HTTP/1.1\nOrigin: http://h\nAccess-Control-Request-Method: GET\n\n"

    assert explained(NANGO, request).verified
    assert explained(NANGO, request.replace("user-42", "user-43")).reason == "invalid_signature"


def test_a_signature_of_a_body_over_the_limit_is_not_explained() -> None:
    body = b"x" * 300_000
    signature = schemes.GITHUB.sign(KEY, body=body)

    answer = sentences(
        explained(schemes.GITHUB, f"POST / HTTP/1.1\nX-Hub-Signature-256: {signature}\n\n".encode() + body)
    )

    assert answer == [
        "Not verified: body_too_large. The body is larger than the 262,144 bytes that a guard reads by default. Send a "
        "smaller one, or give the guard a larger max_body."
    ]


@pytest.mark.parametrize("word", ["null", "undefined", "None", "0"])
@pytest.mark.parametrize(
    "request_text",
    [
        POST.format(JSON, '{{"identifier": null, "identifier_hash": "{}"}}'),
        POST.format(JSON, '{{"identifier": "", "identifier_hash": "{}"}}'),
        POST.format(JSON, '{{"identifier_hash": "{}"}}'),
    ],
)
def test_a_word_signed_for_the_only_id_is_named(request_text: str, word: str) -> None:
    explanation = explained(CHATWOOT, request_text.format(signed(word)))

    said = " ".join(sentences(explanation))

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == ["id_absent"]
    assert f"'{word}' was signed for the id that is absent. Fix: check that the variable has a value" in said


def test_an_id_cut_by_an_ampersand_is_found() -> None:
    explanation = explained(NANGO, f"/?integration_id=a&connection_id=b&c%20d&hmac={signed('a:b&c d')}")

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == ["id_cut"]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("github:undefined", "id_absent"),
        ("github:", "id_absent"),
        ("pk_live:github", "id_further"),
        ("/oauth/connect/github", "message_other"),
        ("{integration_id}:{connection_id}", "message_other"),
        ("${integration_id}:${connection_id}", "message_other"),
        ('{"integration_id":"github"}', "ids_named"),
    ],
)
@pytest.mark.parametrize("scheme", [NANGO, VENDOR_NANGO], ids=["required", "optional"])
def test_another_signed_text_is_named(message: str, name: str, scheme: Scheme) -> None:
    explanation = explained(scheme, f"/oauth/connect/github?public_key=pk_live&hmac={signed(message)}")

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == [name]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("pk_live", "key_public"),
        ("", "key_unset"),
        ("undefined", "key_unset"),
        ("$NANGO_KEY", "key_unset"),
        ("process.env.NANGO_KEY", "key_unset"),
        ("the key of old times", "key_previous"),
        ("the key of another tenant", "key_other"),
    ],
)
def test_another_text_used_as_the_key_is_named(key: str, name: str) -> None:
    explanation = explained(
        NANGO,
        f"/oauth/connect/github?connection_id=user-42&public_key=pk_live&hmac={signed('github:user-42', key)}",
        previous=(("of old times", Key("the key of old times")),),
        others=(("of another tenant", Key("the key of another tenant")),),
        variables=("NANGO_KEY",),
    )

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == [name]


@pytest.mark.parametrize("position", range(3))
def test_each_active_key_verifies_and_is_explained(position: int) -> None:
    secrets = [KEY, "the second active key, without an id", "the third active key, with an id"]
    ring = Keyring([Key(secrets[0]), Key(secrets[1]), Key(secrets[2], id="third")])
    keys = KnownKeys.of_ring(ring, 0.0)
    url = "/oauth/connect/github?connection_id=user-42&hmac="
    verified, spaced, refused = (
        explain_captured(NANGO, capture((url + text).encode()), keys, seconds=60)
        for text in (
            signed("github:user-42", secrets[position]),
            signed("github:user-42 ", secrets[position]),
            f"{signed('github:user-42', secrets[position])}&connection_id=user-42",
        )
    )

    assert (verified.verified, verified.right) == (True, signed("github:user-42", secrets[position]))
    assert verified.key_id == ring.keys[position].id
    assert spaced.found is not None
    assert [found.name for found in spaced.found.mistakes] == ["id_trimmed"]
    name = ["", "number 2 of the keyring", "with the id third"][position]
    said = f"The signer uses the key {name}."
    assert (said in sentences(spaced)) == (position > 0)
    assert as_json(spaced)["key"] == (name or None)
    assert refused.reason == "duplicate"
    assert as_json(verified)["key"] is None
    assert "Except for that, the signature is right." in sentences(refused)


@pytest.mark.parametrize("slow", range(3))
def test_the_active_keys_share_the_time_and_each_counts_for_a_complete_search(
    monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    now, limits = 0.0, []

    def searched(*arguments: Any) -> Search:
        nonlocal now
        limit = arguments[-1]
        limits.append(limit)
        is_slow = len(limits) - 1 == slow
        now += limit if is_slow else 0.0
        return Search(right=False, is_complete=not is_slow)

    monkeypatch.setattr("hmac_guard.explain.explanation.search", searched)
    monkeypatch.setattr("hmac_guard.explain.explanation.monotonic", lambda: now)
    keys = KnownKeys.of_ring(Keyring([KEY, "the second active key", "the third active key"]), 0.0)
    explanation = explain_captured(NANGO, capture(GOOD[:-64].encode() + b"0" * 64), keys, seconds=12.0)

    assert limits == [[4.0, 4.0, 8.0], [4.0, 6.0, 6.0], [4.0, 6.0, 12.0]][slow]
    assert explanation.found is not None
    assert not explanation.found.is_complete


@pytest.mark.parametrize("cut", [slice(0, 32), slice(0, 63), slice(-40, None)], ids=repr)
def test_a_truncated_signature_is_named(cut: slice) -> None:
    explanation = explained(NANGO, f"/oauth/connect/github?connection_id=b&hmac={signed('github:b')[cut]}")

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == ["signature_cut"]


@pytest.mark.parametrize("ids", [{"a": "User 1+2 é <b>", "b": "00042"}, {"a": "%41\\n'x'", "b": "9" * 20}], ids=str)
@pytest.mark.parametrize(
    "secret",
    [
        b"c2VjcmV0LXNlY3JldC1zZWNyZXQ=",
        b"whsec_00ff00ff00ff00ff",
        bytes(range(100, 200)),
        b"\xef\xbb\xbfsecret" + rb"\n",
    ],
)
def test_every_mistake_of_the_tables_is_found(ids: dict[str, str], secret: bytes) -> None:
    attempt = right_attempt(EVERYWHERE, secret, ids)
    right = attempt.write(attempt.digest())

    for mistake in MISTAKES:
        for _, changed in mistake.vary(attempt):
            signature = changed.write(changed.digest())
            if signature != right:
                result = search(attempt, signature, b"", [mistake], seconds=60)
                assert [found.name for found in result.mistakes] == [mistake.name]
                assert "{" not in result.mistakes[0].description


@pytest.mark.without_coverage
@given(
    path=st.text(max_size=20),
    query=st.lists(st.tuples(st.sampled_from(["a", "b", "sig", "A", "t"]), st.text(max_size=8)), max_size=5),
    headers=st.lists(
        st.tuples(st.sampled_from(["X-A", "Cookie", "Content-Type", "X-Sig"]), st.text(max_size=8)), max_size=4
    ),
    body=st.one_of(
        st.binary(max_size=40), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)
    ),
)
@settings(max_examples=150, deadline=None)
def test_no_request_makes_explain_raise(path: str, query: Any, headers: Any, body: Any) -> None:
    raw = f"/{path}?" + "&".join(f"{name}={value}" for name, value in query)
    target = raw.encode("utf-8", "surrogatepass").decode("latin-1")
    sent = Captured("POST", target, tuple(headers), body if isinstance(body, bytes) else body.encode())

    for scheme in (EVERYWHERE, CHATWOOT):
        explanation = explain_captured(scheme, sent, KnownKeys(Key(KEY)), seconds=0.0)
        report = as_text(explanation)
        assert max(map(len, report.splitlines())) <= 78
        assert report.isprintable() or report.replace("\n", "").isprintable()
        json.dumps(as_json(explanation))


@pytest.mark.without_coverage
def test_a_search_keeps_its_time_limit_and_reports_it() -> None:
    began = time.thread_time()
    explanation = explain_captured(NANGO, capture(GOOD[:-64].encode() + b"0" * 64), KnownKeys(Key(KEY)), seconds=0.01)

    assert time.thread_time() - began < 0.25  # The whole search takes twice as long.
    assert explanation.found is not None
    assert not explanation.found.is_complete
    assert "the time was too short" in " ".join(sentences(explanation))


@pytest.mark.without_coverage
@pytest.mark.parametrize("text", ["\u0301\u0316" * 4000, "é" * 8000, "%C3" * 5000, " +" * 8000], ids=ascii_start)
def test_a_search_keeps_its_time_limit_with_a_long_message(text: str) -> None:
    body = json.dumps({"identifier": text, "identifier_hash": "0" * 64})
    captured = capture(POST.format(JSON, body).encode())

    began = time.thread_time()
    explanation = explain_captured(CHATWOOT, captured, KnownKeys(Key(KEY)), seconds=0.01)

    assert time.thread_time() - began < 0.25
    assert explanation.found is not None
    assert not explanation.found.is_complete


LARGE = 262_144


@pytest.mark.parametrize(
    "body",
    [
        "[" + "1," * (LARGE // 2) + "1]",
        "[" + "[]," * (LARGE // 3) + "[]]",
        f'{{"{"k" * (LARGE // 2)}":[{"1," * (LARGE // 4)}1]}}',
        f'{{"{"k" * LARGE}":{{"identifier":"1"}}}}',
        "[" * (LARGE // 2) + "]" * (LARGE // 2),
        "[" * 900 + "1," * (LARGE // 2) + "1" + "]" * 900,
        "&" * LARGE,
        "a=1&" * (LARGE // 4),
        "amp;" * (LARGE // 4),
        "a" * LARGE,
    ],
    ids=ascii_start,
)
@pytest.mark.without_coverage
def test_the_texts_of_a_large_body_are_found_quickly_and_limited(body: str) -> None:
    began = time.thread_time()
    every = list(leaves(body, [("Cookie", 'a="' + r"\0" * 30_000)], body.encode()))
    for field in (*CHATWOOT.id_fields, CHATWOOT.signature_field):
        near(field, every)

    assert time.thread_time() - began < 1.0
    assert len(every) <= 3 * MAX_LEAVES
    assert sum(len(leaf.where) + len(leaf.pointer) for leaf in every) < 2_000_000


def test_values_of_a_body_after_the_last_text_to_look_at_take_no_memory() -> None:
    body = b"[" + b"1," * (LARGE // 2) + b"1]"

    tracemalloc.start()
    try:
        every = list(leaves("", (), body))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(every) == MAX_LEAVES
    assert peak < 8 * LARGE


def test_a_deeply_nested_text_is_found_with_its_pointer() -> None:
    body = json.dumps({"x": [0, {"a/b~c": {"identifier": "1", "n": None, "t": True}}], "y": "z"})

    found = list(leaves("", (), body.encode()))

    assert [(leaf.pointer, leaf.value) for leaf in found] == [
        ("/y", "z"),
        ("/x/0", "0"),
        ("/x/1/a~1b~0c/identifier", "1"),
        ("/x/1/a~1b~0c/t", "true"),
    ]
    assert near(CHATWOOT.id_fields[0], found) == found[2]


@pytest.mark.without_coverage
def test_a_lone_surrogate_and_a_number_of_5000_digits_are_reported() -> None:
    surrogate = POST.format(JSON, r'{"integration_id": "a", "hmac": "0", "public_key": "\ud800"}')
    digits = f"/?integration_id=%26%23{'9' * 5000}%3B&hmac={'0' * 64}"

    assert run("nango", "--key-env", "KEY", given=surrogate)[0] == 1
    assert run("nango", "--key-env", "KEY", given=digits)[0] == 1


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "JSON"])
def test_no_control_character_is_printed(form: list[str]) -> None:
    odd = "a\x1b]0;t\x07\x9b\u202e\x7fé"
    entry: dict[str, Any] = {
        "request": {"method": odd, "url": f"https://h/{odd}?{odd}={odd}&hmac={odd}", "headers": [], "x": odd}
    }
    entry["request"]["headers"] = [{"name": "Content-Type", "value": odd}, {"name": odd, "value": odd}]
    entry["request"]["postData"] = {"text": json.dumps({"integration_id": odd, odd: odd})}

    _, output = run("nango", "--key-env", "KEY", *form, given=json.dumps(entry))

    assert output.isascii()
    assert output.replace("\n", "").isprintable()


def test_a_text_used_as_the_key_is_escaped_in_the_report() -> None:
    said = sentences(explained(NANGO, f"/unauth/github?public_key=pk_%C3%A9&hmac={signed('github', 'pk_é')}"))

    assert r"'pk_\xe9' was used instead of the key" in said[-1]


def test_a_long_value_is_cut_in_the_report_but_not_in_json() -> None:
    explanation = explained(NANGO, f"/?integration_id={'a' * 500_000}&hmac=0")

    began = time.thread_time()
    report = as_text(explanation)

    assert time.thread_time() - began < 0.5
    assert len(report) < 10_000
    assert as_json(explanation)["message"]["text"] == "a" * 500_000


def test_a_very_long_message_is_not_searched() -> None:
    explanation = explained(
        CHATWOOT, POST.format(JSON, json.dumps({"identifier": "x" * 20_000, "identifier_hash": "1"}))
    )

    assert explanation.found == Search(right=False, is_complete=False)
    assert "20,000 bytes" in " ".join(sentences(explanation))
    assert "Mistakes are searched only where at most 16,384 bytes are signed." in sentences(explanation)
    assert not as_json(explanation)["all_tried"]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (f"X-Hub-Signature-256: sha256={KEY}", "Cause: the signature is the key itself."),
        (f"X-Hub-Signature: sha256={signed('x' * 20_000)}", "Except for that, the signature is right."),
    ],
    ids=["the key", "a right signature in another header"],
)
def test_a_key_and_a_right_signature_are_found_for_a_long_message(signature: str, said: str) -> None:
    explanation = explained(GITHUB_HOOKS, f"POST / HTTP/1.1\nContent-Type: {JSON}\n{signature}\n\n{'x' * 20_000}")

    assert sentences(explanation)[-1].startswith(said)
    assert KEY not in as_text(explanation, show_signature=True)


@pytest.mark.without_coverage
def test_the_report_has_four_steps_and_fits_80_columns() -> None:
    report = as_text(explained(NANGO, GOOD.replace("user-42", "gr%C3%B6%C3%9Fe%20" + "x" * 500)))

    steps = [line for line in report.splitlines() if line[:1].isdigit()]
    assert [step[:2] for step in steps] == ["1.", "2.", "3.", "4."]
    assert "integration_id: 'github'\n      in the path '/oauth/connect/{integration_id}'\n" in report
    assert "gr\\xf6\\xdfe" in report
    assert "67 69 74 68 75 62 3a" in report
    assert "hex of 32 bytes, the size of sha256: " in report
    assert max(map(len, report.splitlines())) <= 78


@pytest.mark.without_coverage
@pytest.mark.parametrize(
    ("signature", "decoded"),
    [
        ("ab" * 32, "hex of 32 bytes, the size of sha256: ab ab ab ab ..."),
        ("AB" * 32, "upper-case hex of 32 bytes, the size of sha256"),
        ("ab" * 20, "hex of 20 bytes, the size of sha1"),
        ("ab" * 31, "hex of 31 bytes, the size of no digest"),
        ("q6ur" * 10 + "q6s=", "base64 of 32 bytes, the size of sha256"),
        ("q6ur" * 10 + "q_s", "base64url of 32 bytes"),
        ("sha256=" + "ab" * 32, "hex of 32 bytes"),
        ("!" * 64, "neither hex nor base64"),
        ("q6ur" * 10 + "q", "neither hex nor base64"),
    ],
)
def test_the_decoded_signature_is_described(signature: str, decoded: str) -> None:
    explanation = explained(NANGO, f"/oauth/connect/a?connection_id=b&hmac={signature}")

    assert explanation.decoded is not None
    assert decoded in explanation.decoded.describe(whole=False)


SECRETS = (KEY, KEY.encode().hex(), base64.b64encode(KEY.encode()).decode(), repr(KEY.encode()))


@pytest.mark.parametrize("message", ["github:user-42", "GITHUB:user-42", "x"])
@pytest.mark.parametrize("change", [str, str.upper, lambda text: f'"{text}"', lambda text: text + "%zz"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "JSON"])
@pytest.mark.without_coverage
def test_nothing_secret_is_printed(message: str, change: Any, form: list[str]) -> None:
    sent = change(signed(message))
    url = f"https://h/oauth/connect/github?connection_id=user-42&hmac={sent}"

    _, output = run("nango", url, "--key-env", "KEY", *form)

    right = signed("github:user-42")
    for secret in (*SECRETS, right, right.upper(), bytes.fromhex(right).hex(" "), right[:16], sent):
        assert secret not in output


@pytest.mark.without_coverage
def test_the_right_signature_is_shown_on_request() -> None:
    url = GOOD.replace("user-42", "user-43")

    code, output = run("nango", url, "--key-env", "KEY", "--show-signature")
    _, document = run("nango", url, "--key-env", "KEY", "--show-signature", "--json")

    assert code == 1
    assert f"the right signature is\n     {signed('github:user-43')}" in output
    assert json.loads(document)["signature"]["right"] == signed("github:user-43")
    assert json.loads(document)["signature"]["value"] == signed("github:user-42")


def test_the_exit_code_says_whether_it_is_verified(tmp_path: Path) -> None:
    (tmp_path / "request.txt").write_text(GOOD)

    assert run("nango", GOOD, "--key-env", "KEY")[0] == 0
    assert run("nango", "--key-env", "KEY", given=GOOD)[0] == 0
    assert run("nango", "-", "--key-env", "KEY", given=f"curl '{GOOD}'")[0] == 0
    assert run("nango", f"@{tmp_path / 'request.txt'}", "--key-env", "KEY")[0] == 0
    assert run("--scheme", "hmac_guard.schemes:NANGO", GOOD, "--key-env", "KEY")[0] == 0
    assert run("nango", GOOD.replace("42", "43"), "--key-env", "KEY")[0] == 1
    assert run("nango", "/", "--key-env", "KEY")[0] == 1


def test_the_json_contains_the_report() -> None:
    url = GOOD.replace("user-42", "user+42")

    code, output = run("nango", url, "--key-env", "KEY", "--json")

    document = json.loads(output)
    assert code == 1
    assert (document["verified"], document["reason"], document["scheme"]) == (False, "invalid_signature", "nango")
    assert document["message"] == {"text": "github:user 42", "hex": b"github:user 42".hex()}
    assert [reading["value"] for reading in document["ids"]] == ["github", "user 42"]
    assert document["mistakes"] == []
    assert document["all_tried"] in (True, False)


def test_additional_keys_are_tried_and_named_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "old.key").write_text("the key of old times")
    url = GOOD[:-64] + signed("github:user-42", "the key of old times")

    _, output = run("nango", url, "--key-env", "KEY", "--previous-file", str(tmp_path / "old.key"))
    assert "the previous key" in output
    assert "old.key" in output

    _, output = run("nango", url, "--key-env", "KEY", "--other-env", "THEIRS", THEIRS="the key of old times")
    assert "another key (of the variable THEIRS) was used" in " ".join(output.split())


def test_the_name_of_the_variable_of_the_key_is_tried_as_the_key() -> None:
    url = GOOD[:-64] + signed("github:user-42", "NAME_OF_IT")

    _, output = run("nango", url, "--key-env", "NAME_OF_IT", NAME_OF_IT=KEY)
    assert "NAME_OF_IT was used instead of the key" in " ".join(output.replace("'", "").split())


def test_a_mounted_application_reads_the_path_after_its_mount_point() -> None:
    url = GOOD.replace("/oauth", "/api/v1/oauth")

    assert run("nango", url, "--key-env", "KEY")[0] == 1
    assert run("nango", url, "--key-env", "KEY", "--mount", "/api/v1")[0] == 0


@pytest.mark.parametrize(
    ("query", "reason", "says"),
    [
        ("", "unknown_key", "tenant: the request names no tenant; the guard answers 401."),
        ("&public_key=", "unknown_key", "tenant: the request names no tenant; the guard answers 401."),
        (
            "&public-key=acme",
            "unknown_key",
            "tenant: it is in the query parameter 'public-key', where",
        ),
        (
            "&public_key=acme&public_key=acme",
            "duplicate",
            "tenant: the query parameter 'public_key' is there more",
        ),
        (
            "&public_key=globex",
            "invalid_signature",
            "tenant: the request names the tenant 'globex', not 'acme'",
        ),
    ],
)
def test_a_right_signature_is_not_verified_if_the_request_does_not_name_the_tenant_of_the_keys(
    query: str, reason: str, says: str
) -> None:
    explanation = explained(NANGO, GOOD + query, tenant="acme")
    said = " ".join(sentences(explanation))

    assert (explanation.verified, explanation.reason) == (False, reason)
    assert says in said
    assert "the signature is right." in said
    assert ("Not verified: " not in said) == (reason == "invalid_signature")
    assert as_json(explanation)["tenant"]["problem"]


def test_a_wrong_signature_is_explained_too_if_the_request_names_another_tenant() -> None:
    url = GOOD.replace(signed("github:user-42"), signed("user-42:github"))
    said = " ".join(sentences(explained(NANGO, url + "&public_key=globex", tenant="acme")))

    assert "not 'acme'" in said
    assert "Another cause: " in said


def test_the_tenant_of_the_keys_counts_only_if_the_scheme_reads_one() -> None:
    request = f"POST / HTTP/1.1\nHost: h\nX-Hub-Signature-256: {schemes.GITHUB.sign(KEY, body=b'{}')}\n\n{{}}"

    assert explained(NANGO, GOOD + "&public_key=acme", tenant="acme").verified
    assert explained(schemes.GITHUB, request, tenant="acme").verified


def test_a_verified_request_without_a_tenant_is_noted() -> None:
    assert "A guard with keys by tenant" in run("nango", GOOD, "--key-env", "KEY")[1]
    assert "A guard with keys by tenant" not in run("nango", GOOD + "&public_key=pk", "--key-env", "KEY")[1]


NOTES = user_hash(id=PathSource("/users/{id}/notes"), signature=Query("sig"))


@pytest.mark.parametrize(
    ("scheme", "target", "sentence"),
    [
        (
            NOTES,
            f"/users/a%2Fb/notes?sig={signed('a/b')}",
            "and a text with a '/' cannot be sent in a path; give it an",
        ),
        (NOTES, f"/api/users/caf%C3%A9%2fb/notes?sig={signed('café/b')}", "and a text with a '/' cannot be sent in"),
        (
            EVERYWHERE,
            f"/x/2%2F3?a=1&sig=v1={signed('1:2/3')}",
            "where the guard does not read it; send it in the query",
        ),
    ],
)
def test_an_encoded_slash_in_a_path_is_named(scheme: Scheme, target: str, sentence: str) -> None:
    captured = Captured("GET", target)
    mount = "/api" if target.startswith("/api") else ""
    said = sentences(explain_captured(scheme, captured, KnownKeys(Key(KEY)), mount, seconds=60))

    assert f"it is in the path with '%2F' for its '/', which servers decode, {sentence}" in said[1]
    assert "path '" not in said[1]  # It would be the place in which the id was sent.
    assert said[-1] == "Except for that, the signature is right."


def test_of_many_ids_few_choices_that_were_not_signed_are_tried() -> None:
    ids = {f"id_{number}": f"{number}" for number in range(12)}
    sources = {name: Query(name) for name in ids}
    scheme = Scheme(name="many", ids=sources, message=":".join(f"{{{name}}}" for name in ids), signature=Query("sig"))
    [missing] = [mistake for mistake in MISTAKES if mistake.name == "id_missing"]

    assert 12 < sum(1 for _ in missing.vary(right_attempt(scheme, KEY.encode(), ids))) < 300


def test_an_encoded_slash_in_another_segment_is_not_named() -> None:
    scheme = user_hash(id=PathSource("/{org}/{id}"), signature=Query("sig"))
    said = sentences(explained(scheme, f"/a%2Fb/7?sig={signed('7')}"))

    assert "%2F" not in "".join(said)


def test_an_id_without_a_slash_in_another_place_is_to_be_sent_in_the_path() -> None:
    said = sentences(explained(NOTES, f"/users?id=7&sig={signed('7')}"))

    assert "where the guard does not read it; send it in the path '/users/{id}/notes'" in said[1]


def test_an_id_with_a_slash_in_another_place_is_not_to_be_sent_in_a_path() -> None:
    said = sentences(explained(NOTES, f"/users?id=a/b&sig={signed('a/b')}"))

    assert "it is in the query parameter 'id', and a text with a '/' cannot be sent in a path" in said[1]


@pytest.mark.parametrize(
    ("headers", "written"),
    [
        ("X_A: 1\nX-Sig: {}", "'X-A' and not 'X_A'"),
        ("x_a: 1\nx_SIG: {}", "'X-A' and not 'x_a', 'X-Sig' and not 'x_SIG'"),
    ],
)
@pytest.mark.parametrize("message", ["1:2", "1:3"])
def test_a_header_that_not_every_server_passes_on_is_named(headers: str, written: str, message: str) -> None:
    explanation = explained(EVERYWHERE, f"GET /x/2?t=t HTTP/1.1\n{headers.format(f'v1={signed(message)}')}")

    assert explanation.verified == (message == "1:2")
    dropped = f"Many servers and proxies drop a header whose name has '_': write {written}."
    assert sentences(explanation)[-1] == dropped
    assert as_json(explanation)["answer"][-1] == dropped


def test_a_header_with_items_that_not_every_server_passes_on_is_named() -> None:
    request = f"POST / HTTP/1.1\nStripe_Signature: t=1800000000,v1={signed('1800000000.x')}\n\nx"

    assert "write 'Stripe-Signature' and not 'Stripe_Signature'" in sentences(explained(schemes.STRIPE, request))[-1]


def test_another_header_with_an_underscore_is_not_named() -> None:
    explanation = explained(EVERYWHERE, f"GET /x/2?t=t&x_sig=1 HTTP/1.1\nX-A: 1\nX_B: 1\nX-Sig: {SIG}")

    assert sentences(explanation) == ["Verified: the signature is the right one."]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nango", "https://h", "extra"], "the request is more than one argument; put it in quotes"),
        (["nango", "@nowhere.txt"], "the file nowhere.txt cannot be read"),
        (["nango", ""], "there is no request"),
        (["nango", "{}"], "not a HAR entry"),
        (["nagno", "https://h"], "there is no preset 'nagno'"),
        (["nango", GOOD, "--previous-env", "NOPE"], "the variable NOPE is not set"),
        (["nango", GOOD, "--mount", "api"], "the mount point 'api' is not a path; begin it with one '/', as in '/api'"),
        (["nango", GOOD, "--mount", " /api"], "the mount point ' /api' is not a path"),
        (["nango", GOOD, "--mount", "//api"], "the mount point '//api' is not a path"),
        (["nango", GOOD, "--mount", "https://h/api"], "the mount point 'https://h/api' is not a path"),
        (["nango", GOOD, "--mount", "/api?x=1"], "write it decoded, without '?', '#' and '%'"),
        (["nango", GOOD, "--mount", "/api#"], "the mount point '/api#' is not a path"),
        (["nango", GOOD, "--mount", "/a%20b"], "the mount point '/a%20b' is not a path"),
    ],
)
def test_wrong_use_is_reported_with_what_to_do(words: list[str], sentence: str) -> None:
    code, output = run(*words, "--key-env", "KEY")

    assert code == 2
    assert sentence in output


WHSEC = "whsec_" + base64.b64encode(KEY.encode()).decode()


@pytest.mark.parametrize("option", ["--key-env", "--previous-env", "--other-env"])
def test_a_key_that_the_scheme_uses_decoded_is_refused_as_text(option: str) -> None:
    code, output = run("standard_webhooks", "/", "--key-env", "KEY", option, "W", W=WHSEC)

    assert code == 2
    assert "make it with Key.from_whsec, or read it with form=" in output


def test_the_fix_for_a_decoded_key_names_the_form_that_the_text_has() -> None:
    captured = capture(f"/?user_id=a&user_hash={signed('a')}".encode())
    scheme = user_hash(id=Query("user_id"), signature=Query("user_hash"))

    answer = " ".join(sentences(explain_captured(scheme, captured, KnownKeys(Key(WHSEC)), seconds=60)))

    assert "the key was base64-decoded before use" in answer
    assert "Key.from_whsec(...) for a text that begins with 'whsec_'" in answer


def test_a_file_without_its_mark_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("request.txt").write_text(GOOD)

    code, output = run("nango", "request.txt", "--key-env", "KEY")

    assert code == 2
    assert "request.txt is a file; write @request.txt" in output
    assert run("nango", "@request.txt", "--key-env", "KEY")[0] == 0
    assert run("nango", GOOD + "&x=" + "y" * 5000, "--key-env", "KEY")[0] == 0


def test_nothing_secret_is_in_a_repr() -> None:
    explanation = explained(NANGO, GOOD)
    attempt = right_attempt(NANGO, KEY.encode(), {"integration_id": "a", "connection_id": "b"})

    shown = f"{capture(GOOD.encode())} {explanation} {explanation.signature} {explanation.decoded} {attempt}"

    for secret in (*SECRETS, signed("github:user-42"), signed("github:user-42")[:16], "digest="):
        assert secret not in shown
    assert repr(explained(SUPRSEND, "/?distinct_id=a&subscriber_id=b")) == "<Explanation suprsend: invalid_signature>"


def test_blank_input_is_refused() -> None:
    with pytest.raises(CaptureError):
        capture(b"   ")


# What an explanation confirms must not help to guess a signature or a key.

IDS = {"integration_id": "i", "connection_id": "c"}
RIGHT = NANGO.sign(KEY, IDS)


def found_in(signature: str, scheme: Scheme = NANGO) -> list[str]:
    request = f"https://h/?integration_id=i&connection_id=c&hmac={quote(signature, safe='')}"
    search = explained(scheme, request).found
    return [] if search is None else [mistake.name for mistake in search.mistakes]


@pytest.mark.without_coverage
@pytest.mark.parametrize(
    "part",
    [
        f"HMAC-SHA256 {RIGHT[:4]}",
        f"sha256={RIGHT[:9]}",
        RIGHT[:8].encode().hex(),
        " ".join(RIGHT[:11]),
        f"SHA256={RIGHT[:10].upper()}",
    ],
)
def test_no_explanation_confirms_less_than_64_bits_of_a_signature(part: str) -> None:
    assert len(part) >= 16
    assert found_in(part) == []


def test_a_long_prefix_does_not_count_as_a_part_of_the_signature() -> None:
    scheme = NANGO.replace(name="prefixed", prefix="ACME-SIGNATURE-")

    assert found_in(f"ACME-SIGNATURE-{RIGHT[:1]}", scheme) == []
    assert found_in(f"ACME-SIGNATURE-{RIGHT[:16]}", scheme) == ["signature_cut"]


@pytest.mark.parametrize(
    ("key", "piece"),
    [
        ("a7Xk3vQ-Zt9_pLmN0sWcYbGhJdRfUeTi2oVxMzKqEy4", b"\xa7"),
        ("550e8400-e29b-41d4-a716-446655440000", b"\x55\x0e\x84\x00"),
        ("p4$Xk3vQZt9pLmN0sWcYbGhJdRfUeTi2oVx", b"p4"),
    ],
)
@pytest.mark.without_coverage
def test_no_explanation_confirms_a_piece_of_a_key_that_can_be_guessed(key: str, piece: bytes) -> None:
    signature = hmac.digest(piece, b"i:c", "sha256").hex()
    captured = capture(f"https://h/?integration_id=i&connection_id=c&hmac={signature}".encode())
    explanation = explain_captured(NANGO, captured, KnownKeys(Key(key)), seconds=60)

    assert not explanation.verified
    assert explanation.found is None or explanation.found.mistakes == ()


def reports(explanation: Explanation) -> str:
    """Return all reports of an explanation, with the right signature and without."""
    shown = [
        text
        for whole in (False, True)
        for text in (
            as_text(explanation, show_signature=whole),
            json.dumps(as_json(explanation, show_signature=whole)),
        )
    ]
    return "\n".join([*shown, *sentences(explanation)])


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
        "whsec_" + base64.b64encode(KEY.encode()).decode(),
        "a previous key of this tenant",
        "a key of another tenant",
    ],
)
@pytest.mark.parametrize("prefix", ["", "v1=", "sha256=", "hmac:", "v1,", "Bearer "])
def test_a_key_sent_as_the_signature_is_named_and_not_shown(text: str, prefix: str) -> None:
    known = {
        "previous": (("before", Key("a previous key of this tenant")),),
        "others": (("of acme", Key("a key of another tenant")),),
    }
    explanation = explained(EVERYWHERE, f"GET /x/2?a=1 HTTP/1.1\nX-Sig: {prefix}{text}\nCookie: sig=1\n\n", **known)

    assert explanation.found is not None
    assert [found.name for found in explanation.found.mistakes] == ["key_sent"]
    assert "the signature is the key itself. Fix: sign with the key instead of sending it; replace the key" in " ".join(
        sentences(explanation)
    )
    shown = reports(explanation)
    assert text not in shown
    assert text[4:12] not in shown
    assert text.encode()[:4].hex(" ") not in shown
    assert KEY.encode()[:4].hex(" ") not in shown


# One key of each kind. Only the current one signs.
KINDS = {
    "current": KEY,
    "further": "another active key of this tenant",
    "previous": "a previous key of this tenant",
    "scheduled": "a key of this tenant that is not active yet",
    "others": "a key of another tenant",
}
OF_EACH_KIND = {kind: ((f"of the kind {kind}", Key(text)),) for kind, text in KINDS.items() if kind != "current"}


@pytest.mark.parametrize("place", ["hmac", "connection_id", "public_key"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_each_kind_is_not_shown(kind: str, place: str) -> None:
    sent = {"integration_id": "a", "connection_id": "b", "hmac": "0" * 64, "public_key": "acme", place: KINDS[kind]}
    explanation = explained(NANGO, f"/?{urlencode(sent)}", **OF_EACH_KIND)

    said = "the signature is the key itself" if place == "hmac" else "it is a key, and is not shown"
    assert said in " ".join(sentences(explanation))
    shown = re.sub(r"\s", "", reports(explanation))
    assert KINDS[kind].replace(" ", "") not in shown
    assert KINDS[kind].encode()[:4].hex() not in shown


def test_a_key_that_begins_like_a_prefix_is_named() -> None:
    key = "app-1:of-the-key-that-signs-all-of-this"
    request = capture(f"https://h/?integration_id=a&connection_id=b&hmac={key}".encode())
    explanation = explain_captured(NANGO, request, KnownKeys(Key(key)))

    assert explanation.has_key


@pytest.mark.parametrize("start", ["", "whsec_"])
def test_a_key_of_text_that_is_sent_as_the_hex_of_its_bytes_is_named_and_not_shown(start: str) -> None:
    secret = bytes(range(40, 72))
    key = Key(start + base64.b64encode(secret).decode())
    request = capture(f"https://h/?integration_id=a&connection_id=b&hmac={secret.hex()}".encode())
    explanation = explain_captured(NANGO, request, KnownKeys(key))

    assert explanation.has_key
    assert secret[:4].hex() not in re.sub(r"\s", "", reports(explanation))


@pytest.mark.parametrize(
    ("scheme", "request_text"),
    [
        pytest.param(NANGO, "/?integration_id=a&hmac={key}' -H 'Connection-Id: {key}'", id="a header"),
        pytest.param(NANGO, "/?integration_id=a&hmac={key}&connection_id={key}&connection_id=b'", id="twice"),
        pytest.param(schemes.STRIPE, "/' -H 'Stripe-Signature: {key}' -d x", id="a header with items"),
        pytest.param(schemes.STRIPE, "/' -H 'Stripe-Signature: t=5, v1={key}' -d x", id="a space"),
        pytest.param(schemes.STRIPE, "/' -H 'Stripe-Signature: t=5;v1={key}' -d x", id="a semicolon"),
        pytest.param(schemes.STRIPE, "/' -H 'X-Stripe-Signature: t=5;v1={key}' -d x", id="an item of another header"),
    ],
)
def test_a_key_is_not_shown_as_a_guessed_id(scheme: Scheme, request_text: str) -> None:
    explanation = explained(scheme, f"curl 'https://h{request_text.format(key=KEY)}")

    shown = re.sub(r"\s", "", reports(explanation))
    assert KEY not in shown
    assert KEY[-12:] not in shown
    assert KEY.encode()[:4].hex() not in shown


def test_a_key_that_ends_with_the_separator_of_items_is_named_as_the_signature() -> None:
    key = base64.b64encode(bytes(range(40, 71))).decode()
    request = capture(f"curl https://h/ -H 'X-Stripe-Signature: {key}' -d x".encode())

    assert key.endswith("=")
    assert explain_captured(schemes.STRIPE, request, KnownKeys(Key(key))).has_key


@pytest.mark.parametrize("around", [("", "\0"), ("", ","), ("\ufeff", ""), ("\x7f", "\x1f")], ids=ascii)
@pytest.mark.without_coverage
def test_a_key_with_other_characters_around_it_is_not_shown(around: tuple[str, str]) -> None:
    request = f"/?{urlencode({'integration_id': KEY.join(around), 'connection_id': 'c', 'hmac': '0' * 64})}"

    assert KEY[-12:] not in re.sub(r"\s", "", reports(explained(NANGO, request)))


@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "not signed"])
@pytest.mark.parametrize("name", ["integration_id", "connection_id"])
@pytest.mark.without_coverage
def test_a_key_sent_in_the_place_of_an_id_is_named_and_not_shown(name: str, is_signed: bool) -> None:
    ids = {"integration_id": "github", "connection_id": "user-42", name: KEY}
    signature = signed(":".join(ids.values())) if is_signed else "0" * 64
    explanation = explained(NANGO, f"/?{urlencode({**ids, 'hmac': signature})}")

    assert explanation.verified == is_signed
    assert f"{name}: it is a key, and is not shown; send the right value, and replace the key" in " ".join(
        sentences(explanation)
    )
    shown = re.sub(r"\s", "", reports(explanation))
    assert KEY.replace(" ", "") not in shown
    assert KEY[-12:] not in shown
    assert KEY.encode()[:4].hex() not in shown


@pytest.mark.parametrize("wanted", ["acme", None])
@pytest.mark.without_coverage
def test_a_key_sent_in_the_place_of_the_tenant_is_named_and_not_shown(wanted: str | None) -> None:
    scheme = NANGO.replace(tenant=Header("X-Tenant"))
    request = f"GET /?integration_id=a&connection_id=b&hmac={'0' * 64} HTTP/1.1\nX-Tenant: {KEY}\n\n"
    explanation = explained(scheme, request, tenant=wanted)

    assert "tenant: it is a key, and is not shown; send the right value" in " ".join(sentences(explanation))
    assert KEY[-12:] not in re.sub(r"\s", "", reports(explanation))


@pytest.mark.parametrize("kind", ["current", "further", "previous", "scheduled"])
@pytest.mark.parametrize("swapped_id", ["integration_id", "connection_id"])
def test_an_id_and_the_signature_in_each_others_place_are_named_and_the_signature_is_not_shown(
    swapped_id: str, kind: str
) -> None:
    signature = signed("github:user-42", KINDS[kind])
    sent = {"integration_id": "github", "connection_id": "user-42", "hmac": signature}
    sent[swapped_id], sent["hmac"] = sent["hmac"], sent[swapped_id]
    explanation = explained(
        NANGO,
        "https://h/?" + "&".join(f"{name}={text}" for name, text in sent.items()),
        **OF_EACH_KIND,
    )

    assert [found.name for found in explanation.sending] == ["signature_swapped"]
    answer = " ".join(sentences(explanation))
    assert (
        f"{swapped_id} and the signature were sent in each other's place. Fix: send each of them in its own" in answer
    )
    assert ("Except for that, the signature is right." in answer) == (kind in ("current", "further"))
    plain = as_text(explanation) + json.dumps(as_json(explanation)) + answer
    assert signature[:12] not in re.sub(r"\s", "", plain)
    assert signature.encode()[:12].hex() not in re.sub(r"\s", "", plain)
    assert signature in re.sub(r"\s", "", as_text(explanation, show_signature=True))
    assert explanation.message == b"github:user-42"
