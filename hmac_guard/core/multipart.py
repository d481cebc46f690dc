"""Strict multipart: the format on which frameworks disagree most (threats T033)."""

import re
from typing import NamedTuple

from hmac_guard.core.bodies import TOKEN
from hmac_guard.core.text import MAX_FIELDS
from hmac_guard.core.verdict import Reason, Refused


class Part(NamedTuple):
    """One part of a multipart body.

    `is_text` is false for files, for anything but plain UTF-8 text, and for a text that a framework reads differently.
    """

    name: str
    is_text: bool
    content: bytes


_PART_HEADERS = re.compile(rf"(?:{TOKEN}:[^\r\n\x00]*\r\n)+")
# One framework knows a part's header by ": ", colon and space. .NET sends a file's name in both forms.
_DISPOSITION = re.compile(
    rf" form-data; ?name=(?:\"([^\"\\\r\n]*)\"|({TOKEN}))"
    rf"(; ?filename=(?:\"[^\"\\\r\n]*\"|{TOKEN})(?:; ?filename\*=utf-8''[0-9A-Za-z!#$&+.^_`|~%-]+)?)?"
)
_PLAIN_TRANSFER = frozenset({"7bit", "8bit", "binary"})
# One framework accepts the type only in lower case. Apache's HttpClient declares Latin-1 by default. ASCII bytes mean
# the same in it.
_PLAIN_TEXT = re.compile(r"text/plain(?i:; ?charset=\"?(?:utf-8|(us-ascii|iso-8859-1))\"?)?")


_BLANK = (b"", b"\r\n", b"\r\n\r\n")
_ENDS = tuple(b"--" + blank for blank in _BLANK)
_NOT_STRICT = Refused(Reason.MALFORMED, "cannot be read: the multipart body does not follow the strict format")
NOT_A_TEXT = Refused(
    Reason.MALFORMED,
    "is a file, or not plain text in UTF-8, in the multipart body; or it is the last part, and Flask reads it wrong "
    "because of the length of the body: send it as the first part",
)
#: Flask reads a body in pieces of so many bytes.
_PIECE = 65_536


def parse_multipart(boundary: str, body: bytes) -> list[Part] | Refused:
    """Return the parts of a multipart body. Its delimiter must be only where a part begins or ends."""
    pieces = body.split(b"--" + boundary.encode())
    # Test clients write blank lines around the parts, which every framework skips. An empty form has no parts.
    if len(pieces) < 2 or len(pieces) > MAX_FIELDS + 2 or pieces[0] not in _BLANK or pieces[-1] not in _ENDS:
        return _NOT_STRICT
    parts = [_parse_part(piece) for piece in pieces[1:-1]]
    if parts and parts[-1] and (len(body) - len(pieces[-1]) + 1) % _PIECE == 0:
        # A piece ends between the two "-" at the end. Werkzeug 3.1 then adds a CR to the last text.
        parts[-1] = parts[-1]._replace(is_text=False)
    return _NOT_STRICT if None in parts else [part for part in parts if part]


def _parse_part(piece: bytes) -> Part | None:
    head, blank, content = piece.partition(b"\r\n\r\n")
    try:
        text = head.decode() + "\r\n"
    except UnicodeDecodeError:
        # One framework loses the whole form over such a header, whichever part it is in.
        return None
    if (
        not blank
        or not content.endswith(b"\r\n")
        or not text.startswith("\r\n")
        or not _PART_HEADERS.fullmatch(text, 2)
    ):
        return None
    lines = [line.partition(":") for line in text[2:-2].split("\r\n")]
    headers = {name.lower(): value for name, _, value in lines}
    disposition = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    transfer = headers.get("content-transfer-encoding", "binary").strip(" \t").lower()
    if disposition is None or len(headers) != len(lines) or transfer not in _PLAIN_TRANSFER:
        return None
    name = disposition[1] if disposition[2] is None else disposition[2]
    content_type = headers.get("content-type", "text/plain").strip(" \t")
    plain = _PLAIN_TEXT.fullmatch(content_type)
    is_text = disposition[3] is None and plain is not None and (plain[1] is None or content.isascii())
    return Part(name, is_text, content[:-2])


def multipart_values(name: str, parts: list[Part]) -> list[str] | Refused:
    """Return all values of the field `name`."""
    values = []
    for part in parts:
        # One framework strips the name; some read a file as a field; one lets a `_charset_` part decode the others.
        if part.name == "_charset_" or (part.name.strip() == name and not (part.is_text and part.name == name)):
            return NOT_A_TEXT
        if part.name == name:
            values.append(part.content)
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        return NOT_A_TEXT
