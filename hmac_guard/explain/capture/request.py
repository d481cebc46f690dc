"""A request as somebody copied it from somewhere, and the guard's own view of it."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from hmac_guard.asgi.request import AsgiRequest, HeaderNames
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.verdict import Reason
from hmac_guard.explain.printable import printable

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


def as_request(captured: Captured, scheme: Scheme, mount: str = "") -> AsgiRequest:
    """What a guard with this scheme sees of it, where the application is mounted at `mount`."""
    path, _, query = captured.target.partition("?")
    scope = {
        "method": captured.method,
        "path": unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace"),
        "root_path": mount,
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode("latin-1", "replace"), _wire(value)) for name, value in captured.headers],
    }
    request = AsgiRequest(scope, HeaderNames.of(scheme))
    if scheme.needs_body and scheme.wants_body(request.media.kind):
        request.body = captured.body
        request.body_problem = Reason.BODY_TOO_LARGE if len(captured.body) > MAX_BODY else None
    return request


def _wire(value: str) -> bytes:
    """A header's bytes: what a copy shows as text may have been UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
