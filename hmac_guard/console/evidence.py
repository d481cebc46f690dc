"""What is known of the requests of a tenant, before its mode is changed."""

from dataclasses import dataclass
from typing import Literal

from hmac_guard.console.context import Context
from hmac_guard.console.plot import last_by_reason
from hmac_guard.keys.sql.ledger import Readiness

State = Literal["unknown", "ready", "refused"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The requests of a tenant in the last 24 hours.

    Attributes:
        counted: What was counted.
        last: For each reason of a refusal the beginning of the last hour with one, in Unix seconds.
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
        if self.counted.ready:
            return "ready"
        return "refused" if self.total else "unknown"

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """The reasons, the most frequent first."""
        return sorted(self.counted.refused.items(), key=lambda pair: (-pair[1], pair[0]))


def evidence_of(context: Context, tenant: str) -> Evidence:
    """Return what was counted for a tenant that is there."""
    console = context.console
    rows = console.ledger.readiness(prefix=tenant, limit=1)
    counted = rows[0] if rows and rows[0].tenant == tenant else Readiness(tenant, None, 0, {})
    last = last_by_reason(console.ledger.hours([tenant]))
    return Evidence(counted, last, console.counted_every)
