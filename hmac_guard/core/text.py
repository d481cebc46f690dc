"""The rule for ids, the decoding of `name=value&…` text, and the escapes of text that is shown.

Fields arrive as text with one character for each byte (latin-1), as in WSGI. Rules: threats T003 to T007, T025, T026,
T037.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from hmac_guard.core.verdict import Reason, Refused

MAX_ID_BYTES = 1024
# Django and Starlette read at most a thousand. Beyond this, some frameworks refuse a request and others read it.
MAX_FIELDS = 1000

#: Makes a NUL of each byte that is not visible ASCII: much quicker than a look at each character.
VISIBLE = bytes(byte if 0x21 <= byte <= 0x7E else 0 for byte in range(256))
_NOT_IN_AN_ID = re.compile("[\x00-\x1f\x7f-\x9f\ufeff\ufffd\ud800-\udfff]")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2}).{0,2}")


def is_id(text: str) -> bool:
    """Return whether `text` is valid as an id.

    An id has 1 to 1,024 bytes of UTF-8, no control character, U+FFFD, U+FEFF or surrogate, and no white space at either
    end.
    """
    if text.isascii():
        return text.isprintable() and 0 < len(text) <= MAX_ID_BYTES and text[0] != " " != text[-1]
    return _NOT_IN_AN_ID.search(text) is None and text == text.strip() and len(text.encode()) <= MAX_ID_BYTES


def id_problem(text: str) -> str:
    """Return what is wrong with a text that is not empty and not valid as an id, in one clause; "" if it is valid."""
    if text != text.strip():
        return "starts or ends with white space; remove it"
    odd = _NOT_IN_AN_ID.search(text)
    if odd:
        return f"has the character U+{ord(odd[0]):04X}, which no id may have"
    size = len(text.encode())
    return f"has {size:,} bytes, and an id has at most {MAX_ID_BYTES:,}" if size > MAX_ID_BYTES else ""


def is_visible(text: str) -> bool:
    """Return whether `text` is only visible ASCII (0x21 to 0x7E)."""
    return text.isascii() and 0 not in text.encode().translate(VISIBLE)


def escaped(text: str) -> str:
    """Return the text with an escape for each character that is not printable: some change a terminal or a page."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def escaped_lines(text: str) -> str:
    """Return the text with the escapes of `escaped`, except for its line ends."""
    return "\n".join(map(escaped, text.split("\n")))


TOO_MANY_FIELDS = Refused(Reason.MALFORMED, f"cannot be read: there are more than {MAX_FIELDS:,} fields")
_NOT_ENCODED = Refused(Reason.MALFORMED, "has characters that are not percent-encoded; encode them as UTF-8")
_NOT_UTF_8 = Refused(Reason.MALFORMED, "has percent-escapes that are not UTF-8; encode the text as UTF-8 first")


def is_named(key: str, name: str) -> bool:
    """Return whether `key`, still encoded, is the field `name`. To every framework `%61=1` is `a=1`."""
    # An escape takes three characters, so a longer key is another name. A key with `+`, a space, is another name too.
    return key == name or ("%" in key and len(key) <= 3 * len(name) and unquote_to_bytes(key) == name.encode())


def slot_of_encoded(key: str, slots: Mapping[str, int]) -> int | None:
    """Return the slot of the field that `key`, still encoded, names. None if it is another field."""
    return next((slot for name, slot in slots.items() if is_named(key, name)), None)


def field_values(name: str, encoded: str) -> list[str] | Refused:
    """Return the values, still encoded, of every field `name` in a form. Other values are not looked at."""
    fields = encoded.split("&")
    if len(fields) > MAX_FIELDS:
        return TOO_MANY_FIELDS
    pairs = (field.partition("=") for field in fields)
    return [value for key, _, value in pairs if is_named(key, name)]


def decode_field(value: str) -> str | Refused:
    """Return the text of one encoded value: visible ASCII, whole escapes, strict UTF-8, `+` as space, decoded once."""
    if not is_visible(value):
        return _NOT_ENCODED
    if "+" in value:
        value = value.replace("+", " ")
    if "%" not in value:
        return value
    bad = _BAD_ESCAPE.search(value)
    if bad:
        return Refused(Reason.MALFORMED, f"has {bad[0]!a}, which is not a percent-escape; write '%' as '%25'")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return _NOT_UTF_8
