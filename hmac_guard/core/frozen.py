"""Immutable values that do not leave the process."""

from typing import NoReturn, TypeVar

from hmac_guard.core.strict import Strict

_Self = TypeVar("_Self", bound="Frozen")


class Frozen(Strict):
    """The base class of such values: guards are shared between threads, and a key must not end up in a pickle."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed; make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed; make another one")

    # Not `__reduce__`: jsonpickle need not call it. Not a TypeError: jsonpickle then writes the attributes.
    def __getstate__(self) -> NoReturn:
        from pickle import PicklingError  # a slow import, and few need it

        raise PicklingError(f"a {type(self).__name__} stays in its process: it is not pickled")

    def __copy__(self: _Self) -> _Self:
        return self

    def __deepcopy__(self: _Self, memo: object) -> _Self:
        return self

    def _set(self, **fields: object) -> None:
        """Set attributes. Only for `__init__`, and for the own state of an object."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)


class Value(Frozen):
    """A frozen object that is equal to each one of its class with the same attributes."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))
