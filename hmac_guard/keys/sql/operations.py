"""The operations on the keys in a database."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Row, func, select, update

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.key import MODES, Key, are_same
from hmac_guard.core.numbers import check_flag, check_seconds
from hmac_guard.keys.sql.listing import AuditEntry, Listing, NewKey, StoredKey, StoredTenant, check_texts
from hmac_guard.keys.sql.refusals import delete_older
from hmac_guard.keys.sql.secret import SEALED, Sealed, Sealing, Secret, is_sealed
from hmac_guard.keys.sql.store import (
    ENDED_LATELY,
    Change,
    Store,
    check_tenant,
    has_ended,
    insert_new,
    key_of,
    sealed_of,
    secret_of,
)
from hmac_guard.keys.sql.tables import GUARD, MAX_ID, MAX_NOTE, NO_END
from hmac_guard.keys.sql.transaction import change, creation, in_batches, operation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

#: The most keys that a tenant may have active or future: each costs an HMAC for every request.
MAX_KEYS = 8

DAY = 86_400.0

#: The tenants of one transaction of `reseal` and `purge`.
BATCH = 40

#: The most keys in one entry of the audit. A TEXT of MariaDB holds 65,535 bytes, and an id of 255 bytes takes up to
#: 1,534 of them as JSON.
KEYS_OF_ENTRY = 40

#: Who makes a change if no actor is given.
APPLICATION = "application"

_CONSOLE_SECRET = "console_secret"

AnyEngine = TypeVar("AnyEngine", bound="Engine | AsyncEngine")


class NewerKey(ConfigError):
    """A rotation would end a key that the caller does not know."""


class Draft(NamedTuple):
    """A key that an operator asks for. What is None is chosen for it."""

    secret: Hidden[str | bytes | None]
    form: str
    id: str | None
    note: str = ""
    not_before: float | None = None
    not_after: float | None = None


class KeyOperations(Frozen, Generic[AnyEngine]):
    """The operations of `SqlKeys`.

    Each but `reseal` and `purge` is one transaction. They raise `ConfigError` for arguments that are not valid, and if
    the connection changes some names. Each change is written into the audit, in its own transaction. `actor` says who
    made it, and `origin` from where; None is the name of this host.
    """

    engine: AnyEngine
    announce: Callable[[str], None] | None
    table: Store
    _sealing: Sealing
    clock: Callable[[], float]

    @property
    def metadata(self) -> Any:
        """The tables, as SQLAlchemy and Alembic use them."""
        return self.table.metadata

    @creation
    def create_table(self, connection: Connection) -> None:
        """Create the missing tables and indexes, and the secret of the console.

        Existing ones are left as they are. Several workers may call this at the same time.

        Raises:
            ConfigError: There are sealed keys or modes, but `master_keys` is not set, and the secret of the console
                does not exist yet; or the name of the table is too long, or another table of keys would share the
                other tables.
        """
        self.table.create(connection)
        if self._stored_secret(connection) is None:
            self._check_sealing(connection)
            secret = Secret.of(hide(None), "text")
            stored = self._sealing.close(Sealed("setting", _CONSOLE_SECRET), secret)
            insert_new(connection, self.table.settings, name=_CONSOLE_SECRET, value=stored)

    @operation
    def console_secret(self, connection: Connection) -> Hidden[str]:
        """Return the secret that all workers of a console share. Raise `ConfigError` if there is none yet."""
        found = self._stored_secret(connection)
        if found is None:
            raise ConfigError("SqlKeys: there is no secret of the console yet; create_table makes it")
        return self._sealing.open(Sealed("setting", _CONSOLE_SECRET), found).text

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
        to_existing: bool = True,
        note: str = "",
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> NewKey:
        """Add a key to the keys of a tenant. The newest key signs.

        Args:
            tenant: The tenant. Its first key creates it.
            secret: Text in the `form`, or bytes. None makes 32 random bytes, written in the `form`.
            form: "text" (used as UTF-8), "hex", "base64" or "whsec" (used decoded).
            key_id: The key's id; None makes one.
            not_before: Unix seconds from which the key is active; None for no limit.
            not_after: Unix seconds until which it is active; None for no limit.
            mode: The tenant's mode from now on: "enforce", "report" or "off". None does not change it.
            to_existing: False refuses a tenant that exists, also one without keys.
            note: A note for operators, at most 1,000 characters.
            actor: Who makes the change, for the audit.
            origin: From where, for the audit; None is the name of this host.

        Returns:
            The key, with its secret if that was made here.

        Raises:
            ConfigError: An argument is not valid, the tenant has 8 active or future keys, or it exists and
                `to_existing` is False.
        """
        draft = Draft(hide(secret), form, key_id, note, not_before, not_after)
        del secret
        check_tenant(tenant)
        check_flag("SqlKeys: to_existing", to_existing)
        by = Change.by(actor, origin)
        if mode is not None:
            _check_mode(mode)
        is_new = self.table.add_tenant(connection, tenant, self.clock(), self._sealing)
        if not is_new and not to_existing:
            raise ConfigError(f"SqlKeys: the tenant {tenant!r} exists already; add a key to the existing one")
        row, rows = self._known(connection, tenant), self.table.keys_of(connection, tenant)
        new = self._insert(connection, by, "add", tenant, rows, draft, mode=mode)
        if mode is not None:
            self._set_mode(connection, row, mode)
            if not is_new and row.mode != mode:  # Its readiness depends on when its mode changed.
                self._note_mode(connection, by, row, mode)
        return new

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
        while_open: bool = True,
        newest: float | None = None,
        note: str = "",
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> NewKey:
        """Add a new key that signs. The others go on verifying for `grace` seconds.

        The arguments that are not listed are those of `add`.

        Args:
            grace: Seconds until the other keys end, before the year 9999. This should be more than the `ttl` of any
                cache.
            while_open: False refuses the rotation while the old key of an earlier one still verifies.
            newest: The `made_at` of the newest key that the caller knows. A newer one that has not ended refuses the
                rotation. None allows every key.

        Returns:
            The key, with its secret if that was made here.

        Raises:
            ConfigError: As of `add`; also if the tenant is unknown, another key begins only after `grace`, an
                earlier rotation is open, or there is a newer key than `newest`.
        """
        draft = Draft(hide(secret), form, key_id, note)
        del secret
        check_seconds("SqlKeys: grace", grace, zero=True)
        check_flag("SqlKeys: while_open", while_open)
        if newest is not None:
            check_seconds("SqlKeys: newest", newest, zero=True)
        by = Change.by(actor, origin)
        self._known(connection, tenant)
        rows, now = self.table.keys_of(connection, tenant), self.clock()
        end = now + grace
        if end >= NO_END:
            raise ConfigError("SqlKeys: grace must end before the year 9999")
        if not while_open:
            _check_closed(rows, now)
        if newest is not None:
            _check_known(rows, now, newest)
        for row in rows:
            if row.not_after is None or row.not_after > end:
                if row.not_before is not None and row.not_before > end:
                    raise ConfigError(f"SqlKeys: the key {row.id!r} would end before it begins; retire it first")
                self.table.end_key(connection, row, end, self._sealing)
        rows = self.table.keys_of(connection, tenant)
        return self._insert(connection, by, "rotate", tenant, rows, draft, others_end=end)

    @change
    def retire(
        self,
        connection: Connection,
        tenant: str,
        /,
        key_id: str,
        *,
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> None:
        """End a key now. A key that is not active yet is deleted.

        Args:
            tenant: The tenant.
            key_id: The key's id.

        Raises:
            ConfigError: The tenant or the key is unknown.
        """
        by, now = Change.by(actor, origin), self.clock()
        row = self._key(connection, tenant, key_id)
        if row.not_before is not None and row.not_before > now:
            self.table.delete_key(connection, row)
        elif not has_ended(row, now):
            self.table.end_key(connection, row, now, self._sealing)
        self.table.note_change(connection, by, now, tenant, "retire", key=key_id)

    @change
    def set_mode(
        self,
        connection: Connection,
        tenant: str,
        /,
        mode: str | None,
        *,
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> None:
        """Set a tenant's own mode.

        Args:
            tenant: The tenant.
            mode: "enforce", "report", "off", or None to leave it to the guard.

        Raises:
            ConfigError: The mode is not valid, or the tenant is unknown.
        """
        by = Change.by(actor, origin)
        _check_mode(mode)
        row = self._known(connection, tenant)
        self._set_mode(connection, row, mode or GUARD)
        self._note_mode(connection, by, row, mode or GUARD)

    @operation
    def note(
        self,
        connection: Connection,
        tenant: str,
        /,
        key_id: str,
        note: str,
        *,
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> None:
        """Set the note of a key. It is not sealed.

        Args:
            tenant: The tenant.
            key_id: The key's id.
            note: Printable text of at most 1,000 characters; "" removes the note.

        Raises:
            ConfigError: The note is not valid, or the tenant or the key is unknown.
        """
        by = Change.by(actor, origin)
        _check_note(note)
        self.table.update_key(connection, self._key(connection, tenant, key_id), note=note)
        self.table.note_change(connection, by, self.clock(), tenant, "note", key=key_id, note=note)

    @operation
    def signature_shown(
        self,
        connection: Connection,
        tenant: str,
        /,
        scheme: str,
        ids: Mapping[str, str],
        message: bytes,
        *,
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> None:
        """Write into the audit that the actor is shown the right signature for these ids of a tenant.

        Args:
            tenant: The tenant.
            scheme: The name of the scheme.
            ids: The ids.
            message: The signed bytes. They may be more than the ids, so their SHA-256 is written too.

        Raises:
            ConfigError: The tenant is unknown, or `scheme`, `ids` or `message` has a wrong type.
        """
        by = Change.by(actor, origin)
        _check_signed(scheme, ids, message)
        self._known(connection, tenant)
        of = {"scheme": scheme, "ids": dict(ids), "message_sha256": hashlib.sha256(message).hexdigest()}
        self.table.note_change(connection, by, self.clock(), tenant, "signature", **of)

    @operation
    def list(self, connection: Connection, tenant: str | None = None) -> tuple[StoredKey, ...]:
        """Return keys, the newest of a tenant first, without their secrets. For pages, use `tenants`.

        Args:
            tenant: The tenant; None for all tenants.
        """
        return Listing(self.table).all_keys(connection, tenant)

    @operation
    def tenants(
        self,
        connection: Connection,
        *,
        after: str | None = None,
        limit: int = 100,
        prefix: str = "",
        mode: str | None = None,
        ready: bool | None = None,
        used: bool | None = None,
        ending: float | None = None,
    ) -> tuple[StoredTenant, ...]:
        """Return one page of the tenants and their keys, in the order of the bytes of their names.

        Args:
            after: The last tenant of the previous page.
            limit: The most tenants of the page, up to 1,000.
            prefix: How their names begin.
            mode: Their mode: "enforce", "report", "off", or "guard" for those without their own.
            ready: Whether some of their requests of 24 hours were verified and none was refused.
            used: Whether one of their keys has ever verified a counted request.
            ending: One of their keys ends within so many seconds.
        """
        if ending is not None:
            check_seconds("SqlKeys: ending", ending)
        now = self.clock()
        ends = None if ending is None else (now, now + ending)
        listing = Listing(self.table)
        return listing.page(connection, listing.names(after, limit, prefix, mode, ready, used, ends))

    @operation
    def audit(
        self,
        connection: Connection,
        *,
        tenant: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AuditEntry, ...]:
        """Return one page of the changes, the newest first.

        Args:
            tenant: Only changes of this tenant.
            actor: Only changes by this actor.
            action: Only changes of this kind.
            before: The `id` of the last entry of the previous page.
            limit: The most entries of the page, up to 1,000.
        """
        return Listing(self.table).audit(connection, tenant, actor, action, before, limit)

    @in_batches
    def reseal(
        self, connection: Connection, after: str | None, *, actor: str = APPLICATION, origin: str | None = None
    ) -> tuple[int, str | None]:
        """Seal every secret and mode again under the first master key.

        If `allow_clear` is set, this also seals those that are stored in the clear. Each 40 tenants are one
        transaction: what is done stays done.

        Args:
            after: Only the tenants after this one.
            progress: Called after each transaction with the number of secrets so far and the last tenant.

        Returns:
            The number of secrets.

        Raises:
            ConfigError: There are no `master_keys`, or none of them opens a secret.
        """
        if not self._sealing:
            raise ConfigError("SqlKeys: there is nothing to seal with; give master_keys")
        check_texts("SqlKeys", after=after)
        by = Change.by(actor, origin)
        rows = self.table.next_locked(connection, after, BATCH)
        names = [row.name for row in rows]
        modes = [(row.name, self._sealing.open_mode(row.name, row.mode, row.mode_seal)) for row in rows]
        self.table.seal_modes(connection, modes, self._sealing)
        opened = [(sealed_of(key), secret_of(key, self._sealing)) for key in self.table.keys_of_some(connection, names)]
        self.table.seal_secrets(connection, opened, self._sealing)
        count, last = len(opened), names[-1] if names else None
        if last is None:
            self._reseal_settings(connection)
        self.table.note_change(connection, by, self.clock(), "", "reseal", secrets=count, after=after, last=last)
        return count, last

    @in_batches
    def purge(
        self,
        connection: Connection,
        after: str | None,
        *,
        older_than: float,
        actor: str = APPLICATION,
        origin: str | None = None,
    ) -> tuple[int, str | None]:
        """Delete the keys that ended long ago, and the refused requests that `VerdictCounts` stored long ago.

        The requests that they verified stay counted, and the audit names the keys, at most 40 in an entry.

        Args:
            after: Only the keys of tenants after this one.
            older_than: Seconds since the end of a key, or since a refused request, at least a day.
            progress: As of `reseal`.

        Returns:
            The number of deleted keys.

        Raises:
            ConfigError: `older_than` is less than a day.
        """
        check_texts("SqlKeys", after=after)
        check_seconds("SqlKeys: older_than", older_than)
        if older_than < DAY:
            raise ConfigError("SqlKeys: older_than must be at least a day: a look-up reads keys that ended lately")
        by, now, count, last = Change.by(actor, origin), self.clock(), 0, None
        for last in self._names_of_ended(connection, after, now - older_than):
            self.table.locked(connection, last)
            rows = self.table.keys_of(connection, last)
            old = [row.id for row in rows if self.table.delete_ended(connection, row, now - older_than)]
            for start in range(0, len(old), KEYS_OF_ENTRY):
                part = old[start : start + KEYS_OF_ENTRY]
                self.table.note_change(connection, by, now, last, "purge", keys=part)
            count += len(old)
        # Last, when no tenant is locked: this can take long.
        while last is None and delete_older(connection, self.table, now - older_than):
            pass
        return count, last

    def _names_of_ended(self, connection: Connection, after: str | None, moment: float) -> Sequence[str]:
        column = self.table.keys.c
        ended = select(column.tenant).where(column.not_after < moment, column.tenant > (after or "")).distinct()
        return connection.scalars(ended.order_by(column.tenant).limit(BATCH)).all()

    def _reseal_settings(self, connection: Connection) -> None:
        column = self.table.settings.c
        for name, value in connection.execute(select(column.name, column.value)).all():
            sealed = Sealed("setting", name)
            closed = self._sealing.close(sealed, self._sealing.open(sealed, value))
            connection.execute(update(self.table.settings).where(column.name == name).values(value=closed))

    def _known(self, connection: Connection, tenant: str) -> Row[Any]:
        check_tenant(tenant)  # Not every text can be sent to a database.
        row = self.table.locked(connection, tenant)
        if row is None:
            raise ConfigError(f"SqlKeys: there is no tenant {tenant!r}; create it with its first key (add)")
        return row

    def _key(self, connection: Connection, tenant: str, key_id: str) -> Row[Any]:
        self._known(connection, tenant)
        for row in self.table.keys_of(connection, tenant):
            if row.id == key_id:
                return row
        raise ConfigError(f"SqlKeys: the tenant {tenant!r} has no key {key_id!r}; look at the list of its keys")

    def _set_mode(self, connection: Connection, row: Row[Any], mode: str) -> None:
        # Opened for what that refuses: a mode that was sealed, where there is no master key.
        self._sealing.open_mode(row.name, row.mode, row.mode_seal)
        self.table.set_mode(connection, row.name, mode, self._sealing)

    def _note_mode(self, connection: Connection, by: Change, row: Row[Any], mode: str) -> None:
        self.table.note_change(connection, by, self.clock(), row.name, "mode", mode=mode, before=row.mode)

    def _insert(
        self,
        connection: Connection,
        by: Change,
        action: str,
        tenant: str,
        rows: Sequence[Row[Any]],
        draft: Draft,
        **detail: Any,
    ) -> NewKey:
        self._check_sealing(connection)
        now = self.clock()
        key_id = new_id(now) if draft.id is None else draft.id
        secret = Secret.of(draft.secret, draft.form)
        _check_note(draft.note)
        _check_id(key_id)
        _check_room(tenant, key_id, rows, [row for row in rows if not has_ended(row, now)])
        # The newest row is the one that was added last, even if the clocks of two hosts differ.
        made_at = max([now, *(row.made_at + 0.001 for row in rows)])
        sealed = Sealed("key", tenant, key_id, made_at, _moment(draft.not_before), _moment(draft.not_after))
        self._check_is_new(tenant, secret.key(sealed), rows, now)
        closed = self._sealing.close(sealed, secret)
        self.table.insert_key(connection, sealed, secret=closed, made_by=by.actor, note=draft.note)
        times = {"not_before": sealed.not_before, "not_after": sealed.not_after}
        self.table.note_change(connection, by, now, tenant, action, key=key_id, **times, **detail)
        return NewKey(tenant, key_id, secret.text if draft.secret.get() is None else None)

    def _check_is_new(self, tenant: str, key: Key, rows: Sequence[Row[Any]], now: float) -> None:
        """Raise `ConfigError` if a look-up may still read the same key."""
        for row in rows:
            if not has_ended(row, now - 2 * ENDED_LATELY) and are_same(key, key_of(row, self._sealing)):
                ended = ", which has ended" if has_ended(row, now) else ""
                raise ConfigError(
                    f"SqlKeys: the tenant {tenant!r} already has the same key, {row.id!r}{ended}; give another secret"
                )

    def _stored_secret(self, connection: Connection) -> Hidden[str] | None:
        """Return the secret of the console as the table holds it."""
        column = self.table.settings.c
        return connection.scalar(select(column.value).where(column.name == _CONSOLE_SECRET))

    def _check_sealing(self, connection: Connection) -> None:
        """Raise `ConfigError` without a master key if the tables hold what one sealed: no guard would read the key."""
        if not self._sealing and self._are_sealed(connection):
            raise ConfigError(
                "SqlKeys: the secrets in these tables are sealed; give SqlKeys its master_keys, or the commands "
                "HMAC_GUARD_MASTER_KEYS"
            )

    def _are_sealed(self, connection: Connection) -> bool:
        """Return whether the tables were made with a master key, or, if a migration made them, whether one was used."""
        stored = self._stored_secret(connection)
        if stored is not None:
            return is_sealed(stored)
        tenants, keys = self.table.tenants.c, self.table.keys.c
        a_mode = select(tenants.name).where(tenants.mode_seal.is_not(None))
        a_key = select(keys.id).where(func.substr(keys.secret, 1, len(SEALED)) == SEALED)
        return any(connection.execute(sealed.limit(1)).first() for sealed in (a_mode, a_key))


def new_id(now: float) -> str:
    """Return an id for a key that is made at `now` (Unix seconds)."""
    return f"{datetime.fromtimestamp(now, timezone.utc):%Y%m%d}-{secrets.token_hex(4)}"


def _check_room(tenant: str, key_id: str, rows: Sequence[Row[Any]], lasting: Sequence[Row[Any]]) -> None:
    if any(row.id == key_id for row in rows):
        raise ConfigError(f"SqlKeys: the tenant {tenant!r} has a key {key_id!r} already; choose another id")
    if len(lasting) >= MAX_KEYS:
        raise ConfigError(f"SqlKeys: the tenant {tenant!r} has {MAX_KEYS} keys, which is the most; retire one first")


def _check_closed(rows: Sequence[Row[Any]], now: float) -> None:
    """Raise `ConfigError` if an older key ends later while a newer one is active."""
    lasting = [row for row in rows if not has_ended(row, now) and (row.not_before is None or row.not_before <= now)]
    open_until = [row.not_after for row in lasting[1:] if row.not_after is not None]
    if open_until:
        until = datetime.fromtimestamp(max(open_until), timezone.utc)
        raise ConfigError(
            f"SqlKeys: the last rotation is still open, until {until:%Y-%m-%d %H:%M} UTC; end the old key first, or "
            "rotate anyway"
        )


def _check_known(rows: Sequence[Row[Any]], now: float, newest: float) -> None:
    """Raise `NewerKey` if a key that has not ended was added after the newest one that the caller knows."""
    for row in rows:
        if row.made_at > newest and not has_ended(row, now):
            raise NewerKey(f"SqlKeys: the key {row.id!r} was added since you read the keys; look at it first")


def _check_mode(mode: object) -> None:
    if mode is not None and mode not in MODES:
        raise ConfigError('SqlKeys: mode must be "enforce", "report", "off" or None')


def _check_note(note: object) -> None:
    if not isinstance(note, str) or len(note) > MAX_NOTE or (not note.replace("\n", "").isprintable() and note):
        raise ConfigError(f"SqlKeys: note must be printable text of at most {MAX_NOTE:,} characters")


def _check_signed(scheme: object, ids: object, message: object) -> None:
    texts = [scheme, *ids, *ids.values()] if isinstance(ids, Mapping) else [None]
    if not all(isinstance(text, str) for text in texts) or not isinstance(message, bytes):
        raise ConfigError("SqlKeys: signature_shown takes the name of a scheme, a mapping of ids, and the signed bytes")


def _check_id(key_id: object) -> None:
    if not (isinstance(key_id, str) and key_id.isprintable() and key_id.strip()):
        raise ConfigError("SqlKeys: a key's id must be printable text; choose another id")
    if len(key_id.encode()) > MAX_ID:
        raise ConfigError(f"SqlKeys: the key's id is too long; it may have at most {MAX_ID} bytes")


def _moment(given: float | None) -> float | None:
    """Return a time as the database returns it. `Key` refuses what is not a time."""
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return given
    if not 0 <= given < NO_END:
        raise ConfigError("SqlKeys: not_before and not_after must be Unix seconds up to the year 9999, or None")
    return float(given)
