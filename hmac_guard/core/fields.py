"""The places of the strings in a signed request."""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hmac_guard.core.encodings import ENCODINGS
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Cookie, Form, Header, HeaderItem, Path, Query
from hmac_guard.core.ways import Way, choose, ways_of

if TYPE_CHECKING:
    from hmac_guard.core.scheme import Scheme


class SignedFields(Frozen):
    """What a signed request contains, by place. Nothing in it is encoded for a URL or a form yet.

    Attributes:
        query: The query parameters.
        headers: The headers.
        cookies: The cookies.
        json: The JSON body, as nested objects; empty if nothing is placed in it.
        form: The fields of a form.
    """

    __slots__ = ("cookies", "form", "headers", "json", "query")

    query: dict[str, str]
    headers: dict[str, str]
    cookies: dict[str, str]
    json: dict[str, Any]
    form: dict[str, str]

    def __init__(self) -> None:
        self._set(query={}, headers={}, cookies={}, json={}, form={})

    def _description(self) -> str:
        # One of the values is the signature.
        filled = (f"{kind}={list(getattr(self, kind))}" for kind in self.__slots__ if getattr(self, kind))
        return f"<SignedFields {', '.join(filled)}>"


class Placing:
    """Puts strings into their places. If the body is signed, nothing is put into it.

    Args:
        scheme: The scheme.
        kind: The kind of body that the request has, "form" or "json"; "" for any other. Places in a body of this kind
            come before those in another one.
        has_path: Whether the path is known: what is in it is kept there, and nothing else can be in it.
    """

    def __init__(self, scheme: "Scheme", kind: str = "", *, has_path: bool = False) -> None:
        self._scheme, self._kind, self._has_path = scheme, kind, has_path
        # By label: the hash of a field takes long.
        self._kept: dict[str, Source] = {}
        self._replaced: dict[str, tuple[Field, Source]] = {}
        self._chosen: dict[str, Source] = {}
        self._fields = SignedFields()
        self._items: dict[str, dict[str, str]] = {}
        self._between: dict[str, str] = {}
        self._spellings: dict[str, str] = {}

    def keep(self, field: Field, place: Source) -> None:
        """Leave a string in the place where the request has it. It is then put into no other one."""
        self._kept[field.label] = place

    def keeps(self, field: Field) -> bool:
        return field.label in self._kept

    def replace(self, field: Field, place: Source) -> None:
        """Note a place where the request has another text. The string has to be put there."""
        self._replaced[field.label] = field, place

    def is_written(self, place: Source) -> bool:
        """Return whether the caller writes the string: into the URL, or into a body that is signed as it is."""
        return is_path(place) or (self._scheme.signs_body and bool(place.kinds))

    def choose(self, texts: Sequence[tuple[Field, str | None]]) -> None:
        """Choose the places of strings. None is a text that is not known yet. What the caller writes is left out.

        Raises:
            ConfigError: No request can have these strings.
        """
        self._chosen = {way.field.label: way.place for way in self._chosen_ways(texts)}
        for label, (field, place) in self._replaced.items():
            if self._chosen.get(label) != place:
                raise ConfigError(another_in(field, place))

    def _chosen_ways(self, texts: Sequence[tuple[Field, str | None]]) -> Sequence[Way]:
        ways = [each for pair in texts if (each := self._ways(*pair))]
        if not self._scheme.chooses_together:
            return [each[0] for each in ways]
        try:
            return choose("sign_fields", ways)
        except ConfigError:
            return choose("sign_fields", [each for pair in texts if (each := self._ways(*pair, with_path=True))])

    def _ways(self, field: Field, text: str | None, *, with_path: bool = False) -> list[Way]:
        """Return the ways that can carry a string, the best one first: in the path if there is no other."""
        kept = self._kept.get(field.label)
        places = [place for place in field.source.places() if not self.is_written(place)] if kept is None else [kept]
        able = places if text is None else [place for place in places if place.can_carry(text)]
        if not able:
            self._check_written(field, text, kept)
        if kept is not None:
            return [Way(field, kept, "", text)]
        if self._kind:
            able.sort(key=lambda place: bool(place.kinds) and self._kind not in place.kinds)
        if not self._has_path and text is not None and (with_path or not able):
            able += (place for place in field.source.places() if is_path(place) and place.can_carry(text))
        return ways_of(field, able, text)

    def place(self, field: Field, text: Hidden[str]) -> None:
        """Put a string into its place."""
        place = self._chosen.get(field.label)
        # The header of an item is written as a whole.
        if place is not None and not is_path(place) and (field.label not in self._kept or type(place) is HeaderItem):
            self._put(place, text)

    def _check_written(self, field: Field, text: str | None, kept: Source | None) -> None:
        """Raise `ConfigError` for a string that has no place, unless the caller writes it."""
        if field is self._scheme.signature_field:  # Any place but a path carries it.
            raise ConfigError(
                f"sign_fields: the signature cannot be sent in {field.source!r}: the caller writes the URL; get the "
                "signature from sign, and write it there"
            )
        if kept is not None or not any(map(self.is_written, field.source.places())):
            raise ConfigError(f"sign_fields: {field.label} {why_not_sent(kept or field.source, text or '')}")

    def _put(self, place: Source, text: Hidden[str]) -> None:
        fields = self._fields
        match place:
            case Query():
                fields.query[place.name] = text.get()
            case Header():
                fields.headers[self._spelled(place.name)] = text.get() + place.before
            case Cookie():
                fields.cookies[place.name] = text.get()
            case Form():
                fields.form[place.name] = text.get()
            case HeaderItem():
                name = self._spelled(place.name)
                self._between[name] = place.between
                self._items.setdefault(name, {})[place.key] = f"{place.key}{place.inner}{text.get()}"
            case _:
                self._put_into_json(place, text)

    def _spelled(self, name: str) -> str:
        """Return the name of a header as it is spelled first. A request with two spellings has two lines."""
        return self._spellings.setdefault(name.lower(), name)

    def _put_into_json(self, place: Any, text: Hidden[str]) -> None:
        *outer, last = place.tokens()
        node: Any = self._fields.json
        for token in outer:
            node = node.setdefault(token, {})
        node[last] = text.get()

    def placed(self) -> SignedFields:
        for name, between in self._between.items():
            self._fields.headers[name] = between.join(self._items[name].values())
        return self._fields


