"""What an operator sees of what is stored."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hmac_guard.core.frozen import Frozen
from hmac_guard.core.hidden import Hidden


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
    """A key as an operator may see it. Times are Unix seconds; `last_used` is as exact as `VerdictCounts(every=...)`;
    `mode` is the tenant's, None where the guard's own applies."""

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


class StoredTenant(NamedTuple):
    """A tenant, its keys (the newest first), and how many of its requests were verified and refused in 24 hours.

    `ready`    "ready": all were verified; "refused": some were, and some refused; "unknown": none was verified
    `counted`  the end of the hour for which that was computed, as Unix seconds; None where nothing was counted lately
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
    """One change: who made it (`actor`), from where (`origin`), when (Unix seconds), and what it was. The tenant is ""
    for a change of many. It is as true as the database is: our code only adds entries, and others may write there."""

    id: int
    at: float
    tenant: str
    actor: str
    origin: str
    action: str
    detail: Mapping[str, Any]
