"""The value that was found in one place of a request."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from hmac_guard.core.bodies import UTF_8, json_text, parse_media, step_down
from hmac_guard.core.request import Request
from hmac_guard.core.sources import HEADER_VALUE
from hmac_guard.core.text import decode_field, is_visible
from hmac_guard.core.verdict import Reason, Refused

#: The text in one place, or the reason why there is none. A list has several signatures; any of them may verify.
Found = str | Refused | list[str] | None
#: The value in one place, as it was sent; a list if the place occurs more than once.
Sent = Found

_TWICE = Refused(Reason.DUPLICATE, "is there more than once; send it once")
_COMMA = Refused(Reason.DUPLICATE, "has a comma, with which servers join two lines into one; use another place for it")
_ODD_HEADER = Refused(Reason.MALFORMED, "is not visible ASCII with single spaces inside; use another place for it")

#: A query that has no other id in any charset: ASCII without the characters that begin an escape in UTF-7 (`+`),
#: `unicode_escape`, HZ (`~`) or punycode (`-`). In some charsets it has no id.
_SAME_IN_ALL = re.compile(r"[!-$&-*,.-\[\]-}]*")
#: Charsets that decode ASCII as UTF-8 does, and no other byte as ASCII.
_LIKE_ASCII = re.compile(r"us-ascii|iso-8859-\d{1,2}|windows-125\d")
_NOT_ASCII = re.compile("[^\0-\x7f]|%[89a-f]", re.IGNORECASE)
_ODD_CHARSET = Refused(
    Reason.MALFORMED,
    "cannot be read: Django decodes a query with the charset of the Content-Type; send charset=utf-8, or no charset",
)


def charset_problem(request: Request, values: Iterable[Sent]) -> Refused | None:
    """Return why Django on WSGI may read the query differently, or None. In UTF-7, for one, `+ACY-` is an `&`.

    `WSGIRequest.GET` decodes the query with the charset of the Content-Type, before it splits it. Django also finds a
    charset in a line that is not valid.

    Args:
        request: The request.
        values: What the query has for the scheme, as it was sent.
    """
    line = request.framing[0] if request.framing else request.header("content-type")
    if line is None:
        return None
    media = parse_media(line)
    is_unclear = media.kind == "unclear" and "charset" in str(line).lower()
    if (media.charsets <= UTF_8 and not is_unclear) or _SAME_IN_ALL.fullmatch(request.query):
        return None
    is_ascii = not any(_NOT_ASCII.search(value) for value in values if isinstance(value, str))
    is_same = is_ascii and not is_unclear and all(map(_LIKE_ASCII.fullmatch, media.charsets - UTF_8))
    return None if is_same else _ODD_CHARSET


def check_charset(request: Request, slots: Collection[int], found: list[Any]) -> None:
    """Refuse what a query has in these slots, if a framework may decode it in another way."""
    refused = charset_problem(request, map(found.__getitem__, slots)) if slots else None
    if refused is not None:
        for slot in slots:
            found[slot] = refused


def only(values: Sequence[Found] | Refused) -> Found:
    """Return the only one of the values in a place; a `Refused` if there are several."""
    if isinstance(values, Refused):
        return values
    if len(values) == 1:
        return values[0]
    refused = next((value for value in values if isinstance(value, Refused)), None)
    return _TWICE if refused is None and values else refused


def in_query(sent: str | Refused | list[str]) -> Found:
    """Return the text of a query parameter."""
    if isinstance(sent, str):
        return decode_field(sent)
    if isinstance(sent, Refused):
        return sent
    return next((text for text in map(decode_field, reversed(sent)) if isinstance(text, Refused)), _TWICE)


def in_header(line: str | list[str]) -> Found:
    """Return the text of a header."""
    if not isinstance(line, str):
        return _TWICE
    if "," in line:
        return _COMMA
    if not is_visible(line) and line and not HEADER_VALUE.fullmatch(line):
        return _ODD_HEADER
    return line


def text_at(document: Any, tokens: list[str], allow_int: bool) -> str | Refused | None:
    """Return the text at a pointer in a document. A document that cannot be read is a `Refused`."""
    return document if isinstance(document, Refused) else json_text(step_down(document, tokens), allow_int=allow_int)
