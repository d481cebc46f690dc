"""What was counted and is not written yet: in memory, and bounded."""

from collections import Counter
from typing import NamedTuple, TypeVar

from hmac_guard.core.verdict import Claim, Decision, Reason
from hmac_guard.keys.sql.tables import MOST_ID, MOST_SCHEME

#: The tenant under which requests are counted that name none, or one that has no keys.
NO_TENANT = ""

#: The most rows that are held between two writes: of tenants that are known to have keys, and of all other names. What
#: is beyond them counts for no tenant.
MOST_KNOWN, MOST_OTHERS = 50_000, 10_000

#: The most tenants that are remembered to have keys, and the most ids of verified and of refused requests.
MOST_TENANTS, MOST_VERIFIED, MOST_REFUSED = 50_000, 50_000, 10_000

#: Only a request whose tenant has keys is judged so.
_JUDGED = frozenset({"verified", "invalid_signature", "expired", "not_yet_valid", "replayed"})


K = TypeVar("K")
V = TypeVar("V")


class Counted(NamedTuple):
    """One row of the table of hours, without its numbers."""

    tenant: str
    hour: int
    scheme: str
    mode: str
    reason: str
    key_id: str

    def without_tenant(self) -> "Counted":
        return self._replace(tenant=NO_TENANT, key_id="")


class Tally:
    """Requests by row, and how many of them state ids that were also verified. Who calls it holds a lock.

    Whether a name is that of a tenant is known for sure only in the database. Until it is asked, a name counts as one
    that has keys if a request for it was judged, or if a tenant's own mode let one through: no client can do that for a
    name that it made up.
    """

    def __init__(self) -> None:
        self.requests: Counter[Counted] = Counter()
        self.known: Counter[Counted] = Counter()
        self.is_full = False
        self._others = 0
        self._tenants: dict[str, None] = {}
        self._verified: dict[int, int] = {}
        self._refused: dict[int, Counter[Counted]] = {}

    def add(self, decision: Decision, hour: int) -> None:
        """Count a decision. One about a request that the guard did not look at is left out, unless the guard is off."""
        verdict, claim = decision.verdict, decision.claim
        if claim is None and verdict.reason is not Reason.OFF:
            return
        tenant = NO_TENANT if claim is None else claim.tenant or NO_TENANT
        reason = verdict.reason.value
        scheme, key_id = _fit(verdict.scheme, MOST_SCHEME), _fit(verdict.key_id or "", MOST_ID)
        row = Counted(tenant, hour, scheme, decision.mode, reason, key_id)
        if tenant and (reason in _JUDGED or verdict.reason is Reason.OFF or verdict.claimed_tenant == tenant):
            self.remember(tenant)
        row = self._count(row, 1)
        if claim is not None and claim.ids and row.tenant:
            self._compare(row, hash((tenant, row.scheme, *sorted(claim.ids.items()))), verdict.verified)

    def remember(self, tenant: str) -> None:
        """A name is that of a tenant."""
        _keep(self._tenants, tenant, None, MOST_TENANTS)

    def is_known(self, claim: Claim | None) -> bool:
        """Whether the name in a claim is known to be that of a tenant."""
        return claim is not None and claim.tenant in self._tenants

    def take(self) -> "tuple[Counter[Counted], Counter[Counted]]":
        """All that was counted, the requests and those of known ids; from now on there is nothing."""
        taken = self.requests, self.known
        self.requests, self.known, self._others, self.is_full = Counter(), Counter(), 0, False
        return taken

    def put_back(self, requests: "Counter[Counted]", known: "Counter[Counted]") -> None:
        """What could not be written."""
        for row, number in requests.items():
            self.known[self._count(row, number)] += known[row]

    def _count(self, row: Counted, number: int) -> Counted:
        """The row under which it counts."""
        if row not in self.requests and row.tenant:
            is_known = row.tenant in self._tenants
            held = len(self.requests) - self._others if is_known else self._others
            if held >= (MOST_KNOWN if is_known else MOST_OTHERS):
                self.is_full = True
                row = row.without_tenant()
            elif not is_known:
                self._others += 1
        self.requests[row] += number
        return row

    def _compare(self, row: Counted, ids: int, verified: bool) -> None:
        """Which refused requests state ids that are also verified, before or after."""
        if verified:
            for refused, number in self._refused.pop(ids, {}).items():
                self.known[refused] += number
                self.requests[refused] += 0
            _keep(self._verified, ids, row.hour, MOST_VERIFIED)
        elif row.hour - self._verified.get(ids, -24) < 24:
            self.known[row] += 1
        else:
            waiting = self._refused.get(ids, Counter())
            waiting[row] += 1
            _keep(self._refused, ids, waiting, MOST_REFUSED)


def _fit(text: str, size: int) -> str:
    """The text, cut to so many bytes."""
    return text if len(text) * 4 <= size else text.encode()[:size].decode(errors="ignore")


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep the newest ones."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]
