"""The value that was found in one place of a request."""

from collections.abc import Sequence

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
