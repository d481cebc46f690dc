"""What a single-use store is, and what it is asked.

A store is any object with

    use(token: bytes, until: float) -> bool      sync or async

which gives True for the first use of a token and False for each later one, in one atomic step, and which remembers the
token until the Unix time `until`, and no shorter. A store that gets the token, and then sets it, lets two requests pass
that arrive at once. Where it cannot know, or has no room, it raises: the request is then answered 503. It may have

`timeout`           seconds that a request waits for it; without it, two
`blocking = False`  it does no I/O, and is called where the request is; any other sync store is called on threads of its
                    own, an async one on the event loop
`asgi_only = True`  it is bound to one event loop and cannot serve WSGI
"""

import time
from collections import Counter
from collections.abc import Awaitable
from hashlib import sha256
from heapq import heappop, heappush
from threading import Lock
from typing import Protocol

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.numbers import check_count, check_seconds
from hmac_guard.core.strict import Strict
from hmac_guard.forking import after_fork, check_process

#: Seconds that a request waits for a store that says nothing about it.
TIMEOUT = 2.0


class OnceStore(Protocol):
    """A single-use store, as the module describes it."""

    def use(self, token: bytes, until: float, /) -> bool | Awaitable[bool]: ...


class StoreFull(Exception):
    """A single-use store has no room for one more token, or for one more request that waits for it. The request is
    answered 503: to forget a token early would let its signature pass twice."""


class Token(bytes):
    """What stands for one signed message: 32 bytes. `tenant` is the one whose keys proved it, or None."""

    tenant: str | None


def token_of(scope: str, tenant: str | None, message: bytes) -> Token:
    """The token of a message within `scope`. Two that differ in any of the three never have one token."""
    digest = sha256()
    for part in (scope.encode(), b"" if tenant is None else tenant.encode(), message):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    token = Token(digest.digest())
    token.tenant = tenant
    return token


def seconds_until(until: float) -> float:
    """How long from now a store remembers a token; then it counts by a clock that no operator sets back."""
    return max(1.0, until - time.time())


def check_table(table: object) -> None:
    """Raises `ConfigError` for what cannot be the name of a table."""
    if not isinstance(table, str) or not table.isidentifier():
        raise ConfigError(f"SqlOnce: {table!r} is not the name of a table (letters, digits and '_')")


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
