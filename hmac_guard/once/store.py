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
from collections.abc import Awaitable
from hashlib import sha256
from typing import Protocol

from hmac_guard.core.errors import ConfigError

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
