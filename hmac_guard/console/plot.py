"""What was counted by hour, ready to be drawn."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hmac_guard.core.verdict import Reason
from hmac_guard.keys.sql.ledger import NEITHER, NOT_REFUSED
from hmac_guard.keys.sql.listing import HOUR
from hmac_guard.keys.sql.tables import Counted

VERIFIED = Reason.VERIFIED.value

Rows = Sequence[tuple[Counted, int]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour.

    Attributes:
        at: The beginning of the hour, in Unix seconds.
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
    """The hours of a tenant, the oldest first, and the most of one hour."""

    bars: tuple[Bar, ...]
    most: int
    reasons: tuple[str, ...]

    @property
    def verified(self) -> int:
        return sum(bar.verified for bar in self.bars)

    @property
    def refused(self) -> int:
        return sum(bar.refusals for bar in self.bars)


def plot_of(rows: Rows, now: float, hours: int) -> Plot:
    """Return the last hours; those without a request are there as well."""
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
    """Return for each reason of a refusal the beginning of the last hour with one."""
    last: dict[str, float] = {}
    for row, _ in rows:
        if row.reason not in NOT_REFUSED:
            last[row.reason] = max(last.get(row.reason, 0.0), float(row.hour * HOUR))
    return last
