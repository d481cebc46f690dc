"""What `CachedKeys` remembers of each tenant, and what bounds it."""

import math
import random
from typing import NamedTuple

from cachetools import FIFOCache

from hmac_guard.core.key import Keyring

# Unknown tenants are cached separately and cannot evict real ones. A tenant is text of at most 1,024 bytes, so this
# part stays below 20 MiB.
UNKNOWN_TENANTS = 4_096

#: Seconds until a tenant whose look-up failed is looked up again, while its last good keys serve.
RETRY = 1.0

Tenant = str | None


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
