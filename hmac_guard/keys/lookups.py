"""Look-ups, and the order in which they run. Nothing here runs one; the caller holds a lock."""

import math
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any, NamedTuple

from hmac_guard.core.key import Keyring
from hmac_guard.keys.source_state import Kind, Tenant
from hmac_guard.log import Failure

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
