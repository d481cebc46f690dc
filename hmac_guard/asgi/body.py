"""Reads an ASGI request's body, bounded in size and time, and hands it on byte for byte (threats T049 to T053)."""

import asyncio
from typing import Any

from hmac_guard.asgi.deadline import within
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason

DEADLINE = 10.0


class Body:
    """The body of one request, as far as it has been read."""

    __slots__ = ("_disconnect", "_pieces", "_receive", "_size", "_touched", "complete")

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._pieces: list[bytes] = []
        self._size = 0
        self._touched = False
        self._disconnect: Any = None
        self.complete = False

    @property
    def content(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    @property
    def disconnected(self) -> bool:
        return self._disconnect is not None

    async def take(self, request: Request, limit: int) -> Reason | None:
        """Read to the end; the reason why that was not possible, or None."""
        lengths = request.header("content-length")
        announced = int(lengths[0]) if lengths and lengths[0] else None
        if announced is not None and announced > limit:
            return Reason.BODY_TOO_LARGE
        try:
            problem = await within(DEADLINE, self._collect(limit))
        except asyncio.TimeoutError:
            return Reason.BODY_TIMEOUT
        except Exception:  # A server's own error while it reads: the body did not arrive whole.
            return Reason.BAD_FRAMING
        if problem is None and announced is not None and announced != self._size:
            return Reason.BAD_FRAMING
        return problem

    async def _collect(self, limit: int) -> Reason | None:
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnect = message
            if message["type"] != "http.request":
                return Reason.BAD_FRAMING
            piece = message.get("body") or b""
            piece = piece if type(piece) is bytes else bytes(memoryview(piece))
            self._touched = True
            if piece:
                self._pieces.append(piece)
                self._size += len(piece)
            self.complete = not message.get("more_body", False)
            if self._size > limit:
                return Reason.BODY_TOO_LARGE
        return None

    def hand_on(self) -> Any:
        """A `receive` that gives what was read once, and then is the server's own: whatever it invented, a repeated
        body or a disconnect, would freeze or cut off a streaming application."""
        receive = self._receive
        if not self._touched and self._disconnect is None:
            return receive
        pending = [{"type": "http.request", "body": self.content, "more_body": not self.complete}]
        if self._disconnect is not None:
            pending.append(self._disconnect)

        async def replay() -> Any:
            return pending.pop(0) if pending else await receive()

        return replay
