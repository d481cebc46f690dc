"""What an operator sees of what is stored, in pages. No secret is read for it."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, cast, func, select, tuple_, union_all

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden
from hmac_guard.core.key import MODES
from hmac_guard.core.numbers import check_count, check_flag
from hmac_guard.core.text import is_id
from hmac_guard.keys.sql.secret import SEALED
from hmac_guard.keys.sql.store import Store
from hmac_guard.keys.sql.tables import GUARD, MARIADB, MAX_NAME, READY, REFUSED, UNKNOWN, ByteText


class NewKey(Frozen):
    """A new key. No other call returns `secret`: give it to the tenant, then forget it.

    Attributes:
        tenant: The tenant.
        id: The key's id.
        secret: The secret; None if the caller gave it.
    """

    __slots__ = ("_secret", "id", "tenant")

    tenant: str
    id: str
    _secret: Hidden[str] | None

    def __init__(self, tenant: str, id: str, secret: Hidden[str] | None) -> None:
        self._set(tenant=tenant, id=id, _secret=secret)

    def _description(self) -> str:
        return f"NewKey(tenant={self.tenant!r}, id={self.id!r})"

    @property
    def secret(self) -> str | None:
        return None if self._secret is None else self._secret.get()


class StoredKey(NamedTuple):
    """A key as an operator may see it. Times are Unix seconds.

    Attributes:
        tenant: The tenant.
        id: The key's id.
        mode: The tenant's mode; None if the guard's own applies.
        made_at: When it was added.
        not_before: When it begins to be active; None for no limit.
        not_after: When it ends; None for no limit.
        sealed: Whether the secret is stored under a master key.
        made_by: Who added it.
        note: The operator's note.
        last_used: When it last verified a request, as exact as the `every` of `VerdictCounts`.
    """

    tenant: str
    id: str
    mode: str | None
    made_at: float
    not_before: float | None
    not_after: float | None
    sealed: bool
    made_by: str = ""
    note: str = ""
    last_used: float | None = None


class KeyState(NamedTuple):
    """The state of a key: "active", "ending", "scheduled" or "ended", and the Unix time at which it starts or ends."""

    name: str
    at: float | None


def state_of(key: StoredKey, now: float) -> KeyState:
    """Return the state of a key at a Unix time."""
    if key.not_after is not None and key.not_after < now:
        return KeyState("ended", key.not_after)
    if key.not_before is not None and key.not_before > now:
        return KeyState("scheduled", key.not_before)
    return KeyState("active" if key.not_after is None else "ending", key.not_after)


def is_active(key: StoredKey, now: float) -> bool:
    """Return whether a key is valid at a Unix time."""
    return state_of(key, now).name in ("active", "ending")


class StoredTenant(NamedTuple):
    """A tenant, its keys, and the number of its requests in 24 hours. Times are Unix seconds.

    Attributes:
        name: The tenant.
        mode: Its mode; None if the guard's own applies.
        made_at: When it was added.
        verified: The number of verified requests.
        refused: The number of refused requests.
        ready: "ready" if some were verified and none was refused, "refused" if some of both, "unknown" if none was
            verified.
        last_used: When one of its keys last verified a request.
        counted: The end of the hour for which the numbers were computed; None if nothing was counted lately.
        keys: Its keys, the newest first.
    """

    name: str
    mode: str | None
    made_at: float
    verified: int
    refused: int
    ready: str
    last_used: float | None
    counted: float | None
    keys: tuple[StoredKey, ...]


class AuditEntry(NamedTuple):
    """One change in the audit.

    It is as true as the database is: this package only adds entries, and others may write there.

    Attributes:
        id: The number of the entry.
        at: When the change was made, in Unix seconds.
        tenant: The tenant; "" for a change of many.
        actor: Who made the change.
        origin: Where it was made: a host or an address.
        action: What was done.
        detail: The values of the change. If the stored text is not a JSON object, for example because the database has
            cut it off, the text under "unreadable".
    """

    id: int
    at: float
    tenant: str
    actor: str
    origin: str
    action: str
    detail: Mapping[str, Any]


HOUR = 3_600

#: The most items of a page. One statement names all of them, and a database limits its parameters.
MAX_PAGE = 1_000
#: The largest number of a row.
MAX_NUMBER = 2**63 - 1

# A NUL, and half a character.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


# Behind every name that begins with the same text.
_LAST = "\U0010ffff" * 256


class Listing:
    """The statements for pages, and the objects made from their rows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        keys, tenants = store.keys.c, store.tenants.c
        self._keys = (
            select(
                *(column for column in keys if column is not keys.secret),
                (func.substr(keys.secret, 1, len(SEALED)) == SEALED).label("sealed"),
                tenants.mode,
            )
            .join_from(store.keys, store.tenants, keys.tenant == tenants.name)
            .order_by(keys.tenant, keys.made_at.desc(), keys.id.desc())
        )

    def all_keys(self, connection: Connection, tenant: str | None) -> tuple[StoredKey, ...]:
        if isinstance(tenant, str) and not is_id(tenant):
            return ()
        check_texts("SqlKeys", tenant=tenant)
        found = self._keys if tenant is None else self._keys.where(self._store.keys.c.tenant == tenant)
        return tuple(stored_key(row) for row in connection.execute(found) if tenant in (None, row.tenant))

    def names(
        self,
        after: str | None,
        limit: int,
        prefix: str,
        mode: str | None,
        ready: bool | None,
        used: bool | None,
        ends: tuple[float, float] | None,
    ) -> Select[Any]:
        """Return the statement for the names of a page.

        Each combination of mode, readiness and use is one range of an index in the order of the names. So a page costs
        the same even if few tenants match.

        Raises:
            ConfigError: An argument is not valid.
        """
        check_count("SqlKeys: limit", limit)
        check_texts("SqlKeys", after=after, prefix=prefix)
        if mode not in (None, GUARD, *MODES):
            raise ConfigError('SqlKeys: mode must be "enforce", "report", "off", "guard" or None')
        for option, flag in (("ready", ready), ("used", used)):
            if flag is not None:
                check_flag(f"SqlKeys: {option}", flag)
        limit, tenants, keys = min(limit, MAX_PAGE), self._store.tenants, self._store.keys
        if ends is not None:
            ending = select(keys.c.tenant.label("name")).distinct().where(keys.c.not_after.between(*ends))
            ending = _within(ending, keys.c.tenant, after, prefix)
            if (mode, ready, used) != (None, None, None):
                wanted = tuple_(tenants.c.mode, tenants.c.ready, tenants.c.used).in_(_values(mode, ready, used))
                ending = ending.join(tenants, tenants.c.name == keys.c.tenant).where(wanted)
            return ending.order_by(keys.c.tenant).limit(limit)
        if (mode, ready, used) == (None, None, None):
            return _within(select(tenants.c.name), tenants.c.name, after, prefix).order_by(tenants.c.name).limit(limit)
        ranges = []
        for values in _values(mode, ready, used):
            same = [tenants.c[name] == value for name, value in zip(("mode", "ready", "used"), values, strict=True)]
            found = _within(select(tenants.c.name).where(*same), tenants.c.name, after, prefix)
            ranges.append(select(found.order_by(tenants.c.name).limit(limit).subquery().c.name))
        merged = union_all(*ranges).subquery()
        return select(merged.c.name).order_by(merged.c.name).limit(limit)

    def page(self, connection: Connection, names: Select[Any]) -> tuple[StoredTenant, ...]:
        """Return the tenants with these names, and their keys."""
        found = connection.scalars(names).all()
        tenants, keys = self._store.tenants, defaultdict(list)
        for row in connection.execute(self._keys.where(self._store.keys.c.tenant.in_(found))):
            keys[row.tenant].append(stored_key(row))
        rows = connection.execute(select(tenants).where(tenants.c.name.in_(found)).order_by(tenants.c.name))
        return tuple(_stored_tenant(row, tuple(keys[row.name])) for row in rows)

    def audit(
        self,
        connection: Connection,
        tenant: str | None,
        actor: str | None,
        action: str | None,
        before: int | None,
        limit: int,
    ) -> tuple[AuditEntry, ...]:
        check_count("SqlKeys: limit", limit)
        check_texts("SqlKeys", tenant=tenant, actor=actor, action=action)
        audit = self._store.audit.c
        wanted = {audit.tenant: tenant, audit.actor: actor, audit.action: action}
        found = select(self._store.audit)
        for column, value in wanted.items():
            if value is not None:
                found = found.where(*_equals(connection, column, value))
        if before is not None:
            check_number("SqlKeys: before", before)
            found = found.where(audit.id < before)
        rows = connection.execute(found.order_by(audit.id.desc()).limit(min(limit, MAX_PAGE)))
        return tuple(AuditEntry(**{**row._asdict(), "detail": detail_of(row.detail)}) for row in rows)


