"""A request as somebody copied it from somewhere, and the guard's own view of it."""

from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from hmac_guard.asgi.request import AsgiRequest, HeaderNames
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import BODY_HEADERS
from hmac_guard.explain.printable import printable
from hmac_guard.wsgi.body import take_body

#: The default of a guard.
MAX_BODY = 262_144


class CaptureError(ValueError):
    """What was given is no request, or not a whole one. The text says what is missing and what to give instead; it is
    printable, also where the request is not. `choices` stand below it, one in each line."""

    def __init__(self, text: str, choices: Iterable[str] = ()) -> None:
        super().__init__("\n  ".join(map(printable, (text, *choices))))


class Captured(NamedTuple):
    """`target`  path and query as they travel, one character for each byte
    `headers` in order, several of one name included
    `notes`   what was odd about the copy, in sentences
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Captured {self.method} {self.target.partition('?')[0]!a}>"


def as_request(captured: Captured, reader: Reader, mount: str = "") -> AsgiRequest:
    """What a guard sees of it, where the application is mounted at `mount`; its body is read for `reader`."""
    path, _, query = captured.target.partition("?")
    scope = {
        "method": captured.method,
        "path": unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace"),
        "root_path": mount,
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode("latin-1", "replace"), _wire(value)) for name, value in captured.headers],
    }
    request = AsgiRequest(scope, HeaderNames(reader.names), with_body=False)
    if reader.needs_body:
        # A copy rarely says how its body was framed; its bytes are all there.
        lengths = [
            None if name in ("content-length", "transfer-encoding") else request.header(name) for name in BODY_HEADERS
        ]
        request.framing = lengths
        take_body(request, reader, BytesIO(captured.body), True, MAX_BODY)
    return request


def _wire(value: str) -> bytes:
    """A header's bytes: what a copy shows as text may have been UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
