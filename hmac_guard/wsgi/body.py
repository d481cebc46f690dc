"""Reads a WSGI request's body, bounded, and hands it on byte for byte. Rules: threats T042 to T048."""

import io
from typing import Any, NamedTuple

from werkzeug.wsgi import LimitedStream

from hmac_guard.core.verdict import Reason

_PIECE = 65_536


class Body(NamedTuple):
    """The bytes of a body, or as many as there were until `problem`."""

    content: bytes
    problem: Reason | None = None


def is_endless(environ: dict[str, Any]) -> bool:
    """Whether the body comes in chunks and the server (uWSGI, hypercorn) does not promise that they end."""
    return bool(environ.get("HTTP_TRANSFER_ENCODING")) and not environ.get("wsgi.input_terminated")


def take_body(environ: dict[str, Any], limit: int) -> Body:
    """The body of the request; `environ` is left so that the application reads the same bytes."""
    endless = bool(environ.get("wsgi.input_terminated"))
    length = int(environ["CONTENT_LENGTH"]) if environ.get("CONTENT_LENGTH") else None
    if length is not None and length > limit:
        return Body(b"", Reason.BODY_TOO_LARGE)
    # Nothing can be read safely without a length or a promised end; PEP 3333 then means an empty body. The application
    # gets it empty too: werkzeug's server hands over the bare connection.
    body = Body(b"") if length is None and not endless else _read(environ, limit, length, endless)
    _hand_on(environ, body, length)
    return body


def _read(environ: dict[str, Any], limit: int, length: int | None, endless: bool) -> Body:
    stream = environ["wsgi.input"]
    # Where the stream ends by itself, one byte more shows that it is longer than it said.
    wanted = length if length is not None and not endless else (limit if length is None else length) + 1
    content = bytearray()
    try:
        while len(content) < wanted:
            piece = stream.read(min(_PIECE, wanted - len(content)))
            if not piece:
                break
            content += piece
    except (
        Exception
    ):  # Servers raise errors of their own here: gunicorn NoMoreData, cheroot ValueError, others OSError.
        return Body(bytes(content), Reason.BAD_FRAMING)
    if length is not None:
        return Body(bytes(content), None if len(content) == length else Reason.BAD_FRAMING)
    return Body(bytes(content), Reason.BODY_TOO_LARGE if len(content) > limit else None)


def _hand_on(environ: dict[str, Any], body: Body, length: int | None) -> None:
    if body.problem is None:
        environ["wsgi.input"] = io.BytesIO(body.content)
        environ["CONTENT_LENGTH"] = str(len(body.content))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    else:
        rest = environ["wsgi.input"]
        if length is not None:
            rest = _Rest(rest, max(0, length - len(body.content)))
        environ["wsgi.input"] = io.BufferedReader(_Joined(body.content, rest))


class _Rest(LimitedStream):
    """The rest of an announced body, as the application would have met it without a guard."""

    def on_disconnect(self, error: Exception | None = None) -> None:
        if error is not None:
            raise error


class _Joined(io.RawIOBase):
    """The bytes that were read, and then the rest of the stream."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
