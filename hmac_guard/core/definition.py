"""Checks the definition of a scheme: a request can be sent for it, and each one that is signed by it is accepted."""

import hashlib
import string
from collections.abc import Sequence
from itertools import combinations, permutations, product
from typing import TYPE_CHECKING, Any, NamedTuple

from hmac_guard.core.encodings import characters_of
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import fields_of, is_path, odd_character
from hmac_guard.core.paths import is_taken, segments_of, share_a_path
from hmac_guard.core.source import Field
from hmac_guard.core.sources import SOURCES, Header, HeaderItem, Json

if TYPE_CHECKING:
    from hmac_guard.core.scheme import Scheme

#: A path with an escaped slash or backslash is not canonical.
_ESCAPES = ["%2f", "%2F", "%5c", "%5C"]


class _Way(NamedTuple):
    """A way to send a string: a place, and for a path one of its templates."""

    field: Field
    place: Any
    template: str

    @property
    def segments(self) -> list[str]:
        return segments_of(self.template, self.field.name)


def check_definition(scheme: "Scheme") -> None:
    """Raise `ConfigError` if a string of a scheme cannot be read from its source, or cannot always be sent there."""
    fields, times = fields_of(scheme), [time.field for time in scheme.times]
    for field in fields:
        field.source.check(field.name)
        for place in field.source.places():
            if type(place) not in SOURCES:
                raise ConfigError(
                    f"Scheme: {type(place).__name__} is not a source that the guard can read; give Query, Header, "
                    "Cookie, Path, Json or Form"
                )
    characters = characters_of(scheme.encoding, hashlib.new(scheme.algorithm).digest_size)
    _check_carried(scheme.signature_field, scheme.prefix, characters, "source, encoding or prefix")
    for field in times:
        _check_carried(field, "", string.digits, "source")
    ways = [_ways(field) for field in fields]
    every = [way for each in ways for way in each]
    _check_items([way.place for way in every if isinstance(way.place, HeaderItem)])
    _check_pointers([way for way in every if isinstance(way.place, Json)])
    _check_segments([way for way in every if way.template], [*times, scheme.signature_field])
    _check_together(ways)


def _ways(field: Field) -> list[_Way]:
    places: list[Any] = [*field.source.places()]
    return [_Way(field, place, each) for place in places for each in (place.templates if is_path(place) else [""])]


def _check_carried(field: Field, prefix: str, characters: str, fix: str) -> None:
    """Raise `ConfigError` if one of a field's places cannot carry each text of a prefix and any of the characters."""
    for place in field.source.places():
        # A text that the place refuses may begin in the prefix, and end with some of the characters.
        stops = [place.before] if isinstance(place, Header) else _ESCAPES if is_path(place) else []
        ends = [stop[at:] for stop in stops for at in range(len(stop)) if {*characters}.issuperset(stop[at:])]
        texts = [prefix + end for end in (characters, *ends)]
        refused = next((text for text in texts if not place.can_carry(text)), "")
        if refused:
            odd = odd_character(place, refused) or next((stop for stop in stops if stop in refused), stops[0])
            raise ConfigError(
                f"Scheme: {field.label} may have {odd!a}, which {place!r} cannot carry; give another {fix}"
            )


def _check_items(places: Sequence[HeaderItem]) -> None:
    """Raise `ConfigError` if the items of one header have two pairs of separators."""
    known: dict[str, HeaderItem] = {}
    for place in places:
        first = known.setdefault(place.name.lower(), place)
        if (first.between, first.inner) != (place.between, place.inner):
            raise ConfigError(
                f"Scheme: {first!r} and {place!r} have different separators; give all items of a header the same ones"
            )


def _check_pointers(ways: Sequence[_Way]) -> None:
    """Raise `ConfigError` for a pointer into the value at another one: a guard refuses a body with an object there."""
    for outer, inner in permutations(ways, 2):
        if inner.place.pointer.startswith(f"{outer.place.pointer}/"):
            raise ConfigError(
                f"Scheme: {inner.field.label} can never be in {inner.place!r}: it is inside of {outer.place!r}, where "
                f"{outer.field.label} has to be a text; give another pointer"
            )


def _check_segments(ways: Sequence[_Way], alone: Sequence[Field]) -> None:
    """Raise `ConfigError` if a time or the signature is in one segment with another string or with a fixed text."""
    pairs = ((one, other) for one in ways if one.field in alone for other in ways if other.field is not one.field)
    for one, other in pairs:
        if is_taken(one.segments, other.segments):
            raise ConfigError(
                f"Scheme: a path can match {one.template!r} and {other.template!r}, and where the one has "
                f"{one.field.label}, the other has {other.field.label} or a fixed text; use different segments"
            )


def _check_together(ways: Sequence[Sequence[_Way]]) -> None:
    """Raise `ConfigError` if no request can have each of the strings."""
    # Only strings that must be in a body or in a path can exclude each other.
    bound = [each for each in ways if all(way.place.kinds or way.template for way in each)]
    if not _fit((), bound):
        pairs = ([_conflict(*both) for both in product(*two)] for two in combinations(bound, 2))
        labels = ", ".join(each[0].field.label for each in bound)
        general = f"no request can have each of {labels} in its places; give one of them another source"
        raise ConfigError(f"Scheme: {next((reasons[0] for reasons in pairs if all(reasons)), general)}")


def _fit(chosen: tuple[_Way, ...], ways: Sequence[Sequence[_Way]]) -> bool:
    """Return whether a request can have the chosen strings, and each of the others in one of its ways."""
    return not ways or any(
        not any(_conflict(way, other) for other in chosen) and _fit((*chosen, way), ways[1:]) for way in ways[0]
    )


def _conflict(one: _Way, other: _Way) -> str:
    """Return why no request has two strings in these ways; "" if one can."""
    if one.template and other.template and not share_a_path(one.segments, other.segments):
        return (
            f"no path has {one.field.label} as in {one.template!r} and {other.field.label} as in {other.template!r}; "
            "give both the same path"
        )
    if one.place.kinds and other.place.kinds and one.place.kinds != other.place.kinds:
        return "one body cannot be JSON and a form; give all ids sources of one kind"
    return ""
