"""Headers with several items, such as `t=1700000000,v1=…,v1=…`. Pure; raises nothing."""

from collections.abc import Collection
from typing import Any

from hmac_guard.core.found import Found, Sent, only
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
    Reason.MALFORMED, "has an item that is empty, has no separator inside, or starts or ends with white space"
)
_TOO_MANY = Refused(
    Reason.MALFORMED, f"has more than {MAX_ITEMS} items, or more than {MAX_WITH_KEY} with the key that counts"
)


def item_values(
    line: str | list[str], between: str, inner: str, keys: Collection[str]
) -> dict[str, str | list[str]] | Refused:
    """Return the value of the item with each of the `keys`, a blank one too; a list if there are several items.

    Several lines count as one joined by a comma, because WSGI joins them. If the items are not separated by a comma,
    the header may contain one only as the inner separator.

    Args:
        line: The header's value; a list if there are several lines.
        between: The character between two items.
        inner: The character between a key and its value.
        keys: The keys.
    """
    if not isinstance(line, str):
        if between != ",":
            return _TWO_LINES
        line = ",".join(line)
    items = line.split(between) if between in line else [line]
    if between != "," and line.count(",") > (len(items) if inner == "," else 0):
        return _TWO_LINES
    if not is_visible(line) and not HEADER_VALUE.fullmatch(line):
        return _ODD
    if len(items) > MAX_ITEMS:
        return _TOO_MANY
    found: dict[str, Any] = {}
    for item in items:
        key, separator, value = item.partition(inner)
        if not separator or item[0] == " " or item[-1] == " ":
            return _NOT_AN_ITEM
        if key in keys:
            if key not in found:
                found[key] = value
            else:
                found[key] = [*found[key], value] if isinstance(found[key], list) else [found[key], value]
    return found


def one_of(values: Sent, *, is_signature: bool) -> Found:
    """Return what is in a place. Several signatures may be there, of which any may verify."""
    if not isinstance(values, list):
        return values
    if len(values) > MAX_WITH_KEY:
        return _TOO_MANY
    return (list(filter(None, values)) or "") if is_signature else only(values)
