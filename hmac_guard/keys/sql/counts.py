"""Counts verdicts beside the requests."""

import atexit
import threading
from collections import Counter

from sqlalchemy import Engine

from hmac_guard.core.verdict import Claim, Verdict
from hmac_guard.keys.background import Background
from hmac_guard.keys.forking import in_forked_child
from hmac_guard.keys.options import check_seconds
from hmac_guard.keys.sql.ledger import NOBODY, Counts, VerdictLedger
from hmac_guard.keys.sql.resolver import SqlKeys
from hmac_guard.log import logger, where

#: The most pairs of tenant and reason that are held between two writes; what is beyond them counts for no tenant.
MOST_PAIRS = 10_000


class VerdictCounts(VerdictLedger):
    """Counts verdicts by tenant, so that an operator sees whose mode may become "enforce". Needs the extra `sql`.

        keys = SqlKeys(engine)
        counts = VerdictCounts(keys)
        guard = Guard(scheme, keys, on_verdict=counts)

        keys.add("acme", mode="report")     # each tenant that does not sign yet
        keys.set_mode("acme", "enforce")    # when none of its requests would have been refused

    The guard's own mode stays "enforce": the laxer of the guard's mode and the tenant's holds, so that a guard in
    "report" would report for every tenant.

    `keys`   the `SqlKeys` of a sync engine, whose tenants are counted, in a table beside its own
    `every`  seconds between two writes. Requests only count in memory; while the database is away they go on counting

    A refused request does not prove who sent it: every client can name any tenant. Raises `ConfigError`.
    """

    _every: float
    _lock: threading.Lock
    _fresh: Counts
    _writer: Background

    def __init__(self, keys: SqlKeys[Engine], *, every: float = 30.0) -> None:
        super().__init__(keys)
        check_seconds("VerdictCounts: every", every)
        self._set(_every=every)
        self._start_from_nothing()
        in_forked_child(self._start_from_nothing)
        self._set(_writer=Background("hmac_guard-counts", self._write_now_and_then))
        atexit.register(self.close)

    def __call__(self, verdict: Verdict, claim: Claim) -> None:
        pair = claim.tenant or NOBODY, verdict.reason.value
        with self._lock:
            if pair not in self._fresh and len(self._fresh) >= MOST_PAIRS:
                pair = NOBODY, verdict.reason.value
            self._fresh[pair] += 1

    def flush(self) -> None:
        """Write what was counted. Raises what the database raises; nothing is lost by that."""
        with self._lock:
            counted = self._fresh
            self._set(_fresh=Counter())
        if not counted:
            return
        try:
            self.write(counted)
        except Exception:
            with self._lock:
                self._fresh.update(counted)
            raise

    def close(self) -> None:
        """Write what was counted, and count no more into the table."""
        atexit.unregister(self.close)
        self._writer.stop()
        self._flush_or_log()

    def _write_now_and_then(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            self._flush_or_log()

    def _flush_or_log(self) -> None:
        try:
            self.flush()
        except Exception as error:
            logger.warning("verdicts go on being counted, but cannot be written: %s", where(error))

    def _start_from_nothing(self) -> None:
        self._set(_lock=threading.Lock(), _fresh=Counter())

    def __repr__(self) -> str:
        return f"VerdictCounts({self._keys!r})"
