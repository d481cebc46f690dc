"""What a WSGI or ASGI layer holds: the callables that it may pass requests to."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from inspect import getattr_static
from types import FunctionType, MemberDescriptorType, MethodType
from typing import Any


def callables_in(layer: Any) -> list[Any]:
    """Return the callables that a layer may pass requests to: in its attributes, its closure and its arguments."""
    if is_a(layer, type):
        return []
    if is_a(layer, MethodType):
        found = [*_attributes(layer.__self__), *callables_in(layer.__func__)]
    elif is_a(layer, FunctionType):
        # Other attributes do not count: `functools.wraps` copies them from the wrapped function or object.
        wrapped = [vars(layer).get("__wrapped__")]
        found = [*_cells(layer), *(layer.__defaults__ or ()), *(layer.__kwdefaults__ or {}).values(), *wrapped]
    elif is_a(layer, partial):
        found = [layer.func, *layer.args, *layer.keywords.values()]
    else:
        # Its own methods are skipped: they lead only to its own attributes.
        found = [inner for inner in _attributes(layer) if not (is_a(inner, MethodType) and inner.__self__ is layer)]
    return [inner for inner in found if callable(inner)]


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty cell
            yield cell.cell_contents


def _attributes(layer: Any) -> Iterator[Any]:
    # A proxy, such as Flask's `request`, may raise any exception.
    with suppress(Exception):
        yield from list(vars(layer).values())
    # Not of an object alone: one that makes each attribute on demand has a further `__wrapped__` inside every one.
    if hasattr(type(layer), "__wrapped__"):
        with suppress(Exception):
            yield layer.__wrapped__
    for base in type(layer).__mro__:
        for member in vars(base).values():
            if isinstance(member, MemberDescriptorType):
                with suppress(AttributeError):  # an empty slot
                    yield member.__get__(layer)


def stored(layer: Any, name: str) -> Any:
    """Return an attribute of a layer, without the code of a property; None if there is none."""
    found = getattr_static(layer, name, None)
    with suppress(AttributeError):  # an empty slot
        return found.__get__(layer) if isinstance(found, MemberDescriptorType) else found


def is_a(layer: Any, kind: type) -> bool:
    # `isinstance` is not used: a proxy, such as Flask's `request`, claims another class, or raises.
    return issubclass(type(layer), kind)
