"""The statements on tenants and their keys."""

import json
import math
import secrets
import socket
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, String, Table, and_, bindparam, delete, insert, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.key import Key, Keyring
from hmac_guard.core.text import is_id
from hmac_guard.keys.sql.secret import Sealed, Sealing, Secret
from hmac_guard.keys.sql.tables import GUARD, MARIADB, MAX_NAME, Tables, database_now

#: Seconds for which a key that has ended is still read, by the database's clock: the clock of a guard may be behind.
ENDED_LATELY = 86_400.0

# A ring has at least one key. If all keys of a tenant have ended, its ring has this key, which has ended too.
_ENDED = Key(secrets.token_bytes(32), not_after=-math.inf)


class Change(NamedTuple):
    """The actor of a change, and its origin."""

    actor: str
    origin: str

    @classmethod
    def by(cls, actor: str, origin: str | None) -> "Change":
        """Return a change. The default origin is this host's name.

        Raises:
            ConfigError: A name cannot be written.
        """
        for option, name in (("actor", actor), ("origin", origin)):
            given = name is not None or option == "actor"
            if given and not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= MAX_NAME):
                raise ConfigError(f"SqlKeys: {option} must be printable text of at most {MAX_NAME} characters")
        return cls(actor, socket.gethostname()[:MAX_NAME] if origin is None else origin)


class Store(Tables):
    """The tables, and the statements on the rows of one tenant."""

    @cached_property
    def look_up(self) -> Select[Any]:
        """One statement for a tenant and its keys that may be active or future.

        Its parameters are `tenant` and `marker`. The answer has at least one row, and each row has the marker.
        """
        name, keys = self.tenants.c.name, self.keys.c
        marker, tenant = bindparam("marker", type_=String), bindparam("tenant", type_=name.type)
        question = select(marker.label("marker"), tenant.label("tenant")).subquery("question")
        lately = and_(
            keys.tenant == question.c.tenant,
            keys.tenant == tenant,  # MariaDB uses the whole index only where it compares with a value.
            keys.not_after > database_now() - ENDED_LATELY,
        )
        return (
            select(question.c.marker, name, self.tenants.c.mode, self.tenants.c.mode_seal, self.keys)
            .select_from(question)
            .outerjoin(self.tenants, name == question.c.tenant)
            .outerjoin(self.keys, lately)
        )

    def ring(self, tenant: str, found: Iterable[Row[Any]], sealing: Sealing) -> Keyring | None:
        """Return the keys in the rows of `look_up`, the newest first; None if there is no such tenant."""
        # A database may take `ACME` for `acme` where it compares.
        rows = [row for row in found if row.name == tenant]
        if not rows:
            return None
        mode: Any = sealing.open_mode(tenant, rows[0].mode, rows[0].mode_seal)  # `Keyring` checks it.
        keys = [key_of(row, sealing) for row in newest_first(row for row in rows if row.tenant == tenant)]
        return Keyring(keys or [_ENDED], None if mode == GUARD else mode)

    def add_tenant(self, connection: Connection, tenant: str, made_at: float, sealing: Sealing) -> bool:
        """Add a tenant. Return whether there was none with that name."""
        mode_seal = sealing.close_mode(tenant, GUARD)
        return insert_new(connection, self.tenants, name=tenant, mode=GUARD, mode_seal=mode_seal, made_at=made_at)

    def locked(self, connection: Connection, tenant: str) -> Row[Any] | None:
        """Return the row of exactly this tenant. No other transaction changes the tenant until this one ends."""
        # An idle write locks on every database, SQLite too, which knows no SELECT FOR UPDATE.
        here = self.tenants.c.name == tenant
        connection.execute(update(self.tenants).where(here).values(mode=self.tenants.c.mode))
        found = connection.execute(select(self.tenants).where(here))
        return next((row for row in found if row.name == tenant), None)

    def next_locked(self, connection: Connection, after: str | None, most: int) -> Sequence[Row[Any]]:
        """Return the rows of the next tenants, in their order. No other transaction changes them until this one ends.

        This must be the first statement of a transaction: after a SELECT without a lock, MariaDB shows the other rows
        as they were then, and not as they are once the tenants are locked.
        """
        column = self.tenants.c.name
        # SQLite has one lock for all tables. A statement that writes takes it.
        connection.execute(update(self.tenants).where(column == (after or "")).values(mode=self.tenants.c.mode))
        found = select(self.tenants).where(column > (after or "")).order_by(column).limit(most).with_for_update()
        return connection.execute(found).all()

    def keys_of_some(self, connection: Connection, names: Sequence[str]) -> Sequence[Row[Any]]:
        return connection.execute(select(self.keys).where(self.keys.c.tenant.in_(names))).all()

    def seal_modes(self, connection: Connection, modes: Iterable[tuple[str, str]], sealing: Sealing) -> None:
        """Seal the modes of tenants again."""
        values = [{"of": name, "seal": sealing.close_mode(name, mode)} for name, mode in modes]
        here = update(self.tenants).where(self.tenants.c.name == bindparam("of"))
        if values:
            connection.execute(here.values(mode_seal=bindparam("seal")), values)

    def seal_secrets(self, connection: Connection, opened: Iterable[tuple[Sealed, Secret]], sealing: Sealing) -> None:
        """Seal the secrets of keys again."""
        values = [{"key": row.key_id, "of": row.of, "closed": sealing.close(row, secret)} for row, secret in opened]
        here = update(self.keys).where(self.keys.c.id == bindparam("key"), self.keys.c.tenant == bindparam("of"))
        if values:
            connection.execute(here.values(secret=bindparam("closed")), values)

    def keys_of(self, connection: Connection, tenant: str) -> list[Row[Any]]:
        """Return all keys of exactly this tenant, the newest first."""
        found = connection.execute(select(self.keys).where(self.keys.c.tenant == tenant))
        return newest_first(row for row in found if row.tenant == tenant)

    def insert_key(self, connection: Connection, sealed: Sealed, **values: Any) -> None:
        times = {"made_at": sealed.made_at, "not_before": sealed.not_before, "not_after": sealed.not_after}
        connection.execute(insert(self.keys).values(tenant=sealed.of, id=sealed.key_id, **times, **values))

    def update_key(self, connection: Connection, row: Row[Any], **values: Any) -> None:
        connection.execute(update(self.keys).where(*self._is(row)).values(**values))

    def delete_key(self, connection: Connection, row: Row[Any]) -> None:
        connection.execute(delete(self.keys).where(*self._is(row)))

    def delete_ended(self, connection: Connection, row: Row[Any], before: float) -> bool:
        """Delete a key if it ended before a moment. Return whether it did.

        The row may be out of date: the statement looks at the key as it is now.
        """
        here = delete(self.keys).where(*self._is(row), self.keys.c.not_after < before)
        return connection.execute(here).rowcount == 1

    def end_key(self, connection: Connection, row: Row[Any], end: float, sealing: Sealing) -> None:
        """Give a key another end, and seal it again."""
        sealed, secret = sealed_of(row), secret_of(row, sealing)
        closed = sealing.close(sealed._replace(not_after=end), secret)
        self.update_key(connection, row, secret=closed, not_after=end)

    def set_mode(self, connection: Connection, tenant: str, mode: str, sealing: Sealing) -> None:
        values = {"mode": mode, "mode_seal": sealing.close_mode(tenant, mode)}
        connection.execute(update(self.tenants).where(self.tenants.c.name == tenant).values(**values))

    def note_change(
        self, connection: Connection, change: Change, at: float, tenant: str, action: str, **detail: Any
    ) -> None:
        """Write a change into the audit, in its own transaction."""
        text = json.dumps({name: value for name, value in detail.items() if value is not None})
        connection.execute(
            insert(self.audit).values(at=at, tenant=tenant, action=action, detail=text, **change._asdict())
        )

    def _is(self, row: Row[Any]) -> Sequence[Any]:
        return self.keys.c.tenant == row.tenant, self.keys.c.id == row.id


