"""Checks the definition of a scheme: a request can be sent for it, and each one that is signed by it is accepted."""

import hashlib
import string
from typing import TYPE_CHECKING

from hmac_guard.core.encodings import characters_of
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.fields import is_path, odd_character
from hmac_guard.core.source import Field
from hmac_guard.core.sources import SOURCES, Header

if TYPE_CHECKING:
    from hmac_guard.core.scheme import Scheme

#: A path with an escaped slash or backslash is not canonical.
_ESCAPES = ["%2f", "%2F", "%5c", "%5C"]


def check_definition(scheme: "Scheme") -> None:
    """Raise `ConfigError` if a string of a scheme cannot be read from its source, or cannot always be sent there."""
    times = [time.field for time in scheme.times]
    fields = [*scheme.id_fields, *times, scheme.signature_field, *filter(None, [scheme.tenant_field])]
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
    needed = [field.kinds for field in fields if field.needs_body and field.name not in scheme.optional]
    if needed and not frozenset.intersection(*needed):
        raise ConfigError("Scheme: one body cannot be JSON and a form; give all ids sources of one kind")


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
