"""A copied request: out of a URL, a raw HTTP request or an entry of a HAR file, and as a guard reads it."""

import base64
import http.client
import json
import re
from collections.abc import Iterable, Mapping
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

from hmac_guard.asgi.request import AsgiRequest, HeaderNames, read_scope
from hmac_guard.core.reader import Reader
from hmac_guard.core.request import BODY_HEADERS
from hmac_guard.explain.printable import counted, excerpt, printable
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


_MOUNT = re.compile("/(?!/)[^?#%]*")


def as_request(captured: Captured, reader: Reader, mount: str = "") -> AsgiRequest:
    """Return a copied request as a guard reads it.

    Args:
        captured: The copied request.
        reader: The reader of a scheme.
        mount: The path at which the application is mounted, or "".

    Raises:
        CaptureError: The mount point does not begin with one `/`, or has a `?`, `#` or `%`.
    """
    if mount and not _MOUNT.fullmatch(mount):
        raise CaptureError(
            f"the mount point {excerpt(mount)} is not a path; begin it with one '/', as in '/api', and write it "
            "decoded, without '?', '#' and '%'"
        )
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


#: What is wrong with a text that is no request.
NO_REQUEST = (
    "this is not a URL, a curl command, a raw HTTP request or a HAR entry; choose 'Copy as cURL (bash)' in the "
    "browser, or give the URL alone"
)

_METHOD = re.compile(rb"[A-Z]+")
# What a log writes after the target: the version and more, or the status.
_LOGGED = re.compile(rb" HTTP/[0-9]| [1-5][0-9]{2}(?: |$)")
_VERSION = re.compile(rb"HTTP/[0-9.]+")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_MAX_CHUNK_LINE = 4096
# The parser drops the headers that follow a line without a colon, and a first line that begins with a space.
_LOST_HEADERS = (MissingHeaderBodySeparatorDefect, FirstHeaderLineIsContinuationDefect)
_HEADER_LINES = "give one header per line as 'Name: value', and an empty line after them"
_MAX_DIGITS = 15


def is_raw(text: bytes) -> bool:
    """Return whether the text begins with a method and a target."""
    return re.match(rb"\s*[A-Z]{3,10} +(?:/|https?://)", text) is not None


def from_raw(text: bytes) -> Captured:
    """Return the request in a raw HTTP request. Its lines may end with CRLF or LF.

    Raises:
        CaptureError: The request cannot be read.
    """
    stream = BytesIO(text.lstrip())
    method, target = _request_line(stream.readline())
    try:
        parsed = http.client.parse_headers(stream)
    except http.client.HTTPException as error:
        raise CaptureError(f"the headers cannot be read ({error}); {_HEADER_LINES}") from None
    if any(isinstance(defect, _LOST_HEADERS) for defect in parsed.defects):
        raise CaptureError(f"a line of the headers is no header; {_HEADER_LINES}")
    headers = tuple(parsed.items())
    captured = from_sent_target(target, method)
    body, notes = _body(stream.read(), {name.lower(): value for name, value in headers})
    return captured._replace(headers=headers, body=body, notes=captured.notes + notes)


def _request_line(line: bytes) -> tuple[str, str]:
    """Return the method and the target. The target may contain spaces if a tool has decoded it."""
    method, _, rest = line.strip().partition(b" ")
    target, _, version = rest.rpartition(b" ")
    has_version = _VERSION.fullmatch(version) is not None
    target = target.strip() if has_version else rest.strip()
    # Between a target and a version there is no status, but a decoded target may contain a number.
    if not has_version and _LOGGED.search(target):
        raise CaptureError(NO_REQUEST)
    if not target or not _METHOD.fullmatch(method):
        raise CaptureError("the first line is not a request line; begin with a line such as 'GET /path?query HTTP/1.1'")
    return method.decode(), target.decode("latin-1")


def _body(rest: bytes, headers: dict[str, str]) -> tuple[bytes, tuple[str, ...]]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _dechunked(rest)
    body = rest.rstrip(b"\r\n")
    length = headers.get("content-length", "").strip()
    if not length.isdecimal():
        ending = "the line end after the body is left out; if it was sent, give the Content-Length"
        return body, (ending,) if body and body != rest else ()
    return cut(rest, length, len(body))


def cut(rest: bytes, length: str, copied: int) -> tuple[bytes, tuple[str, ...]]:
    """Return what a server reads of a body, and a note if it has another length than its Content-Length says.

    Args:
        rest: The body, and what follows it in the copy.
        length: The Content-Length, in decimal digits.
        copied: The bytes of the body in the copy.
    """
    if len(length) > _MAX_DIGITS:
        return rest, (f"Content-Length has {len(length)} digits, and servers refuse that; send the length of the body",)
    stated = counted(int(length), "byte")
    if len(rest) < int(length):
        return rest, (f"Content-Length says {stated}, but the body has {len(rest)}; a server waits for the rest",)
    note = f"Content-Length says {stated}, but the body has {copied}; the rest is left out"
    return rest[: int(length)], (note,) if copied > int(length) else ()


