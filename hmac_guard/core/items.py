"""Headers that hold several items, `t=1700000000,v1=…,v1=…`, and what is in them. Pure; raises nothing."""

from hmac_guard.core.sources import HEADER_VALUE, HeaderItem
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


def item_values(line: str | list[str], place: HeaderItem) -> list[str] | Refused:
    """The values of the items with the key of `place`, blank ones too, in a header's value; a list holds several lines.

    Several lines count as one joined by a comma, as WSGI has them. Where a comma does not separate the items, none may
    stand in the value but as the inner separator.
    """
    key, between, inner = place.key, place.between, place.inner
    if isinstance(line, list):
        if between != ",":
            return _TWO_LINES
        line = ",".join(line)
    items = line.split(between)
    if between != "," and "," in line and (inner != "," or any(item.count(",") > 1 for item in items)):
        return _TWO_LINES
    if not HEADER_VALUE.fullmatch(line):
        # An empty header has an item that is empty.
        return _ODD if line else _NOT_AN_ITEM
    if len(items) > MAX_ITEMS:
        return _TOO_MANY
    values = []
    for item in items:
        name, separator, value = item.partition(inner)
        if not separator or item != item.strip(" "):
            return _NOT_AN_ITEM
        if name == key:
            values.append(value)
    return values if len(values) <= MAX_WITH_KEY else _TOO_MANY
