"""A raw HTTP request, as a proxy, a server's dump or the developer tools show it."""

import http.client
import io
import re
from urllib.parse import quote, urlsplit

from hmac_guard.explain.capture.request import Captured, CaptureError

_METHOD = re.compile(rb"[A-Z]+")
_VERSION = re.compile(rb"HTTP/[0-9.]+")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LONGEST_CHUNK_LINE = 4096
_MOST_DIGITS = 15


def is_raw(text: bytes) -> bool:
    """Whether this begins like a request: a method and a target."""
    return re.match(rb"\s*[A-Z]{3,10} +(?:/|https?://)", text) is not None


def from_raw(text: bytes) -> Captured:
    """The request in these bytes; lines may end with or without a carriage return. Raises `CaptureError`."""
    stream = io.BytesIO(text.lstrip())
    method, target = _request_line(stream.readline())
    try:
        headers = tuple(http.client.parse_headers(stream).items())
    except http.client.HTTPException as error:
        raise CaptureError(f"the headers cannot be read ({error}); give one a line, and an empty line behind") from None
    captured = from_sent_target(target, method)
    body, notes = _body(stream.read(), {name.lower(): value for name, value in headers})
    return captured._replace(headers=headers, body=body, notes=captured.notes + notes)


def _request_line(line: bytes) -> tuple[str, str]:
    """The method and the target. A target may hold spaces, where a tool has decoded it."""
    method, _, rest = line.strip().partition(b" ")
    target, _, version = rest.rpartition(b" ")
    target = target.strip() if _VERSION.fullmatch(version) else rest.strip()
    if not target or not _METHOD.fullmatch(method):
        raise CaptureError("the first line is no request line; begin with one such as 'GET /path?query HTTP/1.1'")
    return method.decode(), target.decode("latin-1")


def _body(rest: bytes, headers: dict[str, str]) -> tuple[bytes, tuple[str, ...]]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _dechunked(rest)
    length = headers.get("content-length", "").strip()
    if not length.isdecimal():
        return rest.rstrip(b"\r\n"), ()
    if len(length) > _MOST_DIGITS:
        return rest, (f"Content-Length has {len(length)} digits, which no server takes; send the body's length",)
    if len(rest) < int(length):
        return rest, (f"Content-Length says {length} bytes of body and {len(rest)} are here; a server waits for more",)
    return rest[: int(length)], ()


def _dechunked(rest: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The body that was sent in chunks (RFC 9112 section 7.1), or what is there where the chunks are no such ones."""
    chunks: list[bytes] = []
    stream = io.BytesIO(rest)
    while True:
        line = stream.readline(_LONGEST_CHUNK_LINE).partition(b";")[0].strip()
        size = int(line, 16) if _CHUNK_SIZE.fullmatch(line) else -1
        chunk = stream.read(max(size, 0))
        if size < 0 or len(chunk) < size or (size and stream.readline(2) not in (b"\r\n", b"\n")):
            return rest, ("the chunks of the body cannot be put together; it is taken as it stands",)
        if size == 0:
            return b"".join(chunks), ()
        chunks.append(chunk)


# A browser leaves these alone and percent-encodes what a URL cannot hold: white space, quotes, non-ASCII.
_LEFT_ALONE = "%/?:@!$&'()*+,;=~[]{}|^`\\#"


def from_url(text: str) -> Captured:
    """What a browser sends for this URL, which may begin with the path. Raises `CaptureError`."""
    return from_sent_url(quote(re.sub(r"[\t\r\n]", "", text.strip()), safe=_LEFT_ALONE))


def from_sent_url(url: str, method: str = "GET") -> Captured:
    """A request for a URL that goes out as it stands, one character for each byte. Raises `CaptureError`."""
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else "//" + url)
    except ValueError as error:
        raise CaptureError(f"the URL cannot be read ({error}); copy it once more") from None
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    headers = (("Host", parts.netloc),) if parts.netloc else ()
    return Captured(method, target, headers, notes=_notes(parts.fragment))


def from_sent_target(target: str, method: str) -> Captured:
    """A request whose first line has this target: path and query, or a whole URL. Raises `CaptureError`."""
    if not target.startswith("/"):
        return from_sent_url(target, method)
    # No URL is read out of it: two slashes at its start are no host here.
    sent, _, fragment = target.partition("#")
    return Captured(method, sent, notes=_notes(fragment))


def _notes(fragment: str) -> tuple[str, ...]:
    return ("the URL has a '#': what stands behind it never reaches a server; write it as %23",) if fragment else ()
