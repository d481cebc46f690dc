"""Where `CachedKeys` keeps the rings: what is read without a lock, and what bounds it."""

import math
import random
from typing import NamedTuple

from cachetools import FIFOCache

from hmac_guard.core.key import Keyring

# Tenants without keys have room of their own: whoever makes names up pushes out made-up names alone. A tenant is text
# of at most 1,024 bytes, so this part stays below 20 MiB.
UNKNOWN_TENANTS = 4_096

# While the source of keys fails, it is asked for a tenant at most once in so many seconds, beside the requests.
RETRY = 1.0


class Entry(NamedTuple):
    """What was last heard of a tenant; `ring` is None for one that has no keys. Times are those of the cache's clock.

    `failing`  the last attempt to hear anew failed
    """

    ring: Keyring | None
    fresh_until: float
    usable_until: float
    failing: bool = False


class Shelf:
    """The entries. Whoever writes holds the cache's lock; `entries.get` needs none."""

    def __init__(self, ttl: float, negative_ttl: float, maxsize: int, stale: float) -> None:
        self.entries: dict[str | None, Entry] = {}
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._stale = stale
        self._known = _Part(maxsize, self.entries)
        self._unknown = _Part(UNKNOWN_TENANTS, self.entries)

    def keep(self, tenant: str | None, ring: Keyring | None, since: float) -> None:
        """A tenant was heard of, by a look-up that began at `since`."""
        part, other = (self._unknown, self._known) if ring is None else (self._known, self._unknown)
        lifetime, stale = (self._negative_ttl, 0.0) if ring is None else (self._ttl, self._stale)
        other.pop(tenant, None)
        part[tenant] = None
        # A tenth less at random, so that tenants that came together do not all expire together.
        fresh_until = since + lifetime * random.uniform(0.9, 1.0)  # noqa: S311 - it spreads load, it hides nothing
        self.entries[tenant] = Entry(ring, fresh_until, since + lifetime + stale)

    def doubt(self, tenant: str | None, now: float) -> None:
        """A tenant could not be heard of anew."""
        entry = self.entries.get(tenant)
        if entry is not None and entry.ring is not None:
            self.entries[tenant] = entry._replace(fresh_until=min(now + RETRY, entry.usable_until), failing=True)

    def drop(self, tenant: str | None) -> None:
        self._known.pop(tenant, None)
        self._unknown.pop(tenant, None)
        self.entries.pop(tenant, None)

    def expire(self) -> None:
        """Every tenant is due."""
        for tenant in self.entries:
            self.make_due(tenant)

    def make_due(self, tenant: str | None) -> None:
        """The next request waits for the source; what is known is still there should that fail."""
        entry = self.entries.get(tenant)
        if entry is not None:
            self.entries[tenant] = entry._replace(fresh_until=-math.inf, failing=False)


class _Part(FIFOCache[str | None, None]):
    """The order in which tenants leave. Who is still asked for is heard of anew and moves to the end, so that first in,
    first out lets the least recently used one go, and a hit has nothing to write down."""

    def __init__(self, maxsize: int, entries: dict[str | None, Entry]) -> None:
        super().__init__(maxsize)
        self._entries = entries

    def popitem(self) -> tuple[str | None, None]:
        tenant, nothing = super().popitem()
        del self._entries[tenant]
        return tenant, nothing
