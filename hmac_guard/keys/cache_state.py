"""What `CachedKeys` knows: the state of its source, the keys of each tenant, and the look-ups.

Nothing here runs a look-up or reads a clock: the caller passes the time, and holds a lock.
"""

import math
import random
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from cachetools import FIFOCache

from hmac_guard.core.hidden import Hidden
from hmac_guard.core.key import Keyring
from hmac_guard.log import Failure

#: Seconds: after which a look-up without an answer makes its source slow, and between two probes.
SLOW_AFTER = 1.0
PROBE_EVERY = 1.0

#: Seconds after the last probe for which a source counts as failing.
UP_TO_DATE = 3.0

#: The tenant of a probe if no tenant with keys is known yet.
PROBE_TENANT = "hmac_guard-probe"

# The tenants that probes ask for, in turn: a tenant with a damaged row must not make the whole source look failing.
_PROBED = 8

Tenant = str | None


class Kind(Enum):
    """The purpose of a look-up."""

    KNOWN = "a tenant that has had keys"
    NEW = "a name never seen with keys by this process"
    PROBE = "whether the source answers"


class SourceState:
    """The state of one source of keys. The caller passes the time, and holds a lock.

    - Well: a request whose keys are too old waits for new ones.
    - Slow: a look-up has not answered for a second. Tenants with keys get the known ones, new tenants wait.
    - Failing: the same, and requests of new tenants are refused at once.

    Requests must not mark the source by the names in them: a client can make names up, or send one that a database
    cannot store. So only probes and tenants that have had keys count, and any failure starts a probe. Until a tenant
    with keys has been seen, a probe counts only if it has no answer within `SLOW_AFTER` seconds, or the time-out.

    Attributes:
        is_slow: A look-up has run for `SLOW_AFTER` seconds.
        is_failing: Look-ups of two tenants with keys, or a probe, have failed.
        loses_lookups: Since the last answer, the event loop of a look-up has ended before it, or has stood still.
    """

    def __init__(self) -> None:
        self.is_slow = False
        self.is_failing = False
        self.loses_lookups = False
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
        """Return whether a request may try a failing source. It may once a second, if probes do not show enough.

        Either no probe has run for a while. Or no tenant with keys has been seen yet: a probe then asks for a name that
        the source may be slow to refuse.
        """
        may_try = self.is_untried or now - self._probed_at > UP_TO_DATE
        if not may_try or now - self._tried_at < PROBE_EVERY:
            return False
        self._tried_at = now
        return True

    def answered(self, tenant: Tenant, started: float, now: float, *, has_keys: bool) -> None:
        """Record that a look-up that began at `started` was answered within the time-out."""
        self._worked_at = max(self._worked_at, started)
        self.is_failing = self.loses_lookups = self._wants_probe = False
        self._failed.clear()
        if now - started < SLOW_AFTER:
            self.is_slow = False
        if has_keys and tenant not in self._answered:
            self._answered.append(tenant)

    def unanswered(self, kind: Kind, now: float) -> None:
        """Record that a look-up has run for `SLOW_AFTER` seconds without an answer."""
        self._wants_probe = True
        if kind is not Kind.NEW:
            self.is_slow = True
        # A process that starts while its source is down knows no tenant for a probe.
        if kind is Kind.PROBE and self.is_untried:
            self.is_failing, self._tried_at = True, now

    def failed(self, tenant: Tenant, kind: Kind, started: float, now: float, *, timed_out: bool = False) -> None:
        """Record that a look-up that began at `started` raised, or ran until the time-out."""
        self._wants_probe = True
        if started < self._worked_at:
            return  # A later look-up has its answer already.
        if kind is Kind.KNOWN:
            self._failed.add(tenant)
        # As long as no tenant with keys has been seen, a probe asks for a name that the source may refuse, so an error
        # only shows that the source answers in time. A time-out below `SLOW_AFTER` is no answer.
        is_timely = kind is Kind.PROBE and self.is_untried and now - started < SLOW_AFTER and not timed_out
        if len(self._failed) > 1 or (kind is Kind.PROBE and not is_timely):
            self.is_failing = True
        elif is_timely:
            self.is_failing = self.is_slow = False

    def lost(self) -> None:
        """Record that the event loop of a look-up has ended or stands still. The source may work or not."""
        self.loses_lookups = True
        self._wants_probe = self._wants_probe or not self.is_well

    def next_probe(self, now: float) -> list[Tenant]:
        """Return the tenant to look up now, to see whether the source answers; an empty list if no probe is due."""
        if not (self._wants_probe or self.is_failing) or now - self._probed_at < PROBE_EVERY:
            return []
        self._probed_at, self._wants_probe = now, False
        self._answered.rotate()
        return [self._answered[0] if self._answered else PROBE_TENANT]


# Unknown tenants are cached separately and cannot evict real ones. A tenant is text of at most 1,024 bytes, so this
# part stays below 20 MiB.
UNKNOWN_TENANTS = 4_096

