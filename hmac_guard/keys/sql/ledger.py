"""The number of requests by tenant and hour: verified, and refused by reason."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Text,
    TextClause,
    any_,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.exc import DBAPIError

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.frozen import Frozen
from hmac_guard.core.key import MODES
from hmac_guard.core.numbers import check_count
from hmac_guard.core.verdict import NOT_CHECKED, Reason
from hmac_guard.keys.sql.listing import HOUR, MAX_PAGE, Listing, check_number, check_texts, detail_of
from hmac_guard.keys.sql.refusals import Refusal, delete_older, insert_refusals, refusal_at, refusals_of
from hmac_guard.keys.sql.resolver import SqlKeys
from hmac_guard.keys.sql.store import Store
from hmac_guard.keys.sql.tables import GUARD, NO_TENANT, READY, REFUSED, UNKNOWN, Counted, database_now
from hmac_guard.keys.sql.transaction import operation, pause

#: Hours for which a tenant's figures are summed up, and for which requests are kept.
DAY, KEPT = 24, 31 * 24

#: The rows of one statement, and the seconds after which a transaction takes no further statement.
ROWS, LONG_ENOUGH = 200, 0.5

#: Verdicts that are neither a success nor a refusal.
NEITHER = tuple(reason.value for reason in NOT_CHECKED)
#: Every other reason is that of a refusal.
NOT_REFUSED = (Reason.VERIFIED.value, *NEITHER)

T = TypeVar("T")


class Readiness(NamedTuple):
    """The verdicts of the last 24 hours on the requests that named a tenant.

    Attributes:
        tenant: The tenant; "" for requests that named none, or none with keys.
        mode: The tenant's own mode; None if the guard's applies.
        verified: The number of verified requests.
        refused: The number of refused requests by reason. In the mode "report" they went through. Every client can
            cause a refusal.
        known: The least number of refused requests that state ids which were also verified, as one process has seen it.
        applied: The mode that applied lately. If the guard's own is less strict than the tenant's, it is the guard's.
            None if no request since the last change of the tenant's mode shows it.
        unchecked: The number of requests that were not checked, since the mode was "off".
    """

    tenant: str
    mode: str | None
    verified: int
    refused: Mapping[str, int]
    known: int = 0
    applied: str | None = None
    unchecked: int = 0

    @property
    def ready(self) -> bool:
        """Whether requests were checked, and "enforce" would have refused none of them."""
        return self.verified > 0 and not self.refused

    @property
    def guard_is_less_strict(self) -> bool:
        """Whether the guard's own mode is less strict than the tenant's, and the tenant's does not apply."""
        return None not in (self.mode, self.applied) and MODES.index(str(self.applied)) > MODES.index(str(self.mode))


