"""What an operator does with the keys in a database."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Row

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import MODES, Key, Keyring
from hmac_guard.keys.options import check_seconds
from hmac_guard.keys.sql.secret import Sealing, Secret
from hmac_guard.keys.sql.table import KeyTable, NewKey, StoredKey, check_tenant, has_ended, stored_key
from hmac_guard.keys.sql.transaction import change, operation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

#: The most keys that a tenant may have in force or to come: each costs an HMAC for every request.
MOST_KEYS = 8

DAY = 86_400.0

AnyEngine = TypeVar("AnyEngine", bound="Engine | AsyncEngine")


class Draft(NamedTuple):
    """A key that an operator asks for; what is None is chosen for it."""

    secret: Hidden[str | bytes | None]
    form: str
    id: str | None
    mode: str | None = None
    not_before: float | None = None
    not_after: float | None = None


class KeyOperations(Frozen, Generic[AnyEngine]):
    """Each operation is one transaction, and raises `ConfigError` where it is asked for what cannot be."""

    engine: AnyEngine
    announce: Callable[[str], None] | None
    table: KeyTable
    _sealing: Sealing
    clock: Callable[[], float]

    @operation
    def create_table(self, connection: Connection) -> None:
        """Make the table where there is none."""
        self.table.create(connection)

    @change
    def add(
        self,
        connection: Connection,
        tenant: str,
        /,
        secret: str | bytes | None = None,
        *,
        form: str = "text",
        key_id: str | None = None,
        not_before: float | None = None,
        not_after: float | None = None,
        mode: str | None = None,
    ) -> NewKey:
        """Give a tenant a key beside those that it has. The newest one signs.

        `secret`  text in the named `form` ("text", "hex", "base64"), or bytes; None makes 32 random bytes
        `mode`    the tenant's mode from now on; None leaves it as it is
        """
        draft = Draft(hide(secret), form, key_id, mode, not_before, not_after)
        del secret
        check_tenant(tenant)
        return self._insert(connection, tenant, self.table.locked_rows(connection, tenant), draft)

    @change
    def rotate(
        self,
        connection: Connection,
        tenant: str,
        /,
        secret: str | bytes | None = None,
        *,
        form: str = "text",
        key_id: str | None = None,
        grace: float = DAY,
    ) -> NewKey:
        """Give a tenant a new key to sign with. Those that it has go on verifying for `grace` seconds, which should be
        more than the `ttl` of any cache."""
        draft = Draft(hide(secret), form, key_id)
        del secret
        check_seconds("SqlKeys: grace", grace, zero=True)
        rows = self._known_rows(connection, tenant)
        end = self.clock() + grace
        ending = [row for row in rows if row.not_after is None or row.not_after > end]
        for row in ending:
            if row.not_before is not None and row.not_before > end:
                raise ConfigError(f"SqlKeys: the key {row.key_id!r} would end before it begins; retire it first")
        self.table.update(connection, ending, not_after=end)
        return self._insert(connection, tenant, rows, draft)

    @change
    def retire(self, connection: Connection, tenant: str, /, key_id: str) -> None:
        """End a key now. One that was still to come is deleted."""
        now = self.clock()
        found = [row for row in self._known_rows(connection, tenant) if row.key_id == key_id]
        if not found:
            raise ConfigError(f"SqlKeys: the tenant {tenant!r} has no key {key_id!r}; see which it has with list()")
        if found[0].not_before is not None and found[0].not_before > now:
            self.table.delete(connection, found[0])
        elif not has_ended(found[0], now):
            self.table.update(connection, found, not_after=now)

    @change
    def set_mode(self, connection: Connection, tenant: str, /, mode: str | None) -> None:
        """Set a tenant's mode: "enforce", "report", "off", or None to leave it to the guard."""
        if mode is not None and mode not in MODES:
            raise ConfigError('SqlKeys: mode must be "enforce", "report", "off" or None')
        self.table.update(connection, self._known_rows(connection, tenant), mode=mode)

    @operation
    def list(self, connection: Connection, tenant: str | None = None) -> tuple[StoredKey, ...]:
        """The keys of one tenant, or of all, the newest first; without their secrets."""
        rows = self.table.all_rows(connection) if tenant is None else self.table.rows(connection, tenant)
        return tuple(map(stored_key, rows))

    @operation
    def reseal(self, connection: Connection) -> int:
        """Seal every secret anew under the first master key, also those in the clear. Gives their number."""
        if not self._sealing:
            raise ConfigError("SqlKeys: there is nothing to seal with; give master_keys")
        tenants = dict.fromkeys(row.tenant for row in self.table.all_rows(connection))
        rows = [row for tenant in tenants for row in self.table.locked_rows(connection, tenant)]
        for row in rows:
            secret = self._sealing.open(row.tenant, row.key_id, row.secret)
            self.table.update(connection, [row], secret=self._sealing.close(row.tenant, row.key_id, secret))
        return len(rows)

    def _known_rows(self, connection: Connection, tenant: str) -> Sequence[Row[Any]]:
        rows = self.table.locked_rows(connection, tenant)
        if not rows:
            raise ConfigError(f"SqlKeys: there is no tenant {tenant!r}; add makes it one with its first key")
        return rows

    def _insert(self, connection: Connection, tenant: str, rows: Sequence[Row[Any]], draft: Draft) -> NewKey:
        now = self.clock()
        key_id = _new_id(now) if draft.id is None else draft.id
        secret = Secret.of(draft.secret, draft.form)
        times = {"not_before": draft.not_before, "not_after": draft.not_after}
        lasting = [row for row in rows if not has_ended(row, now)]
        _check_room(tenant, key_id, rows, lasting)
        # Made for what it refuses: no key, a placeholder, a twin of another key, an unknown mode.
        Keyring([secret.key(tenant, key_id, **times), *map(self._key, lasting)], draft.mode)
        self.table.insert(
            connection,
            tenant=tenant,
            key_id=key_id,
            secret=self._sealing.close(tenant, key_id, secret),
            mode=draft.mode or (rows[0].mode if rows else None),
            # The newest row is the one that was added last, whatever the clocks of two hosts say.
            made_at=max([now, *(row.made_at + 0.001 for row in rows)]),
            **times,
        )
        return NewKey(tenant, key_id, secret.text if draft.secret.get() is None else None)

    def _key(self, row: Row[Any]) -> Key:
        secret = self._sealing.open(row.tenant, row.key_id, row.secret)
        return secret.key(row.tenant, row.key_id, not_before=row.not_before, not_after=row.not_after)


def _new_id(now: float) -> str:
    return f"{datetime.fromtimestamp(now, timezone.utc):%Y%m%d}-{secrets.token_hex(4)}"


def _check_room(tenant: str, key_id: str, rows: Sequence[Row[Any]], lasting: Sequence[Row[Any]]) -> None:
    if len(key_id) > 255 or any(row.key_id == key_id for row in rows):
        raise ConfigError(f"SqlKeys: the tenant {tenant!r} has a key {key_id!r} already, or the id is too long")
    if len(lasting) >= MOST_KEYS:
        raise ConfigError(f"SqlKeys: the tenant {tenant!r} has {MOST_KEYS} keys, which is the most; retire one first")
