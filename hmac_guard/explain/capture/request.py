"""A copied request, and its form for the guard."""

from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from hmac_guard.asgi.request import AsgiRequest, HeaderNames, read_scope
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import BODY_HEADERS
from hmac_guard.explain.printable import printable
from hmac_guard.wsgi.body import take_body

#: The default `max_body` of a guard, in bytes.
MAX_BODY = 262_144


class CaptureError(ValueError):
    """The copied text is not a complete request.

    Args:
        text: What is missing and what to give instead. It is made printable.
        choices: Lines to show below the text.
    """

    def __init__(self, text: str, choices: Iterable[str] = ()) -> None:
        super().__init__("\n  ".join(map(printable, (text, *choices))))


class Captured(NamedTuple):
    """A copied request.

    Attributes:
        method: The HTTP method.
        target: Path and query as they are sent, one character per byte.
        headers: Names and values in their order. A name may occur several times.
        body: The raw body.
        notes: Remarks about the copy, as clauses.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Captured {self.method} {self.target.partition('?')[0]!a}>"


def as_request(captured: Captured, reader: Reader, mount: str = "") -> AsgiRequest:
    """Return the request as a guard reads it. `mount` is the path at which the application is mounted."""
    path, _, query = captured.target.partition("?")
    scope = {
        "method": captured.method,
        "path": unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace"),
        "root_path": mount,
        "query_string": query.encode("latin-1"),
        "headers": [
            (name.lower().encode("latin-1", "replace"), _header_bytes(value)) for name, value in captured.headers
        ],
    }
    request = read_scope(scope, HeaderNames((*reader.names, *BODY_HEADERS)), with_body=True)
    if reader.needs_body:
        # A copy contains the whole body, but often neither Content-Length nor Transfer-Encoding.
        kind, _, coding, _ = request.framing
        request.framing = (kind, None, coding, None)
        take_body(request, reader, BytesIO(captured.body), True, MAX_BODY)
    return request


def _header_bytes(value: str) -> bytes:
    """Return the bytes of a header. Non-ASCII text is encoded as UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
