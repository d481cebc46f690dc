"""A named tuple that may be false."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform

    # Type checkers ignore `__bool__` of a named tuple. To them, what follows `if verdict: return` would be unreachable.
    @dataclass_transform(frozen_default=True)
    class Record(tuple[Any, ...]):
        def __new__(cls, *given: Any, **named: Any) -> Self: ...
        def _replace(self, **changes: Any) -> Self: ...
        def _asdict(self) -> dict[str, Any]: ...

else:
    Record = NamedTuple
