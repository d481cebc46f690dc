"""A state machine for WSGI: it acts as server and application around one guard, with several concurrent requests, and
knows from the bytes alone what has to come of each request (T042 to T048, T053, T075)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test
from support import Sent, environ_for

from hmac_guard import Guard, Json, Query, Reason, Scheme, Verdict, verdict_from

KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Query("sig"))
LIMIT = 40
OTHER = b'{"a": "z"}'
#: The Content-Length for a body of this size. None if there is no header.
LENGTHS: dict[str, Callable[[int], str | None]] = {
    "none": lambda size: None,
    "true": str,
    "blank": lambda size: "",
    "one less": lambda size: str(size - 1),
    "one more": lambda size: str(size + 1),
    "huge": lambda size: "9" * 18,
}
STATUS = {
    Reason.VERIFIED: 200,
    Reason.MISSING_ID: 401,
    Reason.MALFORMED: 401,
    Reason.CONFLICT: 401,
    Reason.INVALID_SIGNATURE: 401,
    Reason.BAD_FRAMING: 400,
    Reason.BODY_TOO_LARGE: 413,
    Reason.KEYS_UNAVAILABLE: 503,
}
USUALLY = st.sampled_from([True, True, True, False])
SELDOM = USUALLY.map(lambda usual: not usual)


class Fault(Exception):
    """An error of the server or the application."""


class Interrupt(BaseException):
    """The timeout of a server. It is not an `Exception`, so that `except Exception` does not catch it."""


class Stream:
    """An input stream with short reads, which may fail. It may return another bytes-like type."""

    def __init__(self, pieces: list[bytes], error: BaseException | None, error_after: int, buffers: bool) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.error, self.error_after, self.buffers = error, error_after, buffers
        self.given = b""
        self.reads = 0

    def read(self, size: int = -1) -> Any:
        self.reads += 1
        if self.error is not None and self.reads > self.error_after:
            raise self.error
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if 0 <= size < len(piece):
            self.pieces.insert(0, piece[size:])
            piece = piece[:size]
        self.given += piece
        return bytearray(piece) if self.buffers else piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class Answer:
    """The iterable of an application. It may fail at any item, and in `close`."""

    def __init__(self, items: int, breaks_at: int, close_breaks: bool) -> None:
        self.items, self.breaks_at, self.close_breaks = items, breaks_at, close_breaks
        self.given = self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.given == self.breaks_at:
            raise Fault("while iterating")
        if self.given == self.items:
            raise StopIteration
        self.given += 1
        return b"x"

    def close(self) -> None:
        self.closed += 1
        if self.close_breaks:
            raise Fault("in close")


@dataclass
class Plan:
    """One request, and the actions of server, key source and application."""

    name: str
    body: str
    cuts: list[int]
    length: str
    terminated: bool
    chunked: bool
    in_query: bool
    mode: str
    error: BaseException | None
    error_after: int
    buffers: bool
    keys_fail: bool
    application_breaks: bool
    start_breaks: bool
    answer: Answer

    def __post_init__(self) -> None:
        self.signed = f'{{"a": "{self.name}"}}'.encode()
        self.sent = {
            "signed": self.signed,
            "padded": self.signed.ljust(LIMIT),
            "too long": self.signed.ljust(LIMIT + 1),
            "other": OTHER,
            "broken": b"[" * 20,
            "none": b"",
        }[self.body]
        self.content_length = LENGTHS[self.length](len(self.sent))
        negative = bool(self.content_length and self.content_length.startswith("-"))
        self.announced = int(self.content_length) if self.content_length and not negative else None
        self.stream = Stream(cut(self.sent, self.cuts), self.error, self.error_after, self.buffers)
        self.unreadable = negative or (self.chunked and bool(self.content_length or not self.terminated))
        self.untouched = self.unreadable or (self.announced or 0) > LIMIT
        # A stream that ends by itself is read to its end, any other one up to its length.
        self.whole = self.sent if self.terminated else self.sent[: self.announced or 0]

    @property
    def is_of_layer(self) -> bool:
        return isinstance(self.error, Fault)

    def environ(self) -> dict[str, Any]:
        query = f"sig={SCHEME.sign(KEY, a=self.name)}" + "&a=x" * self.in_query
        made = environ_for(Sent("POST", query=query, headers=[("Content-Type", "application/json")]))
        made |= {"wsgi.input": self.stream, "wsgi.input_terminated": self.terminated}
        made |= {"CONTENT_LENGTH": self.content_length} if self.content_length is not None else {}
        return made | ({"HTTP_TRANSFER_ENCODING": "chunked"} if self.chunked else {})

    def reason(self, broke: bool) -> Reason:
        """Return the expected reason. `broke` is true if the guard got the error of the stream."""
        if self.unreadable:
            return Reason.BAD_FRAMING
        if self.untouched:
            return Reason.BODY_TOO_LARGE
        if broke or self.announced not in (None, len(self.whole)):
            return Reason.BAD_FRAMING
        if len(self.whole) > LIMIT:
            return Reason.BODY_TOO_LARGE
        return self._judged()

    def _judged(self) -> Reason:
        document = self.whole.strip()
        if document not in (self.signed, OTHER, b""):
            return Reason.MALFORMED
        if bool(self.whole) == self.in_query:
            return Reason.CONFLICT if self.whole else Reason.MISSING_ID
        if self.keys_fail:
            return Reason.KEYS_UNAVAILABLE
        proven = self.name == "x" if self.in_query else document == self.signed
        return Reason.VERIFIED if proven else Reason.INVALID_SIGNATURE


PLANS = st.builds(
    Plan,
    name=st.sampled_from(["x", "y", "größe"]),
    body=st.sampled_from(["signed", "signed", "signed", "padded", "too long", "other", "broken", "none"]),
    cuts=st.lists(st.integers(1, 9), max_size=8),
    length=st.sampled_from(["none", "true", "true", "true", *sorted(LENGTHS)]),
    terminated=st.booleans(),
    chunked=SELDOM,
    in_query=SELDOM,
    mode=st.sampled_from(["enforce", "report"]),
    error=st.sampled_from([None, None, None, None, Fault("reset"), OSError("reset"), Interrupt(), SystemExit(1)]),
    error_after=st.integers(0, 3),
    buffers=SELDOM,
    keys_fail=SELDOM,
    application_breaks=SELDOM,
    start_breaks=SELDOM,
    answer=st.builds(Answer, st.integers(0, 3), st.integers(-1, 3), SELDOM),
)


class WsgiServer(RuleBasedStateMachine):
    answers = Bundle[Answer]("answers")

    def __init__(self) -> None:
        super().__init__()
        self.guarded = {
            mode: Guard(SCHEME, self.resolve, max_body=LIMIT, mode=mode).wsgi(self.application)
            for mode in ("enforce", "report")
        }

    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.verdict: Verdict | None = None
        self.read: Any = None
        self.started: list[int] = []
        self.reads_by_guard: int | None = None

    def resolve(self, claim: Any) -> str:
        if self.plan.keys_fail:
            raise Fault("the database's own")
        return KEY

    def application(self, environ: dict[str, Any], start_response: Any) -> Answer:
        assert self.verdict is None, "called twice"
        self.verdict = verdict_from(environ)
        self.reads_by_guard = self.plan.stream.reads
        length, stream = environ.get("CONTENT_LENGTH"), environ["wsgi.input"]
        self.read = stream.read(int(length) if length else -1 if environ["wsgi.input_terminated"] else 0)
        if self.verdict:
            assert length == str(len(self.read))
        if self.verdict or (self.plan.error is None and not self.plan.untouched and not self.plan.terminated):
            assert stream.read(1) == b"", "more than was verified, or announced"
        if self.plan.application_breaks:
            raise Fault("the application's own")
        start_response("200 OK", [])
        return self.plan.answer

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        self.started.append(int(status[:3]))
        if self.plan.start_breaks:
            raise Fault("the client is gone")

    @rule(target=answers, plan=PLANS)
    def serves(self, plan: Plan) -> Any:
        self.begin(plan)
        raised: BaseException | None = None
        result: Any = ()
        try:
            result = self.guarded[plan.mode](plan.environ(), self.start_response)
        except (Fault, OSError, Interrupt, SystemExit) as caught:
            raised = caught
        reads = plan.stream.reads if self.reads_by_guard is None else self.reads_by_guard
        broke = plan.error is not None and reads > plan.error_after
        if broke and (not isinstance(plan.error, Exception) or (plan.is_of_layer and plan.mode == "enforce")):
            # A timeout of the server is not caught, and an exception of a layer outside of the guard reaches this
            # layer: the guard sends no answer, and the application is not called.
            assert raised is plan.error
            assert not self.started
            assert self.verdict is None
            return multiple()
        reason = plan.reason(broke)
        if reason is Reason.VERIFIED or plan.mode == "report":
            return self.reached(reason, raised, result)
        assert self.verdict is None
        assert self.started == [STATUS[reason]]
        assert (raised is not None) == plan.start_breaks
        assert [bool(piece) for piece in result] == ([] if raised else [True])
        return multiple()

    def reached(self, reason: Reason, raised: BaseException | None, result: Any) -> Any:
        """The application was called with the verdict. What it raised or returned is unchanged."""
        plan = self.plan
        assert self.verdict is not None
        assert self.verdict.reason is reason
        if self.read is None:
            assert raised is plan.error is not None
        elif reason is Reason.VERIFIED:
            assert self.read == plan.whole
        elif plan.untouched:
            assert plan.sent.startswith(bytes(self.read))
        elif plan.error is None:
            assert self.read == (plan.whole if plan.announced is None else plan.sent[: plan.announced])
        if raised is None:
            assert self.started == [200]
            assert result is plan.answer
            return result
        assert self.started == (
            [200] if plan.start_breaks and not plan.application_breaks and raised is not plan.error else []
        )
        return multiple()

    @rule(answer=answers)
    def takes_an_item(self, answer: Answer) -> None:
        """Only the server iterates and closes, also with other requests in between."""
        given = answer.given
        with suppress(StopIteration, Fault):
            next(answer)
            given += 1
        assert (answer.given, answer.closed) == (given, 0)

    @rule(answer=consumes(answers))
    def closes(self, answer: Answer) -> None:
        with suppress(Fault):
            answer.close()
        assert answer.closed == 1


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    """Return the body in chunks of these sizes, and then the rest."""
    pieces = []
    for size in sizes:
        pieces.append(body[:size])
        body = body[size:]
    return [*pieces, body]


SETTINGS = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.without_coverage
def test_the_guard_answers_every_wsgi_server_at_most_once() -> None:
    run_state_machine_as_test(WsgiServer, settings=SETTINGS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_guard_answers_every_wsgi_server_in_long_runs() -> None:
    run_state_machine_as_test(WsgiServer, settings=settings(SETTINGS, max_examples=5_000, stateful_step_count=50))
