"""A single-use store in Redis."""

from collections.abc import Awaitable
from contextlib import suppress
from math import ceil
from typing import Any

import redis
import redis.asyncio

from hmac_guard.core.errors import ConfigError
from hmac_guard.core.hidden import Hidden, hide
from hmac_guard.core.numbers import check_seconds
from hmac_guard.core.strict import Strict
from hmac_guard.forking import after_fork, check_process
from hmac_guard.log import logger
from hmac_guard.once.store import TIMEOUT, seconds_until
from hmac_guard.redis_clients import check_name, client_of_url, is_pipeline

_POLICY = "maxmemory-policy"


class RedisOnce(Strict):
    """Remembers used tokens in Redis, for all processes that use the same one. Needs the extra `redis`.

    Each token is one `SET NX EX`, by the clock of Redis. Redis must not evict keys early: set `maxmemory-policy
    noeviction` (the log warns about any other policy), and persistence if it may restart. A replica that takes over may
    not know the last tokens.

    Args:
        redis: A URL as redis-py takes it ("rediss://" for TLS), a client of redis-py, or a client of `redis.asyncio`,
            which is bound to its event loop and serves ASGI alone. Give a client time-outs, and
            `retry=Retry(NoBackoff(), 0)`: if it repeats a `SET` whose answer was lost, the first use is refused as a
            second one.
        prefix: The beginning of the names of the keys.
        timeout: Seconds that a request waits for the store. After that it is answered 503.

    Raises:
        ConfigError: An argument is not valid.
    """

    def __init__(self, redis: Any, *, prefix: str = "hmac_guard:once:", timeout: float = TIMEOUT) -> None:
        hidden = hide(redis)  # it may have a password
        del redis
        check_seconds("RedisOnce: timeout", timeout)
        check_name("RedisOnce: prefix", prefix)
        self.timeout = timeout
        self._prefix = prefix
        self._given = hidden
        self._client = _client_of(hidden, timeout)
        self.asgi_only = isinstance(self._client.get(), _ASYNC)
        self._has_asked = False
        after_fork(self._renew_client)

    def use(self, token: bytes, until: float) -> bool | Awaitable[bool]:
        """Return whether this is the first use of the token. Raise what redis-py raises."""
        check_process()
        name, seconds = self._prefix + token.hex(), ceil(seconds_until(until))
        if self.asgi_only:
            return self._use_on_loop(name, seconds)
        answer = self._client.get().set(name, b"1", nx=True, ex=seconds)
        if not self._has_asked:
            self._has_asked = True
            with suppress(Exception):  # Not every user of a Redis may ask, and some servers answer in another form.
                self._look_at(self._client.get().config_get(_POLICY))
        return _is_set(answer)

    async def _use_on_loop(self, name: str, seconds: int) -> bool:
        answer = await self._client.get().set(name, b"1", nx=True, ex=seconds)
        if not self._has_asked:
            self._has_asked = True
            with suppress(Exception):
                self._look_at(await self._client.get().config_get(_POLICY))
        return _is_set(answer)

    def _renew_client(self) -> None:
        # A thread of the parent may hold a lock of its pool. To close it would wait for that.
        if self._given.get() is not self._client.get():
            self._client.get().auto_close_connection_pool = False
            self._client = _client_of(self._given, self.timeout)

    def _look_at(self, found: dict[Any, Any]) -> None:
        """Log once that Redis may evict keys early."""
        policy = next(iter(found.values()), "noeviction")
        policy = policy.decode() if isinstance(policy, bytes) else policy
        if policy != "noeviction":
            logger.warning(
                "the single-use store: Redis has the maxmemory-policy %s, and may forget used signatures early; set "
                "noeviction",
                policy,
            )

    def _description(self) -> str:
        return f"<RedisOnce at {self._prefix!r}>"


_SYNC = (redis.Redis, redis.RedisCluster)
_ASYNC = (redis.asyncio.Redis, redis.asyncio.RedisCluster)


def _is_set(answer: object) -> bool:
    """Return whether a `SET NX` has set its key, by the answer of the client.

    Raises:
        TypeError: The answer says neither.
    """
    if answer is not None and answer is not True:
        raise TypeError(
            f"the client of Redis answers SET with {type(answer).__name__}; give a client without callbacks"
        )
    return answer is True


def _client_of(given: Hidden[Any], timeout: float) -> Hidden[Any]:
    is_client = isinstance(given.get(), (*_SYNC, *_ASYNC)) and not is_pipeline(given)
    client = given if is_client else client_of_url(given, timeout)
    if client is None:
        raise ConfigError(
            'RedisOnce: give a URL like "redis://localhost:6379/0", with options that redis-py knows, or a client of '
            "redis-py that is no pipeline"
        )
    return client
