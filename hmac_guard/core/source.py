"""Sources: the places of a request from which one string of a scheme is read.

Sources are plain data. `hmac_guard.core.reader` reads what is in them.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Value

#: Puts a name that a request or a scheme chose into quotes: `repr`, or Markdown's backticks.
Quote = Callable[[str], str]


class Source(Value, ABC):
    """Where one string is sent."""

    #: The kinds of body in which this source looks; empty where it does not look into the body.
    kinds: tuple[str, ...] = ()
    #: Whether one place may hold several strings, as a path holds several segments.
    shared = False

    @abstractmethod
    def describe(self, quote: Quote = ascii) -> str:
        """Return the source in words, such as "query parameter 'hmac'", for logs, explanations and documents."""

    @property
    def parameter(self) -> tuple[str, str] | None:
        """Return the source in the terms of OpenAPI, such as `("query", "hmac")`; None for a path or a body."""
        return None

    def places(self) -> tuple["Source", ...]:
        """Return the single places of this source: itself, or the alternatives of `a | b`."""
        return (self,)

    def place(self) -> object:
        """Return what this source looks at. Two sources with equal places look at the same thing."""
        return self

    def check(self, name: str) -> None:
        """Raise `ConfigError` if the source cannot hold the string that a scheme calls `name`."""

    def can_carry(self, text: str) -> bool:
        """Return whether a request could have the id `text` here in a form that is accepted."""
        return True

    def __or__(self, other: "Source") -> "Source":
        if not isinstance(other, Source):
            return NotImplemented
        return _Either(self.places() + other.places())

    def _set(self, **fields: object) -> None:
        # A name may be of a class `(str, Enum)`, which `str` and `format` write as its own name.
        super()._set(**{name: str.__str__(each) if isinstance(each, str) else each for name, each in fields.items()})

    def _description(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class _Either(Source):
    """One of several places. A request that uses two is refused: the application might read the other one."""

    alternatives: tuple[Source, ...]

    def __init__(self, alternatives: tuple[Source, ...]) -> None:
        self._set(alternatives=alternatives)
        places = [source.place() for source in alternatives]
        if len({*places}) < len(places) or any(whole_of(place) in places for place in places):
            raise ConfigError(f"{self!r} names a place twice; name each once, and give one Path all its templates")

    def places(self) -> tuple[Source, ...]:
        return self.alternatives

    def check(self, name: str) -> None:
        for place in self.alternatives:
            place.check(name)

    def can_carry(self, text: str) -> bool:
        return any(place.can_carry(text) for place in self.alternatives)

    def describe(self, quote: Quote = ascii) -> str:
        return " or ".join(place.describe(quote) for place in self.alternatives)

    def _description(self) -> str:
        return " | ".join(map(repr, self.alternatives))


def whole_of(place: object) -> object:
    """Return the place that contains this one: the header of an item; None for any other place."""
    return place[:2] if isinstance(place, tuple) and len(place) == 3 else None


class Field(NamedTuple):
    """One string of a scheme: an id, a time, the signature or the tenant.

    Attributes:
        name: The id's name, "timestamp", "expires", "signature" or "tenant".
        label: The name in the log, such as "the id 'user_id'".
        source: Where it is sent.
    """

    name: str
    label: str
    source: Source

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of body in which the string may be."""
        return frozenset(kind for place in self.source.places() for kind in place.kinds)

    @property
    def needs_body(self) -> bool:
        """Whether the string can only be in a body."""
        return all(place.kinds for place in self.source.places())


class MethodOf(Source):
    """The method of the request, for a message that names it. Users do not make one."""

    def __init__(self) -> None:
        self._set()

    def describe(self, quote: Quote = ascii) -> str:
        return "method of the request"


METHOD_FIELD = Field("@method", "the method", MethodOf())


def check_name(source: str, name: object, pattern: re.Pattern[str], rule: str) -> None:
    """Raise `ConfigError` if the name of a source is not valid."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ConfigError(f"{source}: {name!r} is not a valid name; give {rule}")


def check_sources(ids: object, signature: object, tenant: object, times: Mapping[str, "Source"]) -> None:
    """Raise `ConfigError` if a string of a scheme has no source, or two have the same place."""
    if not isinstance(ids, Mapping):
        raise ConfigError(
            'Scheme: ids must map each id\'s name to its source: ids={"distinct_id": Query("distinct_id")}'
        )
    for name in ids:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"Scheme: the id name {name!r} must be a Python identifier, so that message can hold it")
    named = {**{f"id {name!r}": source for name, source in ids.items()}, **times, "signature": signature}
    for what, source in {**named, **({} if tenant is None else {"tenant": tenant})}.items():
        if not isinstance(source, Source):
            raise ConfigError(f'Scheme: the {what} needs a source such as Query("name"), not {type(source).__name__}')
    taken: dict[object, str] = {}
    for what, source in named.items():
        for one in source.places():
            place = one.place()
            other = next((known for known in taken if is_one(place, known)), None)
            if other is not None and not one.shared:
                raise _two_in_one(taken[other], what, one)
            taken[place] = what
    if isinstance(tenant, Source):
        _check_tenant(tenant, {what: named[what] for what in (*times, "signature")})


def _check_tenant(tenant: Source, others: Mapping[str, Source]) -> None:
    """Raise `ConfigError` if the tenant is a time or the signature. It may be an id as well."""
    for what, source in others.items():
        for one in source.places():
            if any(is_one(one.place(), each.place()) for each in tenant.places()) and not one.shared:
                raise _two_in_one(what, "tenant", one)


def is_one(place: object, other: object) -> bool:
    """Return whether two places are the same, or one is an item of the header that the other is."""
    return place in (other, whole_of(other)) or whole_of(place) == other


def _two_in_one(what: str, other: str, source: Source) -> ConfigError:
    return ConfigError(f"Scheme: {what} and {other} are both read from {source!r}; one value cannot be both")
