"""The part of a request that a guard reads: raw values, in the same form for each adapter.

A guard keeps the request with its verdict, to recognise the same request later.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from hmac_guard.core.bodies import Media
from hmac_guard.core.shown import Shown
from hmac_guard.core.verdict import Reason, Refused

#: The headers that say how a body is framed and what it is.
BODY_HEADERS = ("content-type", "content-length", "content-encoding", "transfer-encoding")

LAYER_RAISED = Refused(Reason.BAD_FRAMING, "a layer outside of the guard raised an exception before the body ended")

#: The value of a header: None for no line, a list for several lines. One character represents one byte.
Line = str | list[str] | None


class Request(Shown, ABC):
    """One request.

    Attributes:
        method: The method, as sent.
        root: The mount point that the server gives (`SCRIPT_NAME`, `root_path`).
        path: The application's own path, decoded once; bytes that are not UTF-8 become U+FFFD.
        query: The query as sent, one character for each byte.
        lines: The values of the headers in which the scheme looks (`Reader.names`), in that order.
        framing: The values of BODY_HEADERS, in that order; empty if the guard reads no body.
        media: The media type by these headers; only if the guard reads the body.
        body: The bytes, after they were read to their end; otherwise None.
        body_problem: Why the body could not be read, or None.
        mounted_paths: The path with and without the mount points that the application sets itself, if it does.
        whole_path: The path as the server gives it, if the server or the application has a mount point.
        keeps_root: Whether the application may route this path, and not the one without the mount point.
        form: The fields of a form that a framework has parsed; None if there is none. A file has the value None.
        stream: The object that the application reads the body from, `wsgi.input`; or the messages that it receives
            first.
        broke_off: Whether the client has closed the connection before its body was read, or a layer outside of the
            guard raised an exception in place of the body.
        outer_error: The exception of that layer, or None.
        source: Where further headers are: the scope, the environ, or Django's request; None after the verdict.
        signature: The signature, after the reader has found it; a tuple of several, if any of them may verify.
        ahead: The `Reading` from before the body was read, for a scheme that signs the body.
        is_refused_ahead: Whether the guard refuses the request with any body, so that the body is not read.
    """

    method: str
    root: str
    path: str
    query: str
    lines: Sequence[Line]
    framing: Sequence[Line] = ()
    media: Media
    body: bytes | None = None
    body_problem: Refused | None = None
    mounted_paths: Sequence[str] = ()
    whole_path: str = ""
    keeps_root: bool = False
    form: Sequence[tuple[str, str | None]] | None = None
    stream: Any = None
    broke_off: bool = False
    outer_error: Exception | None = None
    source: Any = None
    signature: bytes | tuple[bytes, ...] = b""
    ahead: Any = None
    is_refused_ahead: bool = False

    @abstractmethod
    def header(self, name: str) -> Line:
        """Return the header `name` (lower case, with `-`) under any spelling."""

    def is_spelled(self, name: str) -> bool:
        """Return whether the header `name` has its own spelling. If the server does not show it, return True."""
        return True

    def is_same_as(self, other: "Request") -> bool:
        """Return whether the other request says the same, without its body.

        An inner layer may have moved a part of the path into the mount point, or have set a mount point by itself.
        """
        if (self.method, self.query, self.lines) != (other.method, other.query, other.lines):
            return False
        if self.framing and (self.framing[0], self.framing[2]) != (other.framing[0], other.framing[2]):
            return False
        return self.path == other.path or self.root.rstrip("/") + self.path == other.root.rstrip("/") + other.path

    def paths(self) -> Sequence[str]:
        """Return every path that a framework may read from this request; one path if all of them agree."""
        return (self.path,)

    def id_paths(self) -> Sequence[str]:
        """Like `paths`, for the ids in a path: a `/` at the end of the mount point does not count."""
        return self.paths()

    def _description(self) -> str:
        # The path, the query, the headers and the body may hold a signature.
        return f"<{type(self).__name__} {self.method}>"


def is_preflight(request: Request) -> bool:
    """Return whether a request is a CORS preflight exactly as a browser sends it (Fetch, "CORS-preflight fetch").

    A request with a Content-Type is not a preflight: over HTTP/2, a body needs no other header.
    """
    if request.method != "OPTIONS":
        return False
    for name in ("origin", "access-control-request-method"):
        line = request.header(name)
        if not isinstance(line, str) or not line.strip() or "," in line or not request.is_spelled(name):
            return False
    if any(request.header(name) is not None for name in ("authorization", "transfer-encoding")):
        return False
    # If there is no Content-Type, wsgiref, and so Django's runserver, says that it is text/plain.
    if request.header("content-type") not in (None, "", "text/plain"):
        return False
    # Django's test client sends an empty Cookie with each request.
    return request.header("cookie") in (None, "") and request.header("content-length") in (None, "", "0")


_WITH_UNDERSCORE = (
    "the Content-Type is sent in a header named Content_Type, which no framework reads; write '-', not '_'"
)


def why_not_read(request: Request, kinds: frozenset[str], is_upload: bool) -> str:
    """Return why a body that no source reads is refused.

    Args:
        request: The request.
        kinds: The kinds of bodies that the scheme reads.
        is_upload: Whether the body has the type of an upload, which is refused only if it begins as JSON.
    """
    line, _, coding, _ = request.framing
    if is_upload:
        return f"the body is sent as {line!a:.80}, but begins as JSON does"
    if request.media.kind == "none":
        return "the body has no Content-Type; say what it is"
    if isinstance(line, list):
        return "there are two Content-Type headers; send one" if len(line) > 1 else _WITH_UNDERSCORE
    if coding is not None:
        return "the body has a Content-Encoding; send it uncompressed"
    return (
        f"the body is sent as {line!a:.80}, and the scheme's sources read {' and '.join(sorted(kinds))} bodies, in "
        "UTF-8: send one of these, or change the sources (add Form for forms, Json for JSON, or drop the sources in "
        "the body)"
    )
