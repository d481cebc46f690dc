"""What a verdict and a claim have in common."""

from types import MappingProxyType
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


def reduce_record(record: Any) -> tuple[Any, ...]:
    """Return the fields of a verdict or claim for `pickle` and `copy`, which cannot read a read-only mapping."""
    fields = [getattr(record, name) for name in record.__match_args__]
    return _made_again, (type(record), *(dict(each) if isinstance(each, MappingProxyType) else each for each in fields))


def _made_again(kind: Any, *fields: Any) -> Any:
    return kind(*(MappingProxyType(each) if isinstance(each, dict) else each for each in fields))