def insert_new(connection: Connection, table: Table, **values: Any) -> bool:
    """Insert a row. Return whether there was no such row. Wait for another transaction that does the same."""
    statement: Any
    if connection.dialect.name in MARIADB:
        statement = mysql.insert(table).prefix_with("IGNORE")
    else:
        make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = make(table).on_conflict_do_nothing()
    # Some drivers close the cursor after an INSERT, and then do not know its number of rows.
    options = {"preserve_rowcount": True}
    return connection.execute(statement.values(**values), execution_options=options).rowcount == 1


def sealed_of(row: Row[Any]) -> Sealed:
    """Return what the seal of a key's row covers."""
    return Sealed("key", row.tenant, row.id, row.made_at, row.not_before, row.not_after)


def secret_of(row: Row[Any], sealing: Sealing) -> Secret:
    return sealing.open(sealed_of(row), row.secret)


def key_of(row: Row[Any], sealing: Sealing) -> Key:
    return secret_of(row, sealing).key(sealed_of(row))


def has_ended(row: Row[Any], now: float) -> bool:
    return row.not_after is not None and bool(row.not_after < now)


def check_tenant(tenant: object) -> None:
    """Raise `ConfigError` for a tenant that no request can name."""
    if not isinstance(tenant, str) or not is_id(tenant):
        raise ConfigError(
            f"SqlKeys: the tenant {tenant!r} is none that a request could name; give text of 1 to 1,024 bytes without "
            "control characters and without white space at either end"
        )


def newest_first(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    return sorted(rows, key=lambda row: (row.made_at, row.id), reverse=True)
