"""Counts decisions beside the requests."""

import atexit
import os
import threading
from typing import Any

from sqlalchemy import Engine

from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.verdict import Decision, Reason
from hmac_guard.keys.sql.ledger import NEITHER, VerdictLedger
from hmac_guard.keys.sql.listing import HOUR
from hmac_guard.keys.sql.refusals import RecentRefusals
from hmac_guard.keys.sql.resolver import SqlKeys
from hmac_guard.keys.sql.tally import Tally
from hmac_guard.log import logger, where

#: Seconds for which the end of a process waits for the last write. What a hanging database has not taken then is lost.
LAST_WRITE = 2.0

VERIFIED = Reason.VERIFIED.value


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
    _wake: threading.Event
    _writer: "Writer | None"

    def __init__(self, keys: SqlKeys[Engine], *, every: float = 30.0, refusals: float | None = None) -> None:
        super().__init__(keys)
        check_seconds("VerdictCounts: every", every)
        if refusals is not None:
            check_seconds("VerdictCounts: refusals", refusals)
        self._set(_every=every, _refusals=refusals)
        self._start_from_nothing()

    def __call__(self, decision: Decision) -> None:
        writer = self._writer
        if writer is None or writer.pid != os.getpid():
            self._begin()
        hour = int(self._keys.clock()) // HOUR
        with self._lock:
            self._tally.add(decision, hour)
            if self._refusals is not None and decision.verdict.reason.value not in (VERIFIED, *NEITHER):
                self._recent.add(decision, self._keys.clock(), is_known=self._tally.is_known(decision.claim))
        if self._tally.is_full:
            self._wake.set()

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
        writer = self._writer
        if writer is None or writer.pid != os.getpid():
            return
        self._set(_writer=None)
        writer.stopped = True
        self._wake.set()
        writer.join(LAST_WRITE)
        if writer.is_alive():
            logger.warning("the last verdicts are not counted: the database took longer than %.0f s", LAST_WRITE)

    def write_now_and_then(self, writer: "Writer") -> None:
        """The work of the thread that writes."""
        is_last = False
        while not is_last:
            self._wake.wait(self._every)
            self._wake.clear()
            is_last = writer.stopped
            try:
                self.flush()
                if not is_last:
                    self.sum_up_stale()
            except Exception as error:
                logger.warning("verdicts go on being counted, but cannot be written: %s", where(error))

    def _begin(self) -> None:
        """Start the thread that writes. It is not waited for: with gevent, a thread starts only once this one waits."""
        if self._writer is not None and self._writer.pid != os.getpid():
            self._start_from_nothing()  # In a forked child, where the parent counts on.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._writer is None:
                writer = Writer(self)
                writer.start()
                self._set(_writer=writer)
                atexit.register(self.close)
        finally:
            self._starting.release()

    def _start_from_nothing(self) -> None:
        locks: dict[str, Any] = {name: threading.Lock() for name in ("_lock", "_starting", "_writing")}
        self._set(**locks, _tally=Tally(), _recent=RecentRefusals(), _wake=threading.Event(), _writer=None)

    def __repr__(self) -> str:
        return f"VerdictCounts({self._keys!r})"


class Writer(threading.Thread):
    """Writes what was counted, until it is stopped. A daemon: a hanging database does not keep the process."""

    def __init__(self, counts: VerdictCounts) -> None:
        super().__init__(name="hmac_guard-counts", daemon=True)
        self.pid = os.getpid()
        self.stopped = False
        self._counts = counts

    def run(self) -> None:
        self._counts.write_now_and_then(self)
