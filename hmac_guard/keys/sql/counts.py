"""Counts decisions beside the requests."""

import atexit
import threading
import time

from sqlalchemy import Engine

from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.verdict import Decision
from hmac_guard.forking import after_fork, check_process
from hmac_guard.keys.sql.ledger import NOT_REFUSED, VerdictLedger
from hmac_guard.keys.sql.listing import HOUR
from hmac_guard.keys.sql.refusals import RecentRefusals
from hmac_guard.keys.sql.resolver import SqlKeys
from hmac_guard.keys.sql.tally import Tally
from hmac_guard.keys.threads import runs_threads
from hmac_guard.log import logger, where

#: Seconds for which the end of a process waits for the last write. What a hanging database has not taken then is lost.
LAST_WRITE = 2.0


class VerdictCounts(VerdictLedger):
    """Counts requests by tenant and hour, so that an operator sees whose mode may become "enforce". Needs the extra
    `sql`.

        keys = SqlKeys(engine)
        counts = VerdictCounts(keys)
        guard = Guard(scheme, keys, on_decision=counts)

        keys.add("acme", mode="report")     # each tenant that does not sign yet
        keys.set_mode("acme", "enforce")    # when none of its requests would have been refused

    The guard's own mode stays "enforce": the laxer of the guard's mode and the tenant's applies, so that a guard in
    "report" would report for every tenant.

    `keys`   the `SqlKeys` of a sync engine, whose tenants are counted, in a table beside theirs
    `every`  seconds between two writes. Requests only count in memory; while the database is away they go on counting,
             up to a bound. A process that is killed loses what it counted since its last write
    `refusals`  hours for which the last refused requests of each tenant are kept, for the console: time, method, path
             without the query, reason, and the ids as stated, never a signature. None keeps none, since ids may be
             personal data

    `GuardMiddleware` of ASGI calls `close` when the server shuts the application down, and Python when the process
    ends; call it yourself where neither happens. A refused request does not prove who sent it: every client can name
    any tenant. Raises `ConfigError`.
    """

    _every: float
    _refusals: float | None
    _recent: RecentRefusals
    _lock: threading.Lock
    _starting: threading.Lock
    _writing: threading.Lock
    _tally: Tally
    _writer: "Writer | None"
    _due: float | None

    def __init__(self, keys: SqlKeys[Engine], *, every: float = 30.0, refusals: float | None = None) -> None:
        super().__init__(keys)
        check_seconds("VerdictCounts: every", every)
        if refusals is not None:
            check_seconds("VerdictCounts: refusals", refusals)
        self._set(_every=every, _refusals=refusals)
        self._start_from_nothing()
        after_fork(self._start_from_nothing)  # The parent writes what it counted.

    def __call__(self, decision: Decision) -> None:
        check_process()
        hour = int(self._keys.clock()) // HOUR
        with self._lock:
            self._tally.add(decision, hour)
            if self._refusals is not None and decision.verdict.reason.value not in NOT_REFUSED:
                self._recent.add(decision, self._keys.clock(), is_known=self._tally.is_known(decision.claim))
        writer = self._writer
        if writer is None:
            self._begin()
        elif self._tally.is_full:
            writer.wake.set()

    def flush(self) -> None:
        """Write what was counted. Raises what the database raises; what is not written then is kept."""
        with self._writing:
            with self._lock:
                requests, known = self._tally.take()
                recent = self._recent.take()
            tenants: set[str] = set()
            try:
                if requests:
                    tenants = self.write(requests, known, int(self._keys.clock()) // HOUR)
            finally:
                with self._lock:
                    self._tally.put_back(requests, known)
                    for tenant in tenants:
                        self._tally.remember(tenant)
            if self._refusals is not None:
                self.write_refusals(recent, HOUR * self._refusals)

    def close(self) -> None:
        """Write what was counted, within two seconds, and end the thread that writes. Counting begins again with the
        next request."""
        check_process()
        writer = self._writer
        self._set(_writer=None)
        if writer is not None:
            writer.stop()
        elif not runs_threads():
            self.write_some(is_last=True)

    def write_some(self, *, is_last: bool) -> None:
        """Write what was counted, and bring the figures of some tenants up to date. Raises nothing."""
        try:
            self.flush()
            if not is_last:
                self.sum_up_stale()
        except Exception as error:
            logger.warning("verdicts go on being counted, but cannot be written: %s", where(error))

    def _begin(self) -> None:
        """Start the thread that writes. It is not waited for: with gevent, a thread starts only once this one waits.
        Where no threads run, write on this one when it is time."""
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
        self._set(**locks, _tally=Tally(), _recent=RecentRefusals(), _writer=None, _due=None)

    def __repr__(self) -> str:
        return f"VerdictCounts({self._keys!r})"


class Writer(threading.Thread):
    """Writes what was counted, until it is stopped. A daemon: a hanging database does not keep the process."""

    def __init__(self, counts: VerdictCounts, every: float) -> None:
        super().__init__(name="hmac_guard-counts", daemon=True)
        self.wake = threading.Event()
        self._counts = counts
        self._every = every
        self._must_end = False
        self._has_ended = threading.Event()

    def stop(self) -> None:
        """Have it write once more, and wait for that."""
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
