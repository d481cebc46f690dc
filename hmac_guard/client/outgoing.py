"""A request before it is signed, and what it has already in the places of a scheme."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hmac_guard.core.bodies import parse_media
from hmac_guard.core.fields import Placing, another_in, is_path
from hmac_guard.core.found import Found
from hmac_guard.core.places import Places
from hmac_guard.core.request import Line, Request
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Field, Source
from hmac_guard.core.verdict import Refused


class Outgoing(NamedTuple):
    """The part of a request that is signed or changed.

    Attributes:
        method: The method, as it is sent.
        path: The path, decoded.
        query: The query string as it is sent, without the `?`.
        headers: The headers that the signer asks for, by their names in lower case.
        body: The body; b"" unless the signer needs it.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Outgoing {self.method}>"  # The rest may hold a secret.

    @property
    def kind(self) -> str:
        """The kind of the body, as of `core.bodies.parse_media`."""
        return parse_media(self.headers.get("content-type")).kind


class Carried(NamedTuple):
    """What a request has already in the places of a scheme, as a guard reads it.

    Attributes:
        given: What each id and the tenant have, by place, without paths.
        old: The places of an old signature, and of old texts of other fields that the signer makes.
    """

    given: Mapping[Field, Mapping[Source, Found]]
    old: list[Source]


class Finder:
    """Finds what requests have already in the places of a scheme.

    Args:
        scheme: The scheme.
        given: The ids, and the tenant if there is one.
        made: The fields that the signer makes: the signature, the times and a nonce.
    """

    def __init__(self, scheme: Scheme, given: Sequence[Field], made: Sequence[Field]) -> None:
        self._fields, self._made = (*given, *made), made
        self._places = Places(self._fields, scheme.signature_field)
        #: The headers in which the scheme looks, in lower case.
        self.names = self._places.names

    def find(self, request: Outgoing) -> Carried:
        """Return what a request has. What a guard cannot read in a body is left out: it then refuses the request."""
        places, sent = self._places, _Sent(request, self.names)
        texts = places.decode(sent, places.find(sent))
        given: dict[Field, Mapping[Source, Found]] = {}
        old: list[Source] = []
        for field, slots in zip(self._fields, places.slots_of, strict=True):
            found = {places.sources[slot]: texts[slot] for slot in slots if texts[slot] is not None}
            there = {place: text for place, text in found.items() if not (place.kinds and isinstance(text, Refused))}
            if field in self._made:
                old += there
            else:
                given[field] = there
        return Carried(given, old)


class _Sent(Request):
    """A request, as `Places` reads it. Its mount point is not known, so it has no path."""

    def __init__(self, request: Outgoing, names: Sequence[str]) -> None:
        headers = request.headers
        self.method, self.root, self.path, self.query = request.method, "", "", request.query
        self.lines = [headers.get(name) for name in names]
        self.media = parse_media(headers.get("content-type"))
        is_plain = headers.get("content-encoding", "identity").lower() == "identity"
        self.body = request.body if is_plain and self.media.readable else None

    def header(self, name: str) -> Line:
        return None


def keep(placing: Placing, field: Field, text: str, in_path: bool, found: Mapping[Source, Found]) -> None:
    """Leave an id or the tenant where the request has it: a guard refuses a request that has it in two places.

    Args:
        placing: Puts the string into its place if it is not left anywhere.
        field: The id or the tenant.
        text: The text that is signed.
        in_path: Whether the path has this text, behind any mount point.
        found: What the request has, by place.

    Raises:
        ValueError: The request has it in two places outside of its path, or another one in a place that signing does
            not overwrite.
    """
    if in_path:
        placing.keep(field, next(filter(is_path, field.source.places())))
    if len(found) > 1:
        where = " and in the ".join(place.describe() for place in found)
        raise ValueError(f"the request has {field.label} in the {where}; send it in one place")
    for place, there in found.items():
        if there == text:
            placing.keep(field, place)
        elif in_path:
            raise ValueError(another_in(field, place))
        else:  # Signing compares it with a signed body.
            placing.replace(field, place)


def names_of(places: Iterable[Source], *kinds: type[Source]) -> set[str]:
    """Return the names of the places of these kinds."""
    return {vars(place)["name"] for place in places if isinstance(place, kinds)}
