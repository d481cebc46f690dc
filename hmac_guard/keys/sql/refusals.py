"""The last refused requests of each tenant, for an operator to look at. They never contain a signature."""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select

from hmac_guard.core.text import escaped
from hmac_guard.core.verdict import Decision
from hmac_guard.keys.sql.store import Store
from hmac_guard.keys.sql.tables import MAX_SCHEME, NO_TENANT, fit

#: The most rows of a tenant between two writes, and in the table. Requests that name no tenant of the table share one
#: such share.
MAX_HELD, MAX_STORED = 20, 100
#: The most tenants between two writes: those that are known to have keys, and all other names.
MAX_TENANTS, MAX_OTHERS = 500, 100
#: The most rows in all, and the rows that one statement deletes.
MAX_IN_TOTAL, BATCH = 50_000, 500

_METHOD, _PATH, _DETAIL = 40, 300, 300
#: Stands for an id, or a segment of a path, that has the form of a signature.
LIKE_A_SIGNATURE = "looks like a signature"

# The digests of sha256, sha384 and sha512 as hex, base64 and base64url have at least 43 characters.
_LONG = re.compile(r"[A-Za-z0-9+/_=-]{43}")
# In a path the "/" of base64 stands between segments. Lookaheads, so that one match does not hide another one.
_IN_A_PATH = [
    re.compile(f"(?:(?<=/)|^)(?=((?:[A-Za-z0-9_-]{{1,16}}[=:,])?[A-Za-z0-9+/]{{{size}}}={{0,2}})(?:/|$))")
    for size in (43, 64, 86)
]


class Refusal(NamedTuple):
    """A refused request, as it stated itself. Nothing in it is proven.

    Attributes:
        id: The number of the row; 0 before it is stored.
        at: Unix seconds.
        tenant: The tenant that it named; "" if it named none with keys.
        scheme: The name of the guard's scheme.
        method: The method.
        path: The path, without the query.
        reason: Why it was refused, or would have been.
        detail: The id or place that the reason is about.
        ids: The ids that were found.
    """

    id: int
    at: float
    tenant: str
    scheme: str
    method: str
    path: str
    reason: str
    detail: str
    ids: Mapping[str, str]


class RecentRefusals:
    """The refused requests since the last write, in bounded memory. The caller holds a lock."""

    def __init__(self) -> None:
        self._known: dict[str, deque[Refusal]] = {}
        self._others: dict[str, deque[Refusal]] = {}

    def add(self, decision: Decision, at: float, is_known: Callable[[str], bool]) -> None:
        """Keep a refused request. If a tenant has too many, only its own older ones are dropped."""
        if decision.claim is not None:
            self._keep(_refusal(decision, decision.claim, at), is_known)

    def put_back(self, refusals: Sequence[Refusal], is_known: Callable[[str], bool]) -> None:
        """Keep refusals that could not be written. They are older than those that are held."""
        if refusals:
            for refusal in (*refusals, *self.take()):
                self._keep(refusal, is_known)

    def _keep(self, refusal: Refusal, is_known: Callable[[str], bool]) -> None:
        name = refusal.tenant
        held, most = (self._known, MAX_TENANTS) if is_known(name) else (self._others, MAX_OTHERS)
        if name not in held and len(held) >= most:
            name, held = NO_TENANT, self._others
        held.setdefault(name, deque(maxlen=MAX_HELD)).append(refusal)

    def take(self) -> list[Refusal]:
        """Remove and return all of them, the oldest first."""
        found = [each for held in (self._others, self._known) for some in held.values() for each in some]
        self._known, self._others = {}, {}
        return sorted(found, key=lambda each: each.at)


def insert_refusals(connection: Connection, tables: Store, refusals: Sequence[Refusal], tenants: set[str]) -> None:
    """Write refusals, and delete the oldest ones of each tenant that has too many."""
    rows = [each._replace(tenant=each.tenant if each.tenant in tenants else NO_TENANT) for each in refusals]
    values = [{**row._asdict(), "ids": json.dumps(dict(row.ids))} for row in rows]
    for value in values:
        del value["id"]
    if not values:
        return
    connection.execute(insert(tables.refusals), values)
    column = tables.refusals.c
    for tenant in sorted({row.tenant for row in rows}):
        newest = select(column.id).where(column.tenant == tenant).order_by(column.id.desc())
        last = connection.scalar(newest.offset(MAX_STORED).limit(1))
        if last is not None:
            connection.execute(delete(tables.refusals).where(column.tenant == tenant, column.id <= last))
    last = connection.scalar(select(column.id).order_by(column.id.desc()).offset(MAX_IN_TOTAL).limit(1))
    if last is not None:
        connection.execute(delete(tables.refusals).where(column.id <= last))


def delete_older(connection: Connection, tables: Store, before: float) -> int:
    """Delete some of the refusals that are older than a Unix time. Return their number."""
    column = tables.refusals.c
    oldest = connection.execute(select(column.id, column.at).order_by(column.id).limit(BATCH)).all()
    ids = [row.id for row in oldest if row.at < before]
    if ids:
        connection.execute(delete(tables.refusals).where(column.id.in_(ids)))
    return len(ids)


def refusals_of(
    connection: Connection, tables: Store, tenant: str, before: int | None, limit: int
) -> tuple[Refusal, ...]:
    """Return the refusals of a tenant, the newest first."""
    column = tables.refusals.c
    found = select(tables.refusals).where(column.tenant == tenant)
    if before is not None:
        found = found.where(column.id < before)
    return tuple(map(_of, connection.execute(found.order_by(column.id.desc()).limit(limit))))


def refusal_at(connection: Connection, tables: Store, number: int) -> Refusal | None:
    row = connection.execute(select(tables.refusals).where(tables.refusals.c.id == number)).first()
    return None if row is None else _of(row)


def _of(row: Row[Any]) -> Refusal:
    return Refusal(**{**row._asdict(), "ids": json.loads(row.ids)})


def _refusal(decision: Decision, claim: Any, at: float) -> Refusal:
    verdict = decision.verdict
    return Refusal(
        0,
        at,
        claim.tenant or NO_TENANT,
        fit(verdict.scheme, MAX_SCHEME),
        _shown(claim.method, _METHOD),
        _shown(_without_signatures(claim.path), _PATH),
        verdict.reason.value,
        _shown(LIKE_A_SIGNATURE if _LONG.search(claim.detail) else claim.detail, _DETAIL),
        {name: LIKE_A_SIGNATURE if _LONG.search(text) else text for name, text in claim.ids.items()},
    )


def _without_signatures(path: str) -> str:
    """Return a path without what has the form of a signature, also one with "/" in it, as base64 has."""
    path = path[: 2 * _PATH]
    found = [match.span(1) for pattern in _IN_A_PATH for match in pattern.finditer(path) if _is_mixed(match[1])]
    for start, end in reversed(_merged(found)):
        path = path[:start] + LIKE_A_SIGNATURE + path[end:]
    return "/".join(LIKE_A_SIGNATURE if _LONG.search(segment) else segment for segment in path.split("/"))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of which none overlaps another one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _is_mixed(text: str) -> bool:
    """Return whether a text has capitals, small letters and digits, as a digest in base64 has."""
    return all(re.search(kind, text) for kind in ("[A-Z]", "[a-z]", "[0-9]"))


def _shown(text: str, most: int) -> str:
    return escaped(text[:most])[:most]
