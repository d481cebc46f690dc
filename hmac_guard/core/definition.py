"""Checks the definition of a scheme: a request can be sent for it, and each one that is signed by it is accepted."""

import hashlib
import string
from collections.abc import Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING

from hmac_guard.core.encodings import characters_of
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import fields_of, is_path, odd_character
from hmac_guard.core.source import Field
from hmac_guard.core.sources import SOURCES, Header, HeaderItem, Json
from hmac_guard.core.ways import Way, choose, is_shared, ways_of, why_not_both, why_not_in_one_segment

if TYPE_CHECKING:
    from hmac_guard.core.scheme import Scheme

#: A path with an escaped slash or backslash is not canonical.
_ESCAPES = ["%2f", "%2F", "%5c", "%5C"]


def check_definition(scheme: "Scheme") -> bool:
    """Check that each string of a scheme can be read from its source, and can always be sent there.

    Returns:
        Whether the place of one string depends on the place of another one.

    Raises:
        ConfigError: A string cannot.
    """
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
    ways = [ways_of(field) for field in fields]
    every = [way for each in ways for way in each]
    _check_items([way.place for way in every if isinstance(way.place, HeaderItem)])
    _check_pointers([way for way in every if isinstance(way.place, Json)])
    _check_segments([way for way in every if way.template], [*times, scheme.signature_field])
    # Only these strings can exclude each other, and an error names no other ones.
    bound = [each for each in ways if any(_depends(way, other) for way in each for other in every)]
    choose("Scheme", bound)
    return bool(bound)


def _depends(way: Way, other: Way) -> bool:
    """Return whether a way excludes one of another string, or shares its place."""
    return way.field is not other.field and (bool(why_not_both(way, other)) or is_shared(way, other))


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


def _check_pointers(ways: Sequence[Way]) -> None:
    """Raise `ConfigError` for a pointer into the value at another one: a guard refuses a body with an object there."""
    for outer, inner in permutations(ways, 2):
        if inner.place.pointer.startswith(f"{outer.place.pointer}/"):
            raise ConfigError(
                f"Scheme: {inner.field.label} can never be in {inner.place!r}: it is inside of {outer.place!r}, where "
                f"{outer.field.label} has to be a text; give another pointer"
            )


def _check_segments(ways: Sequence[Way], alone: Sequence[Field]) -> None:
    """Raise `ConfigError` if a time or the signature is in one segment with another string or with a fixed text."""
    for one, other in product((way for way in ways if way.field in alone), ways):
        reason = why_not_in_one_segment(one, other)
        if reason and other.field is not one.field:
            raise ConfigError(f"Scheme: {reason}")