#: Seconds until a tenant whose look-up failed is looked up again, while its last good keys serve.
RETRY = 1.0


class Entry(NamedTuple):
    """The last answer about a tenant. Times are seconds of the cache's clock.

    Attributes:
        ring: The keys; None for a tenant without keys.
        refresh_at: From this time on, a request starts a look-up in the background. An earlier request is a hit.
        fresh_until: The end of `ttl` or `negative_ttl`.
        usable_until: The end of `stale_if_error`.
        since: When the look-up began.
        generation: The number of times that all entries had been expired before the answer.
        retry_at: After a failed look-up, the earliest time of the next one; otherwise in the past.
    """

    ring: Keyring | None
    refresh_at: float
    fresh_until: float
    usable_until: float
    since: float
    generation: int
    retry_at: float = -math.inf


class Entries:
    """The entries by tenant, bounded. The caller holds a lock; only `current.get` needs none.

    Args:
        ttl: See `CachedKeys`.
        negative_ttl: See `CachedKeys`.
        maxsize: See `CachedKeys`.
        stale: The `stale_if_error` of `CachedKeys`.
    """

    def __init__(self, ttl: float, negative_ttl: float, maxsize: int, stale: float) -> None:
        #: The entries of the current generation. A hit reads nothing else.
        self.current: dict[Tenant, Entry] = {}
        self._all: dict[Tenant, Entry] = {}
        self._generation = 0
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._stale = stale
        self._known = _Part(maxsize, self)
        self._unknown = _Part(UNKNOWN_TENANTS, self)

    def __len__(self) -> int:
        return len(self._all)

    def get(self, tenant: Tenant) -> Entry | None:
        entry = self._all.get(tenant)
        if entry is not None and entry.generation != self._generation:
            return entry._replace(refresh_at=-math.inf, fresh_until=-math.inf, retry_at=-math.inf)
        return entry

    def has_had_keys(self, tenant: Tenant) -> bool:
        """Return whether this process has seen keys of the tenant, and has not evicted them."""
        return tenant in self._known

    def keep(self, tenant: Tenant, ring: Keyring | None, since: float) -> None:
        """Keep the answer to a look-up that began at `since`."""
        part, other = (self._unknown, self._known) if ring is None else (self._known, self._unknown)
        # Up to a tenth less at random: tenants that were looked up together must not expire together.
        spread = random.uniform(0.9, 1.0)  # noqa: S311 - it spreads load, it hides nothing
        if ring is None:
            fresh_until = usable_until = refresh_at = since + self._negative_ttl * spread
        else:
            # Half of its time is left to renew it in the background, so no request waits.
            refresh_at = since + self._ttl * spread / 2
            fresh_until, usable_until = since + self._ttl * spread, since + self._ttl + self._stale
        other.pop(tenant, None)
        part.pop(tenant, None)
        part[tenant] = None
        self._put(tenant, Entry(ring, refresh_at, fresh_until, usable_until, since, self._generation))

    def mark_refresh_failed(self, tenant: Tenant, now: float) -> None:
        """Record that the keys of a tenant could not be renewed."""
        entry = self.get(tenant)
        if entry is not None and entry.ring is not None:
            self._all[tenant] = entry._replace(retry_at=now + RETRY, generation=self._generation)

    def drop(self, tenant: Tenant) -> None:
        """Forget a tenant's keys, but not that it had some."""
        self._unknown.pop(tenant, None)
        self.remove(tenant)
        if tenant in self._known:
            self._all[tenant] = _DROPPED

    def expire(self) -> None:
        """Make every entry too old. This takes the same time for any number of entries."""
        self._generation += 1
        self.current = {}

    def remove(self, tenant: Tenant) -> None:
        self.current.pop(tenant, None)
        self._all.pop(tenant, None)

    def _put(self, tenant: Tenant, entry: Entry) -> None:
        self.current[tenant] = self._all[tenant] = entry


class _Part(FIFOCache[Tenant, None]):
    """The order in which tenants are evicted.

    A tenant that is still asked for is looked up again and moves to the end. So first in, first out evicts the least
    recently used one, and a hit writes nothing.
    """

    def __init__(self, maxsize: int, entries: Entries) -> None:
        super().__init__(maxsize)
        self._entries = entries

    def popitem(self) -> tuple[Tenant, None]:
        tenant, nothing = super().popitem()
        self._entries.remove(tenant)
        return tenant, nothing


_DROPPED = Entry(None, -math.inf, -math.inf, -math.inf, -math.inf, -1)


#: The most look-ups that were given up and whose threads have not come back.
MAX_STUCK = 100


