"""The body of an ASGI request: its chunks do not change the decision, and the application reads every byte."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from acceptance.test_wsgi_and_asgi_agree import EVERYWHERE, IN_BODY, KEYS, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Sent, scope_for

from hmac_guard import Claim, Guard, Header, Json, Query, Scheme, Verdict, verdict_from
from hmac_guard.core.bodies import parse_json
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

    # Nothing awaits, so no event loop is needed.
    with pytest.raises(StopIteration):
        guard.asgi(app)(scope, receive, send).send(None)
    return sent, verdict, read, before


def pieces_of(body: bytes, cuts: list[int]) -> Iterator[dict[str, Any]]:
    ends = sorted(cut % (len(body) + 1) for cut in cuts)
    for index, (start, end) in enumerate(zip([0, *ends], [*ends, len(body)], strict=True)):
        yield {"type": "http.request", "body": body[start:end], "more_body": index < len(ends)}


LENGTHS = ["true", "true", "none", "", "0", "1", "+1", "9" * 18, "9" * 19, "twice"]
TYPES = ["", "application/json; charset=utf-8", "Application/JSON", "text/plain", "application/problem+json"]
CODINGS = [(f"{what}-Encoding", how) for what in ("Content", "Transfer") for how in ("gzip", "chunked", "identity", "")]
ODD_LINES = [*CODINGS, ("Content_Length", "1"), JSON]


rarely = st.sampled_from([True, *[False] * 7])


@st.composite
def framed(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """A scope and its messages: half of them plain, the others with different framing."""
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
def check_framed(request: tuple[dict[str, Any], list[Any]]) -> None:
    scope, pieces = request
    body, more = b"".join(piece["body"] for piece in pieces), pieces[-1]["more_body"]
    whole = [{"type": "http.request", "body": body, "more_body": more}]
    cases: tuple[tuple[Scheme, Keys, Mode], ...] = (
        (EVERYWHERE, KEYS, "report"),
        (IN_BODY, KEYS["acme"], "enforce"),
    )
    for scheme, keys, mode in cases:
        heard: list[Any] = []

        def note(verdict: Verdict, claim: Claim, heard: list[Any] = heard) -> None:
            heard.append((verdict, claim.problem, claim.ids, claim.tenant))

        # With `exempt`, a guard checks the path first.
        several = [Guard(scheme, keys, mode=mode, on_verdict=note, exempt=exempt) for exempt in ((), ("/elsewhere",))]
        (sent, verdict, read, _), *others = (
            ask(guard, scope.copy(), list(messages)) for guard in several for messages in (pieces, whole)
        )
        assert [(answer, seen) for answer, seen, _, _ in others] == [(sent, verdict)] * 3
        assert len(heard) in (0, 4)
        assert all(each == heard[0] for each in heard)
        for handed_on in (read, *(read for _, _, read, _ in others)):
            assert verdict is None or b"".join(message.get("body", b"") for message in handed_on) == body


@pytest.mark.without_coverage
def test_chunks_and_path_checks_do_not_change_the_decision_or_the_body() -> None:
    logging.getLogger("hmac_guard").setLevel(logging.CRITICAL)
    try:
        check_framed()
    finally:
        logging.getLogger("hmac_guard").setLevel(logging.NOTSET)


def post(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {**scope_for(Sent("POST", headers=headers, body=BODY)), **more}


def test_the_application_reads_the_body_in_one_piece() -> None:
    in_query = {**scope_for(Sent(query="a=x", headers=[SIGNED]))}
    for scope, messages in (
        (post(JSON, SIGNED), [WHOLE]),
        (post(JSON, SIGNED), list(pieces_of(BODY, [3, 3, 7]))),
        (in_query, list(pieces_of(b"", []))),
    ):
        _, verdict, read, before = ask(Guard(SCHEME, KEY), scope, messages)
        assert verdict
        assert before == len(messages)
        assert read == [{"type": "http.request", "body": b"".join(m["body"] for m in messages), "more_body": False}]


def test_a_body_without_a_length_counts_as_a_body() -> None:
    sent, verdict, _, _ = ask(Guard(SCHEME, KEY), scope_for(Sent(query="a=x", headers=[SIGNED])), [WHOLE])

    assert (sent[0]["status"], verdict) == (415, None)


def test_an_unfinished_body_is_none() -> None:
    sent, verdict, _, asked = ask(Guard(SCHEME, KEY), post(JSON, SIGNED), [{**WHOLE, "more_body": True}])

    assert (sent, verdict, asked) == ([], None, 0)


@pytest.mark.parametrize(("limit", "status"), [(9, 413), (10, None)])
def test_a_plain_body_may_be_as_long_as_any(limit: int, status: int | None) -> None:
    sent, verdict, _, _ = ask(Guard(SCHEME, KEY, max_body=limit), post(JSON, SIGNED), [WHOLE])

    assert bool(verdict) is (status is None)
    assert status is None or sent[0]["status"] == status


@pytest.mark.parametrize(
    "body",
    [b'{"a": "x"}', b'{"a": 1}', '{"a": "größe"}'.encode(), b'{"a": ""}', b'{"b": 1}', b"[]", b'{"a": '],
)
def test_a_document_is_parsed_once(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def parse(given: bytes) -> Any:
        parsed.append(given)
        return parse_json(given)

    monkeypatch.setattr("hmac_guard.core.places.parse_json", parse)
    scope = scope_for(Sent("POST", headers=[JSON, SIGNED], body=body))
    ask(Guard(SCHEME, KEY), scope, list(pieces_of(body, [])))

    assert parsed == [body]


def test_no_body_is_read_for_a_guard_that_does_not_need_it() -> None:
    in_query = SCHEME.replace(ids={"a": Query("a")})
    for guard, asked in (
        (Guard(SCHEME, KEY), 1),
        (Guard(SCHEME, KEY, exempt=("/",)), 0),
        (Guard(SCHEME, KEY, only=("/elsewhere",)), 0),
        (Guard(SCHEME, KEY, mode="off"), 0),
        (Guard(in_query, KEY), 0),
    ):
        sent = post(JSON, SIGNED, query_string=b"" if asked else b"a=x")
        _, verdict, read, before = ask(guard, sent, [WHOLE])
        assert (before, read) == (asked, [WHOLE])
        assert verdict is not None
