"""What `CachedKeys` knows: the state of its source, the keys of each tenant, and the look-ups.

Nothing here runs a look-up or reads a clock: the caller passes the time, and holds a lock.
"""

import math
import random
from collections import OrderedDict, deque
from concurrent.futures import Future
from enum import Enum
from typing import Any, NamedTuple

from cachetools import FIFOCache

from hmac_guard.core.key import Keyring
from hmac_guard.log import Failure

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


# Unknown tenants are cached separately and cannot evict real ones. A tenant is text of at most 1,024 bytes, so this
# part stays below 20 MiB.
UNKNOWN_TENANTS = 4_096

#: Seconds until a tenant whose look-up failed is looked up again, while its last good keys serve.
RETRY = 1.0


class Entry(NamedTuple):
    """What was last heard of a tenant. Times are those of the cache's clock.

    ring          its keys; None for a tenant that has none
    refresh_at    from then on a request renews the keys beside it; what is before that is a hit
    fresh_until   the end of `ttl` or `negative_ttl`
    usable_until  the end of `stale_if_error`
    since         when the look-up began
    retry_at      the last look-up failed: the next one is not before that; 0 where it did not fail
    generation    how often everything had been expired when this was heard
    """

    ring: Keyring | None
    refresh_at: float
    fresh_until: float
    usable_until: float
    since: float
    generation: int
    retry_at: float = 0.0


class Entries:
    """The entries by tenant. The caller holds a lock, but for `current.get`, which needs none."""

    def __init__(self, ttl: float, negative_ttl: float, maxsize: int, stale: float) -> None:
        #: Those of the current generation. A hit reads nothing else.
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
            return entry._replace(refresh_at=-math.inf, fresh_until=-math.inf)
        return entry

    def has_had_keys(self, tenant: Tenant) -> bool:
        """Whether this process has seen keys of the tenant, and has not forgotten it for others."""
        return tenant in self._known

    def keep(self, tenant: Tenant, ring: Keyring | None, since: float) -> None:
        """A look-up that began at `since` was answered."""
        part, other = (self._unknown, self._known) if ring is None else (self._known, self._unknown)
        # A tenth less at random, so that tenants that came together do not all expire together.
        spread = random.uniform(0.9, 1.0)  # noqa: S311 - it spreads load, it hides nothing
        if ring is None:
            fresh_until = usable_until = refresh_at = since + self._negative_ttl * spread
        else:
            # Half of its time is left to renew it beside the requests, so that none waits.
            refresh_at = since + self._ttl * spread / 2
            fresh_until, usable_until = since + self._ttl * spread, since + self._ttl + self._stale
        other.pop(tenant, None)
        part.pop(tenant, None)
        part[tenant] = None
        self._put(tenant, Entry(ring, refresh_at, fresh_until, usable_until, since, self._generation))

    def mark_refresh_failed(self, tenant: Tenant, now: float) -> None:
        """The keys of a tenant could not be renewed."""
        entry = self._all.get(tenant)
        if entry is not None and entry.ring is not None:
            self._all[tenant] = entry._replace(retry_at=now + RETRY)

    def drop(self, tenant: Tenant) -> None:
        """Forget a tenant's keys, and nothing but that it had some."""
        self._unknown.pop(tenant, None)
        self.remove(tenant)
        if tenant in self._known:
            self._all[tenant] = _DROPPED

    def expire(self) -> None:
        """No entry is fresh any more. Takes the same time for any number of them."""
        self._generation += 1
        self.current = {}

    def remove(self, tenant: Tenant) -> None:
        self.current.pop(tenant, None)
        self._all.pop(tenant, None)

    def _put(self, tenant: Tenant, entry: Entry) -> None:
        self.current[tenant] = self._all[tenant] = entry


