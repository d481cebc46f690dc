"""The table of verdicts by tenant: how many requests were verified, and how many were refused, and why."""

import os
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.verdict import Reason
from hmac_guard.keys.sql.resolver import SqlKeys
from hmac_guard.keys.sql.transaction import operation

HOUR = 3_600
DAY = 24

Counts = Counter[tuple[str, str]]

# The tenant under which requests are counted that name none, or one that has no keys.
NOBODY = ""


class Readiness(NamedTuple):
    """How the requests of the last 24 hours that named a tenant were judged; `tenant` is "" for those that named none
    or none that has keys. `refused` is by reason; in the mode "report" these requests went through."""

    tenant: str
    mode: str | None
    verified: int
    refused: Mapping[str, int]

    @property
    def ready(self) -> bool:
        """Whether "enforce" would have refused none of them, and there were some."""
        return self.verified > 0 and not self.refused


class VerdictLedger(Frozen):
    """What was counted of the tenants in `keys`, a `SqlKeys` of a sync engine, in a table beside its own."""

    engine: Engine
    _keys: SqlKeys[Engine]
    _table: Table
    _worker: str

    def __init__(self, keys: SqlKeys[Engine]) -> None:
        if not isinstance(keys, SqlKeys) or keys.asgi_only:
            raise ConfigError(f"{type(self).__name__}: give a SqlKeys of a sync engine; it is written to on a thread")
        self._set(engine=keys.engine, _keys=keys, _table=_table(keys.table.name), _worker=secrets.token_hex(4))

    @operation
    def create_table(self, connection: Connection) -> None:
        """Make the table where there is none."""
        self._table.create(connection, checkfirst=True)

    @operation
    def readiness(self, connection: Connection) -> tuple[Readiness, ...]:
        """Each tenant that has keys, or was counted in the last 24 hours, in the order of their names."""
        columns = self._table.c
        pair = columns.tenant, columns.reason
        recent = select(*pair, func.sum(columns.requests)).where(columns.hour > self._hour() - DAY).group_by(*pair)
        counted: dict[str, dict[str, int]] = {}
        for tenant, reason, requests in connection.execute(recent):
            counted.setdefault(tenant, {})[reason] = int(requests)
        modes = {row.tenant: row.mode for row in reversed(self._keys.table.all_rows(connection))}
        return tuple(_readiness(name, modes.get(name), counted.get(name, {})) for name in sorted({*modes, *counted}))

    @operation
    def write(self, connection: Connection, counted: Counts) -> None:
        """Add to what was counted, by tenant and reason."""
        known = self._keys.table.known(connection, {tenant for tenant, _ in counted})
        sums: Counts = Counter()
        for (tenant, reason), requests in counted.items():
            sums[tenant if tenant in known else NOBODY, reason] += requests
        for (tenant, reason), requests in sums.items():
            self._add(connection, requests, tenant=tenant, reason=reason)
        connection.execute(delete(self._table).where(self._table.c.hour < self._hour() - 2 * DAY))

    def _add(self, connection: Connection, requests: int, **what: str) -> None:
        # Each process has rows of its own, so that no two of them add to one.
        row = {**what, "hour": self._hour(), "worker": f"{self._worker}-{os.getpid()}"}
        columns = self._table.c
        its_row = update(self._table).where(*(columns[name] == value for name, value in row.items()))
        if not connection.execute(its_row.values(requests=columns.requests + requests)).rowcount:
            connection.execute(insert(self._table).values(requests=requests, **row))

    def _hour(self) -> int:
        return int(self._keys.clock()) // HOUR


def _table(beside: str) -> Table:
    return Table(
        f"{beside}_counts",
        MetaData(),
        Column("tenant", String(1024), primary_key=True),
        Column("hour", BigInteger, primary_key=True, autoincrement=False),
        Column("reason", String(32), primary_key=True),
        Column("worker", String(32), primary_key=True),
        Column("requests", BigInteger, nullable=False),
    )


def _readiness(tenant: str, mode: str | None, counted: Mapping[str, int]) -> Readiness:
    refused = {reason: requests for reason, requests in sorted(counted.items()) if reason != Reason.VERIFIED.value}
    return Readiness(tenant, mode, counted.get(Reason.VERIFIED.value, 0), refused)
