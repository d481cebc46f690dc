"""One string of a scheme: what a source is, and how its one value is read.

A source gives every value that is there, so that a second one is seen and refused and never silently dropped (threats
T022, T023). `a | b` is either place, but not both.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from hmac_guard.core.errors import ConfigError, Refused
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.request import Request
from hmac_guard.core.verdict import Reason

#: Gives every value that is there, decoded, blank ones included. Raises `Refused` where one cannot be read.
Lookup = Callable[[Request], Sequence[str]]


class Source(Frozen, ABC):
    """Where one string travels. Two sources of one kind with the same arguments are equal."""

    #: The kinds of body in which this source looks; none where it does not look into the body.
    kinds: tuple[str, ...] = ()
    #: Whether one place may hold several strings, as a path holds several segments.
    shared = False

    @abstractmethod
    def lookup(self, name: str) -> Lookup:
        """The look-up for the string that a scheme calls `name`, made once. Raises `ConfigError`."""

    def places(self) -> tuple["Source", ...]:
        return (self,)

    def place(self) -> object:
        """What this source looks at: two sources with equal places look at the same thing."""
        return self

    def carries(self, text: str) -> bool:
        """Whether a request could bring the id `text` here in a form that is accepted."""
        return True

    def __or__(self, other: "Source") -> "Source":
        if not isinstance(other, Source):
            return NotImplemented
        return _Either(self.places() + other.places())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class _Either(Source):
    """One of several places. A request that uses two is refused: the application might read the other one."""

    alternatives: tuple[Source, ...]

    def __init__(self, alternatives: tuple[Source, ...]) -> None:
        self._set(alternatives=alternatives)
        if len({source.place() for source in alternatives}) < len(alternatives):
            raise ConfigError(f"{self!r} names a place twice; name each once, and give one Path all its templates")

    def places(self) -> tuple[Source, ...]:
        return self.alternatives

    def lookup(self, name: str) -> Lookup:
        lookups = [place.lookup(name) for place in self.alternatives]

        def values(request: Request) -> Sequence[str]:
            found = [values for lookup in lookups if (values := lookup(request))]
            if len(found) > 1:
                raise Refused(Reason.CONFLICT)
            return found[0] if found else ()

        return values

    def carries(self, text: str) -> bool:
        return any(place.carries(text) for place in self.alternatives)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.alternatives))


class Field:
    """One string of a scheme, ready to be read."""

    __slots__ = ("_lookup", "kinds", "name", "needs_body", "source")

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.source = source
        self._lookup = source.lookup(name)
        self.kinds = frozenset(kind for place in source.places() for kind in place.kinds)
        self.needs_body = all(place.kinds for place in source.places())

    def read(self, request: Request) -> str | None:
        """The one value, or None where there is none or a blank one. Raises `Refused`."""
        values = self._lookup(request)
        if len(values) > 1:
            raise Refused(Reason.DUPLICATE)
        if values:
            return values[0] if values[0].strip() else None
        if self.needs_body and request.body and request.media.kind not in self.kinds:
            raise Refused(Reason.UNSUPPORTED_BODY)
        return None


def check_name(source: str, name: object, pattern: re.Pattern[str], rule: str) -> None:
    """Raises `ConfigError` where a source's own name is none that can be looked for."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ConfigError(f"{source}: {name!r} cannot be looked for; give {rule}")


def check_sources(ids: object, signature: object, tenant: object) -> None:
    """Raises `ConfigError` where a scheme's strings have no source, or share one place."""
    if not isinstance(ids, Mapping) or not ids:
        raise ConfigError(
            'Scheme: ids must map each id\'s name to its source: ids={"distinct_id": Query("distinct_id")}'
        )
    for name in ids:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"Scheme: the id name {name!r} must be a Python identifier, so that message can hold it")
    named = {**{f"id {name!r}": source for name, source in ids.items()}, "signature": signature}
    for what, source in {**named, **({} if tenant is None else {"tenant": tenant})}.items():
        if not isinstance(source, Source):
            raise ConfigError(f'Scheme: the {what} needs a source such as Query("name"), not {type(source).__name__}')
    taken: dict[object, str] = {}
    for what, source in named.items():
        for one in source.places():
            if one.place() in taken and not one.shared:
                raise ConfigError(
                    f"Scheme: {taken[one.place()]} and {what} are both read from {one!r}; one value cannot be both"
                )
            taken[one.place()] = what
