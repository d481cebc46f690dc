"""A request that carries the ids and the signature: one place for each string, of those that a scheme names."""

import re
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.scheme import Scheme
from hmac_guard.core.source import Source
from hmac_guard.core.sources import Cookie, Form, Header, Json, Path, Query


class Call(NamedTuple):
    """What stands where, by the name of the field.

    `template`  the path, in which `path` has what the placeholders stand for
    `headers`   each with what the scheme wants behind the value, such as ":"
    `document`  the JSON body
    """

    template: str
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, tuple[str, str]]
    cookies: dict[str, str]
    document: dict[str, Any]
    form: dict[str, str]


def make_call(scheme: Scheme, values: Sequence[str]) -> Call:
    """A call with these values: of the ids in the order of the message, of the signature, and of the tenant where the
    scheme has one. Raises `ConfigError` where no choice of places fits into one request."""
    places = _fitting_places(scheme)
    names = [field.name for field in scheme.id_fields]
    call = Call(_template(places, names), {}, {}, {}, {}, {}, {})
    for number, (place, value) in enumerate(zip(places, values, strict=True)):
        match place:
            case Path():
                call.path[names[number]] = value
            case Query():
                call.query[place.name] = value
            case Header():
                call.headers[place.name] = (value, place.before)
            case Cookie():
                call.cookies[place.name] = value
            case Form():
                call.form[place.name] = value
            case Json():
                _put(call.document, place.tokens(), value)
    return call


def _fitting_places(scheme: Scheme) -> tuple[Source, ...]:
    sources = [*(scheme.ids[field.name] for field in scheme.id_fields), scheme.signature, scheme.tenant]
    for places in product(*(source.places() for source in sources if source)):
        kinds = {type(place) for place in places}
        paths = [set(place.templates) for place in places if isinstance(place, Path)]
        if not {Json, Form} <= kinds and (not paths or set.intersection(*paths)):
            return places
    raise ConfigError(f"snippet: no request can carry all strings of the scheme {scheme.name!r} at once")


def _template(places: tuple[Source, ...], names: list[str]) -> str:
    """The path that all its ids are in; of several one that asks for nothing else."""
    paths = [place.templates for place in places if isinstance(place, Path)]
    shared = [one for one in paths[0] if all(one in others for others in paths)] if paths else ["/"]
    return min(shared, key=lambda one: len(set(re.findall(r"\{(.+?)\}", one)) - set(names)))


def _put(document: dict[str, Any], tokens: list[str], value: str) -> None:
    for token in tokens[:-1]:
        document = document.setdefault(token, {})
    document[tokens[-1]] = value
