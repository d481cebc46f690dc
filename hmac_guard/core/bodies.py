"""Media types, strict JSON and urlencoded forms: read in the one way in which every framework reads them, or refused.

Rules: threats T031, T032, T034. All functions are pure; they raise `Refused` and nothing else.
"""

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

from hmac_guard.core.errors import Refused
from hmac_guard.core.text import decode_field, field_values
from hmac_guard.core.verdict import Reason

MAX_DEPTH = 64
_JSON_SPACE = " \t\n\r"

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"({TOKEN}/{TOKEN})((?:[ \t]*;[ \t]*{TOKEN}=(?:{TOKEN}|\"[^\"\\]*\"))*)")
_PARAMETER = re.compile(rf"({TOKEN})=(?:({TOKEN})|\"([^\"\\]*)\")")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")


class Media(NamedTuple):
    """What a Content-Type says: `kind` is json, form, multipart, other, none, or unclear."""

    kind: str
    readable: bool = True
    boundary: str = ""


# Whoever reads a body whatever its type, as Starlette's `request.json()` does, would read one that nobody looked at.
NO_MEDIA = Media("none", readable=False)
_OTHER = Media("other")
# Two Content-Type lines, or one that no grammar covers: servers and frameworks pick different halves.
_UNCLEAR = Media("unclear", readable=False)


def parse_media(values: Sequence[str]) -> Media:
    """The media type of a request, from all its Content-Type values."""
    if len(values) > 1:
        return _UNCLEAR
    if not values or not values[0]:
        return NO_MEDIA
    # What no client sends is not worth a place in the cache.
    return _parse_media(values[0]) if len(values[0]) <= 256 else _UNCLEAR


@lru_cache(maxsize=64)
def _parse_media(value: str) -> Media:
    match = _MEDIA_TYPE.fullmatch(value)
    if match is None:
        return _UNCLEAR
    kind = _kind(match[1])
    if kind == "other":
        return _OTHER
    parameters = [(name.lower(), token or quoted) for name, token, quoted in _PARAMETER.findall(match[2])]
    names = [name for name, _ in parameters]
    charsets = [value.lower() for name, value in parameters if name == "charset"]
    boundaries = [value for name, value in parameters if name == "boundary"]
    readable = len(set(names)) == len(names) and not set(charsets) - {"utf-8", "utf8"}
    if kind == "multipart":
        readable = readable and set(names) <= {"boundary", "charset"} and len(boundaries) == 1
        return Media(kind, readable and bool(_BOUNDARY.fullmatch(boundaries[0])), boundaries[0] if boundaries else "")
    return Media(kind, readable and set(names) <= {"charset"})


def _kind(essence: str) -> str:
    # Of multipart, and of it alone, one framework knows no other spelling than lower case.
    if essence == "multipart/form-data":
        return "multipart"
    essence = essence.lower()
    if essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json")):
        return "json"
    if essence == "application/x-www-form-urlencoded":
        return "form"
    return "other" if essence != "multipart/form-data" else "unclear"


def parse_json(body: bytes) -> Any:
    """The document in a body: UTF-8 without a BOM, no key twice in an object, finite numbers, at most 64 levels."""
    try:
        text = body.decode().strip(_JSON_SPACE)
        document, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        raise Refused(Reason.MALFORMED) from None
    if end != len(text):
        raise Refused(Reason.MALFORMED)
    # A document with so few brackets cannot be deeper; most need no closer look.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise Refused(Reason.MALFORMED)
    return document


# In C throughout: a look at each character or node in Python takes longer than to parse them.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEP = bytes(set(range(256)).difference(b"[{]}"))


def _depth(body: bytes) -> int:
    """How many arrays and objects stand within each other in a body that is JSON."""
    without_escapes = body.replace(rb"\\", b"").replace(rb"\"", b"")
    outside_of_strings = b"".join(without_escapes.split(b'"')[::2])
    steps = memoryview(outside_of_strings.translate(_STEPS, _NO_STEP)).cast("b")
    return max(accumulate(steps), default=0)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A call of `dict` is most of what an empty object costs.
    unique = dict(pairs) if pairs else {}
    if len(unique) != len(pairs):
        raise ValueError
    return unique


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError
    return number


def _no_constant(_: str) -> NoReturn:
    raise ValueError


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
NOWHERE = object()


def step_down(node: Any, tokens: list[str]) -> Any:
    """What stands in a document under an RFC 6901 pointer."""
    for token in tokens:
        if isinstance(node, dict) and token in node:
            node = node[token]
        elif isinstance(node, list) and _INDEX.fullmatch(token) and int(token) < len(node):
            node = node[int(token)]
        else:
            return NOWHERE
    return node


def parse_form(body: bytes) -> str:
    """The text of an urlencoded body. One raw byte that is not UTF-8 makes one framework lose the whole form."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED) from None


def form_values(name: str, form: str) -> list[str]:
    """Every value of the field `name`. Old python-multipart splits at a raw `;` too, so a name counts behind one."""
    values = field_values(name, form)
    if ";" in form and field_values(name, form.replace(";", "&")) != values:
        raise Refused(Reason.MALFORMED)
    return [decode_field(value) for value in values]
