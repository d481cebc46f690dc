"""Why a guard cannot read a string: one sentence for each thing that it refuses.

The guard itself only says `malformed` or `duplicate`; here the same rules are gone through once more to name the spot.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from hmac_guard.core.bodies import NOWHERE, step_down
from hmac_guard.core.errors import Refused
from hmac_guard.core.field import Source
from hmac_guard.core.message import Id
from hmac_guard.core.paths import is_canonical
from hmac_guard.core.request import Request
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query
from hmac_guard.core.text import MAX_FIELDS, MAX_ID_BYTES, field_values, is_visible
from hmac_guard.core.verdict import Reason

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2}).{0,2}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufeff\ufffd\ud800-\udfff]")


def why_no_id(text: str) -> str:
    """Why a text that was read may not be an id; "" where it may."""
    if text != text.strip():
        return f"it has white space at an end ({_excerpt(text)}); send it without"
    odd = _CONTROL.search(text)
    if odd:
        return f"it has the character U+{ord(odd[0]):04X}, which no id may have"
    if len(text.encode()) > MAX_ID_BYTES:
        return f"it has {len(text.encode())} bytes; an id has at most {MAX_ID_BYTES}"
    return "" if text else "it is empty"


def why_ambiguous(part: Id, text: str) -> str:
    """Why an id may not be signed before the text that follows it in the message; "" where it may."""
    separator = part.separator
    if not separator or (text + separator).find(separator) == len(text):
        return ""
    return f"it holds {separator!a}, which separates it from the next id, so two sets of ids would sign alike"


def _excerpt(text: str) -> str:
    return f"{text!a}" if len(text) < 40 else f"{text[:18]!a}...{text[-18:]!a}"


def why_unreadable(place: Source, request: Request, reason: Reason) -> str:
    """Why a place of a request was refused for `reason`."""
    if reason is Reason.UNSUPPORTED_BODY or (place.kinds and request.media.kind == "unclear"):
        return why_no_body(request)
    match place:
        case Query():
            return _why_no_field(place.name, request.query)
        case Form() if request.media.kind == "form":
            return _why_no_form(place.name, request.body)
        case Form():
            return "the multipart body is not written strictly, or the field is a file; let a library write it"
        case Json():
            return _why_no_json(place, request.body)
        case Header():
            return _why_no_header(request.header(place.name.lower()))
        case Cookie():
            return "its value is quoted, has '%' or white space, or characters that no cookie may have"
        case Path():
            return _why_no_path(request.path)
        case _:
            return f"it is {reason.value}"


def why_no_body(request: Request) -> str:
    """Why the guard looks into no body of this kind."""
    types = request.header("content-type")
    if len(types) > 1:
        return "there are two Content-Type headers; send one"
    if request.header("content-encoding"):
        return f"the body is compressed ({request.header('content-encoding')[0]!a}); send it as it is"
    if not types:
        return "the body has no Content-Type; send application/json, or what it is"
    return f"the body is said to be {types[0]!a}; send plain application/json or a form, in UTF-8"


def _why_no_field(name: str, encoded: str) -> str:
    try:
        values = field_values(name, encoded)
    except Refused:
        return f"there are more than {MAX_FIELDS:,} fields"
    for value in values:
        if not is_visible(value):
            return "it has characters that are not percent-encoded; encode it as UTF-8"
        bad = _BAD_ESCAPE.search(value)
        if bad:
            return f"{bad[0]!r} is no percent-escape; write '%' as '%25'"
        try:
            unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            return "its percent-escapes are not UTF-8; encode the text as UTF-8 first"
    return "it cannot be read"


def _why_no_form(name: str, body: bytes) -> str:
    try:
        form = body.decode()
    except UnicodeDecodeError:
        return "the body is not UTF-8; percent-encode what is not ASCII, as UTF-8"
    if ";" in form and field_values(name, form.replace(";", "&")) != field_values(name, form):
        return "a ';' stands before the field; write it as '%3B'"
    return _why_no_field(name, form)


def _why_no_json(place: Json, body: bytes) -> str:
    try:
        document = _document(body)
    except (ValueError, RecursionError) as error:
        return f"the JSON body cannot be read: {error}"
    node = step_down(document, place.tokens())
    if node is NOWHERE or isinstance(node, str):
        return "the JSON body is nested deeper than 64 levels"
    return f"it is {_JSON_KINDS.get(type(node), 'no string')}; send it as a string, in quotes"


_JSON_KINDS = {int: "a number", float: "a number", bool: "true or false", list: "an array", dict: "an object"}


def _document(body: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ValueError(f"the key {_excerpt(name)} stands twice in one object")
            found[name] = value
        return found

    def no_constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is no JSON")

    def finite(text: str) -> float:
        if float(text) in (float("inf"), float("-inf")):
            raise ValueError(f"the number {text[:20]} is too large")
        return float(text)

    return json.loads(body.decode(), object_pairs_hook=unique, parse_float=finite, parse_constant=no_constant)


def _why_no_header(lines: Sequence[str]) -> str:
    if len(lines) > 1:
        return f"the header stands there {len(lines)} times; send it once"
    if "," in lines[0]:
        return "it has a comma, which joins two headers to one; take another place for such a value"
    return "it has characters that a header cannot carry (only visible ASCII, single spaces); take another place"


def _why_no_path(path: str) -> str:
    if "\ufffd" in path:
        return "the path is not UTF-8 where it is decoded"
    if not is_canonical(path):
        return "the path is not canonical: it has '//', '.', '..', a backslash, a control character or an encoded slash"
    return "no template matches the path"
