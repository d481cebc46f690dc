"""The table of keys, and the statements on it."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Double,
    MetaData,
    Row,
    String,
    Table,
    Text,
    TypeDecorator,
    delete,
    func,
    insert,
    select,
    update,
)

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.text import is_id
from hmac_guard.keys.sql.secret import is_sealed


class NewKey(Frozen):
    """A key that was just made. `secret` is shown nowhere else: hand it on, then forget it. It is None where the
    secret was given, and therefore known already."""

    __slots__ = ("_secret", "id", "tenant")

    tenant: str
    id: str
    _secret: Hidden[str] | None

    def __init__(self, tenant: str, id: str, secret: Hidden[str] | None) -> None:
        self._set(tenant=tenant, id=id, _secret=secret)

    @property
    def secret(self) -> str | None:
        return None if self._secret is None else self._secret.get()

    def __repr__(self) -> str:
        return f"NewKey(tenant={self.tenant!r}, id={self.id!r})"


class StoredKey(NamedTuple):
    """A key as an operator may see it. Times are Unix seconds."""

    tenant: str
    id: str
    mode: str | None
    made_at: float
    not_before: float | None
    not_after: float | None
    sealed: bool


class HiddenText(TypeDecorator[Hidden[str]]):
    """Text that a row and a statement hold hidden, since both show what they hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Hidden[str] | None, dialect: Dialect) -> str | None:
        return None if value is None else value.get()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Hidden[str] | None:
        return None if value is None else hide(value)


class KeyTable:
    """One row for each key. `mode` is the tenant's and stands in each of its rows; that of the newest counts."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"SqlKeys: {name!r} is not the name of a table (letters, digits and '_')")
        self.name = name
        self.table = Table(
            name,
            MetaData(),
            Column("tenant", String(1024), primary_key=True),
            Column("key_id", String(255), primary_key=True),
            Column("secret", HiddenText, nullable=False),
            Column("mode", String(16)),
            Column("made_at", Double, nullable=False),
            Column("not_before", Double),
            Column("not_after", Double),
        )

    def create(self, connection: Connection) -> None:
        self.table.create(connection, checkfirst=True)

    def rows(self, connection: Connection, tenant: str) -> list[Row[Any]]:
        """The rows of exactly this tenant, the newest first."""
        found = connection.execute(select(self.table).where(self.table.c.tenant == tenant))
        # A database may take `ACME` for `acme`, or drop a space at the end, where it compares.
        return _newest_first(row for row in found if row.tenant == tenant)

    def locked_rows(self, connection: Connection, tenant: str) -> list[Row[Any]]:
        """The same; nobody else changes them until the transaction ends."""
        # An idle write locks on every database, SQLite too, which knows no SELECT FOR UPDATE. It is to one row, always
        # the same: two that lock several would wait for each other.
        column = self.table.c
        oldest = select(func.min(column.made_at)).where(column.tenant == tenant).scalar_subquery()
        idle = update(self.table).where(column.tenant == tenant, column.made_at == oldest)
        connection.execute(idle.values(tenant=column.tenant))
        return self.rows(connection, tenant)

    def all_rows(self, connection: Connection) -> list[Row[Any]]:
        return sorted(_newest_first(connection.execute(select(self.table))), key=lambda row: str(row.tenant))

    def known(self, connection: Connection, tenants: Collection[str]) -> set[str]:
        """Which of these tenants there are."""
        column, wanted, found = self.table.c.tenant, iter(tenants), set[str]()
        while some := list(islice(wanted, 500)):  # A database limits the parameters of a statement.
            found.update(connection.scalars(select(column).where(column.in_(some)).distinct()))
        return found.intersection(tenants)

    def insert(self, connection: Connection, **values: Any) -> None:
        connection.execute(insert(self.table).values(**values))

    def update(self, connection: Connection, rows: Iterable[Row[Any]], **values: Any) -> None:
        for row in rows:
            connection.execute(update(self.table).where(*self._is(row)).values(**values))

    def delete(self, connection: Connection, row: Row[Any]) -> None:
        connection.execute(delete(self.table).where(*self._is(row)))

    def _is(self, row: Row[Any]) -> Sequence[Any]:
        return self.table.c.tenant == row.tenant, self.table.c.key_id == row.key_id


def stored_key(row: Row[Any]) -> StoredKey:
    return StoredKey(
        row.tenant, row.key_id, row.mode, row.made_at, row.not_before, row.not_after, is_sealed(row.secret)
    )


def has_ended(row: Row[Any], now: float) -> bool:
    return row.not_after is not None and bool(row.not_after < now)


def check_tenant(tenant: object) -> None:
    if not isinstance(tenant, str) or not is_id(tenant):
        raise ConfigError(
            f"SqlKeys: the tenant {tenant!r} is none that a request could name; give text of 1 to 1,024 bytes without "
            "control characters and without white space at either end"
        )


def _newest_first(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    return sorted(rows, key=lambda row: (row.made_at, row.key_id), reverse=True)
