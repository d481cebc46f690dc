"""The cost of deliberately expensive requests, in calls, which do not depend on the machine (T042, T055).

Seconds and bytes are measured in `benchmarks/hostile.py`.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import CALLS, Call, Sent, scope_for

from hmac_guard import Claim, Form, Guard, Json, Query, Reason, Scheme, Verdict
from hmac_guard.asgi.body import take_body
from hmac_guard.asgi.driver import Driver
from hmac_guard.asgi.request import HeaderNames
from hmac_guard.core.bodies import parse_json
from hmac_guard.core.request import BODY_HEADERS
from hmac_guard.decider import decider_of

KEY = "a key that is long enough"
BY_QUERY = Scheme(name="query", ids={"a": Query("a")}, message="{a}", signature=Query("sig"))
BY_BODY = Scheme(
    name="body", ids={"a": Json("/a") | Form("a")}, message="{a}", signature=Json("/sig") | Form("sig") | Query("sig")
)
SIZE = 65_536


class Counted:
    """Counts the calls to Python and C."""

    calls = 0

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


@contextmanager
def counted() -> Iterator[Counted]:
    count, before = Counted(), sys.getprofile()
    sys.setprofile(count)
    try:
        yield count
    finally:
        sys.setprofile(before)


def calls_of(work: Callable[[], object]) -> int:
    work()  # After that, permanent caches are filled.
    with counted() as count:
        work()
    return count.calls


def reason_of(call: Call, scheme: Scheme, sent: Sent) -> Reason:
    recorded: list[tuple[Verdict, Claim]] = []
    call(Guard(scheme, KEY, on_verdict=lambda verdict, claim: recorded.append((verdict, claim))), sent)
    [(verdict, _)] = recorded
    return verdict.reason


@pytest.mark.parametrize("text", ["[", "{", "]}[{", '\\"[', "\\\\{"])
def test_brackets_in_a_json_string_cost_no_calls(text: str) -> None:
    """They made a document look deep, so that every node was checked."""
    few, many = (b'{"a": "' + text.encode() * times + b'"}' for times in (100, SIZE // len(text)))

    assert calls_of(lambda: parse_json(many)) == calls_of(lambda: parse_json(few)) < 30


def test_nodes_of_a_json_document_with_many_brackets_cost_no_calls() -> None:
    few, many = (b"[[]" * 33 + b',"[["' * times + b"]" * 33 for times in (10, SIZE // 5))
    few, many = (document.replace(b"[[]", b"[[],", 32) for document in (few, many))

    assert calls_of(lambda: parse_json(many)) == calls_of(lambda: parse_json(few)) < 30


@pytest.mark.parametrize("query", ["{}", "a={}", "{}=1", "a=x&{}", "x={}&a=1"])
def test_a_query_of_percent_signs_costs_no_calls(call: Call, query: str) -> None:
    """Each name was decoded, although no name of a scheme is so long."""

    def cost(times: int) -> int:
        sent = Sent(query=query.format("%" * times))
        assert reason_of(call, BY_QUERY, sent) is not Reason.VERIFIED
        return calls_of(lambda: call(Guard(BY_QUERY, KEY), sent))

    # Reading an answer from an event loop may take one more iteration.
    assert abs(cost(SIZE) - cost(100)) < 50


@pytest.mark.parametrize(
    "piece",
    [b"", b"x", bytearray(b""), memoryview(b""), None],
    ids=["empty", "a byte", "bytearray", "memoryview", "none"],
)
def test_a_chunk_of_a_body_costs_a_few_calls(piece: Any) -> None:
    def take(pieces: int) -> bytes | None:
        messages = iter([{"type": "http.request", "body": piece, "more_body": True}] * pieces)

        async def receive() -> Any:
            return next(messages, {"type": "http.request", "body": b"end", "more_body": False})

        async def read() -> bytes | None:
            decider = decider_of("test", Guard(BY_BODY, KEY))
            scope = scope_for(Sent("POST", headers=[("Content-Type", "application/json")]))
            request = Driver(decider).request(scope)
            assert take_body(scope, request, decider.reader, receive, 20_000) is None
            assert request.body_problem is None
            return request.body

        return asyncio.run(read())

    assert calls_of(lambda: take(10_000)) - calls_of(lambda: take(0)) < 10_000 * 15
    assert take(10_000) == bytes(piece or b"") * 10_000 + b"end"


def test_ten_thousand_headers_cost_a_few_calls_each() -> None:
    names = HeaderNames(BODY_HEADERS)

    def cost(name: bytes) -> int:
        headers = [(name, b"x")] * 10_000
        return calls_of(lambda: names.find(headers))

    # A name with another length is skipped. A name with the same length is normalized.
    assert cost(b"x-a-header-that-is-not-in-the-scheme") < 11_000
    assert cost(b"C_ntent_type") < 60_000


LENGTHS = {
    "+10": False,
    "-1": False,
    " ": False,
    "0x5": False,
    "1_0": False,
    "10,10": False,
    "10, 10": False,
    "10;": False,
    "1" * 19: False,
    "\xb2": False,
    "10": True,
    "010": True,
    "": True,  # a blank one counts as missing
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("chunked", [False, True])
def test_wsgi_and_asgi_read_a_length_alike(call: Call, length: str, chunked: bool) -> None:
    """Previously WSGI and ASGI had different rules for values that are nearly numbers."""
    body = b"a=x&b=yz&c"
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", length)]
    sent = Sent("POST", "/", "sig=" + "0" * 64, headers + [("Transfer-Encoding", "chunked")] * chunked, body)
    if length == "":
        # It is not a length. With ASGI, messages mark the end of the body. With WSGI, the body is empty or endless.
        without = Reason.BAD_FRAMING if chunked else Reason.MISSING_ID
        expected = without if call is CALLS["wsgi"] else Reason.INVALID_SIGNATURE
    else:
        expected = Reason.INVALID_SIGNATURE if LENGTHS[length] and not chunked else Reason.BAD_FRAMING

    assert reason_of(call, BY_BODY, sent) is expected


@pytest.mark.parametrize("name", ["Content-Length", "Content_Length"])
def test_two_equal_lengths_are_refused_over_wsgi_and_asgi(call: Call, name: str) -> None:
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", "3"), (name, "3")]

    assert reason_of(call, BY_BODY, Sent("POST", headers=headers, body=b"a=x")) is Reason.BAD_FRAMING
