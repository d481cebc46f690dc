"""A state machine for ASGI, with any events in any order: it acts as server, clock, key source and application around a
guard, and knows from the messages alone what has to come of it (T049 to T053, T110).

The clock stops unless the machine moves it, so that a wait without a deadline is detected.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from support import Sent, scope_for

from hmac_guard import Claim, Guard, Json, Query, Reason, Scheme, Verdict, verdict_from
from hmac_guard.asgi.body import DEADLINE

KEY = "a key that is long enough"
SCHEME = Scheme(name="one", ids={"a": Json("/a") | Query("a")}, message="{a}", signature=Query("sig"))
SIGNATURE = SCHEME.sign(KEY, a="x")
LIMIT = 40
SIGNED = b'{"a": "x"}'
OTHER = b'{"a": "y"}'
BODIES = [SIGNED, OTHER, SIGNED.ljust(LIMIT), SIGNED.ljust(LIMIT + 1), b"[" * 20, b"", b" " * (LIMIT + 1), b" PNG"]
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
    Reason.MISSING_ID: 401,
    Reason.MALFORMED: 401,
    Reason.CONFLICT: 401,
    Reason.INVALID_SIGNATURE: 401,
    Reason.BAD_FRAMING: 400,
    Reason.BODY_TIMEOUT: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.UNSUPPORTED_BODY: 415,
    Reason.KEYS_UNAVAILABLE: 503,
}
NONSENSE = [
    {"type": "http.surprise"},
    {"type": "websocket.receive", "bytes": SIGNED},
    {},
    {"type": "http.request", "body": 3},
    {"type": "http.request", "body": SIGNED.decode()},
    None,
]
USUALLY = st.sampled_from([True, True, True, False])
SELDOM = USUALLY.map(lambda usual: not usual)


class Loop(asyncio.SelectorEventLoop):
    """An event loop with a clock that the test sets."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Run until all tasks wait."""
        for _ in range(12):
            self.call_soon(self.stop)
            self.run_forever()


class ApplicationError(Exception):
    """The application's own."""


class LayerError(Exception):
    """Raised by a layer between the server and the guard."""