class LookupResult(NamedTuple):
    """The end of a look-up.

    Attributes:
        ring: The tenant's keys; None if it has none, or after a failure.
        failure: Why there are no keys; None after an answer.
        is_answer: Whether the source has answered with something that is not a key.
    """

    ring: Keyring | None
    failure: Failure | None = None
    is_answer: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Lookup:
    """One look-up. It belongs to no request: if the first client disconnects, the others still get the answer.

    Attributes:
        loop: The event loop of the request that started it; None under WSGI.
        is_on_loop: It runs on that loop, not on a thread. A look-up on a thread goes on there if the source returns a
            coroutine.
        is_ahead: It also runs if no request waits for it.
        waiting: The number of requests that wait for it now.
        since: When the source was asked, in seconds of the cache's clock; infinity before that.
        started: `since`, plus the time for which the process stood still.
        is_slow: The source has not answered for a second.
        is_given_up: It was replaced. Its thread may still be stuck.
        is_void: The tenant was invalidated while it ran, so its answer is not kept.
        invalidations: The `invalidations` of its queue when it began.
        thread: The identifier of its thread.
        answer: The coroutine that the source returned on a thread.
    """

    tenant: Tenant
    kind: Kind
    loop: Any = None
    is_on_loop: bool = field(default=False, kw_only=True)
    is_ahead: bool = field(default=False, kw_only=True)
    waiting: int = field(default=0, init=False)
    since: float = field(default=math.inf, init=False)
    started: float = field(default=math.inf, init=False)
    is_slow: bool = field(default=False, init=False)
    is_given_up: bool = field(default=False, init=False)
    is_void: bool = field(default=False, init=False)
    invalidations: int = field(default=0, init=False)
    thread: int = field(default=0, init=False)
    answer: Hidden[Any] | None = field(default=None, init=False)
    future: "Future[LookupResult]" = field(default_factory=Future, init=False)

    def age(self, now: float) -> float:
        """Return the seconds since the source was asked; negative before that."""
        return now - self.started

    @property
    def result(self) -> LookupResult | None:
        return self.future.result() if self.future.done() else None

    def resolve(self, result: LookupResult) -> None:
        """Give the result to the waiting requests, unless they already have one."""
        if not self.future.done():
            self.future.set_result(result)


class LookupQueue:
    """The look-ups that wait to run: one queue for tenants that have had keys, and one for new names.

    Each may use at most three quarters of `max_lookups`. If `max_lookups` is 1, each may use it. So unknown tenants
    cannot delay renewals, and renewals cannot delay a new tenant.

    Args:
        max_lookups: The most look-ups that run at a time.
        max_waiting: The most look-ups in each queue.

    Attributes:
        running: The look-ups that run and are not given up.
        stuck: The number of look-ups that were given up, and whose threads have not come back.
        invalidations: The number of times that a tenant, or all tenants, were invalidated.
        share: The most look-ups of one kind that run at a time.
    """

    def __init__(self, max_lookups: int, max_waiting: int) -> None:
        self.running: set[Lookup] = set()
        self.stuck = self.invalidations = 0
        self._max_lookups = max_lookups
        self.share = max(1, max_lookups * 3 // 4)
        self._max_waiting = max_waiting
        self._queues: dict[Kind, OrderedDict[Lookup, None]] = {Kind.KNOWN: OrderedDict(), Kind.NEW: OrderedDict()}

    def add(self, lookup: Lookup) -> bool:
        """Queue a look-up. Return False if the queue is full."""
        queue = self._queues[lookup.kind]
        if len(queue) >= self._max_waiting:
            return False
        queue[lookup] = None
        return True

    def remove(self, lookup: Lookup) -> bool:
        """Remove a look-up. Return whether it was still waiting to run."""
        queue = self._queues.get(lookup.kind)
        return queue is not None and lookup in queue and queue.pop(lookup) is None

    def waiting_on(self, loop: Any) -> list[Lookup]:
        """Return the look-ups that wait to run on an event loop."""
        return [
            lookup for queue in self._queues.values() for lookup in queue if lookup.is_on_loop and lookup.loop is loop
        ]

    def next(self, now: float) -> Lookup | None:
        """Return the look-up to run now, the oldest first; None if none may run."""
        if self.stuck >= MAX_STUCK:
            return None
        counts = {kind: sum(lookup.kind is kind for lookup in self.running) for kind in self._queues}
        for kind, queue in self._queues.items():
            if queue and counts[kind] < self.share and sum(counts.values()) < self._max_lookups:
                lookup, _ = queue.popitem(last=False)
                return self.run(lookup, now)
        return None

    def run(self, lookup: Lookup, now: float) -> Lookup:
        """Mark a look-up as running from now on, and return it."""
        lookup.since = lookup.started = now
        lookup.invalidations = self.invalidations
        self.running.add(lookup)
        return lookup

    def clear(self) -> list[Lookup]:
        """Remove and return all look-ups that wait to run."""
        waiting = [lookup for queue in self._queues.values() for lookup in queue]
        for queue in self._queues.values():
            queue.clear()
        return waiting
