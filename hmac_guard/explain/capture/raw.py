"""Reads a URL, or a raw HTTP request as a proxy, a dump of a server or developer tools show it."""

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
    """Return whether the text begins with a method and a target."""
    return re.match(rb"\s*[A-Z]{3,10} +(?:/|https?://)", text) is not None


def from_raw(text: bytes) -> Captured:
    """Return the request. Lines may end with CRLF or LF. Raise `CaptureError` if it cannot be read."""
    stream = io.BytesIO(text.lstrip())
    method, target = _request_line(stream.readline())
    try:
        headers = tuple(http.client.parse_headers(stream).items())
    except http.client.HTTPException as error:
        raise CaptureError(
            f"the headers cannot be read ({error}); give one header per line, and an empty line after them"
        ) from None
    captured = from_sent_target(target, method)
    body, notes = _body(stream.read(), {name.lower(): value for name, value in headers})
    return captured._replace(headers=headers, body=body, notes=captured.notes + notes)


def _request_line(line: bytes) -> tuple[str, str]:
    """Return the method and the target. The target may contain spaces if a tool has decoded it."""
    method, _, rest = line.strip().partition(b" ")
    target, _, version = rest.rpartition(b" ")
    target = target.strip() if _VERSION.fullmatch(version) else rest.strip()
    if not target or not _METHOD.fullmatch(method):
        raise CaptureError("the first line is not a request line; begin with a line such as 'GET /path?query HTTP/1.1'")
    return method.decode(), target.decode("latin-1")


def _body(rest: bytes, headers: dict[str, str]) -> tuple[bytes, tuple[str, ...]]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _dechunked(rest)
    length = headers.get("content-length", "").strip()
    if not length.isdecimal():
        return rest.rstrip(b"\r\n"), ()
    if len(length) > _MOST_DIGITS:
        return rest, (f"Content-Length has {len(length)} digits, and servers refuse that; send the length of the body",)
    if len(rest) < int(length):
        return rest, (f"Content-Length says {length} bytes, but the body has {len(rest)}; a server waits for the rest",)
    return rest[: int(length)], ()


def _dechunked(rest: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the decoded chunks (RFC 9112 section 7.1), or the body unchanged with a note if they are not valid."""
    chunks: list[bytes] = []
    stream = io.BytesIO(rest)
    while True:
        line = stream.readline(_LONGEST_CHUNK_LINE).partition(b";")[0].strip()
        size = int(line, 16) if _CHUNK_SIZE.fullmatch(line) else -1
        chunk = stream.read(max(size, 0))
        if size < 0 or len(chunk) < size or (size and stream.readline(2) not in (b"\r\n", b"\n")):
            return rest, ("the chunks of the body are not valid; the body is used without decoding",)
        if size == 0:
            return b"".join(chunks), ()
        chunks.append(chunk)


# Browsers percent-encode other characters: white space, quotes and non-ASCII.
_LEFT_ALONE = "%/?:@!$&'()*+,;=~[]{}|^`\\#"


def from_url(text: str) -> Captured:
    """Return the request of a browser for a URL or a path. Raise `CaptureError` if the URL is not valid."""
    return from_sent_url(quote(re.sub(r"[\t\r\n]", "", text.strip()), safe=_LEFT_ALONE))


def from_sent_url(url: str, method: str = "GET") -> Captured:
    """Return the request for a URL that is sent unchanged, one character per byte. Raise `CaptureError`."""
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else "//" + url)
    except ValueError as error:
        raise CaptureError(f"the URL cannot be read ({error}); copy it again") from None
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    headers = (("Host", parts.netloc),) if parts.netloc else ()
    return Captured(method, target, headers, notes=_notes(parts.fragment))


def from_sent_target(target: str, method: str) -> Captured:
    """Return the request with this target: path and query, or a URL. Raise `CaptureError` if it is not valid."""
    if not target.startswith("/"):
        return from_sent_url(target, method)
    # Not parsed as a URL: in a request target, two slashes at the start do not name a host.
    sent, _, fragment = target.partition("#")
    return Captured(method, sent, notes=_notes(fragment))


def _notes(fragment: str) -> tuple[str, ...]:
    return ("the URL has a '#': the text after it is not sent to the server; write it as %23",) if fragment else ()
