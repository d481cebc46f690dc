"""What an id may be, and how one is read out of `name=value&…` text.

Fields arrive as text in which each character stands for one byte (latin-1), as WSGI has it. Rules: threats T003 to
T007, T025, T026, T037.
"""

import re
from urllib.parse import unquote_to_bytes

from hmac_guard.core.errors import Refused
from hmac_guard.core.verdict import Reason

MAX_ID_BYTES = 1024
# Django and Starlette stop at a thousand; beyond it one framework refuses what another one reads.
MAX_FIELDS = 1000

# Taken out of a text, they leave what is not visible: much quicker than a look at each character.
_VISIBLE = bytes(range(0x21, 0x7F))
_NOT_IN_AN_ID = re.compile("[\x00-\x1f\x7f-\x9f\ufeff\ufffd\ud800-\udfff]")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def is_id(text: str) -> bool:
    """Whether `text` may be an id: 1 to 1,024 bytes of UTF-8, no control character, U+FFFD, U+FEFF or surrogate, no
    white space at either end."""
    if text.isascii():
        return text.isprintable() and 0 < len(text) <= MAX_ID_BYTES and text[0] != " " != text[-1]
    return _NOT_IN_AN_ID.search(text) is None and text == text.strip() and len(text.encode()) <= MAX_ID_BYTES


def is_visible(text: str) -> bool:
    """Whether `text` is visible ASCII (0x21 to 0x7E) throughout."""
    return text.isascii() and not text.encode().translate(None, _VISIBLE)


def field_values(name: str, encoded: str) -> list[str]:
    """The values, still encoded, of every field called `name` in a query or a form.

    Names are compared decoded, since `%61=1` is `a=1` to every framework. Whatever other fields hold is the
    application's business.
    """
    fields = encoded.split("&")
    if len(fields) > MAX_FIELDS:
        raise Refused(Reason.MALFORMED)
    values = []
    for field in fields:
        key, _, value = field.partition("=")
        # An escape takes three characters, so that a longer name cannot be ours; nor can one with `+`, a space.
        if key == name or ("%" in key and len(key) <= 3 * len(name) and unquote_to_bytes(key) == name.encode()):
            values.append(value)
    return values


def decode_field(value: str) -> str:
    """The text of one encoded value: visible ASCII, whole escapes, strict UTF-8, `+` as space, decoded once."""
    if not is_visible(value) or _BAD_ESCAPE.search(value):
        raise Refused(Reason.MALFORMED)
    if "+" in value:
        value = value.replace("+", " ")
    if "%" not in value:
        return value
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED) from None
