"""The ways to send a string, and the choice of ways that one request can have together."""

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.paths import id_position, is_taken, is_within, segments_of, share_a_path
from hmac_guard.core.source import Field, Source, is_one

#: The fix that needs no other source, if there is one.
_ONE_TEXT = "give the same text for both"


class Way(NamedTuple):
    """A way to send a string.

    Attributes:
        field: The string.
        place: A single place.
        template: A template of a path; "" for any other place, and if a request has the string in its path already.
        text: The text, or None if it is not known.
    """

    field: Field
    place: Any
    template: str = ""
    text: str | None = None

    @property
    def segments(self) -> list[str]:
        return segments_of(self.template, self.field.name)


def ways_of(field: Field, places: Iterable[Any] | None = None, text: str | None = None) -> list[Way]:
    """Return the ways to send a string in its places, or in those that are given."""
    listed: Iterable[Any] = field.source.places() if places is None else places
    return [Way(field, place, each, text) for place in listed for each in (place.templates if place.shared else [""])]


def choose(owner: str, ways: Sequence[Sequence[Way]]) -> tuple[Way, ...]:
    """Return one way for each string, earlier ones first, so that a request can have all of them.

    Raises:
        ConfigError: No request can.
    """
    chosen = _fit(ways)
    if chosen is None:
        pairs = ([why_not_both(*both) for both in product(*two)] for two in combinations(ways, 2))
        labels = ", ".join(each[0].field.label for each in ways)
        general = f"no request can have each of {labels} in its places; give one of them another source"
        reasons = next(filter(all, pairs), [general])
        raise ConfigError(f"{owner}: {max(reasons, key=lambda reason: reason.endswith(_ONE_TEXT))}")
    return chosen


def _fit(ways: Sequence[Sequence[Way]]) -> tuple[Way, ...] | None:
    """Return one way for each string; None if no request can have them."""
    if not ways:
        return ()
    for way in ways[0]:
        left = [[other for other in each if not why_not_both(way, other)] for each in ways[1:]]
        rest = _fit(left) if all(left) else None
        if rest is not None:
            return (way, *rest)
        if left == ways[1:]:  # No other way of this string leaves more. Without this, the choice can take very long.
            return None
    return None


def why_not_both(one: Way, other: Way) -> str:
    """Return why no request has two strings in these ways; "" if one can."""
    if one.template and other.template and not share_a_path(one.segments, other.segments):
        return (
            f"no path has {one.field.label} as in {one.template!r} and {other.field.label} as in {other.template!r}; "
            "give both the same path"
        )
    if one.place.kinds and other.place.kinds and one.place.kinds != other.place.kinds:
        return "one body cannot be JSON and a form; give all ids sources of one kind"
    is_both = "the tenant" in (one.field.label, other.field.label) and is_shared(one, other)
    for way, read in ((one, other), (other, one)):
        if not is_both and (reason := why_not_in_one_segment(way, read)):
            return reason
        if _is_read_elsewhere(way, read):
            return (
                f"{way.place!r}, which has {way.field.label}, is a place of {read.field.label} too; give both the same "
                "source"
            )
    if is_both and one.text != other.text and None not in (one.text, other.text):
        return f"two different strings are sent in {one.place!r}; {_ONE_TEXT}"
    return ""


def why_not_in_one_segment(one: Way, other: Way) -> str:
    """Return why no path has a string in one way if it has another in the other way; "" if one can."""
    if one.template and other.template and is_taken(one.segments, other.segments):
        return (
            f"a path can match {one.template!r} and {other.template!r}, and where the one has {one.field.label}, the "
            f"other has {other.field.label} or a fixed text; use different segments"
        )
    return ""


def is_shared(one: Way, other: Way) -> bool:
    """Return whether one text of a request is both strings."""
    if one.place.shared or other.place.shared:
        both = one.template and other.template and share_a_path(one.segments, other.segments)
        return bool(both) and id_position(one.segments) == id_position(other.segments)
    return is_one(one.place.place(), other.place.place())


def is_tenant(field: Field, tenant: Field | None) -> bool:
    """Return whether a string can be in a place of the tenant."""
    return tenant is not None and any(is_shared(*both) for both in product(ways_of(field), ways_of(tenant)))


def _is_read_elsewhere(way: Way, other: Way) -> bool:
    """Return whether a request in the one way has the other string outside of its place, or not as it is there."""
    # While no text is known, one can be a part of the other: a client may send such a text by itself.
    is_any = way.text is None and other.text is None
    return any(
        _is_read(way, other.field, place)
        and not (place == other.place and (is_any or _is_sent_alike(way.place, place)))
        for place in other.field.source.places()
    )


def _is_read(way: Way, field: Field, place: Any) -> bool:
    """Return whether each request in a way has a text in a place of another string."""
    if place.shared:
        segments = way.segments if way.template else []
        return any(is_within(segments, segments_of(template, field.name)) for template in place.templates)
    return is_one(way.place.place(), place.place())


def _is_sent_alike(place: Source, other: Source) -> bool:
    # JSON is written in one way with and without `allow_int`. How paths and segments fit is known already.
    return place.place() == other.place() and vars(place).get("before") == vars(other).get("before")
