"""The types of our columns, and the database's own clock."""

from typing import Any

from sqlalchemy import VARBINARY, Dialect, Double, String, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from hmac_guard.core.hidden import Hidden, hide

_MARIADB = ("mysql", "mariadb")

#: How the database has "no end": the last second of the year 9999. So one range of an index holds all keys that can be
#: in force, which `NULL OR later` does not on every database.
NO_END = 253_402_300_799.0


class HiddenText(TypeDecorator[Hidden[str]]):
    """Text that a row and a statement hold hidden, since both show what they hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Hidden[str] | None, dialect: Dialect) -> str | None:
        return None if value is None else value.get()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Hidden[str] | None:
        return None if value is None else hide(value)


class ByteText(TypeDecorator[str]):
    """Text of at most `size` bytes, which the database compares and sorts by its bytes in UTF-8.

    MariaDB counts four bytes for each character of an index of text, and would have no room for a tenant of 1,024
    bytes; it also drops white space at the end where it compares. So it holds the bytes.
    """

    impl = String
    cache_ok = True

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = String(self.size)
        if dialect.name in _MARIADB:
            kind = VARBINARY(self.size)
        elif dialect.name == "postgresql":
            kind = String(self.size, collation="C")
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value.encode() if value is not None and dialect.name in _MARIADB else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class End(TypeDecorator[float]):
    """Unix seconds at which a key ends; None for a key without an end."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float:
        return NO_END if value is None else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value == NO_END else value


class database_now(ColumnElement[float]):  # noqa: N801 - a function of the database
    """Unix seconds by the database's clock, the same throughout a statement."""

    inherit_cache = True
    type = Double()


@compiles(database_now)
def _standard(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"


@compiles(database_now, "postgresql")
def _postgresql(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) AS double precision)"


@compiles(database_now, *_MARIADB)
def _mariadb(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    # In whole seconds: with fractions it takes a date, which is not the same moment in each time zone.
    return "UNIX_TIMESTAMP()"


@compiles(database_now, "sqlite")
def _sqlite(element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"
