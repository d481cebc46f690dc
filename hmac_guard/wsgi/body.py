"""Reads the body of a WSGI request, within bounds, and gives the application the same bytes (threats T042 to T048)."""

import io
import sys
from tempfile import SpooledTemporaryFile
from typing import Any

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import LimitedStream

from hmac_guard.core.bodies import TOO_LARGE, read_length
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import LAYER_RAISED, Request
from hmac_guard.core.verdict import Reason, Refused

_PIECE = 65_536
# Enough for the first bytes of a body that is not read to its end.
_START = 512

_ENDLESS = Refused(Reason.BAD_FRAMING, "the body is sent in chunks, and the server does not promise that they end")
_CUT_OFF = Refused(
    Reason.BAD_FRAMING,
    "the body is shorter than its Content-Length says, or could not be read: the client has closed the connection, or "
    "code before the guard has read a part of the body",
)
_TOO_LATE = Refused(Reason.BODY_TIMEOUT, "the body did not arrive within the time limit of the server")

# A body that is cut off, or whose chunks or compression are malformed. Most servers raise a class of Python, some
# because they fail, or a subclass of OSError; eventlet a subclass of ValueError. Two have other classes of their own.
_OF_SERVERS = (OSError, ValueError, ClientDisconnected)
_NOT_OF_LAYERS = sys.stdlib_module_names | {"gunicorn", "cheroot"}

# Streams that can seek. `seekable()` is no proof: a GzipFile says so too, and fails if the server's stream cannot.
_HOLD_THEIR_BYTES = (io.BytesIO, io.BufferedRandom, SpooledTemporaryFile)


class Body:
    """A body, and the part of it that was read.

    Args:
        stream: The server's stream.
        length: The length that the request states; None if it states none.
        ends: Whether the stream ends by itself (`wsgi.input_terminated`).

    Attributes:
        content: The bytes that were read.
        is_complete: Whether they are the whole body.
        has_raised: Whether the stream raised an exception.
        outer_error: The exception that a layer outside of the guard raised in place of the rest, or None.
    """

    def __init__(self, stream: Any, length: int | None, ends: bool) -> None:
        self.stream = stream
        self.length = length
        self.ends = ends
        self.content = b""
        self.is_complete = False
        self.has_raised = False
        self.outer_error: Exception | None = None

    def read(self, most: int) -> Refused | None:
        """Read until there are `most` bytes or the body ends. Return why it could not be read, or None."""
        # Nothing can be read safely without a length or a promised end; PEP 3333 then means an empty body.
        if self.length is None and not self.ends:
            self.is_complete = True
            return None
        # Where the stream ends by itself, one byte more shows that it is longer than its length says.
        last = None if self.length is None else self.length + (1 if self.ends else 0)
        wanted = most if last is None else min(most, last)
        pieces = [self.content]
        size = len(self.content)
        read = self.stream.read
        while size < wanted:
            count = min(_PIECE, wanted - size)
            try:
                piece = read(count)
            except Exception as error:
                self.content = b"".join(pieces)
                return self._broken(error)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        self.content = b"".join(pieces)
        self.is_complete = size < wanted or size == self.length
        if self.length is not None and (size > self.length or (self.is_complete and size < self.length)):
            return _CUT_OFF
        return None

    def _broken(self, error: Exception) -> Refused:
        self.has_raised = True
        if isinstance(error, TimeoutError):
            return _TOO_LATE
        if isinstance(error, _OF_SERVERS) or type(error).__module__.partition(".")[0] in _NOT_OF_LAYERS:
            return _CUT_OFF
        # Without the frame of `read`: it has the body, and error trackers record local variables.
        self.outer_error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        return LAYER_RAISED

    def rest(self) -> Any:
        """Return a stream of the whole body, for the application."""
        if self.is_complete:
            whole = io.BytesIO(self.content)
            if not (self.content or self.ends) and hasattr(self.stream, "raw"):
                # On gevent, a websocket takes its connection from here. Reading the body still gives no bytes.
                whole.raw = self.stream.raw  # type: ignore[attr-defined]
            return whole
        if type(self.stream) in _HOLD_THEIR_BYTES:
            self.stream.seek(-len(self.content), io.SEEK_CUR)
            return self.stream
        rest: Any = self.stream if self.outer_error is None else _Raising(self.outer_error)
        if self.length is not None:
            rest = _Rest(rest, max(0, self.length - len(self.content)))
        return io.BufferedReader(_Joined(self.content, rest))


class _Rest(LimitedStream):
    """The rest of a body with a stated length, as the application would read it without a guard."""

    def on_disconnect(self, error: Exception | None = None) -> None:
        if error is not None:
            raise error


class _Raising:
    """A stream of which each reading raises the exception of a layer outside of the guard."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error


class _Joined(io.RawIOBase):
    """The bytes that were read, then the rest of the stream."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def take_body(request: Request, reader: Reader, stream: Any, ends: bool, limit: int) -> Body | None:
    """Read as much of the body as the reader needs, into `request.body` or `request.body_problem`.

    Args:
        request: The request.
        reader: The reader.
        stream: The server's stream.
        ends: Whether the server promises that the stream ends.
        limit: The most bytes that are read.

    Returns:
        The body from which the application is to read; None if the stream was not touched.
    """
    _, announced, _, transfer_encoding = request.framing
    length = read_length(announced, transfer_encoding)
    if isinstance(length, Refused) or (transfer_encoding and not ends):
        request.body_problem = length if isinstance(length, Refused) else _ENDLESS
        return None
    body = Body(stream, length, ends)
    if reader.wants_all_of(request):
        if length is not None and length > limit:
            request.body_problem = TOO_LARGE
            return None
        request.body_problem = body.read(limit + 1) or (TOO_LARGE if len(body.content) > limit else None)
    else:
        request.body_problem = _read_start(request, reader, body, limit)
    if request.body_problem is None and body.is_complete:
        request.body = body.content
    request.outer_error = body.outer_error
    request.broke_off = body.outer_error is not None
    return body


def _read_start(request: Request, reader: Reader, body: Body, limit: int) -> Refused | None:
    """Read as much of a body of another type as shows whether it counts as absent."""
    problem = body.read(_START)
    piece = body.content
    while problem is None and piece:
        # One piece at a time: the bytes before the first byte of JSON do not matter.
        problem = reader.refuse_start(request, piece)
        if problem is not None or body.is_complete or reader.knows_start(piece):
            break
        known = len(body.content)
        problem = TOO_LARGE if known > limit else body.read(2 * known)
        piece = body.content[known:]
    return problem
