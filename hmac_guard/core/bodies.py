"""Media types, strict JSON and urlencoded forms. A body that frameworks could read in different ways is refused.

Rules: threats T031, T032, T034. The functions are pure and raise nothing: a body that cannot be read is a `Refused`.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, NoReturn

from hmac_guard.core.errors import NotJson
from hmac_guard.core.text import decode_field, field_values
from hmac_guard.core.verdict import Reason, Refused

MAX_DEPTH = 64
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"({TOKEN}/{TOKEN})((?:[ \t]*;[ \t]*{TOKEN}=(?:{TOKEN}|\"[^\"\\]*\"))*)")
_PARAMETER = re.compile(rf"({TOKEN})=(?:({TOKEN})|\"([^\"\\]*)\")")
UTF_8 = frozenset({"utf-8", "utf8"})
# RFC 2046 section 5.1.1, and the characters of a token (RFC 9110 section 5.6.2).
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?!#$%&*^`|~-]{1,70}")


@dataclass(frozen=True, slots=True)
class Media:
    """The media type of a body, from its Content-Type.

    Attributes:
        kind: "json", "form" or "multipart"; "ignored" for a type that no framework reads ids from, such as an image;
            "other" for any other type, "none" for no type, "unclear" for two types or one that cannot be read.
        readable: Whether a body of this kind can be read with these parameters.
        boundary: The boundary of a multipart body.
        charsets: The charsets that a framework may find in the parameters, in lower case.
    """

    kind: str
    readable: bool = True
    boundary: str = ""
    charsets: frozenset[str] = frozenset()


# Some applications read a body of any type, such as Starlette's `request.json()`. They would read an unverified body.
NO_MEDIA = Media("none", readable=False)
# Two Content-Type lines, or a line that is not valid: servers and frameworks use different parts of it.
_UNCLEAR = Media("unclear", readable=False)


def parse_media(line: str | list[str] | None) -> Media:
    """Return the media type of a request, from its Content-Type header. A list has several values."""
    if not line:
        return NO_MEDIA
    # The cache is for types that clients send.
    return _parse_media(line) if type(line) is str and len(line) <= 256 else _UNCLEAR


@lru_cache(maxsize=64)
def _parse_media(value: str) -> Media:
    if (match := _MEDIA_TYPE.fullmatch(value)) is None:
        return _UNCLEAR
    kind = _kind(match[1])
    parameters = [(name.lower(), token or quoted) for name, token, quoted in _PARAMETER.findall(match[2])]
    names = [name for name, _ in parameters]
    charsets = frozenset(value.lower() for name, value in parameters if name.startswith("charset"))  # Or `charset*`.
    if kind in ("other", "ignored"):
        return Media(kind, readable=False, charsets=charsets)
    readable = len(set(names)) == len(names) and charsets <= UTF_8
    if kind == "multipart":
        boundary = dict(parameters).get("boundary", "")
        readable = readable and set(names) <= {"boundary", "charset"} and bool(_BOUNDARY.fullmatch(boundary))
        return Media(kind, readable, boundary, charsets)
    return Media(kind, readable and set(names) <= {"charset"}, charsets=charsets)


def _kind(essence: str) -> str:
    # One framework accepts this type only in lower case. It accepts the other types in upper case, too.
    if essence == "multipart/form-data":
        return "multipart"
    essence = essence.lower()
    if essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json")):
        return "json"
    if essence == "application/x-www-form-urlencoded":
        return "form"
    if essence == "multipart/form-data":
        return "unclear"
    is_ignored = essence in _IGNORED_TYPES or essence.startswith(_IGNORED_GROUPS)
    return "ignored" if is_ignored and not essence.endswith(("+json", "+xml")) else "other"


# Uploads. No framework reads ids from these types by itself. From other types some frameworks do.
_IGNORED_GROUPS = ("image/", "audio/", "video/", "font/")
_IGNORED_TYPES = {
    *("application/octet-stream", "application/pdf", "text/csv", "application/zip", "application/gzip"),
    *("application/x-tar", "application/x-7z-compressed"),
}
# White space, NUL and the bytes of the byte order marks of UTF-8, UTF-16 and UTF-32.
_BEFORE_JSON = b" \t\n\r\x00\xef\xbb\xbf\xfe\xff"


def first_json_byte(start: bytes) -> bytes:
    """Return the first byte that would be part of a JSON document in any Unicode encoding; b"" if there is none."""
    return start.lstrip(_BEFORE_JSON)[:1]


def begins_as_json(start: bytes) -> bool:
    """Return whether a body that begins so is a JSON object or array in any Unicode encoding."""
    return first_json_byte(start) in (b"{", b"[")


#: The most digits that a length may have; no server counts further.
MAX_LENGTH_DIGITS = 18
TOO_LARGE = Refused(Reason.BODY_TOO_LARGE, "the body is larger than max_body")
_BAD_LENGTH = Refused(Reason.BAD_FRAMING, "the Content-Length is not one decimal number")
_TWO_FRAMINGS = Refused(Reason.BAD_FRAMING, "the request has a Content-Length and a Transfer-Encoding")


def read_length(length: str | list[str] | None, transfer_encoding: object) -> int | Refused | None:
    """Return the length of the body that a request states; None if it states none (threats T043, T047)."""
    if isinstance(length, str) and length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS:
        return int(length) if transfer_encoding is None else _TWO_FRAMINGS
    return _BAD_LENGTH if length else None


#: The white space of JSON (RFC 8259 section 2).
_SPACE = " \t\n\r"
_TOO_DEEP = Refused(Reason.MALFORMED, f"cannot be read: it is nested deeper than {MAX_DEPTH} levels")


def parse_json(body: bytes) -> Any:
    """Return the document: UTF-8 without a BOM, no key twice, finite numbers, at most 64 levels; or a `Refused`."""
    try:
        text = body.decode()
        # As `decode` does it, without its two regular expressions for white space.
        document, end = _scan(text, 0 if text[:1] == "{" else len(text) - len(text.lstrip(_SPACE)))
        if end < len(text) and text[end:].strip(_SPACE):
            return _decoder.decode(text)  # It raises: something follows the document.
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except RecursionError:
        return _TOO_DEEP
    except StopIteration as stop:
        why = str(json.JSONDecodeError("Expecting value", text, stop.value))
    except (json.JSONDecodeError, NotJson) as error:
        why = str(error)  # The parser's own text names a position and shows nothing of the body.
    except ValueError:
        why = "a number has too many digits"
    else:
        # A document with so few brackets cannot be deeper; most need no closer look.
        has_inner = "[" in text or text.find("{", 1) > 0
        too_deep = has_inner and text.count("[") + text.count("{") > MAX_DEPTH and _depth(body) > MAX_DEPTH
        return _TOO_DEEP if too_deep else document
    return Refused(Reason.MALFORMED, f"cannot be read: {why}")


# In C throughout: a look at each character or node in Python takes longer than to parse them.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEP = bytes(set(range(256)).difference(b"[{]}"))


def _depth(body: bytes) -> int:
    """Return how deeply arrays and objects are nested in a body that is JSON."""
    without_escapes = body.replace(rb"\\", b"").replace(rb"\"", b"")
    outside_of_strings = b"".join(without_escapes.split(b'"')[::2])
    steps = memoryview(outside_of_strings.translate(_STEPS, _NO_STEP)).cast("b")
    return max(accumulate(steps), default=0)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A call of `dict` is most of what an empty object costs.
    unique = dict(pairs) if pairs else {}
    if len(unique) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        # Error trackers record local variables where an exception is raised, and these may hold a signature.
        pairs.clear()
        del unique
        raise NotJson(f"the key {twice[:40]!a} is there twice in one object")
    return unique


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJson(f"the number {text[:20]} is too large")
    return number


def _no_constant(text: str) -> NoReturn:
    raise NotJson(f"{text} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # the type stubs leave it out

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
NOWHERE = object()
_MAX_INT = 2**53 - 1


def step_down(node: Any, tokens: list[str]) -> Any:
    """Return the value at an RFC 6901 pointer in a document."""
    for token in tokens:
        if type(node) is dict and token in node:
            node = node[token]
        elif type(node) is list and _INDEX.fullmatch(token) and int(token) < len(node):
            node = node[int(token)]
        else:
            return NOWHERE
    return node


def json_text(node: Any, *, allow_int: bool) -> str | Refused | None:
    """Return the text of the value at a pointer; None if there is none. `null` counts as blank."""
    if node is NOWHERE:
        return None
    if isinstance(node, str):
        return node
    if node is None:
        return ""
    if allow_int and type(node) is int and abs(node) <= _MAX_INT:
        return str(node)
    kind = _JSON_KINDS.get(type(node), "another value")
    return Refused(Reason.MALFORMED, f"is {kind}; send it as a string, in quotes")


_JSON_KINDS = {int: "a number", float: "a number", bool: "true or false", list: "an array", dict: "an object"}
_NO_UTF_8_FORM = Refused(Reason.MALFORMED, "cannot be read: the form has bytes that are not UTF-8")
_SEMICOLON = Refused(
    Reason.MALFORMED, "is after a raw ';' in the form, where some frameworks split it; write it as '%3B'"
)


def parse_form(body: bytes) -> str | Refused:
    """Return the text of an urlencoded body. One framework drops a form with a raw byte that is not UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _NO_UTF_8_FORM


def form_values(name: str, form: str) -> list[str | Refused] | Refused:
    """Return all values of the field `name`. A name also counts after a raw `;`, where old python-multipart splits."""
    values = field_values(name, form)
    if isinstance(values, Refused):
        return values
    if ";" in form and field_values(name, form.replace(";", "&")) != values:
        return _SEMICOLON
    return [decode_field(value) for value in values]