def _dechunked(rest: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the decoded chunks (RFC 9112 section 7.1), or the body unchanged with a note if they are not valid."""
    chunks: list[bytes] = []
    stream = BytesIO(rest)
    while True:
        line = stream.readline(_MAX_CHUNK_LINE).partition(b";")[0].strip()
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
    """Return the request of a browser for a URL. A path without a host is taken as it is.

    Raises:
        CaptureError: The URL is not valid.
    """
    captured = from_sent_url(quote(re.sub(r"[\t\r\n]", "", text.strip()), safe=_LEFT_ALONE))
    return without_dot_segments(captured) if captured.headers else captured


# Browsers (WHATWG URL, "single-dot" and "double-dot URL path segment") and curl since 2025 take this for a dot. An
# older curl sends it, but a command does not tell the version, and newer ones replace the older.
_ENCODED_DOT = re.compile("%2e", re.IGNORECASE)


def without_dot_segments(captured: Captured) -> Captured:
    """Return the request without the segments `.` and `..` of its path (RFC 3986 section 5.2.4)."""
    path, mark, query = captured.target.partition("?")
    kept: list[str] = []
    segment = ""
    for sent in path.split("/")[1:]:
        segment = _ENCODED_DOT.sub(".", sent)
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(sent)
    ending = "/" if kept and segment in (".", "..") else ""
    return captured._replace(target="/" + "/".join(kept) + ending + mark + query)


def from_sent_url(url: str, method: str = "GET") -> Captured:
    """Return the request for a URL that is sent unchanged.

    Args:
        url: The URL, with one character per byte.
        method: The HTTP method.

    Raises:
        CaptureError: The URL is not valid.
    """
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else "//" + url)
    except ValueError as error:
        raise CaptureError(f"the URL cannot be read ({error}); copy it again") from None
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = (unquote_to_bytes(text.encode("latin-1")) for text in login.partition(":"))
    headers = [("Host", host)] if host else []
    if user or password:
        headers.append(("Authorization", basic(user + b":" + password)))
    return Captured(method, target, tuple(headers), notes=_notes(parts.fragment))


def basic(login: bytes) -> str:
    """Return the Authorization header of a user and a password with `:` between them (RFC 7617)."""
    return "Basic " + base64.b64encode(login).decode()


def from_sent_target(target: str, method: str) -> Captured:
    """Return the request with this target.

    Args:
        target: Path and query, or a URL, with one character per byte.
        method: The HTTP method.

    Raises:
        CaptureError: The target is not valid.
    """
    if not target.startswith("/"):
        return from_sent_url(target, method)
    # Not parsed as a URL: in a request target, two slashes at the start do not name a host.
    sent, _, fragment = target.partition("#")
    return Captured(method, sent, notes=_notes(fragment))


def _notes(fragment: str) -> tuple[str, ...]:
    return ("the URL has a '#': the text after it is not sent to the server; write it as %23",) if fragment else ()


_MAX_CHOICES = 50


def from_har(text: str, entry: int | None = None) -> Captured:
    """Return the request of an entry of a HAR 1.2 file. Browsers save such files in the network panel.

    Args:
        text: The JSON of an entry, or of a HAR file.
        entry: The number of the entry in a HAR file, from 0.

    Raises:
        CaptureError: The text is not JSON, is not HAR, or has several entries and `entry` is None.
    """
    try:
        document = json.loads(text)
    except RecursionError:
        raise CaptureError("this JSON is nested too deeply for a HAR entry; copy only the HAR entry") from None
    except json.JSONDecodeError as error:
        raise CaptureError(f"this is not valid JSON ({error}); copy the whole HAR entry") from None
    except ValueError:
        raise CaptureError("this JSON has a number that is too long; copy only the HAR entry") from None
    try:
        request = _request(document, entry)
        url = _text(request["url"]).encode("utf-8", "surrogatepass").decode("latin-1")
        captured = from_sent_url(url, _text(request.get("method", "GET")))
        headers = tuple((_text(header["name"]), _text(header["value"])) for header in request.get("headers", ()))
        body = _post_data(request.get("postData") or {})
    except CaptureError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CaptureError("this JSON is not a HAR entry; an entry has a request with a url and headers") from None
    return captured._replace(headers=tuple(pair for pair in headers if not pair[0].startswith(":")), body=body)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _request(document: Any, entry: int | None) -> Any:
    if "log" in document:
        document = _chosen(document["log"]["entries"], entry)
    return document.get("request", document)


def _chosen(entries: Any, entry: int | None) -> Any:
    if entry is not None and 0 <= entry < len(entries):
        return entries[entry]
    refused = [found for found in entries if found.get("response", {}).get("status") == 401]
    for several in (entries, refused):
        if entry is None and len(several) == 1:
            return several[0]
    choices = [f"{number}: {_described(found)}" for number, found in enumerate(entries[:_MAX_CHOICES])]
    further = [f"and {len(entries) - _MAX_CHOICES} more"] if len(entries) > _MAX_CHOICES else []
    raise CaptureError(f"there are {len(entries)} entries; choose one with --entry NUMBER:", [*choices, *further])


def _described(entry: Any) -> str:
    return printable(f"{_text(entry['request']['method'])} {_text(entry['request']['url']).partition('?')[0]}")[:60]


def _post_data(data: Mapping[str, Any]) -> bytes:
    text = _text(data.get("text") or "")
    if data.get("encoding") == "base64":
        return base64.b64decode(text)
    if not text and "params" in data:
        fields = [(_text(param["name"]), _text(param.get("value", ""))) for param in data["params"]]
        text = urlencode(fields, errors="surrogatepass")
    return text.encode("utf-8", "surrogatepass")