class _Part(FIFOCache[Tenant, None]):
    """The order in which tenants leave. A tenant that is still asked for is looked up again and moves to the end, so
    that first in, first out lets the least recently used one go, and a hit has nothing to write down."""

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
    """How a look-up ended: with the tenant's keys (None: it has none), or with a failure. `is_answer`: the source has
    answered, but that was no key."""

    ring: Keyring | None
    failure: Failure | None = None
    is_answer: bool = False


class Lookup:
    """One look-up. It belongs to no request: the client of the one that started it may hang up, the others still get
    its answer.

    loop         the event loop of the request that started it; None under WSGI
    is_on_loop   it runs there, not on a thread
    is_ahead     it runs also if no request waits for it
    waiting      the requests that wait for it now
    since        when the source was asked
    started      the same, later by the time for which the process stood still; infinity before that
    is_slow      the source has not answered for a second
    is_given_up  it was replaced; its thread may still be stuck
    is_void      the tenant was invalidated while it ran: its answer is not kept
    thread       the identifier of the thread that it runs on
    """

    __slots__ = (
        *("future", "is_ahead", "is_given_up", "is_on_loop", "is_slow", "is_void", "kind", "loop"),
        *("since", "started", "tenant", "thread", "waiting"),
    )

    def __init__(
        self, tenant: Tenant, kind: Kind, loop: Any = None, *, is_on_loop: bool = False, is_ahead: bool = False
    ) -> None:
        self.tenant = tenant
        self.kind = kind
        self.loop = loop
        self.is_on_loop = is_on_loop
        self.is_ahead = is_ahead
        self.waiting = 0
        self.since = self.started = math.inf
        self.is_slow = self.is_given_up = self.is_void = False
        self.thread = 0
        self.future: Future[LookupResult] = Future()

    def age(self, now: float) -> float:
        """Seconds since the source was asked; negative before that."""
        return now - self.started

    @property
    def result(self) -> LookupResult | None:
        return self.future.result() if self.future.done() else None

    def resolve(self, result: LookupResult) -> None:
        """Give the result to the waiting requests, unless they have one."""
        if not self.future.done():
            self.future.set_result(result)


class LookupQueue:
    """Look-ups of tenants that have had keys, and of new names, each with a queue of its own: a flood of made-up names
    must not hold up renewals, nor renewals a new tenant. Either may use three quarters of `max_lookups`."""

    def __init__(self, max_lookups: int, max_waiting: int) -> None:
        self.running: set[Lookup] = set()
        self.stuck = 0
        self._max_lookups = max_lookups
        self.share = max_lookups - max_lookups // 4
        self._max_waiting = max_waiting
        self._queues: dict[Kind, OrderedDict[Lookup, None]] = {Kind.KNOWN: OrderedDict(), Kind.NEW: OrderedDict()}

    def add(self, lookup: Lookup) -> bool:
        """Whether there is room for it to wait."""
        queue = self._queues[lookup.kind]
        if len(queue) >= self._max_waiting:
            return False
        queue[lookup] = None
        return True

    def remove(self, lookup: Lookup) -> bool:
        """Whether it was still waiting to run; it does not any more."""
        queue = self._queues.get(lookup.kind)
        return queue is not None and lookup in queue and queue.pop(lookup) is None

    def next(self, now: float) -> Lookup | None:
        """The look-up to run now, the oldest first, if one may."""
        if self.stuck >= MAX_STUCK:
            return None
        counts = {kind: sum(lookup.kind is kind for lookup in self.running) for kind in self._queues}
        for kind, queue in self._queues.items():
            if queue and counts[kind] < self.share and sum(counts.values()) < self._max_lookups:
                lookup, _ = queue.popitem(last=False)
                return self.run(lookup, now)
        return None

    def run(self, lookup: Lookup, now: float) -> Lookup:
        lookup.since = lookup.started = now
        self.running.add(lookup)
        return lookup

    def clear(self) -> list[Lookup]:
        """The look-ups that wait to run; none of them does any more."""
        waiting = [lookup for queue in self._queues.values() for lookup in queue]
        for queue in self._queues.values():
            queue.clear()
        return waiting
