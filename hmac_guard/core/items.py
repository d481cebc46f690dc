"""Headers that hold several items, `t=1700000000,v1=…,v1=…`, and what is in them. Pure; raises nothing."""

from collections.abc import Collection, Mapping

from hmac_guard.core.found import Found, only
from hmac_guard.core.sources import HEADER_VALUE
from hmac_guard.core.text import is_visible
from hmac_guard.core.verdict import Reason, Refused

MAX_ITEMS = 32
#: The most items with the key: each costs a comparison with each key.
MAX_WITH_KEY = 8

_TWO_LINES = Refused(
    Reason.DUPLICATE, "has a comma where no item has one, with which servers join two lines; send one line"
)
_ODD = Refused(Reason.MALFORMED, "is not visible ASCII with single spaces inside")
_NOT_AN_ITEM = Refused(
    Reason.MALFORMED, "has an item that is empty, has no separator inside, or has white space at an end"
)
_TOO_MANY = Refused(
    Reason.MALFORMED, f"has more than {MAX_ITEMS} items, or more than {MAX_WITH_KEY} with the key that counts"
)


def item_values(
    line: str | list[str], between: str, inner: str, keys: Collection[str]
) -> Mapping[str, list[str]] | Refused:
    """The values of the items with each of the `keys`, blank ones too, in a header's value; a list holds several lines.

    `between` separates two items, and `inner` a key from its value. Several lines count as one joined by a comma, as
    WSGI has them. Where a comma does not separate the items, none may stand in the value but as the inner separator.
    """
    if isinstance(line, list):
        if between != ",":
            return _TWO_LINES
        line = ",".join(line)
    items = line.split(between)
    if between != "," and "," in line and (inner != "," or any(item.count(",") > 1 for item in items)):
        return _TWO_LINES
    if not is_visible(line) and not HEADER_VALUE.fullmatch(line):
        return _ODD
    if len(items) > MAX_ITEMS:
        return _TOO_MANY
    found: dict[str, list[str]] = {}
    for item in items:
        key, separator, value = item.partition(inner)
        if not separator or item[0] == " " or item[-1] == " ":
            return _NOT_AN_ITEM
        if key in keys:
            found.setdefault(key, []).append(value)
    return found


def one_of(values: list[str], *, is_signature: bool) -> Found:
    """What is in a place whose key several items have. Several signatures may be there, of which any may verify."""
    if len(values) > MAX_WITH_KEY:
        return _TOO_MANY
    return (list(filter(None, values)) or "") if is_signature else only(values)
