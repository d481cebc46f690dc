"""Used tokens in the memory of one process."""

import time
from collections import Counter
from heapq import heappop, heappush
from threading import Lock

from hmac_guard.core.numbers import check_count, check_seconds
from hmac_guard.core.strict import Strict
from hmac_guard.forking import after_fork, check_process
from hmac_guard.once.store import TIMEOUT, StoreFull, seconds_until


class MemoryOnce(Strict):
    """Remembers used tokens in this process. For one process only: each worker of a server would accept a signature
    once, and a restart forgets all of them. With several workers take `RedisOnce` or `SqlOnce`.

    `maxsize`  the most tokens that are remembered at a time; one takes some 250 bytes. One tenant holds at most a
               quarter of them. A store without room refuses further requests (503): it never forgets a token early
    `timeout`  as for every store

    Counts by the monotonic clock. Raises `ConfigError`.
    """

    blocking = False

    def __init__(self, maxsize: int = 100_000, *, timeout: float = TIMEOUT) -> None:
        check_count("MemoryOnce: maxsize", maxsize)
        check_seconds("MemoryOnce: timeout", timeout)
        self.maxsize = maxsize
        self.timeout = timeout
        self._tenants: dict[bytes, str | None] = {}
        self._ends: list[tuple[float, bytes]] = []
        self._held: Counter[str | None] = Counter()
        self._renew_lock()
        after_fork(self._renew_lock)

    def use(self, token: bytes, until: float) -> bool:
        """Whether this is the first use of the token. Raises `StoreFull`."""
        check_process()
        tenant = getattr(token, "tenant", None)
        with self._lock:
            now = time.monotonic()
            self._forget(now)
            if token in self._tenants:
                return False
            if len(self._tenants) >= self.maxsize:
                raise StoreFull("MemoryOnce is full; give it a larger maxsize, or take a shorter lifetime")
            if tenant is not None and self._held[tenant] >= max(1, self.maxsize // 4):
                raise StoreFull("one tenant holds a quarter of MemoryOnce; give it a larger maxsize")
            self._tenants[token] = tenant
            self._held[tenant] += 1
            heappush(self._ends, (now + seconds_until(until), token))
        return True

    @property
    def size(self) -> int:
        """How many tokens are remembered."""
        check_process()
        with self._lock:
            self._forget(time.monotonic())
            return len(self._tenants)

    def _forget(self, now: float) -> None:
        """Forget the tokens whose time is over."""
        while self._ends and self._ends[0][0] <= now:
            tenant = self._tenants.pop(heappop(self._ends)[1])
            self._held[tenant] -= 1
            if not self._held[tenant]:
                del self._held[tenant]

    def _renew_lock(self) -> None:
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"MemoryOnce({self.maxsize})"
