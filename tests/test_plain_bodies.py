"""A plain request with a body takes the express lane at ASGI, and nobody can tell but by the time it takes."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hmac_guard.asgi.express import plain_length
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Sent, scope_for
from test_both_doors_agree import EVERYWHERE, IN_BODY, KEYS, requests

from hmac_guard import Form, Guard, Header, Json, Query, Scheme, Verdict, verdict_from
from hmac_guard.asgi import body as asgi_body
from hmac_guard.asgi import steps
from hmac_guard.asgi.request import AsgiRequest
from hmac_guard.core import bodies
from hmac_guard.guard import Mode
from hmac_guard.keys.resolver import Keys

EXAMPLES = int(os.environ.get("HMAC_GUARD_EXAMPLES", "1000"))
KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Header("X-Signature"))
BODY = b'{"a": "x"}'
SIGNED = ("X-Signature", SCHEME.sign(KEY, a="x"))
JSON = ("Content-Type", "application/json")
WHOLE: dict[str, Any] = {"type": "http.request", "body": BODY, "more_body": False}


def ask(guard: Guard, scope: Any, messages: list[Any]) -> tuple[list[Any], Verdict | None, list[Any], int]:
    """What a server gets for a request, the verdict that the application saw and what it read, and how often the
    server had been asked by then."""
    sent: list[Any] = []
    read: list[Any] = []
    asked = before = 0
    verdict = None

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return messages[asked - 1] if asked <= len(messages) else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal before, verdict
        before, verdict = asked, verdict_from(scope)
        while not read or read[-1].get("more_body"):
            read.append(await receive())

    # Nothing waits, so that no event loop is needed.
    with pytest.raises(StopIteration):
        guard.asgi(app)(scope, receive, send).send(None)
    return sent, verdict, read, before


def pieces_of(body: bytes, cuts: list[int]) -> Iterator[dict[str, Any]]:
    ends = sorted(cut % (len(body) + 1) for cut in cuts)
    for start, end in zip([0, *ends], [*ends, len(body)], strict=True):
        yield {"type": "http.request", "body": body[start:end], "more_body": end < len(body)}


LENGTHS = ["true", "true", "none", "", "0", "1", "+1", "9" * 18, "9" * 19, "twice"]
TYPES = ["", "application/json; charset=utf-8", "Application/JSON", "text/plain", "application/problem+json"]
CODINGS = [(f"{what}-Encoding", how) for what in ("Content", "Transfer") for how in ("gzip", "chunked", "identity", "")]
ODD_LINES = [*CODINGS, ("Content_Length", "1"), JSON]


rarely = st.sampled_from([True, *[False] * 7])


@st.composite
def framed(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """A scope and the messages that come with it: every other one plain, the others framed in one of many ways."""
    sent = draw(requests())
    lines = [(name, value) for name, value in sent.headers if name not in ("Content-Type", "Content-Length")]
    length, kind = "true" if sent.body else "none", "application/json" if sent.body else ""
    if not draw(st.booleans()):
        length, kind = draw(st.sampled_from([length, *LENGTHS])), draw(st.sampled_from([kind, *TYPES]))
        lines += draw(st.lists(st.sampled_from(ODD_LINES), max_size=1))
        sent.method = draw(st.sampled_from(["POST", "GET", "OPTIONS"]))
    lengths = {"true": [str(len(sent.body))], "none": [], "twice": [str(len(sent.body))] * 2}
    lines += [("Content-Length", value) for value in lengths.get(length, [length])]
    lines += [("Content-Type", kind)] if kind else []
    scope = scope_for(Sent(sent.method, sent.path, sent.query, draw(st.permutations(lines))))
    messages = list(pieces_of(sent.body, draw(st.lists(st.integers(0, 300), max_size=2))))
    if draw(rarely):
        scope["headers"] = [(name.upper(), value) for name, value in scope["headers"]]
    if draw(rarely):
        messages[-1]["more_body"] = True
    return scope, messages


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(framed())
def check_framed(taken: Counter[bool], request: tuple[dict[str, Any], list[Any]]) -> None:
    scope, messages = request
    taken[plain_length(scope) is not None] += 1
    cases: tuple[tuple[Scheme, Keys, Mode], ...] = (
        (EVERYWHERE, KEYS, "report"),
        (IN_BODY, KEYS["acme"], "enforce"),
    )
    for scheme, keys, mode in cases:
        heard: list[Any] = []

        def note(*judged: Any, heard: list[Any] = heard) -> None:
            heard.append(judged)

        # Where a path may be exempt, there is no express lane.
        both = [Guard(scheme, keys, mode=mode, on_verdict=note, exempt=exempt) for exempt in ((), ("/elsewhere",))]
        quick, plain = (ask(guard, scope, messages) for guard in both)
        assert quick == plain
        assert heard[: len(heard) // 2] == heard[len(heard) // 2 :]


def test_the_express_lane_decides_and_hands_on_as_the_plain_one_does() -> None:
    taken: Counter[bool] = Counter()
    logging.getLogger("hmac_guard").setLevel(logging.CRITICAL)
    try:
        check_framed(taken)
    finally:
        logging.getLogger("hmac_guard").setLevel(logging.NOTSET)

    assert min(taken[True], taken[False]) > EXAMPLES / 10


PLAIN = [(b"content-type", b"application/json"), (b"content-length", b"10")]


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, 10),
        ({"headers": PLAIN[::-1]}, 10),
        ({"headers": [(b"accept", b"*/*"), *PLAIN, (b"x-content-type", b"text/plain")]}, 10),
        ({"headers": [PLAIN[0], (b"content-length", b"9" * 18)]}, int("9" * 18)),
        ({"headers": []}, 0),
        ({"headers": [(b"accept", b"*/*")]}, 0),
        ({"headers": [PLAIN[0], (b"content-length", b"9" * 19)]}, None),
        ({"headers": [PLAIN[0], (b"content-length", b"0")]}, None),
        ({"headers": [PLAIN[0], (b"content-length", b"")]}, None),
        ({"headers": [PLAIN[0], (b"content-length", b"+10")]}, None),
        ({"headers": [PLAIN[0], (b"content-length", "\u0661".encode())]}, None),
        ({"headers": [*PLAIN, PLAIN[0]]}, None),
        ({"headers": [*PLAIN, PLAIN[1]]}, None),
        ({"headers": [(b"content-length", b"0"), *PLAIN]}, None),
        ({"headers": PLAIN[:1]}, None),
        ({"headers": PLAIN[1:]}, None),
        ({"headers": [(b"content-length", b"0")]}, None),
        ({"headers": [*PLAIN, (b"content_type", b"text/plain")]}, None),
        ({"headers": [*PLAIN, (b"Content-Length", b"10")]}, None),
        ({"headers": [*PLAIN, (b"content-encoding", b"gzip")]}, None),
        ({"headers": [*PLAIN, (b"transfer-encoding", b"chunked")]}, None),
        ({"headers": [(b"transfer-encoding", b"chunked")]}, None),
        ({"headers": [*PLAIN, (b"transfer-encoding", b"identity")]}, None),
        ({"headers": [*PLAIN, (b"content-encoding", b"")]}, None),
        ({"headers": [(b"content-type", b"application/json;charset=utf-8"), PLAIN[1]]}, None),
        ({"headers": iter(PLAIN)}, None),
        ({"method": "OPTIONS"}, None),
        ({"type": "websocket"}, None),
    ],
)
def test_a_plain_body_is_json_of_an_announced_length_or_none_at_all(
    changes: dict[str, Any], length: int | None
) -> None:
    assert plain_length({"type": "http", "method": "POST", "headers": PLAIN, **changes}) == length


def test_a_scope_may_leave_out_its_headers() -> None:
    assert plain_length({"type": "http"}) == 0


def post(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {**scope_for(Sent("POST", headers=headers, body=BODY)), **more}


def test_no_request_is_made_of_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def make(*given: Any) -> AsgiRequest:
        made.append(given)
        return AsgiRequest(*given)

    monkeypatch.setattr(steps, "AsgiRequest", make)
    in_query = {**scope_for(Sent(query="a=x", headers=[SIGNED]))}
    bodiless = Guard(SCHEME.replace(ids={"a": Query("a")}), KEY)
    for guard, scope, messages in (
        (bodiless, in_query, list(pieces_of(b"", []))),
        (Guard(SCHEME, KEY), post(JSON, SIGNED), [WHOLE]),
        (Guard(SCHEME, KEY), post(JSON, SIGNED), list(pieces_of(BODY, [3, 3, 7]))),
        (Guard(SCHEME, KEY), in_query, list(pieces_of(b"", []))),
    ):
        _, verdict, read, _ = ask(guard, scope, messages)
        assert verdict
        assert read == [{"type": "http.request", "body": b"".join(m["body"] for m in messages), "more_body": False}]
    assert made == []

    # A body that nobody announced is still one.
    sent, verdict, _, _ = ask(Guard(SCHEME, KEY), in_query, [WHOLE])
    assert (sent[0]["status"], verdict, len(made)) == (415, None, 1)


def test_a_body_that_does_not_end_is_none() -> None:
    sent, verdict, _, asked = ask(Guard(SCHEME, KEY), post(JSON, SIGNED), [{**WHOLE, "more_body": True}])

    assert (sent, verdict, asked) == ([], None, 0)


@pytest.mark.parametrize(("limit", "status"), [(9, 413), (10, None)])
def test_a_plain_body_may_be_as_long_as_any(limit: int, status: int | None) -> None:
    sent, verdict, _, _ = ask(Guard(SCHEME, KEY, max_body=limit), post(JSON, SIGNED), [WHOLE])

    assert bool(verdict) is (status is None)
    assert status is None or sent[0]["status"] == status


@pytest.mark.parametrize(
    ("body", "times"),
    [
        (b'{"a": 1}', 1),
        ('{"a": "größe"}'.encode(), 1),
        (b'{"a": ""}', 1),
        (b'{"b": 1}', 1),
        (b"[]", 1),
        (b'{"a": ', 2),
    ],
)
def test_a_document_that_is_not_plain_is_not_parsed_again_and_again(
    body: bytes, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []

    def parse(given: bytes, parse_json: Any = bodies.parse_json) -> Any:
        parsed.append(given)
        return parse_json(given)

    monkeypatch.setattr(asgi_body, "parse_json", parse)
    monkeypatch.setattr(bodies, "parse_json", parse)
    scope = scope_for(Sent("POST", headers=[JSON, SIGNED], body=body))
    ask(Guard(SCHEME, KEY), scope, list(pieces_of(body, [])))

    assert parsed == [body] * times


def test_no_body_is_read_for_a_guard_that_does_not_need_it() -> None:
    form = SCHEME.replace(ids={"a": Form("a") | Query("a")})
    for guard, asked in (
        (Guard(SCHEME, KEY), 1),
        (Guard(SCHEME, KEY, exempt=("/",)), 0),
        (Guard(SCHEME, KEY, only=("/elsewhere",)), 0),
        (Guard(SCHEME, KEY, mode="off"), 0),
        (Guard(form, KEY), 0),
    ):
        sent = post(JSON, SIGNED, query_string=b"" if asked else b"a=x")
        _, verdict, read, before = ask(guard, sent, [WHOLE])
        assert (before, read) == (asked, [WHOLE])
        assert verdict is not None
