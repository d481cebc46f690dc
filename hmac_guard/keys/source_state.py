"""Whether a source of keys is well, slow or failing. Pure: the caller passes the time, and holds a lock.

well     a request whose keys are too old waits for new ones
slow     a look-up has not answered for a second: tenants with keys are served what is known, new ones wait
failing  the same, and new tenants are refused at once
"""

import math
from collections import deque
from enum import Enum

#: Seconds: after which a look-up without an answer makes its source slow, and between two probes.
SLOW_AFTER = 1.0
PROBE_EVERY = 1.0

#: Seconds after the last probe for which a source counts as failing.
UP_TO_DATE = 3.0

#: What a probe asks for where no tenant with keys is known yet.
PROBE_TENANT = "hmac_guard-probe"

# The tenants that probes ask for, in turn: one whose row is damaged must not stand for the whole source.
_PROBED = 8

Tenant = str | None


class Kind(Enum):
    """What a look-up is for."""

    KNOWN = "a tenant that has had keys"
    NEW = "a name never seen with keys by this process"
    PROBE = "whether the source answers"


class SourceState:
    """The state of one source.

    What a client names must not mark the source: a name may be made up, or one that a database cannot store. So only
    probes and tenants that have had keys count, and any failure starts a probe.
    """

    def __init__(self) -> None:
        self.is_slow = False
        self.is_failing = False
        self._failed: set[Tenant] = set()
        self._answered: deque[Tenant] = deque(maxlen=_PROBED)
        self._wants_probe = False
        self._probed_at = self._tried_at = self._worked_at = -math.inf

    @property
    def is_well(self) -> bool:
        return not (self.is_slow or self.is_failing)

    @property
    def is_untried(self) -> bool:
        """Whether no tenant with keys has been seen yet."""
        return not self._answered

    def may_try(self, now: float) -> bool:
        """Whether a request may try a failing source: once a second, where probes do not tell enough.

        There may have been none for a while. And where no tenant with keys was seen yet, a source that answers each
        name that it does not know with an error looks as if it failed.
        """
        may_try = self.is_untried or now - self._probed_at > UP_TO_DATE
        if not may_try or now - self._tried_at < PROBE_EVERY:
            return False
        self._tried_at = now
        return True

    def answered(self, tenant: Tenant, started: float, now: float, *, has_keys: bool) -> None:
        """A look-up that began at `started` was answered, within the time-out."""
        self._worked_at = max(self._worked_at, started)
        self.is_failing = self._wants_probe = False
        self._failed.clear()
        if now - started < SLOW_AFTER:
            self.is_slow = False
        if has_keys and tenant not in self._answered:
            self._answered.append(tenant)

    def unanswered(self, kind: Kind, now: float) -> None:
        """A look-up has run for `SLOW_AFTER` seconds and has no answer."""
        self._wants_probe = True
        if kind is not Kind.NEW:
            self.is_slow = True
        # A process that starts while its source is away has no tenant to tell it so.
        if kind is Kind.PROBE and self.is_untried:
            self.is_failing, self._tried_at = True, now

    def failed(self, tenant: Tenant, kind: Kind, started: float) -> None:
        """A look-up that began at `started` raised, or ran until the time-out."""
        self._wants_probe = True
        if started < self._worked_at:
            return  # A later look-up has its answer already.
        if kind is Kind.KNOWN:
            self._failed.add(tenant)
        if kind is Kind.PROBE or len(self._failed) > 1:
            self.is_failing = True

    def next_probe(self, now: float) -> list[Tenant]:
        """The tenant to look up now to see whether the source answers, if it is time for that."""
        if not (self._wants_probe or self.is_failing) or now - self._probed_at < PROBE_EVERY:
            return []
        self._probed_at, self._wants_probe = now, False
        self._answered.rotate()
        return [self._answered[0] if self._answered else PROBE_TENANT]
