"""Reads an ASGI request's body, bounded in size and time, and hands it on byte for byte (threats T049 to T053)."""

import asyncio
from typing import Any

from hmac_guard.asgi.deadline import rest_within
from hmac_guard.core.bodies import parse_json
from hmac_guard.core.verdict import Reason

DEADLINE = 10.0


class Body:
    """The body of one request, as far as it has been read: `content`, whether that is all of it, and why it is not;
    and the JSON document in it, if somebody has asked for it."""

    content = b""
    problem: Reason | None = None
    document: Any = None
    complete = False
    _disconnect: Any = None

    def __init__(self, receive: Any) -> None:
        self._receive = receive

    def json_document(self) -> Any:
        """The JSON document in `content`, kept as `document`. Raises `Refused`."""
        self.document = parse_json(self.content)
        return self.document

    @property
    def disconnected(self) -> bool:
        return self._disconnect is not None

    async def take(self, announced: int | None, limit: int) -> None:
        """Read to the end, or until `problem`. `announced` is its length, where the request says it."""
        if announced is not None and announced > limit:
            self.problem = Reason.BODY_TOO_LARGE
            return
        collecting = self._collect(limit)
        try:
            # No timer is armed where everything is there at once.
            waits_for = collecting.send(None)
            problem = await rest_within(DEADLINE, waits_for, collecting)
        except StopIteration as done:
            problem = done.value
        except asyncio.TimeoutError:
            problem = Reason.BODY_TIMEOUT
        except Exception:  # A server's own error while it reads: the body did not arrive whole.
            problem = Reason.BAD_FRAMING
        if problem is None and announced is not None and announced != len(self.content):
            problem = Reason.BAD_FRAMING
        self.problem = problem

    async def _collect(self, limit: int) -> Reason | None:
        receive = self._receive
        pieces: list[bytes] = []
        size = 0
        try:
            while not self.complete:
                message = await receive()
                if message["type"] != "http.request":
                    if message["type"] == "http.disconnect":
                        self._disconnect = message
                    return Reason.BAD_FRAMING
                piece = message.get("body") or b""
                if piece:
                    pieces.append(piece if type(piece) is bytes else bytes(memoryview(piece)))
                    size += len(pieces[-1])
                self.complete = not message.get("more_body", False)
                if size > limit:
                    return Reason.BODY_TOO_LARGE
        finally:
            # Also where time ran out: in report mode the application gets what there is.
            self.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return None

    def hand_on(self) -> Any:
        """A `receive` that gives what was read once, and then is the server's own: whatever it invented, a repeated
        body or a disconnect, would freeze or cut off a streaming application."""
        receive = self._receive
        if not (self.content or self.complete or self._disconnect):
            return receive
        pending = [{"type": "http.request", "body": self.content, "more_body": not self.complete}]
        if self._disconnect is not None:
            pending.append(self._disconnect)

        async def replay() -> Any:
            return pending.pop(0) if pending else await receive()

        return replay
