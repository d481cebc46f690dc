"""Arguments that do not exist or are missing are a wrong configuration like any other: `ConfigError`, with the fix."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from hmac_guard.core.errors import ConfigError

_Self = TypeVar("_Self", bound="Strict")


class Strict:
    """Base of a class that is made by engineers. `missing` says for an argument what to do where it is not given."""

    __slots__ = ()

    missing: ClassVar[Mapping[str, str]] = {}

    # Not a wrapper of `__init__`: its frame would hold a secret while `__init__` raises.
    def __new__(cls: type[_Self], *given: Any, **options: Any) -> _Self:
        # `copy` calls it with nothing.
        wrong = _wrong(cls, len(given), list(options)) if given or options else ""
        if wrong:
            given, options = (), {}
            raise ConfigError(f"{cls.__name__}: {wrong}")
        return super().__new__(cls)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "did you mean …?", or all known names."""
    from difflib import get_close_matches  # slow to import, and needed only here

    spelled = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), spelled, n=1)
    if near:
        return f"did you mean {spelled[near[0]]!r}?"
    return f"take one of {', '.join(map(repr, spelled.values()))}" if spelled else "there are none"


def _wrong(cls: type[Strict], count: int, names: list[str]) -> str:
    """What is wrong with `count` arguments by position and these by name; their values do not matter."""
    signature = inspect.signature(cls.__init__)
    parameters = list(signature.parameters.values())[1:]
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return ""
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    for name in names:
        if name not in named:
            return f"there is no option {name!r}; {nearest(name, named)}"
    try:
        signature.bind(None, *[None] * count, **dict.fromkeys(names))
    except TypeError as error:
        text = str(error)
        return next((advice for name, advice in cls.missing.items() if f"'{name}'" in text), text)
    return ""