def check_texts(owner: str, **options: object) -> None:
    """Raise `ConfigError` unless each option is None or text without a NUL and without half a character."""
    for option, text in options.items():
        if text is not None and (not isinstance(text, str) or _NO_TEXT.search(text)):
            raise ConfigError(f"{owner}: {option} must be text that a database can hold")


def check_number(option: str, value: object) -> None:
    """Raise `ConfigError` unless the value can be the id of a row."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_NUMBER:
        raise ConfigError(f"{option} must be the id of an entry, a whole number")


def _equals(connection: Connection, column: Column[str], value: str) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that a column has exactly this value."""
    yield column == value  # An index serves this one.
    if connection.dialect.name in MARIADB:
        # Its usual collations ignore case, accents and white space at the end.
        yield cast(column, ByteText(MAX_NAME)) == value


def detail_of(text: str) -> Mapping[str, Any]:
    """Return the values of a stored change; the text under "unreadable" if it is not a JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"unreadable": text}


def _values(mode: str | None, ready: bool | None, used: bool | None) -> list[tuple[str, str, int]]:
    """Return every wanted combination of mode, readiness and use."""
    modes = [*MODES, GUARD] if mode is None else [mode]
    readiness = {None: [READY, REFUSED, UNKNOWN], True: [READY], False: [REFUSED, UNKNOWN]}[ready]
    return list(product(modes, readiness, [0, 1] if used is None else [int(used)]))


def _within(found: Select[Any], column: Any, after: str | None, prefix: str) -> Select[Any]:
    if after is not None:
        found = found.where(column > after)
    # Compared by bytes, all that begins with the prefix is a range.
    return found.where(column >= prefix, column < prefix + _LAST) if prefix else found


def stored_key(row: Any) -> StoredKey:
    mode = None if row.mode == GUARD else row.mode
    return StoredKey(
        *(row.tenant, row.id, mode, row.made_at, row.not_before, row.not_after),
        sealed=bool(row.sealed),
        made_by=row.made_by,
        note=row.note,
        last_used=row.last_used,
    )


def _stored_tenant(row: Row[Any], keys: tuple[StoredKey, ...]) -> StoredTenant:
    mode = None if row.mode == GUARD else row.mode
    counted = (row.counted + 1.0) * HOUR if row.counted else None
    figures = (row.verified, row.refused, row.ready, row.last_used)
    return StoredTenant(row.name, mode, row.made_at, *figures, counted, keys)