def fields_of(scheme: "Scheme") -> list[Field]:
    """Return every string of a scheme: the ids, the times, the signature, and the tenant if there is one."""
    times = [time.field for time in scheme.times]
    return [*scheme.id_fields, *times, scheme.signature_field, *filter(None, [scheme.tenant_field])]


def is_path(place: Source) -> bool:
    return isinstance(place, Path)


def signature_in_path(scheme: "Scheme") -> "re.Pattern[str] | None":
    """Return a pattern for each part of a path that is long enough to have the signature; None if no path has one.

    A client may send the signature in another segment than the scheme says, and with other characters around it.
    """
    if not any(map(is_path, scheme.signature.places())):
        return None
    digest = bytes(hashlib.new(scheme.algorithm).digest_size)
    return re.compile(f"[^/]{{{len(ENCODINGS[scheme.encoding](digest))},}}")


def odd_character(source: Source, text: str) -> str:
    """Return the first character of a text that a source can carry nowhere; "" if it can carry each of them."""
    return next((letter for letter in text if not (source.can_carry(letter) or source.can_carry(f"a{letter}a"))), "")


def why_not_sent(source: Source, text: str) -> str:
    """Return why a source cannot carry a text, as the end of a sentence."""
    odd = odd_character(source, text)
    return f"cannot be sent in {source!r}" + (f"; it has {odd!a}" if odd else "")


def another_in(field: Field, place: Source) -> str:
    """Return the message of an error, for a request that has another text than the one that is signed."""
    return (
        f"the request has another {field.name!r} than the one that is to be signed, in the {place.describe()}; leave "
        "it out of the request"
    )
