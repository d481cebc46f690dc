"""What the pages show of a tenant: its keys, its mode, and its counted requests."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from werkzeug.exceptions import NotFound

from hmac_guard.console.context import Context
from hmac_guard.core.text import is_id
from hmac_guard.core.verdict import Reason
from hmac_guard.keys.sql.ledger import NEITHER, NOT_REFUSED, Readiness
from hmac_guard.keys.sql.listing import HOUR, StoredKey, StoredTenant, is_active, state_of
from hmac_guard.keys.sql.tables import Counted

#: The label and the meaning of each mode. "guard" stands for a tenant without its own mode.
MODES = {
    "off": ("Off", "Requests are not checked. Nothing is verified."),
    "report": (
        "Report",
        "Every request reaches the application. Requests that the mode enforce would refuse are counted.",
    ),
    "enforce": ("Enforce", "A request without a valid signature is answered with 401."),
    "guard": ("Guard's own", "The mode that the application gives to the guard applies."),
}


def open_windows(keys: tuple[StoredKey, ...], now: float) -> list[StoredKey]:
    """Return the keys of a rotation that is still open: they end, and a newer key signs."""
    newest = next((key for key in keys if is_active(key, now)), None)
    return [key for key in keys if state_of(key, now).name == "ending" and key is not newest]


def tenant_of(context: Context, name: str) -> StoredTenant:
    """Return a tenant.

    Raises:
        NotFound: There is none of that name.
    """
    found: Any = context.console.keys.tenants(prefix=name, limit=1) if is_id(name) else ()
    if not found or found[0].name != name:
        raise NotFound(f"There is no tenant {name!r}.")
    tenant: StoredTenant = found[0]
    return tenant


def key_of(tenant: StoredTenant, key_id: str) -> StoredKey:
    """Return a key of a tenant.

    Raises:
        NotFound: It has no such key.
    """
    for key in tenant.keys:
        if key.id == key_id:
            return key
    raise NotFound(f"The tenant {tenant.name!r} has no key {key_id!r}.")


def cache_note(context: Context) -> str:
    """Return the sentence that says when workers with a cache see a change."""
    cache = context.console.cache
    ttl = f"{cache._entries._ttl:g} seconds" if cache is not None else "60 seconds unless you chose another one"
    return (
        "Workers that keep keys in a cache see a change within the ttl of their CachedKeys "
        f"({ttl}), and at once with RedisInvalidation."
    )


State = Literal["unknown", "unchecked", "ready", "refused"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The requests of a tenant in the last 24 hours.

    Attributes:
        counted: The counts of verified and refused requests.
        last: For each reason of a refusal the start of the last hour in which it occurred, in Unix seconds.
        every: Seconds between two writes of the counter, if it is known.
    """

    counted: Readiness
    last: dict[str, float]
    every: float | None

    @property
    def refused(self) -> int:
        return sum(self.counted.refused.values())

    @property
    def total(self) -> int:
        return self.counted.verified + self.refused

    @property
    def state(self) -> State:
        if self.refused:
            return "refused"
        if self.counted.ready:
            return "ready"
        return "unchecked" if self.counted.unchecked else "unknown"

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """The reasons, the most frequent first."""
        return sorted(self.counted.refused.items(), key=lambda pair: (-pair[1], pair[0]))


def evidence_of(context: Context, tenant: str) -> Evidence:
    """Return what was counted for a tenant."""
    console = context.console
    rows = console.ledger.readiness(prefix=tenant, limit=1)
    counted = rows[0] if rows and rows[0].tenant == tenant else Readiness(tenant, None, 0, {})
    last = last_by_reason(console.ledger.hours([tenant]))
    return Evidence(counted, last, console.counted_every)


VERIFIED = Reason.VERIFIED.value

Rows = Sequence[tuple[Counted, int]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour.

    Attributes:
        at: The start of the hour, in Unix seconds.
        verified: How many requests were verified.
        refused: How many were refused, by reason.
    """

    at: float
    verified: int
    refused: Mapping[str, int]

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())

    @property
    def total(self) -> int:
        return self.verified + self.refusals


@dataclass(frozen=True, slots=True)
class Plot:
    """The hours of a tenant, the oldest first.

    Attributes:
        bars: The hours.
        highest: The number of requests in the hour with the most of them.
        reasons: The reasons of the refusals, in alphabetical order.
    """

    bars: tuple[Bar, ...]
    highest: int
    reasons: tuple[str, ...]

    @property
    def verified(self) -> int:
        return sum(bar.verified for bar in self.bars)

    @property
    def refused(self) -> int:
        return sum(bar.refusals for bar in self.bars)


def plot_of(rows: Rows, now: float, hours: int) -> Plot:
    """Return the last hours, also those without a request."""
    verified: Counter[int] = Counter()
    refused: dict[int, Counter[str]] = defaultdict(Counter)
    for row, number in rows:
        if row.reason == VERIFIED:
            verified[row.hour] += number
        elif row.reason not in NEITHER:
            refused[row.hour][row.reason] += number
    last = int(now) // HOUR
    bars = tuple(
        Bar(float(hour * HOUR), verified[hour], dict(refused[hour])) for hour in range(last - hours + 1, last + 1)
    )
    reasons = sorted({reason for bar in bars for reason in bar.refused})
    return Plot(bars, max((bar.total for bar in bars), default=0), tuple(reasons))


def by_tenant(rows: Rows, names: Iterable[str], now: float, hours: int) -> dict[str, Plot]:
    """Return the hours of each of these tenants."""
    of: dict[str, list[tuple[Counted, int]]] = defaultdict(list)
    for row, number in rows:
        of[row.tenant].append((row, number))
    return {name: plot_of(of[name], now, hours) for name in names}


def by_key(rows: Rows) -> Counter[str]:
    """Return how many requests each key has verified, by its id."""
    counted: Counter[str] = Counter()
    for row, number in rows:
        if row.reason == VERIFIED:
            counted[row.key_id] += number
    return counted


def last_by_reason(rows: Rows) -> dict[str, float]:
    """Return for each reason of a refusal the start of the last hour in which it occurred, in Unix seconds."""
    last: dict[str, float] = {}
    for row, _ in rows:
        if row.reason not in NOT_REFUSED:
            last[row.reason] = max(last.get(row.reason, 0.0), float(row.hour * HOUR))
    return last
