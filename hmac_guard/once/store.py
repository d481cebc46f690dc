"""The contract of a single-use store, and the store in memory.

A store is any object with

    use(token: bytes, until: float) -> bool      sync or async

which returns True for the first use of a token and False for each later one, in one atomic step. It remembers the token
at least until the Unix time `until`. A store that first gets the token and then sets it accepts two requests that
arrive at once. If it cannot know, or is full, it raises, and the request is answered 503. It may have these
attributes:

- `timeout`: seconds that a request waits for it; the default is two.
- `blocking = False`: it does no I/O, and is called inline. Every other sync store is called on separate threads, an
  async one on the event loop, in a task of its own.
- `asgi_only = True`: it is bound to one event loop and cannot serve WSGI.

The guard closes the connections of Django's ORM only after a sync call. An async store that uses the ORM begins with
`await sync_to_async(close_old_connections)()`.
"""

import time
from collections import Counter
from collections.abc import Awaitable
from hashlib import sha256
from heapq import heappop, heappush
from threading import Lock
from typing import Protocol

from hmac_guard.core.numbers import check_count, check_seconds
from hmac_guard.core.strict import Strict
from hmac_guard.forking import after_fork, check_process

#: Seconds that a request waits for a store that says nothing about it.
TIMEOUT = 2.0


class OnceStore(Protocol):
    """A single-use store. See the module for the contract."""

    def use(self, token: bytes, until: float, /) -> bool | Awaitable[bool]:
        """Return whether this is the first use of the token.

        Args:
            token: The 32 bytes that represent one signed message.
            until: The Unix time until which the token is remembered.
        """


class StoreFull(Exception):
    """A single-use store is full, or too many requests wait for it.

    The request is answered 503: if a token were forgotten early, its signature would be accepted twice. The text is
    written into the log.
    """

    text_is_logged = True


class Token(bytes):
    """The 32 bytes that represent one signed message.

    Attributes:
        tenant: The tenant whose keys proved it, or None.
    """

    tenant: str | None


def token_of(scope: str, tenant: str | None, message: bytes) -> Token:
    """Return the token of a message. No two scopes, tenants or messages have the same token."""
    digest = sha256()
    for part in (scope.encode(), b"" if tenant is None else tenant.encode(), message):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    token = Token(digest.digest())
    token.tenant = tenant
    return token


def seconds_until(until: float) -> float:
    """Return for how many seconds from now a store remembers a token, by a clock that cannot be set back."""
    return max(1.0, until - time.time())


class MemoryOnce(Strict):
    """Remembers used tokens in this process. For one process only.

    Each worker of a server would accept a signature once, and a restart forgets all of them. With several workers use
    `RedisOnce` or `SqlOnce`. Time is measured by the monotonic clock.

    Args:
        maxsize: The most tokens that are remembered at a time, at about 250 bytes each. One tenant has at most a
            quarter of them. A full store refuses requests (503): it never forgets a token early.
        timeout: Seconds; the attribute that every store has. This store never waits.

    Raises:
        ConfigError: An argument is not valid.
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
        """Return whether this is the first use of the token.

        Raises:
            StoreFull: The store is full, or the tenant has a quarter of it.
        """
        check_process()
        tenant, token = getattr(token, "tenant", None), bytes(token)  # A `Token` takes 170 bytes more.
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
        """The number of remembered tokens."""
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

    def _description(self) -> str:
        return f"MemoryOnce({self.maxsize})"
