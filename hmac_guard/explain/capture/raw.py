"""A raw HTTP request, as a proxy, a server's dump or the developer tools show it."""

import http.client
import io
import re

from werkzeug.serving import DechunkedInput

from hmac_guard.explain.capture.request import Captured, CaptureError
from hmac_guard.explain.capture.url import from_sent_url

_REQUEST_LINE = re.compile(rb"([A-Z]+) +(\S.*?)(?: +HTTP/[0-9.]+)?\s*")


def is_raw(text: bytes) -> bool:
    """Whether this begins like a request: a method and a target."""
    return re.match(rb"\s*[A-Z]{3,10} +(?:/|https?://)", text) is not None


def from_raw(text: bytes) -> Captured:
    """The request in these bytes; lines may end with or without a carriage return. Raises `CaptureError`."""
    stream = io.BytesIO(text.lstrip())
    line = _REQUEST_LINE.fullmatch(stream.readline())
    if line is None:
        raise CaptureError("the first line is no request line; begin with one such as 'GET /path?query HTTP/1.1'")
    try:
        headers = tuple(http.client.parse_headers(stream).items())
    except http.client.HTTPException as error:
        raise CaptureError(f"the headers cannot be read ({error}); give one a line, and an empty line behind") from None
    captured = from_sent_url(line[2].decode("latin-1"), line[1].decode())
    body, notes = _body(stream.read(), {name.lower(): value for name, value in headers})
    return captured._replace(headers=headers, body=body, notes=captured.notes + notes)


def _body(rest: bytes, headers: dict[str, str]) -> tuple[bytes, tuple[str, ...]]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        try:
            return DechunkedInput(io.BytesIO(rest)).read(), ()
        except OSError:
            return rest, ("the chunks of the body cannot be put together; it is taken as it stands",)
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return rest.rstrip(b"\r\n"), ()
    if len(rest) < int(length):
        return rest, (f"Content-Length says {length} bytes of body and {len(rest)} are here; a server waits for more",)
    return rest[: int(length)], ()
