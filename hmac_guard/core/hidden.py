"""A value that stays secret while a local variable has it.

Error trackers and debuggers copy the local variables of every frame: by `repr`, and often one level of attributes or
items deeper. A `Hidden` shows nothing there.
"""

from collections.abc import Callable
from itertools import repeat
from typing import Generic, TypeVar

from hmac_guard.core.frozen import Frozen

T = TypeVar("T")


class Hidden(Frozen, Generic[T]):
    """Holds a secret. `get` returns it: use the result at once, and do not keep it in a variable."""

    __slots__ = ("get",)

    get: Callable[[], T]

    def __init__(self, value: T) -> None:
        # No function of Python's: its frame would show the value while it runs.
        self._set(get=repeat(value).__next__)

    def __repr__(self) -> str:
        return "<Hidden>"


def hide(value: "T | Hidden[T]") -> Hidden[T]:
    """Return the value as a `Hidden`. A `Hidden` is returned as it is."""
    return value if isinstance(value, Hidden) else Hidden(value)