class VerdictLedger(Frozen):
    """The counts of the tenants of a `SqlKeys`.

    Args:
        keys: The `SqlKeys` of a sync engine.

    Raises:
        ConfigError: `keys` is something else.
    """

    engine: Engine
    _keys: SqlKeys[Engine]
    _store: Store
    #: Written rows whose tenants' figures are not up to date yet. The hours do not matter.
    _not_summed_up: set[Counted]

    def __init__(self, keys: SqlKeys[Engine]) -> None:
        if not isinstance(keys, SqlKeys) or keys.asgi_only:
            raise ConfigError(f"{type(self).__name__}: give a SqlKeys of a sync engine; it is written to on a thread")
        self._set(engine=keys.engine, _keys=keys, _store=keys.table, _not_summed_up=set())

    def readiness(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        prefix: str = "",
        mode: str | None = None,
        ready: bool | None = None,
        used: bool | None = None,
    ) -> tuple[Readiness, ...]:
        """Return how ready each tenant is for "enforce", in the order of the bytes of their names.

        The options are those of `SqlKeys.tenants`; without a `limit`, all tenants are returned. Without any option, the
        first item is about the requests that named no tenant with keys, if there were any. With `ready`, the figures of
        earlier hours are computed again first.
        """
        if limit is not None:
            check_count("VerdictLedger: limit", limit)
        if ready is not None:
            # The statement looks at the figures, which are of the last hour in which a worker wrote. A user of the
            # database that may only read gets them as they are.
            with suppress(DBAPIError):
                self.sum_up_stale()
        return self._page_of_readiness(after, limit, prefix, mode, ready, used)

    @operation
    def _page_of_readiness(
        self,
        connection: Connection,
        after: str | None,
        limit: int | None,
        prefix: str,
        mode: str | None,
        ready: bool | None,
        used: bool | None,
    ) -> tuple[Readiness, ...]:
        listing, found = Listing(self._store), []
        if (after, prefix, mode, ready, used) == (None, "", None, None, None):
            found += [row for row in self._readiness(connection, {NO_TENANT: None}) if row.refused or row.verified]
        while True:
            names = listing.names(after, limit or MAX_PAGE, prefix, mode, ready, used, None)
            column = self._store.tenants.c
            page = select(column.name, column.mode).where(column.name.in_(connection.scalars(names).all()))
            modes = {row.name: row.mode for row in connection.execute(page.order_by(column.name))}
            found += self._readiness(connection, modes)
            if limit is not None or len(modes) < MAX_PAGE:
                return tuple(found)
            after = list(modes)[-1]

    def _readiness(self, connection: Connection, modes: Mapping[str, str | None]) -> Iterable[Readiness]:
        """Return the tenants of these modes, in their order."""
        column = self._store.hours.c
        group = column.tenant, column.mode, column.reason
        sums = select(*group, func.sum(column.requests), func.sum(column.known), func.max(column.hour))
        recent = column.hour > self._hour(connection) - DAY
        counted: dict[str, list[Any]] = defaultdict(list)
        for row in connection.execute(sums.where(column.tenant.in_(modes), recent).group_by(*group)):
            counted[row.tenant].append(row)
        found = [_readiness_of(name, mode, counted[name]) for name, mode in modes.items()]
        changes = self._changes_of_mode(connection, [row.tenant for row in found if row.guard_is_less_strict])
        return [
            row._replace(applied=_applied(counted[row.tenant], changes[row.tenant])) if row.tenant in changes else row
            for row in found
        ]

    def _changes_of_mode(self, connection: Connection, tenants: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
        """Return the changes of the modes of tenants that can be read: the hour, and the mode before."""
        changes: dict[str, list[tuple[int, str]]] = defaultdict(list)
        audit = self._store.audit.c
        noted = select(audit.tenant, audit.at, audit.detail).where(audit.tenant.in_(tenants), audit.action == "mode")
        for row in connection.execute(noted) if tenants else ():
            detail = detail_of(row.detail)
            if "before" in detail:
                changes[row.tenant].append((int(row.at) // HOUR, detail["before"]))
        return changes

    @operation
    def hours(
        self, connection: Connection, tenants: Collection[str], hours: int = DAY
    ) -> tuple[tuple[Counted, int], ...]:
        """Return the number of requests in each of the last hours, by scheme, mode, reason and key.

        Args:
            tenants: The tenants to count for.
            hours: The number of hours, at most those of 31 days. In the result an hour is its number since 1970.

        Raises:
            ConfigError: An argument is not valid.
        """
        if isinstance(tenants, str) or not isinstance(tenants, Collection):
            raise ConfigError("VerdictLedger: tenants must be a list of texts")
        for tenant in tenants:
            check_texts("VerdictLedger", tenants=tenant)
        check_count("VerdictLedger: hours", hours)
        column = self._store.hours.c
        recent = column.hour > self._hour(connection) - min(hours, KEPT)
        wanted = select(self._store.hours).where(column.tenant.in_(tenants), recent)
        rows = connection.execute(wanted.order_by(column.tenant, column.hour))
        return tuple((Counted(*row[:6]), int(row.requests)) for row in rows)

    @operation
    def refusals(
        self, connection: Connection, tenant: str, *, before: int | None = None, limit: int = 100
    ) -> tuple[Refusal, ...]:
        """Return the last refused requests of a tenant, the newest first. Nothing in them is proven.

        Args:
            tenant: The tenant; "" for the requests that named none with keys.
            before: The `id` of the last item of the previous page.
            limit: The most items, up to 1,000.

        Raises:
            ConfigError: An argument is not valid.
        """
        check_texts("VerdictLedger", tenant=tenant)
        check_count("VerdictLedger: limit", limit)
        if before is not None:
            check_number("VerdictLedger: before", before)
        return refusals_of(connection, self._store, tenant, before, min(limit, MAX_PAGE))

    @operation
    def refusal(self, connection: Connection, number: int) -> Refusal | None:
        """Return the refused request with this number, or None.

        Raises:
            ConfigError: The argument is not a whole number.
        """
        check_number("VerdictLedger: number", number)
        return refusal_at(connection, self._store, number)

    @operation
    def write_refusals(self, connection: Connection, refusals: Sequence[Refusal], kept: float) -> None:
        """Write refused requests, and delete some that are older than `kept` seconds by this host's clock."""
        insert_refusals(connection, self._store, refusals, self._which(connection, {each.tenant for each in refusals}))
        delete_older(connection, self._store, self._keys.clock() - kept)

    def write(self, requests: "Counter[Counted]", known: "Counter[Counted]", hosts_hour: int) -> set[str]:
        """Add counts, and bring the figures of the tenants up to date.

        What is written is removed from `requests` and `known`. The rest was not written, except if a connection was
        lost at a commit: then it may have been. If the figures fail, the next call brings them up to date.

        Args:
            requests: The number of requests by row.
            known: The number of them with known ids, by row.
            hosts_hour: The present hour of this host. The hours of the rows are moved by its difference from the
                database's.

        Returns:
            The tenants that have keys.
        """
        hour, tenants = self._hour_and_tenants({row.tenant for row in requests})
        rows: dict[Counted, list[Counted]] = defaultdict(list)
        for row in requests:
            there = row if row.tenant in tenants else row.without_tenant()
            rows[there._replace(hour=min(max(row.hour + hour - hosts_hour, hour - KEPT + 1), hour))].append(row)

        def add(connection: Connection, part: Sequence[Counted]) -> None:
            numbers = (
                {
                    "requests": sum(requests[each] for each in rows[row]),
                    "known": sum(known[each] for each in rows[row]),
                }
                for row in part
            )
            values = [row._asdict() | number for row, number in zip(part, numbers, strict=True)]
            connection.execute(_upsert(self._store, connection.dialect), {"rows": json.dumps(values)})

        def done(part: Sequence[Counted]) -> None:
            for row in part:
                if row.tenant:
                    self._not_summed_up.add(row._replace(hour=0))
                for each in rows[row]:
                    del requests[each], known[each]

        # In the order of the table, so that two workers never wait for each other.
        self._in_parts(sorted(rows), add, done)
        self._sum_up(self._not_summed_up, hour)
        self._not_summed_up.clear()
        return tenants

    @operation
    def _hour_and_tenants(self, connection: Connection, names: Collection[str]) -> tuple[int, set[str]]:
        return self._hour(connection), self._which(connection, names)

    def _sum_up(self, rows: Iterable[Counted], hour: int) -> None:
        """Bring the figures of the tenants and keys in these rows up to date."""
        tenants = sorted({row.tenant for row in rows})
        keys: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row.reason == Reason.VERIFIED.value:
                keys[row.tenant].add(row.key_id)

        def refresh(connection: Connection, part: Sequence[str]) -> None:
            self._lock_tenants(connection, part)
            self._compute(connection, part, hour)
            used = [name for name in part if name in keys]
            if used:
                column, key = self._store.tenants.c, self._store.keys.c
                last = {"last_used": database_now()}
                connection.execute(
                    update(self._store.tenants).where(_among(connection, (column.name,), used)).values(**last, used=1)
                )
                pairs = [(key_id, name) for name in used for key_id in sorted(keys[name])]
                for start in range(0, len(pairs), ROWS):
                    these = _among(connection, (key.id, key.tenant), pairs[start : start + ROWS])
                    connection.execute(update(self._store.keys).where(these).values(**last))

        self._in_parts(tenants, refresh)

    def sum_up_stale(self, most: float = 1.0) -> int:
        """Compute the figures of earlier hours again, and delete rows that are older than 31 days.

        Two workers never compute the figures of one tenant at the same time.

        Args:
            most: The most seconds that this takes.

        Returns:
            The number of tenants.
        """
        until, count = time.monotonic() + most, 0
        while time.monotonic() < until:
            computed, has_worked, is_done = self._sum_up_some_stale()
            count += computed
            if is_done:
                break
            if not has_worked:
                time.sleep(pause())  # Other workers hold the rest.
        return count

    @operation
    def _sum_up_some_stale(self, connection: Connection) -> tuple[int, bool, bool]:
        """Return how many tenants were computed, whether this has done something, and whether nothing is left to do."""
        column, hour = self._store.tenants.c, self._hour(connection)
        stale = select(column.name).where(column.counted > 0, column.counted < hour).order_by(column.counted)
        names = connection.scalars(stale.limit(ROWS).with_for_update(skip_locked=True)).all()
        computed = self._compute(connection, names, hour, column.counted < hour) if names else 0
        if self._delete_old(connection, hour) or names:
            return computed, True, False
        # This look takes no lock: in MariaDB another worker may hold rows for a moment, and not compute them.
        return 0, False, connection.scalar(stale.limit(1)) is None

    def _compute(self, connection: Connection, names: Sequence[str], hour: int, *where: ColumnElement[bool]) -> int:
        tenants, hours = self._store.tenants, self._store.hours.c
        recent = (hours.tenant == tenants.c.name) & (hours.hour > hour - DAY)

        def sums(*which: ColumnElement[bool]) -> Any:
            total = func.coalesce(func.sum(hours.requests), 0)
            return select(cast(total, BigInteger)).where(recent, *which).scalar_subquery()

        verified = hours.reason == Reason.VERIFIED.value
        refused = hours.reason.not_in(NOT_REFUSED)
        here = update(tenants).where(_among(connection, (tenants.c.name,), names), *where)
        # In two statements, since databases differ in what the second column of one sees of the first.
        # What is counted says which rows are done: it is written last.
        connection.execute(here.values(verified=sums(verified), refused=sums(refused)))
        none = (tenants.c.verified == 0) & (tenants.c.refused == 0)
        ready = case((tenants.c.verified == 0, UNKNOWN), (tenants.c.refused == 0, READY), else_=REFUSED)
        return connection.execute(here.values(ready=ready, counted=case((none, 0), else_=hour))).rowcount

    def _lock_tenants(self, connection: Connection, names: Sequence[str]) -> None:
        column = self._store.tenants.c.name
        these = _among(connection, (column,), names)
        connection.execute(select(column).where(these).order_by(column).with_for_update())

    def _delete_old(self, connection: Connection, hour: int) -> int:
        key = tuple(self._store.hours.primary_key.columns)
        old = select(*key).where(self._store.hours.c.hour <= hour - KEPT).limit(ROWS)
        rows = [tuple(row) for row in connection.execute(old)]
        if rows:
            connection.execute(delete(self._store.hours).where(tuple_(*key).in_(rows)))
        return len(rows)

    def _in_parts(
        self,
        items: Sequence[T],
        work: Callable[[Connection, Sequence[T]], None],
        done: Callable[[Sequence[T]], None] = lambda part: None,
    ) -> None:
        """Do the work for so many items at a time, in transactions that end when they have taken long enough.

        `done` is called with the items that are committed.
        """
        start = 0
        while start < len(items):
            end = self._do_some(items, start, work)
            done(items[start:end])
            start = end

    @operation
    def _do_some(
        self, connection: Connection, items: Sequence[T], start: int, work: Callable[[Connection, Sequence[T]], None]
    ) -> int:
        """Do the work for some of the items. Return where the next ones begin."""
        started, end = time.monotonic(), start
        while end == start or (end < len(items) and time.monotonic() - started < LONG_ENOUGH):
            work(connection, items[end : end + ROWS])
            end += ROWS
        return end

    def _which(self, connection: Connection, names: Collection[str]) -> set[str]:
        """Return the names that are tenants'."""
        column, wanted, found = self._store.tenants.c.name, iter(names), set[str]()
        while some := list(islice(wanted, ROWS)):
            found.update(connection.scalars(select(column).where(_among(connection, (column,), some))))
        return found.intersection(names)

    def _hour(self, connection: Connection) -> int:
        """Return the present hour by the database's clock."""
        return int(connection.scalar(select(database_now())) or 0) // HOUR


def _readiness_of(tenant: str, mode: str | None, rows: Sequence[Any]) -> Readiness:
    verified, known, unchecked, refused = 0, 0, 0, Counter[str]()
    for _, _, reason, requests, of_known, _ in rows:
        if reason == Reason.VERIFIED.value:
            verified += int(requests)
        elif reason == Reason.OFF.value:
            unchecked += int(requests)
        elif reason not in NEITHER:
            refused[reason] += int(requests)
            known += int(of_known)
    own = None if mode == GUARD else mode
    return Readiness(tenant, own, verified, dict(sorted(refused.items())), known, _applied(rows, ()), unchecked)


def _applied(rows: Sequence[Any], changes: Collection[tuple[int, str]]) -> str | None:
    """Return the mode that applied lately, by rows that are not from before a change of the tenant's own mode.

    Such a row has the mode before the change, and an hour up to that of the change.
    """
    certain = [row for row in rows if not any(row.mode == mode and row[-1] <= hour for hour, mode in changes)]
    last = max(certain, key=lambda row: (row[-1], MODES.index(row.mode)), default=None)
    return last.mode if last is not None else None


def _among(connection: Connection, columns: tuple[Any, ...], values: Sequence[Any]) -> Any:
    """Return the condition that the columns are among these values.

    psycopg gets an array as one parameter: each parameter costs it as much as many rows cost PostgreSQL.
    """
    if connection.dialect.name != "postgresql":
        return (tuple_(*columns) if len(columns) > 1 else columns[0]).in_(values)
    lists = [list(values)] if len(columns) == 1 else [list(each) for each in zip(*values, strict=True)]
    arrays = [literal(each, ARRAY(Text)) for each in lists]
    if len(columns) == 1:
        return columns[0] == any_(arrays[0])
    found = func.unnest(*arrays).table_valued(*(column.name for column in columns)).render_derived()
    return tuple_(*columns).in_(select(*found.c))


def _upsert(store: Store, dialect: Dialect) -> TextClause:
    """Return a statement that adds rows to the stored ones. It takes the rows as one parameter in JSON."""
    columns, quote = store.hours.columns, dialect.identifier_preparer.quote
    table, names = quote(store.hours.name), [quote(column.name) for column in columns]
    key = ", ".join(quote(column.name) for column in store.hours.primary_key)
    added = [quote(column.name) for column in columns if not column.primary_key]
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in added)
    then = f"ON CONFLICT ({key}) DO UPDATE SET {sums}"
    if dialect.name == "postgresql":
        typed = ", ".join(f"{name} {_kind(column, 'text')}" for name, column in zip(names, columns, strict=True))
        chosen, source = names, f"json_to_recordset(CAST(:rows AS json)) AS found({typed})"
    elif dialect.name == "sqlite":
        chosen = [f"json_extract(value, '$.{column.name}')" for column in columns]
        source = "json_each(:rows) WHERE true"
    else:
        typed = ", ".join(
            f"{name} {_kind(column, 'VARCHAR(1024) CHARACTER SET utf8mb4')} PATH '$.{column.name}'"
            for name, column in zip(names, columns, strict=True)
        )
        chosen, source = [f"found.{name}" for name in names], f"JSON_TABLE(:rows, '$[*]' COLUMNS({typed})) AS found"
        then = "ON DUPLICATE KEY UPDATE " + ", ".join(f"{name} = {table}.{name} + VALUES({name})" for name in added)
    rows = f"SELECT {', '.join(chosen)} FROM {source}"  # noqa: S608 - our own names
    return text(f"INSERT INTO {table} ({', '.join(names)}) {rows} {then}")


def _kind(column: Column[Any], of_text: str) -> str:
    return "bigint" if isinstance(column.type, BigInteger) else of_text
