"""What a guard reads of a request: raw values, each adapter's own request made into one form.

A guard keeps the request beside its verdict, so that a second look at the same request finds that it is the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from hmac_guard.core.bodies import Media
from hmac_guard.core.verdict import Refused

#: The headers that say how a body is framed and what it is.
BODY_HEADERS = ("content-type", "content-length", "content-encoding", "transfer-encoding")

#: A header's value: None where there is no line, a list where there are several. One character stands for one byte.
Line = str | list[str] | None


class Request(ABC):
    """One request.

    method        as sent
    root          the mount point that the server gives (`SCRIPT_NAME`, `root_path`)
    path          the application's own path, decoded once; U+FFFD where the bytes were not UTF-8
    query         as sent, one character for each byte
    lines         the values of the headers in which the scheme looks (`Reader.names`), in that order
    framing       the values of BODY_HEADERS, in that order; empty where the guard reads no body
    media         what the body is by that said to be; only where the guard reads the body
    body          the bytes, once they have been read to their end; None where they were not
    body_problem  why the body could not be read, or None
    form          the fields of a form that a framework has parsed, the value None for a file; None where there is none
    stream        the object from which the application reads the body: `wsgi.input`, or `receive`
    is_gone       whether the client has closed the connection before its body was read
    source        where further headers are: the scope or the environ; None once there is a verdict
    signature     what is to prove the ids, once the reader has found it; several of which any may
    ahead         what was read before the body was, for a scheme that signs the body
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
    form: Sequence[tuple[str, str | None]] | None = None
    stream: Any = None
    is_gone: bool = False
    source: Any = None
    signature: bytes | tuple[bytes, ...] = b""
    ahead: Any = None

    @abstractmethod
    def header(self, name: str) -> Line:
        """The header `name` (lower case, with `-`) under any spelling."""

    def is_spelled(self, name: str) -> bool:
        """Whether the header `name` has its own spelling, as far as the server lets that be seen."""
        return True

    def is_same_as(self, other: "Request") -> bool:
        """Whether the other request says the same, its body left out.

        An inner layer may have moved a part of the path into the mount point, or have set a mount point by itself.
        """
        if (self.method, self.query, self.lines) != (other.method, other.query, other.lines):
            return False
        if self.framing and (self.framing[0], self.framing[2]) != (other.framing[0], other.framing[2]):
            return False
        return self.path == other.path or self.root.rstrip("/") + self.path == other.root.rstrip("/") + other.path

    def paths(self) -> Sequence[str]:
        """Every path that a framework may take for this request's; one where all of them agree."""
        return (self.path,)

    def id_paths(self) -> Sequence[str]:
        """The same, for the ids in a path: a `/` at the end of the mount point does not count."""
        return self.paths()

    def __repr__(self) -> str:
        # The query, the headers and the body may hold a signature.
        return f"<{type(self).__name__} {self.method} {self.path!a}>"


def is_preflight(request: Request) -> bool:
    """A CORS preflight in exactly the form in which a browser sends it (the Fetch standard, "CORS-preflight fetch")."""
    for name in ("origin", "access-control-request-method"):
        line = request.header(name)
        if not isinstance(line, str) or not line.strip() or "," in line or not request.is_spelled(name):
            return False
    if any(request.header(name) is not None for name in ("cookie", "authorization", "transfer-encoding")):
        return False
    return request.header("content-length") in (None, "", "0")


def why_not_read(request: Request, kinds: frozenset[str], is_upload: bool) -> str:
    """Why a body is refused that no source reads: the scheme reads `kinds` of bodies, and uploads may pass."""
    line, _, coding, _ = request.framing
    if is_upload:
        return f"the body is sent as {line!a:.80}, but begins as JSON does"
    if request.media.kind == "none":
        return "the body has no Content-Type; say what it is"
    if isinstance(line, list):
        return "there are two Content-Type headers; send one"
    if coding is not None:
        return "the body has a Content-Encoding; send it uncompressed"
    return (
        f"the body is sent as {line!a:.80}, and the scheme's sources read {' and '.join(sorted(kinds))} bodies, in "
        "UTF-8: send one of these, or change the sources (add Form for forms, Json for JSON, or drop the sources in "
        "the body)"
    )