class AsgiServer(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.task: asyncio.Task[None] | None = None
        self.clear()

    def clear(self) -> None:
        self.kind = "http"
        self.enforces = self.signed = self.reads_body = self.in_query = True
        self.image = False
        self.announced: str | None = None
        # The server: its remaining messages, and whether the guard waits for one.
        self.rest = b""
        self.queue: list[Any] = []
        self.receiving: asyncio.Future[None] | None = None
        self.sending: asyncio.Future[None] | None = None
        self.slow_to_send = False
        self.lent: list[bytearray] = []
        self.sent: list[Any] = []
        self.raised: BaseException | None = None
        # The key source.
        self.asked: asyncio.Future[str] | None = None
        # The application.
        self.verdict: Verdict | None = None
        self.orders: asyncio.Future[str] | None = None
        self.read: list[Any] = []
        # What the guard received, and so the expected result.
        self.taken = b""
        self.touched = False
        self.complete = False
        self.broke_off: Any = None
        self.deadline: float | None = None
        self.outcome: Reason | None = None
        self.live: list[Any] = []
        self.cancelled = False

    @precondition(lambda self: not self.running)
    @rule(
        body=st.sampled_from(BODIES),
        length=st.sampled_from(["none", "none", "true", "true", *sorted(LENGTHS)]),
        chunked=SELDOM,
        signed=USUALLY,
        enforces=USUALLY,
        key_is_static=USUALLY,
        in_query=st.booleans(),
        image=SELDOM,
        kind=st.sampled_from(["http", "http", "http", "websocket"]),
    )
    def request(
        self,
        body: bytes,
        length: str,
        chunked: bool,
        signed: bool,
        enforces: bool,
        key_is_static: bool,
        in_query: bool,
        image: bool,
        kind: str,
    ) -> None:
        if self.task is not None:
            self.end(self.task)
            self.clear()
        self.reads_body, self.image = kind == "http", image
        self.kind, self.rest, self.enforces, self.signed = kind, body, enforces, signed
        self.in_query = in_query or image or not self.reads_body
        self.announced = LENGTHS[length](len(body)) if self.reads_body else None
        query = f"sig={SIGNATURE if signed else '0' * 64}"
        headers = [("Content-Type", "image/png" if image else "application/json")]
        if self.announced is not None:
            headers.append(("Content-Length", self.announced))
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        scope = scope_for(Sent("POST", query=query + "&a=x" * self.in_query, headers=[]), kind)
        scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers]
        if not self.reads_body:
            self.outcome = self.judged()
        elif self.announced and (chunked or self.announced.startswith("-")):
            self.outcome = Reason.BAD_FRAMING
        elif self.announced and int(self.announced) > LIMIT and not image:
            self.outcome = Reason.BODY_TOO_LARGE
        guard = Guard(
            SCHEME, KEY if key_is_static else self.resolve, max_body=LIMIT, mode="enforce" if enforces else "report"
        )
        self.task = self.loop.create_task(guard.asgi(self.application)(scope, self.receive, self.send))
        self.loop.settle()

    # What the guard and the application call.

    async def receive(self) -> Any:
        assert self.receiving is None, "asked for a message while another one is awaited"
        by_guard = self.verdict is None
        assert not (by_guard and self.outcome), "asked for more than it needs"
        self.scribble()
        if not self.queue:
            if by_guard and self.deadline is None:
                self.deadline = self.loop.now + DEADLINE
            self.receiving = self.loop.create_future()
            try:
                await self.receiving
            finally:
                self.receiving = None
        message = self.queue.pop(0)
        if by_guard:
            self.note(message)
        else:
            self.live.append(message)
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.slow_to_send:
            self.sending = self.loop.create_future()
            try:
                await self.sending
            finally:
                self.sending = None

    async def resolve(self, claim: Claim) -> str:
        self.asked = self.loop.create_future()
        try:
            return await self.asked
        finally:
            self.asked = None

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.verdict is None, "called twice"
        self.scribble()
        self.verdict = verdict_from(scope)
        while True:
            self.orders = self.loop.create_future()
            order = await self.orders
            self.orders = None
            if order == "read":
                try:
                    self.read.append(await receive())
                except Exception as error:
                    self.read.append(error)
                    raise
            elif order == "answer":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            elif order == "raise":
                raise ApplicationError
            else:
                return

    def scribble(self) -> None:
        """A server may reuse its buffers when the next message is requested."""
        for buffer in self.lent:
            buffer[:] = b"!" * len(buffer)
        self.lent.clear()

    # The expected result.

    def note(self, message: Any) -> None:
        """Update the expected result for a message that the guard received."""
        kind = message.get("type") if isinstance(message, dict) else None
        piece = message.get("body") if kind == "http.request" else None
        if isinstance(message, TimeoutError):
            self.outcome = Reason.BODY_TIMEOUT
        elif kind == "http.disconnect" or isinstance(message, LayerError):
            self.broke_off, self.outcome = message, Reason.BAD_FRAMING
        elif kind != "http.request" or isinstance(piece, (int, str)):
            self.outcome = Reason.BAD_FRAMING
        else:
            self.touched = True
            self.taken += bytes(piece or b"")
            self.complete = not message.get("more_body")
            start = self.taken.lstrip()[:1]
            has_another_length = self.complete and self.announced and int(self.announced) != len(self.taken)
            if self.image and start:
                # The first byte decides: the rest is not read.
                is_json = start in (b"{", b"[")
                decided = Reason.BAD_FRAMING if has_another_length else self.judged()
                self.outcome = Reason.UNSUPPORTED_BODY if is_json else decided
                return
            if len(self.taken) > LIMIT:
                self.outcome = Reason.BODY_TOO_LARGE
            elif has_another_length:
                self.outcome = Reason.BAD_FRAMING
            elif self.complete:
                self.outcome = self.judged()

    def judged(self) -> Reason:
        if self.image:
            return Reason.VERIFIED if self.signed else Reason.INVALID_SIGNATURE
        document = self.taken.strip()
        if self.taken and document not in (SIGNED, OTHER):
            return Reason.MALFORMED  # also blanks alone
        if self.taken and self.in_query:
            return Reason.CONFLICT
        if not self.taken and not self.in_query:
            return Reason.MISSING_ID
        return Reason.VERIFIED if self.signed and document != OTHER else Reason.INVALID_SIGNATURE

    def expected_reads(self) -> list[Any]:
        """What the application receives: the replayed part once, and then the messages of the server."""
        first = [{"type": "http.request", "body": self.taken, "more_body": not self.complete}]
        replayed = self.reads_body and (self.touched or self.broke_off is not None)
        return (first if replayed else []) + ([self.broke_off] if self.broke_off is not None else []) + self.live

    def expected_answer(self) -> list[Any]:
        """The messages that refuse the request, each as its type and, if it has one, its status."""
        assert self.outcome is not None
        if self.kind == "websocket":
            return [("websocket.close", None)]
        if self.broke_off is not None:
            return []
        return [("http.response.start", STATUS[self.outcome]), ("http.response.body", None)]

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    @invariant()
    def the_application_is_called_as_it_has_to_be(self) -> None:
        if self.task is None or self.cancelled:
            return
        called = self.verdict is not None
        if self.outcome is None or self.asked is not None:
            assert not called, "called before anything was decided"
        elif self.enforces and self.outcome is not Reason.VERIFIED:
            assert not called
            assert self.running or self.raised or self.answer() == self.expected_answer()
        else:
            assert self.verdict is not None
            assert self.verdict.reason is self.outcome

    @invariant()
    def the_application_reads_what_was_verified(self) -> None:
        expected = self.expected_reads()
        assert self.read == expected[: len(self.read)]
        # Later messages of the server are passed on unchanged and completely.
        assert all(got is live for got, live in zip(reversed(self.read), reversed(self.live), strict=False))
        assert len(self.read) >= len(self.live)
        if self.verdict is not None and self.receiving is not None:
            assert self.read == expected, "the server is asked for what the guard holds"

    @invariant()
    def a_response_is_started_once(self) -> None:
        starts = [message for message in self.sent if message["type"].endswith(".start")]
        assert len(starts) <= 1
        if self.verdict is None:
            assert self.answer() == (self.expected_answer() if self.sent else [])[: len(self.sent)]

    def answer(self) -> list[Any]:
        return [(message["type"], message.get("status")) for message in self.sent]

    # What the server does.

    @precondition(lambda self: self.running and len(self.queue) < 3)
    @rule(
        size=st.sampled_from([LIMIT + 1, LIMIT + 1, 0, 1, 7, 20]),
        form=st.sampled_from([bytes, bytearray, memoryview]),
        bare=st.booleans(),
        cut=SELDOM,
    )
    def gives_a_piece(self, size: int, form: Any, bare: bool, cut: bool) -> None:
        """A piece may be empty, or have no body at all; the last one may leave out `more_body`, and come too soon."""
        piece, self.rest = self.rest[:size], self.rest[size:]
        message: dict[str, Any] = {"type": "http.request"}
        if piece or not bare:
            buffer = bytearray(piece)
            message["body"] = piece if form is bytes else buffer if form is bytearray else memoryview(buffer)
            # The application may keep what it received.
            self.lent += [buffer] if form is not bytes and self.verdict is None else []
        elif cut:
            message["body"] = None
        if self.rest and not cut:
            message["more_body"] = True
        elif not bare:
            message["more_body"] = bool(self.rest) and not cut
        self.give(message)

    @precondition(lambda self: self.running and len(self.queue) < 3)
    @rule()
    def hangs_up(self) -> None:
        self.give({"type": "http.disconnect"})

    @precondition(lambda self: self.running and len(self.queue) < 3)
    @rule(error=st.sampled_from([OSError, LayerError, TimeoutError]))
    def breaks(self, error: type[Exception]) -> None:
        self.give(error("not the guard's"))

    @precondition(lambda self: self.running and len(self.queue) < 3)
    @rule(message=st.sampled_from(NONSENSE))
    def talks_nonsense(self, message: Any) -> None:
        self.give(message)

    def give(self, message: Any) -> None:
        self.queue.append(message)
        if self.receiving is not None and not self.receiving.done():
            self.receiving.set_result(None)
        self.loop.settle()

    @precondition(lambda self: self.running)
    @rule(seconds=st.sampled_from([1, 4, 10]))
    def lets_time_pass(self, seconds: int) -> None:
        self.loop.now += seconds
        if self.guard_waits and self.deadline is not None and self.loop.now >= self.deadline:
            self.outcome = Reason.BODY_TIMEOUT
        self.loop.settle()

    @property
    def guard_waits(self) -> bool:
        return self.verdict is None and self.receiving is not None

    @precondition(lambda self: self.running)
    @rule(late=st.booleans(), really=SELDOM)
    def cancels(self, late: bool, really: bool) -> None:
        """Cancel at any await, also in the loop iteration in which the deadline passes."""
        if not really:
            return
        assert self.task is not None
        before = list(self.sent)
        if late:
            self.loop.now += DEADLINE
        self.task.cancel()
        self.cancelled = True
        self.loop.settle()
        assert self.task.cancelled()
        assert self.sent == before

    @precondition(lambda self: self.running)
    @rule()
    def takes_its_time_to_send(self) -> None:
        self.slow_to_send = True

    @precondition(lambda self: self.sending is not None)
    @rule(gone=st.booleans())
    def has_sent(self, gone: bool) -> None:
        assert self.sending is not None
        if gone:
            self.raised = OSError("the client is gone")
            self.sending.set_exception(self.raised)
        else:
            self.sending.set_result(None)
        self.loop.settle()

    # What the key source and the application do.

    @precondition(lambda self: self.asked is not None)
    @rule(found=st.booleans())
    def keys_arrive(self, found: bool) -> None:
        assert self.asked is not None
        if found:
            self.asked.set_result(KEY)
        else:
            self.outcome = Reason.KEYS_UNAVAILABLE
            self.asked.set_exception(OSError("the database's own"))
        self.loop.settle()

    @precondition(lambda self: self.orders is not None and self.running)
    @rule()
    def application_reads(self) -> None:
        self.order("read")

    @precondition(lambda self: self.orders is not None and self.running and not self.sent)
    @rule(order=st.sampled_from(["answer", "answer", "raise"]))
    def application_acts(self, order: str) -> None:
        self.order(order)

    def order(self, order: str) -> None:
        assert self.orders is not None
        self.orders.set_result(order)
        self.loop.settle()

    def teardown(self) -> None:
        try:
            if self.task is not None:
                self.end(self.task)
        finally:
            self.loop.close()

    def end(self, task: "asyncio.Task[None]") -> None:
        """Let everything end. The guard gets no more messages, so its deadline must end it."""
        for _ in range(10):
            if self.sending is not None:
                self.has_sent(False)
            elif self.asked is not None:
                self.keys_arrive(True)
            elif self.guard_waits:
                self.lets_time_pass(10)
            elif self.receiving is not None:
                self.hangs_up()
            elif self.orders is not None and self.running:
                self.order("return")
        assert task.done(), "it hangs"
        error = None if task.cancelled() else task.exception()
        assert task.cancelled() == self.cancelled
        passed_on = error in [self.broke_off, *self.live]
        assert error is self.raised or passed_on or type(error) is ApplicationError
        assert error is self.broke_off or not self.enforces or not isinstance(self.broke_off, LayerError)
        self.the_application_is_called_as_it_has_to_be()
        self.a_response_is_started_once()


SETTINGS = settings(
    max_examples=250,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.without_coverage
def test_the_guard_answers_every_asgi_server_once_and_ends() -> None:
    run_state_machine_as_test(AsgiServer, settings=SETTINGS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_guard_answers_every_asgi_server_in_long_runs() -> None:
    run_state_machine_as_test(AsgiServer, settings=settings(SETTINGS, max_examples=10_000, stateful_step_count=50))
