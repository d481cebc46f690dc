"""Counts decisions in memory, within bounds, and writes the counts into the database beside the requests."""

import atexit
import threading
import time
from collections import Counter
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DataError

from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.verdict import Decision, Reason
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.sql.ledger import NOT_REFUSED, VerdictLedger
from hmac_guard.keys.sql.listing import HOUR
from hmac_guard.keys.sql.refusals import RecentRefusals
from hmac_guard.keys.sql.resolver import SqlKeys
from hmac_guard.keys.sql.tables import MAX_ID, MAX_SCHEME, NO_TENANT, Counted, fit
from hmac_guard.keys.threads import check_wait, runs_threads
from hmac_guard.log import FailureLog, logger

#: Seconds for which the end of a process waits for the last write. What a hanging database has not taken then is lost.
LAST_WRITE = 2.0


class VerdictCounts(VerdictLedger):
    """Counts requests by tenant and hour, to show whose mode may become "enforce". Needs the extra `sql`.

    The guard's own mode stays "enforce". The less strict of the guard's mode and the tenant's mode applies, so a guard
    in "report" reports for every tenant.

    `GuardMiddleware` of ASGI calls `close` when the server shuts the application down, and Python calls it when the
    process ends. Call it yourself if neither happens. A refused request does not prove who sent it: every client can
    name any tenant.

    Args:
        keys: The `SqlKeys` of a sync engine. Its tenants are counted, in a table beside theirs.
        every: Seconds between two writes. Requests only count in memory, and go on counting, within bounds, while the
            database cannot be reached. A process that is killed loses the counts since its last write.
        refusals: Hours for which the last refused requests of each tenant are kept for the console: time, method, path
            without the query, reason, and the stated ids, never a signature. None stores none, because ids may be
            personal data, and deletes none: `SqlKeys.purge` does.

    Raises:
        ConfigError: An argument is not valid.

    Example::

        keys = SqlKeys(engine)
        counts = VerdictCounts(keys)
        guard = Guard(scheme, keys, on_decision=counts)

        keys.add("acme", mode="report")     # each tenant that does not sign yet
        keys.set_mode("acme", "enforce")    # when none of its requests would have been refused
    """

    _every: float
    _refusals: float | None
    _failures: FailureLog
    _recent: RecentRefusals
    _lock: threading.Lock
    _starting: threading.Lock
    _writing: threading.Lock
    _tally: "Tally"
    _writer: "Writer | None"
    _due: float | None

    def __init__(self, keys: SqlKeys[Engine], *, every: float = 30.0, refusals: float | None = None) -> None:
        super().__init__(keys)
        check_wait("VerdictCounts: every", every)
        if refusals is not None:
            check_seconds("VerdictCounts: refusals", refusals, unit="hours")
        failures = FailureLog(
            "the database of VerdictCounts", warning="verdicts go on being counted, but cannot be written"
        )
        self._set(_every=every, _refusals=refusals, _failures=failures)
        self._start_from_nothing()
        after_fork(self._start_from_nothing)  # The parent writes what it counted.

    def __call__(self, decision: Decision) -> None:
        check_process()
        hour = int(self._keys.clock()) // HOUR
        with self._lock:
            self._tally.add(decision, hour)
            if self._refusals is not None and decision.verdict.reason.value not in NOT_REFUSED:
                self._recent.add(decision, self._keys.clock(), self._tally.is_known)
        writer = self._writer
        if writer is None:
            self._begin()
        elif self._tally.is_full:
            writer.wake.set()

    def flush(self) -> None:
        """Write the counts. If the database raises, the exception is passed on, and what is not written yet is kept.

        If the database cannot store a value of one refused request, all refused requests of this write are dropped.
        """
        check_process()
        with self._writing:
            with self._lock:
                requests, known = self._tally.take()
                recent = self._recent.take()
            tenants: set[str] = set()
            try:
                if requests or self._not_summed_up:
                    tenants = self.write(requests, known, int(self._keys.clock()) // HOUR)
                if self._refusals is not None:
                    self.write_refusals(recent, HOUR * self._refusals)
                recent = []
            except DataError:
                recent = []  # A row that can never be stored would keep back all later ones.
                raise
            finally:
                with self._lock:
                    self._tally.put_back(requests, known)
                    for tenant in tenants:
                        self._tally.remember(tenant)
                    self._recent.put_back(recent, self._tally.is_known)

    def close(self) -> None:
        """Write the counts, within two seconds, and end the thread that writes. The next request starts it again."""
        check_process()
        writer = self._writer
        self._set(_writer=None)
        if writer is not None:
            writer.stop()
        elif not runs_threads():
            self.write_some(is_last=True)

    def write_some(self, *, is_last: bool) -> None:
        """Write the counts, and bring the figures of some tenants up to date. An exception is logged."""
        with self._failures.logged():
            self.flush()
            if not is_last:
                self.sum_up_stale()

    def _begin(self) -> None:
        """Start the thread that writes. If threads do not run in this process, write here when it is time.

        The thread is not waited for: with gevent, a thread starts only when this one waits.
        """
        if not runs_threads():
            self._write_if_due()
            return
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._writer is None:
                # The lock is made here, since gevent may replace locks after this object was made.
                self._set(_writing=threading.Lock())
                writer = Writer(self, self._every)
                writer.start()
                self._set(_writer=writer)
                self._close_at_exit()
        finally:
            self._starting.release()

    def _write_if_due(self) -> None:
        now, due = time.monotonic(), self._due
        if due is None or now >= due or self._tally.is_full:
            self._set(_due=now + self._every)
            if due is None:
                self._close_at_exit()
            else:
                self.write_some(is_last=False)

    def _close_at_exit(self) -> None:
        atexit.unregister(self.close)
        atexit.register(self.close)

    def _start_from_nothing(self) -> None:
        locks = {name: threading.Lock() for name in ("_lock", "_starting", "_writing")}
        self._set(
            **locks, _tally=Tally(), _recent=RecentRefusals(), _not_summed_up=set[Counted](), _writer=None, _due=None
        )

    def _description(self) -> str:
        return f"VerdictCounts({self._keys!r})"


class Writer(threading.Thread):
    """The thread that writes the counts until it is stopped. A daemon: a hanging database does not keep the process."""

    def __init__(self, counts: VerdictCounts, every: float) -> None:
        super().__init__(name="hmac_guard-counts", daemon=True)
        self.wake = threading.Event()
        self._counts = counts
        self._every = every
        self._must_end = False
        self._has_ended = threading.Event()

    def stop(self) -> None:
        """Have it write once more, and wait for that, up to `LAST_WRITE` seconds."""
        self._must_end = True
        self.wake.set()
        # Not `join`, which misses the end of a thread where gevent has patched late.
        if not self._has_ended.wait(LAST_WRITE):
            logger.warning("the last verdicts are not counted: the database took longer than %.0f s", LAST_WRITE)

    def run(self) -> None:
        is_last = False
        while not is_last:
            self.wake.wait(self._every)
            self.wake.clear()
            is_last = self._must_end
            self._counts.write_some(is_last=is_last)
        self._has_ended.set()


#: The most rows that are held between two writes: of tenants that are known to have keys, and of all other names. What
#: is beyond them counts for no tenant.
MAX_KNOWN, MAX_OTHERS = 50_000, 10_000

#: The most tenants that are remembered to have keys, and the most ids of verified and of refused requests.
MAX_TENANTS, MAX_VERIFIED, MAX_REFUSED = 50_000, 50_000, 10_000

#: Only a request whose tenant has keys gets one of these reasons.
_JUDGED = frozenset({"verified", "invalid_signature", "expired", "not_yet_valid", "replayed"})


K = TypeVar("K")
V = TypeVar("V")


class Tally:
    """The requests by row, and how many of them state ids that were also verified. The caller holds a lock.

    Only the database knows for certain whether a name is a tenant's. Until it is asked, a name counts as a tenant's if
    a signature of it was checked, or if a tenant's own mode let a request through. No client can cause that for an
    unknown name.

    Attributes:
        requests: The number of requests by row.
        known: The number of refused requests whose ids were also verified, by row.
        is_full: Whether requests have been counted without their tenant, because the table of counts is full.
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
        """Count a decision. If the guard did not look at the request, it counts only if the guard is off."""
        verdict, claim = decision.verdict, decision.claim
        if claim is None and verdict.reason is not Reason.OFF:
            return
        tenant = NO_TENANT if claim is None else claim.tenant or NO_TENANT
        reason = verdict.reason.value
        scheme, key_id = fit(verdict.scheme, MAX_SCHEME), fit(verdict.key_id or "", MAX_ID)
        row = Counted(tenant, hour, scheme, decision.mode, reason, key_id)
        if tenant and (reason in _JUDGED or verdict.reason is Reason.OFF or verdict.claimed_tenant == tenant):
            self.remember(tenant)
        row = self._count(row, 1)
        if claim is not None and claim.ids and row.tenant:
            self._compare(row, hash((tenant, row.scheme, *sorted(claim.ids.items()))), verdict.verified)

    def remember(self, tenant: str) -> None:
        """Record that a name is a tenant's."""
        _keep(self._tenants, tenant, None, MAX_TENANTS)

    def is_known(self, name: str) -> bool:
        """Return whether a name is known to be a tenant's."""
        return name in self._tenants

    def take(self) -> "tuple[Counter[Counted], Counter[Counted]]":
        """Remove and return all counts: the requests, and those with known ids."""
        taken = self.requests, self.known
        self.requests, self.known, self._others, self.is_full = Counter(), Counter(), 0, False
        return taken

    def put_back(self, requests: "Counter[Counted]", known: "Counter[Counted]") -> None:
        """Add the counts that could not be written."""
        for row, number in requests.items():
            self.known[self._count(row, number)] += known[row]

    def _count(self, row: Counted, number: int) -> Counted:
        """Count under a row; if the counts are full, under a row without a tenant. Return the row."""
        if row not in self.requests and row.tenant:
            is_known = row.tenant in self._tenants
            held = len(self.requests) - self._others if is_known else self._others
            if held >= (MAX_KNOWN if is_known else MAX_OTHERS):
                self.is_full = True
                row = row.without_tenant()
            elif not is_known:
                self._others += 1
        self.requests[row] += number
        return row

    def _compare(self, row: Counted, ids: int, verified: bool) -> None:
        """Count the refused requests whose ids are also verified, before or after."""
        if verified:
            for refused, number in self._refused.pop(ids, {}).items():
                self.known[refused] += number
                self.requests[refused] += 0
            _keep(self._verified, ids, row.hour, MAX_VERIFIED)
        elif row.hour - self._verified.get(ids, -24) < 24:
            self.known[row] += 1
        else:
            waiting = self._refused.get(ids, Counter())
            waiting[row] += 1
            _keep(self._refused, ids, waiting, MAX_REFUSED)


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep a value, and remove the oldest one if there are too many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]
