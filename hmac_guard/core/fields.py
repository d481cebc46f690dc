"""The places of the strings in a signed request."""

import hashlib
import re
from typing import TYPE_CHECKING, Any

from hmac_guard.core.encodings import ENCODINGS
from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.source import Field, Source
from hmac_guard.core.sources import Cookie, Form, Header, HeaderItem, Json, Path, Query

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
        signs_body: Whether the body is signed.
        kind: The kind of body that the request has, "form" or "json"; "" for any other. Places in a body of this kind
            come before those in another one.
    """

    def __init__(self, signs_body: bool, kind: str = "") -> None:
        self.signs_body, self._kind = signs_body, kind
        self._kept: dict[Field, Source] = {}
        self._fields = SignedFields()
        self._items: dict[str, dict[str, str]] = {}
        self._between: dict[str, str] = {}
        self._spellings: dict[str, str] = {}

    def keep(self, field: Field, place: Source) -> None:
        """Leave a string in the place where the request has it. It is then put into no other one."""
        self._kept[field] = place

    def keeps(self, field: Field) -> bool:
        return field in self._kept

    def place_of(self, field: Field, text: Hidden[str]) -> Source | None:
        """Return the first of its places that can carry a string. Paths and signed bodies are left out."""
        places = [place for place in field.source.places() if not self._is_written(place)]
        places.sort(key=lambda place: bool(self._kind and place.kinds) and self._kind not in place.kinds)
        return next((place for place in places if place.can_carry(text.get())), None)

    def _is_written(self, place: Source) -> bool:
        """Return whether the caller writes the string: into the URL, or into a body that is signed as it is."""
        return is_path(place) or (self.signs_body and bool(place.kinds))

    def place(self, field: Field, text: Hidden[str]) -> None:
        """Put a string into its place. Raise `ConfigError` if no place can carry it, or another string is there."""
        kept = self._kept.get(field)
        place = self.place_of(field, text) if kept is None else kept
        if place is None:
            self._check_written(field, text)
        elif kept is None and place in self._kept.values():
            raise ConfigError(f"sign_fields: two different strings are sent in {place!r}; give the same text for both")
        elif not place.can_carry(text.get()):
            raise ConfigError(f"sign_fields: {field.label} {why_not_sent(place, text.get())}")
        elif kept is None or isinstance(place, HeaderItem):  # The header of an item is written as a whole.
            self._put(place, text)

    def _check_written(self, field: Field, text: Hidden[str]) -> None:
        """Raise `ConfigError` for a string that has no place, unless the caller writes it."""
        if field.label == "the signature":  # Any place but a path carries it.
            raise ConfigError(
                f"sign_fields: the signature cannot be sent in {field.source!r}: the caller writes the URL; get the "
                "signature from sign, and write it there"
            )
        if not any(map(self._is_written, field.source.places())):
            raise ConfigError(f"sign_fields: {field.label} {why_not_sent(field.source, text.get())}")

    def _put(self, place: Source, text: Hidden[str]) -> None:
        fields = self._fields
        if (fields.form and isinstance(place, Json)) or (fields.json and isinstance(place, Form)):
            raise ConfigError("sign_fields: one body cannot be JSON and a form; change the scheme's sources")
        match place:
            case Query():
                _put_once(fields.query, place.name, text)
            case Header():
                _put_once(fields.headers, self._spelled(place.name), hide(text.get() + place.before))
            case Cookie():
                _put_once(fields.cookies, place.name, text)
            case Form():
                _put_once(fields.form, place.name, text)
            case HeaderItem():
                name = self._spelled(place.name)
                self._between[name] = place.between
                item = hide(f"{place.key}{place.inner}{text.get()}")
                _put_once(self._items.setdefault(name, {}), place.key, item)
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
        _put_once(node, last, text)

    def placed(self) -> SignedFields:
        for name, between in self._between.items():
            _put_once(self._fields.headers, name, hide(between.join(self._items[name].values())))
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


def _put_once(fields: dict[str, Any], name: str, text: Hidden[str]) -> None:
    if fields.setdefault(name, text.get()) != text.get():
        raise ConfigError(f"sign_fields: two different strings travel as {name!r}")
