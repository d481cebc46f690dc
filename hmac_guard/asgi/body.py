"""Reads the body of an ASGI request, bounded in size and time, and gives it to the application byte for byte (threats
T049 to T053)."""

import asyncio
from typing import Any

from hmac_guard.asgi.deadline import within
from hmac_guard.core.bodies import TOO_LARGE, read_length
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason, Refused

DEADLINE = 10.0

_TOO_LATE = Refused(Reason.BODY_TIMEOUT, f"the body did not arrive within {DEADLINE:.0f} seconds")
_CUT_OFF = Refused(Reason.BAD_FRAMING, "the client closed the connection, or the server failed, before the body ended")
_OTHER_LENGTH = Refused(Reason.BAD_FRAMING, "the body is not as long as its Content-Length says")


class Body:
    """The body of one request, as far as it has been read."""

    content = b""
    is_begun = False
    is_complete = False
    _disconnect: Any = None
    _replay: Any = None

    def __init__(self, receive: Any) -> None:
        self._receive = receive

    @property
    def disconnected(self) -> bool:
        return self._disconnect is not None

    async def take(self, request: Request, reader: Reader, limit: int) -> None:
        """Read what the reader needs, and put it into `request.body` or `request.body_problem`."""
        _, announced, _, transfer_encoding = request.framed()
        length = read_length(announced, transfer_encoding)
        if isinstance(length, Refused):
            request.body_problem = length
            return
        wants_all = reader.wants_all_of(request)
        if wants_all and length is not None and length > limit:
            request.body_problem = TOO_LARGE
            return
        try:
            problem = await within(DEADLINE, self._collect(None if wants_all else (reader, request), limit))
        except asyncio.TimeoutError:
            problem = _TOO_LATE
        except Exception:  # A server's own error while it reads: the body did not arrive whole.
            problem = _CUT_OFF
        if problem is None and self.is_complete:
            if length is None or length == len(self.content):
                request.body = self.content
            else:
                problem = _OTHER_LENGTH
        request.body_problem = problem
        request.stream, request.is_gone = self.replay_receive(), self.disconnected

    async def _collect(self, start: "tuple[Reader, Request] | None", limit: int) -> Refused | None:
        """Read to the end; where a `start` is enough, until it shows whether the body counts as absent."""
        pieces: list[bytes] = []
        size = 0
        problem = None
        try:
            while not self.is_complete and problem is None:
                message = await self._receive()
                if message["type"] != "http.request":
                    if message["type"] == "http.disconnect":
                        self._disconnect = message
                    return _CUT_OFF
                piece = message.get("body") or b""
                if piece:
                    pieces.append(piece if type(piece) is bytes else bytes(memoryview(piece)))
                    size += len(pieces[-1])
                self.is_begun = True
                self.is_complete = not message.get("more_body", False)
                if start is not None and piece:
                    # One piece at a time: what stands before the first byte of JSON tells nothing.
                    reader, request = start
                    problem = reader.refuse_start(request, pieces[-1])
                    if reader.knows_start(pieces[-1]):
                        break
                if size > limit and problem is None:
                    problem = TOO_LARGE
        finally:
            # Also where time ran out: in report mode the application gets what there is.
            self.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return problem

    def replay_receive(self) -> Any:
        """A `receive` that gives what was read once, and then is the server's own: a repeated body or an invented
        disconnect would freeze or cut off a streaming application."""
        if self._replay is None:
            self._replay = self._make_replay()
        return self._replay

    def _make_replay(self) -> Any:
        receive = self._receive
        if not (self.is_begun or self._disconnect):
            return receive
        pending = [{"type": "http.request", "body": self.content, "more_body": not self.is_complete}]
        if self._disconnect is not None:
            pending.append(self._disconnect)

        async def replay() -> Any:
            return pending.pop(0) if pending else await receive()

        return replay
