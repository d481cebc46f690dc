"""One request over its own socket, its outcome, and the outcome of the connection."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import sleep

import h11
from orders import hex_of
from servers import Running

from acceptance.conformance.client import Answer, Connection
from acceptance.wire.guards import BARE
from acceptance.wire.reach import Message, Reach

_TAGS = count()
#: So begin the ids of the requests that try whether a connection is still of use.
_AFTER = "after-"
#: Seconds in which every server hands a request to the application.
_MOMENT = 0.5


@dataclass(frozen=True)
class Ask:
    """The bytes of a request, which guard it is for, and what the client had signed for it."""

    data: bytes
    guard: str
    method: str = "GET"
    signed: frozenset[str] = frozenset()
    #: The document that was sent in the body, if its id is to be found there.
    document: bytes | None = None
    upgrades: bool = False
    #: How long the server may think before the client closes its side. Then it has to answer or to close.
    timeout: float = 5.0
    #: What is sent when the server has had time to hand the request on.
    rest: bytes = b""
    #: The webhooks that were signed, for the guards in WEBHOOKS.
    messages: frozenset[Message] = frozenset()


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request.

    Attributes:
        status: The status; None if the server closed without an answer.
        connection: "kept", "closed", "open" (a websocket) or "hangs".
        waited: Whether the server answered only after the client had closed its side.
    """

    status: int | None
    connection: str
    waited: bool = False
    reached: list[Reach] = field(default_factory=list)

    def __str__(self) -> str:
        """One cell of the golden file."""
        words = [str(self.status or "---"), "app" if self.reached else "", self.connection]
        return " ".join(filter(None, [*words, "late" if self.waited else ""]))


@dataclass
class Site:
    """A server with the application of this suite, and what was counted of it."""

    running: Running
    record: Path
    mounted: bool
    outcomes: list[tuple[Ask, Outcome]] = field(default_factory=list)

    def exchange(self, ask: Ask) -> Outcome:
        after = f"{_AFTER}{next(_TAGS)}"
        outcome = self._exchange(ask, after)
        if outcome.status is None or (ask.guard == BARE and outcome.status >= 400):
            sleep(0.05)  # Nothing shows when the application has finished.
        lines = self.record.read_text().splitlines()
        self.record.write_text("")
        reached = map(Reach.of, lines)
        outcome.reached.extend(reach for reach in reached if not reach.ids.get("id", "").startswith(_AFTER))
        self.outcomes.append((ask, outcome))
        return outcome

    def _exchange(self, ask: Ask, after: str) -> Outcome:
        with Connection(self.running.port, ask.timeout) as connection:
            with suppress(OSError):  # It may have answered before it closed.
                connection.send(ask.data)
                if ask.rest:
                    sleep(_MOMENT)
                    connection.send(ask.rest)
            if ask.upgrades:
                return _upgraded(connection)
            waited = False
            answer = _answer(connection, ask.method)
            if answer is _WAITS:
                waited = True
                connection.finish()
                answer = _answer(connection, ask.method)
            if answer is _WAITS:
                return Outcome(None, "hangs", waited)
            status = answer.status if isinstance(answer, Answer) else None
            use = _is_of_use if status is not None and not waited else _never
            if use(connection, self.signed_get(after)):
                return Outcome(status, "kept", waited)
            connection.finish()
            return Outcome(status, "closed" if connection.is_closed() else "hangs", waited)

    def signed_get(self, id: str) -> bytes:
        """A valid request with an id that no other request has."""
        prefix = "/api" if self.mounted else ""
        return f"GET {prefix}/after?a={id}&sig={hex_of(id)} HTTP/1.1\r\nHost: h\r\nX-Guard: all\r\n\r\n".encode()


_WAITS = object()


def _answer(connection: Connection, method: str) -> object:
    """The answer, `_WAITS`, or None if the connection ended without an answer."""
    try:
        return connection.answer(method)
    except TimeoutError:
        return _WAITS
    except (EOFError, OSError, h11.ProtocolError):
        return None


def _upgraded(connection: Connection) -> Outcome:
    try:
        status = connection.interim()
    except (EOFError, OSError):
        return Outcome(None, "closed")
    connection.finish()
    return Outcome(status, "open" if status == 101 else "closed" if connection.is_closed() else "hangs")


def _is_of_use(connection: Connection, request: bytes) -> bool:
    """Whether the connection serves another request."""
    try:
        connection.send(request)
    except OSError:
        return False
    answer = _answer(connection, "GET")
    return isinstance(answer, Answer) and answer.status == 200


def _never(connection: Connection, request: bytes) -> bool:
    return False


def answers_to(port: int, asks: Sequence[Ask]) -> list[tuple[Ask, Answer]]:
    """The answer to each, one after the other on one connection, or on a new one where the server has closed it."""
    found: list[tuple[Ask, Answer]] = []
    while len(found) < len(asks):
        before = len(found)
        with Connection(port) as connection, suppress(EOFError, OSError):
            for ask in asks[before:]:
                connection.send(ask.data)
                found.append((ask, connection.answer(ask.method)))
        assert len(found) > before, "a new connection is of no use"
    return found
