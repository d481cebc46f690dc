"""Unknown and missing arguments raise `ConfigError`, with the fix."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from hmac_guard.core.errors import ConfigError

_Self = TypeVar("_Self", bound="Strict")


class Strict:
    """The base class of objects that engineers make. `_missing` says for an argument what to do if it is missing."""

    __slots__ = ()

    _missing: ClassVar[Mapping[str, str]] = {}

    # Not a wrapper of `__init__`: its frame would hold a secret while `__init__` raises.
    def __new__(cls: type[_Self], *given: Any, **options: Any) -> _Self:
        # `copy` calls it with nothing.
        wrong = _wrong(cls, len(given), options) if given or options else ""
        if wrong:
            given, options = (), {}
            raise ConfigError(f"{cls.__name__}: {wrong}")
        return super().__new__(cls)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: "did you mean …?", or all known names."""
    from difflib import get_close_matches  # slow to import, and needed only here

    spelled = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), spelled, n=1)
    if near:
        return f"did you mean {spelled[near[0]]!r}?"
    return f"take one of {', '.join(map(repr, spelled.values()))}" if spelled else "there are none"


class _Parameters(NamedTuple):
    """The parameters of `__init__`: names in order, how many by position at most, and the required ones."""

    names: tuple[str, ...]
    positional: int
    required: frozenset[str]


_known: dict[type, _Parameters] = {}


def _parameters(cls: type) -> _Parameters:
    if cls not in _known:
        _known[cls] = _parameters_of(cls)
    return _known[cls]


def _parameters_of(cls: Any) -> _Parameters:
    found = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [each for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    positional = [each for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return _Parameters(
        tuple(each.name for each in named),
        len(positional),
        frozenset(each.name for each in found if each.default is each.empty),
    )


def _wrong(cls: type[Strict], count: int, names: Iterable[str]) -> str:
    """Return what is wrong with `count` arguments by position and these by name. Their values do not matter."""
    known = _parameters(cls)
    by_position = known.names[:count]
    is_known = all(name in known.names and name not in by_position for name in names)
    if is_known and count <= known.positional and known.required.issubset((*by_position, *names)):
        return ""
    signature = inspect.signature(cls.__init__)
    if any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
        return ""
    for name in names:
        if name not in known.names:
            return f"there is no option {name!r}; {nearest(name, known.names)}"
    try:
        signature.bind(None, *[None] * count, **dict.fromkeys(names))
    except TypeError as error:
        text = str(error)
        return next((advice for name, advice in cls._missing.items() if f"'{name}'" in text), text)
    return ""
