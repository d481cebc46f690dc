"""Unknown and missing arguments raise `ConfigError`, with the fix."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.shown import Shown

_Self = TypeVar("_Self", bound="Strict")
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Strict(Shown):
    """The base class of objects that engineers make. `_missing` says for an argument what to do if it is missing."""

    __slots__ = ()

    _missing: ClassVar[Mapping[str, str]] = {}

    # Not a wrapper of `__init__`: its frame would hold a secret while `__init__` raises.
    def __new__(cls: type[_Self], *given: Any, **options: Any) -> _Self:
        # `copy` calls it with nothing.
        wrong = _wrong(cls, len(given), options, cls._missing) if given or options else ""
        if wrong:
            given, options = (), {}
            raise ConfigError(f"{cls.__name__}: {wrong}")
        return super().__new__(cls)


def strict(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function with the check of its arguments that `Strict` makes. Its arguments must not be secret."""

    @wraps(function)
    def checked(*given: _P.args, **options: _P.kwargs) -> _R:
        wrong = _wrong(function, len(given), options, {})
        if wrong:
            raise ConfigError(f"{function.__name__}: {wrong}")
        return function(*given, **options)

    return checked


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: "did you mean …?", or all known names."""
    from difflib import get_close_matches  # slow to import, and needed only here

    spelled = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), spelled, n=1)
    if near:
        return f"did you mean {spelled[near[0]]!r}?"
    return f"take one of {', '.join(map(repr, spelled.values()))}" if spelled else "there are none"


class _Parameters(NamedTuple):
    """The parameters of a call: names in order, how many by position at most, and the required ones."""

    names: tuple[str, ...]
    positional: int
    required: frozenset[str]


def _signature(called: Any) -> inspect.Signature:
    """Return the signature of a function, or of a class, without `self`."""
    is_class = isinstance(called, type)
    whole = inspect.signature(called.__init__ if is_class else called)
    return whole.replace(parameters=list(whole.parameters.values())[is_class:])


@cache
def _parameters(called: Any) -> _Parameters:
    found = list(_signature(called).parameters.values())
    named = [each for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    positional = [each for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return _Parameters(
        tuple(each.name for each in named),
        len(positional),
        frozenset(each.name for each in found if each.default is each.empty),
    )


def _wrong(called: Any, count: int, names: Iterable[str], missing: Mapping[str, str]) -> str:
    """Return what is wrong with `count` arguments by position and these by name. Their values do not matter."""
    known = _parameters(called)
    by_position = known.names[:count]
    is_known = all(name in known.names and name not in by_position for name in names)
    if is_known and count <= known.positional and known.required.issubset((*by_position, *names)):
        return ""
    signature = _signature(called)
    if any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
        names = [name for name in names if name in known.names]  # It takes all others.
    for name in names:
        if name not in known.names:
            return f"there is no option {name!r}; {nearest(name, known.names)}"
    try:
        signature.bind(*[None] * count, **dict.fromkeys(names))
    except TypeError as error:
        text = str(error)
        return next((advice for name, advice in missing.items() if f"'{name}'" in text), text)
    return ""
